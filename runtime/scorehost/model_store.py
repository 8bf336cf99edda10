"""What ``azureml-models`` holds: names, versions, and words for them.

``<app root>/azureml-models/<name>/<version>/``; a version is a folder that is named by an
integer. Nothing here raises when a place is missing or may not be read: it then holds nothing.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from scorehost.model_tree import natural_order, printable

MODELS_FOLDER: Final = "azureml-models"


def kind(path: Path) -> str:
    """What a path leads to: "file", "folder", or "" for nothing."""
    try:
        return "folder" if stat.S_ISDIR(path.stat().st_mode) else "file"
    except (OSError, ValueError):
        return ""


def names(folder: Path) -> list[str]:
    """What a folder holds."""
    try:
        return listed(folder)
    except (OSError, ValueError):
        return []


def listed(folder: Path) -> list[str]:
    """What a folder holds; raises when that can't be said."""
    return sorted((entry.name for entry in folder.iterdir()), key=natural_order)


def model_names(models: Path) -> list[str]:
    """The folders in the models' folder."""
    return [name for name in names(models) if kind(models / name) == "folder"]


def versions(model: Path) -> list[int]:
    """The versions of a model, lowest first."""
    found = [name for name in names(model) if re.fullmatch(r"0|-?[1-9][0-9]*", name)]
    return sorted(int(name) for name in found if kind(model / name) == "folder")


def resolve_model_dir(app_root: Path) -> Path | None:
    """Find the folder that ``AZUREML_MODEL_DIR`` should name.

    One model: the folder of its highest version. Several: the folder of them all. None: None.
    """
    models = app_root.absolute() / MODELS_FOLDER
    found = {name: versions(models / name) for name in model_names(models)}
    with_versions = [name for name, numbers in found.items() if numbers]
    if len(with_versions) == 1:
        name = with_versions[0]
        return models / name / str(found[name][-1])
    return models if with_versions else None


def some(things: Iterable[object], last: str = "and", most: int = 8) -> str:
    """Name a few of them: ``a, b and c``, or ``a, b, c and 97 more``."""
    words = [printable(str(thing)) for thing in things]
    if len(words) > most:
        words, last = [*words[: most - 1], f"{len(words) - most + 1} more"], "and"
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)
