"""Streams."""

from collections.abc import Iterator


def init():
    pass


def run(data: dict[str, int]) -> Iterator[dict[str, float]]:
    yield {"a": 1.0}
