"""One flat object: its fields can come in the query string, too."""

from typing import TypedDict


class Row(TypedDict):
    age: int
    job: str
    scores: list[float]


def init():
    pass


def run(data: Row) -> float:
    return 1.0
