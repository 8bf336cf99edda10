"""What to do when a model was not found: the first remedy that applies."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from scorehost.model_store import MODELS_FOLDER, kind, model_names, names, some, versions
from scorehost.model_tree import printable

MOST_SEARCHED: Final = 100
"""Models whose content is searched for a name that may be a file's."""


def advice(models: Path, name: str) -> str:
    """Say what to do about a name, or a version of it, that is not there."""
    return next(_remedies(models, name))


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """The known names that look most like this one."""
    import difflib  # every worker imports this file, and few models are not found

    by_case = {one.casefold(): one for one in known}
    found = difflib.get_close_matches(name.casefold(), list(by_case), n=3, cutoff=0.6)
    return [by_case[one] for one in found]


def _remedies(models: Path, name: str) -> Iterator[str]:
    place = printable(f"{models / name}{os.sep}1{os.sep}")
    if not kind(models):
        yield (
            f"Put the model's file or folder into {place}, or, when the models are elsewhere, "
            f"set AML_APP_ROOT to the folder that holds {MODELS_FOLDER}."
        )
    yield from _mend(models / name, place)
    known = model_names(models)
    yield from _meant(models, name, known)
    if known:
        yield f"Use a model that exists ({some(known)}), or put yours into {place}."
    yield f"Put the model's file or folder into {place}."


def _mend(model: Path, place: str) -> Iterator[str]:
    """Something is there under the name, but it is not laid out as a model."""
    found = kind(model)
    if found == "file":
        yield f"Move the file into {place}: a model is a folder of versions."
    numbers = versions(model)
    if numbers:
        yield f"Ask for version {some(numbers, 'or')}, or omit the version to get the highest."
    if found:
        yield f"Put the model, as one file or one folder, into {place}."


def _meant(models: Path, name: str, known: Sequence[str]) -> Iterator[str]:
    """Guess which of the names was meant."""
    with_version = re.fullmatch(r"(.+)[:/\\]([0-9]+)", name)
    if with_version and with_version[1] in known:
        yield f"Ask for get_model_path({with_version[1]!r}, version={int(with_version[2])})."
    near = nearest(name, known)
    if near:
        yield f"Did you mean {some([repr(one) for one in near], 'or')}?"
    wanted = Path(name).name
    for model in known[:MOST_SEARCHED]:
        for version in versions(models / model)[-1:]:
            if wanted in names(models / model / str(version)):
                yield f"{wanted!r} is a file of the model {model!r}: use the name {model!r}."
