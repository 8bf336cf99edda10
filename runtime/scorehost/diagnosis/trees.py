"""The models that exist, for failures that concern a model's path."""

from __future__ import annotations

from pathlib import Path

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.model_files import concerns_models, path_of
from scorehost.errors import ModelNotFound, ScriptUnreadable
from scorehost.model_path import MODELS_FOLDER, tree

_MOST_LINES = 30


def tree_for(case: Case) -> str:
    """Draw the models or files around the path of one of the errors; "" when there is none."""
    if isinstance(case.error, ScriptUnreadable):
        return ""
    for link in case.chain():
        if isinstance(link.error, ModelNotFound):
            return link.error.tree
        if concerns_models(link):
            models = link.app_root / MODELS_FOLDER
            return tree(models, _MOST_LINES) if models.is_dir() else f"{models} does not exist"
        if folder := _folder_above(link):
            return tree(folder, _MOST_LINES)
    return ""


def _folder_above(case: Case) -> Path | None:
    """The nearest existing folder of an absolute path that is missing or is a folder."""
    path = path_of(case)
    if not isinstance(case.error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
        return None
    if path is None or not path.is_absolute():
        return None
    found = next(folder for folder in [path, *path.parents] if folder.is_dir())
    return found if len(found.parts) > 2 else None  # all of /tmp or /home says nothing
