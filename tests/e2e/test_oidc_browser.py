"""Signing in by OpenID Connect with a real browser: the login page, the provider's page, and back."""

import re
import urllib.parse

import pytest
from playwright.sync_api import sync_playwright

from support import binaries
from support.gate import bearer, check
from support.gatepost import Gatepost
from support.oidc import OidcProvider, mock
from support.visitor import ADMIN

RULES = [{"id": "base", "path": "/base", "scopes": {"all": ["base"]}}]
ACCOUNTS = {"sign_up": "first", "direct_scopes": ["*"], "end_users": {"scopes": ["base"]}, "require_phone": "never"}


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binaries.debian("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with OidcProvider(tmp_path_factory.mktemp("provider")) as provider:
        provider.person("ann", email="ann@example.com", email_verified=True)
        yield provider


@pytest.fixture(scope="module")
def gatepost(tmp_path_factory, provider):
    folder = tmp_path_factory.mktemp("gatepost")
    with Gatepost(folder, RULES, accounts=ACCOUNTS, environment={"MOCK_SECRET": provider.secret}, oidc={"mock": mock()}) as gatepost:
        gatepost.sign_up("founder")
        yield gatepost


@pytest.fixture
def page(chromium, gatepost, provider):
    """A browser that has been nowhere."""
    provider.control()
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(15_000)
    complaints = []
    page.on("console", lambda message: complaints.append(message.text))
    yield page
    context.close()
    assert not [text for text in complaints if "Content Security Policy" in text or "cookie" in text.lower()]


def sign_in(page, person, rd="/"):
    page.goto(f"{ADMIN}/login?rd={urllib.parse.quote(rd)}")
    page.get_by_role("link", name="Log in with Mock").click()
    page.get_by_placeholder("sub").fill(person)
    page.get_by_role("button", name="Authorize").click()


def who(page):
    page.goto(f"{ADMIN}/")
    assert page.url == f"{ADMIN}/", page.url
    return page.locator("dd").last.inner_text()


def log_out(page):
    page.goto(f"{ADMIN}/")
    page.get_by_role("button", name=re.compile("Log out")).click()
    page.get_by_text("You are logged out").wait_for()


def test_sign_up_log_in_again_log_out_and_automatically_in_again(page, gatepost, provider):
    sign_in(page, "ann", "/?from=here")
    key = page.locator("#api-key").inner_text()
    assert check("nginx", "GET", "/base", headers=bearer(gatepost.token(key))).one("x-auth-user") == "ann@example.com"
    page.get_by_role("link", name="Go on").click()
    assert page.url == f"{ADMIN}/?from=here"
    uid = who(page)

    log_out(page)
    # the link of that page asks, or nobody could ever come as somebody else
    page.get_by_role("link", name="Log in").click()
    page.get_by_role("link", name="Log in with Mock").wait_for()
    # and a logout lasts, though the provider's session stands
    page.goto(f"{ADMIN}/")
    sign_in(page, "ann")
    assert who(page) == uid
    # without one, any page that needs a login opens by itself while the provider's session stands
    for name in ("__Host-gatepost-console", "__Host-gatepost"):
        page.context.clear_cookies(name=name)
    assert who(page) == uid

    # another browser of the same person: the provider's page, no new account
    log_out(page)
    page.context.clear_cookies()
    sign_in(page, "ann", "/")
    page.wait_for_url(f"{ADMIN}/")
    assert who(page) == uid


def test_where_the_providers_session_has_ended_the_login_page_comes(page):
    sign_in(page, "bob")
    page.get_by_role("link", name="Go on").click()
    log_out(page)
    page.context.clear_cookies(domain="127.0.0.1")
    page.goto(f"{ADMIN}/")
    page.get_by_role("button", name="Log in").wait_for()
    page.goto(f"{ADMIN}/")
    page.get_by_role("button", name="Log in").wait_for()


def test_whoever_says_no_at_the_provider_is_told_so(page):
    page.goto(f"{ADMIN}/login")
    page.get_by_role("link", name="Log in with Mock").click()
    page.get_by_role("button", name="Deny").click()
    page.get_by_text("Mock did not log you in").wait_for()
    page.get_by_role("link", name="Back to the login page").click()
    page.get_by_role("link", name="Log in with Mock").wait_for()


@pytest.mark.parametrize("wrong", [{"claims": {"nonce": "another"}}, {"claims": {"aud": "another"}}, {"claims": {"exp": 1}}, {"sign": "none"}],
                         ids=["nonce", "audience", "expired", "alg none"])
def test_a_bad_answer_of_the_provider_logs_nobody_in(page, provider, wrong):
    provider.control(**wrong)
    sign_in(page, "ann")
    page.get_by_text("Nobody was logged in").wait_for()
    page.goto(f"{ADMIN}/")
    page.get_by_role("button", name="Log in").wait_for()


def test_an_invitation_is_typed_into_our_page(chromium, tmp_path, provider, gatepost):
    gatepost.stop()
    provider.control()
    folder = tmp_path / "invited"
    folder.mkdir()
    accounts = {**ACCOUNTS, "end_users": "off"}
    context = chromium.new_context()
    try:
        with Gatepost(folder, RULES, accounts=accounts, environment={"MOCK_SECRET": provider.secret}, oidc={"mock": mock()}) as house:
            founder = house.sign_up("founder")
            code = founder.call("POST", "/v1/invitations", {"role": "client", "scopes": ["base"]}).json["code"]
            page = context.new_page()
            sign_in(page, "ann")
            page.get_by_text("You need an invitation").wait_for()
            page.get_by_label("Invitation code").fill(code)
            page.get_by_role("button", name="Go on").click()
            # our page leads on to the provider by itself
            page.get_by_placeholder("sub").fill("ann")
            page.get_by_role("button", name="Authorize").click()
            page.locator("#api-key").wait_for()
            assert code not in page.url
            assert len(who(page)) == 32
    finally:
        context.close()
        gatepost.start()
