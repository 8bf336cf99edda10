"""Every server that is compared: how it is started, and what has to be installed for it.

Each runs the same ``score.py`` with one worker, its own defaults, and no access log unless it
writes one by default. A peer's environment is made by ``environments.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from harness.payloads import WORKLOADS
from harness.servers import ServerSpec

BENCHMARKS = Path(__file__).resolve().parents[1]
APPS = BENCHMARKS / "peers" / "apps"
ENVIRONMENTS = BENCHMARKS / ".envs"

OURS_NAME = "scorehost"


def python_of(environment: str) -> Path:
    """The interpreter of a peer's environment."""
    return ENVIRONMENTS / environment / "bin" / "python"


def ours(script: str = "score.py", *options: str, source: Path | None = None) -> ServerSpec:
    """The server of this checkout, as ``scorehost serve`` starts it, or of another source tree."""
    python = Path(sys.executable)
    environ = {} if source is None else {"PYTHONPATH": str(source)}
    command = (str(python), "-m", "scorehost", "serve", script, "--port", "{port}", *options)
    packages = ("scorehost", "gunicorn", "httptools", "uvloop", "orjson", "numpy")
    return ServerSpec(OURS_NAME, OURS_NAME, command, WORKLOADS, python, packages, environ)


def baseline() -> ServerSpec:
    """A bare WSGI app on gunicorn's sync worker, both from this environment."""
    python = Path(sys.executable)
    command = (str(python), "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "bare_wsgi:app")
    environ = {"PYTHONPATH": f"{APPS}:{WORKLOADS}"}
    title = "bare WSGI on gunicorn sync"
    return ServerSpec("gunicorn", title, command, WORKLOADS, python, ("gunicorn",), environ)


def _peer(
    name: str, title: str, environment: str, packages: str, *command: str, **environ: str
) -> ServerSpec:
    python = python_of(environment)
    return ServerSpec(
        name=name,
        title=title,
        command=(str(python), *command),
        folder=WORKLOADS,
        python=python,
        packages=(*packages.split(), "numpy"),
        environ={"PYTHONPATH": f"{APPS}:{WORKLOADS}", **environ},
    )


def _azureml() -> ServerSpec:
    return _peer(
        "azureml-inference-server-http", "azureml-inference-server-http",
        "azureml-inference-server-http", "azureml-inference-server-http gunicorn flask",
        str(ENVIRONMENTS / "azureml-inference-server-http" / "bin" / "azmlinfsrv"),
        "--entry_script", "score.py", "--port", "{port}",
    )  # fmt: skip


def _granian() -> ServerSpec:
    return _peer(
        "granian", "bare WSGI on granian", "granian", "granian",
        "-m", "granian", "--interface", "wsgi", "--port", "{port}", "bare_wsgi:app",
    )  # fmt: skip


def _gunicorn(name: str, title: str, app: str) -> ServerSpec:
    return _peer(
        name, title, "gunicorn", "gunicorn flask",
        "-m", "gunicorn", "--bind", "127.0.0.1:{port}", app,
    )  # fmt: skip


def _bare_gunicorn() -> ServerSpec:
    return _gunicorn("gunicorn", "bare WSGI on gunicorn sync", "bare_wsgi:app")


def _flask() -> ServerSpec:
    return _gunicorn("flask", "Flask on gunicorn sync", "flask_app:app")


def _fastapi() -> ServerSpec:
    return _peer(
        "fastapi", "FastAPI on uvicorn", "fastapi", "fastapi uvicorn",
        "-m", "uvicorn", "--port", "{port}", "fastapi_app:app",
    )  # fmt: skip


def _litserve() -> ServerSpec:
    app = str(APPS / "litserve_app.py")
    return _peer("litserve", "LitServe", "litserve", "litserve uvicorn", app, "{port}")


def _bentoml() -> ServerSpec:
    return _peer(
        "bentoml", "BentoML", "bentoml", "bentoml uvicorn",
        "-m", "bentoml", "serve", "bentoml_app:Model",
        "--host", "127.0.0.1", "--port", "{port}", "--working-dir", str(APPS),
        BENTOML_DO_NOT_TRACK="True", BENTOML_HOME=str(ENVIRONMENTS / "bentoml" / "home"),
    )  # fmt: skip


PEERS: dict[str, Callable[[], ServerSpec]] = {
    "azureml-inference-server-http": _azureml,
    "granian": _granian,
    "gunicorn": _bare_gunicorn,
    "flask": _flask,
    "fastapi": _fastapi,
    "litserve": _litserve,
    "bentoml": _bentoml,
}

ENVIRONMENT_OF = {"flask": "gunicorn"}
"""The environment of a peer, where it is not called like the peer."""


def server(name: str) -> ServerSpec:
    """The server of this name, ours or a peer."""
    if name == OURS_NAME:
        return ours()
    if name not in PEERS:
        raise SystemExit(f"No server {name!r}. There are: {', '.join([OURS_NAME, *PEERS])}.")
    return PEERS[name]()
