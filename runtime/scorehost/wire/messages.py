"""What front and worker say to each other about one request, as plain values.

There are no sockets and no encoding here: ``requests.py`` and ``answers.py`` put these values on
the wire. A request travels one way as a :class:`ScoringRequest`; exactly one of :class:`Answer`,
:class:`Stream` and :class:`Failure` comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeAlias

HeaderList: TypeAlias = "Sequence[tuple[str, str]]"


class ScoringRequest:
    """One request as the entry script may see it.

    For a script that sees nothing but the body of a POST, the rest is read from the class.

    Parameters
    ----------
    body : the whole body.
    method : the HTTP method, upper case.
    target : path and query as sent, percent-encoded: ``/score?a=1``.
    headers : name and value pairs as sent; latin-1. Empty unless the script asks for headers.
    content_type : the Content-Type header's value, or "".
    remote_address : the client's.
    """

    method: str = "POST"
    target: str = "/score"
    headers: HeaderList = ()
    content_type: str = ""
    remote_address: str = ""

    def __init__(self, body: bytes) -> None:
        self.body = body

    @classmethod
    def full(
        cls, method: str, target: str, headers: HeaderList, content_type: str, body: bytes,
        remote_address: str = "",
    ) -> ScoringRequest:  # fmt: skip
        request = cls(body)
        request.method, request.target, request.headers = method, target, headers
        request.content_type, request.remote_address = content_type, remote_address
        return request

    @property
    def query(self) -> str:
        """The query string as sent, without the question mark."""
        return self.target.partition("?")[2]


class Answer:
    """A complete result: a value, as JSON.

    One is made for each request. What is the same for all of them is read from the class.

    Parameters
    ----------
    body : the encoded result.
    run_ns : nanoseconds spent in ``run()``.
    """

    status: int = 200
    headers: HeaderList = ()
    content_type: str = "application/json"
    run_function_failed: bool = False
    own_response: bool = False

    def __init__(self, body: bytes, run_ns: int = 0) -> None:
        self.body = body
        self.run_ns = run_ns


class OwnAnswer(Answer):
    """A complete result that the script framed itself (AMLResponse, or Flask's response).

    Parameters
    ----------
    headers : what the script set itself; Content-Type comes in ``content_type``.
    run_function_failed : value for ``x-ms-run-function-failed``.
    """

    own_response = True

    def __init__(
        self, body: bytes, run_ns: int, *, status: int, headers: HeaderList, content_type: str,
        run_function_failed: bool,
    ) -> None:  # fmt: skip
        super().__init__(body, run_ns)
        self.status, self.headers = status, headers
        self.content_type, self.run_function_failed = content_type, run_function_failed


@dataclass
class Stream:
    """A result that is made while it is sent.

    Each chunk is sent as one HTTP chunk. An exception from ``chunks`` is the script's.
    """

    chunks: Iterator[bytes]
    status: int = 200
    headers: HeaderList = ()
    content_type: str = "application/json"
    run_ns: int = 0
    run_function_failed: bool = False
    own_response: bool = False


@dataclass
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


Outcome: TypeAlias = "Answer | Stream | Failure"

RUN_FAILED_MESSAGE = "An unexpected error occurred in scoring script. Check the logs for more info."
"""The text that every deployed client of the retired service expects when ``run()`` fails."""
