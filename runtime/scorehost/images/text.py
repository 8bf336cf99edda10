"""Text files that people wrote, in the encoding that their editor or shell chose.

UTF-8, and UTF-16 where a mark at the beginning says so: ``pip freeze > requirements.txt`` in
Windows PowerShell writes that, and pip reads it.
"""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import Any

from scorehost.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(file: Path, errors: str = "strict") -> str:
    """A file's text, without the mark.

    Raises
    ------
    UsageError
        The file cannot be read, or is not text.
    """
    try:
        with file.open("rb") as stream:
            marked = stream.read(2) in UTF_16
        return file.read_text("utf-16" if marked else "utf-8-sig", errors)
    except FileNotFoundError:
        raise UsageError(f"{file} does not exist.") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text: {error}. Save it as UTF-8.") from error


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file; a :class:`UsageError` says where it is not TOML."""
    return parse_toml(read_text(file), file)


def parse_toml(text: str, file: Path) -> dict[str, Any]:
    """The content of TOML that a file has."""
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}.") from error
    return content
