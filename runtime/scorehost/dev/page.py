"""``/debug``: the state of the server and its last requests, for whoever works on the script.

The page asks for its state once a second and draws what has changed. Everything it shows is
made here as data; nothing comes from another host. It exists in debug mode only.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from scorehost.dev.live_reload import LiveReload
from scorehost.dev.places import attach_configuration
from scorehost.dev.recording import as_bytes, compare
from scorehost.dev.replaying import replay
from scorehost.dev.request_history import RequestHistory
from scorehost.dev.trusted_hosts import host_of
from scorehost.front.features import Parts
from scorehost.model_path import MODELS_FOLDER
from scorehost.model_tree import tree
from scorehost.settings import MASK, Settings, declarations

if TYPE_CHECKING:
    from flask import Flask

_FILES: Final = Path(__file__).parent / "files"
_TREE_LINES: Final = 60
_LONGEST_IN_CURL: Final = 4096
_SUMMARY: Final = ("number", "id", "time", "method", "target", "run_ms", "total_ms", "replay_of")


@dataclass(frozen=True)
class DebugPage:
    """The page and its data. All of it is called on the pages' thread.

    Parameters
    ----------
    settings, parts, history, reload : the server's settings, its parts, and two of its features.
    sources : returns where each setting came from.
    """

    settings: Settings
    parts: Parts
    history: RequestHistory
    reload: LiveReload
    sources: Callable[[], Mapping[str, object]]

    def add(self, app: Flask) -> None:
        from flask import Response, abort, request, send_file

        parts = self.parts

        def answer(document: Any, status: int = 200) -> Response:
            body = orjson.dumps(document, default=str)  # in the order in which it is written here
            return Response(body, status, mimetype="application/json")

        @app.get("/debug")
        def debug() -> Response:
            return send_file(_FILES / "debug.html", mimetype="text/html", max_age=0)

        @app.get("/debug/files/<name>")
        def debug_file(name: str) -> Response:
            if name not in {"debug.css", "debug.js"}:
                abort(404, f"There is nothing at {request.path}.")
            return send_file(_FILES / name, max_age=0)

        @app.get("/debug/state")
        def debug_state() -> Response:
            return answer(self.state())

        @app.get("/debug/about")
        def debug_about() -> Response:
            return answer(self.about(request.host))

        @app.get("/debug/requests/<int:number>")
        def debug_request(number: int) -> Response:
            return answer(self.request(self._found(number), request.host))

        @app.post("/debug/requests/<int:number>/replay")
        def debug_replay(number: int) -> Response:
            document = self._found(number)
            if document.get("left_out"):
                abort(409, f"Request {number} cannot be replayed: its body was too large to keep.")
            parts.from_thread(replay, parts.context, document)
            return answer({"message": "The request is being replayed."}, 202)

        @app.post("/debug/reload")
        def debug_reload() -> Response:
            parts.from_thread(partial(parts.pool.reload, anew=True))
            return answer({"message": "The script is being reloaded."}, 202)

    def _found(self, number: int) -> dict[str, Any]:
        from flask import abort

        document = self.history.find(number)
        if document is None:
            abort(404, f"Request {number} is no longer in the list of the last requests.")
        return document

    # -- data ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that changes from second to second."""
        pool = self.parts.pool
        return {
            "script": self.settings.script.name,
            "status": self.parts.status.document(),
            "report": self.reload.report(),
            "reload": self.reload.note,
            "generation": pool.lifecycle.generation,
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
                for worker in list(pool.workers)
            ],
            "last_death": pool.last_death,
            "requests": [self.summary(each) for each in reversed(list(self.history.last))],
        }

    def summary(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """One line of the list of requests."""
        outcome = document["outcome"]
        return {
            **{name: document[name] for name in _SUMMARY},
            "status": outcome["status"],
            "error": document["error"].get("type") or outcome["error"],
            "verdict": self._verdict(document),
        }

    def _verdict(self, document: Mapping[str, Any]) -> str:
        original = self.history.find(document["replay_of"] or 0)
        return compare(original["outcome"], document["outcome"]) if original else ""

    def request(self, document: Mapping[str, Any], host: str) -> dict[str, Any]:
        return {**document, "verdict": self._verdict(document), "curl": as_curl(document, host)}

    def about(self, host: str) -> dict[str, Any]:
        """What stays the same while the server runs; ``host`` is how the browser reaches it."""
        settings, sources = self.settings, self.sources()
        launch = attach_configuration(
            settings,
            container=False,
            workspace=settings.root,
            reached_as=host_of(host).strip("[]") or "localhost",
        )
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
            "launch": {"version": "0.2.0", "configurations": [launch]},
        }


def as_curl(document: Mapping[str, Any], host: str) -> str:
    """The request as a command to paste into a shell."""
    words = ["curl", "-X", document["method"], f"http://{host}{document['target']}"]
    for name, value in document["headers"]:
        if name.lower() in {"host", "content-length", "connection", "accept-encoding"}:
            continue
        words += ["-H", f"{name}: {value}"]
    body = as_bytes(document["body"])
    if body and len(body) <= _LONGEST_IN_CURL and isinstance(document["body"], str):
        words += ["--data-raw", document["body"]]
    elif body or document.get("left_out"):
        words += ["--data-binary", "@body"]
    return " ".join(map(shlex.quote, words))
