"""Every error scorehost raises, in one drawn tree.

A message says what happened, what was found and what to do. Errors about a request carry
what HTTP needs of them: status, headers and document; ``front/http/error_responses.py`` alone turns
them into responses. Errors about the entry script carry the stage in which it failed;
``diagnosis/report.py`` alone turns them into a report. Only ``cli.py`` and ``worker/process.py``
end a process.

::

    ScorehostError
    ├── UsageError                  what was typed or set cannot be used; exit status 2
    │   ├── SettingError            a setting has a value that is not accepted
    │   └── MissingExtra            an optional feature's package is not installed
    ├── EngineError                 the container engine is not there, or refuses
    │   └── BuildFailed             a step of an image's build failed
    ├── EntryScriptError            the script failed before it could score; exit status 3
    │   ├── ScriptUnreadable        stage "read"
    │   ├── ScriptImportFailed      stage "import"
    │   ├── MissingFunction         stage "signature"
    │   ├── BadSignature            stage "signature"
    │   ├── ModelPathFailed         stage "model path"
    │   └── InitFailed              stage "init()"
    ├── ModelNotFound               a model name does not resolve (also raised to user code)
    ├── RequestError                one request cannot be served; carries its HTTP status
    │   ├── MalformedRequest        400 the bytes are not HTTP
    │   ├── UnusableBody            400 the body is not what run() takes
    │   │   └── UnusableParameter   400 one value in it is missing or does not fit
    │   ├── NoSuchRoute             404
    │   ├── MethodNotAllowed        405
    │   ├── SlowClient              408 headers or body did not arrive in time
    │   ├── BodyTooLarge            413
    │   ├── WrongContentType        415
    │   ├── HeadersTooLarge         431 headers, or an id among them
    │   ├── UnknownTransferCoding   501 the body is in a form that nobody here reads
    │   ├── RunFailed               500 run() raised
    │   ├── ResultNotEncodable      500 run() returned what JSON cannot hold
    │   ├── WorkerLost              500 the process died with this request inside
    │   ├── NotReady                503 no worker can score yet, or no longer
    │   ├── Overloaded              503 queue full, or waited too long
    │   └── DeadlineExceeded        504 SCORING_TIMEOUT_MS passed
    └── FrameError                  something else wrote to the socket of a worker
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


class ScorehostError(Exception):
    """Root of the tree."""


class UsageError(ScorehostError):
    """What the person typed or set cannot be used."""


class SettingError(UsageError):
    """A setting has a value that is not accepted.

    Parameters
    ----------
    name : the setting's name as the person wrote it (variable, flag or file key).
    value : what was found there.
    accepted : what would have been accepted, in words.
    """

    def __init__(self, name: str, value: object, accepted: str) -> None:
        super().__init__(f"{name} is {value!r}, which is not accepted. It takes {accepted}.")
        self.name, self.value = name, value


class MissingExtra(UsageError):
    """An optional feature needs a package that is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package}, which is not installed. "
            f"Install it with: pip install 'scorehost[{extra}]'"
        )


class EngineError(ScorehostError):
    """The container engine is not there, or refuses what it was asked.

    Parameters
    ----------
    message : what happened and what to do.
    output : what the engine said.
    """

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class BuildFailed(EngineError):
    """A step of an image's build failed; ``step`` is it, as the Dockerfile has it."""

    def __init__(self, message: str, output: str = "", *, step: str = "") -> None:
        super().__init__(message, output)
        self.step = step


class EntryScriptError(ScorehostError):
    """The script failed before it could score; ``stage`` says how far it came."""

    stage = "read"


class ScriptUnreadable(EntryScriptError):
    """The script is not there, or is not Python source that can be read."""

    stage = "read"


class ScriptImportFailed(EntryScriptError):
    """Importing the script raised; the cause is the user's own exception."""

    stage = "import"


class MissingFunction(EntryScriptError):
    """The script loaded but lacks a function the runtime calls."""

    stage = "signature"

    def __init__(self, path: Path, name: str, found: Sequence[str]) -> None:
        super().__init__(
            f"{path} does not define {name}(). "
            f"Functions found: {', '.join(found) or 'none'}. "
            f"Add 'def {name}(...)' or choose another entry script."
        )
        self.path, self.name, self.found = path, name, tuple(found)


class BadSignature(EntryScriptError):
    """``init`` or ``run`` cannot be called the way the runtime calls it."""

    stage = "signature"

    def __init__(self, function: str, found: str, problem: str, remedy: str) -> None:
        super().__init__(f"{function}{found}: {problem}. {remedy}.")
        self.function, self.found, self.problem = function, found, problem


class ModelPathFailed(EntryScriptError):
    """``init()`` asked for a model that does not resolve."""

    stage = "model path"


class InitFailed(EntryScriptError):
    """``init()`` raised; the cause is the user's own exception."""

    stage = "init()"


class ModelNotFound(ScorehostError):
    """A model name does not resolve to a path.

    Parameters
    ----------
    message : what happened, every place tried, what was found and what to do.
    tried : the places looked at, in order, each with what was found there.
    summary, advice, tree : what the message is made of, for those who show it in parts: one
        sentence, what to do, and a drawing of the models there are.
    """

    def __init__(
        self,
        message: str,
        tried: Sequence[str] = (),
        *,
        summary: str = "",
        advice: str = "",
        tree: str = "",
    ) -> None:
        super().__init__(message)
        self.tried = tuple(tried)
        self.summary, self.advice, self.tree = summary or message, advice, tree


class RequestError(ScorehostError):
    """One request cannot be served.

    Attributes
    ----------
    status : what HTTP calls it.
    run_failed : the value of ``x-ms-run-function-failed``: whether ``run()`` was called and did
        not come to an end.
    retry_after : seconds after which the client should try again; None when that would not help.
    is_refusal : the server has no room for the request now; such answers have a bounded pace.
    """

    status = 500
    run_failed = False
    is_refusal = False
    retry_after: float | None = None

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that belong to the error, as name and value pairs.

        ``Retry-After`` is in whole seconds, at least one (RFC 9110, 10.2.3).
        """
        if self.retry_after is None:
            return []
        return [("Retry-After", str(max(1, math.ceil(self.retry_after))))]

    def document(self) -> dict[str, Any]:
        """Return the body of the response, for JSON."""
        return {"message": str(self)}


class MalformedRequest(RequestError):
    """The bytes on the connection are not an HTTP request."""

    status = 400


class UnknownTransferCoding(RequestError):
    """The body comes in a transfer coding other than chunked (RFC 9112, 6.1)."""

    status = 501


class UnusableBody(RequestError):
    """The body, or a value in it, is not what ``run()`` takes."""

    status = 400


class UnusableParameter(UnusableBody):
    """A value that ``run()`` takes by name is missing, or has the wrong type or shape."""


class NoSuchRoute(RequestError):
    """Nothing is served under this path."""

    status = 404


class MethodNotAllowed(RequestError):
    """The route exists, but not for this method."""

    status = 405

    def __init__(self, message: str, allowed: Sequence[str]) -> None:
        super().__init__(message)
        self.allowed = tuple(allowed)

    def headers(self) -> list[tuple[str, str]]:
        """Return ``Allow``, which this status must have (RFC 9110, 15.5.6)."""
        return [("Allow", ", ".join(self.allowed)), *super().headers()]


class SlowClient(RequestError):
    """The rest of a request did not arrive in time."""

    status = 408


class BodyTooLarge(RequestError):
    """The body is over the limit."""

    status = 413


class WrongContentType(RequestError):
    """A decorated script takes JSON only."""

    status = 415


class HeadersTooLarge(RequestError):
    """The headers, or an id among them, are over the limit."""

    status = 431


class RunFailed(RequestError):
    """``run()`` raised; the cause is the user's own exception."""


class ResultNotEncodable(RequestError):
    """``run()`` returned a value that JSON cannot hold.

    Parameters
    ----------
    path : where in the value, as Python would write it: ``result[3].score``.
    problem : what is there and why it cannot be encoded.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path, self.problem = path, problem


class WorkerLost(RequestError):
    """The scoring process died while this request was inside it."""

    run_failed = True


class NotReady(RequestError):
    """No worker can score: not yet, or no longer.

    Parameters
    ----------
    message : why.
    retry_after : seconds until another attempt is worth while.
    state : the server's state, as the probes tell it.
    """

    status = 503
    is_refusal = True

    def __init__(
        self, message: str, retry_after: float | None = None, state: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self._state = state or {}

    def document(self) -> dict[str, Any]:
        """Return the message and the server's state."""
        return {"message": str(self), **self._state}


class Overloaded(RequestError):
    """The queue is full, or the request waited in it for too long.

    Parameters
    ----------
    message : what happened, with the limit and its setting.
    retry_after : seconds until there may be room again.
    numbers : the limit, the value and the setting, for the response's document.
    """

    status = 503
    is_refusal = True

    def __init__(self, message: str, retry_after: float, **numbers: Any) -> None:
        super().__init__(message)
        self.retry_after: float = retry_after
        self.numbers = numbers

    def document(self) -> dict[str, Any]:
        """Return the message and the numbers that explain it."""
        return {"message": str(self), **self.numbers}


class DeadlineExceeded(RequestError):
    """``SCORING_TIMEOUT_MS`` passed since a worker began the request."""

    status = 504
    run_failed = True

    def __init__(self, limit_ms: int) -> None:
        super().__init__(f"Scoring timeout after {limit_ms} ms")


class FrameError(ScorehostError):
    """What came through a socket is nothing that front and worker send each other.

    Something else wrote it: the script, or a native library in its process.
    """
