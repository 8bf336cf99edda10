"""WORKER_PRELOAD: one ``init()``, forked workers, and when forking would break them."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from harness import processes as memory
from harness.steady import SteadyLoad
from support.processes import alive, look_at, tree
from support.server import LiveServer, StartServer
from support.wait import wait_until

THREE = {"WORKER_PRELOAD": "true", "WORKER_COUNT": "3"}

HOOKED = """
import os, json
from pathlib import Path
HERE = Path(__file__).parent
{imports}
def init():
    (HERE / f'init.{{os.getpid()}}').touch()
    {init}
def run(data):
    return {{'pid': os.getpid(), 'value': eval(json.loads(data))}}
"""


def script(init: str = "pass", imports: str = "") -> str:
    """A script with these lines in it, which evaluates what it is sent."""
    return HOOKED.format(init=init, imports=imports)


def serve(own_server: StartServer, source: str, **options: object) -> LiveServer:
    server = own_server(files={"main.py": source}, settings=THREE | dict(options))
    wait_until(lambda: _ready(server) == 3, what="all three serve")
    return server


def inits(server: LiveServer) -> list[int]:
    """The processes that ran ``init()``."""
    return [int(file.suffix[1:]) for file in server.folder.glob("init.*")]


def forked(server: LiveServer) -> list[int]:
    """The workers that were forked."""
    loaders = set(inits(server))
    return [each.pid for each in tree(server.pid) if each.parent in loaders]


def test_init_runs_once_for_all_workers(own_server: StartServer) -> None:
    server = serve(own_server, script())

    assert len(inits(server)) == 1
    assert len(forked(server)) == 3
    assert server.score("1 + 1")["pid"] in forked(server)


@pytest.mark.parametrize(
    ("why", "init"),
    [
        ("threads were started", "threading.Thread(target=threading.Event().wait).start()"),
        ("CUDA was initialised", "sys.modules['torch'] = Torch"),
    ],
)
def test_what_would_break_the_children_is_said_and_not_forked(
    own_server: StartServer, why: str, init: str
) -> None:
    """Each worker runs ``init()`` itself then, and the loader goes."""
    imports = (
        "import sys, threading\nclass Torch:\n    class cuda:\n"
        "        is_initialized = staticmethod(lambda: True)"
    )
    server = serve(own_server, script(init, imports))

    assert why in server.wait_for_line("the workers are not forked")
    assert forked(server) == []
    wait_until(lambda: len([pid for pid in inits(server) if alive(pid)]) == 3, what="three run")
    server.send_signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 3 new workers")
    assert server.score("1")["value"] == 1


def test_a_thread_of_native_code_is_seen_too(own_server: StartServer) -> None:
    """No Python thread, and yet one that a child would not have."""
    imports = "import ctypes\nlibc = ctypes.CDLL(None)\nkept = []"
    init = (
        "main = ctypes.cast(libc.pause, ctypes.c_void_p); thread = ctypes.c_ulong(); "
        "libc.pthread_create(ctypes.byref(thread), None, main, None)"
    )
    server = serve(own_server, script(init, imports))

    assert "1 native thread" in server.wait_for_line("the workers are not forked")


def test_threads_that_have_ended_are_no_hindrance(own_server: StartServer) -> None:
    init = "t = threading.Thread(target=int); t.start(); t.join()"
    server = serve(own_server, script(init, "import threading"))

    assert server.lines("not forked") == []
    assert len(forked(server)) == 3


def test_output_of_init_is_written_once(own_server: StartServer) -> None:
    """What Python or C still held back when the workers were forked is not theirs to write."""
    init = "print('half a line', end=''); libc.printf(b'from C')"
    server = serve(own_server, script(init, "import ctypes\nlibc = ctypes.CDLL(None)"))

    for _ in range(6):
        server.score("print('from run')")
    server.stop()

    assert server.log.count("half a line") == 1
    assert server.log.count("from C") == 1


def test_a_child_that_ends_at_once_is_noticed(own_server: StartServer) -> None:
    """Even before the loader has said that it was forked."""
    imports = "os.register_at_fork(after_in_child=lambda: (HERE / 'die').exists() and os._exit(9))"
    server = serve(own_server, script(imports=imports))
    server.make("die")
    killed = forked(server)[0]

    os.kill(killed, signal.SIGKILL)
    server.wait_for_line("status 9")
    (server.folder / "die").unlink()

    wait_until(lambda: _ready(server) == 3, what="all three serve again")
    assert len(inits(server)) == 1


def test_a_fork_that_is_refused_is_tried_again(own_server: StartServer) -> None:
    imports = """
fork = os.fork
def refused():
    if (HERE / 'full').exists():
        raise BlockingIOError(11, 'Resource temporarily unavailable')
    return fork()
os.fork = refused"""
    server = serve(own_server, script(imports=imports))
    server.make("full")

    os.kill(forked(server)[0], signal.SIGKILL)
    server.wait_for_line("could not fork", "temporarily unavailable")
    assert server.score("1")["value"] == 1
    (server.folder / "full").unlink()

    wait_until(lambda: _ready(server) == 3, what="all three serve again")


def test_a_killed_loader_is_started_anew(own_server: StartServer) -> None:
    server = serve(own_server, script())
    [loader] = inits(server)
    children = forked(server)

    os.kill(loader, signal.SIGKILL)

    wait_until(lambda: not any(alive(pid) for pid in children), what="its children end with it")
    wait_until(lambda: _ready(server) == 3, what="all three serve again")
    assert len(inits(server)) == 2
    assert server.lines("the next one starts") == []  # one end, not four


def test_a_reload_runs_init_again_in_a_new_loader(own_server: StartServer) -> None:
    server = serve(own_server, script())
    [first] = inits(server)

    server.send_signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 3 new workers")

    wait_until(lambda: not alive(first), what="the old loader ends after its children")
    assert len(inits(server)) == 2
    assert len(forked(server)) == 3


def test_a_reload_that_fails_leaves_the_old_loader_to_fork_from(own_server: StartServer) -> None:
    server = serve(own_server, script())
    [first] = inits(server)
    good = (server.folder / "main.py").read_text()
    (server.folder / "main.py").write_text("raise ValueError('broken')")
    server.send_signal(signal.SIGHUP)
    server.wait_for_line("the reload failed")

    os.kill(forked(server)[0], signal.SIGKILL)

    wait_until(lambda: _ready(server) == 3, what="another is forked from the old loader")
    assert inits(server) == [first]
    (server.folder / "main.py").write_text(good)
    server.send_signal(signal.SIGHUP)
    server.wait_for_line("reloaded: 3 new workers")
    wait_until(lambda: not alive(first), what="the old loader has ended")


def test_workers_are_recycled_from_the_same_loader(own_server: StartServer) -> None:
    server = serve(own_server, script(), SCOREHOST_MAX_REQUESTS="3")
    seen: set[int] = set()

    def six() -> bool:
        seen.add(server.score("1")["pid"])
        return len(seen) >= 6

    wait_until(six, what="six different workers")
    assert len(inits(server)) == 1


def test_a_scripts_own_handler_for_ended_children_is_kept(own_server: StartServer) -> None:
    """The loader needs the signal for itself; its workers have the script's again."""
    imports = "import signal\ndef mine(*_): pass"
    server = serve(own_server, script("signal.signal(signal.SIGCHLD, mine)", imports))

    assert server.score("signal.getsignal(signal.SIGCHLD) is mine")["value"] is True


def test_the_garbage_collector_leaves_the_model_alone(own_server: StartServer) -> None:
    """What was there at the fork is frozen: a collection would write to every page of it."""
    server = serve(own_server, script(imports="import gc"))

    assert server.score("gc.get_freeze_count()")["value"] > 1000


def test_a_stop_ends_loader_and_workers(own_server: StartServer) -> None:
    server = serve(own_server, script())
    everything = inits(server) + forked(server)

    assert server.stop() == 0

    assert [pid for pid in everything if alive(pid)] == []


def test_a_stop_while_workers_are_forked_ends_everything(own_server: StartServer) -> None:
    """Told to end before anybody knew whom to tell."""
    imports = "import time\nos.register_at_fork(before=lambda: time.sleep(0.3))"
    server = own_server(files={"main.py": script(imports=imports)}, settings=THREE)
    assert _ready(server) < 3

    assert server.stop() == 0


MODEL = """
import json, numpy
model = []
def init():
    for number in range(30):
        model.append(numpy.full(10 * 2**20 // 8, float(number)))
def run(data):
    return float(model[json.loads(data) % 30][7])
"""


def test_four_workers_share_a_model_of_300_mb(own_server: StartServer) -> None:
    """The whole tree holds at most 1.3 times what it holds with one, also after load."""
    held = {}
    for count in (1, 4):
        settings = THREE | {"WORKER_COUNT": str(count)}
        server = own_server(files={"main.py": MODEL}, settings=settings)
        wait_until(lambda s=server, n=count: _ready(s) == n, what="all serve")
        held[count, "before"] = memory.pss(memory.tree(server.pid))
        with SteadyLoad(_connector(server), b"7", kept=8, fresh=0) as clients:
            clients.answers(10_000, limit=60)
        held[count, "after"] = memory.pss(memory.tree(server.pid))
        assert set(clients.tally.answered) == {200}
        server.check_stopped()

    shown = {key: value >> 20 for key, value in held.items()}
    assert held[1, "before"] > 300 << 20, shown
    assert held[4, "before"] <= 1.3 * held[1, "before"], shown
    assert held[4, "after"] <= 1.3 * held[1, "after"], shown


def _connector(server: LiveServer):
    def connect() -> socket.socket:
        return server.address.open(2.0)

    return connect


def _ready(server: LiveServer) -> int:
    ready: int = server.get("/readyz").json()["workers"]["ready"]
    return ready


def test_a_worker_is_in_a_session_of_its_own(own_server: StartServer) -> None:
    """A Ctrl-C is the server's to handle, not the script's."""
    server = serve(own_server, script())

    for pid in forked(server):
        process = look_at(pid)
        assert process is not None
        assert process.session == pid
