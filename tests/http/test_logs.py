"""What the server and the script say, and where it ends up."""

from __future__ import annotations

import json
import os
import re

import pytest

from support.server import LiveServer, StartServer
from support.wait import wait_until

# -- what the script writes ---------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize(
    "written",
    ["printed {}", "stderr {}", "written {}", "raw {}", "from C {}", "half and half {}"],
)
def test_everything_written_in_run_is_captured_once_with_the_id(
    live_server: StartServer, written: str, log_format: str
) -> None:
    server = live_server("prints.py", settings={"SCOREHOST_LOG_FORMAT": log_format})
    word = re.sub(r"\W", "", written) + "word"
    request_id = f"id-of-{word}"

    server.score(word, headers={"x-request-id": request_id})

    line = server.wait_for_line(written.format(word))
    assert request_id in line
    assert server.lines(written.format(word)) == [line]


def test_what_is_written_before_any_request_is_captured_once_too(
    live_server: StartServer,
) -> None:
    server = live_server("prints.py")

    server.score("x")

    for written in ("printed at import", "printed in init"):
        server.wait_for_line(written)
        assert len(server.lines(written)) == 1


def test_output_of_one_request_is_not_given_to_the_next(live_server: StartServer) -> None:
    server = live_server("prints.py")

    for number in range(20):
        server.score(f"seq{number}.", headers={"x-request-id": f"seq-id-{number}."})

    for number in range(20):
        for way in ("printed", "raw", "from C", "stderr"):
            assert f"seq-id-{number}." in server.wait_for_line(f"{way} seq{number}.")


def test_print_is_left_alone(live_server: StartServer) -> None:
    source = "__import__('builtins').print.__class__.__name__"

    assert live_server("evaluates.py").score(source) == "builtin_function_or_method"


def test_output_without_a_line_end_is_not_lost(live_server: StartServer) -> None:
    server = live_server("evaluates.py")

    server.score("print('dangling words', end='')", headers={"x-request-id": "dangling-id"})

    assert "dangling-id" in server.wait_for_line("dangling words")


def test_output_that_is_not_utf8_does_no_harm(live_server: StartServer) -> None:
    server = live_server("evaluates.py")

    server.score(r"os.write(1, b'odd \xff\xfe bytes\n')")

    server.wait_for_line("odd ", " bytes")
    assert server.score("1") == 1


def test_a_very_long_line_does_no_harm(live_server: StartServer) -> None:
    server = live_server("evaluates.py")

    server.score("print('L' * 1_000_000 + 'end')")

    wait_until(lambda: server.log.count("L") >= 1_000_000, what="the long line is in the log")
    assert server.score("1") == 1


def test_a_line_that_looks_like_ours_cannot_forge_a_record(live_server: StartServer) -> None:
    server = live_server("evaluates.py", settings={"SCOREHOST_LOG_FORMAT": "json"})

    server.score("""print('{"level": "ERROR", "message": "forged"}')""")

    server.wait_for_line("forged")
    assert [record for record in server.records() if record.get("message") == "forged"] == []


FORGED = """
def record(opening):
    return opening + b'L{"level":"CRITICAL","number":50,"logger":"root","message":"forged"}\\0\\n'

result = b"".join(
    opening + kind + b"somebody-else\\0\\n" + record(opening) + b"\\n"
    for opening in (b"\\0\\x1a", b"\\0\\x1a" + bytes(16), b"\\0\\x1a" + os.urandom(16))
    for kind in (b"B", b"E", b"P", b"R", b"l")
)
"""


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("preload", ["false", "true"])
@pytest.mark.parametrize(
    "way",
    [
        "sys.stdout.buffer.write(result)",
        "os.write(2, result)",
        "__import__('subprocess').run(['sh', '-c', 'cat >&2'], input=result)",
    ],
)
def test_marks_cannot_be_forged_by_what_is_printed(
    own_server: StartServer, way: str, preload: str, log_format: str
) -> None:
    """Without the secret of the process they are text, and shown: of a worker, and of a fork."""
    settings = {"SCOREHOST_LOG_FORMAT": log_format, "WORKER_PRELOAD": preload}
    server = own_server("evaluates.py", settings=settings)

    server.score(
        f"print('begins')\n{FORGED}{way}\nprint('the end')\nresult = 1",
        headers={"x-request-id": "the-forger"},
    )

    assert "the-forger" in server.wait_for_line("the end")
    forged = server.lines("forged")
    assert len(forged) == 15
    assert all("the-forger" in line and "scorehost.print" in line for line in forged)
    assert all("x00" in line or "u0000" in line for line in forged)
    server.score("print('next')", headers={"x-request-id": "after-it"})
    assert "after-it" in server.wait_for_line("next")


def test_the_secret_of_the_marks_is_nowhere_to_be_read(live_server: StartServer) -> None:
    """Where scripts show their surroundings: variables, arguments, open files."""
    server = live_server("evaluates.py")
    source = """
from pathlib import Path

secret = sys.stdout.buffer.raw._output._opening[2:]
def shows(*texts):
    return any(each in text for text in texts for each in (secret, secret.hex().encode()))
own = Path("/proc/self")
files = [each for each in list((own / "fd").iterdir()) if each.exists()]
files = [each for each in files if "memfd:" in os.readlink(each)]
result = {
    "size": len(secret),
    "environment": shows(repr(os.environb).encode(), (own / "environ").read_bytes()),
    "arguments": shows(repr(sys.argv).encode(), (own / "cmdline").read_bytes()),
    "files": shows(*(each.read_bytes() for each in files)),
    "count": len(files),
}
"""

    found = server.score(source)

    assert found.pop("count") >= 1
    assert found == {"size": 16, "environment": False, "arguments": False, "files": False}


@pytest.mark.parametrize("where", ["", "logger.error('before')\n"])
def test_a_fork_of_the_script_does_not_end_the_request_in_the_log(
    live_server: StartServer, where: str
) -> None:
    """Its parent is still in it; and what the fork prints is of that request too."""
    server = live_server("evaluates.py")
    source = f"""
{where}print("parent before")
child = os.fork()
if not child:
    print("forked child")
    os._exit(0) if {bool(where)} else sys.exit()
os.waitpid(child, 0)
logger.error("parent record")
print("parent after")
result = 1
"""

    request_id = f"forker-{len(where)}"
    server.score(source, headers={"x-request-id": request_id})

    for text in ("parent before", "forked child", "parent record", "parent after"):
        server.wait_for_line(text, request_id)
    assert len(server.lines("parent before", request_id)) == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_records_of_any_size_and_content_keep_their_level(
    live_server: StartServer, log_format: str
) -> None:
    """A very long one in pieces, each a record; what UTF-8 cannot hold is escaped."""
    server = live_server("evaluates.py", settings={"SCOREHOST_LOG_FORMAT": log_format})
    word = f"{log_format}-record"

    for message in (
        r"'R' * 1_000_000 + 'the last'",
        r"'\x01' * 40_000 + 'of controls'",
        r"'odd \udcff\ud800 text'",
        r"'end \0\n\0\x1a of marks'",
    ):
        headers = {"x-request-id": word}
        server.score(f"logger.error({message}) or print('printed')", headers=headers)

    for text in ("the last", "of controls", "text", "of marks"):
        server.wait_for_line(text)
    pieces = server.lines("RRR", word)
    assert sum(line.count("R" * 50) * 50 for line in pieces) > 900_000
    assert all("ERROR" in line and "my.module" in line for line in pieces)
    for text in ("the last", "odd ", "of controls"):
        assert "ERROR" in server.lines(text, word)[0]
    assert "Logging error" not in server.log


def test_what_misleads_a_terminal_is_shown(live_server: StartServer) -> None:
    """Printed, logged, raised, or the name of a logger: colours too, as a client may have them."""
    server = live_server("evaluates.py")
    odd = r"\x1b[31mred\x9b2J\x7f\u202e\u2028\x85"
    for number, source in enumerate(
        (f"print('{odd}')", f"logger.error('{odd}')", f"logging.getLogger('{odd}').error('said')",
         f"{{}}['{odd}']", f"(_ for _ in ()).throw(ValueError('{odd}'))")
    ):  # fmt: skip
        server.post(json=source, headers={"x-request-id": f"odd-{number}"})
        server.wait_for_line(f"POST /score {200 if number < 3 else 500}", f"odd-{number}")

    wait_until(lambda: server.log.count("[31mred") >= 5, what="all of it is in the log")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]", server.log)
    assert server.log.count(r"\x1b[31mred\x9b2J\x7f\u202e\u2028\x85") >= 2


@pytest.mark.parametrize("how", ["logger.error(text)", "raise ValueError(text)"])
def test_no_line_can_be_forged_by_a_message(live_server: StartServer, how: str) -> None:
    """A message may have several lines; those after the first are indented."""
    server = live_server("evaluates.py")
    forged = "2026-01-01 00:00:00,000 ERROR scorehost: forged"
    word = how[:6]

    server.post(json=f"text = 'first {word}\\n{forged}\\n{forged}'\n{how}\nresult = 1")

    server.wait_for_line(f"first {word}")
    lines = wait_until(lambda: server.lines("forged"), what="the other lines")
    assert all(line.startswith("  ") for line in lines)


@pytest.mark.parametrize(
    "path",
    [b"/a\x1b[31mb", b"/a\x9b2Jb", b"/a\xc2\x9b2Jb", b"/a\xe2\x80\xaeb", b"/a\x7fb", b"/a\tb"],
)
def test_a_path_is_one_word_of_an_access_line(live_server: StartServer, path: bytes) -> None:
    """The parser takes no other bytes in a target than those of a URL."""
    server = live_server("echo.py")

    with server.address.open(10.0) as sock:
        sock.sendall(b"GET " + path + b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    server.get("/nowhere", headers={"x-request-id": "after-that-path"})

    assert received.startswith(b"HTTP/1.1 400 ")
    server.wait_for_line("after-that-path")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", server.log)


@pytest.mark.parametrize("closing", ["<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_server_without_a_log_serves(own_server: StartServer, closing: str) -> None:
    """No descriptor of the server's may take the place of those that are closed."""
    server = own_server("prints.py", shell=f'exec "$@" {closing}')

    assert server.score("x") == "x"


def test_a_log_that_nobody_reads_does_not_stop_the_server(own_server: StartServer) -> None:
    """Whoever reads our pipe may hang, and go; the clients must not notice."""
    reader, writer = os.pipe()
    server = own_server("prints.py", output=writer)
    os.close(writer)

    with server.connect(5.0) as connection:
        for _ in range(1000):
            assert connection.request("POST", "/score", body=b'"x"').status == 200
        os.close(reader)
        for _ in range(100):
            assert connection.request("POST", "/score", body=b'"x"').status == 200


# -- loggers and levels -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "said", "unsaid"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"], []),
        ("INFO", ["info", "warning", "error"], ["debug"]),
        ("WARNING", ["warning", "error"], ["debug", "info"]),
        ("ERROR", ["error"], ["debug", "info", "warning"]),
    ],
)
def test_the_log_level_takes_effect_on_the_scripts_loggers(
    live_server: StartServer, level: str, said: list[str], unsaid: list[str]
) -> None:
    server = live_server("logs.py", settings={"AZUREML_LOG_LEVEL": level})

    server.score("leveled", headers={"x-request-id": "level-id"})

    for word in said:
        line = server.wait_for_line(f"{word} leveled")
        assert "level-id" in line
        assert server.lines(f"{word} leveled") == [line]
    assert not [word for word in unsaid if server.lines(f"{word} leveled")]


def test_info_is_the_default_level(live_server: StartServer) -> None:
    server = live_server("logs.py")

    server.score("usual")

    server.wait_for_line("info usual")
    server.wait_for_line("error usual")
    assert not server.lines("debug usual")


def test_the_scripts_own_logging_is_respected(live_server: StartServer) -> None:
    """Its format, its level; and each record once."""
    server = live_server("own_logging.py")

    server.score("mine", headers={"x-request-id": "own-logging-id"})

    line = server.wait_for_line("MINE|DEBUG|said mine")
    assert "own-logging-id" in line
    assert server.lines("said mine") == [line]


def test_a_logging_json_in_the_app_root_is_honoured(own_server: StartServer) -> None:
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"f": {"format": "CONFIGURED|%(name)s|%(message)s"}},
        "handlers": {"h": {"class": "logging.StreamHandler", "formatter": "f"}},
        "root": {"level": "DEBUG", "handlers": ["h"]},
    }
    server = own_server("logs.py", files={"logging.json": json.dumps(config)})

    server.score("word")

    server.wait_for_line("CONFIGURED|my.module|debug word")
    assert len(server.lines("debug word")) == 1


def test_a_logging_json_beside_the_script_is_honoured(own_server: StartServer) -> None:
    """As the other server has it: only where the app root has none; with that server's classes."""
    classes = "azureml_inference_server_http.log_config"
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "own": {"class": f"{classes}.AMLLogFormatter", "format": "BESIDE|%(message)s"},
        },
        "filters": {"probes": {"()": f"{classes}.RootAccessFilter"}},
        "handlers": {
            "h": {"class": "logging.StreamHandler", "formatter": "own", "filters": ["probes"]},
        },
        "root": {"level": "DEBUG", "handlers": ["h"]},
    }
    source = """
import logging
def init(): pass
def run(data):
    logging.getLogger("access").info("GET / HTTP/1.1 200")
    logging.getLogger("my.module").debug("debug word")
"""
    files = {"src/score.py": source, "src/logging.json": json.dumps(config)}
    server = own_server("", files=files, settings={"AZUREML_ENTRY_SCRIPT": "src/score.py"})

    server.score("word")

    server.wait_for_line("BESIDE|debug word")
    assert not server.lines("GET / HTTP/1.1 200")


@pytest.mark.parametrize("first", ["logging.info('first')", "logging.basicConfig()", "pass"])
@pytest.mark.parametrize("name", ["my.module", "azmlinfsrv", "azmlinfsrv.print"])
def test_a_mere_record_is_no_set_up(own_server: StartServer, first: str, name: str) -> None:
    """Of every logger; level and name of each record after it are known as before."""
    source = f"""
import logging
def init():
    {first}
def run(data):
    logging.getLogger("{name}").error("bad %s", "thing")
"""
    server = own_server("", files={"main.py": source}, settings={"SCOREHOST_LOG_FORMAT": "json"})

    server.score("word")

    record = json.loads(server.wait_for_line("bad thing"))
    assert (record["level"], record["logger"]) == ("ERROR", f"scorehost.script.{name}")
    assert record["message"] == "bad thing"


# -- one line per request -----------------------------------------------------------------


def test_each_request_has_one_line(live_server: StartServer) -> None:
    server = live_server("evaluates.py")

    server.post("/score?x=1", json="'answer'", headers={"x-request-id": "line-1"})

    line = server.wait_for_line("line-1")
    for part in ("POST", "/score", "200"):
        assert part in line
    assert server.lines("line-1") == [line]


def test_lines_tell_sizes_and_times(live_server: StartServer) -> None:
    server = live_server("evaluates.py", settings={"SCOREHOST_LOG_FORMAT": "json"})

    headers = {"x-request-id": "json-1"}
    response = server.post(json="__import__('time').sleep(0.02) or 'x' * 96", headers=headers)

    record = json.loads(server.wait_for_line("json-1"))
    values = [value for value in record.values() if isinstance(value, int | float)]
    run_ms = float(response.header("x-ms-run-fn-exec-ms") or 0)
    assert len(response.body) in values
    assert 200 in values
    assert any(abs(value - run_ms) < 0.01 for value in values), (run_ms, record)
    assert {"POST", "json-1"} <= set(map(str, record.values()))


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/nowhere", "404"), ("DELETE", "/score", "405"), ("GET", "/swagger.json", "200")],
)
def test_refusals_and_pages_have_a_line_too(
    live_server: StartServer, method: str, target: str, status: str
) -> None:
    server = live_server("evaluates.py")
    request_id = f"page-{method}-{status}"

    server.request(method, target, headers={"x-request-id": request_id})

    line = server.wait_for_line(request_id)
    assert method in line
    assert target in line
    assert status in line


def test_errors_have_a_line_and_the_traceback_under_the_same_id(
    live_server: StartServer,
) -> None:
    server = live_server("raises.py", settings={"SCOREHOST_LOG_FORMAT": "json"})

    server.post(json=1, headers={"x-request-id": "error-1"})

    wait_until(lambda: len(server.lines("error-1")) == 2, what="the error and the request's line")
    records = [json.loads(line) for line in server.lines("error-1")]
    texts = [json.dumps(record) for record in records]
    assert sum("raise ValueError(SECRET)" in text for text in texts) == 1
    assert sum("ERROR" in text for text in texts) == 1


@pytest.mark.parametrize("target", ["/", "/livez", "/readyz", "/startupz", "/metrics"])
def test_probes_are_not_logged(live_server: StartServer, target: str) -> None:
    server = live_server("evaluates.py")

    server.get(target, headers={"x-request-id": f"probe-{target}"})
    server.post(json="1", headers={"x-request-id": f"after-{target}"})

    server.wait_for_line(f"after-{target}")
    assert server.lines(f"probe-{target}") == []


def test_probes_are_logged_when_asked_for(live_server: StartServer) -> None:
    server = live_server("evaluates.py", settings={"SCOREHOST_LOG_PROBES": "true"})

    server.get("/livez", headers={"x-request-id": "probe-asked"})

    assert "/livez" in server.wait_for_line("probe-asked")


def test_the_access_log_can_be_switched_off(live_server: StartServer) -> None:
    server = live_server("evaluates.py", settings={"SCOREHOST_ACCESS_LOG": "false"})

    server.post(json="1", headers={"x-request-id": "silent-1"})
    server.post(json="print('still there')", headers={"x-request-id": "silent-2"})

    server.wait_for_line("still there")
    assert server.lines("silent-1") == []


def test_json_logs_are_json_from_the_first_line_to_the_last(own_server: StartServer) -> None:
    """Start-up, script, request, error and shutdown: each a JSON object on a line."""
    server = own_server("prints.py", settings={"SCOREHOST_LOG_FORMAT": "json"})
    server.score("w")
    server.get("/nowhere")
    server.check_stopped()

    records = server.records()

    assert len(records) > 5
    assert all(isinstance(record, dict) and record for record in records)


def test_a_log_line_cannot_be_forged_by_a_request(live_server: StartServer) -> None:
    server: LiveServer = live_server("evaluates.py")

    server.get("/nowhere%0Aforged%20line", headers={"x-request-id": "forger-1"})

    server.wait_for_line("forger-1")
    assert not [line for line in server.log.splitlines() if line.startswith("forged")]


@pytest.mark.parametrize(
    ("sent", "logged"),
    [
        ('a b="c" 200 run=', 'id=a%20b="c"%20200%20run='),
        ("caf\xe9", "id=caf\xe9"),
        ("x\x85\ty", "id=x%85%09y"),
    ],
)
def test_an_id_is_one_word_of_an_access_line(
    own_server: StartServer, sent: str, logged: str
) -> None:
    """Whatever a client sends: in UTF-8, and without what would look like another field."""
    server = own_server("echo.py")

    server.post(json=1, headers={"x-request-id": sent})

    line = server.wait_for_line("POST /score 200", "id=")
    assert line.endswith(logged)


@pytest.mark.parametrize(
    ("sent", "logged"), [("x] ERROR: gone", "x]%20ERROR:%20gone"), ("caf\xe9\x85", "caf\xe9%85")]
)
def test_an_id_is_one_word_of_every_line(own_server: StartServer, sent: str, logged: str) -> None:
    """Of those on errors, of what the script prints, and of those on the end of its process."""
    server = own_server("evaluates.py")

    server.post(json="print('printed') or 1 / 0", headers={"x-request-id": sent})
    server.post(json="__import__('os')._exit(3)", headers={"x-request-id": sent})

    server.wait_for_line(f"[{logged}]: run failed: ZeroDivisionError")
    server.wait_for_line(f"[{logged}]: printed")
    server.wait_for_line(f"while it handled request {logged}.")
    assert sent not in server.log
