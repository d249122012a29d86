"""Each real proxy keeps its connection to the gate."""

import pytest

from support.gate import PORTS
from support.gatepost import Gatepost
from support.relay import Relay
from support.services import until
from support.wire import ask

BEHIND = {proxy: port + 10_000 for proxy, port in PORTS.items()}


@pytest.fixture(scope="module")
def relays(tmp_path_factory):
    rules = [{"id": "open", "path": "/open/**", "access": "anonymous"}]
    with Gatepost(tmp_path_factory.mktemp("gatepost"), rules, ports=BEHIND):
        started = {proxy: Relay(port, BEHIND[proxy]) for proxy, port in PORTS.items()}
        yield started
        for relay in started.values():
            relay.stop()


def test_twenty_requests_use_one_connection(relays, proxy):
    until("ready", 5, lambda: ask(proxy.port, target="/open/ready").status == 200)
    relay = relays[proxy.gate]
    opened = relay.connections
    refused = [ask(proxy.port, "DELETE", "/closed/1", body=b"x").status for _ in range(3)]
    allowed = [ask(proxy.port, target=f"/open/{n}").status for n in range(20)]
    assert (set(refused), set(allowed)) == ({403}, {200})
    assert relay.connections == opened
    assert opened <= 2  # the first request, and one try while the gate was not up
