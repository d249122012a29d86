"""The console in a real browser: what a person and an admin do there, by forms alone, on a desk and on a phone."""

import json
import re
import time
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from support import totp
from support.browser import Hand
from support.console import BASE, chromium, go, log_in, tab_to, visits
from support.gate import bearer, changed, check
from support.gatepost import PASSWORD, Gatepost
from support.issuer import Issuer
from support.mail_server import Mailbox
from support.services import until

MAIL = 2525
RULES = json.dumps({
    "rules": [
        {"id": "orders-read", "hosts": ["api.example.com"], "methods": ["GET"], "path": "/orders/{id}", "scopes": {"all": ["orders:read"]}},
        {"id": "orders-write", "hosts": ["api.example.com"], "methods": ["POST"], "path": "/orders/{id}", "scopes": {"all": ["orders:write"]}, "enforce": False},
        {"id": "health", "path": "/health", "access": "anonymous"},
        {"id": "theirs", "path": "/theirs", "credentials": ["issuer:corp"]},
    ],
    "tests": [
        {"request": "GET https://api.example.com/orders/1", "scopes": ["orders:read"], "expect": "allow"},
        {"request": "GET https://api.example.com/orders/1", "scopes": ["other"], "expect": "deny"},
    ],
})
# before anybody is logged in
ENTRANCE = ["/login", "/login?rd=/console/keys", "/signup"]
PAGES = ["/", *(f"/console/{name}" for name in ("keys", "tokens", "logins", "account", "account/second-factor", "people", "policies", "invitations", "audit", "rules",
                                                 "try", "refusals", "issuers", "issuers/corp", "tenants"))]


def issuers(issuer):
    return [{"name": "corp", "issuer": issuer.address, "audiences": ["https://app.example"], "algorithms": ["RS256", "ES256", "EdDSA"]}]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    mailbox = Mailbox(folder, MAIL).start()
    senders = {"email": {"smtp": f"smtp://localhost:{MAIL}", "from": "gatepost@example.com"}}
    try:
        with (Issuer(folder) as issuer, Gatepost(folder, RULES, ports={"nginx": 9001}, senders=senders, issuers=issuers(issuer)) as gatepost,
              chromium() as browser):
            ann = gatepost.sign_up("ann")
            yield SimpleNamespace(gatepost=gatepost, browser=browser, ann=ann, mailbox=mailbox, issuer=issuer)
    finally:
        mailbox.stop()


@pytest.fixture
def visit(world):
    with visits(world.browser) as opened:
        yield opened


def status(credential, method="GET", path="/orders/1"):
    return check("nginx", method, path, "api.example.com", bearer(credential)).status


def test_sign_up_and_first_page(world, visit):
    page = visit(user=None)
    page.goto(f"{BASE}/console/keys")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("User name or e-mail").fill("dora")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("alert")).to_contain_text("too short")
    expect(page.get_by_label("User name or e-mail")).to_have_value("dora")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    key = page.locator("#api-key").inner_text()
    assert status(world.gatepost.token(key)) == 200
    # the way that began at a page leads on to it
    page.get_by_role("link", name="Go on").click()
    page.wait_for_url(f"{BASE}/console/keys")
    assert key not in page.content()
    go(page, "Overview")
    expect(page.get_by_role("definition").first).to_have_text("dora")
    # an admin of a tenant of her own, no super admin: the gates are not hers to see
    assert not page.get_by_role("link", name="Rules").count() and page.goto(f"{BASE}/console/rules").status == 403
    expect(page.get_by_role("alert")).to_have_text("That is not yours to do.")


def test_a_key_from_beginning_to_end(world, visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    go(page, "API keys")
    form = page.locator("section.card", has_text="A new key")
    form.get_by_label("Name").fill("nightly")
    form.get_by_label("Scopes").fill("no scope!")
    form.get_by_role("button").click()
    # what is wrong stands beside the form, and nothing that was filled in is lost
    expect(form.get_by_role("alert")).to_contain_text("Scopes")
    expect(form.get_by_label("Name")).to_have_value("nightly")
    form.get_by_label("Scopes").fill("orders:read, other")
    form.get_by_role("button").click()
    first = page.locator("#api-key").inner_text()
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == first
    token = world.gatepost.token(first)
    assert status(token) == 200
    page.get_by_role("link", name="I have copied it").click()
    assert first not in page.content()

    card = page.locator("article.card", has_text="nightly")
    card.get_by_text("Change scopes…").click()
    card.get_by_label("Scopes").fill("other")
    card.get_by_role("button", name="Change the scopes").click()
    expect(page.get_by_role("status")).to_contain_text("scopes are changed")
    assert status(token) == 403
    card.get_by_text("New secret…").click()
    card.get_by_role("button", name="Make a new secret").click()
    second = page.locator("#api-key").inner_text()
    assert second != first and world.gatepost.admin("POST", "/get-token", {"api_key": first}).status == 401
    assert world.gatepost.admin("POST", "/get-token", {"api_key": second}).status == 200
    page.get_by_role("link", name="I have copied it").click()
    card.get_by_text("Delete…").click()
    card.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("status")).to_contain_text("deleted")
    assert not card.count() and status(token) == 401
    assert world.gatepost.admin("POST", "/get-token", {"api_key": second}).status == 401


def test_tokens_and_logins_end(world, visit):
    token = world.ann.token("orders:read")
    other = visit()
    page = visit()
    go(page, "Live tokens")
    row = page.get_by_role("row").filter(has_text="orders:read").first
    row.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("ended")
    assert status(token) == 401
    go(page, "Logins")
    before = page.get_by_role("button", name="End login").count()
    page.get_by_role("button", name="End login").last.click()
    expect(page.get_by_role("status")).to_contain_text("ended")
    assert page.get_by_role("button", name="End login").count() == before - 1
    other.goto(f"{BASE}/console/keys")
    other.wait_for_url(re.compile(r"/login\?rd=%2Fconsole%2Fkeys$"))


def test_the_networks_of_a_key(world, visit):
    page = visit()
    go(page, "API keys")
    form = page.locator("section.card", has_text="A new key")
    form.get_by_label("Name").fill("office")
    form.get_by_label("Networks").fill("10.0.0.0/8\n10.0.0.0/33")
    form.get_by_role("button").click()
    # told at the field, and there alone
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(form.locator("label", has_text="Networks").get_by_role("alert")).to_contain_text("10.0.0.0/33")
    expect(form.get_by_label("Networks")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("Networks")).to_have_value("10.0.0.0/8\n10.0.0.0/33")
    form.get_by_label("Networks").fill("10.0.0.0/8, 2001:db8::/32")
    form.get_by_role("button").click()
    page.get_by_role("link", name="I have copied it").click()
    card = page.locator("article.card", has_text="office")
    expect(card.get_by_role("definition").filter(has_text="10.0.0.0/8")).to_contain_text("2001:db8::/32")
    card.get_by_text("Change what is agreed…").click()
    expect(card.get_by_label("Networks")).to_have_value("10.0.0.0/8\n2001:db8::/32")
    card.get_by_label("Networks").fill("nowhere")
    card.get_by_role("button", name="Change it").click()
    expect(card.locator("label", has_text="Networks").get_by_role("alert")).to_contain_text("nowhere")
    card.get_by_label("Networks").fill("192.0.2.7")
    card.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status")).to_contain_text("agreed")
    key = next(key for key in world.ann.call("GET", "/v1/keys").json["keys"] if key["name"] == "office")
    assert key["terms"] == {"networks": ["192.0.2.7/32"]}


def test_what_is_denied_of_other_issuers(world, visit):
    token = world.issuer.token(sub="auth0|7", jti="one")
    until("the issuer's keys are fetched", 10, lambda: status(token, path="/theirs") == 200)
    page = visit()
    go(page, "Issuers")
    page.get_by_role("link", name="Denials of corp").click()
    form = page.locator("section.card", has_text="Deny")
    form.get_by_label("Which").fill("a b")
    form.get_by_role("button").click()
    expect(form.locator("label", has_text="Which").get_by_role("alert")).to_contain_text("visible ASCII")
    form.get_by_label("Which").fill("auth0|7")
    form.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("Denied")
    assert status(token, path="/theirs") == 401
    form.get_by_label("What").select_option("jti")
    form.get_by_label("Which").fill("two")
    form.get_by_label("It stands").select_option("3600")
    form.get_by_role("button").click()
    expect(page.get_by_role("row").filter(has_text="two")).to_contain_text("in 59 minutes")
    page.get_by_role("button", name="Lift the denial of auth0|7").click()
    expect(page.get_by_role("status")).to_contain_text("lifted")
    assert status(token, path="/theirs") == 200
    assert [one["jti"] for one in world.ann.call("GET", "/v1/issuers/corp/denials").json["denials"]] == ["two"]


def test_the_account(world, visit):
    world.gatepost.sign_up("fred")
    page = visit("fred")
    go(page, "Account")
    page.get_by_text("Change e-mail or phone…").click()
    page.get_by_label("E-mail address or phone number").fill("fred")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("e-mail address")
    page.get_by_label("E-mail address or phone number").fill("fred@example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("main")).to_contain_text("fred@example.com not proved")
    page.get_by_role("button", name="Send a code there").click()
    expect(page.locator("main")).to_contain_text("A code is on its way to fred@example.com")
    code = code_after(world, 0)
    for given in (another(code), code):
        page.get_by_label("Code").fill(given)
        page.get_by_role("button", name="Prove it").click()
        if given != code:
            expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("main")).to_contain_text("fred@example.com proved")
    page.get_by_text("Change it…").click()
    for old, new, told in ((PASSWORD + "x", "nine purple elephants", "Incorrect"), (PASSWORD, "short", "too short")):
        page.get_by_label("The password now").fill(old)
        page.get_by_label("The new one").fill(new)
        page.get_by_role("button", name="Change the password").click()
        expect(page.get_by_role("alert")).to_contain_text(told)
    page.get_by_label("The password now").fill(PASSWORD)
    page.get_by_label("The new one").fill("nine purple elephants")
    page.get_by_label("Log out everywhere, here too").check()
    page.get_by_role("button", name="Change the password").click()
    page.wait_for_url(re.compile("/login"))
    log_in(page, "fred", "nine purple elephants")


def code_after(world, mails):
    """The code in the mail that comes after so many."""
    return re.search(r"Your code is (\d{6})\b", world.mailbox.next(mails)["text"]).group(1)


def another(code):
    return f"{(int(code) + 1) % 1_000_000:06}"


def test_a_code_logs_in(world, visit):
    hugo, address = world.gatepost.sign_up("hugo"), "hugo@example.com"
    assert hugo.call("POST", "/v1/profile", {"email": address}).status == 200
    mails = len(world.mailbox.mails())
    challenge = world.gatepost.admin("POST", "/v1/otp/send", {"email": address}).json["challenge"]
    proved = hugo.call("POST", "/v1/profile/verify", {"challenge": challenge, "code": code_after(world, mails)})
    assert proved.json["profile"]["email_verified"] is True, proved

    page = visit(user=None)
    page.goto(f"{BASE}/console/keys")
    name = page.get_by_label("User name, e-mail or phone")
    name.fill("hugo")
    page.get_by_role("button", name="Send me a code").click()
    expect(page.get_by_role("alert")).to_contain_text("e-mail address or a phone number")
    name.fill(address)
    page.get_by_role("button", name="Send me a code").click()
    expect(page.locator("main")).to_contain_text("a code is on its way")
    code = code_after(world, mails + 1)
    for given in (another(code), code):
        page.get_by_label("Code").fill(given)
        page.get_by_role("button", name="Log in").click()
        if given != code:
            expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.wait_for_url(f"{BASE}/console/keys")
    expect(page.locator("footer")).to_contain_text("hugo")


def test_a_key_by_keyboard_alone(world, visit):
    page = visit(to="/console/keys")
    keys = page.keyboard
    form = page.locator("section.card", has_text="A new key")
    tab_to(page, form.get_by_label("Name"))
    keys.type("by hand")
    tab_to(page, form.get_by_label("Scopes"))
    keys.type("orders:read")
    tab_to(page, form.get_by_role("button", name="Create the key"))
    keys.press("Space")
    token = world.gatepost.token(page.locator("#api-key").inner_text())
    tab_to(page, page.get_by_role("link", name="I have copied it"))
    keys.press("Enter")
    card = page.locator("article.card", has_text="by hand")
    tab_to(page, card.locator("summary", has_text="Delete…"))
    keys.press("Enter")
    tab_to(page, card.get_by_role("button", name="Delete for good"))
    keys.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("deleted")
    assert not card.count() and status(token) == 401


def test_a_tenant_is_blocked(world, visit):
    token = world.gatepost.sign_up("tina").token("orders:read")
    page = visit(to="/console/tenants")
    for button, after in (("Block", 401), ("Let in again", 200)):
        page.get_by_role("button", name=f"{button} tina").click()
        page.get_by_role("status").wait_for()
        assert status(token) == after, button


def test_people_policies_and_invitations(world, visit):
    page = visit()
    go(page, "Policies")
    form = page.locator("section.card", has_text="A new policy")
    form.get_by_label("Name").fill("readers")
    form.get_by_role("textbox", name=re.compile("^Gives")).fill("orders:read")
    form.get_by_role("button").click()
    expect(page.get_by_role("status")).to_contain_text("policy is made")

    go(page, "People")
    form = page.locator("section.card", has_text="Make somebody")
    form.get_by_label("Name").fill("cleo")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_label("What these policies give").check()
    form.get_by_label("readers").check()
    form.get_by_role("button", name="Make").click()
    cleos = world.gatepost.token(page.locator("#api-key").inner_text())
    assert status(cleos) == 200
    page.get_by_role("link", name="Go on").click()
    expect(page.locator("main")).to_contain_text("orders:read")
    # a policy that is changed reaches a live token at the next check
    go(page, "Policies")
    card = page.locator("article.card", has_text="readers")
    card.get_by_text("Change…").click()
    card.get_by_label("Takes").fill("orders:read")
    card.get_by_role("button", name="Change the policy").click()
    page.get_by_role("status").wait_for()
    assert status(cleos) == 403
    card.get_by_text("Change…").click()
    card.get_by_label("Takes").fill("")
    card.get_by_role("button", name="Change the policy").click()
    page.get_by_role("status").wait_for()
    assert status(cleos) == 200

    go(page, "People")
    page.get_by_role("link", name="cleo").click()
    for line, button, after in (("Block…", "Block", 401), ("Let in again…", "Let in again", 200)):
        page.get_by_text(line).click()
        page.get_by_role("button", name=button).click()
        page.get_by_role("status").wait_for()
        assert status(cleos) == after
    expect(page.get_by_role("heading", level=1)).to_have_text("cleo")
    for ticked, after in ((False, 403), (True, 200)):
        page.get_by_text("Policies…").click()
        page.get_by_label("readers").set_checked(ticked)
        page.get_by_role("button", name="Replace the policies").click()
        page.get_by_role("status").wait_for()
        assert status(cleos) == after
    # what is hers is seen by whoever stands above
    page.get_by_role("link", name="API keys").last.click()
    expect(page.locator("article.card")).to_have_count(1)

    go(page, "Invitations")
    form = page.locator("section.card", has_text="Invite someone")
    form.get_by_label("As").select_option("client")
    form.get_by_role("button", name="Invite").click()
    code = page.locator("#code").inner_text()
    expect(page.locator("main")).to_contain_text(f"They sign up at {BASE}/signup")
    guest = visit(user=None)
    guest.goto(f"{BASE}/signup")
    guest.get_by_label("Invitation code").fill(code)
    guest.get_by_label("User name or e-mail").fill("gina")
    guest.get_by_label("Password").fill(PASSWORD)
    guest.get_by_role("button", name="Sign up").click()
    guest.get_by_role("link", name="Go on").click()
    expect(guest.get_by_role("definition").nth(1)).to_have_text("client")
    form = page.locator("section.card", has_text="Invite someone")
    page.get_by_role("link", name="I have copied it").click()
    form.get_by_role("button", name="Invite").click()
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("button", name="Withdraw").click()
    expect(page.get_by_role("status")).to_contain_text("withdrawn")

    go(page, "People")
    page.get_by_role("link", name="cleo").click()
    page.get_by_text("Delete…").click()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("status").wait_for()
    assert status(cleos) == 401 and not page.get_by_role("link", name="cleo").count()

    go(page, "Audit trail")
    expect(page.get_by_role("cell", name="cleo").first).to_be_visible()
    expect(page.get_by_role("cell", name="principal end").first).to_be_visible()
    page.goto(f"{BASE}/console/audit?limit=3")
    seen = page.get_by_role("row").all_inner_texts()
    page.get_by_role("link", name="More").click()
    assert page.get_by_role("row").all_inner_texts()[1:] != seen[1:]


def test_what_the_gates_do(world, visit):
    token = world.ann.token("orders:read")
    assert [status(token), status(token, path="/nothing"), status(token, "POST")] == [200, 403, 200]
    page = visit()
    go(page, "Rules")
    expect(page.get_by_role("table", name="Rules")).to_contain_text("orders-write")
    expect(page.locator("main")).to_contain_text("2 passed")
    go(page, "Refusals")
    expect(page.get_by_role("table")).to_contain_text("no rule")
    expect(page.get_by_role("table")).to_contain_text("would be refused")

    go(page, "Try a request")
    page.get_by_label("URL").fill("https://api.example.com/orders/1")
    page.get_by_label("Or scopes").fill("orders:write")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("status")).to_contain_text("Refused")
    expect(page.get_by_role("status")).to_contain_text("orders:read")
    page.get_by_label("Or scopes").fill("")
    page.get_by_label("Token or API key").fill(token)
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("status")).to_contain_text("authentic and live")
    assert token not in page.content()
    page.get_by_label("URL").fill("ftp://nowhere")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("alert")).to_contain_text("Url")


def test_the_overview_is_live(world, visit):
    page = visit()
    expect(page.locator("main")).to_contain_text("answers")
    token = world.ann.token("orders:read")
    page.evaluate("document.querySelector('h1').dataset.kept = 'yes'")
    with page.expect_response(lambda reply: reply.url == f"{BASE}/", timeout=8000):
        for _ in range(200):
            status(token)
    for _ in range(3):
        status(token, path="/nothing")
    # the figures change by themselves; the page around them stays
    expect(page.get_by_role("row").filter(has_text="no rule")).to_be_visible(timeout=13_000)
    assert page.locator("h1").get_attribute("data-kept") == "yes"
    page.reload()
    expect(page.locator("svg.chart .line").first).to_have_attribute("d", re.compile("^M"))


def test_a_client_sees_what_is_its_own(world, visit):
    assert world.ann.call("POST", "/v1/clients", {"user": "carl", "password": PASSWORD}).status == 201
    page = visit("carl")
    names = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert "API keys" in names and "People" in names and not {"Audit trail", "Rules", "Tenants"} & set(names)
    for name in ("audit", "rules", "try", "refusals", "tenants"):
        assert page.goto(f"{BASE}/console/{name}").status == 403, name
    go_home = page.get_by_role("link", name="To the overview")
    go_home.click()
    page.wait_for_url(f"{BASE}/")


def test_a_second_factor(world, visit):
    tess = world.gatepost.sign_up("tess")
    page = visit("tess")
    page.get_by_role("link", name="Set up a second factor").click()
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    secret = page.locator("#secret").inner_text()
    page.get_by_role("textbox", name="Code").fill("12345")
    page.get_by_role("button", name="Turn it on").click()
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_role("textbox", name="Code").fill(totp.code(secret))
    page.get_by_role("button", name="Turn it on").click()
    codes = page.locator("ol.codes code").all_inner_texts()
    assert len(codes) == 10
    page.get_by_role("link", name="I have kept them").click()
    expect(page.locator("main")).to_contain_text("10 recovery codes are left")
    assert codes[0] not in page.content()

    # a program is told, too, and keys go on
    basic = {"user": "tess", "password": PASSWORD}
    assert world.gatepost.admin("POST", "/v1/login", basic).json["error"] == "second_factor_required"
    assert world.gatepost.admin("POST", "/v1/login", {**basic, "totp": codes[0]}).status == 200
    assert world.gatepost.admin("POST", "/v1/login", {**basic, "totp": codes[0]}).json["error"] == "incorrect_second_factor"
    assert world.gatepost.token(tess.api_key)

    other = visit(user=None)
    other.goto(f"{BASE}/login?rd=/console/keys")
    other.get_by_label("User name, e-mail or phone").fill("tess")
    other.get_by_label("Password").fill(PASSWORD)
    other.keyboard.press("Enter")
    field = other.get_by_label("Code of your authenticator app")
    field.fill("000 000")
    other.keyboard.press("Enter")
    expect(other.get_by_role("alert")).to_contain_text("wrong")
    # the code that turned it on is used up: the next one, half a minute early
    field.fill(totp.code(secret, time.time() + 30))
    other.keyboard.press("Enter")
    other.wait_for_url(f"{BASE}/console/keys")

    go(page, "Account")
    page.get_by_text("Remove it…").click()
    page.get_by_label("Code of your authenticator app").last.fill(codes[1])
    page.get_by_role("button", name="Remove the second factor").click()
    expect(page.get_by_role("status")).to_contain_text("removed")
    visit("tess")


def test_only_an_own_form_does_anything(world):
    """By hand, since no browser would send these."""
    hand = Hand("localhost:8000")
    assert hand.log_in("ann").status == 303
    page = hand.send("GET", "/console/keys", headers={"Accept": "text/html"})
    token = re.search(r'name="token" value="([^"]*)"', page.body.decode())[1]
    fields = {"token": token, "name": "planted"}
    keys = len(world.ann.call("GET", "/v1/keys").json["keys"])
    stranger = Hand("localhost:8000")
    assert stranger.log_in("ann").status == 303
    for answer in (
        hand.send("POST", "/console/keys", fields={"name": "planted"}),
        hand.send("POST", "/console/keys", fields={**fields, "token": changed(token)}),
        hand.send("POST", "/console/keys", fields=fields, headers={"Sec-Fetch-Site": "cross-site"}),
        hand.send("POST", "/console/keys", fields=fields, headers={"Sec-Fetch-Site": "same-site"}),
        stranger.send("POST", "/console/keys", fields=fields),
    ):
        assert answer.status == 403, answer
    assert hand.send("POST", "/console/keys", headers={"Content-Type": "text/plain"}).status == 415
    assert Hand("localhost:8000").send("POST", "/console/keys", fields=fields).one("location") == "/login"
    assert len(world.ann.call("GET", "/v1/keys").json["keys"]) == keys
    assert hand.send("POST", "/console/keys", fields=fields).status == 200
    assert len(world.ann.call("GET", "/v1/keys").json["keys"]) == keys + 1
    # an address brings no words of its own into a page
    assert b"Call+us" not in hand.send("GET", "/console/keys?done=Call+us").body


# what stands out at the side, or is too small for fingers
AMISS = """() => [
  ...(document.documentElement.scrollWidth > innerWidth ? ["the page"] : []),
  ...[...document.querySelectorAll("main form > button, footer button")].filter((button) => {
    const box = button.getBoundingClientRect();
    return box.height && (box.height < 36 || box.left < 0 || box.right > document.body.clientWidth + 1);
  }).map((button) => button.textContent),
]"""


def test_every_page_on_a_desk_and_on_a_phone(world, visit):
    long_name = "a-name-that-is-as-long-as-a-name-may-be-which-is-sixty-four-byte"
    made = world.ann.call("POST", "/v1/clients", {"user": long_name, "password": PASSWORD})
    key = world.ann.call("GET", "/v1/keys").json["keys"][0]["id"]
    pages = [*PAGES, f"/console/people/clients/{made.json['principal']['uid']}", f"/console/keys/{key}/usage"]
    for width in (390, 1280):
        for page, paths in ((visit(None, width), ENTRANCE), (visit(width=width), pages)):
            for path in paths:
                assert page.goto(f"{BASE}{path}").status == 200, path
                assert page.locator("h1").count() == 1, path
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    assert not page.evaluate(AMISS), (path, width, scheme)
    # without script all is there as well
    for page, paths in ((visit(None, 390, java_script_enabled=False), ENTRANCE), (visit(width=390, java_script_enabled=False), PAGES[:5])):
        for path in paths:
            assert page.goto(f"{BASE}{path}").status == 200, path
            box = page.locator("main form > button:visible, footer button").first.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["height"] >= 36, (path, box)
    # by keyboard: the first stop leads past the menu
    page = visit()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_the_overview_counts_what_is_known(world, visit):
    """It is counted in rounds of 32 seconds: one has gone by since the tests above, or soon will have."""
    assert status(world.ann.token("orders:read")) == 200
    page = visit()
    known = page.locator("div.card", has_text="Known without asking").locator(".figure")
    expect(known).to_have_text(re.compile("^[1-9]"), timeout=40_000)
