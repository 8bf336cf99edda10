"""One request through the entry script: decode, invoke, encode.

Plain values in, plain values out: no sockets, no environment. Every request ends in exactly
one outcome; the only thing that passes through is :class:`Interrupted`.
"""

from __future__ import annotations

import traceback

from scorehost.entry_script import EntryScript
from scorehost.errors import RequestError
from scorehost.messages import RUN_FAILED_MESSAGE, Answer, Failure, Outcome, ScoringRequest
from scorehost.scoring.decoding import decoder
from scorehost.scoring.encoding import Encoder
from scorehost.scoring.invocation import Interrupted, invocation


class Pipeline:
    """Scores requests with one entry script.

    Parameters
    ----------
    script : loaded, and ``init()`` done.
    nan : what NaN and infinity become: "null", "literal" or "error".
    """

    def __init__(self, script: EntryScript, *, nan: str = "null") -> None:
        self._decode = decoder(script)
        self._invoke = invocation(script)
        self._encode = Encoder(nan).encode

    def score(self, request: ScoringRequest) -> Outcome:
        """Answer one request, in every case."""
        stage, run_ns = "decode", None
        try:
            arguments = self._decode(request)
            stage = "run"
            result, run_ns = self._invoke(arguments)
            stage = "encode"
            return Answer(self._encode(result), run_ns=run_ns)
        except Interrupted:
            raise
        except BaseException as error:  # noqa: BLE001 - sys.exit() too fails only its request
            return self._failure(error, stage, run_ns)

    def _failure(self, error: BaseException, stage: str, run_ns: int | None) -> Failure:
        name = type(error).__name__
        if stage == "decode" and isinstance(error, RequestError):
            return Failure(error.status, stage, str(error), str(error), name)
        log = "".join(traceback.format_exception(error))
        return Failure(500, stage, RUN_FAILED_MESSAGE, log, name, run_ns)
