"""The debugger, driven as an editor drives it: over a socket, with the protocol of VS Code."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from support.client import Address
from support.dap import DapClient
from support.processes import alive, all_processes
from support.server import LiveServer, StartServer, clean_environment, free_port
from support.wait import wait_until

SCRIPT = """\
import json

import helper


def init():
    global ready
    ready = True


def run(data):
    values = json.loads(data)
    total = helper.add(values)
    return {"total": total}
"""
HELPER = """\
def add(values):
    result = sum(values)
    return result
"""
IN_INIT, IN_RUN, IN_HELPER = 7, 13, 3

PTVSD = """\
import ptvsd
# Allows other computers to attach to ptvsd on this IP address and port.
ptvsd.enable_attach(address=('0.0.0.0', PORT), redirect_output = True)
# Wait 30 seconds for a debugger to attach. If none attaches, the script continues as normal.
ptvsd.wait_for_attach(timeout = 30)
print("Debugger attached...")
"""
DEBUGPY = """\
import debugpy
debugpy.listen(("0.0.0.0", PORT))
"""


def refuses(port: int) -> bool:
    """Nobody listens there; without a connection, which a debugger would take for its client."""
    return not listens_on(port)


def listens_on(port: int) -> list[str]:
    """The IPv4 addresses on which somebody listens at this port (proc(5), /proc/net/tcp)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return [
        socket.inet_ntoa(bytes.fromhex(fields[1].partition(":")[0])[::-1])
        for fields in map(str.split, lines)
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    ]


class Debugged:
    """A server, the port of its debugger, and requests that may stop at a breakpoint."""

    def __init__(self, start: StartServer, *arguments: str, **options: Any) -> None:
        self.port = options.pop("port", 0) or free_port()
        files = {"main.py": SCRIPT, "helper.py": HELPER} | options.pop("files", {})
        settings = {"SCOREHOST_DEBUG_PORT": str(self.port)} | options.pop("settings", {})
        self.server: LiveServer = start(
            "", files=files, settings=settings, arguments=arguments, **options
        )
        self.executor = ThreadPoolExecutor(8)

    def score(self, *values: int, timeout: float = 200.0) -> Future[Any]:
        return self.executor.submit(self.server.score, list(values), timeout=timeout)

    def file(self, name: str) -> Path:
        return self.server.folder / name

    def attach(self, **lines: int) -> DapClient:
        places = {self.file(f"{name}.py"): [line] for name, line in lines.items()}
        return DapClient(self.port).attach(places)

    def probe(self, target: str = "/readyz") -> dict[str, Any]:
        return self.server.get(target).json()


@pytest.fixture
def debugged(own_server: StartServer) -> Any:
    made: list[Debugged] = []

    def make(*arguments: str, **options: Any) -> Debugged:
        made.append(Debugged(own_server, *arguments, **options))
        return made[-1]

    yield make
    for each in made:
        each.executor.shutdown(wait=False, cancel_futures=True)


def stop_read_change(one: Debugged, client: DapClient) -> None:
    """Both breakpoints are hit on a real request, and a changed value reaches its client."""
    answer = one.score(1, 2)

    frame = client.stopped()
    assert (frame["name"], frame["line"]) == ("add", IN_HELPER)
    assert client.variables()["result"] == "3"
    client.set("result", "40")
    client.go_on()
    frame = client.stopped()
    assert (frame["name"], frame["line"]) == ("run", IN_RUN + 1)
    assert client.evaluate("total + 1") == "41"
    client.variables()
    client.set("total", "42")
    client.go_on()

    assert answer.result(30) == {"total": 42}


def test_breakpoints_in_run_and_in_a_sibling(debugged: Any):
    one = debugged("--debug")

    with one.attach(helper=IN_HELPER, main=IN_RUN + 1) as client:
        wait_until(lambda: one.probe()["debugger"]["attached"], what="attached")
        stop_read_change(one, client)
        one.server.wait_for_line("a debugger is attached: deadlines and queue limits are suspended")

    one.server.wait_for_line("the debugger has detached")
    assert one.score(1, 2).result(30) == {"total": 3}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [9.0, 90.0])
def test_nothing_dies_at_a_breakpoint(debugged: Any, seconds: float):
    """Longer than every limit, with others waiting; the probes answer and say why."""
    one = debugged(
        "--debug",
        settings={
            "WORKER_TIMEOUT": "30" if seconds > 30 else "5",
            "SCORING_TIMEOUT_MS": "5000",
            "SCOREHOST_MAX_QUEUE_LENGTH": "1",
            "SCOREHOST_MAX_QUEUE_WAIT_MS": "500",
        },
    )
    with one.attach(main=IN_RUN + 1) as client:
        answers = [one.score(1, 2)]
        client.stopped()
        answers += [one.score(number) for number in range(3)]
        until = time.monotonic() + seconds
        wait_until(lambda: one.probe()["queue"] == 3, what="three wait")
        assert one.probe("/readyz")["doing"] == "paused in the debugger"
        assert one.probe("/livez")["doing"] == "paused in the debugger"
        wait_until(lambda: time.monotonic() > until, timeout=seconds + 5)
        assert one.probe()["state"] == "ready"
        assert not any(answer.done() for answer in answers)

        client.ask("setBreakpoints", source={"path": str(one.file("main.py"))}, breakpoints=[])
        client.go_on()

        assert answers[0].result(30) == {"total": 3}
        assert [answer.result(30) for answer in answers[1:]] == [{"total": n} for n in range(3)]
        assert "doing" not in one.probe()
    assert not one.server.lines("killed")
    assert not one.server.lines("has passed in worker")


def test_limits_hold_again_when_the_client_has_left(debugged: Any):
    one = debugged(
        "--debug",
        settings={"SCORING_TIMEOUT_MS": "1000"},
        files={"main.py": SCRIPT.replace("total = ", "total = wait() or ")
               + "\n\ndef wait():\n    import time\n    time.sleep(60)\n"},
    )  # fmt: skip
    with one.attach():
        waiting = one.executor.submit(one.server.post, json=[1])
        one.server.wait_for_line("a debugger is attached")
    one.server.wait_for_line("the debugger has detached")

    assert waiting.result(20).status == 504


def test_stepping_and_exceptions(debugged: Any):
    one = debugged("--debug")
    client = DapClient(one.port).attach(
        {one.file("main.py"): [IN_RUN]}, ("uncaught", "userUnhandled")
    )
    with client:
        failing = one.executor.submit(one.server.post, json=[1, "a"])
        assert client.stopped()["line"] == IN_RUN
        client.ask("stepIn", threadId=client.thread)
        assert client.stopped()["name"] == "add"
        client.ask("stepOut", threadId=client.thread)
        client.stopped()
        while not failing.done():
            client.ask("continue", threadId=client.thread)
            try:
                failing.result(1)
            except TimeoutError:
                client.stopped()
    answer = failing.result(20)

    assert answer.status == 500
    assert answer.json()["error"]["type"] == "TypeError"


def test_waits_for_a_client_before_init(debugged: Any):
    """One that comes after 2 s stops at a breakpoint in init(), for longer than WORKER_TIMEOUT."""
    one = debugged(
        "--debug", "--debug-wait", "30", wait="listening", settings={"WORKER_TIMEOUT": "5"}
    )
    one.server.wait_for_line("waiting for a debugger")
    arrived = time.monotonic() + 2
    wait_until(lambda: time.monotonic() > arrived)

    with one.attach(main=IN_INIT + 1) as client:
        assert client.stopped()["name"] == "init"
        assert one.probe("/startupz")["doing"] == "paused in the debugger"
        later = time.monotonic() + 8
        wait_until(lambda: time.monotonic() > later)
        client.go_on()
        one.server.wait_ready()
    assert one.score(4).result(20) == {"total": 4}


@pytest.mark.parametrize("seconds", [2, 8])
def test_nobody_comes(debugged: Any, seconds: int):
    """It costs these seconds and nothing else, even with a WORKER_TIMEOUT that is shorter."""
    began = time.monotonic()
    one = debugged(
        "--debug", "--debug-wait", str(seconds), wait="listening", settings={"WORKER_TIMEOUT": "6"}
    )
    one.server.wait_for_line("waiting for a debugger")
    one.server.wait_ready(timeout=seconds + 30)

    assert time.monotonic() - began > seconds
    assert one.score(4).result(20) == {"total": 4}


def test_without_debug_mode_nothing_listens(debugged: Any):
    one = debugged()

    assert refuses(one.port)
    assert one.server.ports() == {one.server.address.port}
    assert [one.server.get(path).status for path in ("/debug", "/debug/state")] == [404, 404]
    assert one.server.post("/-/reload", body=b"").status == 404


def test_a_taken_port_is_named_and_the_server_serves(debugged: Any):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        one = debugged("--debug", port=taken.getsockname()[1])
        one.server.wait_for_line("The debugger cannot listen", "--debug-port")

    assert one.score(1).result(20) == {"total": 1}


def test_without_debugpy_it_is_said_how_to_add_it(debugged: Any, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['debugpy'] = None\n")
    one = debugged("--debug", settings={"PYTHONPATH": str(tmp_path)})

    one.server.wait_for_line("The debugger needs the package debugpy", "'scorehost[debug]'")
    assert one.score(1).result(20) == {"total": 1}
    assert refuses(one.port)


def test_a_reload_offers_the_new_process_on_the_same_port(debugged: Any):
    one = debugged("--debug")
    client = one.attach(main=IN_RUN + 1)
    one.file("main.py").write_text(SCRIPT.replace('"total"', '"sum"'))

    assert one.server.post("/-/reload", body=b"", timeout=60).status == 200
    assert client.event("terminated").get("restart"), "an editor attaches again by itself"
    client.close()
    with one.attach(main=IN_RUN + 1) as again:
        answer = one.score(5)
        again.stopped()
        again.go_on()
        assert answer.result(20) == {"sum": 5}


FOREIGN = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"Content-Length: 5\r\n\r\nhello",
    b"Content-Length: 2\r\n\r\n[]",
    b"Content-Length: 2\r\n\r\n{}",
    b'Content-Length: 33\r\n\r\n{"type":"request","command":"kill"}',
]


def test_what_is_no_client_does_the_debugger_no_harm(debugged: Any):
    """Browsers, scanners and probes come and go, each three times; an editor attaches after."""
    one = debugged("--debug")
    for sent in FOREIGN * 3:
        with socket.create_connection(("127.0.0.1", one.port), 20) as sock:
            sock.sendall(sent)
            assert sock.recv(100) == b""
    for _ in range(5):
        socket.create_connection(("127.0.0.1", one.port), 20).close()

    received = "the debugger's port received"
    wait_until(lambda: len(one.server.lines(received)) == 15, what="each was reported")
    with one.attach(main=IN_RUN + 1) as client:
        answer = one.score(5)
        client.stopped()
        client.go_on()
        assert answer.result(20) == {"total": 5}


A_REQUEST = b'Content-Length: 56\r\n\r\n{"seq": 1, "type": "request", "command": "initialize"}  '


def test_what_is_no_client_does_not_disturb_one_that_is_attached(debugged: Any):
    """A page's POST, silence, a byte now and then, a crowd; each ends, with a line in the log."""
    one = debugged("--debug")
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n"
    refused = [
        head + b"Content-Length: %d\r\n\r\n%b" % (len(A_REQUEST), A_REQUEST),
        head + A_REQUEST,
        b"Content-Length: 99999999999\r\n\r\n" + bytes(1 << 20),
        bytes(1 << 20),
    ]
    with one.attach(main=IN_RUN + 1) as client:
        answer = one.score(5)
        client.stopped()
        for sent in refused:
            with socket.create_connection(("127.0.0.1", one.port), 20) as sock:
                assert ended(sock, sent)
        silent = [socket.create_connection(("127.0.0.1", one.port), 20) for _ in range(20)]
        silent[-1].sendall(b"Content-Length: 60000\r\n\r\n{")
        silent[-2].sendall(b"GET / HTTP/1.1\r\n")
        assert all(ended(sock) for sock in silent)
        for sock in silent:
            sock.close()

        one.server.wait_for_line("the debugger's port received", "99999999999 bytes")
        line = "the debugger's port received no initialize request within 5 s"
        wait_until(lambda: len(one.server.lines(line)) == 16, what="each was reported")
        assert len(one.server.lines("connections without an initialize request")) == 4
        assert client.evaluate("total + 1") == "6"
        client.go_on()
        assert answer.result(20) == {"total": 5}
    with one.attach():
        wait_until(lambda: one.probe()["debugger"]["attached"], what="attached")


def ended(sock: socket.socket, sent: bytes = b"") -> bool:
    """The port ends the connection, without a word."""
    try:
        sock.sendall(sent)
        return sock.recv(100) == b""
    except (ConnectionResetError, BrokenPipeError):  # it did not read all that was sent
        return True


# -- where it listens -----------------------------------------------------------------------

OPEN = "Other machines can connect to the debugger"


@pytest.mark.parametrize(
    "looks", [{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"container": "podman"}, {}]
)
def test_it_is_for_this_machine_whatever_that_looks_like(debugged: Any, looks: dict[str, str]):
    one = debugged("--debug", settings=looks)

    one.server.wait_for_line(f"the debugger is listening on 127.0.0.1:{one.port}")
    assert listens_on(one.port) == ["127.0.0.1"]
    assert not one.server.lines(OPEN)


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_what_opens_it_to_others_is_said(debugged: Any, how: str):
    words = ["--debug-host", "0.0.0.0"] if how == "flag" else []
    one = debugged("--debug", *words, settings={} if words else {"SCOREHOST_DEBUG_HOST": "0.0.0.0"})

    one.server.wait_for_line(f"the debugger is listening on 0.0.0.0:{one.port}")
    said = one.server.wait_for_line(OPEN, "run any code as the server")
    assert "WARN" in said
    assert listens_on(one.port) == ["0.0.0.0"]
    launch = one.server.get("/debug/about", headers={"Host": "[2001:db8::7]:80"}).json()["launch"]
    connect = {"host": "2001:db8::7", "port": one.port}
    assert launch["configurations"][0]["connect"] == connect


def test_another_address_of_this_machine(debugged: Any):
    one = debugged("--debug", "--debug-host", "127.0.0.2")

    one.server.wait_for_line(f"the debugger is listening on 127.0.0.2:{one.port}")
    assert listens_on(one.port) == ["127.0.0.2"]
    assert not one.server.lines(OPEN)
    assert one.probe()["debugger"]["host"] == "127.0.0.2"
    launch = one.server.get("/debug/about").json()["launch"]["configurations"][0]
    assert launch["connect"] == {"host": "127.0.0.2", "port": one.port}


def test_an_address_of_another_machine(debugged: Any):
    """192.0.2.0/24 is for documentation (RFC 5737): nobody has it."""
    one = debugged("--debug", "--debug-host", "192.0.2.1")

    one.server.wait_for_line(
        f"The debugger cannot listen on 192.0.2.1:{one.port}",
        "Restart the server with --debug-host and an address of this machine.",
    )
    assert one.score(1).result(20) == {"total": 1}


def test_on_demand_it_is_said_to_whoever_opens_it(debugged: Any):
    one = debugged(settings={"SCOREHOST_DEBUG_ON_DEMAND": "1", "SCOREHOST_DEBUG_HOST": "0.0.0.0"})
    one.server.wait_ready()
    assert not one.server.lines(OPEN)

    opened = command(one, "open")

    assert opened.returncode == 0, opened
    assert OPEN in opened.stdout
    one.server.wait_for_line(OPEN)
    assert listens_on(one.port) == ["0.0.0.0"]
    command(one, "close")
    assert refuses(one.port)


def test_a_second_client_is_refused_while_one_is_attached(debugged: Any):
    one = debugged("--debug")
    with one.attach(main=IN_RUN + 1) as client:
        second = DapClient(one.port)
        with pytest.raises(AssertionError, match="Another client is attached"):
            second.ask("initialize", clientID="test", adapterID="debugpy")
        second.close()
        one.server.wait_for_line("the debugger already has a client")
        answer = one.score(5)
        client.stopped()
        client.go_on()
        assert answer.result(20) == {"total": 5}

    with one.attach():  # at once, as an editor that attaches again
        wait_until(lambda: one.probe()["debugger"]["attached"], what="attached")


def test_no_debugger_process_outlives_its_worker(debugged: Any):
    """Killed workers and stopped servers leave no adapter behind."""
    one = debugged("--debug")
    adapters = _adapters(one.server.folder)
    assert adapters

    one.server.stop()

    wait_until(lambda: not any(map(alive, adapters)), what=f"no process left of {adapters}")


def _adapters(folder: Path) -> list[int]:
    """debugpy's own processes that serve this app; they leave session and parent behind."""
    mark = f"AML_APP_ROOT={folder}".encode()
    return [
        process.pid
        for process in all_processes()
        if "debugpy/adapter" in process.command
        and mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    ]


# -- the script's own calls -----------------------------------------------------------------


SNIPPETS = {"ptvsd": PTVSD, "debugpy": DEBUGPY}


def with_snippet(name: str, port: int) -> str:
    return SNIPPETS[name].replace("PORT", str(port)) + SCRIPT


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_script_with_its_own_debugger_in_debug_mode(debugged: Any, name: str):
    """Its call is ignored, with a notice; the server's debugger is there."""
    port = free_port()
    offset = SNIPPETS[name].count("\n")
    one = debugged("--debug", port=port, files={"main.py": with_snippet(name, port)})
    one.server.wait_for_line(
        "the script's call to open a debugger was ignored", f"already listens on 127.0.0.1:{port}"
    )
    assert listens_on(port) == ["127.0.0.1"]

    with one.attach(helper=IN_HELPER, main=IN_RUN + 1 + offset) as client:
        answer = one.score(1, 2)
        assert client.stopped()["name"] == "add"
        client.variables()
        client.set("result", "40")
        client.go_on()
        assert client.stopped()["line"] == IN_RUN + 1 + offset
        client.go_on()
        assert answer.result(20) == {"total": 40}


# Real ptvsd imports modules that Python 3.12 no longer has: there is nothing to skip there.
OLD_PYTHON = sys.version_info < (3, 12)


@pytest.fixture(params=[*(["ptvsd"] if OLD_PYTHON else []), "stand-in", "debugpy"])
def snippet(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A snippet, and the environment in which ptvsd is itself, or scorehost's stand-in."""
    if request.param == "debugpy":
        return "debugpy", {}
    if request.param == "ptvsd":
        pytest.importorskip("ptvsd")
        return "ptvsd", {"REAL": "1"}
    return "ptvsd", {}


HIDE_PTVSD = """\
import sys
class NotInstalled:
    def find_spec(name, path=None, target=None):
        if name != "ptvsd":
            return None
        names = [getattr(each, "__name__", "") for each in sys.meta_path]
        last = sys.meta_path[names.index("ScorehostStandIns")]
        return last.find_spec(name, path, target)
places = [index for index, each in enumerate(sys.meta_path) if "PathFinder" in repr(each)]
sys.meta_path.insert(places[0], NotInstalled)
"""


@pytest.mark.parametrize("workers", [1, 3])
def test_a_script_with_its_own_debugger_outside_debug_mode(
    debugged: Any, snippet: tuple[str, dict[str, str]], workers: int
):
    """Its call does what it says; one worker gets the port, and nothing dies while stopped."""
    name, mark = snippet
    port = free_port()
    source = with_snippet(name, port)
    if name == "ptvsd" and not mark:
        source = HIDE_PTVSD + source
    # It takes its time, so that several requests at once reach every worker.
    source = source.replace("    values =", "    import time\n    time.sleep(0.3)\n    values =")
    offset = source.count("\n") - SCRIPT.count("\n")
    one = debugged(
        "--workers", str(workers), port=port, files={"main.py": source},
        settings={"SCORING_TIMEOUT_MS": "2000"}, wait="listening",
    )  # fmt: skip
    wait_until(lambda: not refuses(port), timeout=30, what="the script's debugger listens")
    assert listens_on(port) == ["0.0.0.0"], "where it listens is the script's business"
    assert not one.server.lines(OPEN)
    with one.attach(main=IN_RUN + 1 + offset) as client:
        one.server.wait_ready(timeout=60)
        if workers > 1:
            wait_until(lambda: one.probe()["workers"]["ready"] == workers, timeout=60)
            notices = one.server.lines("is already in use, most likely by another worker")
            assert len(notices) == workers - 1
        answers = []
        stopped = threading.Event()
        waiter = threading.Thread(target=lambda: (client.stopped(), stopped.set()), daemon=True)
        waiter.start()
        while not stopped.is_set():  # the one with the debugger is reached sooner or later
            answers += [one.score(1, 2) for _ in range(workers)]
            stopped.wait(1.0)
        waiter.join()
        until = time.monotonic() + 4
        wait_until(lambda: time.monotonic() > until)
        client.variables()
        client.set("total", "42")
        client.ask("setBreakpoints", source={"path": str(one.file("main.py"))}, breakpoints=[])
        client.go_on()
        assert {"total": 42} in [answer.result(30) for answer in answers]
    assert not one.server.lines("has passed in worker")


# -- on demand ------------------------------------------------------------------------------


SHARES_ITS_LOADER = """
import importlib.util, sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent / "both.zip"))
importlib.util.find_spec("debugpy")  # a script may look before it imports
import debugpy, other
def init():
    pass
def run(data):
    return [other.value, debugpy.listen.__module__, type(debugpy.__loader__).__name__]
"""


def test_a_debugger_that_shares_its_loader(debugged: Any):
    """A zip file has one loader for all its modules: only the debugger is adapted."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as both:
        both.writestr("debugpy.py", "listen = wait_for_client = is_client_connected = print")
        both.writestr("other.py", "value = 7")
    one = debugged(files={"main.py": SHARES_ITS_LOADER, "both.zip": packed.getvalue()})

    assert one.score(1).result(20) == [7, "scorehost.dev.script_debuggers", "zipimporter"]


def command(one: Debugged, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scorehost", "debug", *words,
         "--port", str(one.server.address.port)],
        env=clean_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_on_demand_without_a_restart(debugged: Any):
    one = debugged(settings={"SCOREHOST_DEBUG_ON_DEMAND": "1"})
    worker = one.server.wait_for_line("ready to score")
    assert refuses(one.port)

    opened = command(one, "open")
    assert (opened.returncode, str(one.port) in opened.stdout) == (0, True), opened
    with one.attach(helper=IN_HELPER, main=IN_RUN + 1) as client:
        stop_read_change(one, client)
    closed = command(one, "close")

    assert closed.returncode == 0, closed
    assert refuses(one.port)
    assert one.score(1).result(20) == {"total": 1}
    assert one.server.lines("ready to score") == [worker]


def test_on_demand_a_taken_port_can_be_freed(debugged: Any):
    """The server runs already, so advice on how to start it would not help by itself."""
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one = debugged(settings={"SCOREHOST_DEBUG_ON_DEMAND": "1"}, port=port)
        one.server.wait_ready()
        refused = command(one, "open")
    opened = command(one, "open")

    assert refused.returncode != 0
    assert "Free that port, or restart the server with another --debug-port." in refused.stderr
    assert opened.returncode == 0, opened


def test_on_demand_only_where_it_is_allowed(debugged: Any):
    one = debugged()

    refused = command(one, "open")

    assert refused.returncode == 2
    assert "SCOREHOST_DEBUG_ON_DEMAND=1" in refused.stderr
    assert refuses(one.port)


def test_on_demand_reaches_a_worker_that_hangs(debugged: Any):
    source = SCRIPT.replace("total = helper.add(values)", "total = loop(values)")
    source += "\n\ndef loop(values):\n    while values:\n        pass\n    return 7\n"
    one = debugged(settings={"SCOREHOST_DEBUG_ON_DEMAND": "1"}, files={"main.py": source})
    hanging = one.score(1)
    wait_until(lambda: one.probe()["workers"]["busy"] == 1)

    assert command(one, "open").returncode == 0
    with one.attach() as client:
        client.ask("pause", threadId=client.ask("threads")["threads"][0]["id"])
        client.stopped()
        frame = next(each for each in client.frames if each["name"] == "loop")
        client.evaluate("values.clear()", frame)
        client.go_on()
        assert hanging.result(20) == {"total": 7}


def test_on_demand_after_another_front_has_come(debugged: Any):
    """A name of the kernel's leaves with the process that had it, however that ended."""
    one = debugged(settings={"SCOREHOST_DEBUG_ON_DEMAND": "1"})
    (front,) = [each.pid for each in all_processes() if each.parent == one.server.pid]
    os.kill(front, signal.SIGKILL)
    wait_until(lambda: len(one.server.lines("ready to score")) == 2, what="another front")

    asked = command(one, "status")

    assert (asked.returncode, asked.stdout) == (0, "No debugger is listening.\n"), asked


@pytest.mark.parametrize("user", [os.getuid(), *([65534] if os.getuid() == 0 else [])])
def test_on_demand_where_somebody_took_the_name_first(debugged: Any, user: int):
    """The server says who has it and serves; the command believes its own user and root only."""
    port = free_port()
    with socket.socket(socket.AF_UNIX) as taken:
        os.seteuid(user)
        try:
            taken.bind(f"\0scorehost-{os.getuid()}-{port}")
            taken.listen()
        finally:
            os.seteuid(os.getuid())
        one = debugged(settings={"SCOREHOST_DEBUG_ON_DEMAND": "1"}, address=Address(port=port))
        who = f"process {os.getpid()} of user {user} uses the socket"
        one.server.wait_for_line("will not be able to reach this server", who)
        if user == os.getuid():
            taken.shutdown(socket.SHUT_RDWR)
        asked = command(one, "open")

    assert asked.returncode == 2, asked
    assert (who in asked.stderr) == (user != os.getuid())
    assert "Traceback" not in asked.stderr
    assert one.score(1).result(20) == {"total": 1}
