"""Path tricks: whatever one program in the chain may read differently from another is refused, by every gate.

The rules of `open` let everything pass that is understood at all, so that nothing but the path itself can be the reason;
`public` is the other half: one open folder beside a closed one, and a trick must not lead from the one into the other.
"""

import pytest

from support.gate import PORTS, assert_refused, check, refused
from support.gatepost import Gatepost

OPEN, PUBLIC = "open.example", "public.example"
RULES = [
    {"id": "open", "hosts": [OPEN], "path": "/**", "access": "anonymous"},
    {"id": "public", "hosts": [PUBLIC], "path": "/public/**", "access": "anonymous"},
    {"id": "one", "hosts": [PUBLIC], "path": "/one/{name}", "access": "anonymous"},
    {"id": "admin", "hosts": [PUBLIC], "path": "/admin/**", "scopes": {"all": ["admin"]}},
]

DOTS = [".", "..", "%2e", "%2E", "%2e%2e", "%2E%2e", ".%2e", "%2e.", ".;", "..;", "..;x=1", ".;a=b", "%2e%2e;x", "..;;", "%2e;", "...", "....", "%2e%2e%2e", "..%20", "%20..", ".%20."]
ENCODED = ["%2f", "%2F", "%5c", "%5C", "%23", "%3f", "%3F", "%25", "%3b", "%3B", "%00", "%0a", "%0d", "%09", "%1f", "%7f", "%0d%0aX-Auth-User:%20root"]
DOUBLY_ENCODED = ["%252e%252e", "%252f", "%25252f", "%255c", "%2500", "%253b"]
BROKEN = ["%", "%2%", "%zz", "%u002e", "%u2216", "%-1", "%0", "%2g", "% 2", "a%"]
NOT_UTF8 = ["%c0%ae", "%c0%af", "%c0%ae%c0%ae", "%e0%80%af", "%f0%80%80%af", "%ff", "%fe", "%80", "%bf", "%c3", "%c3%28", "%ed%a0%80", "%f4%90%80%80", "%f8%88%80%80%80"]
RAW = [b" ", b"\t", b"\\", b"#", b"#/../x", b"\x01", b"\x0b", b"\x7f", b"\x80", b"\xff", "é".encode(), "é".encode("latin-1"), "．．".encode(),
       "∕".encode(), b"\xc0\xae", b"\xc2\x85", b"a b"]
EMPTY_SEGMENTS = ["//", "///", "/a//", "//a", "/;/", "/;x=1/", "/a/;/b"]

HOSTILE = [
    *(form.format(dots).encode() for dots in DOTS for form in ("/{}", "/{}/a", "/a/{}", "/a/{}/b", "/a/{}/")),
    *(form.format(piece).encode() for piece in ENCODED + DOUBLY_ENCODED + BROKEN + NOT_UTF8 for form in ("/{}", "/a{}b/c", "/a/{}/b")),
    *(b"/a" + raw + b"b/c" for raw in RAW),
    *(path.encode() for path in EMPTY_SEGMENTS),
]
NOT_A_PATH = [b"*", b"a", b"admin/x", b"http://app.example/a", b"https://app.example/", b"//app.example/a", b"?x=1", b"#", b"\\a", b"app.example:443"]
INTO_ADMIN = [f"/public/{dots}/admin/x" for dots in DOTS] + [
    "/public%2f..%2fadmin/x", "/public/..%2fadmin/x", "/public/..%5cadmin/x", "/public/a%23/../../admin/x", "/public/%2e%2e%2fadmin/x",
    "/public//../admin/x", "/public/a/../../admin/x", "/public/..%00/admin/x", "/public/%252e%252e/admin/x", "/public;/../admin/x",
    "/one/..%2fadmin", "/one/%2e%2e", "/one/a%2fb", "//admin/x", "/./admin/x", "/admin;x/x", "/%61dmin/x", "/admin/../admin/x",
]
HARMLESS = ["/", "/a", "/a/", "/caf%C3%A9", "/a%20b", "/a+b,c:d@e~f!g$h&i'j(k)l*m=n", "/.well-known/x", "/a.b", "/..a", "/a..", "/a;v=1", "/a;v=1/b;w=2",
            "/%41", "/a?x=/../%2f%00//#".replace("#", ""), "/a?", "/%7E", "/a%3Db"]


@pytest.fixture(scope="module", autouse=True)
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as started:
        yield started


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("kind, paths", [("hostile", HOSTILE), ("no path", NOT_A_PATH)], ids=["hostile", "no-path"])
def test_refused_though_everything_is_open(proxy, kind, paths):
    for path in paths:
        if proxy == "envoy" and not path.startswith(b"/"):
            continue  # its path is part of the request line
        assert_refused(proxy, check(proxy, "GET", path, OPEN), "path_refused", "request_not_described")


@pytest.mark.parametrize("proxy", PORTS)
def test_a_query_does_not_excuse_the_path(proxy):
    for path in (b"/a/../b?x=1", b"/a%2fb?", b"/a//b?x=/", b"/a/%2e%2e?../x", b"/..?", b"/a%?x"):
        assert_refused(proxy, check(proxy, "GET", path, OPEN), "path_refused", "request_not_described")


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("path", INTO_ADMIN)
def test_no_way_from_the_open_folder_into_the_closed_one(proxy, path):
    answer = check(proxy, "GET", path, PUBLIC)
    assert refused(answer), answer


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("path", HARMLESS)
def test_a_plain_path_passes(proxy, path):
    assert check(proxy, "GET", path, OPEN).status == 200


@pytest.mark.parametrize("proxy", PORTS)
def test_both_readings_of_a_semicolon_must_be_allowed(proxy):
    allowed = {"/public/a;v=1": True, "/public/a;v=1/b": True, "/one/a;v=1": True,
               "/public;v=1/a": False, "/admin;/x": False, "/public;/admin": False, "/one;x/a": False, "/;x=/public/a": False}
    for path, expected in allowed.items():
        answer = check(proxy, "GET", path, PUBLIC)
        assert (answer.status == 200) == expected, (path, answer)


@pytest.mark.parametrize("proxy", PORTS)
def test_paths_compare_with_case_and_whole(proxy):
    for path in ("/PUBLIC/a", "/Public/a", "/publi", "/publicx/a", "/one", "/one/", "/one/a/", "/one/a/b", "/xpublic/a"):
        assert refused(check(proxy, "GET", path, PUBLIC)), path
    for path in ("/public", "/public/", "/public/a/b/c", "/%70ublic/a", "/one/a"):
        assert check(proxy, "GET", path, PUBLIC).status == 200, path
