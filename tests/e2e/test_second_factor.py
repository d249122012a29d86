"""The second factor where it is required, in a real browser: led to its page, nothing else before; lost, and the ways back."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright

from support import binaries, totp
from support.gatepost import PASSWORD, Gatepost
from support.mail_server import Mailbox

BASE, MAIL = "http://localhost:8000", 2525
ACCOUNTS = {"sign_up": "open", "direct_scopes": ["*"], "require_phone": "never", "require_second_factor": "managers"}
SECOND_FACTOR = f"{BASE}/console/account/second-factor"


@pytest.fixture(scope="module")
def gatepost(tmp_path_factory):
    folder = tmp_path_factory.mktemp("second-factor")
    mailbox = Mailbox(folder, MAIL).start()
    senders = {"email": {"smtp": f"smtp://localhost:{MAIL}", "from": "gatepost@example.com"}}
    try:
        with Gatepost(folder, [], ports={"nginx": 9001}, environment={"CHOSEN": PASSWORD}, senders=senders, accounts=ACCOUNTS) as gatepost:
            gatepost.mailbox = mailbox
            gatepost.sign_up("ann")  # the founder, who is above everybody
            yield gatepost
    finally:
        mailbox.stop()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binaries.debian("chromium"), args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    contexts = []

    def opened(user, width=1280):
        contexts.append(chromium.new_context(viewport={"width": width, "height": 844}))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{BASE}/login?rd=/console/keys")
        page.get_by_label("User name, e-mail or phone").fill(user)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        return page

    yield opened
    for context in contexts:
        context.close()


def set_up(page):
    """From the page that one is led to: the secret and the recovery codes."""
    page.wait_for_url(SECOND_FACTOR)
    page.get_by_role("button", name="Set it up").click()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("textbox", name="Code").fill(totp.code(secret))
    page.get_by_role("button", name="Turn it on").click()
    codes = page.locator("ol.codes code").all_inner_texts()
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url(f"{BASE}/console/account")
    return secret, codes


def prove_address(gatepost, token, address):
    gatepost.mailbox.kept.write_text("")
    assert gatepost.admin("POST", "/v1/profile", {"email": address}, token=token).status == 200
    challenge = gatepost.admin("POST", "/v1/otp/send", {"email": address}).json["challenge"]
    code = re.search(r"Your code is (\d{6})", gatepost.mailbox.next(0)["text"]).group(1)
    assert gatepost.admin("POST", "/v1/profile/verify", {"challenge": challenge, "code": code}, token=token).status == 200


def test_whoever_manages_others_is_led_to_set_one_up(gatepost, visit):
    gatepost.sign_up("mia")
    page = visit("mia", width=390)
    page.wait_for_url(SECOND_FACTOR)
    for path in ("/", "/console/people", "/console/keys", "/login?rd=/console/audit"):
        page.goto(f"{BASE}{path}")
        page.wait_for_url(SECOND_FACTOR)
    login = gatepost.admin("POST", "/v1/login", {"user": "mia", "password": PASSWORD}).json["jwt"]["token"]
    told = gatepost.admin("GET", "/v1/keys", token=login)
    assert (told.status, told.json["error"]) == (403, "second_factor_setup_required")
    secret, codes = set_up(page)
    page.goto(f"{BASE}/console/people")
    assert page.url.endswith("/console/people") and gatepost.admin("GET", "/v1/keys", token=login).status == 200

    # new recovery codes: the old ones are good no longer
    page.goto(f"{BASE}/console/account")
    page.get_by_text("New recovery codes…").click()
    form = page.locator("form", has_text="Make new recovery codes")
    form.get_by_label("Code of your authenticator app").fill("000 000")
    form.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    form.get_by_label("Code of your authenticator app").fill(codes[0])
    form.get_by_role("button").click()
    fresh = page.locator("ol.codes code").all_inner_texts()
    assert len(fresh) == 10 and not set(fresh) & set(codes)
    basic = {"user": "mia", "password": PASSWORD}
    assert gatepost.admin("POST", "/v1/login", {**basic, "totp": codes[1]}).json["error"] == "incorrect_second_factor"
    assert gatepost.admin("POST", "/v1/login", {**basic, "totp": fresh[1]}).status == 200


def test_somebody_above_or_the_machine_lets_in_who_lost_it(gatepost, visit):
    page = visit("ann")
    set_up(page)
    # the founder has nobody above: whoever holds the machine
    assert gatepost.run("reset-second-factor", "nobody").stderr == "gatepost: there is no principal `nobody`\n"
    done = gatepost.run("reset-second-factor", "ann", check=0)
    assert "every login of theirs has ended" in done.stderr and done.stderr.endswith("applied\n"), done
    again = gatepost.run("reset-second-factor", "ann", check=1)
    assert "`ann` has no second factor" in again.stderr
    page = visit("ann")
    _, codes = set_up(page)
    # doctor is let in by a code, and then finds no proxy
    doctor = ("doctor", "http://127.0.0.1:9/", "--user", "ann", "--password-env", "CHOSEN")
    assert "second factor required; give a code of it" in gatepost.run(*doctor, check=1).stderr
    assert "second factor" not in gatepost.run(*doctor, "--totp", codes[0], check=1).stderr

    lena = gatepost.sign_up("lena")
    hers = visit("lena")
    _, codes = set_up(hers)
    login = gatepost.admin("POST", "/v1/login", {"user": "lena", "password": PASSWORD, "totp": codes[0]}).json["jwt"]["token"]
    prove_address(gatepost, login, "lena@example.com")
    page.goto(f"{BASE}/console/people/admins/{lena.uid}")
    page.get_by_text("Second factor…").click()
    page.get_by_role("button", name="Reset the second factor").click()
    expect(page.get_by_role("status")).to_contain_text("reset")
    assert not page.get_by_text("Second factor…").count()
    mail = gatepost.mailbox.next(1)
    assert mail["to"] == ["lena@example.com"] and "Your second factor was reset" in mail["text"] and "lena" in mail["text"]
    assert gatepost.admin("GET", "/v1/second-factor", token=login).status == 401
    hers.goto(f"{BASE}/console/keys")
    hers.wait_for_url(re.compile(r"/login\?rd="))
    assert gatepost.admin("POST", "/v1/login", {"user": "lena", "password": PASSWORD}).status == 200
