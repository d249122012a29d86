"""Through each real proxy: whatever a client sends, the application sees no closed path, host or method, however it reads it.

A proxy may clean a request, pass it on as it is, or refuse it; what counts is what the application gets.
"""

import re
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

import pytest

from support.gatepost import Gatepost
from support.wire import CLIENT, exchange, request
from test_gate_paths import INTO_ADMIN

RULES = [
    {"id": "public", "hosts": ["app.example"], "path": "/public/**", "access": "anonymous"},
    {"id": "one", "hosts": ["app.example"], "path": "/one/{name}", "access": "anonymous"},
    {"id": "admin", "hosts": ["app.example"], "path": "/admin/**", "scopes": {"all": ["admin"]}},
    {"id": "read-only", "hosts": ["app.example"], "methods": ["GET"], "path": "/readonly/**", "access": "anonymous"},
    {"id": "any", "path": "/**", "access": "anonymous"},
    {"id": "closed", "hosts": ["closed.example", "*.closed.example"], "path": "/**", "scopes": {"all": ["admin"]}},
]
PATHS = [
    *(path.encode("latin-1") for path in INTO_ADMIN),
    b"/public\\..\\admin\\x", b"/public/\\../admin/x", b"/public/..\\admin/x", b"/public#/../admin/x", b"/public/a#/../../admin/x", b"/admin/x#/public", b"#/admin/x",
    b"/public/\t../admin/x", b"/public/.\t./admin/x", b"/public/\xc0\xae\xc0\xae/admin/x", b"/public/..\xc0\xafadmin/x", "/public/．．/admin/x".encode(),
    "/public/..∕admin/x".encode(), b"/public/%2e%2e/%61dmin/x", b"/Admin/x", b"/ADMIN/x", b"/admin%20/x", b"/admin./x", b"/admin%2e/x", b"/admin%00/x",
    b"http://app.example/admin/x", b"http://app.example/public/../admin/x", b"HTTP://APP.EXAMPLE//admin/x", b"//app.example/admin/x", b"///admin/x", b"admin/x", b"?/admin/x",
    b"/public?/../admin/x", b"/public/%3f/../../admin/x", b"/public%3f/../admin/x", b"/public;/..;/admin/x", b"/;/admin/x", b"/;a=b/admin/x", b"/one/x%2f..%2f..%2fadmin%2fx",
    b"/one/..%2f..%2fadmin", b"/one/%252e%252e%252fadmin", b"/public/%c0%ae%c0%ae/admin/x", b"/public/%u002e%u002e/admin/x", b"/public/%%32%65%%32%65/admin/x",
]
HOSTS = ["closed.example", "Closed.Example", "closed.example:8080", "closed.example.", "closed.example.:80", "closed.example:", "a.closed.example", "A.Closed.Example.",
         "closed.example,other.example", "other.example,closed.example", "user@closed.example", "closed.example@other.example", "closed.example/other", "closed.example#x",
         "closed.example?x", "closed.example\\x", "closed.example\tx", "closed.example x", "closed%2eexample", "clos%65d.example", "\tclosed.example", "closed.example;x"]
METHODS = ["POST", "DELETE", "PUT", "PATCH", "get", "Get", "GETX", "GET,POST", "CONNECT", "TRACE", "OPTIONS", "PROPFIND", "G(T", "*", "M" * 70]


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES):
        yield SimpleNamespace(application=application)


def send(world, proxy, data):
    with world.application.watch() as reached:
        try:
            answer = exchange(proxy.port, data, source=CLIENT, timeout=3)
        except (TimeoutError, ValueError):
            answer = None
    return answer, reached


def readings(target):
    """The paths that one server or another would find in this request target."""
    target = re.sub(rb"(?i)^https?://[^/]*", b"", target.encode("latin-1"))
    target = target.split(b"?", 1)[0]
    found = {target}
    for change in (lambda t: t.split(b"#")[0], unquote_to_bytes, unquote_to_bytes, lambda t: t.replace(b"\\", b"/"), lambda t: re.sub(rb";[^/]*", b"", t),
                   lambda t: t.replace(b"\0", b""), resolved, lambda t: re.sub(rb"/+", b"/", t), resolved):
        found |= {change(t) for t in found}
    return found


def resolved(path):
    kept = []
    for segment in path.split(b"/")[1:]:
        if segment == b"..":
            kept[-1:] = []
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)


def test_the_readings_find_the_closed_folder():
    for path in ("/admin/x", "/public/%2e%2e/admin/x", "//admin", "/public/..;/admin", "/public/..%5cadmin", "/%61dmin", "/public/%252e%252e/admin/x"):
        assert any(r.startswith(b"/admin") for r in readings(path)), path
    assert not any(r.startswith(b"/admin") for r in readings("/public/admin/x?/admin"))


def test_paths(world, proxy):
    passed = []
    for path in PATHS:
        answer, reached = send(world, proxy, request("GET", path))
        for got in reached:
            if any(re.match(rb"/admin(/|$)", reading) for reading in readings(got.target)):
                passed.append((path, got))
    assert not passed


def test_paths_that_only_look_closed_still_pass(world, proxy):
    for path in ("/public/admin/x", "/public/a?next=/../admin", "/public/a%20b", "/public/caf%C3%A9", "/one/admin", "/public/a;v=1"):
        answer, reached = send(world, proxy, request("GET", path))
        assert answer.status == 200 and len(reached) == 1, (path, answer)


def test_hosts(world, proxy):
    passed = []
    for host in HOSTS:
        answer, reached = send(world, proxy, request("GET", "/x", host=host))
        passed += [(host, got) for got in reached if "closed" in str(got.all("host")).lower() or "closed" in str(got.all("x-forwarded-host")).lower()]
    for data in (request("GET", "http://closed.example/x", host="other.example"), request("GET", "/x", [("Host", "closed.example")], host="other.example"),
                 request("GET", "/x", [("Host", "other.example")], host="closed.example")):
        answer, reached = send(world, proxy, data)
        passed += [(data, got) for got in reached if "closed" in got.raw.decode("latin-1")]
    assert not passed
    answer, reached = send(world, proxy, request("GET", "/x", host="other.example"))
    assert answer.status == 200 and len(reached) == 1


def test_methods(world, proxy):
    passed = []
    for method in METHODS:
        target = "app.example:443" if method == "CONNECT" else "/readonly/a"
        answer, reached = send(world, proxy, request(method, target))
        passed += [(method, got) for got in reached]
    answer, reached = send(world, proxy, request("OPTIONS", "*"))
    assert not passed and not reached
    answer, reached = send(world, proxy, request("GET", "/readonly/a"))
    assert answer.status == 200 and reached[0].method == "GET"


def test_smuggling(world, proxy):
    """A second request hidden in the first one's body or head does not reach the application unchecked."""
    hidden = b"GET /admin/x HTTP/1.1\r\nHost: app.example\r\n\r\n"
    length = ("Content-Length", str(len(hidden)))
    chunked = ("Transfer-Encoding", "chunked")
    heads = [
        [("Content-Length", "0"), chunked], [chunked, ("Content-Length", "0")], [("Content-Length", "0"), length], [("Content-Length", "+0")],
        [("Transfer-Encoding", "xchunked"), length], [("Transfer-Encoding", "chunked, identity")], [(" Content-Length", "0")], [("Content-Length ", "0")],
        [("Transfer-Encoding", "\x0bchunked")], [("Content-Length", "")], [("X", "a\rContent-Length: 0")], [("X", "a\nContent-Length: 0")],
    ]
    passed = []
    for headers in heads:
        for front in (b"", b"0\r\n\r\n"):
            answer, reached = send(world, proxy, request("POST", "/public/a", headers) + front + hidden)
            passed += [(headers, got) for got in reached if got.target.startswith("/admin")]
    assert not passed


@pytest.mark.parametrize("values", [["h2c"], ["other"], ["h2c", "websocket"], ["websocket", "h2c"], ["websocket, h2c"], ["HTTP/2.0"]], ids=str)
def test_nothing_but_websocket_upgrades(world, proxy, values):
    """Any other upgraded connection would be a tunnel past every later check."""
    headers = [("Connection", "Upgrade, HTTP2-Settings"), *(("Upgrade", value) for value in values), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    _, reached = send(world, proxy, request("GET", "/public/a", headers))
    assert {v.lower() for got in reached for v in got.all("upgrade")} <= {"websocket"}
