"""What the front tells the pages that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from scorehost.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

Documents: TypeAlias = Mapping[str, Mapping[str, Any]]


def _not_yet() -> str:
    return "init() has not finished yet."


@dataclass(frozen=True)
class PageContext:
    """What the front tells its pages, by functions that are called on the pages' thread.

    Parameters
    ----------
    settings : those of the server.
    documents : the swagger documents by version; None until a worker has described them.
    state : why there are no documents yet, in a sentence.
    extend : adds further pages.
    """

    settings: Settings
    documents: Callable[[], Documents | None]
    state: Callable[[], str] = _not_yet
    extend: Callable[[Flask], None] | None = None
