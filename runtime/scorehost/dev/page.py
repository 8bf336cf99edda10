"""``/debug``: what the server and its last requests are doing, for whoever works on the script.

The page asks for its state once a second and draws what has changed. Everything it shows is
made here as data; nothing comes from another host. It exists in debug mode only.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from scorehost.dev.places import attach_configuration
from scorehost.dev.recording import as_bytes, compare
from scorehost.dev.request_history import RequestHistory
from scorehost.front.status import Status
from scorehost.front.workers.pool import Pool
from scorehost.model_path import MODELS_FOLDER
from scorehost.model_tree import tree
from scorehost.settings import MASK, Settings, declarations

if TYPE_CHECKING:
    from flask import Flask

_FILES: Final = Path(__file__).parent / "files"
_TREE_LINES: Final = 60
_LONGEST_IN_CURL: Final = 4096


@dataclass(frozen=True)
class DebugContext:
    """What the debug page shows, and what its buttons do. All of it is called on the pages' thread.

    Parameters
    ----------
    settings : those of the server.
    pool, status, history : the workers, the state of the server, the last requests.
    report : tells of the last failed start or reload, framed.
    reload : starts new workers.
    replay : scores one of the last requests again.
    sources : tells where each setting came from.
    reload_note : tells how files are watched, "" when they are not.
    in_container : whether the server runs in a container.
    """

    settings: Settings
    pool: Pool
    status: Status
    history: RequestHistory
    report: Callable[[], str]
    reload: Callable[[], None]
    replay: Callable[[Mapping[str, Any]], None]
    sources: Callable[[], Mapping[str, object]]
    reload_note: Callable[[], str]
    in_container: bool


class DebugPage:
    """The page and its data.

    Parameters
    ----------
    context : what is shown, and what can be done.
    """

    def __init__(self, context: DebugContext) -> None:
        self._context = context

    def add(self, app: Flask) -> None:
        from flask import Response, abort, request, send_file

        context = self._context

        def answer(document: Any, status: int = 200) -> Response:
            body = orjson.dumps(document, default=str)  # in the order in which it is written here
            return Response(body, status, mimetype="application/json")

        @app.get("/debug")
        def debug() -> Response:
            return send_file(_FILES / "debug.html", mimetype="text/html", max_age=0)

        @app.get("/debug/files/<name>")
        def debug_file(name: str) -> Response:
            if name not in {"debug.css", "debug.js"}:
                abort(404, f"Nothing is served under {request.path}.")
            return send_file(_FILES / name, max_age=0)

        @app.get("/debug/state")
        def debug_state() -> Response:
            return answer(self.state())

        @app.get("/debug/about")
        def debug_about() -> Response:
            return answer(self.about())

        @app.get("/debug/requests/<int:number>")
        def debug_request(number: int) -> Response:
            return answer(self.request(self._found(number), request.host))

        @app.post("/debug/requests/<int:number>/replay")
        def debug_replay(number: int) -> Response:
            document = self._found(number)
            if document.get("left_out"):
                abort(409, f"The body of request {number} is too large to be kept here.")
            context.replay(document)
            return answer({"message": "On its way."}, 202)

        @app.post("/debug/reload")
        def debug_reload() -> Response:
            context.reload()
            return answer({"message": "Reloading."}, 202)

    def _found(self, number: int) -> dict[str, Any]:
        from flask import abort

        document = self._context.history.find(number)
        if document is None:
            abort(404, f"Request {number} is no longer kept.")
        return document

    # -- data ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes from second to second."""
        context = self._context
        return {
            "script": context.settings.script.name,
            "status": context.status.document(),
            "report": context.report(),
            "reload": context.reload_note(),
            "generation": context.pool.lifecycle.generation,
            "workers": [
                {
                    "index": worker.index,
                    "pid": worker.pid,
                    "generation": worker.member.generation,
                    "state": worker.member.state,
                    "stage": worker.stage,
                    "memory_mib": round(worker.memory() / (1 << 20), 1),
                    "scored": worker.scored,
                }
                for worker in list(context.pool.workers)
            ],
            "last_death": context.pool.last_death,
            "requests": [self.summary(each) for each in reversed(list(context.history.last))],
        }

    def summary(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """One line of the list of requests."""
        outcome = document["outcome"]
        return {
            "number": document["number"],
            "id": document["id"],
            "time": document["time"],
            "method": document["method"],
            "target": document["target"],
            "status": outcome["status"],
            "error": document["error"].get("type") or outcome["error"],
            "run_ms": document["run_ms"],
            "total_ms": document["total_ms"],
            "replay_of": document["replay_of"],
            "verdict": self._verdict(document),
        }

    def _verdict(self, document: Mapping[str, Any]) -> str:
        original = self._context.history.find(document["replay_of"] or 0)
        return compare(original["outcome"], document["outcome"]) if original else ""

    def request(self, document: Mapping[str, Any], host: str) -> dict[str, Any]:
        return {**document, "verdict": self._verdict(document), "curl": as_curl(document, host)}

    def about(self) -> dict[str, Any]:
        """What stays the same while the server runs."""
        settings = self._context.settings
        sources = self._context.sources()
        container = self._context.in_container
        return {
            "settings": [
                {
                    "variable": item.variable,
                    "value": MASK if item.secret and value else item.show(value),
                    "source": str(sources.get(name, "")),
                    "section": item.section,
                }
                for name, item in declarations().items()
                for value in [getattr(settings, name)]
            ],
            "models": tree(settings.root / MODELS_FOLDER, _TREE_LINES),
            "launch": {
                "version": "0.2.0",
                "configurations": [
                    attach_configuration(settings, container=container, workspace=settings.root)
                ],
            },
        }


def as_curl(document: Mapping[str, Any], host: str) -> str:
    """The request as a command that people can paste into a shell."""
    words = ["curl", "-X", document["method"], f"http://{host}{document['target']}"]
    for name, value in document["headers"]:
        if name.lower() in {"host", "content-length", "connection", "accept-encoding"}:
            continue
        words += ["-H", f"{name}: {value}"]
    body = as_bytes(document["body"])
    if document.get("left_out"):
        words += ["--data-binary", "@body"]
    elif body and len(body) <= _LONGEST_IN_CURL and isinstance(document["body"], str):
        words += ["--data-raw", document["body"]]
    elif body:
        words += ["--data-binary", "@body"]
    return " ".join(map(shlex.quote, words))
