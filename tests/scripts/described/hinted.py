"""Described by type hints: a batch of rows in, a prediction for each out."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, Optional, TypedDict


class Deck(Enum):
    UPPER = "upper"
    LOWER = "lower"


@dataclass
class Passenger:
    """Somebody on board."""

    name: str
    age: Optional[float]
    deck: Deck = Deck.LOWER
    mother: Optional["Passenger"] = None
    tags: list[str] = field(default_factory=list)


class Prediction(TypedDict, total=False):
    survived: bool
    sure: Literal["very", "hardly"]


def init():
    pass


def run(data: list[Passenger]) -> dict[str, Prediction]:
    """Take passengers; answer by name."""
    return {}
