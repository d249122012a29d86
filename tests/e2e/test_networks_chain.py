"""Where a client is behind two proxies (`from_right: 2`): the one in front tells it, and neither the client nor whoever comes past that proxy."""

import copy
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from support import binaries
from support.gate import PORTS, bearer
from support.gatepost import Gatepost
from support.proxies import PROXIES, through
from support.services import Service, listening
from support.wire import CLIENT, ask, exchange, request

FRONT, ELSEWHERE = "127.0.0.2", "127.0.0.6"
NOT_FROM, NOT_TOLD = "not from your network", "this may be asked from some networks only, and the proxy did not tell one address of the client"
RULES = [
    {"id": "here", "path": "/here/**", "from_networks": [f"{CLIENT}/32"]},
    {"id": "elsewhere", "path": "/elsewhere/**", "from_networks": [f"{ELSEWHERE}/32"]},
    {"id": "inner", "path": "/inner/**", "from_networks": ["10.0.0.0/8", "2001:db8::/32", "127.0.0.1", FRONT]},
    {"id": "posts", "path": "/inner/1", "methods": ["POST"], "access": "anonymous", "fallthrough": True},
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "host", "hosts": ["open.example"], "path": "/**", "access": "anonymous"},
]

# what docs/gates.md says is to be written, 10.0.0.5 being the proxy in front
WRITTEN = {
    "nginx": ("map $remote_addr $gatepost_for { default $remote_addr; 10.0.0.5 $proxy_add_x_forwarded_for; }", "$gatepost_for"),
    "traefik": ("forwardedHeaders: { trustedIPs: [10.0.0.5] }", 'X-Forwarded-Host: ""', 'X-Forwarded-Method: ""', 'X-Forwarded-Uri: ""', "trustForwardHeader: true"),
    "caddy": ("trusted_proxies 10.0.0.5",),
    "haproxy": ("http-request set-var(txn.gatepost_for) req.fhdr(x-forwarded-for) if { src 10.0.0.5 }",
                'ask["x-forwarded-for"] = { (txn:get_var("txn.gatepost_for") or "") .. "," .. txn.f:src() }'),
    "envoy": ("filter_chain_match: { source_prefix_ranges: [ { address_prefix: 10.0.0.5, prefix_len: 32 } ] }", "- { remove: x-forwarded-for }"),
}
# and where that stands in the shipped files; {} is what is written, one after the other
PLACES = {
    "nginx": [("nginx.conf", "    include gatepost.conf;\n", "    include gatepost.conf;\n    {0}\n"), ("gatepost_server.conf", "$remote_addr", "{1}")],
    "traefik": [("traefik.yml", '    address: "127.0.0.1:8082"\n', '    address: "127.0.0.1:8082"\n    {0}\n'),
                ("dynamic.yml", '          Forwarded: ""\n', '          Forwarded: ""\n          {1}\n          {2}\n          {3}\n'),
                ("dynamic.yml", "trustForwardHeader: false", "{4}")],
    "caddy": [("Caddyfile", "\t\t\turi /verify?\n", "\t\t\turi /verify?\n\t\t\t{0}\n")],
    "haproxy": [("haproxy.cfg", "  http-request del-header [^A-Za-z0-9-]", "  {0}\n  http-request del-header [^A-Za-z0-9-]"),
                ("forward-auth.lua", 'ask["x-forwarded-for"]    = { txn.f:src() }', "{1}")],
    "envoy": [("envoy.yaml", "    - filters:\n", "    - {0}\n      filters:\n"), ("envoy.yaml", "- { remove: x-forwarded-for }", "# as the one in front tells it")],
}

# the proxies in front, told what the page demands of them: one adds to the list, the other adds a line of its own
FRONTS = {"nginx": 8090, "haproxy": 8091}
FILES = {
    "nginx": "pid nginx.pid; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:8090; merge_slashes off; location / {{\n"
             "proxy_pass http://127.0.0.1:{port}; proxy_bind {front}; proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $host;\n"
             "proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n",
    "haproxy": "defaults\n mode http\n timeout connect 1s\n timeout client 10s\n timeout server 10s\nlisten front\n bind 127.0.0.1:8091\n source {front}\n"
               " option forwardfor\n http-request set-header X-Forwarded-Proto http\n server inner 127.0.0.1:{port}\n",
}
COMMANDS = {"nginx": ["-p", ".", "-e", "stderr", "-g", "daemon off;", "-c", "front"], "haproxy": ["-db", "-f", "front"]}

# what a client may say of itself to be taken for somebody else
LIES = {
    "nothing": [],
    "one": [("X-Forwarded-For", "10.0.0.1")],
    "one, and the front": [("X-Forwarded-For", f"10.0.0.1, {FRONT}")],
    "the front": [("X-Forwarded-For", FRONT)],
    "two lines": [("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", FRONT)],
    "many": [("X-Forwarded-For", ", ".join(["10.0.0.1"] * 60))],
    "IPv6": [("X-Forwarded-For", "2001:db8::1, 2001:db8::2")],
    "an end like a list's": [("X-Forwarded-For", "10.0.0.1,")],
    "empty": [("X-Forwarded-For", "")],
    "no address": [("X-Forwarded-For", "unknown, _hidden")],
    "others": [("Forwarded", "for=10.0.0.1"), ("X-Real-IP", "10.0.0.1"), ("X-Client-IP", "10.0.0.1"), ("X-Envoy-External-Address", "10.0.0.1")],
}


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    more = {"secret": {"env": "GATEPOST_PROXY_SECRET"}, "client_ip": {"header": "X-Forwarded-For", "from_right": 2}}
    gates = [{"proxy": proxy, "listen": f"127.0.0.1:{port}", **more} for proxy, port in PORTS.items()]
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, gates=gates) as gatepost:
        yield SimpleNamespace(token=gatepost.sign_up("alice").token(), application=application)


@pytest.fixture(scope="module", params=PROXIES, ids=repr)
def inner(request, world, running_proxies, tmp_path_factory):
    """The gate's proxy, written as the page says, behind both proxies in front."""
    running_proxies.stop()
    proxy = copy.copy(request.param)
    # Envoy takes connections of nobody but the one in front
    proxy.ready = lambda: ask(FRONTS["nginx"], target="/open/1").status == 200
    written = [line.replace("10.0.0.5", FRONT) for line in WRITTEN[proxy.gate]]
    with ExitStack() as ends:
        for name, port in FRONTS.items():
            folder = tmp_path_factory.mktemp(f"front-{name}")
            (folder / "front").write_text(FILES[name].format(front=FRONT, port=proxy.port))
            front = Service(f"front-{name}", [binaries.debian(name), *COMMANDS[name]], folder)
            ends.callback(front.stop)
            front.start(lambda port=port: listening(port))
        edits = [(file, old, put_in(new, written)) for file, old, new in PLACES[proxy.gate]]
        yield ends.enter_context(through(proxy, tmp_path_factory.mktemp("inner"), edits))


def put_in(text, written):
    for number, line in enumerate(written):
        text = text.replace(f"{{{number}}}", line)
    return text


def heard(world, port, target, said=(), source=CLIENT):
    """200, or by what it was refused; None where the connection was ended."""
    with world.application.watch() as reached:
        answer = exchange(port, request("GET", target, [*said, *bearer(world.token)]), source=source)
    assert len(reached) == (answer is not None and answer.status == 200), (answer, reached)
    return answer and (answer.json["message"] if answer.status == 403 else answer.status)


@pytest.mark.parametrize("front", FRONTS)
def test_the_one_in_front_tells_where_a_client_is(world, inner, front):
    port = FRONTS[front]
    for lie, said in LIES.items():
        for source, own, other in ((CLIENT, "/here/1", "/elsewhere/1"), (ELSEWHERE, "/elsewhere/1", "/here/1")):
            told = [heard(world, port, target, said, source) for target in (own, other, "/inner/1")]
            assert told == [200, NOT_FROM, NOT_FROM], (lie, source, told)


def test_past_it_nobody_is_anywhere(world, inner):
    """The list is too short; one that the client brings along does not count."""
    refused = None if inner.gate == "envoy" else NOT_TOLD
    for lie, said in {**LIES, "as it would be told": [("X-Forwarded-For", f"{CLIENT}, {FRONT}")]}.items():
        told = [heard(world, inner.port, target, said) for target in ("/here/1", "/elsewhere/1", "/inner/1")]
        assert told == [refused] * 3, (lie, told)
    assert heard(world, inner.port, "/open/1") == (None if inner.gate == "envoy" else 200)


@pytest.mark.parametrize("front", FRONTS)
def test_the_one_in_front_is_believed_nothing_else(world, inner, front):
    """It hands on what it does not know, and the list ends where a client names it in `Connection`."""
    for said in (("X-Forwarded-Host", "open.example"), ("X-Forwarded-Uri", "/open/1"), ("X-Original-URI", "/open/1"), ("X-Forwarded-Method", "POST")):
        assert heard(world, FRONTS[front], "/inner/1", [said]) == NOT_FROM, said
    for said in ([], [("X-Forwarded-For", "10.0.0.1")], [("X-Forwarded-For", f"10.0.0.1, {FRONT}")]):
        told = heard(world, FRONTS[front], "/inner/1", [("Connection", "X-Forwarded-For"), *said])
        assert told == NOT_FROM or (told == 400 and inner.gate == "envoy"), told


@pytest.mark.parametrize("proxy", WRITTEN)
def test_it_is_what_the_page_says(proxy):
    page = (binaries.REPOSITORY / "docs/gates.md").read_text()
    [row] = [line for line in page.splitlines() if line.lower().startswith(f"| {proxy} |")]
    assert [line for line in WRITTEN[proxy] if f"`{line}`" not in row] == []
