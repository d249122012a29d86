"""Where a client is, through each real proxy: rules and keys that are for some networks only believe the proxy, and nothing that a client says."""

from types import SimpleNamespace

import pytest

from support.gate import PORTS, bearer, check
from support.gatepost import Gatepost
from support.services import until
from support.wire import CLIENT, ask

RULES = [
    {"id": "here", "path": "/here/**", "from_networks": [f"{CLIENT}/32"]},
    {"id": "inner", "path": "/inner/**", "from_networks": ["10.0.0.0/8", "2001:db8::/32", "127.0.0.1", "::1"]},
    {"id": "any", "path": "/any/**", "credentials": ["token", "api_key"]},
    {"id": "few", "path": "/few/**", "credentials": ["api_key"], "limit": {"quota": "2/day"}},
]

# what a client may say of itself to be taken for somebody inside; the proxy itself is 127.0.0.1
LIES = {
    "one": [("X-Forwarded-For", "10.0.0.1")],
    "a list": [("X-Forwarded-For", "10.0.0.1, 10.0.0.2")],
    "two lines": [("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")],
    "the proxy": [("X-Forwarded-For", "127.0.0.1")],
    "IPv6": [("X-Forwarded-For", "2001:db8::1")],
    "IPv4 as IPv6": [("X-Forwarded-For", "::ffff:10.0.0.1")],
    "with a port": [("X-Forwarded-For", "10.0.0.1:80")],
    "an end like a list's": [("X-Forwarded-For", "10.0.0.1,")],
    "empty": [("X-Forwarded-For", "")],
    "no address": [("X-Forwarded-For", "unknown")],
    "a tab": [("X-Forwarded-For", "10.0.0.1,\t10.0.0.2")],
    "lower case": [("x-forwarded-for", "10.0.0.1")],
    "underscores": [("X_Forwarded_For", "10.0.0.1")],
    "dots": [("X.Forwarded.For", "10.0.0.1")],
    "Forwarded": [("Forwarded", "for=10.0.0.1")],
    "X-Real-IP": [("X-Real-IP", "10.0.0.1")],
    "True-Client-IP": [("True-Client-IP", "10.0.0.1"), ("CF-Connecting-IP", "10.0.0.1"), ("X-Client-IP", "10.0.0.1")],
    "Envoy's own": [("X-Envoy-External-Address", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.1")],
    "named in Connection": [("Connection", "X-Forwarded-For"), ("X-Forwarded-For", "10.0.0.1")],
}


def gates(**more):
    return [{"proxy": proxy, "listen": f"127.0.0.1:{port}", "secret": {"env": "GATEPOST_PROXY_SECRET"}, **more} for proxy, port in PORTS.items()]


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, gates=gates(client_ip={"header": "X-Forwarded-For"})) as gatepost:
        alice = gatepost.sign_up("alice")

        def key(*networks):
            answer = alice.call("POST", "/v1/keys", {"terms": {"networks": list(networks)}})
            assert answer.status == 201, answer
            return answer.json["api_key"]

        yield SimpleNamespace(token=alice.token(), here=key(f"{CLIENT}/32"), inner=key("10.0.0.0/8", "127.0.0.1"), gatepost=gatepost, application=application)


@pytest.mark.parametrize("way", LIES)
def test_only_the_proxy_says_where_a_client_is(world, proxy, way):
    with world.application.watch() as reached:
        refused = ask(proxy.port, target="/inner/1", headers=[*LIES[way], *bearer(world.token)])
        bound = ask(proxy.port, target="/any/1", headers=[*LIES[way], ("X-Api-Key", world.inner)])
    assert not reached, reached
    for answer in (refused, bound):
        # Envoy refuses some of these itself
        assert answer.status == 403 or (answer.status == 400 and proxy.name == "envoy"), answer
        assert answer.status == 400 or answer.json["message"] == "not from your network"
    with world.application.watch() as reached:
        here = ask(proxy.port, target="/here/1", headers=[*LIES[way], *bearer(world.token)])
        bound = ask(proxy.port, target="/any/1", headers=[*LIES[way], ("X-Api-Key", world.here)])
    assert [here.status, bound.status] == [200, 200] and len(reached) == 2 or 400 == here.status == bound.status == refused.status, (here, bound)


def test_tokens_are_bound_as_their_key_is(world, proxy):
    for key, expected in ((world.here, 200), (world.inner, 403)):
        answer = ask(proxy.port, target="/any/1", headers=bearer(world.gatepost.token(key)))
        assert answer.status == expected, answer


# the header as it comes to a gate, and whether it tells of 10.0.0.1; corpus-style, with no proxy that could clean it
AT_A_GATE = {
    "10.0.0.1": True, "192.0.2.1, 10.0.0.1": True, "::ffff:10.0.0.1": True, "  10.0.0.1  ": True,
    "10.0.0.1, 192.0.2.1": False, "10.0.0.1,": False, ",": False, "": False, "unknown": False, "10.0.0.1:80": False, "[::ffff:10.0.0.1]": False,
    "for=10.0.0.1": False, "10.0.0.1;q=1": False, "10.0.0.01": False, "10.1": False, "0xa000001": False, "167772161": False, "10.0.0.1%25": False,
    "\xb2.0.0.1": False, "10.0.0.1 10.0.0.2": False,
}


@pytest.mark.parametrize("gate", PORTS)
def test_what_a_gate_reads(world, gate):
    for told, inside in AT_A_GATE.items():
        answer = check(gate, "GET", "/inner/1", headers=[*bearer(world.token), ("X-Forwarded-For", told)])
        assert answer.status == (200 if inside else 403), (told, answer)
    for lines in ([], ["10.0.0.1", "10.0.0.1"], ["192.0.2.1", "10.0.0.1"], ["10.0.0.1", "192.0.2.1"]):
        answer = check(gate, "GET", "/inner/1", headers=[*bearer(world.token), *(("X-Forwarded-For", line) for line in lines)])
        assert answer.status == 403, (lines, answer)


def test_what_is_refused_costs_no_quota(world):
    def few(address):
        return check("nginx", "GET", "/few/1", headers=[("X-Api-Key", world.inner), ("X-Forwarded-For", address)])

    assert [few("192.0.2.1").reason for _ in range(5)] == ["network_refused"] * 5
    assert [few("10.0.0.1").status for _ in range(2)] == [200, 200]
    assert few("192.0.2.1").reason == "network_refused", "even where the quota is used up"
    assert few("10.0.0.1").reason == "quota_exceeded"


def test_what_a_key_is_refused_is_told_by_explain_on_the_files(world):
    answer = check("nginx", uri="/any/1", headers=[("X-Api-Key", world.inner), ("X-Forwarded-For", "192.0.2.1"), ("X-Request-Id", "outside.")])
    assert (answer.status, answer.reason) == (403, "network_refused"), answer
    logged = lambda: [line for line in world.gatepost.said().splitlines() if "outside." in line]  # noqa: E731
    until("it is logged", 2, logged)
    command = logged()[-1]
    command = command[command.index("gatepost explain "):]
    told = world.gatepost.run_printed(command)
    assert "deny  403 network_refused" in told.stdout, (command, told)
    assert "--from 192.0.2.1" in command and "--state outside" in command
