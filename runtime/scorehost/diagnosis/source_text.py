"""Scripts that are not Python: indentation, brackets, and text that never was a script."""

from __future__ import annotations

import linecache
import os
import re
from pathlib import Path

from scorehost.diagnosis.case import Case
from scorehost.errors import ScriptUnreadable
from scorehost.names import nearest

_MAGIC = re.compile(r"^\s*(%%?[a-z]\w*|![a-z]\w+)", re.IGNORECASE)
_UNDEFINED = re.compile(r"name '(null|true|false)' is not defined")
_QUOTES = "“”‘’«»„"


def unreadable_script(case: Case) -> str:
    """The script itself cannot be read."""
    if not isinstance(case.error, ScriptUnreadable):
        return ""
    path = case.script
    if path.is_dir():
        return f"Name the file in the folder. {_how_to_name(path / 'score.py')}"
    if path.exists():
        return f"This process runs as uid {os.getuid()}, which may not read the file."
    names = sorted(file.name for file in path.parent.glob("*.py"))
    near = nearest(path.name, names, like=0.6)
    mean = f"Did you mean {near}? " if near else ""
    return f"{mean}{_how_to_name(path.with_name(near or 'FILE.py'))}"


def bad_syntax(case: Case) -> str:
    """Python could not parse the text."""
    error = case.error
    if not isinstance(error, SyntaxError):
        return ""
    line = error.text or linecache.getline(error.filename or "", error.lineno or 0)
    line = line.rstrip("\n")
    return (
        _not_a_script(line)
        or _indentation(error, line)
        or _brackets(error)
        or _characters(error, line)
        or _old_python(error, line)
        or "Look at the marked line and the one before it: a colon, a comma, a quote or a bracket "
        "is usually missing there."
    )


def unreadable_text(case: Case) -> str:
    """The bytes are not text that Python reads."""
    error = case.error
    if case.stage != "read" and not isinstance(error, SyntaxError):
        return ""
    message = case.message
    if "null bytes" in message:
        return (
            "The file contains null bytes: it was probably saved as UTF-16 (as > does in Windows "
            "PowerShell). Save it as UTF-8."
        )
    if any(sign in message for sign in ("Non-UTF-8", "codec can't decode", "encoding declaration")):
        return (
            f"The file is not UTF-8{_first_bad_line(case.script)}. Save it as UTF-8, or name its "
            "encoding in its first line:\n    # -*- coding: latin-1 -*-"
        )
    return ""


def notebook_as_script(case: Case) -> str:
    """A notebook is JSON; read as Python it stumbles over null and true."""
    found = _UNDEFINED.search(case.message)  # Python 3.8 and 3.9 have the name in the text alone
    if not isinstance(case.error, NameError) or found is None:
        return ""
    with case.script.open("rb") as stream:
        start = stream.read(200).lstrip()
    if start.startswith(b"{"):
        return (
            "The file is a notebook, not a script. Export its code:\n"
            f"    jupyter nbconvert --to script {case.script.name}"
        )
    return f"{found[1]} is JSON; in Python write None, True and False."


def _not_a_script(line: str) -> str:
    match = _MAGIC.match(line)
    if match is not None:
        return (
            f"{match[1]} is a notebook command, not Python. Remove such lines from the script"
            + (": %%writefile belongs in the notebook's cell only." if "write" in line else ".")
        )
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
        return "The file contains merge conflict markers. Resolve the conflict and remove them."
    if line.lstrip().startswith((">>> ", "In [")):
        return "The line was copied with its prompt. Remove the prompt."
    if line.lstrip().lower().startswith(("<!doctype", "<html")):
        return "The file is a web page, not a script: a download went wrong."
    return ""


def _indentation(error: SyntaxError, line: str) -> str:
    if isinstance(error, TabError):
        name = Path(error.filename or "score.py").name
        return (
            "The file mixes tabs and spaces. Indent with four spaces throughout; this converts "
            f"it:\n    expand -t 4 {name} > fixed.py"
        )
    if not isinstance(error, IndentationError):
        return ""
    if "expected an indented block" in str(error.msg):
        return (
            "The line before ends with a colon, so at least one indented line has to follow. "
            "Write pass if there is nothing to do."
        )
    if "unindent" in str(error.msg):
        return (
            "This line is indented less than the one before, but not as far as any line above it. "
            "Align it with the block that it belongs to."
        )
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "The line is indented with a tab, its neighbors perhaps with spaces. Use only one."
    return (
        "The line is indented, but no line before it opens a block. Remove the spaces at its "
        "beginning, or end the line above with a colon."
    )


def _brackets(error: SyntaxError) -> str:
    message = str(error.msg)
    if "was never closed" in message:
        return f"The bracket opened in line {error.lineno} is not closed before the file ends."
    if message.startswith("unmatched") or "does not match opening" in message:
        return "There is an extra bracket or one of the wrong kind. Compare with the lines above."
    if "unexpected EOF" in message:
        return "The file ends inside a bracket or a block; perhaps it was copied incompletely."
    if "unterminated" in message:
        return (
            "A string begins here and does not end. Close the quotes, or use triple quotes for a "
            "string of several lines."
        )
    return ""


def _characters(error: SyntaxError, line: str) -> str:
    if any(quote in line for quote in _QUOTES):
        return (
            "The line contains typographic quotes, which come from word processors and web pages. "
            "Replace them with ' or \"."
        )
    if "invalid non-printable character" in str(error.msg) or "\u00a0" in line:
        return (
            "The line contains an invisible character, often a no-break space copied from a web "
            "page. Delete the white space and type it again."
        )
    if "invalid character" in str(error.msg):
        return "Python does not allow this character; it was probably copied from a formatted text."
    return ""


def _old_python(error: SyntaxError, line: str) -> str:
    if re.match(r"\s*(print|exec)\s+\S", line) or re.match(r"\s*except\s+\w+\s*,\s*\w+\s*:", line):
        return (
            "This is Python 2 code. Convert the script to Python 3: print(...) and "
            "`except Error as name:`."
        )
    if re.search(r"\basync\b", line) and "'await' outside" in str(error.msg):
        return "await works only inside async def."
    if "cannot assign" in str(error.msg) or "Maybe you meant '=='" in str(error.msg):
        return "A comparison needs ==, and an assignment needs a name on its left."
    return ""


def _how_to_name(path: Path) -> str:
    return (
        f"Name the script on the command line (scorehost serve {path.name}), or set "
        "AZUREML_ENTRY_SCRIPT to its path below the app root."
    )


def _first_bad_line(path: Path) -> str:
    try:
        path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        return f" (line {number} contains the byte 0x{error.object[error.start]:02x})"
    return ""
