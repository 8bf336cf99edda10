"""Which route answers which method, with what."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from support.server import LiveServer, StartServer


@pytest.fixture
def server(live_server: StartServer) -> LiveServer:
    return live_server("echo.py")


@pytest.mark.parametrize("target", ["/", "/livez", "/readyz", "/startupz", "/swagger.json"])
def test_pages_ignore_what_they_do_not_know_in_the_query(server: LiveServer, target: str) -> None:
    assert server.get(f"{target}?probe=1&x=%20").status == 200


def test_post_scores(server: LiveServer) -> None:
    response = server.post("/score", json={"a": [1, 2]})

    assert response.status == 200
    assert response.json() == {"a": [1, 2]}


@pytest.mark.parametrize("target", ["//score", "///score", "/%2Fscore", "//%73core?a=1"])
def test_slashes_too_many_before_a_route_mean_nothing(server: LiveServer, target: str) -> None:
    """Clients join ``http://host/`` and ``/score``."""
    assert server.post(target, json=[1]).json() == [1]
    assert server.get("//").body == b"Healthy"
    assert server.get("//nowhere").status == server.post("/score//", json=1).status == 404


def test_post_scores_whatever_the_query(server: LiveServer) -> None:
    assert server.post("/score?verbose=1", json=[1]).json() == [1]


def test_get_scores(server: LiveServer) -> None:
    response = server.get("/score?a=1")

    assert response.status == 200
    assert response.json() == {"a": 1}


def test_options_is_answered_empty(live_server: StartServer) -> None:
    """Even when run() would raise: it is not called."""
    response = live_server("raises.py").options("/score")

    assert (response.status, response.body) == (200, b"")
    assert {"post", "get", "options"} <= response.listed("Allow")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_other_methods_are_refused_on_a_plain_script(server: LiveServer, method: str) -> None:
    response = server.request(method, "/score", body=b"{}")

    assert response.status == 405
    assert response.message
    assert {"post", "get", "options"} <= response.listed("Allow")
    assert method.lower() not in response.listed("Allow")


@pytest.mark.parametrize(
    "target", ["/", "/livez", "/readyz", "/startupz", "/swagger.json", "/docs", "/metrics"]
)
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_pages_can_only_be_read(server: LiveServer, method: str, target: str) -> None:
    response = server.request(method, target, body=b"")

    assert response.status == 405
    assert response.message
    assert "get" in response.listed("Allow")


@pytest.mark.parametrize(
    "target",
    ["/nowhere", "/score/", "/score/x", "/Score", "/scores", "/livez/", "/..", "/%2e"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_unknown_paths_are_404(server: LiveServer, method: str, target: str) -> None:
    response = server.request(method, target)

    assert response.status == 404
    assert list(response.json()) == ["message"]
    assert response.message


@pytest.mark.parametrize("target", ["/debug", "/-/reload"])
def test_debug_routes_do_not_exist_in_production(server: LiveServer, target: str) -> None:
    assert server.get(target).status == 404
    assert server.post(target, json=None).status == 404


@pytest.mark.parametrize(
    "target", ["/", "/livez", "/readyz", "/startupz", "/swagger.json", "/docs"]
)
def test_head_is_get_without_the_body(server: LiveServer, target: str) -> None:
    with server.connect() as connection:
        head = connection.request("HEAD", target)
        get = connection.request("GET", target)

    assert head.status == get.status == 200
    assert head.body == b""
    assert head.header("Content-Type") == get.header("Content-Type")
    assert head.header("Content-Length") == get.header("Content-Length") == str(len(get.body))


def test_head_of_an_unknown_path_has_no_body_either(server: LiveServer) -> None:
    with server.connect() as connection:
        assert connection.request("HEAD", "/nowhere").status == 404
        assert connection.request("GET", "/livez").status == 200


def test_head_of_score_leaves_the_connection_in_step(server: LiveServer) -> None:
    with server.connect() as connection:
        head = connection.request("HEAD", "/score?a=1")
        after = connection.request("GET", "/score?a=1")

    assert head.status in (200, 405)
    assert after.json() == {"a": 1}


def test_metrics_are_prometheus_text(server: LiveServer) -> None:
    server.score(1)

    response = server.get("/metrics")

    assert response.status == 200
    assert response.content_type == "text/plain"
    samples = [each for family in parse(response.text) for each in family.samples]
    [scored] = [each for each in samples if each.labels == {"route": "score", "status": "200"}]
    assert scored.value >= 1


def test_docs_is_an_interactive_page_that_needs_nobody_else(server: LiveServer) -> None:
    """No address of another host: neither in the page nor in what it loads."""
    page = server.get("/docs")

    assert page.status == 200
    assert page.content_type == "text/html"
    assert "swagger" in page.text.lower()
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(loaded) >= 2
    assert [each for each in loaded if each.startswith(("http:", "https:", "//"))] == []
    assert {server.get(f"/{each.lstrip('/')}").status for each in loaded} == {200}


def test_a_failing_run_hides_its_traceback(live_server: StartServer) -> None:
    server = live_server("raises.py")

    response = server.post(json={}, headers={"x-request-id": "hidden-1"})

    assert response.status == 500
    assert response.json() == {
        "message": "An unexpected error occurred in scoring script. Check the logs for more info."
    }
    assert server.get("/").status == 200


def test_a_failing_run_is_in_the_log_with_its_id(live_server: StartServer) -> None:
    server = live_server("raises.py")

    server.post(json={}, headers={"x-request-id": "logged-1"})

    server.wait_for_line("ERROR", "logged-1", "ValueError: the-password-is-swordfish")
    server.wait_for_line("raise ValueError(SECRET)")
    assert not server.lines("File", "/scorehost/")
