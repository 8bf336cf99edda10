"""A sample as the request that it stands for."""

from __future__ import annotations

import json
from typing import Any, Final

from scorehost.wire.messages import ScoringRequest

JSON: Final = "application/json"


def sample_text(sample: Any) -> str:
    """Write the decorators' own sample as the body of a request."""
    return json.dumps(sample, default=str)


def sample_request(body: bytes, content_type: str = JSON) -> ScoringRequest:
    """Return a request for ``/score`` with this body, as a client on this machine would send it."""
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return ScoringRequest.full("POST", "/score", headers, content_type, body, "127.0.0.1")
