"""The program as its operator sees it: health, metrics, stop, reload, crash, key rotation."""

import json
import os
import secrets
import signal
import threading
import time

import pytest

from support.gate import PORTS, bearer, check, question
from support.gatepost import METRICS, call
from support.services import until
from support.wire import Connection

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
]
LONG = bool(os.environ.get("GATEPOST_LONG"))


def ask(token=None, uri="/orders/1", proxy="nginx"):
    return check(proxy, uri=uri, headers=bearer(token) if token else ())


# Health and metrics -------------------------------------------------------------------------------------------------

def test_health_and_metrics(gatepost_with):
    with gatepost_with(RULES) as gatepost:
        token = gatepost.sign_up("alice").token("orders:read")
        assert ask(token).status == 200 and ask(uri="/open/a").status == 200
        assert ask().status == 401 and ask("gpt_forged").status == 401 and ask(token, "/nowhere").status == 403
        for path in ("/healthz", "/readyz"):
            assert call(METRICS, "GET", path).status == 200
        lines = [line for line in gatepost.metrics().splitlines() if line and not line.startswith("#")]
        assert all(line.startswith("gatepost_") for line in lines), [line for line in lines if not line.startswith("gatepost_")]
        decisions = [line for line in lines if 'rule="' in line and 'result="' in line]
        for wanted in ('rule="orders"', 'rule="open"', 'reason="no_credential"', 'reason="invalid_credential"', 'reason="no_rule"'):
            assert any(wanted in line for line in decisions), (wanted, decisions)
        for wanted in ("build_info", "reload", "_bucket", "store"):
            assert any(wanted in line for line in lines), (wanted, lines)
        assert token not in "\n".join(lines)
        for path in ("/", "/verify", "/explain", "/v1/login"):
            assert call(METRICS, "GET", path).status == 404


REFUSED = {
    "no_credential": lambda alice: ("nginx", {"uri": "/orders/1?token=in-a-query"}),
    "insufficient_scope": lambda alice: ("traefik", {"uri": "/orders/1", "headers": bearer(alice.token("other:scope"))}),
    "no_rule": lambda alice: ("envoy", {"method": "DELETE", "uri": "/nowhere"}),
    "no_rule for a word of shell": lambda alice: ("nginx", {"uri": "/$(touch${IFS}hit);'`touch$IFS-hit`'&|*?\"!x"}),
    "path_refused": lambda alice: ("caddy", {"uri": "/orders/../1"}),
    "path_refused for bytes": lambda alice: ("nginx", {"uri": b"/caf\xe9/'\t\\"}),
    "invalid_credential": lambda alice: ("haproxy", {"uri": "/orders/1", "headers": [("X-Api-Key", "gpk_madeup")]}),
    "credential_not_accepted": lambda alice: ("traefik", {"uri": "/tokens-only/1", "headers": [("X-Api-Key", alice.api_key)]}),
    "method_not_listed": lambda alice: ("nginx", {"method": "DELETE", "uri": "/tokens-only/1"}),
    "request_not_described": lambda alice: ("nginx", {"host": None}),
    "request_not_described twice": lambda alice: ("traefik", {"headers": [("X-Forwarded-Uri", "/x")]}),
    "request_not_described by its host": lambda alice: ("envoy", {"host": "a,b'$(id)"}),
    "proxy_secret": lambda alice: ("nginx", {"uri": "/open/a", "secret": "guess"}),
}


def test_a_refusal_s_log_line_ends_with_what_reproduces_it(gatepost_with):
    rules = [*RULES, {"id": "tokens-only", "methods": ["GET"], "path": "/tokens-only/**", "scopes": {"all": ["orders:read"]}}]
    with gatepost_with(rules) as gatepost:
        alice = gatepost.sign_up("alice")
        told = {}
        for n, (case, request) in enumerate(REFUSED.items()):
            proxy, asked = request(alice)
            answer = check(proxy, **{**asked, "headers": [*asked.get("headers", ()), ("X-Request-Id", f"case-{n}.")]})
            assert answer.status in (401, 403), (case, answer)
            told[case] = f"case-{n}."
        until("all are logged", 2, lambda: all(id in gatepost.said(100_000) for id in told.values()))
        said = gatepost.said(100_000)
        for case, request_id in told.items():
            [line] = [line for line in said.splitlines() if request_id in line]
            reason = case.split()[0]
            assert reason in line, line
            done = gatepost.run_printed(line[line.index("gatepost explain "):])
            assert reason in done.stdout, (line, done)
        for secret in ("gpt_", alice.api_key, "gpk_madeup", "guess", "in-a-query"):
            assert secret not in said
        assert "\x1b" not in said  # colours are for terminals
        assert not [path for path in gatepost.folder.iterdir() if "hit" in path.name]


def test_of_several_gates_for_one_proxy_it_names_the_one_that_was_asked(gatepost_with):
    asked = f"127.0.0.1:{PORTS['nginx']}"
    first = {"proxy": "nginx", "listen": "127.0.0.1:9019", "from": {"key": ["X-Other-Key"]}}
    second = {"proxy": "nginx", "listen": asked, "from": {"key": ["X-Own-Key"]}}
    with gatepost_with(RULES, gates=[first, second]) as gatepost:
        assert check("nginx", uri="/orders/1", headers=[("X-Request-Id", "of-two")]).status == 401
        logged = lambda: [line for line in gatepost.said().splitlines() if "of-two" in line]  # noqa: E731
        until("it is logged", 2, logged)
        command = logged()[-1]
        command = command[command.index("gatepost explain "):]
        assert f"--gate {asked}" in command, command
        told = gatepost.run_printed(command)
        assert "no_credential" in told.stdout and "x-own-key" in told.stdout, told


def test_json_log(gatepost_with):
    with gatepost_with(RULES, log={"format": "json", "level": "debug"}) as gatepost:
        token = gatepost.sign_up("alice").token("orders:read")
        assert ask(token).status == 200 and ask().status == 401
        time.sleep(0.3)
        lines = [json.loads(line) for line in gatepost.said(50_000).splitlines() if line.startswith("{")]
        text = [json.dumps(line) for line in lines]
        assert any("no_credential" in line and "orders" in line for line in text)
        assert not any(token in line for line in text)


# Stop ---------------------------------------------------------------------------------------------------------------

def test_graceful_stop(gatepost_with):
    """Not ready first; then every check is still answered, over idle connections too; all within 25 s."""
    gatepost = gatepost_with(RULES).start()
    idle = [Connection(PORTS["nginx"], 30) for _ in range(3)]
    for connection in idle[:2]:
        connection.send(question("nginx", uri="/open/a"))
        assert connection.answer().status == 200
    half = Connection(PORTS["nginx"], 30)
    whole = question("nginx", uri="/open/a")
    half.send(whole[:-2])

    gatepost.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    until("not ready", 1, lambda: call(METRICS, "GET", "/readyz").status == 503)
    assert call(METRICS, "GET", "/healthz").status == 200
    assert check("nginx", uri="/open/a").status == 200  # the load balancer has not noticed yet
    idle[0].send(whole)
    assert idle[0].answer().status == 200
    half.send(whole[-2:])
    assert half.answer().status == 200
    assert gatepost.process.wait(25) == 0
    assert time.monotonic() - began < 10  # 5 s for load balancers, 1 s to say `close`; nobody waits for idle connections
    assert "panicked" not in gatepost.said(50_000)
    for connection in (*idle, half):
        connection.close()


def test_second_signal_and_interrupt(gatepost_with):
    for number in (signal.SIGTERM, signal.SIGINT):
        gatepost = gatepost_with(RULES).start()
        with Connection(PORTS["nginx"], 30) as idle:
            idle.send(question("nginx", uri="/open/a"))
            assert idle.answer().status == 200
            gatepost.process.send_signal(number)
            assert gatepost.process.wait(10 if number == signal.SIGTERM else 4) == 0
        gatepost.forget()


# Reload -------------------------------------------------------------------------------------------------------------

CLOSED = [{"id": "open", "path": "/open/**", "scopes": {"all": ["x"]}}, RULES[1]]
BAD = {
    "not YAML": "rules: [",
    "no rules": "tests: []",
    "empty": "",
    "unknown key": "rules:\n  - { id: a, path: /open/**, access: anonymous, scope: x }\n",
    "ambiguous": "rules:\n  - { id: a, path: /x/{y}, access: anonymous }\n  - { id: b, path: /x/{z}, scopes: { all: [q] } }\n",
    "its own test fails": "rules:\n  - { id: a, path: /open/**, access: anonymous }\ntests:\n  - { request: GET https://h/closed, expect: allow }\n",
}


@pytest.mark.parametrize("how", ["change", "SIGHUP"])
def test_reload(gatepost_with, how):
    with gatepost_with(RULES) as gatepost:
        assert ask(uri="/open/a").status == 200
        gatepost.write_rules(CLOSED)
        if how == "SIGHUP":
            gatepost.process.send_signal(signal.SIGHUP)
        assert until("the rules are in force", 10, lambda: ask(uri="/open/a").status == 401) < (10 if how == "change" else 2)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_reload_keeps_the_rules(gatepost_with, bad):
    with gatepost_with(RULES) as gatepost:
        before = gatepost.metrics()
        gatepost.write_rules(BAD[bad])
        gatepost.process.send_signal(signal.SIGHUP)
        until("the metrics tell", 5, lambda: [line for line in gatepost.metrics().splitlines() if "reload" in line] != [line for line in before.splitlines() if "reload" in line])
        assert ask(uri="/open/a").status == 200 and ask().status == 401
        until("the log tells", 2, lambda: "rules.yaml" in gatepost.said())
        gatepost.write_rules(CLOSED)
        gatepost.process.send_signal(signal.SIGHUP)
        until("a good one is taken", 5, lambda: ask(uri="/open/a").status == 401)


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_start_is_refused(gatepost_with, bad):
    gatepost = gatepost_with(BAD[bad])
    done = gatepost.run(check=64)
    assert "rules.yaml" in done.stderr + done.stdout


def test_reload_under_load_never_errs(gatepost_with):
    with gatepost_with(RULES) as gatepost:
        seen, stop = [], threading.Event()

        def keep_asking():
            with Connection(PORTS["nginx"]) as connection:
                while not stop.is_set():
                    connection.send(question("nginx", uri="/open/a"))
                    seen.append(connection.answer().status)

        askers = [threading.Thread(target=keep_asking) for _ in range(2)]
        for asker in askers:
            asker.start()
        for n in range(20 if LONG else 5):
            gatepost.write_rules([RULES, CLOSED][n % 2])
            gatepost.process.send_signal(signal.SIGHUP)
            time.sleep(0.4)
        stop.set()
        for asker in askers:
            asker.join()
        assert set(seen) == {200, 401} and len(seen) > 100


# Crash --------------------------------------------------------------------------------------------------------------

def test_kill_and_restart_lose_nothing(gatepost_with):
    """Embedded store: every token, key and end that was answered is there again, however the process died."""
    gatepost = gatepost_with(RULES).start()
    alice = gatepost.sign_up("alice")
    live, ended = {}, []
    for n in range(40 if LONG else 12):
        scopes = ("orders:read", f"n:{n}")
        token = alice.token(*scopes)
        if n % 3 == 0:
            alice.end(*scopes)
            ended.append(token)
        else:
            live[token] = scopes
        if n % 4 == 3:
            gatepost.kill()
            gatepost.start()
            assert all(ask(t).status == 200 for t in live)
            assert all(ask(t).reason == "invalid_credential" for t in ended)
    key_id, key = alice.key("orders:read")
    gone_id, gone = alice.key("orders:read")
    token_of_gone = gatepost.token(gone)
    assert alice.call("DELETE", f"/v1/keys/{gone_id}").status == 200
    gatepost.kill()
    gatepost.start()
    assert check("nginx", uri="/orders/1", headers=[("X-Api-Key", key)]).status == 200
    assert check("nginx", uri="/orders/1", headers=[("X-Api-Key", gone)]).status == 401
    assert ask(token_of_gone).status == 401
    for token, scopes in live.items():
        assert alice.token(*scopes) == token  # asking again returns the same live token


def test_kill_under_load(gatepost_with):
    """Ends answered just before a kill hold afterwards."""
    gatepost = gatepost_with(RULES).start()
    alice = gatepost.sign_up("alice")
    tokens = {("orders:read", f"n:{n}"): alice.token("orders:read", f"n:{n}") for n in range(20)}
    ids = {tuple(sorted(t["scopes"])): t["id"] for t in alice.tokens()}
    answered = []

    def end_all():
        for scopes, token in tokens.items():
            try:
                if alice.call("DELETE", f"/v1/tokens/{ids[tuple(sorted(scopes))]}").status == 200:
                    answered.append(token)
            except OSError:
                return

    ending = threading.Thread(target=end_all)
    ending.start()
    until("some have ended", 5, lambda: len(answered) >= 5, every=0.001)
    gatepost.kill()
    ending.join()
    gatepost.start()
    assert all(ask(token).reason == "invalid_credential" for token in answered)


# Secret keys --------------------------------------------------------------------------------------------------------

def secret_key():
    return secrets.token_hex(32)


@pytest.mark.parametrize("form", ["opaque", "jwt"])
def test_rotating_the_secret_key_refuses_nobody(gatepost_with, tmp_path, form):
    first, second = secret_key(), secret_key()
    gatepost = gatepost_with(RULES, tokens={"format": form}, secret_key={"file": str(tmp_path / "keys")})
    keys = tmp_path / "keys"
    keys.write_text(first + "\n")
    keys.chmod(0o600)
    gatepost.start()
    alice = gatepost.sign_up("alice")
    old = alice.token("orders:read")
    assert ask(old).status == 200

    keys.write_text(f"{second}\n{first}\n")
    deadline = time.monotonic() + 5
    fresh = []
    while time.monotonic() < deadline:
        assert ask(old).status == 200
        fresh.append(alice.token("orders:read", f"n:{len(fresh)}"))
        assert ask(fresh[-1]).status == 200
        time.sleep(0.25)
    assert alice.token("orders:read") == old  # its own key is still there, so it is made again

    keys.write_text(f"{second}\n")
    until("tokens of the gone key are refused", 10, lambda: ask(old).status == 401)
    assert ask(fresh[-1]).status == 200  # signed by the key that stayed
    again = alice.token("orders:read")
    assert again != old and ask(again).status == 200


def test_a_token_of_another_installation_is_unknown(gatepost_with, tmp_path):
    """It authenticates itself by the same secret key, and was never issued here."""
    with gatepost_with(RULES, folder=tmp_path / "one") as one:
        token = one.sign_up("alice").token("orders:read")
        assert ask(token).status == 200
    with gatepost_with(RULES, folder=tmp_path / "two") as two:
        two.sign_up("alice")
        answer = ask(token)
        assert (answer.status, answer.reason) == (401, "invalid_credential"), answer


def test_files_of_their_own(gatepost_with):
    with gatepost_with(RULES, secret_key={"file": "gatepost.key"}) as gatepost:
        data = gatepost.folder / "data"
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / "gatepost.key").stat().st_mode & 0o777 == 0o600
        assert len((data / "gatepost.key").read_text().split()[0]) == 64
