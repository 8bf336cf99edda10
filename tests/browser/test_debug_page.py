"""The debug page in Chromium: from a request that failed to one that does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from support.server import LiveServer, StartServer, free_port

BROKEN = """\
import json

from helper import mean


def init():
    pass


def run(data):
    return {"mean": mean(json.loads(data))}
"""
HELPER = "def mean(values):\n    return sum(values) / len(values)\n"
MENDED = "def mean(values):\n    return sum(values) / max(1, len(values))\n"


def serve(start: StartServer, *arguments: str, **options: Any) -> LiveServer:
    return start(
        "", files={"main.py": BROKEN, "helper.py": HELPER,
                   "azureml-models/iris/3/model.pkl": b"-"},
        arguments=["--debug", "--debug-port", str(free_port()), *arguments], **options,
    )  # fmt: skip


def address(server: LiveServer) -> str:
    return f"http://127.0.0.1:{server.address.port}/debug"


def test_see_open_fix_reload_replay_green(page: Page, own_server: StartServer):
    server = serve(own_server)
    page.goto(address(server))
    expect(page.get_by_text("No requests yet.")).to_be_visible()
    server.score([1, 3])
    server.post(
        json=[], headers={"Authorization": "Bearer t0ken", "Content-Type": "application/json"}
    )

    rows = page.locator("#list tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("500 ZeroDivisionError")
    rows.first.get_by_role("button").click()
    opened = page.locator("#opened")
    expect(opened.get_by_role("heading", level=2)).to_be_focused()
    expect(opened).to_contain_text("ZeroDivisionError: division by zero")
    expect(opened).to_contain_text("helper.py:2 in mean()")
    expect(opened).to_contain_text("return sum(values) / len(values)")
    expect(opened).to_contain_text("Authorization: ***")
    expect(opened).not_to_contain_text("t0ken")

    (server.folder / "helper.py").write_text("def mean(values:\n")
    page.get_by_role("button", name="Reload the script").click()
    expect(page.locator("#failed")).to_be_visible(timeout=30_000)
    expect(page.locator("#report")).to_contain_text("helper.py:1")
    expect(page.locator("#failed-what")).to_contain_text("previous script continues to serve")

    (server.folder / "helper.py").write_text(MENDED)
    page.get_by_role("button", name="Reload the script").click()
    expect(page.locator("#failed")).to_be_hidden(timeout=30_000)
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#done")).to_contain_text("Fixed: 200")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("fixed")
    expect(rows.first.locator(".good")).to_have_count(2)
    expect(page.locator("#state")).to_have_class("good")


def test_by_keyboard_alone(page: Page, own_server: StartServer):
    server = serve(own_server)
    server.post(json=[])
    page.goto(address(server))
    expect(page.locator("#list tr")).to_have_count(1)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the requests")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#list button")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#opened-title")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_contain_text("Unchanged: 500")
    page.get_by_role("button", name="Close").focus()
    page.keyboard.press("Enter")

    expect(page.locator("#opened")).to_be_hidden()
    expect(page.locator("#list tr").nth(1).get_by_role("button")).to_be_focused()


def test_what_stands_below(page: Page, own_server: StartServer):
    """Workers, launch.json, models and settings with where each came from."""
    server = serve(own_server, settings={"SERVICE_NAME": "ships"})
    page.goto(address(server))

    expect(page.locator("#workers tr")).to_contain_text(["serving"])
    expect(page.locator("#debugger")).to_contain_text("no editor is attached")
    launch = page.locator("#launch")
    expect(launch).to_contain_text("pathMappings")
    assert json.loads(launch.inner_text())["configurations"][0]["request"] == "attach"
    page.get_by_text("Models", exact=True).click()
    expect(page.locator("#models")).to_contain_text("model.pkl")
    page.get_by_text("Settings", exact=True).click()
    row = page.locator("#settings tr", has_text="SERVICE_NAME")
    expect(row).to_contain_text("ships")
    expect(row).to_contain_text("variable SERVICE_NAME")


def test_copy_as_curl(browser: Browser, own_server: StartServer):
    server = serve(own_server)
    server.post(json=["it's"])
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(address(server))
    page.locator("#list button").first.click()

    page.get_by_role("button", name="Copy as curl").click()

    expect(page.locator("#done")).to_have_text("The command is copied.")
    command = page.evaluate("navigator.clipboard.readText()")
    context.close()
    assert command.startswith(f"curl -X POST http://127.0.0.1:{server.address.port}/score")
    assert "--data-raw" in command


def test_nothing_a_client_sends_is_markup(page: Page, own_server: StartServer):
    server = serve(own_server)
    evil = "<img src=x onerror=document.title='owned'>"
    server.post(json=[evil], headers={"X-Evil": evil, "Content-Type": "application/json"})
    server.post(f"/score?{evil.replace(' ', '%20')}", json=[])
    page.goto(address(server))
    expect(page.locator("#list tr")).to_have_count(2)
    page.locator("#list button").nth(1).click()

    expect(page.locator("#came")).to_contain_text(evil)
    assert page.title() == "main.py: debug"
    assert page.locator("img").count() == 0


def test_why_a_worker_died(page: Page, own_server: StartServer):
    source = BROKEN.replace(
        "    return", "    import os\n    os.abort() if data == '0' else 0\n    return"
    )
    server = own_server("", files={"main.py": source, "helper.py": HELPER},
                        arguments=["--debug", "--debug-port", str(free_port())])  # fmt: skip
    server.post(json=0)
    server.wait_ready()
    page.goto(address(server))

    expect(page.locator("#death")).to_contain_text("SIGABRT")
    document = server.get("/readyz").json()
    assert "SIGABRT" in document["last_worker_end"]
    assert "main.py" in document["last_worker_end"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser: Browser, own_server: StartServer, tmp_path: Path, scheme: Any):
    """Every text stands out from what is behind it: 4.5 to 1, as WCAG 2 asks."""
    server = serve(own_server)
    server.score([1, 3])
    server.post(json=[])
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 1400})
    page = context.new_page()
    page.goto(address(server))
    page.locator("#list button").first.click()
    expect(page.locator("#opened")).to_be_visible()

    page.screenshot(path=tmp_path / f"debug-{scheme}.png", full_page=True)
    weak = page.evaluate(CONTRAST)
    narrow = {"width": 360, "height": 800}
    page.set_viewport_size(narrow)
    wider = page.evaluate("document.documentElement.scrollWidth")
    page.screenshot(path=tmp_path / f"debug-{scheme}-narrow.png", full_page=True)
    context.close()

    assert weak == []
    assert wider <= narrow["width"]


CONTRAST = """() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = numbers(text).map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const color = getComputedStyle(node).backgroundColor;
      if (numbers(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const weak = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    if (!own || !node.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(node.tagName + ": " + node.textContent.trim());
  }
  return weak;
}"""


def test_only_in_debug_mode(live_server: StartServer):
    server = live_server("echo.py")

    for path in ("/debug", "/debug/", "/debug/state", "/debug/files/debug.js", "/debug/about"):
        assert server.get(path).status == 404
    assert server.post("/debug/reload", body=b"").status == 404
    assert server.post("/-/reload", body=b"").status == 404


def test_another_sites_page_gets_nothing(own_server: StartServer):
    server = serve(own_server)
    foreign = {"Origin": "https://evil.example"}

    assert server.get("/debug/state", headers=foreign).status == 403
    assert server.post("/debug/reload", body=b"", headers=foreign).status == 403
    own = {"Origin": f"http://127.0.0.1:{server.address.port}"}
    host = {"Host": f"127.0.0.1:{server.address.port}"}
    assert server.get("/debug/state", headers=own | host).status == 200
