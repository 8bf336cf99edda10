"""What front and worker say to each other about one request, as plain values.

No sockets, no encoding: ``worker/frames.py`` puts these on the wire. A request travels one way
as a :class:`ScoringRequest`; exactly one of :class:`Answer`, :class:`Stream` and
:class:`Failure` comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

HeaderList: TypeAlias = list[tuple[str, str]]


@dataclass(slots=True)
class ScoringRequest:
    """One request as the entry script may see it.

    Parameters
    ----------
    method : the HTTP method, upper case.
    target : path and query as sent, percent-encoded: ``/score?a=1``.
    headers : name and value pairs as sent; latin-1. Empty unless the script asks for headers.
    content_type : the Content-Type header's value, or "".
    body : the whole body.
    remote_address : the client's.
    """

    method: str
    target: str
    headers: HeaderList
    content_type: str
    body: bytes
    remote_address: str = ""

    @property
    def query(self) -> str:
        """The query string as sent, without the question mark."""
        return self.target.partition("?")[2]


@dataclass(slots=True)
class Answer:
    """A complete result.

    Parameters
    ----------
    body : the encoded result.
    status : HTTP status.
    headers : what the script set itself; Content-Type comes in ``content_type``.
    content_type : value of Content-Type.
    run_ns : nanoseconds spent in ``run()``.
    run_function_failed : value for ``x-ms-run-function-failed``.
    own_response : the script returned a response of its own (AMLResponse or Flask).
    """

    body: bytes
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    content_type: str = "application/json"
    run_ns: int = 0
    run_function_failed: bool = False
    own_response: bool = False


@dataclass(slots=True)
class Stream:
    """A result that is made while it is sent.

    Each chunk goes out as one HTTP chunk. An exception from ``chunks`` is the script's.
    """

    chunks: Iterator[bytes]
    status: int = 200
    headers: HeaderList = field(default_factory=list)
    content_type: str = "application/json"
    run_ns: int = 0
    run_function_failed: bool = False
    own_response: bool = False


@dataclass(slots=True)
class Failure:
    """A request that ended in an error, as a value.

    Parameters
    ----------
    status : HTTP status.
    stage : "decode", "validate", "run" or "encode".
    message : what the client sees in production; never a traceback, file or value of the script
        for the stages "run" and "encode".
    log : what the log gets: the error with the user's frames.
    error_type : name of the exception's class.
    run_ns : nanoseconds in ``run()``; None unless it returned.
    detail : for debug mode: frames, input description, hint. JSON-encodable.
    """

    status: int
    stage: str
    message: str
    log: str = ""
    error_type: str = ""
    run_ns: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


Outcome: TypeAlias = Answer | Stream | Failure

RUN_FAILED_MESSAGE = "An unexpected error occurred in scoring script. Check the logs for more info."
"""What every deployed client of the retired service knows to expect of a failing ``run()``."""
