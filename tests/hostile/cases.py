"""What a hostile or odd request is, what must come of it, and how that is checked.

A case is some bytes and what must come of them. They are followed by one more good request at once.
If the connection ends with the case, that request must not be answered, nor reach the script; if
the connection goes on, it must be answered, in its turn. The script tells afterwards what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from support.client import Connection, Response

SCRIPT = '''
from azureml.contrib.services.aml_request import rawhttp

seen = []


def init():
    pass


@rawhttp
def run(request):
    """Tell what came; when asked for it, all that came since it was last asked for."""
    if request.query_string == b"seen":
        before = seen[:]
        seen.clear()
        return before
    seen.append({
        "method": request.method,
        "target": request.environ["REQUEST_URI"],
        "path": request.path,
        "host": request.environ.get("HTTP_HOST"),
        "headers": {name.lower(): value for name, value in request.headers.items()},
        "body": request.get_data().decode("latin-1"),
    })
    return seen[-1]
'''
"""The entry script of these tests, which tells what it has seen."""

SETTINGS = {
    "WORKER_COUNT": "1",
    "SCOREHOST_MAX_HEADER_BYTES": "8k",
    "SCOREHOST_MAX_BODY_BYTES": "64k",
}
"""Small limits, so that what goes beyond them need not be long."""

HEADER_LIMIT = 8 << 10
BODY_LIMIT = 64 << 10
PATIENCE = 5.0
"""Seconds within which whatever must come has come from a real server."""
MOST_PIECES = 500
"""Longer cases than this come in larger pieces than single bytes."""


# -- What comes of a request ----------------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """It reaches the script, and is answered with 200.

    Parameters
    ----------
    body : what the script must see as its body, as latin-1.
    method, target : what it must see of the request line.
    host : what it must take for the host; None for whatever it is.
    headers : further headers that it must see; None where there must be none of this name.
    closes : the answer announces that it is the last, and it is.
    asked_for : the client waits for "100 Continue" before it sends the body.
    """

    body: str = ""
    method: str = "POST"
    target: str = "/score"
    host: str | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    closes: bool = False
    asked_for: bool = False


@dataclass(frozen=True)
class Answered:
    """It is answered with this status by the server itself, and the script sees nothing of it."""

    status: int
    method: str = "GET"
    closes: bool = False


@dataclass(frozen=True)
class Refused:
    """It is refused with this status, and the connection ends."""

    status: int = 400
    method: str = "POST"
    closes: bool = True


@dataclass(frozen=True)
class Ended:
    """The connection ends without an answer; the script sees nothing."""

    closes: bool = True


Outcome: TypeAlias = Read | Answered | Refused | Ended


@dataclass(frozen=True)
class Case:
    """Some bytes, and what must come of them.

    Parameters
    ----------
    name : a short id.
    data : what the client sends.
    outcomes : what comes of each request that it holds, in order.
    half_closed : the client then says that no more will come, instead of sending a good request.
    """

    name: str
    data: bytes
    outcomes: tuple[Outcome, ...]
    half_closed: bool = False

    @property
    def closes(self) -> bool:
        """Whether the connection ends with it."""
        return self.outcomes[-1].closes


def case(name: str, data: bytes, *outcomes: Outcome, half_closed: bool = False) -> Case:
    """Make a case; without outcomes, it is refused with 400."""
    return Case(name, data, outcomes or (Refused(400),), half_closed)


# -- How it is sent -------------------------------------------------------------------------

HOST = b"Host: t\r\n"
POST = b"POST /score HTTP/1.1\r\nHost: t\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /score?smuggled HTTP/1.1\r\nHost: t\r\n\r\n"
"""What must never be answered, nor be seen by the script."""


def good(word: str) -> bytes:
    """Make a good request with this word as its body, and in its target."""
    body = word.encode()
    head = b"POST /score?%b HTTP/1.1\r\nHost: good\r\nContent-Length: %d\r\n\r\n"
    return head % (body, len(body)) + body


def answer_to(word: str) -> Read:
    """Return what comes of :func:`good`."""
    return Read(word, target=f"/score?{word}", host="good")


WAYS = ("whole", "in pieces", "halved", "behind a good one", "twice")
"""How a case is sent: in one piece; byte by byte; in two pieces; with a good request in front of
it; and, when the connection goes on, two times, since the server remembers heads."""


def ways_of(each: Case) -> Sequence[str]:
    """Return the ways in which a case can be sent."""
    return [way for way in WAYS if way != "twice" or not (each.closes or each.half_closed)]


def sent_as(each: Case, way: str) -> tuple[list[bytes], Case]:
    """Return the pieces in which a case is sent, and the case that they make together."""
    if way == "behind a good one":
        outcomes = (answer_to("first"), *each.outcomes)
        each = replace(each, data=good("first") + each.data, outcomes=outcomes)
    elif way == "twice":
        each = replace(each, data=each.data * 2, outcomes=each.outcomes * 2)
    if not each.half_closed:
        data = each.data + good("after")
        outcomes = each.outcomes if each.closes else (*each.outcomes, answer_to("after"))
        each = replace(each, data=data, outcomes=outcomes)
    size = len(each.data)
    if way == "in pieces":
        size = 1 + size // MOST_PIECES
    elif way == "halved":
        size = 1 + size // 2
    pieces = [each.data[start : start + size] for start in range(0, len(each.data), size or 1)]
    return pieces, each


class Server(Protocol):
    """This much of a server is needed here; it is one in memory or one on a port."""

    def connect(self, timeout: float) -> Connection:
        """Make a new connection."""


Send: TypeAlias = Callable[[Connection, bytes], None]


def send_to_port(connection: Connection, data: bytes) -> None:
    """Send bytes to a server that may have ended the connection already."""
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.send(data)


# -- How it is checked ----------------------------------------------------------------------


def check(server: Server, each: Case, way: str, send: Send = send_to_port) -> None:
    """Send a case and hold the server to what must come of it, and of the request behind it."""
    try:
        expected = _exchange(server, each, way, send)
    except BaseException:
        take_seen(server)  # or the next case would be blamed for it
        raise
    seen = take_seen(server)
    assert [_short(record) for record in seen] == [
        (outcome.method, outcome.target, outcome.body) for outcome in expected
    ]
    for record, outcome in zip(seen, expected, strict=True):
        _check_record(record, outcome)


def _exchange(server: Server, each: Case, way: str, send: Send) -> list[Read]:
    """Send a case and read all answers; return what the script must have seen."""
    pieces, whole = sent_as(each, way)
    expected = []
    with server.connect(PATIENCE) as connection:
        for piece in pieces:
            send(connection, piece)
        for outcome in whole.outcomes:
            if each.half_closed and outcome is whole.outcomes[-1]:
                connection.half_close()  # only now: it would count as leaving before an answer
            expected.append(_check_answer(connection, outcome, in_pieces=way == "in pieces"))
        if not whole.closes:
            send(connection, good("again"))
            expected.append(_check_answer(connection, answer_to("again"), in_pieces=False))
            connection.half_close()
        assert connection.at_end(), "something came that nobody has asked for"
    return [outcome for outcome in expected if outcome is not None]


def problem(server: Server, each: Case, way: str, send: Send = send_to_port) -> str:
    """Return what :func:`check` objects to, so that other cases and ways are tried as well."""
    try:
        check(server, each, way, send)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:500]
    return ""


def take_seen(server: Server) -> list[dict[str, Any]]:
    """Ask on a new connection, whose answer must come at once, what the script has seen since."""
    with server.connect(PATIENCE) as connection:
        answer = connection.request("GET", "/score?seen")
    assert answer.status == 200, answer
    records = answer.json()
    assert isinstance(records, list)
    return records


def _check_answer(connection: Connection, outcome: Outcome, *, in_pieces: bool) -> Read | None:
    """Read one answer; return the outcome if the script must have seen the request."""
    if isinstance(outcome, Ended):
        assert connection.at_end(), "an answer came where none was due"
        return None
    asked_for = isinstance(outcome, Read) and outcome.asked_for
    answer = connection.read_response(outcome.method)
    if asked_for and answer.status == 100:
        answer = connection.read_response(outcome.method)
    else:  # it may be left out only where the body is there already
        assert not (asked_for and in_pieces), "the client would still wait for 100 Continue"
    _check_head(answer, outcome)
    if not isinstance(outcome, Read):
        return None
    if outcome.method != "HEAD":
        assert _short(answer.json()) == (outcome.method, outcome.target, outcome.body)
    return outcome


def _check_head(answer: Response, outcome: Read | Answered | Refused) -> None:
    status = 200 if isinstance(outcome, Read) else outcome.status
    assert answer.status == status, f"{answer.status} instead of {status}: {answer.body[:300]!r}"
    assert ("close" in answer.listed("Connection")) == outcome.closes, answer
    if isinstance(outcome, Refused) and outcome.method != "HEAD":
        assert answer.message


def _check_record(record: Mapping[str, Any], outcome: Read) -> None:
    if outcome.host is not None:
        assert record["host"] == outcome.host
    for name, value in outcome.headers.items():
        assert record["headers"].get(name) == value, f"{name} in {record['headers']}"


def _short(record: Mapping[str, Any]) -> tuple[str, str, str]:
    return record["method"], record["target"], record["body"]
