"""Models and files that are not where the script looks."""

from __future__ import annotations

import difflib
import errno
import os
import re
from pathlib import Path

from scorehost.diagnosis.case import Case
from scorehost.errors import ModelNotFound
from scorehost.model_path import MODELS_FOLDER

_VARIABLE = "AZUREML_MODEL_DIR"


def model_not_found(case: Case) -> str:
    """A model name does not resolve."""
    if not isinstance(case.error, ModelNotFound):
        return ""
    return f"{case.error.advice}\nTo see how a name resolves:\n    scorehost models NAME"


def no_model_dir(case: Case) -> str:
    """``AZUREML_MODEL_DIR`` is not set, so that there is no path to join."""
    if _VARIABLE not in case.failing_lines:
        return ""
    missing = isinstance(case.error, KeyError) and case.error.args == (_VARIABLE,)
    joined = isinstance(case.error, TypeError) and "NoneType" in case.message
    if not missing and not joined:
        return ""
    return (
        f"{_VARIABLE} is not set, because there are no models below {case.app_root}. Put them into "
        f"{MODELS_FOLDER}/<name>/<version>/ there, or name their folder:\n"
        f"    scorehost serve {case.script.name} --model-dir PATH"
    )


def file_not_found(case: Case) -> str:
    """A file that the script opens is not there."""
    path = path_of(case)
    if not isinstance(case.error, FileNotFoundError) or path is None:
        return ""
    if _is_command(case, path):
        return (
            f"The program {path} is not installed here, or not on the PATH. Add it to the image "
            "(apt-get install), or do its work in Python."
        )
    if str(path).startswith(("http:", "https:", "wasbs:", "abfss:", "s3:", "gs:")):
        return "This is an address, not a path. Download the file when the image is built."
    return _relative_path(case, path) or _near_path(case, path) or _missing_below(path)


def folder_not_file(case: Case) -> str:
    """A path leads to a folder where a file is wanted, or the other way round."""
    path = path_of(case)
    if path is None:
        return ""
    if isinstance(case.error, NotADirectoryError):
        return f"{_first_file_above(path)} is a file; nothing can be below it."
    if not isinstance(case.error, IsADirectoryError):
        return ""
    held = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    if not held:
        return f"{path} is an empty folder: the model was not copied or mounted into it."
    files = ", ".join(held[:8]) + (", ..." if len(held) > 8 else "")
    first = next((name for name in held if (path / name).is_file()), held[0])
    return (
        f"{path} is a folder. It holds: {files}. Name the file in it:\n"
        f"    os.path.join(path, {first!r})"
    )


def path_of(case: Case) -> Path | None:
    """The path that a failure is about, when it names one."""
    if isinstance(case.error, OSError) and isinstance(case.error.filename, (str, bytes)):
        return Path(os.fsdecode(case.error.filename))
    if isinstance(case.error, (OSError, ValueError, RuntimeError)):
        match = re.search(r"['\"]?(/[\w.\-/ ]+\.\w+|/[\w.\-/]+)['\"]?", case.message)
        return Path(match[1]) if match and MODELS_FOLDER in match[1] else None
    return None


def concerns_models(case: Case) -> bool:
    """Whether the models that there are belong into the report."""
    if isinstance(case.error, ModelNotFound) or _VARIABLE in case.failing_lines:
        return True
    path = path_of(case)
    return path is not None and MODELS_FOLDER in path.parts


def _relative_path(case: Case, path: Path) -> str:
    if path.is_absolute():
        return ""
    for folder in case.folders():
        if (folder / path).exists():
            return (
                f"A relative path counts from the current directory, {Path.cwd()}, but the file is "
                f"{folder / path}. Begin at the script's folder:\n"
                f"    os.path.join(os.path.dirname(__file__), {str(path)!r})"
            )
    found = _anywhere(case, path.name)
    if found is not None:
        return f"There is no {path} in {Path.cwd()}, but there is {found}."
    return (
        f"A relative path counts from the current directory, {Path.cwd()}; there is no {path} in "
        f"it, nor beside {case.script.name}. Was the file copied into the image?"
    )


def _near_path(case: Case, path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return ""
    names = sorted(entry.name for entry in parent.iterdir())
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {parent / near[0]}?"
    single = [name for name in names if (parent / name).suffix == path.suffix and path.suffix]
    if len(single) == 1:
        return f"There is no {path.name} in {parent}, but there is {single[0]}."
    found = _anywhere(case, path.name)
    if found is not None:
        return f"There is no {path.name} in {parent}, but there is {found}."
    held = ", ".join(names[:8]) or "nothing"
    return f"{parent} holds: {held}. The file was not copied or mounted there."


def _missing_below(path: Path) -> str:
    last = next((folder for folder in path.parents if folder.is_dir()), Path("/"))
    following = path.relative_to(last).parts[0]
    names = sorted(entry.name for entry in last.iterdir())
    held = ", ".join(names[:8]) or "nothing"
    near = difflib.get_close_matches(following, names, n=1, cutoff=0.6)
    mean = f" Did you mean {near[0]}?" if near else ""
    return f"{last} is there and holds no {following}.{mean} It holds: {held}."


def _anywhere(case: Case, name: str, most: int = 5000) -> Path | None:
    """A file of that name somewhere in the app root."""
    for number, path in enumerate(case.app_root.rglob("*")):
        if number >= most:
            return None
        if path.name == name:
            return path
    return None


def _is_command(case: Case, path: Path) -> bool:
    return case.passed("subprocess.py") and len(path.parts) == 1 and not path.suffix


def _first_file_above(path: Path) -> Path:
    return next((part for part in [*reversed(path.parents), path] if part.is_file()), path)


def is_read_only(error: BaseException) -> bool:
    """Whether the file system refused to be written."""
    return isinstance(error, OSError) and error.errno == errno.EROFS
