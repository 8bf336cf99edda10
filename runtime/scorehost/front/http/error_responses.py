"""Errors as responses: in production a client is told no more than the contract says."""

from __future__ import annotations

import orjson

from scorehost.errors import RequestError
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.responses import JSON, Response
from scorehost.wire.messages import RUN_FAILED_MESSAGE, Failure


class ErrorResponses:
    """What clients see of errors; debug mode uses a subclass that tells everything."""

    def of_error(self, exchange: Exchange, error: RequestError) -> Response:
        """Return the response to a request that the server cannot serve."""
        del exchange
        document = orjson.dumps(error.document(), default=str)
        return Response(error.status, document, JSON, error.headers(), failed=error.run_failed)

    def of_failure(self, exchange: Exchange, failure: Failure) -> Response:
        """Return the response to a request in which the script has failed."""
        del exchange
        return failure_response(failure, orjson.dumps({"message": client_message(failure)}), JSON)


def client_message(failure: Failure) -> str:
    """Return what a client may read of a failure, whatever went wrong."""
    return RUN_FAILED_MESSAGE if failure.stage == "encode" else failure.message


def failure_response(failure: Failure, body: bytes, content_type: str) -> Response:
    """Return the response to a failure, with this body."""
    run_ns = -1 if failure.run_ns is None else failure.run_ns
    failed = failure.stage in ("run", "encode")  # where the script itself has failed
    return Response(failure.status, body, content_type, run_ns=run_ns, failed=failed)
