"""`gatepost explain` tells what became of a credential: on the files beside a server, and asked of the running instance."""

import json
import subprocess
import time

import pytest

from support import binaries
from support.gate import PORTS, changed, question
from support.gatepost import ADMIN, NO_GATEPOST, PASSWORD, Person
from support.services import until
from support.wire import exchange

RULES = [{"id": "orders", "path": "/orders/{id}", "methods": ["GET"], "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key", "jwt"],
          "on_store_error": {"allow_cached_for": "30s"}}]
URL = "https://api.example/orders/1"


@pytest.fixture(scope="module")
def stores(redis):
    return {"embedded": "embedded", "redis": "redis://127.0.0.1:6390/0"}


def asked(gatepost, login, *arguments, status=0, url=URL, admin=f"http://127.0.0.1:{ADMIN}"):
    """By --admin, without any configuration at hand."""
    command = [binaries.gatepost(), "explain", "GET", url, "--json", "--admin", admin, *arguments]
    environment = {**NO_GATEPOST, **({"GATEPOST_ADMIN_TOKEN": login} if login else {})}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done
    return json.loads(done.stdout) if status == 0 else done.stderr


@pytest.mark.parametrize("store", ["embedded", "redis"])
def test_each_fate_is_told(gatepost_with, stores, store):
    with gatepost_with(RULES, tokens={"store": stores[store], "ttl": "8s"}) as gatepost:
        ann = gatepost.sign_up("ann")
        login = ann.login()["token"]
        answer = ann.call("POST", "/v1/clients", {"user": "cleo", "password": PASSWORD})
        cleo = Person(gatepost, "cleo", answer.json["principal"]["uid"], answer.json["api_key"])
        jwt = cleo.login()["token"]
        unused, minted = ann.token("orders:read"), time.time()
        # its idle end lies on the grid of tenths of the ttl, a second at least, behind the ttl and the second that a slide may wait
        ends = next(token["expires_at"] for token in ann.tokens() if token["scopes"] == ["orders:read"])
        assert ends - minted <= 8 + 1 + 1, (ends, minted)

        doomed_id, doomed = ann.key("orders:read")
        of_doomed = gatepost.token(doomed)
        assert ann.call("DELETE", f"/v1/keys/{doomed_id}").status == 200
        rotated_id, rotated = ann.key("orders:read")
        assert ann.call("POST", f"/v1/keys/{rotated_id}/rotate", {}).status == 200
        short = ann.call("POST", "/v1/keys", {"scopes": ["orders:read"], "expires_in": 1}).json["api_key"]
        ended = ann.token("orders:read", "other")
        ann.end("orders:read", "other")
        of_blocked = cleo.token("orders:read")
        assert ann.call("PATCH", f"/v1/clients/{cleo.uid}", {"blocked": True}).status == 200
        deleted = [
            ("forged", "invalid_credential", ["--token", changed(unused)]),
            ("ended", "invalid_credential", ["--token", ended]),
            ("key_deleted", "invalid_credential", ["--token", of_doomed]),
            ("key_deleted", "invalid_credential", ["--api-key", doomed]),
            ("secret_replaced", "invalid_credential", ["--api-key", rotated]),
            ("blocked", "invalid_credential", ["--token", of_blocked]),
            ("blocked", "invalid_credential", ["--token", jwt]),
        ]
        live = ann.token("orders:read", "live")

        def compare(rows):
            login = ann.login()["token"]
            for state, reason, arguments in rows:
                told = asked(gatepost, login, *arguments)
                assert (told["credential_state"], told["reason"]) == (state, reason), (arguments[0], told)
                offline = json.loads(gatepost.run("explain", "GET", URL, "--json", *arguments, check=0).stdout)
                expected = "assumed_live" if (store, state, arguments[0]) == ("redis", "live", "--token") else state
                assert (offline["credential_state"], offline["reason"]) == (expected, reason), (arguments[0], offline)
                assert told["answer"] == offline["answer"] or state == "live"

        compare([("live", None, ["--token", live]), ("live", None, ["--api-key", ann.api_key]), *deleted])
        time.sleep(max(0, ends + 1 - time.time()))  # nobody uses it meanwhile; it is told in whole seconds
        assert asked(gatepost, ann.login()["token"], "--token", unused)["credential_state"] == "expired"
        assert asked(gatepost, ann.login()["token"], "--token", login)["credential_state"] == "expired"
        assert asked(gatepost, ann.login()["token"], "--api-key", short)["credential_state"] == "key_expired"
        if store == "embedded":
            compare([("expired", "invalid_credential", ["--token", unused])])


def test_a_running_instance_is_asked(gatepost_with, tmp_path, redis):
    with gatepost_with(RULES, tokens={"store": "redis://127.0.0.1:6390/1"}) as gatepost:
        ann = gatepost.sign_up("ann")
        login = ann.login()["token"]
        (tmp_path / "login.jwt").write_text(login + "\n")
        told = asked(gatepost, None, "--scopes", "a", "--gate", "envoy", "--admin-token-file", str(tmp_path / "login.jwt"))
        assert (told["gate"], told["missing_scopes"], told["rule"]) == ("envoy", "orders:read", "orders")
        assert "for up to 31s" in told["on_store_error"] and told["answer"].startswith("HTTP/1.1 403")
        told = asked(gatepost, login, url="https://api.example/order/1")
        assert [(one["rule"], one["why_not"]) for one in told["nearly"]] == [("orders", "segment 1 is `order`, not `orders`")]
        # as text it is what the files tell
        same = ["explain", "GET", URL, "--scopes", "a"]
        text = subprocess.run([binaries.gatepost(), *same, "--admin", f"http://127.0.0.1:{ADMIN}"], env={**NO_GATEPOST, "GATEPOST_ADMIN_TOKEN": login},
                              capture_output=True, text=True, timeout=30, cwd="/").stdout
        assert text == gatepost.run(*same, check=0).stdout and "missing" in text

        assert "by --admin-token-file" in asked(gatepost, None, status=1)
        assert "the login has ended or is not of this instance" in asked(gatepost, login[:-4] + "AAAA", status=1)
        bob = gatepost.sign_up("bob")
        assert "only super admins" in asked(gatepost, bob.login()["token"], status=1)
        assert "`url`" in asked(gatepost, login, status=1, url="ftp://api.example/")
        for elsewhere in ("http://auth.example.com", "http://192.0.2.7:8000", "http://127.0.0.1@auth.example.com"):
            told = asked(gatepost, login, status=1, admin=elsewhere)
            assert "would show the login to the network" in told and login not in told
        until("it ends", 5, lambda: gatepost.stop() is None)
        assert f"http://127.0.0.1:{ADMIN}/v1/explain" in asked(gatepost, login, status=1)


BROWSER = [("Accept", "text/html,*/*;q=0.8")]
PAGES = {"id": "pages", "hosts": ["app.example"], "path": "/pages/**", "credentials": ["session"], "login_redirect": True}
CHECKS = {
    "allowed": (200, "/orders/1", "reader", []),
    "nobody": (401, "/orders/1", None, []),
    "without the scope": (403, "/orders/1", "other", []),
    "no rule": (403, "/elsewhere", None, []),
    "a browser, to the login": (302, "/pages/1?a=b", None, BROWSER),
    "no browser": (401, "/pages/1", None, []),
}


def said_by(answer):
    """Status, headers but for what belongs to the connection, and body."""
    headers = [(name.lower(), value) for name, value in answer.headers if name.lower() not in ("date", "connection")]
    return answer.status, sorted(headers), answer.body.decode()


def shown(text):
    """The same of the answer that `explain` shows."""
    head, _, body = text.partition("\n\n")
    line, *headers = head.splitlines()
    pairs = [tuple(header.split(": ", 1)) for header in headers]
    return int(line.split()[1]), sorted(pair for pair in pairs if pair[0] != "connection"), body.rstrip("\n")


@pytest.mark.parametrize("path", ["/verify", "/explain"])
def test_the_bytes_are_the_gate_s(gatepost_with, path):
    """Whatever a proxy asks, `explain` shows the very answer that its gate gives."""
    with gatepost_with([*RULES, PAGES], admin={"listen": f"127.0.0.1:{ADMIN}", "public_url": "https://auth.example.com"}) as gatepost:
        ann = gatepost.sign_up("ann")
        keys = {"reader": ann.key("orders:read")[1], "other": ann.key("other")[1]}
        for proxy in PORTS:
            for name, (status, uri, key, headers) in CHECKS.items():
                asks = question(proxy, "GET", uri, headers=headers, path=path)
                line, *lines = asks.decode().rstrip().split("\r\n")
                arguments = ["--request-line", line.removesuffix(" HTTP/1.1"), *(word for header in lines for word in ("--header", header))]
                arguments += ["--api-key", keys[key]] if key else []
                explained = gatepost.run("explain", "--gate", proxy, "--json", *arguments, check=0)
                presented = [("X-Api-Key", keys[key])] if key else []
                answer = exchange(PORTS[proxy], question(proxy, "GET", uri, headers=[*headers, *presented], path=path))
                told = json.loads(explained.stdout)
                assert shown(told["answer"]) == said_by(answer), (proxy, name)
                assert told["status"] == status, (proxy, name, told)
                is_native = path == "/explain" or proxy != "nginx" or status == 200
                assert answer.status == (503 if (path, status) == ("/explain", 200) else status) if is_native else answer.one("x-deny-status") == str(status)


def test_each_of_two_gates_for_one_proxy_is_reached(gatepost_with):
    """By the proxy's name the first, by where it listens any; offline and asked of the running instance."""
    gates = [{"proxy": "caddy", "listen": "127.0.0.1:9003"}, {"proxy": "caddy", "listen": "127.0.0.1:9013", "identity_headers": {"Remote-User": "subject.name"}}]
    with gatepost_with(RULES, gates=gates) as gatepost:
        ann = gatepost.sign_up("ann")
        login = ann.login()["token"]
        for gate, tells in (("caddy", False), ("127.0.0.1:9003", False), ("127.0.0.1:9013", True)):
            arguments = ["--gate", gate, "--api-key", ann.api_key]
            running = asked(gatepost, login, *arguments)
            offline = json.loads(gatepost.run("explain", "GET", URL, "--json", *arguments, check=0).stdout)
            assert [("remote-user: ann" in told["answer"]) for told in (running, offline)] == [tells, tells], (gate, running)
        unknown = "there is no gate `127.0.0.1:9023`: name one of 127.0.0.1:9003, 127.0.0.1:9013, or where it listens"
        assert unknown in asked(gatepost, login, "--gate", "127.0.0.1:9023", status=1)
        assert unknown in gatepost.run("explain", "GET", URL, "--gate", "127.0.0.1:9023", check=1).stderr
        # a proxy without a gate is explained as if it had one
        assert json.loads(gatepost.run("explain", "GET", URL, "--json", "--gate", "nginx", check=0).stdout)["gate"] == "nginx"
