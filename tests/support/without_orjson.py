"""A pytest plugin (``-p support.without_orjson``): scorehost does not find orjson, its tests do."""

import sys

sys.modules["orjson"] = None  # type: ignore[assignment]
from scorehost import fast_json  # noqa: E402 - that it does not find it is the point

del sys.modules["orjson"]
assert not fast_json.IS_ORJSON
