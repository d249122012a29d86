"""tests/corpus/bypass.jsonl through each real proxy: what must be refused does not reach the application."""

import pytest

from support import corpus
from support.wire import CLIENT, exchange

# No client can bring a proxy to ask these: they are for the gate alone (test_corpus_gate.py).
GATE_ONLY = {
    "BYP-064": "two X-Original-URI: every shipped file sets it once (test_proxies_spoofing.py sends the client's own)",
    "BYP-065": "two X-Forwarded-Uri: likewise",
    "BYP-067": "no URI",
    "BYP-071": "two methods",
    "BYP-072": "no proxy secret: not from a proxy",
    "BYP-074": "two proxy secrets: every shipped file drops the client's",
    "BYP-094": "no host",
    "BYP-095": "two hosts",
    "BYP-125": "a gate path that no shipped file asks for",
    "BYP-126": "/explain itself: nginx makes it internal",
    "BYP-136": "a space before a colon, and no host",
    "BYP-138": "a NUL, and no host",
    "BYP-140": "no request at all",
    "BYP-146": "two checks in one packet",
}
# What must be allowed and is refused by the proxy itself, before the gate is asked.
PROXY_REFUSES = {
    ("BYP-134", "envoy"), ("BYP-134", "haproxy"),  # more than 100 headers
}
# What the proxy cleans up before it asks, so that gate and application see this instead, which may pass.
CLEANED = {("BYP-029", "traefik"): "/public/admin/x"}
ENTRIES = [e for e in corpus.AT_GATES if e["id"] not in GATE_ONLY]


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    known = corpus.credentials(tmp_path_factory.mktemp("gatepost"))
    known.application = application
    yield known
    known.gatepost.stop()


@pytest.mark.parametrize("entry", ENTRIES, ids=corpus.id_of)
def test_through_proxy(world, proxy, entry):
    data = corpus.as_client(entry, world.values)
    with world.application.watch() as reached:
        answer = exchange(proxy.port, data, source=CLIENT)
    if cleaned := CLEANED.get((entry["id"], proxy.name)):
        assert [r.target for r in reached] == [cleaned]
    elif entry["expected"]["decision"] == "deny" or (entry["id"], proxy.name) in PROXY_REFUSES:
        assert not reached
        assert answer is None or 400 <= answer.status < 600, answer
        assert answer is None or b"from the application" not in answer.body
    else:
        assert answer.status == 200 and len(reached) == 1, answer


def test_what_no_client_can_send_is_named(world):
    untranslatable = {e["id"] for e in corpus.AT_GATES if corpus.as_client(e, world.values) is None}
    assert untranslatable | {"BYP-126", "BYP-146"} == set(GATE_ONLY)
