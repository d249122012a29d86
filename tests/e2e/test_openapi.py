"""The admin listener against its own document: schemathesis asks what the document allows, and much that it does not."""

import json
import os
import re
import subprocess
from types import SimpleNamespace

import pytest

from support import binaries
from support.gatepost import ADMIN, PASSWORD, Gatepost

LONG = os.environ.get("GATEPOST_LONG")
SECONDS = 240 if LONG else 40
EXAMPLES = 100 if LONG else 8
BASE = f"http://127.0.0.1:{ADMIN}"
# each request comes from a network of its own: what is throttled after the fiftieth guess says nothing about the rest
HOOKS = """
import ipaddress, random
import schemathesis

RANDOM = random.SystemRandom()  # the other one is seeded again and again

@schemathesis.hook
def before_call(context, case, kwargs):
    case.headers["X-Forwarded-For"] = str(ipaddress.IPv4Address(RANDOM.randrange(1 << 24, 1 << 31)))

@schemathesis.deserializer("text/html", "text/css", "text/javascript")
def text(context, response):
    return response.text
"""
# `positive_data_acceptance`: no schema says that a password is too well known, or a scope not held.
CHECKS = """
[checks.positive_data_acceptance]
enabled = false
"""
# a page shows itself, whatever stands in the query
PAGES = """
[[operations]]
include-path-regex = "^/(login|[.]gatepost/.*)$"
checks.negative_data_rejection.enabled = false
"""
# what a key was used for is told when it is gone, too
USAGE = """
[[operations]]
include-path-regex = "^/v1/keys/[^/]+/usage$"
checks.use_after_free.enabled = false
"""
# the contract's answer to nobody at all is 400 here
ANONYMOUS = "^/v1/(verify|logout|token/refresh|password/change)$"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    gatepost = Gatepost(folder, [{"id": "all", "path": "/**", "access": "anonymous"}],
                        admin={"listen": f"127.0.0.1:{ADMIN}", "trusted_proxies": ["127.0.0.1/32"]}, senders={"log": True})
    with gatepost:
        ann, bob, cleo = (gatepost.sign_up(name) for name in ("ann", "bob", "cleo"))
        login = ann.login()
        key, secret = cleo.key("orders:read")
        schemes = {
            "login": {"bearer": login["token"]},
            "token": {"bearer": ann.token()},
            "key": {"api_key": ann.api_key},
            "refresh_token": {"bearer": bob.login()["refresh_token"]},
            "basic": {"username": "bob", "password": PASSWORD},
            "client": {"username": key, "password": secret},
        }
        config = folder / "schemathesis.toml"
        lines = [f"[auth.openapi.{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in fields.items()) for name, fields in schemes.items()]
        exempt = PAGES + USAGE + f'[[operations]]\ninclude-path-regex = "{ANONYMOUS}"\nchecks.ignored_auth.enabled = false\nchecks.missing_required_header.enabled = false\n'
        config.write_text(CHECKS + "".join(lines) + exempt)
        (folder / "schemathesis_hooks.py").write_text(HOOKS)
        yield SimpleNamespace(gatepost=gatepost, folder=folder, config=config)


def schemathesis(house, described, *arguments):
    file = house.folder / "document.json"
    file.write_text(json.dumps(described))
    command = [binaries.script("schemathesis", "schemathesis"), "--config-file", str(house.config), "run", str(file), "--url", BASE,
               "--seed", "1", "--max-examples", str(EXAMPLES), "--generation-database", "none", "--continue-on-failure",
               "--no-color", "--workers", "1", *arguments]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(house.folder)}
    return subprocess.run(command, cwd=house.folder, env=environment, capture_output=True, text=True, timeout=SECONDS * 4)


def document(house):
    return house.gatepost.admin("GET", "/openapi.json").json


# Routes that take a guess share one counter for each client network, so a run of guesses ends in 429 on them; on no other but the
# one that opens examinations, of which four may be open.
FOUR_AT_MOST = {"POST /v1/examinations"}
GUESSES = {
    "GET /v1/login", "POST /v1/login", "POST /login", "POST /v1/refresh-key/login", "POST /v1/password/change", "POST /v1/register",
    "POST /v1/otp/send", "POST /v1/otp/login", "POST /v1/profile/verify", "POST /get-token", "POST /v1/oauth/token",
    "POST /v1/introspect", "POST /v1/revoke", "POST /v1/second-factor/confirm", "POST /v1/second-factor/recovery-codes", "POST /v1/second-factor/remove",
    "POST /v1/tickets",
}


def test_every_answer_is_documented(house):
    described = document(house)
    operations = sum(method in ("get", "put", "post", "patch", "delete") for item in described["paths"].values() for method in item)
    # what ends or blocks the very login that asks comes last
    last = [argument for name in ("DELETE /v1/sessions/{id}", "PATCH /v1/tenants/{id}") for argument in ("name", name)]
    first = schemathesis(house, described, "--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(SECONDS),
                         *(f"--exclude-{word}" if word == "name" else word for word in last))
    then = schemathesis(house, described, "--phases", "coverage,fuzzing", *(f"--include-{word}" if word == "name" else word for word in last))
    for done, tested in ((first, operations - 2), (then, 2)):
        assert done.returncode == 0, done.stdout[-20000:] + done.stderr
        assert re.search(rf"Tested: +{tested}\b", done.stdout), done.stdout[-3000:]
    assert house.gatepost.process.poll() is None
    # most routes must have been answered as their callers want it, or nothing has been shown
    refused = re.search(r"(\d+) operations? returned only 401/403", first.stdout)
    limited = re.search(r"Rate limited:(.*?)\U0001f4a1", first.stdout, re.S)
    throttled = set(re.findall(r"- ([A-Z]+ /\S+)", limited[1])) if limited else set()
    assert throttled <= GUESSES | FOUR_AT_MOST, first.stdout[-6000:]
    assert int(refused[1] if refused else 0) <= 12, first.stdout[-6000:]


@pytest.mark.parametrize("method, path, status", [("get", "/v1/keys", "400"), ("post", "/get-token", "400")])
def test_an_answer_that_is_not_documented_is_found(house, method, path, status):
    changed = document(house)
    del changed["paths"][path][method]["responses"][status]
    done = schemathesis(house, changed, "--phases", "coverage", "--include-name", f"{method.upper()} {path}")
    assert done.returncode == 1 and "Undocumented status code" in done.stdout, done.stdout[-4000:] + done.stderr


def test_a_field_that_is_not_as_documented_is_found(house):
    changed = document(house)
    changed["components"]["schemas"]["Jwk"]["properties"]["x"] = {"type": "integer"}
    done = schemathesis(house, changed, "--phases", "coverage", "--include-path", "/.well-known/jwks.json")
    assert done.returncode == 1 and "Response violates schema" in done.stdout, done.stdout[-4000:] + done.stderr


def test_the_command_prints_what_is_served(house):
    done = house.gatepost.run("openapi", check=0)
    assert json.loads(done.stdout) == document(house)
    assert document(house)["openapi"].startswith("3.1")
