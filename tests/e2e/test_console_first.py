"""The console of a Gatepost that nobody has founded yet: it asks for a phone number first, and its tokens are in Redis."""

import pytest
from playwright.sync_api import expect

from support.console import BASE, chromium, go, log_in, visits
from support.gate import bearer, changed, check
from support.gatepost import PASSWORD, Gatepost
from support.sms_gateway import TWILIO, TWILIO_SENDER

PHONE = "+919876543210"
RULES = [{"id": "orders", "path": "/orders", "scopes": {"all": ["orders:read"]}}]
ACCOUNTS = {"sign_up": "first", "direct_scopes": ["*"], "require_phone": "first"}


@pytest.fixture
def gatepost(tmp_path, gateway, redis):
    store = {"store": f"redis://127.0.0.1:{redis.port}"}
    with Gatepost(tmp_path, RULES, ports={"nginx": 9001}, environment={"SMS_KEY": TWILIO}, accounts=ACCOUNTS, tokens=store, senders={"sms": TWILIO_SENDER}) as started:
        yield started


def test_the_first_visit(gatepost, gateway, redis):
    set_up_code = gatepost.said().split("Set-up code (to sign up first from another machine): ")[1].split()[0]
    with chromium() as browser, visits(browser) as visit:
        # who comes from another machine shows the code; a browser by a proxy that says so does
        page = visit(None, extra_http_headers={"X-Forwarded-For": "192.0.2.1"})
        page.goto(f"{BASE}/login?rd=/console/keys")
        page.get_by_role("link", name="Sign up").click()
        page.get_by_label("User name or e-mail").fill("ann")
        for code in (changed(set_up_code), set_up_code):
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_label("Set-up code").fill(code)
            page.get_by_role("button", name="Sign up").click()
            if code != set_up_code:
                expect(page.get_by_role("alert")).to_contain_text("set-up code")
        token = gatepost.token(page.locator("#api-key").inner_text())
        page.get_by_role("link", name="Go on").click()
        page.wait_for_url(f"{BASE}/console/keys")

        page = visit("ann")
        card = page.locator("section.card", has_text="First, your phone number")
        card.get_by_label("E-mail address or phone number").fill("12")
        card.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("phone number")
        page.get_by_label("E-mail address or phone number").fill(PHONE)
        page.get_by_role("button", name="Save").click()
        page.get_by_role("button", name="Send a code there").click()
        page.get_by_label("Code").fill(gateway.next(0)["code"])
        page.get_by_role("button", name="Prove it").click()
        expect(page.get_by_role("status")).to_contain_text("Proved")
        go(page, "Overview")
        assert not card.count()

        # what the store tells of itself, and that it is away
        assert check("nginx", "GET", "/orders", "api.example.com", bearer(token)).status == 200
        page.reload()
        store = page.locator("div.card", has_text="Token store").locator(".figure")
        expect(store).to_have_text("answers")
        with redis.away():
            expect(store).to_have_text("away", timeout=13_000)
        log_in(visit(None), "ann")
