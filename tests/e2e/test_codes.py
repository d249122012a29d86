"""One-time codes over the wire: a real mail server, SMS gateways, and the gate that shows who proved what."""

import re
import shutil

import pytest

from support.certificates import Authority
from support.gate import bearer, check
from support.mail_server import USER, WORD, Mailbox
from support.services import until
from support.sms_gateway import FAST2SMS_KEY, FAST2SMS_SENDER, TWILIO, TWILIO_SENDER

MAIL = 2525
RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}},
         {"id": "me", "path": "/me/**", "credentials": ["api_key"], "scopes": {"all": ["orders:read"]}}]
PHONE, EMAIL = "+919876543210", "ann@example.com"
EMAIL_SENDER = {"smtp": f"smtp://localhost:{MAIL}", "from": "Gatepost <gatepost@example.com>"}
END_USERS = {"sign_up": "first", "end_users": {"scopes": ["orders:read"]}, "require_phone": "never"}


@pytest.fixture
def mailbox(tmp_path):
    started = Mailbox(tmp_path, MAIL).start()
    yield started
    started.stop()


def post(gatepost, path, body, **named):
    return gatepost.admin("POST", path, body, **named)


def code_of(mail):
    return re.search(r"Your code is (\d{6})\b", mail["text"]).group(1)


def by_phone(gatepost, gateway, phone=PHONE):
    before = len(gateway.sms())
    sent = post(gatepost, "/v1/otp/send", {"phone": phone})
    assert (sent.status, sent.json["sent"], sent.json["expires_in"]) == (200, True, 300), sent
    return sent.json["challenge"], gateway.next(before)["code"]


def by_mail(gatepost, mailbox, email=EMAIL):
    before = len(mailbox.mails())
    sent = post(gatepost, "/v1/otp/send", {"email": email})
    assert sent.status == 200, sent
    mail = mailbox.next(before)
    assert mail["to"] == [email]
    return sent.json["challenge"], code_of(mail)


def log_in(gatepost, challenge, code, **more):
    return post(gatepost, "/v1/otp/login", {"challenge": challenge, "code": code, **more})


def shown_at_the_gate(gatepost, api_key):
    """What the application would see of whoever holds this key: by a token of it, and by the key itself."""
    answers = [check("nginx", "GET", "/orders/1", headers=bearer(gatepost.token(api_key))),
               check("nginx", "GET", "/me/1", headers=[("X-Api-Key", api_key)])]
    assert [answer.status for answer in answers] == [200, 200], answers
    (shown,) = {answer.one("X-Auth-User") for answer in answers}
    return shown


@pytest.mark.parametrize("sender, key, digits", [(FAST2SMS_SENDER, FAST2SMS_KEY, PHONE[1:]), (TWILIO_SENDER, TWILIO, PHONE)], ids=["fast2sms", "twilio"])
def test_a_phone_becomes_an_end_user_whom_the_gate_knows(gatepost_with, gateway, sender, key, digits):
    with gatepost_with(RULES, accounts=END_USERS, senders={"sms": sender}, environment={"SMS_KEY": key}) as gatepost:
        gatepost.sign_up("boss")
        challenge, code = by_phone(gatepost, gateway)
        assert gateway.sms()[0]["to"] == digits
        first = log_in(gatepost, challenge, code)
        assert (first.status, first.json["created"]) == (200, True), first
        assert shown_at_the_gate(gatepost, first.json["api_key"]) == PHONE
        assert log_in(gatepost, challenge, code).status == 401
        again = log_in(gatepost, *by_phone(gatepost, gateway))
        assert (again.status, again.json["created"], again.json["uid"]) == (200, False, first.json["uid"])
        assert "api_key" not in again.json
        until("what was sent is counted", 5, lambda: 'gatepost_codes_sent_total{channel="sms",result="sent"} 2' in gatepost.metrics())
        # no sender: said plainly
        none = post(gatepost, "/v1/otp/send", {"email": EMAIL})
        assert (none.status, none.json["error"]) == (400, "invalid_request") and "senders.email" in none.json["message"], none
        said = gatepost.said(100_000)
        # six digits after a point are a time's
        assert not re.search(rf"(?<![.\d]){code}\b", said) and PHONE[1:] not in said and key not in said, "no code, number or secret is logged"


def test_a_mailbox_proves_who_its_owner_is(gatepost_with, mailbox):
    accounts = {"sign_up": "open", "direct_scopes": ["*"], "require_phone": "never"}
    with gatepost_with(RULES, accounts=accounts, senders={"email": EMAIL_SENDER}) as gatepost:
        password = "a long enough password"
        squatter = post(gatepost, "/v1/register", {"email": EMAIL, "password": password})
        assert squatter.status == 201, squatter
        key = squatter.json["api_key"]
        token = gatepost.token(key)
        assert shown_at_the_gate(gatepost, key) == squatter.json["uid"], "an unproved address is never shown"
        owner = log_in(gatepost, *by_mail(gatepost, mailbox))
        assert (owner.status, owner.json["created"]) == (200, False), owner
        # what let the one in who signed up has ended, at the next check
        assert check("nginx", "GET", "/orders/1", headers=bearer(token)).status == 401
        assert check("nginx", "GET", "/me/1", headers=[("X-Api-Key", key)]).status == 401
        assert post(gatepost, "/v1/login", {"email": EMAIL, "password": password}).status == 401
        made = post(gatepost, "/v1/keys", {}, token=owner.json["jwt"]["token"])
        assert made.status == 201, made
        assert shown_at_the_gate(gatepost, made.json["api_key"]) == EMAIL


def test_wrong_codes_and_too_many_of_them(gatepost_with, mailbox):
    with gatepost_with(RULES, accounts=END_USERS, senders={"email": EMAIL_SENDER}) as gatepost:
        gatepost.sign_up("boss")
        challenge, code = by_mail(gatepost, mailbox)
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        for _ in range(5):
            refused = log_in(gatepost, challenge, wrong)
            assert (refused.status, refused.json["message"]) == (401, "incorrect code"), refused
        assert log_in(gatepost, challenge, code).status == 401, "five tries, whoever makes the sixth"
        assert log_in(gatepost, *by_mail(gatepost, mailbox)).status == 200
        assert post(gatepost, "/v1/otp/send", {"email": EMAIL}).status == 200
        limited = post(gatepost, "/v1/otp/send", {"email": EMAIL})
        assert (limited.status, limited.json["message"]) == (429, "too many tries"), limited
        assert 0 < int(limited.one("Retry-After")) <= 600
        # the count is in the database: a new process has it, too
        gatepost.stop()
        gatepost.start()
        assert post(gatepost, "/v1/otp/send", {"email": EMAIL}).status == 429


def test_a_profile_proves_a_phone_and_its_refresh_key_logs_in(gatepost_with, gateway):
    accounts = {"sign_up": "first", "require_phone": "always"}
    with gatepost_with(RULES, accounts=accounts, senders={"sms": TWILIO_SENDER}, environment={"SMS_KEY": TWILIO}) as gatepost:
        made = post(gatepost, "/v1/register", {"user": "ann", "password": "a long enough password"})
        assert (made.status, made.json["phone_required"], made.json.get("api_key")) == (201, True, None), made
        jwt = post(gatepost, "/v1/login", {"user": "ann", "password": "a long enough password"}).json["jwt"]["token"]
        assert post(gatepost, "/v1/keys", {}, token=jwt).json["message"] == "phone required"
        said = post(gatepost, "/v1/profile", {"phone": PHONE}, token=jwt).json["profile"]
        assert (said["phone"], said["phone_verified"]) == (PHONE, False)
        challenge, code = by_phone(gatepost, gateway)
        proved = post(gatepost, "/v1/profile/verify", {"challenge": challenge, "code": code}, token=jwt)
        assert (proved.status, proved.json["profile"]["phone_verified"], proved.json["profile"]["phone_required"]) == (200, True, False), proved
        key = post(gatepost, "/v1/keys", {}, token=jwt).json["api_key"]
        assert shown_at_the_gate(gatepost, key) == "ann"
        chosen = "eleven purple kettles"
        assert post(gatepost, "/v1/refresh-key", {"refresh_key": "kettles"}, token=jwt).json["message"] == "weak refresh key"
        assert post(gatepost, "/v1/refresh-key", {"refresh_key": chosen}, token=jwt).json["refresh_key_set"] is True
        login = post(gatepost, "/v1/refresh-key/login", {"phone": PHONE, "refresh_key": chosen})
        assert (login.status, login.json["uid"]) == (200, made.json["uid"]), login
        wrong = post(gatepost, "/v1/refresh-key/login", {"phone": PHONE, "refresh_key": "wrong"})
        assert (wrong.status, wrong.json["message"]) == (401, "incorrect credentials")


def test_starttls_and_a_password(gatepost_with, tmp_path):
    authority = Authority(tmp_path / "authority")
    key = authority.key()
    (tmp_path / "mail.pem").write_text(authority.sign(key, 1))
    (tmp_path / "mail.key").write_text(key)
    mailbox = Mailbox(tmp_path, MAIL, tmp_path / "mail.pem", tmp_path / "mail.key").start()
    sender = {**EMAIL_SENDER, "smtp": f"smtp://{USER}@localhost:{MAIL}", "password": {"env": "MAIL_PASSWORD"}}
    try:
        with gatepost_with(RULES, accounts=END_USERS, senders={"email": sender}, environment={"MAIL_PASSWORD": WORD}) as gatepost:
            gatepost.sign_up("boss")
            assert log_in(gatepost, *by_mail(gatepost, mailbox)).status == 200
            (mail,) = mailbox.mails()
            assert (mail["tls"], mail["user"], mail["from"]) == (True, USER, "gatepost@example.com")
        shutil.rmtree(tmp_path / "data")
        with gatepost_with(RULES, accounts=END_USERS, senders={"email": sender}, environment={"MAIL_PASSWORD": "another"}) as gatepost:
            gatepost.sign_up("boss")
            assert post(gatepost, "/v1/otp/send", {"email": EMAIL}).status == 200, "whether it could be sent is not told"
            until("what was refused is counted", 5, lambda: 'channel="email",result="refused"' in gatepost.metrics())
            assert len(mailbox.mails()) == 1
    finally:
        mailbox.stop()


def test_a_sender_that_is_away_tells_nothing(gatepost_with):
    with gatepost_with(RULES, accounts=END_USERS, senders={"email": EMAIL_SENDER}) as gatepost:
        gatepost.sign_up("boss")
        sent = post(gatepost, "/v1/otp/send", {"email": EMAIL})
        assert sent.status == 200, sent
        until("what failed is counted", 10, lambda: 'channel="email",result="failed"' in gatepost.metrics())
        until("and logged", 5, lambda: "a one-time code was not sent" in gatepost.said(100_000))
        assert EMAIL not in gatepost.said(100_000)


def test_the_log_is_a_sender_for_a_first_try(gatepost_with):
    with gatepost_with(RULES, accounts=END_USERS, senders={"log": True}) as gatepost:
        gatepost.sign_up("boss")
        sent = post(gatepost, "/v1/otp/send", {"phone": PHONE})
        until("the code is in the log", 5, lambda: f"one-time code for {PHONE}" in gatepost.said(100_000))
        code = re.search(rf"one-time code for {re.escape(PHONE)}: (\d{{6}})", gatepost.said(100_000)).group(1)
        assert log_in(gatepost, sent.json["challenge"], code).status == 200
        assert "one-time codes stand in the log" in gatepost.said(100_000)
