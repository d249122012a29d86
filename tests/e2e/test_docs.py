"""The viewer of the OpenAPI document in a real browser: everything is shown, requests can be sent, nobody else is asked."""

import json

import pytest
from playwright.sync_api import sync_playwright

from support import binaries
from support.gatepost import ADMIN, PASSWORD, Gatepost

BASE = f"http://127.0.0.1:{ADMIN}"


@pytest.fixture(scope="module")
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("docs"), [{"id": "all", "path": "/**", "access": "anonymous"}]) as gatepost:
        gatepost.sign_up("ann")
        yield gatepost


@pytest.fixture
def page(gatepost):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binaries.debian("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(15_000)
        asked, complaints = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        browser.close()
        assert [text for text in complaints if not text.startswith("Failed to load resource")] == []
        assert [url for url in asked if not url.startswith(BASE)] == []


def opened(page, operation):
    shown = page.locator(f"details#{operation}")
    shown.locator("summary").first.click()
    shown.get_by_role("button", name="Send").wait_for()
    return shown


def send(shown):
    shown.get_by_role("button", name="Send").click()
    answer = shown.locator("pre").last
    answer.get_by_text("x-request-id").wait_for()
    head, _, body = answer.inner_text().partition("\n\n")
    return head, body


def test_every_operation_is_shown_and_can_be_sent(page, gatepost):
    page.goto(f"{BASE}/docs")
    page.locator("details.operation").first.wait_for()
    paths = gatepost.admin("GET", "/openapi.json").json["paths"]
    names = {operation["operationId"] for item in paths.values() for method, operation in item.items() if method in ("get", "put", "post", "patch", "delete")}
    assert {shown.get_attribute("id") for shown in page.locator("details.operation").all()} == names

    login = opened(page, "post_v1_login")
    assert "401" in login.inner_text() and "Credentials" in login.inner_text()
    login.locator("textarea").fill(json.dumps({"user": "ann", "password": PASSWORD}))
    head, body = send(login)
    assert head.startswith("200")
    page.locator("#bearer").fill(json.loads(body)["jwt"]["token"])

    page.locator("#find").fill("get /v1/keys list live")
    assert page.locator("details.operation:not(.hidden)").count() == 1
    head, body = send(opened(page, "get_v1_keys"))
    assert head.startswith("200") and len(json.loads(body)["keys"]) == 1
    page.locator("#find").fill("")

    shown = opened(page, "delete_v1_tokens_id")
    shown.locator("input").first.fill("0" * 32)
    page.locator("#bearer").fill("")
    page.evaluate("window.marked = true")
    shown.get_by_role("button", name="Send").click()
    shown.locator("pre").last.get_by_text("401").first.wait_for()
    assert page.evaluate("window.marked")
