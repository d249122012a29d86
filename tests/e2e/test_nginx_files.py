"""The nginx include files in a server of one's own: with gRPC and FastCGI, in open locations, beside directives that fight them."""

import shutil
from types import SimpleNamespace

import pytest

from support import binaries
from support.fastcgi import FastCgi
from support.gate import IDENTITY, bearer
from support.gatepost import Gatepost
from support.proxies import PROXIES
from support.services import Service, listening
from support.wire import ask

RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}}, {"id": "fcgi", "path": "/fcgi/**", "scopes": {"all": ["orders:read"]}}]
FIGHTING, OTHER, GRPC, FCGI = 8086, 8087, 8088, 8089
CONF = f"""
events {{}}
http {{
    access_log off;
    include gatepost.conf;
    upstream app {{ server 127.0.0.1:8080; }}
    server {{
        listen 127.0.0.1:{FIGHTING};                       # the user's own directives must not open the gate
        error_page 500 502 503 504 =200 /fallback;
        proxy_intercept_errors on;
        recursive_error_pages on;
        satisfy any; allow all;
        include gatepost_server.conf;
        location = /fallback {{ return 200 fallback; }}
        location /      {{ include gatepost_location.conf; include gatepost_proxy.conf; proxy_pass http://app; }}
        location /open/ {{ include gatepost_proxy.conf; proxy_pass http://app; }}
    }}
    server {{
        listen 127.0.0.1:{OTHER};
        include gatepost_server.conf;
        location /      {{ include gatepost_location.conf; include gatepost_grpc.conf; grpc_pass grpc://127.0.0.1:{GRPC}; }}
        location /fcgi/ {{ include gatepost_location.conf; include gatepost_fastcgi.conf; fastcgi_pass 127.0.0.1:{FCGI}; }}
    }}
    server {{
        listen 127.0.0.1:{GRPC} http2;
        location / {{ proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://app; }}
    }}
}}
"""
SPOOFED = [*((name, "mallory") for name in IDENTITY), ("X-Proxy-Secret", "SECRET-2"), ("Forwarded", "host=SECRET-3"),
           ("X-HTTP-Method-Override", "SECRET-4"), ("X-Forwarded-Uri", "/SECRET-5"), ("Cookie", "a=1; __Host-gatepost=SECRET-6; b=2")]


@pytest.fixture(scope="module", params=PROXIES[:2], ids=repr)
def world(request, tmp_path_factory, application):
    folder = tmp_path_factory.mktemp("nginx")
    shutil.copytree(binaries.REPOSITORY / "nginx", folder, dirs_exist_ok=True)
    (folder / "logs").mkdir()
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(CONF)
    fastcgi = FastCgi(FCGI)
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, ports={"nginx": 9001}) as gatepost:
        nginx = Service("nginx", request.param.command(request.param.find_binary(), folder), folder).start(lambda: listening(FIGHTING))
        alice = gatepost.sign_up("alice")
        yield SimpleNamespace(gatepost=gatepost, alice=alice, token=alice.token("orders:read"), narrow=alice.token("other"), application=application, fastcgi=fastcgi)
        nginx.stop()
    fastcgi.stop()


def send(world, port, method, target, headers=(), body=b""):
    with world.application.watch() as reached:
        answer = ask(port, method, target, headers, body)
    return answer, reached


def spoofed(world):
    return [*SPOOFED, *bearer(world.token), ("X-Authorization", f"Agent {world.token}"), ("X-Api-Key", world.alice.api_key)]


def assert_clean(world, got):
    for gone in ("SECRET", "mallory", world.token, world.alice.api_key):
        assert gone.encode() not in got.raw
    assert got.cookies == ["a=1", "b=2"]


@pytest.mark.parametrize("port", [FIGHTING, OTHER], ids=["proxy", "grpc"])
def test_allowed(world, port):
    answer, [got] = send(world, port, "POST", "/orders/1", spoofed(world), b"hello")
    assert answer.status == 200 and got.body == b"hello"
    assert (got.one("x-auth-user"), got.one("x-auth-scopes")) == ("alice", "orders:read")
    assert_clean(world, got)


@pytest.mark.parametrize("port, target", [(FIGHTING, "/orders/1"), (OTHER, "/orders/1"), (OTHER, "/fcgi/1")], ids=["proxy", "grpc", "fastcgi"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_refused(world, port, target, method):
    served = len(world.fastcgi.seen)
    for headers, status, challenge in (((), 401, "realm="), (bearer("gpt_forged"), 401, "invalid_token"), (bearer(world.narrow), 403, "insufficient_scope")):
        answer, reached = send(world, port, method, target, headers)
        assert (answer.status, answer.json["code"]) == (status, status), answer
        assert challenge in (answer.one("www-authenticate") or ""), answer
        assert not reached and len(world.fastcgi.seen) == served


def test_fastcgi(world):
    answer, _ = send(world, OTHER, "GET", "/fcgi/1", [*spoofed(world), ("Proxy", "SECRET-7")])
    assert (answer.status, answer.body) == (200, b"from fastcgi"), answer
    params = world.fastcgi.seen[-1]
    assert (params["HTTP_X_AUTH_USER"], params["HTTP_X_AUTH_SCOPES"], params["HTTP_COOKIE"]) == (["alice"], ["orders:read"], ["a=1; b=2"])
    for gone in ("SECRET", "mallory", world.token, world.alice.api_key):
        assert gone not in str(params)


def test_an_open_location_carries_no_identity(world):
    answer, [got] = send(world, FIGHTING, "GET", "/open/x", spoofed(world))
    assert answer.status == 200
    assert not [n for n, _ in got.headers if n.lower().startswith("x-auth-")]
    assert_clean(world, got)


@pytest.mark.parametrize("port", [FIGHTING, OTHER], ids=["proxy", "grpc"])
@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_the_application_s_own_refusals_stay_its_own(world, port, status):
    answer, reached = send(world, port, "GET", f"/orders/answers-{status}", bearer(world.token))
    assert (answer.status, answer.body, len(reached)) == (status, b"from the application", 1), answer


def test_no_client_reaches_the_gate_itself(world):
    for target in ("/_gatepost/verify", "/_gatepost/verify?x", "/%5fgatepost/verify", "//_gatepost/verify", "/@gatepost_explain"):
        for headers in ((), spoofed(world), [("X-Original-Method", "GET"), ("X-Original-URI", "/orders/1"), ("X-Original-Host", "app.example"), *bearer(world.token)]):
            answer, reached = send(world, FIGHTING, "GET", target, headers)
            assert answer.status in (401, 403, 404) and not reached, answer
            assert not answer.all("x-auth-user") and not answer.all("x-deny-reason")


def test_gate_stopped(world):
    world.gatepost.stop()
    for port, target in ((FIGHTING, "/orders/1"), (OTHER, "/orders/1"), (OTHER, "/fcgi/1")):
        served = len(world.fastcgi.seen)
        answer, reached = send(world, port, "GET", target, bearer(world.token))
        assert (answer.status, answer.one("retry-after")) == (503, "1"), answer
        assert (answer.json["code"], answer.one("content-type"), answer.one("cache-control")) == (503, "application/json", "no-store")
        assert not reached and len(world.fastcgi.seen) == served
    world.gatepost.start()
