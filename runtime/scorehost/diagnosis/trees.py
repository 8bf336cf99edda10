"""The models there are, for failures that concern a model's path."""

from __future__ import annotations

from scorehost.diagnosis.case import Case
from scorehost.diagnosis.model_files import concerns_models
from scorehost.errors import ModelNotFound
from scorehost.model_path import MODELS_FOLDER, tree


def tree_for(case: Case) -> str:
    """Draw the models below the app root when one of the errors is about them; else ""."""
    if isinstance(case.error, ModelNotFound):
        return case.error.tree
    if not any(concerns_models(link) for link in case.chain()):
        return ""
    root = case.app_root / MODELS_FOLDER
    return tree(root) if root.is_dir() else f"{root}: there is no such folder"
