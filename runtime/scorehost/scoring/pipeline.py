"""One request through the entry script: decode, invoke, encode.

Plain values in, plain values out: no sockets, no environment. Every request ends in exactly
one outcome; the only thing that passes through is :class:`Interrupted`.
"""

from __future__ import annotations

import linecache
import sys
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from scorehost.entry_script import EntryScript
from scorehost.scoring.decoding import decoder
from scorehost.scoring.encoding import Encoder
from scorehost.scoring.failure import failure_of
from scorehost.scoring.interrupted import Interrupted, was_interrupted
from scorehost.scoring.invocation import invocation
from scorehost.scoring.streaming import stream
from scorehost.wire.messages import Answer, Failure, Outcome, ScoringRequest, Stream

_ORDINARY: Final = frozenset({dict, list, str, int, float, bool, tuple})
"""Types of results that are neither a stream nor a response, known without looking further."""


class Pipeline:
    """Scores requests with one entry script.

    Parameters
    ----------
    script : loaded, and ``init()`` done.
    nan : what NaN and infinity become: "null", "literal" or "error".
    explain : debug mode: tell everything of a failure.
    """

    def __init__(self, script: EntryScript, *, nan: str = "null", explain: bool = False) -> None:
        self._script = script
        self._explained_for = script.path if explain else None
        self._decode = decoder(script)
        self._invoke = invocation(script)
        self._encode = Encoder(nan).encode
        self._knows_flask = False
        if uses_flask(script):
            self._use_flask()

    def score(self, request: ScoringRequest) -> Answer | Stream | Failure:
        """Answer one request, in every case."""
        stage, arguments, run_ns = "decode", None, None
        try:
            arguments = self._decode(request)
            stage = "run"
            result, run_ns = self._invoke(arguments)
            stage = "encode"
            if type(result) in _ORDINARY:
                return Answer(self._encode(result), run_ns=run_ns)
            return self._answer(result, run_ns)
        except Interrupted:
            raise
        except BaseException as error:  # sys.exit() too fails only its request
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
        return failure_of(
            error,
            stage,
            self._script.app_root,
            arguments,
            run_ns,
            explained_for=self._explained_for,
        )

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
        """From the next request on, serve a library that imported Flask inside ``run()``."""
        if not self._knows_flask and hasattr(sys.modules.get("flask"), "Flask"):
            self._use_flask()

    def _use_flask(self) -> None:
        from scorehost.scoring.flask_side import in_context

        self._knows_flask = True
        score = in_context(self.score)

        def score_in_flask(request: ScoringRequest) -> Outcome:
            try:
                return score(request)
            except Interrupted:
                raise
            except BaseException as error:  # a teardown of the script's
                return self._failure(error, "run")

        # Put before the method, so that scripts without Flask pay nothing for it.
        self.score = score_in_flask  # type: ignore[method-assign]


def uses_flask(script: EntryScript) -> bool:
    """Whether Flask is there, or the script imports it later, perhaps inside ``run()``."""
    if script.style == "raw" or "flask" in sys.modules:
        return True
    lines = linecache.getlines(str(script.path))
    return any("flask" in line and "import" in line for line in lines)


def _is_response(result: Any) -> bool:
    """Whether it is Flask's (or plain Werkzeug's) response: only if the script imported it."""
    werkzeug = sys.modules.get("werkzeug.wrappers")
    return werkzeug is not None and isinstance(result, werkzeug.Response)
