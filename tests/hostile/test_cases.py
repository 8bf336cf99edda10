"""The cases themselves: there are enough, each has a name of its own, and each could fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hostile.cases import (
    CHUNKED,
    POST,
    SMUGGLED,
    Answered,
    Case,
    Ended,
    Read,
    Refused,
    case,
    check,
    good,
    sent_as,
    ways_of,
)
from hostile.corpus import CORPUS
from support.client import ConnectionEnded
from support.memory import MemoryServer

GOOD = case("good", good("one"), Read("one", target="/score?one", host="good"))
CLOSING = case(
    "closing", POST + b"Connection: close\r\nContent-Length: 1\r\n\r\nx", Read("x", closes=True)
)
BAD = case("bad", POST + b"Content-Length: +1\r\n\r\nx")
CUT = case("cut", CHUNKED + b"5\r\nhello\r\n", Ended(), half_closed=True)


def test_there_are_hundreds() -> None:
    assert sum(len(cases) for cases in CORPUS.values()) >= 300


@pytest.mark.parametrize("table", CORPUS)
def test_names_are_unique(table: str) -> None:
    names = [one.name for one in CORPUS[table]]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("one", [GOOD, CLOSING, BAD, CUT], ids=lambda one: one.name)
def test_what_comes_of_these_is_known(memory_server: MemoryServer, one: Case) -> None:
    """The cases that the tests below change are right as they are."""
    check(memory_server, one, "whole")


WRONG = {
    "read, not refused": replace(GOOD, outcomes=(Refused(400),)),
    "read, not answered by the server": replace(GOOD, outcomes=(Answered(200, "POST"),)),
    "another body": replace(GOOD, outcomes=(Read("two", target="/score?one"),)),
    "another target": replace(GOOD, outcomes=(Read("one", target="/score"),)),
    "another method": replace(GOOD, outcomes=(Read("one", "PUT", "/score?one"),)),
    "another host": replace(GOOD, outcomes=(Read("one", target="/score?one", host="bad"),)),
    "a header that is there": replace(
        GOOD, outcomes=(Read("one", target="/score?one", headers={"host": None}),)
    ),
    "a header that is not there": replace(
        GOOD, outcomes=(Read("one", target="/score?one", headers={"x-a": "a"}),)
    ),
    "it goes on": replace(GOOD, outcomes=(Read("one", target="/score?one", closes=True),)),
    "it is one request, not two": replace(GOOD, outcomes=GOOD.outcomes * 2),
    "it is two requests, not one": replace(GOOD, data=GOOD.data + SMUGGLED),
    "it does not end without an answer": replace(GOOD, outcomes=(Ended(),)),
    "it closes": replace(CLOSING, outcomes=(Read("x"),)),
    "refused, not read": replace(BAD, outcomes=(Read("x"),)),
    "refused with another status": replace(BAD, outcomes=(Refused(501),)),
    "refused, and it ends": replace(BAD, outcomes=(Answered(400, "POST"),)),
    "it ends without an answer": replace(CUT, outcomes=(Read("hello"),)),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_outcome_is_noticed(memory_server: MemoryServer, what: str) -> None:
    with pytest.raises((AssertionError, TimeoutError, ConnectionEnded)):
        check(memory_server, WRONG[what], "whole")


def test_in_pieces_means_byte_by_byte() -> None:
    pieces, whole = sent_as(GOOD, "in pieces")

    assert {len(piece) for piece in pieces} == {1}
    assert b"".join(pieces) == whole.data == good("one") + good("after")


@pytest.mark.parametrize("one", [GOOD, CLOSING, BAD], ids=lambda one: one.name)
def test_every_way_sends_the_request_behind_it(one: Case) -> None:
    """Where the connection ends, too: nobody may answer it then."""
    for way in ways_of(one):
        pieces, whole = sent_as(one, way)
        assert b"".join(pieces) == whole.data
        assert whole.data.endswith(one.data + good("after"))
