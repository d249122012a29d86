"""WebSockets with a ticket, through each real proxy."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from support.gatepost import Gatepost
from support.proxies import PROXIES, through
from support.services import until
from support.wire import CLIENT, Connection, ask, request

RULES = [{"id": "live", "path": "/ws/**", "credentials": ["ticket"], "scopes": {"all": ["live"]}}]


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as gatepost:
        yield SimpleNamespace(gatepost=gatepost, ann=gatepost.sign_up("ann"), application=application)


def ticket(world, path):
    answer = world.gatepost.admin("POST", "/v1/tickets", {"path": path}, token=world.ann.token("live"))
    assert answer.status == 201, answer
    return answer.json["ticket"]


def test_through_each_proxy(world, proxy):
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="),
               ("Origin", "https://app.example")]
    opened = lambda text: ask(proxy.port, "GET", f"/ws/echo?x=1&ticket={text}", upgrade)  # noqa: E731
    text, frame = ticket(world, "/ws/echo"), b"\x81\x85\x01\x02\x03\x04igoho"
    with world.application.watch() as reached, Connection(proxy.port, source=CLIENT) as connection:
        connection.send(request("GET", f"/ws/echo?x=1&ticket={text}", upgrade))
        answer = connection.answer()
        assert answer.status == 101, answer
        connection.send(frame)
        assert connection.reader.read(len(frame)) == frame
    [seen] = reached
    assert (seen.one("x-auth-user"), seen.one("x-auth-scopes")) == ("ann", "live")
    with world.application.watch() as reached:
        assert opened(text).status == 401, "not a second time"
        assert ask(proxy.port, "GET", "/ws/echo", upgrade).status == 401
        assert ask(proxy.port, "GET", "/ws/other?ticket=" + ticket(world, "/ws/echo"), upgrade).status == 401
        assert opened(text[:-1]).status == 401
    assert not reached
    # of many clients with one ticket one gets through
    text = ticket(world, "/ws/plain")
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer.status for answer in pool.map(lambda _: ask(proxy.port, "GET", f"/ws/plain?ticket={text}"), range(4)))
    assert statuses == [200, 401, 401, 401]


# what docs/websockets.md says; nginx is run with its page
KEPT = {
    "caddy": [("Caddyfile", "\t\treverse_proxy {args[0]}", "\t\turi query -ticket\n\t\treverse_proxy {args[0]}"),
              ("Caddyfile", "\tbind 127.0.0.1\n", "\tbind 127.0.0.1\n\tlog {\n\t\toutput file access.log\n\t\tformat filter {\n\t\t\trequest>uri query {\n"
                                                 "\t\t\t\tdelete ticket\n\t\t\t}\n\t\t}\n\t}\n")],
    "haproxy": [("haproxy.cfg", "  # what the gate used up\n", "  http-request set-query '%[query,regsub(\"(^|&)ticket=[^&]*\",\"\",g)]'\n"),
                ("haproxy.cfg", "  bind 127.0.0.1:8084\n", "  bind 127.0.0.1:8084\n  log stdout format raw local0\n  log-format \"%ci %HM %HP %ST\"\n")],
    "traefik": [("traefik.yml", "log: { level: ERROR }\n", "log: { level: ERROR }\naccessLog: { filePath: access.log, format: json, "
                                                          "fields: { names: { RequestPath: drop, RequestLine: drop } } }\n")],
}


@pytest.mark.parametrize("name", KEPT)
def test_kept_out_of_logs_and_addresses(world, running_proxies, tmp_path, name):
    running_proxies.stop()
    [shipped] = [proxy for proxy in PROXIES if proxy.name == name]
    with through(shipped, tmp_path, KEPT[name]) as proxy:
        text = ticket(world, "/ws/plain")
        with world.application.watch() as reached:
            assert ask(proxy.port, "GET", f"/ws/plain?a=1&ticket={text}&b=2").status == 200
        [seen] = reached
        assert seen.target == (f"/ws/plain?a=1&ticket={text}&b=2" if name == "traefik" else "/ws/plain?a=1&b=2")
        assert ask(proxy.port, "GET", f"/ws/plain?a=1&ticket={text}").status == 401
        log = tmp_path / "run" / ("haproxy.log" if name == "haproxy" else "access.log")
        until("both are logged", 5, lambda: log.exists() and "401" in log.read_text() and "200" in log.read_text())
        assert text[:20] not in log.read_text()
