"""Where a model is: ``Model.get_model_path``, explained.

A model lives at ``<app root>/azureml-models/<name>/<version>/<one file or folder>``, and that
one entry's path is the answer. Without a version the highest one counts. A name or version
that is not there is looked for as ``<current directory>/<name>``, and then given up with a
:class:`~scorehost.errors.ModelNotFound` that says what was tried, found and can be done.

A name is used as a path, as azureml-core does: ``..`` and absolute names lead out of the app
root. It comes from the script's author, who could open any file just as well; a script must not
pass on a name that came with a request.

Nothing here reads the environment: the app root and the current directory are passed in.
"""

from __future__ import annotations

import logging
import operator
import os
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scorehost.errors import ModelNotFound
from scorehost.model_advice import advice, nearest
from scorehost.model_store import (
    MODELS_FOLDER,
    kind,
    listed,
    model_names,
    resolve_model_dir,
    some,
    versions,
)
from scorehost.model_tree import printable, reason, tree

__all__ = [
    "MODELS_FOLDER",
    "ListedModel",
    "Resolution",
    "Tried",
    "explain",
    "get_model_path",
    "list_models",
    "resolve_model_dir",
    "tree",
]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tried:
    """One place that was looked at, and what was found there."""

    path: Path
    finding: str

    def __str__(self) -> str:
        return f"{printable(str(self.path))}: {self.finding}"


@dataclass(frozen=True)
class Resolution:
    """How a model's name resolves, or why it does not.

    Parameters
    ----------
    model_name : the name as asked for.
    version : the version asked for, None for the highest.
    path : the answer, absolute; None when there is none.
    tried : the places looked at, in order.
    summary : what came out, in one sentence.
    advice : what to do when there is no answer.
    nearest : names of models that look like the one asked for.
    tree : what is below the models' folder when there is no answer.
    """

    model_name: str
    version: int | None
    path: Path | None
    tried: tuple[Tried, ...]
    summary: str
    advice: str = ""
    nearest: tuple[str, ...] = ()
    tree: str = ""

    def text(self) -> str:
        parts = [self.summary, *_block("Tried:", [str(one) for one in self.tried])]
        parts += _block("What there is:", self.tree.splitlines())
        return "\n".join([*parts, *([f"What to do: {self.advice}"] if self.advice else [])])


@dataclass(frozen=True)
class ListedModel:
    """A folder in ``azureml-models``.

    Parameters
    ----------
    name : the model's name.
    versions : its versions, lowest first.
    path : what ``get_model_path(name)`` answers; None when it fails.
    note : what was found, or what is wrong.
    """

    name: str
    versions: tuple[int, ...]
    path: Path | None
    note: str


def get_model_path(
    model_name: str, version: int | None = None, *, app_root: Path, cwd: Path
) -> str:
    """Find a model's file or folder.

    Parameters
    ----------
    model_name : the name under which the model is stored.
    version : which version; None for the highest.
    app_root : the folder that holds ``azureml-models``.
    cwd : the folder in which ``<model_name>`` is tried last.

    Returns
    -------
    str
        The absolute path of the one entry in the version's folder.

    Raises
    ------
    ModelNotFound
        There is no such model or version, or its folder does not hold exactly one entry.
    """
    found = explain(model_name, version, app_root, cwd)
    for tried in found.tried:
        _logger.debug("Model %r: tried %s", model_name, tried)
    if found.path is None:
        raise ModelNotFound(
            found.text(),
            [str(one) for one in found.tried],
            summary=found.summary,
            advice=found.advice,
            tree=found.tree,
        )
    return str(found.path)


def explain(model_name: str, version: int | None, app_root: Path, cwd: Path) -> Resolution:
    """Resolve a model's name, and tell how; never raises.

    Parameters
    ----------
    model_name, version, app_root, cwd : as for :func:`get_model_path`.
    """
    models = app_root.absolute() / MODELS_FOLDER
    search = _Search(models, cwd.absolute())
    try:
        name, number = _checked(model_name, version)
        path = search.find(name, number)
    except _Unusable as problem:
        return _failed(model_name, version, search, str(problem), problem.advice)
    if path is None:
        which = f"Model {name!r}" if number is None else f"Version {number} of model {name!r}"
        remedy = advice(models, name)
        return _failed(name, number, search, f"{which} was not found.", remedy)
    summary = f"Model {name!r} is at {printable(str(path))}"
    return Resolution(name, number, path, tuple(search.tried), summary)


def list_models(app_root: Path) -> list[ListedModel]:
    """List what is in ``azureml-models``, each with what its name resolves to."""
    models = app_root.absolute() / MODELS_FOLDER
    return [_listed(models, name) for name in model_names(models)]


def _listed(models: Path, name: str) -> ListedModel:
    search = _Search(models, None)
    path: Path | None = None
    try:
        path = search.find(name, None)
        note = search.tried[-1].finding
    except _Unusable as problem:
        note = f"{problem} {problem.advice}"
    return ListedModel(name, tuple(versions(models / name)), path, note)


# -- The search ---------------------------------------------------------------------------


class _Unusable(Exception):
    """The search ended early: what is there, or was asked for, cannot give an answer."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.advice = advice


class _Search:
    """Looks at one place after the other and keeps what it found there."""

    def __init__(self, models: Path, cwd: Path | None) -> None:
        self.models, self.cwd = models, cwd
        self.tried: list[Tried] = []

    def find(self, name: str, version: int | None) -> Path | None:
        path = self._stored(self.models / name, version)
        if path is None and self.cwd is not None:
            path = self._in_cwd(self.cwd / name)
        return path

    def _stored(self, model: Path, version: int | None) -> Path | None:
        entries = self._look(model)
        if entries is None:
            return None
        numbers = versions(model)
        self._note(model, _versions_finding(numbers, entries))
        if version is None and not numbers:
            return None
        folder = model / str(numbers[-1] if version is None else version)
        content = self._look(folder)
        return None if content is None else self._only(folder, content)

    def _only(self, folder: Path, entries: Sequence[str]) -> Path:
        self._note(folder, f"holds {some(entries)}" if entries else "empty")
        if len(entries) != 1:
            raise _wrong_count(folder, entries)
        path = folder / entries[0]
        if not kind(path):
            raise _Unusable(
                f"{printable(str(path))} is a link whose target does not exist.",
                "Put the model itself in its place, or mount what the link points to.",
            )
        return path

    def _in_cwd(self, path: Path) -> Path | None:
        found = kind(path)
        self._note(path, f"a {found}, in the current directory" if found else "does not exist")
        return path if found else None

    def _look(self, folder: Path) -> list[str] | None:
        """List a folder; None when it is not there, or no folder."""
        try:
            return listed(folder)
        except PermissionError as error:
            self._note(folder, reason(error))
            raise _Unusable(
                f"{printable(str(folder))} cannot be read: {reason(error)}.",
                "Let the account that runs the script read it: chmod -R a+rX does.",
            ) from None
        except (OSError, ValueError) as error:
            self._note(folder, _missing_finding(folder, error))
            return None

    def _note(self, path: Path, finding: str) -> None:
        self.tried.append(Tried(path, finding))


def _checked(model_name: object, version: object) -> tuple[str, int | None]:
    """Refuse what is neither a name nor a version."""
    call = "get_model_path('name') or get_model_path('name', version=1)"
    name = os.fspath(model_name) if isinstance(model_name, os.PathLike) else model_name
    if not isinstance(name, str) or not name:
        raise _Unusable(
            f"model_name is {reprlib.repr(model_name)}, which names no model.", f"Call {call}."
        )
    if version is None:
        return name, None
    try:
        return name, operator.index(version)  # type: ignore[arg-type]  # refused if it is none
    except TypeError:
        problem = f"version is {reprlib.repr(version)}, which is not an integer."
        if isinstance(version, str) and version.isdecimal():
            call = f"get_model_path({name!r}, version={int(version)})"
        raise _Unusable(problem, f"Call {call}.") from None


def _wrong_count(folder: Path, entries: Sequence[str]) -> _Unusable:
    shown = printable(str(folder))
    if not entries:
        return _Unusable(
            f"{shown} is empty; it must hold exactly one file or folder, the model.",
            "Put the model's file or folder into it.",
        )
    extra = [name for name in entries if name.startswith((".", "__"))]
    if len(entries) - len(extra) == 1:
        advice = f"Remove what does not belong to the model: {some(extra)}."
    else:
        advice = f"Move them into one folder, for example {shown}/model."
    return _Unusable(
        f"{shown} must hold exactly one file or folder, the model, but holds {len(entries)}: "
        f"{some(entries)}.",
        advice,
    )


# -- Saying it ----------------------------------------------------------------------------


def _failed(
    name: str, version: int | None, search: _Search, summary: str, what_to_do: str
) -> Resolution:
    models = search.models
    return Resolution(
        name,
        version,
        None,
        tuple(search.tried),
        summary,
        what_to_do,
        tuple(nearest(str(name), model_names(models))),
        tree(models) if kind(models) else tree(models.parent, 20),
    )


def _versions_finding(numbers: Sequence[int], entries: Sequence[str]) -> str:
    others = [name for name in entries if name not in {str(number) for number in numbers}]
    if not numbers:
        return f"no version, but {some(others)}" if others else "empty"
    skipped = f" (skipped: {some(others)})" if others else ""
    return f"version{'s' if len(numbers) > 1 else ''} {some(numbers)}{skipped}"


def _missing_finding(folder: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "a link whose target does not exist" if folder.is_symlink() else "does not exist"
    return "a file, not a folder" if kind(folder) == "file" else reason(error)


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *(f"  {line}" for line in lines)] if lines else []
