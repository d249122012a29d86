"""tests/corpus/bypass.jsonl as raw bytes to the gates, with the rules of tests/corpus/rules.yaml, on two token stores."""

import base64
import time
from urllib.parse import unquote

import pytest

from support import corpus
from support.browser import Hand
from support.gate import PORTS
from support.gatepost import ADMIN, PASSWORD
from support.wire import Connection, exchange

LOGIN_PAGES = [e for e in corpus.AT_ADMIN if "location_host_not" in e["expected"]]
ADMIN_ENTRIES = [e for e in corpus.AT_ADMIN if e not in LOGIN_PAGES]
DESCRIBED_STEPS = {"BYP-145": "<stop redis>", "BYP-156": "<5 failed logins as alice@example.com from 5 different X-Forwarded-For>"}


@pytest.fixture(scope="module", params=["embedded", "redis"])
def world(request, tmp_path_factory):
    sections = {}
    if request.param == "redis":
        sections["tokens"] = {"store": f"redis://127.0.0.1:{request.getfixturevalue('redis').port}"}
    known = corpus.credentials(tmp_path_factory.mktemp("gatepost"), **sections)
    known.store = request.param
    yield known
    known.gatepost.stop()


def assert_expected(answer, expected, status):
    assert (answer.status if answer else 0) in status, answer
    if answer is None:
        return
    for name, value in expected.get("response_headers", {}).items():
        assert answer.one(name) == value
    allowed = expected["decision"] == "allow"
    assert allowed == (answer.status == 200)
    identity = [n for n, _ in answer.headers if n.lower().startswith("x-auth-")]
    assert len(identity) == (5 if allowed else 0), answer


@pytest.mark.parametrize("entry", corpus.AT_GATES, ids=corpus.id_of)
def test_gate(world, entry, request):
    expected = entry["expected"]
    steps, answers = entry.get("steps", []), entry.get("steps_expected", [])
    if steps == ["<stop redis>"]:
        if world.store != "redis":
            steps = []  # there is no Redis to stop: the answer is the same
        else:
            redis = request.getfixturevalue("redis")
            redis.stop()
            request.addfinalizer(redis.start)
            time.sleep(1.1)  # what is known is used until the lease is over
            steps = []
    port = PORTS[entry["proxy"]]
    for step, status in zip(steps, answers, strict=True):
        assert exchange(port, corpus.filled(step.encode("latin-1"), entry, world.values)).status == status

    with Connection(port) as connection:
        connection.send(corpus.at_the_gate(entry, world.values))
        if responses := expected.get("responses"):
            first, *rest = (connection.answer() for _ in responses)
            assert [first.status, *(a.status for a in rest)] == responses
            answer = rest[-1]
        else:
            answer = connection.answer()
        assert_expected(answer, expected, expected["status"])
        if expected.get("connection") == "close":
            assert answer.one("connection") == "close" and connection.ended(within=2)
        if entry.get("check") == "www_authenticate_insufficient_scope":
            challenge = answer.one("www-authenticate")
            assert 'error="insufficient_scope"' in challenge and 'scope="admin"' in challenge


@pytest.mark.parametrize("entry", ADMIN_ENTRIES, ids=corpus.id_of)
def test_admin(world, entry):
    if entry["id"] == "BYP-156":
        registered = {"email": "alice@example.com", "password": PASSWORD}
        assert world.gatepost.admin("POST", "/v1/register", registered).status == 201
        for n in range(5):
            wrong = {"email": "alice@example.com", "password": f"wrong-no-{n}"}
            answer = world.gatepost.admin("POST", "/v1/login", wrong, headers={"X-Forwarded-For": f"203.0.113.{n}"})
            assert answer.status == 401, answer
    answer = exchange(ADMIN, corpus.filled(base64.b64decode(entry["raw_b64"]), entry, world.values))
    assert answer.status in entry["expected"]["status"], answer


@pytest.mark.parametrize("entry", LOGIN_PAGES, ids=corpus.id_of)
def test_login_page(world, entry):
    """Neither at once nor after the login does the browser leave the configured hosts."""
    data = base64.b64decode(entry["raw_b64"])
    target = data.split(b" ")[1].decode()
    assert target.startswith("/login?rd=")
    page = exchange(ADMIN, data)
    assert page.status == 200 and page.one("location") is None, page
    browser = Hand("auth.example")
    after = browser.log_in("alice", rd=unquote(target.removeprefix("/login?rd=")))
    assert (after.status, after.one("location")) == (303, "/"), after
    again = browser.send("GET", target)
    assert (again.status, again.one("location")) == (303, "/"), again


def test_every_entry_is_run_or_named():
    """An entry that asks for a step this file does not know must not pass by being ignored."""
    for entry in corpus.ENTRIES:
        for step in entry.get("steps", []):
            assert not step.startswith("<") or DESCRIBED_STEPS[entry["id"]] == step
        known = {"decision", "status", "response_headers", "connection", "responses", "location_host_not"}
        assert set(entry["expected"]) <= known
    assert {"BYP-148", "BYP-153", "BYP-154"} <= {e["id"] for e in LOGIN_PAGES}
