"""How the request is described: each gate reads its own proxy's headers, each of them exactly once, and no others."""

import pytest

from support.gate import DESCRIBED_IN, PORTS, assert_refused, check, description, question, refused
from support.gatepost import Gatepost
from support.wire import exchange, request

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "root", "path": "/", "access": "anonymous"},
    {"id": "closed", "path": "/closed/**", "scopes": {"all": ["admin"]}},
]
OTHER_GATES = [*DESCRIBED_IN["nginx"], "X-Original-Url", "X-Original-Proto", *DESCRIBED_IN["traefik"], "X-Forwarded-Proto",
               "X-Rewrite-Url", "X-HTTP-Method-Override", "X-Method-Override", "X-Envoy-Original-Path", "X-Envoy-Original-Method",
               "X-Envoy-Original-Host", "Forwarded"]
SAYS = {"uri": "/open/a", "url": "/open/a", "path": "/open/a", "method": "GET", "override": "GET", "host": "open.example", "proto": "https",
        "forwarded": "host=open.example"}
DIALECTS_BY_HEADER = [p for p in PORTS if p != "envoy"]


@pytest.fixture(scope="module", autouse=True)
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as started:
        yield started


def described(proxy, replace=None, value=None, and_also=()):
    """A question about GET /open/a where one of the describing headers says something else."""
    headers = [(n, v) for n, v in description(proxy, "GET", "/open/a", "app.example")]
    headers = [(n, value if n == replace else v) for n, v in headers if not (n == replace and value is None)]
    return request("GET", "/verify", [*headers, *and_also, ("X-Proxy-Secret", "s3cret")], host="gate.internal")


@pytest.mark.parametrize("proxy", DIALECTS_BY_HEADER)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["method", "uri", "host"])
def test_each_header_exactly_once(proxy, which):
    name = DESCRIBED_IN[proxy][which]
    right = ("GET", "/open/a", "app.example")[which]
    assert exchange(PORTS[proxy], described(proxy)).status == 200
    for value in (None, "", " ", "\t", b"\xff", b"\xc3\xa9", b"a\x01b"):
        assert_refused(proxy, exchange(PORTS[proxy], described(proxy, name, value)), "request_not_described", *(["path_refused"] if which == 1 else []))
    for second in (right, "", "/closed/a", "other.example", "DELETE"):
        for spelled in (name, name.lower(), name.upper()):
            assert_refused(proxy, exchange(PORTS[proxy], described(proxy, and_also=[(spelled, second)])), "request_not_described")
    for joined in (f"{right}, {right}", f"{right},{right}", f"{right};{right}"):
        assert refused(exchange(PORTS[proxy], described(proxy, name, joined))) or (which == 1 and joined[len(right)] in ",;")


@pytest.mark.parametrize("host", [None, "", b"\xff", "a b"])
def test_envoy_needs_a_host(host):
    assert_refused("envoy", check("envoy", "GET", "/open/a", host), "request_not_described")


def test_envoy_with_two_hosts():
    for second in ("app.example", "other.example", ""):
        assert_refused("envoy", exchange(PORTS["envoy"], question("envoy", uri="/open/a", headers=[("Host", second)])), "request_not_described")


def test_envoy_in_absolute_form():
    """A request target with a host of its own says twice where it goes."""
    for target in ("http://app.example/verify/open/a", "http://other.example/verify/open/a", "//other.example/verify/open/a"):
        assert refused(exchange(PORTS["envoy"], request("GET", target, [("X-Proxy-Secret", "s3cret")])))


@pytest.mark.parametrize("target", ["/", "/verify", "/verifyopen/a", "/open/a", "/Verify/open/a", "/verify%2fopen/a", "//verify/open/a", "/x/verify/open/a",
                                    "/verify?/open/a", "/verify//open/a", "/healthz", "/metrics", "/readyz", "/verify;/open/a", "*"])
def test_envoy_prefix(target):
    assert refused(exchange(PORTS["envoy"], request("GET", target, [("X-Proxy-Secret", "s3cret")])))


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("name", OTHER_GATES)
def test_headers_of_other_gates_are_ignored(proxy, name):
    if name in DESCRIBED_IN.get(proxy, ()):
        return
    value = SAYS[name.lower().rpartition("-")[2]]
    assert check(proxy, "GET", "/closed/a", headers=[(name, value)]).status == 401
    assert check(proxy, "DELETE", "/nowhere", headers=[(name, value)]).status == 403
    for contrary in ("/closed/a", "DELETE", ""):
        if not name.lower().endswith("-proto"):
            assert check(proxy, "GET", "/open/a", headers=[(name, contrary)]).status == 200


@pytest.mark.parametrize("proxy", DIALECTS_BY_HEADER)
def test_another_gate_s_description_describes_nothing(proxy):
    other = "traefik" if proxy == "nginx" else "nginx"
    headers = [*description(other, "GET", "/open/a", "app.example"), ("X-Proxy-Secret", "s3cret")]
    for target in ("/verify", "/verify?uri=/open/a", "/open/a", "/verify/open/a"):
        assert refused(exchange(PORTS[proxy], request("GET", target, headers)))


@pytest.mark.parametrize("proxy", DIALECTS_BY_HEADER)
@pytest.mark.parametrize("method, target", [
    ("GET", "/"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/verify/"), ("GET", "/verify/open/a"), ("GET", "/VERIFY"),
    ("GET", "//verify"), ("GET", "/verify%20"), ("GET", "/get-token"), ("GET", "/open/a"), ("GET", "http://gate.internal/"), ("OPTIONS", "*"),
    ("GET", "/openapi.json"), ("GET", "/v1/login")])
def test_nothing_else_lives_on_a_gate(proxy, method, target):
    headers = [*description(proxy, "GET", "/open/a", "app.example"), ("X-Proxy-Secret", "s3cret")]
    assert refused(exchange(PORTS[proxy], request(method, target, headers)))


@pytest.mark.parametrize("proxy", PORTS)
def test_the_check_s_own_query_decides_nothing(proxy):
    if proxy == "envoy":
        assert check(proxy, "GET", "/closed/a?rule=open&access=anonymous").status == 401
        return
    for query in ("?", "?rule=open", "?access=anonymous&scopes=admin", "?uri=/open/a", "?x=%2e%2e%00//"):
        assert exchange(PORTS[proxy], question(proxy, uri="/closed/a", path="/verify" + query)).status == 401
        assert exchange(PORTS[proxy], question(proxy, uri="/open/a", path="/verify" + query)).status == 200


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("path", ["/verify", "/explain"])
def test_the_proxy_s_secret(proxy, path):
    if proxy == "envoy" and path == "/explain":
        return
    right = ("X-Proxy-Secret", "s3cret")
    for said in ([], [("X-Proxy-Secret", "")], [("X-Proxy-Secret", "guess")], [("X-Proxy-Secret", "s3cre")], [("X-Proxy-Secret", "s3crett")],
                 [("X-Proxy-Secret", "S3CRET")], [("X-Proxy-Secret", "s3cret, s3cret")], [("X-Proxy-Secret", b"s3cret\xff")], [right, right],
                 [right, ("X-Proxy-Secret", "guess")], [("X-Proxy-Secret", "guess"), right], [right, ("x-proxy-secret", "")], [("X_Proxy_Secret", "s3cret")],
                 [("Proxy-Secret", "s3cret")]):
        for uri in ("/open/a", "/closed/a", "/nowhere"):
            answer = check(proxy, "GET", uri, headers=said, secret=None, path=path)
            assert answer.status == 403, (said, answer)
            if path == "/verify":
                assert_refused(proxy, answer, "proxy_secret")


def test_explain_never_says_yes():
    allowed = check("nginx", "GET", "/open/a", path="/explain")
    assert (allowed.status, allowed.one("retry-after")) == (503, "1")
    for uri, status, reason in (("/closed/a", 401, "no_credential"), ("/nowhere", 403, "no_rule"), ("/open/..", 403, "path_refused")):
        answer = check("nginx", "GET", uri, path="/explain")
        assert (answer.status, answer.json["code"], answer.json["reason"], answer.json["status"], answer.json["data"]) == (status, status, reason, "failed", [])
        verify = check("nginx", "GET", uri)
        assert (verify.status, verify.one("x-deny-status"), verify.reason, verify.body) == (status, str(status), reason, b"")
        assert verify.one("cache-control") == answer.one("cache-control") == "no-store"
