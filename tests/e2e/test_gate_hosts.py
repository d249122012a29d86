"""Host forms: no spelling of a host leads past the rules for that host."""

import pytest

from support.gate import PORTS, check, refused
from support.gatepost import Gatepost

# Whoever fails to recognise app.example or *.apps.example falls onto the open rule for any host.
RULES = [
    {"id": "any", "path": "/**", "access": "anonymous"},
    {"id": "app", "hosts": ["app.example"], "path": "/**", "scopes": {"all": ["read"]}},
    {"id": "apps", "hosts": ["*.apps.example"], "path": "/**", "scopes": {"all": ["read"]}},
]
SAME = ["app.example", "App.Example", "APP.EXAMPLE", "app.example:443", "app.example:80", "App.Example:8443", "app.example:65535"]
SAME_WILDCARD = ["a.apps.example", "A.APPS.example", "a.b.apps.example", "a.apps.example:8443"]
OTHER = ["other.example", "other.example:8080", "localhost", "127.0.0.1", "127.0.0.1:8080", "xapp.example", "apps.example", "app.example.org", "a-b.example"]
NOT_A_HOST = [
    "app.example.", "app.example.:443", "app.example..", ".app.example", "app..example", "app.example:", "app.example:x", "app.example:-1", "app.example:65536",
    "app.example:443:443", "app.example,other.example", "other.example,app.example", "app.example, app.example", "user@app.example", "app.example@other.example",
    "other.example@app.example", "user:pass@app.example", "app.example/", "app.example/x", "other.example/app.example", "app.example?x", "app.example#x",
    "app.example\\x", "other.example\\app.example", "app.example;x", "http://app.example", "app example", "app.example\tx", "app.example%00", "%61pp.example",
    "app%2eexample", "*", "*.apps.example", "a.*", "[", "]", "[]", "[::1", "::1", "[::1]x", "[::1]:", "[zz]", "[2001:db8::1%eth0]", "[app.example]", ":443", ":",
    "app.example\u00ad", "app.exampl\u00e9", "a" * 300 + ".example",
]


@pytest.fixture(scope="module", autouse=True)
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as started:
        yield started


@pytest.mark.parametrize("proxy", PORTS)
def test_every_spelling_of_a_host_meets_its_rules(proxy):
    for host in SAME + SAME_WILDCARD:
        answer = check(proxy, "GET", "/x", host)
        assert answer.status == 401, (host, answer)


@pytest.mark.parametrize("proxy", PORTS)
def test_other_hosts_do_not(proxy):
    for host in OTHER:
        assert check(proxy, "GET", "/x", host).status == 200, host


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("host", NOT_A_HOST, ids=lambda h: h[:30])
def test_what_is_no_host_is_refused(proxy, host):
    answer = check(proxy, "GET", "/x", host)
    assert refused(answer), answer


@pytest.mark.parametrize("proxy", PORTS)
def test_ipv6(proxy):
    for host in ("[::1]", "[::1]:8080", "[2001:db8::1]", "[2001:DB8::1]:443"):
        assert check(proxy, "GET", "/x", host).status == 200, host
