"""Chromium, as a person would use it; what it complains about fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    Route,
    expect,
    sync_playwright,
)

expect.set_options(timeout=20_000)  # for machines that have other things to do

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a file.

    No longer: while it is there, playwright's event loop runs in this thread, and no other can.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(PROGRAMS)} is installed")
    with sync_playwright() as playwright:
        # Its sandbox needs namespaces, which containers seldom grant; it sees our pages only.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def complaint(message: ConsoleMessage) -> list[str]:
    """What Chromium says in its console, such as a violated policy; statuses are the tests'."""
    status = message.text.startswith("Failed to load resource: the server responded with")
    return [message.text] if message.type in ("error", "warning") and not status else []


def missing(response: Response) -> list[str]:
    """A file of the page that is not there."""
    ours = "/docs/files/" in response.url or response.url.endswith("favicon.ico")
    return [f"{response.status} for {response.url}"] if ours and response.status >= 400 else []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page with nothing cached, from which no other host can be reached."""
    complaints: list[str] = []

    def only_here(route: Route, request: Request) -> None:
        if request.url.startswith(("http://127.0.0.1:", "http://localhost:", "blob:", "data:")):
            route.continue_()
        else:
            complaints.append(f"asked for {request.url}")
            route.abort()

    context = browser.new_context()
    context.route("**/*", only_here)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    page.on("console", lambda message: complaints.extend(complaint(message)))
    page.on("response", lambda response: complaints.extend(missing(response)))
    yield page
    context.close()
    assert complaints == []
