"""A request that fails is kept, the script mended, and the request asked again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.dap import DapClient
from support.server import LiveServer, StartServer, clean_environment, free_port
from support.wait import wait_until

BROKEN = """\
import json


def init():
    pass


def run(data):
    values = json.loads(data)
    return {"mean": sum(values) / len(values)}
"""
FIXED = BROKEN.replace("sum(values) / len(values)", "sum(values) / max(1, len(values))")
SECRET = "Bearer t0p-s3cr3t"


def scorehost(
    server: LiveServer, *words: str, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scorehost", *words], cwd=server.folder, text=True, timeout=timeout,
        env=clean_environment({"AML_APP_ROOT": str(server.folder)}), capture_output=True,
    )  # fmt: skip


def records(server: LiveServer, count: int) -> list[Path]:
    folder = server.folder / ".scorehost" / "requests"
    wait_until(lambda: len(list(folder.glob("*.json"))) >= count, what=f"{count} recorded")
    return sorted(folder.glob("*.json"))


def serve(start: StartServer, which: str, source: str = BROKEN) -> LiveServer:
    return start("", files={"main.py": source}, settings={"SCOREHOST_RECORD": which})


def test_recorded_mended_replayed(own_server: StartServer):
    server = serve(own_server, "errors")
    server.score([1, 2])
    failed = server.post(
        json=[], headers={"Authorization": SECRET, "X-Api-Key": "k3y", "X-Team": "blue"}
    )
    assert failed.status == 500
    (file,) = records(server, 1)
    identity = failed.header("x-request-id") or ""

    kept = json.loads(file.read_text())
    assert (kept["id"], kept["body"], kept["outcome"]["status"]) == (identity, "[]", 500)
    assert kept["error"]["type"] == "ZeroDivisionError"
    headers = {name.lower(): value for name, value in kept["headers"]}
    assert (headers["authorization"], headers["x-api-key"]) == ("***", "***")
    assert headers["x-team"] == "blue"
    assert "t0p-s3cr3t" not in file.read_text()
    assert "k3y" not in file.read_text()

    before = scorehost(server, "replay", identity)
    assert (before.returncode, before.stdout.split()[0]) == (0, "same"), before
    (server.folder / "main.py").write_text(FIXED)
    after = scorehost(server, "replay", identity)
    assert (after.returncode, after.stdout.split()[0]) == (0, "fixed"), after
    assert "500 ZeroDivisionError -> 200" in after.stdout
    assert scorehost(server, "replay", str(file)).stdout.startswith("fixed")


def test_a_set_is_a_regression_test(own_server: StartServer):
    server = serve(own_server, "all")
    for values in ([1, 2], [4], []):
        server.post(json=values)
    server.get("/readyz")
    records(server, 3)

    assert scorehost(server, "replay", "--all").stdout.endswith("3 requests: 3 same\n")
    (server.folder / "main.py").write_text(BROKEN.replace("sum(values)", "values[1]"))
    worse = scorehost(server, "replay", "--all")

    assert worse.returncode == 3
    verdicts = [line.split()[0] for line in worse.stdout.splitlines() if " POST " in line]
    assert verdicts == ["CHANGED", "BROKEN", "CHANGED"]
    assert "main.py:10" in worse.stdout
    data = json.loads(scorehost(server, "replay", "--all", "--json").stdout)
    assert [each["verdict"] for each in data] == ["changed", "broken", "changed"]


def test_production_records_nothing(own_server: StartServer):
    server = own_server("", files={"main.py": BROKEN})
    server.post(json=[])
    server.stop()

    assert not (server.folder / ".scorehost").exists()


def test_large_and_binary_bodies(own_server: StartServer):
    source = (
        "from scorehost.api import rawhttp\n\ndef init():\n    pass\n\n@rawhttp\n"
        "def run(request):\n    body = request.get_data()\n"
        "    return {'bytes': len(body), 'x': request.headers['X-A']}\n"
    )
    server = serve(own_server, "all", source)
    body = bytes(range(256)) * 1000

    answer = server.post(body=body, headers={"X-A": "a", "Content-Type": "application/x-thing"})
    records(server, 1)

    assert answer.json() == {"bytes": 256_000, "x": "a"}
    assert scorehost(server, "replay", "--all").stdout.endswith("1 request: 1 same\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "Name a request's id"),
        (["replay", "unknown"], "No recorded request unknown"),
        (["replay", "--all"], "No recorded request"),
    ],
)
def test_nothing_to_replay(own_server: StartServer, words: list[str], said: str):
    server = own_server("", files={"main.py": BROKEN})

    done = scorehost(server, *words)

    assert (done.returncode, said in done.stderr) == (2, True), done


def test_a_script_that_does_not_start(own_server: StartServer):
    server = serve(own_server, "all")
    server.score([1])
    records(server, 1)
    (server.folder / "main.py").write_text("import nowhere_to_be_found\n")

    done = scorehost(server, "replay", "--all")

    assert done.returncode == 3
    assert "nowhere_to_be_found" in done.stderr


def test_under_a_debugger(own_server: StartServer):
    server = serve(own_server, "errors")
    server.post(json=[])
    records(server, 1)
    port = free_port()
    process: Any = subprocess.Popen(
        [sys.executable, "-m", "scorehost", "replay", "--all", "--debugger",
         "--debug-port", str(port)],
        cwd=server.folder, env=clean_environment({"AML_APP_ROOT": str(server.folder)}), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said = process.stderr.readline()
        while "Waiting for an editor" not in said:
            said = process.stderr.readline()
        with DapClient(port).attach({server.folder / "main.py": [10]}) as client:
            assert client.stopped()["name"] == "run"
            client.evaluate("values.append(7)")
            client.go_on()
            told = [process.stdout.readline(), process.stdout.readline()]
        assert told[1] == "1 request: 1 fixed\n"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", ["check", "replay"])
@pytest.mark.parametrize(
    "snippet",
    [
        "import ptvsd\nptvsd.enable_attach(address=('0.0.0.0', 5678), redirect_output=True)\n"
        "ptvsd.wait_for_attach(timeout=30)\n",
        "import debugpy\ndebugpy.listen(('0.0.0.0', 5678))\ndebugpy.wait_for_client()\n",
    ],
    ids=["ptvsd", "debugpy"],
)
def test_no_editor_is_waited_for_where_nobody_serves(
    own_server: StartServer, command: str, snippet: str
):
    """A script that opens a debugger can be checked in CI, and replayed, without one."""
    server = serve(own_server, "all")
    server.score([1])
    records(server, 1)
    (server.folder / "main.py").write_text(snippet + BROKEN)

    done = scorehost(server, command, *(["--all"] if command == "replay" else []), timeout=25)

    assert done.returncode == 0, done
