"""One request through the entry script: decode, invoke, encode.

Plain values in, plain values out: no sockets, no environment. Every request ends in exactly
one outcome; the only exception that leaves a pipeline is :class:`Interrupted`.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from scorehost.entry_script import EntryScript
from scorehost.scoring.decoding import decoder
from scorehost.scoring.encoding import ORDINARY, Encoder
from scorehost.scoring.failure import failure_of
from scorehost.scoring.interrupted import Interrupted, was_interrupted
from scorehost.scoring.invocation import invocation
from scorehost.scoring.streaming import stream
from scorehost.wire.messages import Answer, Failure, Outcome, ScoringRequest, Stream


class Pipeline:
    """Scores requests with one entry script.

    Parameters
    ----------
    script : loaded, and ``init()`` done.
    nan : what NaN and infinity become: "null", "literal" or "error".
    explain : debug mode: tell everything about a failure.

    Attributes
    ----------
    score : answers one request, in every case. It is one of two functions, chosen before a
        request begins, so that scripts without Flask pay nothing for Flask.
    """

    def __init__(self, script: EntryScript, *, nan: str = "null", explain: bool = False) -> None:
        self._script = script
        self._explained_for = script.path if explain else None
        self._decode = decoder(script)
        self._invoke = invocation(script)
        self._encode = Encoder(nan).encode
        self.score: Callable[[ScoringRequest], Outcome] = self._score
        if may_use_flask(script):
            self._use_flask()

    def _score(self, request: ScoringRequest) -> Outcome:
        stage, arguments, run_ns = "decode", None, None
        try:
            arguments = self._decode(request)
            stage = "run"
            result, run_ns = self._invoke(arguments)
            stage = "encode"
            if type(result) in ORDINARY:  # neither a stream nor a response
                return Answer(self._encode(result), run_ns=run_ns)
            return self._answer(result, run_ns)
        except Interrupted:
            raise
        except BaseException as error:  # even sys.exit() ends only its request
            return self._failure(error, stage, arguments, run_ns)

    def _failure(
        self,
        error: BaseException,
        stage: str,
        arguments: dict[str, Any] | None = None,
        run_ns: int | None = None,
    ) -> Failure:
        if was_interrupted(error):
            raise Interrupted from error
        self._notice_flask()
        root, explained_for = self._script.app_root, self._explained_for
        return failure_of(error, stage, root, arguments, run_ns, explained_for=explained_for)

    def _answer(self, result: Any, run_ns: int) -> Answer | Stream:
        """Answer with a result that may be more than a value."""
        if result is None:
            return Answer(b"{}", run_ns=run_ns)
        if isinstance(result, GeneratorType):
            return stream(result, self._encode, run_ns)
        if isinstance(result, AsyncGeneratorType):
            return stream(self._script.loop.iterate(result), self._encode, run_ns)
        if _is_response(result):
            from scorehost.scoring.flask_side import outcome_of

            self._notice_flask()
            return outcome_of(result, self._encode, run_ns)
        return Answer(self._encode(result), run_ns=run_ns)

    # -- Flask --------------------------------------------------------------------------------

    def _notice_flask(self) -> None:
        """Use Flask from now on if a library has imported it inside ``run()``."""
        if self.score == self._score and hasattr(sys.modules.get("flask"), "Flask"):
            self._use_flask()

    def _use_flask(self) -> None:
        """Score in a context of Flask's, from the next request on."""
        try:
            from scorehost.scoring.flask_side import in_context
        except ImportError:
            if self._script.style == "raw":
                raise
            return  # the script only looks whether there is a Flask

        score = in_context(self._score)

        def score_in_flask(request: ScoringRequest) -> Outcome:
            try:
                return score(request)
            except Interrupted:
                raise
            except BaseException as error:  # a teardown function of the script's
                return self._failure(error, "run")

        self.score = score_in_flask


def may_use_flask(script: EntryScript) -> bool:
    """Whether Flask is there, or the script may import it later, perhaps inside ``run()``.

    A line with both words counts as an import: ``importlib.import_module("flask")`` is one too.
    A needless guess costs each request some time; a missed import, the first request's context.
    """
    if script.style == "raw" or "flask" in sys.modules:
        return True
    lines = linecache.getlines(str(script.path))
    return any("flask" in line and "import" in line for line in lines)


def _is_response(result: Any) -> bool:
    """Whether a result is a response of Flask or Werkzeug, which then has been imported."""
    werkzeug = sys.modules.get("werkzeug.wrappers")
    return werkzeug is not None and isinstance(result, werkzeug.Response)
