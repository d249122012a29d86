"""Who stands above, as the gate sees it: create-admin, clients, policies, invitations, and what super admins see of it."""

import json
import os
import pty
import subprocess
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from support.gate import bearer, check
from support.gatepost import PASSWORD, Person
from support.services import until

RULES = [
    {"id": "orders-read", "path": "/orders/**", "methods": ["GET"], "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
    {"id": "orders-write", "path": "/orders/**", "methods": ["POST"], "scopes": {"all": ["orders:write"]}},
    {"id": "trial", "path": "/trial", "scopes": {"all": ["trial"]}, "enforce": False},
]


def made(gatepost, user):
    done = gatepost.run("create-admin", "--user", user, "--password-env", "CHOSEN", "--json", check=0)
    return json.loads(done.stdout), done.stderr


def gate(method, uri, headers):
    return check("nginx", method, uri, headers=headers).status


def test_create_admin_before_the_first_start_and_beside_a_server(gatepost_with):
    gatepost = gatepost_with(RULES, accounts={"sign_up": "invitation", "require_phone": "never"}, environment={"CHOSEN": PASSWORD})
    ann, note = made(gatepost, "ann")
    assert ann["role"] == "super_admin" and "next start" in note
    with gatepost:
        bob, note = made(gatepost, "bob")
        assert bob["role"] == "admin" and "applied" in note
        for person in (ann, bob):
            assert gate("GET", "/orders/1", bearer(gatepost.token(person["api_key"]))) == 200
        assert gatepost.admin("POST", "/v1/register", {"user": "eve", "password": PASSWORD}).status == 403
        again = gatepost.run("create-admin", "--user", "ann", "--password-env", "CHOSEN")
        assert again.returncode == 1 and "never given again" in again.stderr
        told = Person(gatepost, "ann", ann["uid"], ann["api_key"]).call("GET", "/v1/admins").json["principals"]
        assert [(one["name"], one["parent"]) for one in told] == [("bob", ann["uid"])]


def test_create_admin_asks_on_a_terminal_and_shows_nothing_of_the_password(gatepost_with):
    gatepost = gatepost_with(RULES)
    ours, theirs = pty.openpty()
    command = [*gatepost.command, "create-admin", "--user", "ann"]
    asked = subprocess.Popen(command, cwd=gatepost.folder, env=gatepost.environment, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    for question in (b"password: ", b"once more: "):
        while not shown.endswith(question):
            shown += os.read(ours, 1024)
        os.write(ours, PASSWORD.encode() + b"\n")
    out, _ = asked.communicate(timeout=20)
    os.close(ours)
    assert asked.returncode == 0 and b"gpk_" in out
    assert PASSWORD.encode() not in shown + out


@pytest.mark.parametrize("store", ["embedded", "redis://127.0.0.1:6390/0"])
def test_policies_and_blocks_reach_the_gate(gatepost_with, redis, store):
    with gatepost_with(RULES, tokens={"store": store}) as gatepost:
        ann = gatepost.sign_up("ann")
        policy = ann.call("POST", "/v1/policies", {"name": "orders", "allow": ["orders:*"]}).json["policy"]
        answer = ann.call("POST", "/v1/clients", {"user": "cleo", "password": PASSWORD, "policies": [policy["id"]]})
        assert answer.status == 201, answer
        cleo = Person(gatepost, "cleo", answer.json["principal"]["uid"], answer.json["api_key"])
        token, key = bearer(cleo.token()), [("X-Api-Key", cleo.api_key)]
        assert [gate("GET", "/orders/1", token), gate("POST", "/orders/1", token), gate("GET", "/orders/1", key)] == [200] * 3
        said = {"name": "orders", "allow": ["orders:*"], "deny": ["orders:write"]}
        assert ann.call("PUT", f"/v1/policies/{policy['id']}?strict=true", said).json["strict"] is True
        assert [gate("GET", "/orders/1", token), gate("POST", "/orders/1", token)] == [200, 403]
        assert ann.call("PUT", f"/v1/policies/{policy['id']}", said | {"deny": []}).status == 200
        assert gate("POST", "/orders/1", token) == 200
        # a sub-client whom she invites falls with her
        code = cleo.call("POST", "/v1/invitations", {"role": "sub_client"}).json["code"]
        sue = gatepost.sign_up("sue", invitation=code)
        hers = bearer(sue.token())
        assert gate("GET", "/orders/1", hers) == 200
        assert gatepost.admin("POST", "/v1/register", {"user": "dan", "password": PASSWORD, "invitation": code}).json["error"] == "invitation_required"
        for blocked, status in ((True, 401), (False, 200)):
            assert ann.call("PATCH", f"/v1/clients/{cleo.uid}", {"blocked": blocked}).status == 200
            assert [gate("GET", "/orders/1", who) for who in (token, key, hers)] == [status] * 3
        assert ann.call("DELETE", f"/v1/clients/{cleo.uid}").status == 200
        assert [gate("GET", "/orders/1", who) for who in (token, key, hers)] == [401] * 3


def test_what_super_admins_see(gatepost_with):
    gatepost = gatepost_with(RULES)
    with gatepost:
        ann = gatepost.sign_up("ann")
        key_id, key = ann.key("orders:read")
        token = gatepost.token(key)
        assert gate("GET", "/orders/1?secret=1", bearer(token)) == 200
        assert gate("POST", "/orders/1?secret=1", bearer(token)) == 403
        assert gate("GET", "/trial", bearer(token)) == 200
        told = ann.call("GET", "/v1/decisions").json["decisions"]
        assert [(d["path"], d["reason"], d["status"], d["would"], d["rule"]) for d in told] == [
            ("/trial", "insufficient_scope", None, True, "trial"),
            ("/orders/1", "insufficient_scope", 403, False, "orders-write"),
        ]
        assert told[0]["uid"] == ann.uid and told[0]["key_id"] == key_id and "secret" not in str(told)
        rules = ann.call("GET", "/v1/rules").json["rules"]
        assert [(r["id"], r["path"], r["methods"], r["all"], r["enforce"]) for r in rules] == [
            ("orders-read", "/orders/**", ["GET"], ["orders:read"], True),
            ("orders-write", "/orders/**", ["POST"], ["orders:write"], True),
            ("trial", "/trial", [], ["trial"], False),
        ]
        explained = ann.call("POST", "/v1/explain", {"method": "POST", "url": "https://app.example/orders/1", "token": token})
        assert explained.status == 200, explained
        assert (explained.json["explanation"]["reason"], explained.json["explanation"]["credential"]) == ("insufficient_scope", "authentic and live")
        assert ann.call("DELETE", f"/v1/keys/{key_id}").status == 200
        explained = ann.call("POST", "/v1/explain", {"method": "GET", "url": "/orders/1", "token": token}).json["explanation"]
        assert explained["reason"] == "invalid_credential" and "ended" in explained["credential"]
        bob = gatepost.sign_up("bob")
        for path in ("/v1/decisions", "/v1/rules", "/v1/tenants"):
            assert bob.call("GET", path).status == 403
    # when keys were last used outlives a stop
    gatepost.start()
    used = {one["name"]: one["last_used_at"] for one in ann.call("GET", "/v1/keys").json["keys"]}
    assert used == {"sign-up": None}
    gatepost.token(ann.api_key)
    gatepost.stop()
    gatepost.start()
    assert ann.call("GET", "/v1/keys").json["keys"][0]["last_used_at"] is not None


def test_an_open_api_is_closed_without_an_outage(gatepost_with):
    """At first every rule lets pass and tells whom it would refuse; once it is enforced, whoever has the right notices nothing."""
    open_rules = [{**rule, "enforce": False} for rule in RULES]
    with gatepost_with(open_rules) as gatepost, ThreadPoolExecutor() as pool:
        ann = gatepost.sign_up("ann")
        key_id, key = ann.key("orders:read")
        closed, statuses = Event(), []

        def ask():
            while not closed.wait(0.005):
                statuses.append(gate("GET", "/orders/1", [("X-Api-Key", key)]))

        asking = pool.submit(ask)
        assert gate("GET", "/orders/2", []) == 200
        [told] = ann.call("GET", "/v1/decisions").json["decisions"]
        assert (told["path"], told["rule"], told["reason"], told["would"], told["status"]) == ("/orders/2", "orders-read", "no_credential", True, None)
        until("the log tells", 5, lambda: 'result="shadow"' in gatepost.said())
        line = [line for line in gatepost.said().splitlines() if 'result="shadow"' in line][-1]
        assert "orders-read" in line and "no_credential" in line and "gatepost explain" in line, line
        gatepost.write_rules([{name: value for name, value in rule.items() if name != "enforce"} for rule in RULES])
        until("whoever has no key is refused", 10, lambda: gate("GET", "/orders/2", []) == 401)
        enough = len(statuses) + 30
        until("the key is used", 10, lambda: asking.done() or len(statuses) > enough)
        closed.set()
        asking.result(10)
        assert set(statuses) == {200}, statuses
        refused = ann.call("GET", "/v1/decisions").json["decisions"][0]
        assert (refused["path"], refused["would"], refused["status"]) == ("/orders/2", False, 401)


@pytest.mark.parametrize("log", [{"level": "error"}, {"format": "json"}], ids=str)
def test_each_audit_entry_is_a_line_of_json(gatepost_with, log):
    """Whatever the log is kept at: a line for each row, and nothing in it that is no JSON."""
    with gatepost_with(RULES, log=log) as gatepost:
        ann = gatepost.sign_up("ann")
        key_id, _ = ann.key("orders:read")
        assert ann.call("DELETE", f"/v1/keys/{key_id}").status == 200
        assert gatepost.admin("POST", "/v1/login", {"user": "ann", "password": "not the password"}).status == 401

        def rows():
            entries = ann.call("GET", "/v1/audit?limit=1000").json["entries"]
            return [{name: value for name, value in entry.items() if name != "id"} for entry in reversed(entries)]

        until("the refusal stands in the trail", 5, lambda: rows()[-1]["result"] == "refused")
        lines = [json.loads(line) for line in gatepost.said(100_000).splitlines() if '"action"' in line]
        assert lines == rows()
        told = [(line["actor"], line["action"], line["target"], line["from"], line["result"]) for line in lines]
        assert (ann.uid, "key_end", key_id, "127.0.0.1", "done") in told and ("unknown", "login", ann.uid, "127.0.0.1", "refused") in told
        assert PASSWORD not in str(lines) and "not the password" not in str(lines)
