"""How each proxy asks its gate, as bytes."""

from .wire import exchange, request

SECRET = "s3cret"
PORTS = {"nginx": 9001, "traefik": 9002, "caddy": 9003, "haproxy": 9004, "envoy": 9005}
FORWARDED = ("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host")
DESCRIBED_IN = {"nginx": ("X-Original-Method", "X-Original-URI", "X-Original-Host"),
                "traefik": FORWARDED, "caddy": FORWARDED, "haproxy": FORWARDED}
IDENTITY = ("X-Auth-User", "X-Auth-Scopes", "X-Auth-Tenant", "X-Auth-Key-Id", "X-Auth-Expires-In")


def description(proxy, method, uri, host):
    """The headers in which the proxy names the original request; None leaves one out."""
    named = zip(DESCRIBED_IN[proxy], (method, uri, host), strict=True)
    return [(name, value) for name, value in named if value is not None]


def question(proxy, method="GET", uri="/", host="app.example", headers=(), secret=SECRET, path="/verify"):
    """The bytes with which the proxy asks about this request."""
    secret = [("X-Proxy-Secret", secret)] if secret is not None else []
    if proxy == "envoy":
        uri = uri if isinstance(uri, bytes) else uri.encode("latin-1")
        return request(method, path.encode() + uri, [*headers, *secret], host=host)
    return request("GET", path, [*description(proxy, method, uri, host), *headers, *secret], host="gate.internal")


def check(proxy, *arguments, address=None, **named):
    """Asks the proxy's gate; returns its answer, or None where it ended the connection."""
    return exchange(address or PORTS[proxy], question(proxy, *arguments, **named), named.get("method", arguments[0] if arguments else "GET"))


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def changed(text):
    """The same but for its last character, which is another one."""
    return text[:-1] + ("a" if text[-1] != "a" else "b")


def refused(answer):
    """Whether this can only be read as no: by every proxy, Envoy included."""
    return answer is None or answer.status in (400, 401, 403, 404, 414, 431)


def assert_refused(proxy, answer, *reasons, status=None):
    """A refusal with one of these codes where its dialect carries a code, or one by the HTTP layer itself."""
    assert refused(answer), answer
    if answer is None or answer.status in (400, 431):
        assert status is None, answer
        return
    assert not [n for n, _ in answer.headers if n.lower().startswith("x-auth-")], answer
    assert answer.one("cache-control") == "no-store", answer
    assert answer.reason in reasons or (proxy != "nginx" and answer.reason is None), answer
    assert status in (None, answer.status), answer
