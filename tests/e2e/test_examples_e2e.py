"""`examples/e2e` against real instances: one where everything is right, and ones where something is not."""

import http.client
import os
import re
import sqlite3
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support import binaries
from support.gate import PORTS, SECRET
from support.gatepost import ADMIN, METRICS, NO_GATEPOST, PASSWORD
from support.proxies import PROXIES

SCRIPT = binaries.REPOSITORY / "examples/e2e"
RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}}]
ALLOWED = ("--allowed", "GET http://localhost/orders/1?page=2")
STAND_IN = 9300


@pytest.fixture
def gatepost(gatepost_with):
    return gatepost_with(RULES, senders={"log": True}).start()


def walk(*arguments, admin=f"http://127.0.0.1:{ADMIN}", **environment):
    command = [SCRIPT, *(("--admin", admin) if admin else ()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**NO_GATEPOST, **environment})
    assert "Traceback" not in done.stderr, done
    return done


def marks(done):
    """Each step with its mark."""
    return {title: mark for mark, title in re.findall(r"^(ok|FAIL|skip) +(.*)$", done.stdout, re.M)}


def afresh(gatepost):
    """The same instance with the throttle's memory of wrong passwords gone, for another walk from the same network."""
    gatepost.stop()
    gatepost.start()


def failed(done):
    assert done.returncode == 1, done
    return {title for title, mark in marks(done).items() if mark == "FAIL"}


def gate(proxy, secret=SECRET):
    return ("--gate", f"http://127.0.0.1:{PORTS[proxy]}", "--proxy", proxy, "--proxy-secret", secret, *ALLOWED)


def test_everything_is_right(gatepost, running_proxies, application):
    running_proxies.use(PROXIES[0])
    done = walk("--sign-up", "--metrics", f"http://127.0.0.1:{METRICS}", "--code-from", gatepost.log, "--through", "http://localhost:8081/orders/1", *gate("nginx"))
    assert done.returncode == 0 and set(marks(done).values()) == {"ok"}, done.stdout
    assert done.stdout.splitlines()[-1] == f"{len(marks(done))} ok, 0 failed"
    with sqlite3.connect(f"file:{gatepost.folder}/data/gatepost.db?mode=ro", uri=True) as database:
        for table in ("api_keys", "sessions"):
            left = f"select count(*) from {table} where ended_at is null and principal in (select uid from principals where ended_at is null)"
            assert database.execute(left).fetchone() == (0,), f"{table} are left behind"
        assert database.execute("select count(*) from principals where ended_at is null").fetchone() == (1,), "but for the account itself"
        assert database.execute("select count(*) from policies where ended_at is null").fetchone() == (0,)
        assert database.execute("select count(*) from invitations where ended_at is null and used_at is null").fetchone() == (0,)


@pytest.mark.parametrize("proxy", ["traefik", "caddy", "haproxy", "envoy"])
def test_every_gate_is_asked_as_its_proxy_asks(gatepost, proxy):
    done = walk("--sign-up", *gate(proxy))
    assert done.returncode == 0 and marks(done)["the gate lets a live token through, and nobody else"] == "ok", done.stdout


def test_somebody_who_has_an_account_keeps_it_as_it_is(gatepost):
    ann = gatepost.sign_up("ann")
    jwt, before = ann.login()["token"], len(ann.tokens())
    done = walk("--user", "ann", GATEPOST_E2E_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stdout
    assert gatepost.admin("POST", "/v1/verify", token=jwt).status == 200, "other sessions stay"
    assert [key["name"] for key in ann.call("GET", "/v1/keys").json["keys"]] == ["sign-up"] and len(ann.tokens()) == before
    assert len(ann.call("GET", "/v1/sessions").json["sessions"]) == 2


def test_a_wrong_gate_is_told(gatepost):
    letting_through = "the gate lets a live token through, and nobody else"
    assert letting_through in failed(walk("--sign-up", *gate("nginx", secret="wrong")))
    afresh(gatepost)
    assert letting_through in failed(walk("--sign-up", "--gate", f"http://127.0.0.1:{PORTS['nginx']}", "--proxy", "traefik", "--proxy-secret", SECRET, *ALLOWED))
    afresh(gatepost)
    nobody = walk("--sign-up", "--gate", "http://127.0.0.1:9", "--allowed", ALLOWED[1])
    assert letting_through in failed(nobody) and "http://127.0.0.1:9 does not answer" in nobody.stdout
    afresh(gatepost)
    not_allowed = walk("--sign-up", *gate("nginx")[:-2], "--allowed", "GET http://localhost/nowhere")
    assert letting_through in failed(not_allowed) and "may this person do that?" in not_allowed.stdout
    assert marks(not_allowed)["what was made is taken away"] == "ok"


class StandIn(BaseHTTPRequestHandler):
    """Passes requests on, and answers what `change` makes of the answers."""

    protocol_version = "HTTP/1.1"
    change = to = None

    def pass_on(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        connection = http.client.HTTPConnection("127.0.0.1", self.to, timeout=8)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        status, headers, text = type(self).change(self, answer.status, answer.getheaders(), answer.read())
        connection.close()
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "date", "server", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    def log_message(self, *_):
        pass


@contextmanager
def stand_in(to, change):
    server = ThreadingHTTPServer(("127.0.0.1", STAND_IN), type("Changed", (StandIn,), {"to": to, "change": change}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{STAND_IN}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_not_as_it_should_be_is_told(gatepost):
    def changing(old, new):
        return lambda self, status, headers, text: (status, headers, text.replace(old, new))

    def stored(self, status, headers, text):
        return status, [(n, v) for n, v in headers if n.lower() != "cache-control"], text

    def never_ends(self, status, headers, text):
        return (200, headers, b'{"ok":true,"deleted":true,"propagated":true,"timestamp":%d}' % 4e9) if self.command == "DELETE" else (status, headers, text)

    for change, title in ((changing(b"incorrect credentials", b"wrong password"), "a wrong password and an unknown user are answered alike"),
                          (changing(b'"killed_sessions":true', b'"killed_sessions":false'), "the password is changed"),
                          (changing(b"scope not held", b"not allowed"), "a token asks for no more than its key holds"),
                          (stored, "sign-up makes one account and shows one key"), (never_ends, "a deleted key takes its tokens along")):
        afresh(gatepost)
        with stand_in(ADMIN, change) as address:
            assert title in failed(walk("--sign-up", admin=address)), title

    afresh(gatepost)
    with stand_in(PORTS["nginx"], lambda self, status, headers, text: (200, [], b"")) as address:
        open_gate = failed(walk("--sign-up", "--gate", address, "--proxy-secret", SECRET, *ALLOWED))
    assert {"the gate refuses what no rule allows, and what it is not told", "a deleted key takes its tokens along"} <= open_gate


def test_a_wrong_password_or_address_fails(gatepost):
    assert "login by Basic and by JSON" in failed(walk("--user", "nobody", "--password", "not the password at all"))
    away = walk("--sign-up", admin="http://127.0.0.1:9")
    assert set(marks(away).values()) <= {"FAIL", "skip", "ok"} and "does not answer" in away.stdout and away.returncode == 1


def test_arguments():
    told = walk("--help", admin=None)
    assert told.returncode == 0
    for option in ("--admin", "--sign-up", "--user", "--gate", "--proxy", "--allowed", "--metrics", "--through", "--cacert", "examples:"):
        assert option in told.stdout
    for wrong in ((), ("--sign-up", "--user", "me"), ("--user", "me"), ("--sign-up", "--allowed", "orders"), ("--sign-up", "--proxy", "squid")):
        assert walk(*wrong).returncode == 2, wrong
    assert os.access(SCRIPT, os.X_OK)
