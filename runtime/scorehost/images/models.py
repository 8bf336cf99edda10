"""``--model NAME[:VERSION]=PATH``: models laid out as a deployment lays them out.

``azureml-models/NAME/VERSION/`` holds exactly one entry: the file or folder that was given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scorehost.errors import UsageError
from scorehost.images.ignore import files_below
from scorehost.model_store import MODELS_FOLDER
from scorehost.names import nearest

_FORM = re.compile(r"(?P<name>[^:=]+)(?::(?P<version>[^=]*))?=(?P<path>.+)$")
_NAME = re.compile(r"[\w][\w.-]*$")


@dataclass(frozen=True)
class Model:
    """A model that goes into the image."""

    name: str
    version: int
    path: Path

    @property
    def folder(self) -> PurePosixPath:
        """The folder of this version of the model, below the app root."""
        return PurePosixPath(MODELS_FOLDER, self.name, str(self.version))

    def files(self) -> Iterator[tuple[Path, PurePosixPath]]:
        """The model's files, each with its place below the app root."""
        entry = self.folder / own_name(self.path)
        if self.path.is_file():
            yield self.path, entry
            return
        for file in files_below(self.path):
            yield self.path / file, entry / file


def own_name(path: Path) -> str:
    """A path's last name as it was typed, even of a link; for ``.``, the folder's name."""
    return os.path.basename(os.path.abspath(path))  # noqa: PTH100, PTH119 - resolve() follows links


def read_models(values: Iterable[str], folder: Path) -> list[Model]:
    """Read the values of ``--model`` for an app's folder.

    Raises
    ------
    UsageError
        A value is not of the form, its path does not exist, or its place is taken.
    """
    models: list[Model] = []
    for value in values:
        model = read_model(value)
        if any(other.folder == model.folder for other in models):
            raise UsageError(f"--model {value}: {model.name}:{model.version} is given twice.")
        if (folder / model.folder).exists():
            raise UsageError(
                f"--model {value}: {folder / model.folder} already exists. Give another version, "
                f"{model.name}:{model.version + 1}=…, or remove that folder."
            )
        models.append(model)
    return models


def read_model(value: str) -> Model:
    """Read one value of ``--model``; a :class:`UsageError` says what is wrong with it."""
    found = _FORM.match(value)
    if found is None:
        raise UsageError(f"--model {value} is not of the form NAME[:VERSION]=PATH.")
    name, version, path = found["name"], found["version"], Path(found["path"]).expanduser()
    if not _NAME.match(name):
        raise UsageError(
            f"--model {value}: {name!r} is not a valid name. Use letters, digits and . _ -"
        )
    if version is not None and not version.isdecimal():
        raise UsageError(f"--model {value}: the version {version!r} is not a whole number.")
    if not path.exists():
        raise UsageError(f"--model {value}: {path} does not exist.{_instead(path)}")
    if path.is_dir() and not any(files_below(path)):
        raise UsageError(f"--model {value}: the folder {path} contains no files.")
    return Model(name, int(version or 1), path)


def _instead(path: Path) -> str:
    if not path.parent.is_dir():
        return f" Neither does {path.parent}."
    siblings = sorted(each.name for each in path.parent.iterdir())
    if near := nearest(path.name, siblings, like=0.5):
        return f" Did you mean {path.parent / near}?"
    shown = ", ".join(siblings[:8])
    return f" {path.parent} contains {shown or 'nothing'}{', …' if len(siblings) > 8 else ''}."
