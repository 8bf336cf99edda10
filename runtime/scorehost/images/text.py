"""Text files that people wrote, in the encoding that their editor or shell chose.

UTF-8, and UTF-16 where a mark at the beginning says so: ``pip freeze > requirements.txt`` in
Windows PowerShell writes that, and pip reads it.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from scorehost.errors import UsageError

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(file: Path, errors: str = "strict") -> str:
    """A file's text, without the mark.

    Raises
    ------
    UsageError
        It cannot be read, or is no text.
    """
    try:
        with file.open("rb") as stream:
            marked = stream.read(2) in UTF_16
        return file.read_text("utf-16" if marked else "utf-8-sig", errors)
    except FileNotFoundError:
        raise UsageError(f"{file} is not there.") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not text in UTF-8: {error}. Save it as UTF-8.") from error
