"""The pages as the front calls them: one function, plain values in and out."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from scorehost.front.pages import docs
from scorehost.front.pages.app import make_pages, serve_page
from scorehost.front.pages.context import PageContext
from scorehost.settings import Settings

INFO = {"title": "Ships & <Co>", "x-generated-by": "scorehost"}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "2": {"swagger": "2.0", "info": INFO, "paths": {}},
    "3": {"openapi": "3.0.3", "info": INFO, "paths": {}},
    "3.1": {"openapi": "3.1.0", "info": INFO, "paths": {}},
}

Get: TypeAlias = Callable[..., "Answer"]


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def text(self) -> str:
        return self.body.decode()


def asker(documents: Any = DOCUMENTS, **settings: Any) -> Get:
    """Make the app and a function that asks it."""
    app = make_pages(PageContext(Settings(**settings), lambda: documents, lambda: "Loading 1 GB."))

    def get(target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return Answer(*serve_page(app, method, target, pairs, body))

    return get


@pytest.fixture(scope="module")
def get() -> Get:
    return asker()


def test_docs_shows_the_newest_version(get: Get) -> None:
    page = get("/docs")

    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'data-document="swagger.json?version=3.1"' in page.text
    assert "<title>Ships &amp; &lt;Co&gt;: API documentation</title>" in page.text


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_docs_shows_the_version_asked_for(get: Get, version: str) -> None:
    page = get(f"/docs?version={version}")

    assert f'data-document="swagger.json?version={version}"' in page.text
    assert re.findall(r'href="docs\?version=(\S+)" aria-current', page.text) == [version]


def test_a_version_that_is_not_there(get: Get) -> None:
    page = get("/docs?version=4")

    assert page.status == 404
    assert page.headers["content-type"] == "application/json"
    assert "Available versions: 2, 3, 3.1." in page.text


def test_a_document_of_the_users_own_comes_first() -> None:
    own = {"swagger": "2.0", "info": {"title": "Mine"}, "paths": {}}

    page = asker({**DOCUMENTS, "2": own})("/docs")

    assert 'data-document="swagger.json?version=2"' in page.text


@pytest.mark.parametrize("odd", [{}, {"info": None}, {"info": "text"}, {"info": {"title": 3}}])
def test_a_document_of_the_users_own_may_be_odd(odd: Any) -> None:
    assert asker({**DOCUMENTS, "2": odd})("/docs").status == 200


def test_while_the_script_is_not_ready_the_page_says_so_and_looks_again() -> None:
    page = asker(None)("/docs")

    assert page.status == 503
    assert page.headers["retry-after"] == "2"
    assert "Loading 1 GB." in page.text
    assert 'http-equiv="refresh" content="2"' in page.text


def test_every_answer_forbids_foreign_content(get: Get) -> None:
    for target in ("/docs", "/docs/files/docs.js", "/docs/nothing", "/docs/"):
        policy = get(target).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy


def test_the_page_names_no_other_host_and_runs_nothing_inline(get: Get) -> None:
    page = get("/docs").text

    assert re.findall(r'(?:src|href)="(?:\w+:|/)', page) == []
    assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=", page) == []


def loaded(page: str) -> list[str]:
    """What the page loads, as paths."""
    return ["/" + name for name in re.findall(r'(?:src|href)="(docs/files/[^"]+)"', page)]


def test_what_the_page_loads_is_there_and_kept(get: Get) -> None:
    found = loaded(get("/docs").text)

    assert len(found) == 5
    for target in found:
        file = get(target)
        assert file.status == 200
        assert file.body
        again = get(target, If_None_Match=file.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_file_asked_for_by_an_old_address_is_not_kept(get: Get) -> None:
    file = get("/docs/files/docs.js?v=0123")

    assert file.status == 200
    assert file.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "target",
    [
        "/docs/nothing",
        "/docs/files/",
        "/docs/files/docs.html",
        "/docs/files/../app.py",
        "/docs/files/%2e%2e/app.py",
        "/docs/files/..%2fapp.py",
        "/docs/files/%00",
        "/docs/files/%ff%fe",
    ],
)
def test_nothing_else_is_served(get: Get, target: str) -> None:
    page = get(target)

    assert page.status == 404
    assert page.headers["content-type"] == "application/json"


def test_a_slash_at_the_end_leads_back_wherever_a_proxy_put_the_page(get: Get) -> None:
    page = get("/docs/?version=2")

    assert (page.status, page.headers["location"]) == (308, "../docs?version=2")


def test_pages_can_only_be_read(get: Get) -> None:
    page = get("/docs", method="POST", body=b"x")

    assert page.status == 405
    assert "GET" in page.headers["allow"]
    assert page.text.startswith('{"message":')


def test_head_is_get(get: Get) -> None:
    """The front leaves the body out, and needs it for the Content-Length."""
    assert get("/docs", method="HEAD").body == get("/docs").body


def test_absolute_form(get: Get) -> None:
    assert get("http://somewhere:80/docs?version=2").body == get("/docs?version=2").body


def test_without_swagger_ui_the_page_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "_MODULE", "no_such_package")
    page = asker()("/docs")

    assert page.status == 200
    assert "pip install flask-swagger-ui" in page.text
    assert 'href="swagger.json?version=2"' in page.text
    assert "<script" not in page.text


def test_a_fault_of_ours_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The front logs it and answers 500; FLASK_DEBUG changes nothing."""
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.setattr(docs, "title", None)

    with pytest.raises(TypeError):
        asker()("/docs")
