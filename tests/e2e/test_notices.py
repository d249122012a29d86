"""What owners and their systems are told of keys: a real mail server, and a receiver that checks every signature, and is away."""

import hashlib
import hmac
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support.mail_server import Mailbox
from support.services import until

MAIL, HOOK = 2525, 2590
SECRET = "what webhooks are signed with"
RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["api_key"]}]
DAY = 24 * 3600
SENDERS = {"email": {"smtp": f"smtp://localhost:{MAIL}", "from": "Gatepost <gatepost@example.com>"}}
WEBHOOKS = [{"url": f"http://127.0.0.1:{HOOK}/told", "secret": {"env": "WEBHOOK_SECRET"}}]


class Receiver:
    """Takes what is signed rightly."""

    def __init__(self):
        self.events, self.wrong = [], []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signed = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", self.headers["Gatepost-Signature"])
                right = hmac.new(SECRET.encode(), signed[1].encode() + b"." + body, hashlib.sha256).hexdigest()
                event = json.loads(body)
                if not hmac.compare_digest(right, signed[2]) or abs(time.time() - int(signed[1])) > 60 or event["id"] != self.headers["Gatepost-Event-Id"]:
                    receiver.wrong.append((dict(self.headers), body))
                receiver.events.append(event)
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", HOOK), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, key):
        return [event for event in self.events if event["key"]["id"] == key]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        assert not self.wrong, self.wrong


@pytest.fixture
def mailbox(tmp_path):
    started = Mailbox(tmp_path, MAIL).start()
    yield started
    started.stop()


def prove(gatepost, person, mailbox, email):
    """The person proves that the address is theirs."""
    assert person.call("POST", "/v1/profile", {"email": email}).status == 200
    before = len(mailbox.mails())
    challenge = gatepost.admin("POST", "/v1/otp/send", {"email": email}).json["challenge"]
    code = re.search(r"Your code is (\d{6})\b", mailbox.next(before)["text"])[1]
    assert person.call("POST", "/v1/profile/verify", {"challenge": challenge, "code": code}).status == 200


def made(person, name, expires_in=None):
    answer = person.call("POST", "/v1/keys", {"name": name, **({"expires_in": expires_in} if expires_in else {})})
    assert answer.status == 201, answer
    return answer.json["key"]["id"]


def test_ends_are_told_before_and_when_they_come(gatepost_with, mailbox):
    receiver = Receiver()
    with gatepost_with(RULES, senders=SENDERS, webhooks=WEBHOOKS, environment={"WEBHOOK_SECRET": SECRET}) as gatepost:
        ann = gatepost.sign_up("ann")
        prove(gatepost, ann, mailbox, "ann@example.com")
        before = len(mailbox.mails())
        deleted, expiring, expired = made(ann, "deleted"), made(ann, "expiring", DAY + 1), made(ann, "expired", 1)
        assert ann.call("DELETE", f"/v1/keys/{deleted}").status == 200
        until("all is told", 30, lambda: all(receiver.of(key) for key in (deleted, expiring, expired)), every=0.1)
        until("all is mailed", 10, lambda: len(mailbox.mails()) == before + 3)
        told = {key: receiver.of(key) for key in (deleted, expiring, expired)}
        assert [(events[-1]["type"], events[-1].get("days"), events[-1].get("cause")) for events in told.values()] == [
            ("key.ended", None, "deleted"), ("key.expiring", 1, None), ("key.ended", None, "expired")]
        assert told[deleted][0]["key"]["owner"] == ann.uid and told[deleted][0]["key"]["name"] == "deleted"
        mails = mailbox.mails()[before:]
        assert all(mail["to"] == ["ann@example.com"] for mail in mails)
        subjects = {re.search(r"^Subject: (.*?)\r?$", mail["text"], re.M)[1] for mail in mails}
        assert subjects == {'Your API key "deleted" was deleted', 'Your API key "expiring" ends in 1 day', 'Your API key "expired" has ended'}
        assert len(receiver.events) == 3 and 'gatepost_notices_total{channel="webhook",result="sent"} 3' in gatepost.metrics()
    receiver.stop()


def test_what_could_not_be_told_outlives_the_process(gatepost_with):
    gatepost = gatepost_with(RULES, webhooks=WEBHOOKS, environment={"WEBHOOK_SECRET": SECRET})
    with gatepost:
        ann = gatepost.sign_up("ann")
        key = made(ann, "lost")
        assert ann.call("DELETE", f"/v1/keys/{key}").status == 200
        until("it was tried", 15, lambda: 'gatepost_notices_total{channel="webhook",result="failed"}' in gatepost.metrics(), every=0.1)
        gatepost.kill()
        receiver = Receiver()
        gatepost.start()
        until("it is told", 20, lambda: receiver.of(key), every=0.1)
        assert receiver.of(key)[0]["cause"] == "deleted"
        assert SECRET not in gatepost.said(10**7)
        receiver.stop()
