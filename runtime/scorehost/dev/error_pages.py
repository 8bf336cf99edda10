"""Debug mode's response to a request that failed: every detail, as JSON or as a page.

In production none of this is imported, and the client sees only what the contract says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from scorehost.dev.request_history import RequestHistory
from scorehost.dev.trusted_hosts import TrustedHosts
from scorehost.errors import NotReady, RequestError, WorkerLost
from scorehost.front.http.error_responses import ErrorResponses, client_message, failure_response
from scorehost.front.http.exchange import Exchange
from scorehost.front.http.responses import JSON, Response
from scorehost.front.http.routes import LONGEST_DECODED
from scorehost.wire.messages import Failure

DOCS: Final = "docs/debugging.md#a-request-that-fails"
_STYLE: Final = """
:root { color-scheme: light dark; }
body { font-family: sans-serif; line-height: 1.5; margin: 2rem auto; max-width: 60rem;
  padding: 0 1.25rem; }
pre, code { font-family: monospace; }
pre { background: #1b2631; border-radius: 4px; color: #e8eef4; overflow-x: auto;
  padding: .8rem 1rem; }
dt { font-weight: bold; margin-top: .8rem; }
dd { margin-left: 0; }
"""
HTML: Final = "text/html; charset=utf-8"
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"

_HINTS: Final = {
    True: "The log and /debug show the last stacks and the script's last output.",
    False: "The log shows the stacks at the deadline, which SCORING_TIMEOUT_MS sets.",
}


class DebugErrors(ErrorResponses):
    """What clients are told of errors in debug mode: every detail, if they are trusted.

    Parameters
    ----------
    script : name of the entry script.
    history : keeps what is known of an error with its request.
    hosts : tells which requests another site's page may have sent, to read what is answered.

    Attributes
    ----------
    last_death : returns why the last scoring process ended.
    add_details : adds to the state of a server that is not ready what this client may see of it.
    """

    def __init__(self, script: str, history: RequestHistory, hosts: TrustedHosts) -> None:
        self._script = script
        self._history = history
        self._hosts = hosts
        self.last_death: Callable[[], str] = str
        self.add_details: Callable[[Exchange, dict[str, Any]], None] = lambda *_: None

    def of_failure(self, exchange: Exchange, failure: Failure) -> Response:
        """Return everything that the worker told of the failure."""
        message = client_message(failure)
        body, content_type = self._written(exchange, message, failure.stage, failure.detail)
        return failure_response(failure, body, content_type)

    def of_error(self, exchange: Exchange, error: RequestError) -> Response:
        """Add details to a deadline, a death and a failed start; other errors are complete."""
        if isinstance(error, NotReady):
            document = error.document()
            self.add_details(exchange, document)
            body = orjson.dumps(document, default=str)
            return Response(error.status, body, JSON, error.headers())
        if not error.run_failed:
            return super().of_error(exchange, error)
        lost = isinstance(error, WorkerLost)
        detail = {
            "type": type(error).__name__,
            "message": self.last_death() if lost else str(error),
            "hint": _HINTS[lost],
        }
        self._history.script_failed(exchange, detail)
        body, content_type = self._written(exchange, str(error), "run", detail)
        return Response(error.status, body, content_type, failed=True)

    def _written(
        self, exchange: Exchange, message: str, stage: str, detail: Mapping[str, Any]
    ) -> tuple[bytes, str]:
        identity = exchange.request_id.decode("latin-1")
        if problem := self._hosts.problem(exchange):
            withheld = {"id": identity, "hint": f"The details are in the log only. {problem}"}
            return orjson.dumps({"message": message, "error": withheld}), JSON
        query = parse_qs(exchange.target.partition(b"?")[2][:LONGEST_DECODED].decode("latin-1"))
        frames = "all_frames" if query.get("frames") == ["all"] else "frames"
        error = {
            "id": identity,
            "stage": stage,
            "type": detail.get("type", ""),
            "message": detail.get("message", ""),
            "frames": detail.get(frames, []),
            "input": detail.get("input", {}),
            "hint": detail.get("hint", ""),
            "docs": DOCS,
        }
        if b"text/html" in exchange.known.get(b"accept", b"").lower():
            return as_page(error, self._script), HTML
        return orjson.dumps({"message": message, "error": error}, default=str), JSON


def as_page(error: Mapping[str, Any], script: str) -> bytes:
    """Write the structured error as a page that loads nothing."""
    rows = "".join(
        f"<dt>{escape(label)}</dt><dd>{content}</dd>"
        for label, content in (
            ("Stage", escape(error["stage"])),
            ("Input, by type and shape", _input(error["input"])),
            ("Hint", f"<pre>{escape(error['hint'])}</pre>" if error["hint"] else ""),
            ("Request", f"<code>{escape(error['id'])}</code>"),
        )
        if content
    )
    title = f"{error['type']}: {error['message']}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(script)}: {escape(error['type'])}</h1><p>{escape(error['message'])}</p>"
        f"{''.join(map(_frame, error['frames']))}<dl>{rows}</dl>"
        '<p><a href="debug">Debug page</a></p>'
        "</main></body></html>\n"
    ).encode()


def _frame(frame: Mapping[str, Any]) -> str:
    where = f"{frame['file']}:{frame['line']}"
    function = f" in {frame['function']}()" if frame["function"] else ""
    whose = f"  ({frame['whose']})" if "whose" in frame else ""
    return f"<pre>{escape(where + function + whose)}\n    {escape(frame['code'])}</pre>"


def _input(shapes: Mapping[str, Any]) -> str:
    if not shapes:
        return ""
    text = orjson.dumps(shapes, option=orjson.OPT_INDENT_2).decode()
    return f"<pre>{escape(text)}</pre>"
