"""Models and files that are not where the script looks, and a drawing of those that exist."""

from __future__ import annotations

import os
import re
from pathlib import Path

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.frames import shown_path
from scorehost.errors import ModelNotFound, ScriptUnreadable
from scorehost.model_path import MODELS_FOLDER, tree
from scorehost.names import nearest

_MOST_LISTED = 8
_MOST_LINES = 30
_VARIABLE = "AZUREML_MODEL_DIR"
_MODEL_SUFFIXES = frozenset({
    ".pkl", ".pickle", ".joblib", ".onnx", ".pt", ".pth", ".h5", ".keras", ".bst", ".ubj",
    ".safetensors", ".txt",
})  # fmt: skip


def model_not_found(case: Case) -> str:
    """A model name does not resolve."""
    if not isinstance(case.error, ModelNotFound):
        return ""
    asked = re.search(r"[Mm]odel ('[^']+'|\"[^\"]+\") ", case.error.summary)
    name = asked[1].strip("'\"") if asked else "NAME"
    return f"{case.error.advice}\nTo see how a name resolves:\n    scorehost models {name}"


def no_model_dir(case: Case) -> str:
    """The script builds a path from ``AZUREML_MODEL_DIR``, which is not set."""
    if _VARIABLE not in case.failing_lines:
        return ""
    missing = isinstance(case.error, KeyError) and case.error.args == (_VARIABLE,)
    joined = isinstance(case.error, TypeError) and "NoneType" in case.message
    if not missing and not joined:
        return ""
    return (
        f"{_VARIABLE} is not set, because {case.app_root} contains no models. Put them in "
        f"{MODELS_FOLDER}/<name>/<version>/ in that folder, or name the folder they are in:\n"
        f"    scorehost serve {case.script.name} --model-dir PATH"
    )


def file_not_found(case: Case) -> str:
    """A file that the script opens does not exist."""
    path = path_of(case)
    if not isinstance(case.error, FileNotFoundError) or path is None:
        return ""
    if _is_command(case, path):
        return (
            f"The program {path} is not installed here, or not on the PATH. Add it to the image "
            "(apt-get install), or do its work in Python."
        )
    if str(path).startswith(("http:", "https:", "wasbs:", "abfss:", "s3:", "gs:")):
        return "This is a URL, not a path. Download the file when the image is built."
    return _relative_path(case, path) or _near_path(case, path) or _missing_below(case, path)


def folder_not_file(case: Case) -> str:
    """A path leads to a folder where a file is wanted, or the other way round."""
    path = path_of(case)
    if path is None:
        return ""
    if isinstance(case.error, NotADirectoryError):
        return f"{_first_file_above(path)} is a file, so no path can lead below it."
    if not isinstance(case.error, IsADirectoryError):
        return ""
    held = _entries(path) if path.is_dir() else []
    if not held:
        return f"{_shown(case, path)} is empty: the model was not copied or mounted into it."
    return (
        f"{_shown(case, path)} is a folder. It contains: {_listed(held)}. Name the file in it:\n"
        f"    os.path.join(path, {_likeliest(path, held)!r})"
    )


def path_of(case: Case) -> Path | None:
    """The path that a failure is about, when it names one."""
    if isinstance(case.error, OSError) and isinstance(case.error.filename, (str, bytes)):
        return Path(os.fsdecode(case.error.filename))
    if isinstance(case.error, (OSError, ValueError, RuntimeError)):
        match = re.search(r"['\"]?(/[\w.\-/ ]+\.\w+|/[\w.\-/]+)['\"]?", case.message)
        return Path(match[1]) if match and MODELS_FOLDER in match[1] else None
    return None


def _concerns_models(case: Case) -> bool:
    """Whether the report should list the models that exist."""
    if isinstance(case.error, ModelNotFound) or _VARIABLE in case.failing_lines:
        return True
    path = path_of(case)
    return path is not None and MODELS_FOLDER in path.parts


def tree_for(case: Case) -> str:
    """Draw the models or files around the path of one of the errors; "" when there is none."""
    if isinstance(case.error, ScriptUnreadable):
        return ""
    for link in case.chain():
        if isinstance(link.error, ModelNotFound):
            return link.error.tree
        if _concerns_models(link):
            models = link.app_root / MODELS_FOLDER
            return tree(models, _MOST_LINES) if models.is_dir() else f"{models} does not exist"
        if folder := _folder_above(link):
            return tree(folder, _MOST_LINES)
    return ""


def _relative_path(case: Case, path: Path) -> str:
    if path.is_absolute():
        return ""
    for folder in case.folders():
        if (folder / path).exists():
            return (
                f"A relative path starts at the current directory, {Path.cwd()}, but the file is "
                f"{folder / path}. Start at the script's folder:\n"
                f"    os.path.join(os.path.dirname(__file__), {str(path)!r})"
            )
    if found := _anywhere(case, path.name):
        return f"There is no {path} in {Path.cwd()}, but there is {found}."
    return (
        f"A relative path starts at the current directory, {Path.cwd()}; there is no {path} in "
        f"it or beside {case.script.name}. Was the file copied into the image?"
    )


def _near_path(case: Case, path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return ""
    names = _entries(parent)
    near = nearest(path.name, names, like=0.6)
    if near:
        return f"Did you mean {_shown(case, parent / near)}?"
    missing = f"There is no {path.name} in {_shown(case, parent)}"
    single = [name for name in names if (parent / name).suffix == path.suffix and path.suffix]
    if len(single) == 1:
        return f"{missing}, but there is {single[0]}."
    if found := _anywhere(case, path.name):
        return f"{missing}, but there is {_shown(case, found)}."
    return f"{missing}: it was not copied or mounted there. The folder contains: {_listed(names)}."


def _missing_below(case: Case, path: Path) -> str:
    last = next((folder for folder in path.parents if folder.is_dir()), Path("/"))
    following = path.relative_to(last).parts[0]
    names = _entries(last)
    near = nearest(following, names, like=0.6)
    mean = f" Did you mean {near}?" if near else ""
    return f"{_shown(case, last)} has no {following}.{mean} It contains: {_listed(names)}."


def _entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _listed(names: list[str]) -> str:
    shown = names[:_MOST_LISTED] + ["..."] * (len(names) > _MOST_LISTED)
    return ", ".join(shown) or "nothing"


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


def _likeliest(folder: Path, names: list[str]) -> str:
    """The entry that looks most like a model."""
    files = [name for name in names if (folder / name).is_file()] or names
    models = [name for name in files if Path(name).suffix in _MODEL_SUFFIXES]
    return (models or files)[0]


def _shown(case: Case, path: Path) -> str:
    return shown_path(str(path), case.app_root)


def _folder_above(case: Case) -> Path | None:
    """The nearest existing folder of an absolute path that is missing or is a folder."""
    path = path_of(case)
    if not isinstance(case.error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
        return None
    if path is None or not path.is_absolute():
        return None
    found = next(folder for folder in [path, *path.parents] if folder.is_dir())
    return found if len(found.parts) > 2 else None  # all of /tmp or /home says nothing
