"""The docs page in Chromium, against the real server: what it shows and what it does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from support.server import LiveServer, StartServer

DESCRIBED = Path(__file__).parents[1] / "scripts" / "described"

VERSIONS = {"2": "Swagger 2.0", "3": "OpenAPI 3.0", "3.1": "OpenAPI 3.1"}


def serve(start: StartServer, script: str, **options: Any) -> LiveServer:
    """Serve one of the scripts that the description's tests have too."""
    files = {"main.py": (DESCRIBED / script).read_text(), **options.pop("files", {})}
    return start("", files=files, **options)


def address(server: LiveServer, target: str = "/docs") -> str:
    return f"http://127.0.0.1:{server.address.port}{target}"


def operation(page: Page, name: str) -> Locator:
    """Unfold an operation, ready to be tried out."""
    block = page.locator(f"#operations-Scoring-{name}")
    block.locator(".opblock-summary-control").click()
    return block


def execute(block: Locator) -> tuple[int, Any]:
    """Press Execute and read the answer that the page shows."""
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    status = int(answer.locator(".response-col_status").inner_text().split()[0])
    return status, json.loads(answer.locator(".highlight-code code").first.inner_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_try_it_out_scores_for_real(page: Page, live_server: StartServer, version: str) -> None:
    """The sample of the decorators, as the page offers it, in each version."""
    server = serve(live_server, "power_bi.py")
    page.goto(address(server, f"/docs?version={version}"))

    block = operation(page, "RunMLService")
    offered = json.loads(block.locator("textarea.body-param__text").input_value())
    status, answer = execute(block)

    assert offered["Inputs"]["data"] == [{"age": 39, "job": "clerk", "member": True}]
    assert (status, answer) == (200, {"Results": [0.0]})
    server.wait_for_line("POST /score 200")


def test_try_it_out_with_a_body_of_ones_own(page: Page, live_server: StartServer) -> None:
    server = serve(live_server, "power_bi.py")
    page.goto(address(server))

    block = operation(page, "RunMLService")
    rows = [{"age": age, "job": "clerk", "member": False} for age in (20, 30, 40)]
    inputs = {"data": rows, "flags": [[True, True]]}
    body = {"Inputs": inputs, "GlobalParameters": {"method": "predict"}}
    block.locator("textarea.body-param__text").fill(json.dumps(body))

    assert execute(block) == (200, {"Results": [0.0, 0.0, 0.0]})


def test_the_caller_sees_what_was_wrong(page: Page, live_server: StartServer) -> None:
    server = serve(live_server, "power_bi.py")
    page.goto(address(server))

    block = operation(page, "RunMLService")
    block.locator("textarea.body-param__text").fill("[]")
    with page.expect_response("**/score") as response:
        block.get_by_role("button", name="Execute").click()

    assert response.value.status == 400


def test_values_in_the_query_string(page: Page, live_server: StartServer) -> None:
    server = serve(live_server, "one_row.py")
    page.goto(address(server))

    block = operation(page, "RunMLServiceByQuery")
    block.get_by_placeholder("age").fill("39")
    block.get_by_placeholder("job").fill("clerk")
    block.get_by_role("button", name="Add number item").click()
    block.locator("[data-param-name=scores] input").fill("1.5")
    with page.expect_request("**/score?*") as request:
        assert execute(block) == (200, 1.0)

    assert request.value.url.endswith("/score?age=39&job=clerk&scores=%5B1.5%5D")


def test_versions_are_a_click_away(page: Page, live_server: StartServer) -> None:
    server = serve(live_server, "power_bi.py")
    page.goto(address(server))

    for version, label in VERSIONS.items():
        page.get_by_role("link", name=label).click()
        expect(page.get_by_role("link", name=label)).to_have_attribute("aria-current", "page")
        expect(page.locator(".info .version-stamp")).to_have_text(re.compile(rf"OAS\s*{version}"))


def test_a_prefix_for_the_proxy_does_not_lead_the_page_astray(
    page: Page, live_server: StartServer
) -> None:
    server = serve(live_server, "power_bi.py", settings={"SERVICE_PATH_PREFIX": "/api/ships"})
    assert "/api/ships/score" in server.get("/swagger.json").json()["paths"]

    for version in VERSIONS:
        page.goto(address(server, f"/docs?version={version}"))
        assert execute(operation(page, "RunMLService"))[0] == 200


def test_a_document_of_the_users_own_scores_here_too(page: Page, live_server: StartServer) -> None:
    """Whatever host and path it names for others."""
    own = {
        "swagger": "2.0",
        "info": {"title": "My ships", "version": "1"},
        "host": "ships.example",
        "basePath": "/v1",
        "schemes": ["https"],
        "paths": {
            "/score": {
                "post": {
                    "operationId": "mine",
                    "tags": ["Scoring"],
                    "parameters": [
                        {"name": "b", "in": "body", "schema": {"example": {"a": [1]}}},
                    ],
                    "responses": {"200": {"description": "Fine."}},
                }
            }
        },
    }
    server = serve(live_server, "no_hints.py", files={"swagger.json": json.dumps(own)})
    page.goto(address(server))

    expect(page.locator(".info .title")).to_contain_text("My ships")
    status, answer = execute(operation(page, "mine"))
    assert (status, json.loads(answer)) == (200, {"a": [1]})


def test_a_raw_script_takes_a_file(page: Page, live_server: StartServer, tmp_path: Path) -> None:
    server = serve(live_server, "raw.py")
    image = tmp_path / "image.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff")
    page.goto(address(server))

    block = operation(page, "RunMLService")
    block.get_by_role("combobox", name="Request content type").select_option(
        "application/octet-stream"
    )
    block.locator("input[type=file]").set_input_files(image)

    assert execute(block) == (200, {"bytes": 10})


def test_the_page_comes_by_itself_when_the_script_is_ready(
    page: Page, own_server: StartServer
) -> None:
    server = own_server("gated_init.py", wait="listening")
    answer = page.goto(address(server))
    assert answer is not None
    assert answer.status == 503
    expect(page.get_by_role("heading")).to_have_text("Not ready yet")

    server.make("init.go")

    expect(page.locator("#operations-Scoring-RunMLService")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(page: Page, live_server: StartServer, scheme: Any) -> None:
    server = serve(live_server, "power_bi.py")
    page.emulate_media(color_scheme=scheme)
    page.goto(address(server))
    expect(page.locator("#operations-Scoring-RunMLService")).to_be_visible()

    dark = "dark-mode" in (page.locator("html").get_attribute("class") or "")

    assert dark == (scheme == "dark")
