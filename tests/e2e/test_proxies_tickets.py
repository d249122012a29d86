"""WebSockets with a ticket, through each real proxy."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import parse_qsl

import pytest

from support import binaries
from support.gatepost import Gatepost
from support.proxies import PROXIES, through
from support.wire import CLIENT, Connection, ask, request

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg=="),
           ("Origin", "https://app.example")]
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
    opened = lambda text: ask(proxy.port, "GET", f"/ws/echo?x=1&ticket={text}", UPGRADE)  # noqa: E731
    text, masked, plain = ticket(world, "/ws/echo"), b"\x81\x85\x01\x02\x03\x04igohn", b"\x81\x05hello"
    with world.application.watch() as reached, Connection(proxy.port, source=CLIENT) as connection:
        connection.send(request("GET", f"/ws/echo?x=1&ticket={text}", UPGRADE))
        answer = connection.answer()
        assert answer.status == 101, answer
        connection.send(masked)
        assert connection.reader.read(len(plain)) == plain
    [seen] = reached
    assert (seen.one("x-auth-user"), seen.one("x-auth-scopes")) == ("ann", "live")
    with world.application.watch() as reached:
        assert opened(text).status == 401, "not a second time"
        assert ask(proxy.port, "GET", "/ws/echo", UPGRADE).status == 401
        assert ask(proxy.port, "GET", "/ws/other?ticket=" + ticket(world, "/ws/echo"), UPGRADE).status == 401
        assert opened(text[:-1]).status == 401
    assert not reached
    # of many clients with one ticket one gets through
    text = ticket(world, "/ws/plain")
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(answer.status for answer in pool.map(lambda _: ask(proxy.port, "GET", f"/ws/plain?ticket={text}"), range(4)))
    assert statuses == [200, 401, 401, 401]


# what docs/websockets.md says; nginx is run with its page
LUA = ('local path, query = headers:get(":path"):match("^(.-)%?(.*)$")',
       'if query then headers:replace(":path", path .. "?" .. ("&" .. query):gsub("&ticket=[^&]*", ""):sub(2)) end')
KEPT = {
    "caddy": [("Caddyfile", "\t\treverse_proxy {args[0]}", "\t\turi query -ticket\n\t\treverse_proxy {args[0]}"),
              ("Caddyfile", "\tbind 127.0.0.1\n", "\tbind 127.0.0.1\n\tlog {\n\t\toutput file access.log\n\t\tformat filter {\n\t\t\trequest>uri query {\n"
                                                 "\t\t\t\tdelete ticket\n\t\t\t}\n\t\t}\n\t}\n")],
    "haproxy": [("haproxy.cfg", "  # what the gate used up\n", "  http-request set-query '%[query,regsub(\"(^|&)ticket=[^&]*\",\"\",g)]'\n"),
                ("haproxy.cfg", "  bind 127.0.0.1:8084\n", "  bind 127.0.0.1:8084\n  log stdout format raw local0\n  log-format \"%ci %HM %HP %ST\"\n")],
    "traefik": [("traefik.yml", "log: { level: ERROR }\n", "log: { level: ERROR }\naccessLog: { filePath: access.log, format: json, "
                                                          "fields: { names: { RequestPath: drop, RequestLine: drop } } }\n")],
    "envoy": [("envoy.yaml", "local headers, kept = handle:headers(), {}\n",
               "local headers, kept = handle:headers(), {}\n" + "".join(f"                    {line}\n" for line in LUA)),
              ("envoy.yaml", "          stat_prefix: app\n",
               '          stat_prefix: app\n          access_log:\n          - name: envoy.access_loggers.file\n            typed_config:\n'
               '              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n              path: access.log\n'
               '              log_format: { text_format_source: { inline_string: "%REQ(:METHOD)% %PATH(NQ)% %RESPONSE_CODE%\\n" } }\n')],
}
# wherever it stands, it goes, and nothing that looks like it
ADDRESSES = ["/ws/a?ticket={}", "/ws/a?ticket={}&b=2", "/ws/a?a=1&ticket={}", "/ws/a?b=%26ticket%3D1%20&ticket={}&a&c=1", "/ws/a?a=/?ticket=1&tickets=2&ticket={}",
             "/ws/a&ticket=1&b?ticket={}"]


@pytest.mark.parametrize("name", KEPT)
def test_kept_out_of_logs_and_addresses(world, running_proxies, tmp_path, name):
    running_proxies.stop()
    [shipped] = [proxy for proxy in PROXIES if proxy.name == name]
    texts = []
    with through(shipped, tmp_path, KEPT[name]) as proxy:
        for address in ADDRESSES:
            texts.append(text := ticket(world, address.partition("?")[0]))
            with world.application.watch() as reached:
                assert ask(proxy.port, "GET", address.format(text)).status == 200, address
            [seen] = reached
            assert (f"ticket={text}" in seen.target) == (name == "traefik"), (address, seen)
            assert read(seen.target.replace(f"ticket={text}", "")) == read(address.replace("ticket={}", "")), (address, seen)
        assert ask(proxy.port, "GET", f"/ws/a?a=1&ticket={text}").status == 401
        assert ask(proxy.port, "GET", f"/ws/echo?ticket={ticket(world, '/ws/echo')}", UPGRADE).status == 101
    # Envoy writes it when it ends
    log = (tmp_path / "run" / ("haproxy.log" if name == "haproxy" else "access.log")).read_text()
    assert log.count("200") >= len(ADDRESSES) and "401" in log
    assert [text for text in texts if text[:20] in log] == []


def read(target):
    """The path, and the parameters of the query as an application reads them: some proxies write those anew."""
    path, _, query = target.partition("?")
    return path, sorted(parse_qsl(query, keep_blank_values=True))


def test_lines_for_envoy_are_those_of_the_page():
    page = (binaries.REPOSITORY / "docs/websockets.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith("| Envoy |")]
    assert [line for line in (*LUA, "%PATH(NQ)%") if f"`{line}`" not in row] == []
