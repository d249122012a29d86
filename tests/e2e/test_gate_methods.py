"""Method forms: compared whole and with case; what is no method is refused."""

import pytest

from support.gate import PORTS, assert_refused, check, refused
from support.gatepost import Gatepost

RULES = [
    {"id": "read", "methods": ["GET"], "path": "/read/**", "access": "anonymous"},
    {"id": "write", "methods": ["POST", "DELETE"], "path": "/write/**", "access": "anonymous"},
    {"id": "write-x", "methods": ["PUT"], "path": "/write/x", "access": "anonymous"},
    {"id": "any", "path": "/any/**", "access": "anonymous"},
]
NO_METHOD = ["get", "Get", "GET ", " GET /x", "GET /admin", "GET,POST", "GET, GET", "GET;x", "GET/", "G\tET", "GET\x0b", "G(T", "\"GET\"", "GÉT", "GET\x7f", "{GET}"]


@pytest.fixture(scope="module", autouse=True)
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as started:
        yield started


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("method, path, status", [
    ("GET", "/read/a", 200), ("HEAD", "/read/a", 200), ("POST", "/read/a", 403), ("OPTIONS", "/read/a", 403), ("TRACE", "/read/a", 403),
    ("POST", "/write/a", 200), ("DELETE", "/write/a", 200), ("GET", "/write/a", 403), ("HEAD", "/write/a", 403),
    ("PUT", "/write/x", 200), ("POST", "/write/x", 403),  # the most specific path decides: no falling through to /write/**
    ("PATCH", "/any/a", 200), ("PROPFIND", "/any/a", 200), ("POSTS", "/write/a", 403), ("DELET", "/write/a", 403),
])
def test_listed_or_not(proxy, method, path, status):
    answer = check(proxy, method, path)
    assert answer.status == status, answer
    if status == 403:
        assert_refused(proxy, answer, "method_not_listed")


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("method", NO_METHOD)
def test_no_method(proxy, method):
    if method.strip() == "GET" and proxy != "envoy":
        return  # white space around a header's value is not part of it
    for path in ("/read/a", "/any/a"):
        if method in ("get", "Get") and path == "/any/a":
            continue  # another method, which this rule takes
        assert refused(check(proxy, method, path))


@pytest.mark.parametrize("proxy", [p for p in PORTS if p != "envoy"])
def test_connect_and_trace(proxy):
    for method, uri in (("CONNECT", "/any/a"), ("CONNECT", "/read/a"), ("CONNECT", "app.example:443"), ("CONNECT", "*"), ("TRACE", "/read/a")):
        assert refused(check(proxy, method, uri)), (method, uri)
