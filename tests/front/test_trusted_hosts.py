"""Whom debug mode answers: another site may have had its own name lead to this server.

To a browser its pages and the server are one site then; only the host in their requests tells them
apart.
"""

from __future__ import annotations

from typing import Any, cast

import pytest

from scorehost.dev.features import DevelopmentFeatures
from scorehost.diagnosis.frames import Frame
from scorehost.diagnosis.report import Report
from scorehost.front.observe.log import Log
from scorehost.profile import Profile
from scorehost.sources import resolve
from support.client import Response
from support.memory import MemoryServer

SCRIPT = """\
def init():
    pass


def run(data):
    secret_of_the_script = 1 / 0
"""
TARGETS = (
    "/debug", "/debug/", "/debug/files/debug.js", "/debug/state", "/debug/about",
    "/debug/requests/1", "/%64ebug/state",
)  # fmt: skip
ACTIONS = ("/-/reload", "/debug/reload", "/debug/requests/1/replay")


def serve(start: Any, **settings: str) -> MemoryServer:
    """A server in debug mode."""
    settings = {"SCOREHOST_DEBUG": "1", "SCOREHOST_RECORD": "off"} | settings
    unheard = cast("Any", type("Writer", (), {"write": staticmethod(lambda _: None)}))
    features = DevelopmentFeatures(
        resolve({}, settings).settings, Profile(), Log(unheard, "INFO", "text", "")
    )
    server: MemoryServer = start(
        "", files={"main.py": SCRIPT}, settings=settings, features=features
    )
    return server


def refused(response: Response) -> bool:
    """It is refused, and told what would help."""
    if response.status != 421:
        return False
    assert "SCOREHOST_DEBUG_HOSTS" in response.message
    assert list(response.json()) == ["message"]
    return True


def state(server: MemoryServer, host: str, **headers: str) -> Response:
    return server.get("/debug/state", headers={"Host": host} | headers)


# -- which hosts ----------------------------------------------------------------------------

TRUSTED = [
    "127.0.0.1", "127.0.0.1:5001", "127.0.0.1:", "10.1.2.3:8000", "192.168.178.20",
    "[::1]", "[::1]:5001", "[2001:db8::7]:80", "[::ffff:127.0.0.1]", "127.0.0.1.",
    "localhost", "localhost:5001", "LocalHost:5001", "localhost.", "localhost.:5001",
    "app.localhost", "a.b.localhost:5001", "APP.LOCALHOST.",
]  # fmt: skip
FOREIGN = [
    "evil.example", "evil.example:5001", "localhost.evil.example", "127.0.0.1.evil.example",
    "evil-localhost", "notlocalhost:5001", "localhost..", "scorer", "host.docker.internal:5001",
    "", ":5001", "[127.0.0.1]", "127.1", "0x7f.0.0.1", "2130706433", "127.0.0.256",
    "127.0.0.1,evil.example", "127.0.0.1%2fevil.example", "x" * 5000,
]  # fmt: skip
NO_HOSTS = [
    "127.0.0.1@evil.example", "evil.example@127.0.0.1", "localhost:5001:80", "localhost:port",
    "[::1", "[::1]evil.example", "[evil.example]", "::1", "127.0.0.1, evil.example",
    "localhost evil.example", "evil.example#localhost", "evil.example/.localhost",
    "b\xfccher.example", "\xb9\xb2\xb7.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", TRUSTED)
def test_an_address_and_localhost_are_trusted(own_server: Any, host: str):
    assert state(serve(own_server), host).status == 200


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_host_is_not(own_server: Any, host: str):
    assert refused(state(serve(own_server), host))


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_is_no_request(own_server: Any, host: str):
    assert state(serve(own_server), host).status == 400


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
def test_every_page_is_refused(own_server: Any, target: str, method: str):
    response = serve(own_server).request(method, target, headers={"Host": "evil.example"})

    assert response.status == 421
    assert method == "HEAD" or refused(response)


@pytest.mark.parametrize("target", ACTIONS)
def test_every_action_is_refused(own_server: Any, target: str):
    """A page of evil.example, whose name leads here now, sends its own origin: they agree."""
    headers = {"Host": "evil.example:5001", "Origin": "http://evil.example:5001"}

    response = serve(own_server).post(target, body=b"", headers=headers)

    assert refused(response)
    assert "'evil.example'" in response.message


def test_without_a_host(own_server: Any):
    """HTTP/1.0 allows that, and no browser sends it."""
    with serve(own_server).connect() as connection:
        connection.send(b"GET /debug/state HTTP/1.0\r\n\r\n")
        response = connection.read_response()

    assert refused(response)
    assert "no valid host" in response.message


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-Host"])
def test_what_a_header_says_of_another_host_does_not_count(own_server: Any, name: str):
    """A page may send any of them."""
    value = "host=localhost" if name == "Forwarded" else "localhost"
    server = serve(own_server)

    assert refused(state(server, "evil.example", **{name: value}))
    assert state(server, "localhost", **{name: value.replace("localhost", "x")}).status == 200


@pytest.mark.parametrize(
    ("target", "host", "trusted"),
    [
        ("http://evil.example/debug/state", "localhost", False),
        ("http://evil.example:5001/debug/state?http://localhost/", "localhost", False),
        ("http://localhost@evil.example/debug/state", "localhost", False),
        ("http://localhost:5001/debug/state", "evil.example", True),
        ("http://[::1]/debug/state", "[::1]", True),
    ],
)
def test_an_absolute_target_has_its_own_host(
    own_server: Any, target: str, host: str, trusted: bool
):
    """Host is ignored then (RFC 9112, 3.2.2)."""
    response = serve(own_server).get(target, headers={"Host": host})

    assert response.status == 200 if trusted else refused(response)


# -- names that are set ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["Scorer", "scorer:5001", "scorer.", "ml.Example.com", "ml.example.com.:80"]
)
def test_names_that_are_set_are_trusted(own_server: Any, host: str):
    server = serve(own_server, SCOREHOST_DEBUG_HOSTS="scorer, ML.example.com.")

    assert state(server, host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "scorer.evil.example", "a.scorer", "example.com", "xml.example.com"]
)
def test_and_no_others(own_server: Any, host: str):
    server = serve(own_server, SCOREHOST_DEBUG_HOSTS="scorer, ML.example.com.")

    assert refused(state(server, host))
    assert state(server, "localhost").status == 200


@pytest.mark.parametrize("host", ["evil.example", "a.b:1", ""])
def test_any_host_when_that_is_set(own_server: Any, host: str):
    assert state(serve(own_server, SCOREHOST_DEBUG_HOSTS="*"), host).status == 200


# -- the origin -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:5001", "http://127.0.0.1:5001", 200),
        ("LOCALHOST:5001", "http://localhost:5001", 200),
        ("[::1]:5001", "http://[::1]:5001", 200),
        ("localhost", "https://localhost", 200),
        ("localhost:5001", "http://localhost:3000", 403),
        ("localhost:5001", "http://evil.example", 403),
        ("localhost:5001", "http://evil.example/localhost:5001", 403),
        ("localhost:5001", "null", 403),
        ("evil.example", "http://evil.example", 421),
        ("evil.example", "http://localhost", 421),
        ("", "null", 421),
    ],
)
def test_the_origin_is_checked_as_well(own_server: Any, host: str, origin: str, status: int):
    assert state(serve(own_server), host, Origin=origin).status == status


@pytest.mark.parametrize("origin", ["null", "http://evil.example"])
def test_any_host_is_not_any_origin(own_server: Any, origin: str):
    server = serve(own_server, SCOREHOST_DEBUG_HOSTS="*")

    assert state(server, "", Origin=origin).status == 403
    assert state(server, "here.example", Origin=origin).status == 403


# -- answers that exist without debug mode --------------------------------------------------


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_an_error_tells_its_details_to_whom_is_trusted_only(own_server: Any, accept: str):
    server = serve(own_server)
    headers = {"Host": "evil.example", "Accept": accept}

    withheld = server.post("/score?frames=all", body=b"{}", headers=headers)
    told = server.post("/score?frames=all", body=b"{}", headers=headers | {"Host": "localhost"})

    assert withheld.status == told.status == 500
    assert "secret_of_the_script" in told.text
    for word in ("secret_of_the_script", "ZeroDivisionError", "main.py"):
        assert word not in withheld.text
    error = withheld.json()["error"]
    assert error["id"] == withheld.header("x-request-id")
    assert "SCOREHOST_DEBUG_HOSTS" in error["hint"]


@pytest.mark.parametrize("target", ["/livez", "/readyz", "/startupz", "/", "/metrics", "/docs"])
def test_what_production_answers_too_is_answered_for_any_host(own_server: Any, target: str):
    assert serve(own_server).get(target, headers={"Host": "scorer.cluster"}).status == 200


@pytest.mark.parametrize("target", ["/readyz", "/startupz", "/", "/score"])
@pytest.mark.parametrize("debug", [True, False])
def test_the_report_of_a_failed_start_is_for_whom_is_trusted(
    own_server: Any, target: str, debug: bool
):
    """It has lines of the script; the probe's status is the same for everybody.

    Without debug mode nobody is trusted, although ``--reload`` brings the same features.
    """
    server = serve(own_server, SCOREHOST_DEBUG=str(int(debug)), SCOREHOST_RELOAD="1")
    frame = Frame("main.py", 1, "init", ((1, "secret = 1"),))
    report = Report(
        "init()", "ValueError", "no model", [frame], hint="buy one", reference="0badcafe",
        script=str(server.settings.script),
    )  # fmt: skip
    pool, lifecycle = server.front.pool, server.front.pool.lifecycle
    lifecycle.last_failure = report.to_dict()
    pool.last_death, pool.last_death_outline = "worker 1 (pid 77): killed", "It was killed."
    server.front.dispatcher.serving.clear()
    lifecycle.ever_ready = False

    foreign, own = (
        server.get(target, headers={"Host": host}) for host in ("evil.example", "10.0.0.7:5001")
    )

    assert foreign.status == own.status == 503
    assert foreign.header("Retry-After") == own.header("Retry-After") is not None
    untold, told = foreign.json(), own.json()
    for secret in ("secret", "no model", "buy one", "77"):
        assert secret not in foreign.text
    assert untold["last_failure"]["error"] == "ValueError"
    assert untold["last_failure"]["reference"] == told["last_failure"]["reference"] == "0badcafe"
    assert untold["last_worker_end"] == "It was killed."
    if not debug:
        assert told == untold
        return
    assert "SCOREHOST_DEBUG_HOSTS" in untold["last_failure"]["report"]
    assert told["last_failure"]["error"] == "ValueError: no model"
    assert told["last_failure"]["hint"] == "buy one"
    assert "secret = 1" in told["last_failure"]["report"]
    assert told["last_worker_end"] == "worker 1 (pid 77): killed"
