"""How scorehost is packaged: setuptools, and one file more.

``scorehost-stand-ins.pth`` has to lie beside the packages, in site-packages itself, where
Python reads it when it starts; setuptools has no place for such a file. So it is added to the
finished wheel, an editable one too.

Its line adds a finder to Python's: the last, so that real packages win; without an import, so
that it costs nothing. What the finder finds is in ``runtime/azureml_stand_ins``.
"""

import base64
import hashlib
import zipfile
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - the hooks that stay as they are

PTH_NAME = "scorehost-stand-ins.pth"
PTH_LINE = (
    "import sys; sys.meta_path.append(type('ScorehostStandIns', (), {'find_spec': "
    "lambda name, path=None, target=None: "
    "__import__('azureml_stand_ins').find_spec(name, path, target) "
    "if name.split('.')[0] in ('azureml', 'azureml_inference_server_http', 'ptvsd') else None}))\n"
)


def build_wheel(wheel_directory: str, *arguments: Any, **options: Any) -> str:
    """Build the wheel with setuptools and add the ``.pth`` file."""
    name = build_meta.build_wheel(wheel_directory, *arguments, **options)
    return _with_pth(Path(wheel_directory, name))


def build_editable(wheel_directory: str, *arguments: Any, **options: Any) -> str:
    """Build the wheel of an editable install likewise."""
    name = build_meta.build_editable(wheel_directory, *arguments, **options)
    return _with_pth(Path(wheel_directory, name))


def _with_pth(wheel: Path) -> str:
    """Write the wheel anew, with the file and its line in RECORD."""
    built = wheel.rename(wheel.with_suffix(".built"))
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(wheel, "w") as target:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith(".dist-info/RECORD"):
                content = _record_line() + content
                target.writestr(_named(item, PTH_NAME), PTH_LINE)
            target.writestr(item, content)
    built.unlink()
    return wheel.name


def _named(item: zipfile.ZipInfo, name: str) -> zipfile.ZipInfo:
    """Describe a file that is like another: date, mode, compression."""
    made = zipfile.ZipInfo(name, item.date_time)
    made.external_attr, made.compress_type = item.external_attr, item.compress_type
    return made


def _record_line() -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(PTH_LINE.encode()).digest()).rstrip(b"=")
    return b"%s,sha256=%s,%d\n" % (PTH_NAME.encode(), digest, len(PTH_LINE))
