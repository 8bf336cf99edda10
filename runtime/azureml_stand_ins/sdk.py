"""``azureml.core.model.Model``, as far as a scoring script uses it: ``get_model_path``.

It works in the server and in a plain Python shell alike. It is therefore one of the few places
that read the environment: ``AML_APP_ROOT``, when a path is asked for.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, NoReturn

from azureml_stand_ins.exceptions import ModelNotFoundException
from azureml_stand_ins.modules import absent
from scorehost.errors import ModelNotFound
from scorehost.model_path import get_model_path
from scorehost.settings import Settings

_logger = logging.getLogger(__name__)


class _Explaining(type):
    """Makes ``Model.register`` and the like say why they are absent."""

    def __getattr__(cls, name: str) -> NoReturn:
        raise AttributeError(absent(f"azureml.core.model.{cls.__name__}.{name}"))


class Model(metaclass=_Explaining):
    """Finds the models that are stored beside the script."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise ImportError(absent("azureml.core.model.Model()"), name="azureml.core")

    @staticmethod
    def get_model_path(
        model_name: str, version: int | None = None, _workspace: object = None
    ) -> str:
        """Find a model's file or folder below ``azureml-models`` in the app root.

        Parameters
        ----------
        model_name : the name under which the model is stored.
        version : which version; None for the highest.
        _workspace : not asked; there is no connection to a workspace.

        Raises
        ------
        azureml.exceptions.ModelNotFoundException
            There is no such model; the message says where it was looked for.
        """
        if _workspace is not None:
            _logger.warning("Model %r: a workspace is not asked, only folders.", model_name)
        try:
            return get_model_path(model_name, version, app_root=_app_root(), cwd=Path.cwd())
        except ModelNotFound as error:
            raise ModelNotFoundException.of(error) from None


Model.__module__ = "azureml.core.model"


def _app_root() -> Path:
    given = os.environ.get("AML_APP_ROOT")
    return Settings(app_root=Path(given).expanduser() if given else None).root
