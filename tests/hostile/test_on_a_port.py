"""The whole corpus again, over real sockets to one real server."""

from __future__ import annotations

from hostile.cases import problem
from hostile.corpus import CORPUS
from support.server import LiveServer

WAYS = ("whole", "halved", "behind a good one")
"""Byte by byte takes too long here, and the server in memory has been asked twice."""


def test_the_whole_corpus(real_server: LiveServer) -> None:
    """Every case is read or refused as in memory, and the server lives on."""
    problems = [
        f"{table}: {one.name}, {way}: {found}"
        for table, cases in CORPUS.items()
        for one in cases
        for way in WAYS
        if (found := problem(real_server, one, way))
    ]

    assert not problems, "\n".join(problems)
    assert real_server.get("/livez").status == 200
