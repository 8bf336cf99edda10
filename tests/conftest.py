"""Fixtures: real servers, shared where tests allow it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from support.server import LiveServer, StartServer

# Examples run against real servers: their time is the machine's, not the property's.
hypothesis_settings.register_profile(
    "server", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
hypothesis_settings.load_profile("server")

# Where a shell started the tests in the background, what they start would ignore a Ctrl-C too.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["support.nothing_skipped"]

# A file runs in one process. What takes longest begins first, so that nobody waits for it alone.
LONGEST = (
    "images/test_hardened.py",
    "live/test_debugger.py",
    "images/test_build.py",
    "docs/test_documents_run.py",
    "live/test_plain_asyncio.py",
)

_logs = pytest.StashKey[list[LiveServer]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


def pytest_sessionfinish() -> None:
    """Save what ``make coverage`` has measured: xdist kills a process that is slow to end."""
    coverage = sys.modules.get("coverage")
    if coverage is not None and (current := coverage.Coverage.current()) is not None:
        current.save()


@pytest.fixture(scope="module")
def live_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartServer]:
    """Serve a script; the tests of a module that ask for the same share one server.

    For tests that leave the server as they found it. It takes what ``LiveServer.serve``
    takes, and ``ready=False`` not to wait for the first worker.
    """
    running: dict[Any, LiveServer] = {}
    request.node.stash[_logs] = []

    def start(script: str, *, ready: bool = True, **options: Any) -> LiveServer:
        key = (script, _frozen(options))
        if key not in running:
            running[key] = _serve(tmp_path_factory.mktemp("shared"), script, options)
            request.node.stash[_logs].append(running[key])
        return running[key].wait_ready() if ready else running[key].wait_listening()

    yield start
    _stop_all(list(running.values()))


@pytest.fixture
def own_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartServer]:
    """Serve a script for one test alone, which may end or break it.

    Takes what ``LiveServer.serve`` takes; ``wait`` is "ready", "listening" or "" for not at
    all. A server that still runs when the test ends is stopped and held to status 0.
    """
    started: list[LiveServer] = []
    request.node.stash[_logs] = started

    def start(script: str = "", *, wait: str = "ready", **options: Any) -> LiveServer:
        server = _serve(tmp_path_factory.mktemp("own"), script, options)
        started.append(server)
        if wait == "ready":
            return server.wait_ready()
        return server.wait_listening() if wait == "listening" else server

    yield start
    _stop_all([server for server in started if server.process.poll() is None])
    for server in started:
        server.kill()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the servers said when a test fails."""
    outcome: Any = yield
    report = outcome.get_result()
    if not report.failed:
        return
    module = item.getparent(pytest.Module)
    for node in (item, module):
        for server in node.stash.get(_logs, []) if node is not None else []:
            report.sections.append((f"log of {' '.join(server.command[3:])}", server.log[-6000:]))


def _serve(folder: Path, script: str, options: Mapping[str, Any]) -> LiveServer:
    return LiveServer.serve(folder / "app", script, **options)


def _stop_all(servers: list[LiveServer]) -> None:
    """Stop every one of them, whatever the others do."""
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.check_stopped)


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple(sorted((key, _frozen(item)) for key, item in value.items()))
    return tuple(value) if isinstance(value, list) else value
