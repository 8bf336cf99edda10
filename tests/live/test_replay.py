"""A request that fails is kept, the script mended, and the request asked again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from scorehost.dev.recording import LARGEST_ANSWER
from scorehost.wire.answers import LARGE
from scorehost.wire.requests import MEMORY_FILE_FROM
from support.client import ConnectionEnded
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
ALL = {"SCOREHOST_RECORD": "all"}
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


SIZED = """\
import json


def init():
    pass


def run(data):
    return "x" * json.loads(data)["answer"]
"""
SIZES = [
    *(LARGEST_ANSWER + more for more in (-3, -2, -1, 0)),
    *(LARGE + more for more in (-3, -2, -1, 0)),
    2_000_000,
]
"""Of results; in JSON they have two bytes more, their quotes."""


def test_answers_on_both_sides_of_every_threshold(own_server: StartServer):
    """Each is recorded with its size, and compared to the last byte."""
    server = serve(own_server, "all", SIZED)
    for size in SIZES:
        assert len(server.score({"answer": size})) == size
    files = records(server, len(SIZES))
    kept = [json.loads(file.read_text()) for file in files]
    assert [each["outcome"]["bytes"] for each in kept] == [size + 2 for size in SIZES]
    assert not any(each["streamed"] for each in kept)

    same = scorehost(server, "replay", "--all")
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, f"{len(SIZES)} requests: "
                                                              f"{len(SIZES)} same")  # fmt: skip

    (server.folder / "main.py").write_text(
        SIZED.replace('return "x" * json.loads(data)["answer"]',
                      'return "x" * (json.loads(data)["answer"] - 1) + "y"')
    )  # fmt: skip
    other = scorehost(server, "replay", "--all")
    (*_, total) = other.stdout.splitlines()
    assert total == f"{len(SIZES)} requests: {len(SIZES)} changed; --json shows what has changed"

    (server.folder / "main.py").write_text(
        SIZED.replace('json.loads(data)["answer"]', '(json.loads(data)["answer"] - 7)')
    )
    shorter = scorehost(server, "replay", "--all")
    assert shorter.returncode == 3
    lines = [line for line in shorter.stdout.splitlines() if line.startswith("CHANGED")]
    assert len(lines) == len(SIZES)
    assert lines[-1].endswith("200 (2,000,002 bytes) -> 200 (1,999,995 bytes)")


@pytest.mark.parametrize("limit", ["memory file", "quarter of the record"])
def test_requests_on_both_sides_of_a_threshold(own_server: StartServer, limit: str):
    """A body is recorded whole up to a quarter of all that is kept, and not at all beyond that."""
    space = 8 << 20
    edge = MEMORY_FILE_FROM if limit == "memory file" else space // 4
    settings = {"SCOREHOST_RECORD": "all", "SCOREHOST_RECORD_BYTES": str(space)}
    server = own_server("", files={"main.py": SIZED}, settings=settings)
    # The whole record must fit: JSON doubles quotation marks, and there are headers besides.
    sizes = [edge - 1, edge, edge + 1] if limit == "memory file" else [edge - 2000, edge + 1]
    for size in sizes:
        body = json.dumps({"answer": 1, "pad": ""})
        body = body.replace('""', '"' + "p" * (size - len(body)) + '"')
        assert len(body) == size
        assert server.post(body=body.encode()).json() == "x"
    server.stop()

    bodies = [len(json.loads(file.read_text())["body"]) for file in records(server, 1)]
    assert bodies == [size for size in sizes if size <= edge or limit == "memory file"]
    assert scorehost(server, "replay", "--all").stdout.endswith(f"{len(bodies)} same\n")


@pytest.mark.parametrize("size", [2 << 20, 20 << 20])
def test_the_debug_page_shows_requests_with_large_bodies(own_server: StartServer, size: int):
    """Their line, without the body, and so without a replay there; the record has up to 16 MiB."""
    source = BROKEN.replace("values = json.loads(data)", "values = [len(data)]")
    server = own_server("", files={"main.py": source},
                        settings=ALL | {"SCOREHOST_DEBUG": "1",
                                        "SCOREHOST_DEBUG_PORT": str(free_port())})  # fmt: skip
    server.post("/score?pwd=s3cr3t", body=b" " * size)

    (line,) = server.get("/debug/state").json()["requests"]
    assert (line["status"], line["target"]) == (200, "/score?pwd=***")
    shown = server.get(f"/debug/requests/{line['number']}").json()
    assert (shown["body"], shown["left_out"]) == ("", size)
    assert "--data-binary @body" in shown["curl"]
    refused = server.post(f"/debug/requests/{line['number']}/replay", body=b"")
    assert (refused.status, "too large" in refused.text) == (409, True)
    if size < 16 << 20:
        (file,) = records(server, 1)
        assert scorehost(server, "replay", str(file)).stdout.startswith("same")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["replay"], "Give a request id"),
        (["replay", "unknown"], "No recorded request unknown was found"),
        (["replay", "--all"], "does not exist. A server records"),
    ],
)
def test_nothing_to_replay(own_server: StartServer, words: list[str], said: str):
    server = own_server("", files={"main.py": BROKEN})

    done = scorehost(server, *words)

    assert (done.returncode, said in done.stderr) == (2, True), done


def test_the_script_is_the_one_that_was_recorded(own_server: StartServer, tmp_path: Path):
    """As every document shows it: neither command names what the other would not guess."""
    server = own_server("", files={"src/score.py": BROKEN, "main.py": "1 / 0\n"},
                        arguments=["src/score.py"], settings=ALL)  # fmt: skip
    server.score([1])
    (file,) = records(server, 1)

    assert json.loads(file.read_text())["script"] == "src/score.py"
    assert scorehost(server, "replay", "--all").stdout.endswith("1 request: 1 same\n")
    named = scorehost(server, "replay", "--all", "--entry-script", "main.py")
    assert (named.returncode, "ZeroDivisionError" in named.stderr) == (3, True), named


HARD = """\
import json
import os
import time


def init():
    print("init")


def run(data):
    what = json.loads(data)
    if what == "ends":
        os._exit(7)
    if what == "crashes":
        os.abort()
    if what == "sleeps":
        time.sleep(60)
    if what == "loops":
        while True:
            pass
    if what == "swallows":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    if what == "cut":
        return cut()
    return what


def cut():
    yield "first"
    raise KeyError("second")
"""
WHAT = ["fine", "ends", "crashes", "sleeps", "loops", "swallows", "cut"]
LIMITS = {"SCORING_TIMEOUT_MS": "1000", "SCOREHOST_INTERRUPT_GRACE": "1"}


def test_no_request_takes_the_others_down(own_server: StartServer):
    """Each ends as it did in the server, and the next one is asked."""
    server = own_server("", files={"main.py": HARD}, settings=LIMITS | ALL)
    for what in WHAT:
        server.wait_ready()
        with pytest.raises(ConnectionEnded) if what == "cut" else nullcontext():
            server.post(json=what)
    folder = records(server, len(WHAT))[0].parent

    same = scorehost(server, "replay", "--all", *limits())
    assert (same.returncode, same.stdout.splitlines()[-1]) == (0, "7 requests: 7 same"), same
    assert "init" not in same.stdout, "what the script prints is no result"
    assert "init" in same.stderr

    (server.folder / "main.py").write_text(HARD.replace("what = json.loads(data)", "return 1"))
    mended = scorehost(server, "replay", "--all", *limits())
    assert mended.stdout.splitlines()[-1] == (
        "7 requests: 6 fixed, 1 changed; --json shows what has changed"
    ), mended

    (server.folder / "main.py").write_text(
        HARD.replace("what = json.loads(data)", f"what = {WHAT[1:] + WHAT[:1]!r}[number()]")
        + "\n\ndef number():\n    with open('asked', 'a+') as file:\n        file.write('x')\n"
        "        return file.tell() - 1\n"
    )
    worse = scorehost(server, "replay", "--all", "--json", *limits())
    assert worse.returncode == 3, worse
    told = [(each["verdict"], each["after"]["error"]) for each in json.loads(worse.stdout)]
    assert told == [
        ("broken", "WorkerLost"), ("same", "WorkerLost"), ("changed", "DeadlineExceeded"),
        ("same", "DeadlineExceeded"), ("same", "DeadlineExceeded"), ("changed", "stream"),
        ("fixed", ""),
    ]  # fmt: skip
    errors = [each["error"] for each in json.loads(worse.stdout)]
    assert "status 7" in errors[0]["message"]
    assert errors[2]["frames"][-1]["code"] == "time.sleep(60)"
    assert "did not stop" in errors[4]["message"]
    assert (errors[5]["type"], errors[5]["frames"][-1]["function"]) == ("KeyError", "cut")
    assert folder.is_dir()


def limits() -> list[str]:
    return ["--scoring-timeout-ms", "1000", "--interrupt-grace", "1"]


def test_a_damaged_record_is_told_and_the_others_are_asked(own_server: StartServer):
    server = serve(own_server, "all")
    server.score([1])
    (file,) = records(server, 1)
    (file.parent / "20200101-000000-000001-x.json").write_text('{"format": 1, "headers": [["x"]]}')

    done = scorehost(server, "replay", "--all")

    assert done.returncode == 3, "it was not asked, so nothing is known of it"
    assert done.stdout.endswith("1 request: 1 same\n")
    assert "20200101-000000-000001-x.json is a recorded request, but it is damaged" in done.stderr


# -- records that somebody sent -------------------------------------------------------------

RAN = "from pathlib import Path\nPath(__file__ + '.ran').touch()\n" + BROKEN


def sent(server: LiveServer, **changes: Any) -> Path:
    """A copy of the record there is, with other values in it."""
    (file,) = records(server, 1)
    copy = file.with_name("20200101-000000-000001-sent.json")
    copy.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return copy


@pytest.mark.parametrize(
    "script",
    ["{outside}", "../outside.py", "sub/../../outside.py", "link.py", "folder/outside.py"],
)
def test_a_record_cannot_have_a_script_run_that_lies_elsewhere(
    own_server: StartServer, script: str
):
    """Nothing of it is imported, the other requests are asked, and naming it runs it."""
    server = serve(own_server, "all")
    server.score([1])
    outside = server.folder.parent / "outside.py"
    outside.write_text(RAN)
    (server.folder / "sub").mkdir()
    (server.folder / "link.py").symlink_to(outside)
    (server.folder / "folder").symlink_to(outside.parent)
    ran = Path(f"{outside}.ran")
    file = sent(server, script=script.format(outside=outside))

    done = scorehost(server, "replay", "--all")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "1 request: 1 same"), done
    assert f"{file} was not replayed" in done.stderr
    assert f"{script.format(outside=outside)!r}, is outside the app root" in done.stderr
    assert "name it with --entry-script FILE" in done.stderr
    assert not ran.exists()
    named = scorehost(server, "replay", "--all", "--entry-script", str(outside))
    assert (named.returncode, ran.exists()) == (0, True), named


@pytest.mark.parametrize("script", ["gone.py", "sub", "pipe.py", "", "main.py/x"])
def test_a_record_whose_script_is_not_there(own_server: StartServer, script: str):
    """Another script is not asked in its place: what that answers says nothing."""
    server = serve(own_server, "all")
    server.score([1])
    (server.folder / "sub").mkdir()
    os.mkfifo(server.folder / "pipe.py")
    file = sent(server, script=script)

    done = scorehost(server, "replay", str(file))

    assert done.returncode == 2, done
    assert f"{file} names the script {script!r}, which is not in the app root" in done.stderr
    assert "Name the script with --entry-script FILE, or its app root" in done.stderr


@pytest.mark.parametrize("script", ["evil.py", "inner/evil.py", "link.py"])
def test_a_record_cannot_bring_its_own_script(own_server: StartServer, script: str):
    """A folder of records that somebody sent, and that was put into the app root."""
    server = serve(own_server, "all")
    server.score([1])
    folder = server.folder / "sent"
    (folder / "inner").mkdir(parents=True)
    for name in ("evil.py", "inner/evil.py"):
        (folder / name).write_text(RAN)
    (folder / "link.py").symlink_to("evil.py")
    file = sent(server, script=f"sent/{script}").rename(folder / "record.json")

    done = scorehost(server, "replay", str(file))

    assert done.returncode == 2, done
    assert f"'sent/{script}', is in the record's own folder" in done.stderr
    assert not list(folder.rglob("*.ran"))


def test_links_within_the_app_root_are_followed(own_server: StartServer):
    """As a cluster's ConfigMap has them."""
    server = serve(own_server, "all")
    server.score([1])
    (server.folder / "data").mkdir()
    (server.folder / "data" / "other.py").write_text(BROKEN)
    (server.folder / "other.py").symlink_to("data/other.py")
    sent(server, script="other.py")

    assert scorehost(server, "replay", "--all").stdout.endswith("2 requests: 2 same\n")


def test_a_record_that_is_unlike_any_request(own_server: StartServer):
    """It is told for what it is, its words stay words, and nobody waits for a deadline."""
    server = serve(own_server, "all")
    server.score([1])
    (file,) = records(server, 1)
    good = json.loads(file.read_text())
    folder = file.parent
    for name, changes in {
        "large": {"headers": [["X-A", "a" * 300_000]]},
        "lines": {"id": "x\nsame     y  POST /score  200 -> 200"},
        "types": {"headers": 5, "outcome": {"status": "200"}},
        "words": {"id": "\x1b[2Jx y", "target": "/score?\x1b]0;t\x07 z", "method": "P\u0085T"},
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(good | changes))
    (folder / "empty.json").touch()
    (folder / "secret.json").symlink_to("/etc/passwd")
    (folder / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()

    done = scorehost(server, "replay", "--all")

    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "2 requests: 2 same"), done
    assert "same     %1B[2Jx%20y  P%85T /score?%1B]0;t%07%20z  200 -> 200" in done.stdout
    for name, said in {
        "large": "without its body the request takes 300,",
        "lines": "damaged; missing or invalid: id",
        "types": "damaged; missing or invalid: headers, outcome",
        "empty": "is not JSON",
        "secret": "is a link to /etc/passwd, which is outside its folder",
        "zero": "is a link to /dev/zero, which is outside its folder",
        "pipe": "is not a regular file",
        "folder": "is not a regular file",
    }.items():
        (line,) = [line for line in done.stderr.splitlines() if f"/{name}.json " in line]
        assert said in line
    assert "root:" not in done.stdout + done.stderr


def test_a_script_that_ends_the_process_while_it_starts(own_server: StartServer):
    server = serve(own_server, "all")
    server.score([1])
    records(server, 1)
    (server.folder / "main.py").write_text("import os\nos._exit(5)\n")

    done = scorehost(server, "replay", "--all")

    assert (done.returncode, "did not start" in done.stderr) == (3, True), done
    assert "status 5" in done.stderr


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

    done = scorehost(server, command, *(["--all"] if command == "replay" else []))

    assert done.returncode == 0, done
