"""`gatepost doctor` through each real proxy: nothing is found in the shipped files, and each fault in files that were broken on purpose."""

import json

import pytest

from support.certificates import Authority
from support.gate import IDENTITY, PORTS, check, refused
from support.gatepost import ADMIN, PASSWORD, Gatepost
from support.proxies import PROXIES, through
from support.services import until
from support.wire import ask

APPLICATION = "127.0.0.1:8080"
RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}}, {"id": "open", "path": "/open/**", "access": "anonymous"}]
BY_NAME = {proxy.name: proxy for proxy in PROXIES}
NGINX, TRAEFIK, CADDY, HAPROXY, ENVOY = (BY_NAME[name] for name in ("nginx-1.22", "traefik", "caddy", "haproxy", "envoy"))


@pytest.fixture(scope="module")
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, environment={"ANN": PASSWORD}) as started:
        started.ann = started.sign_up("ann")  # the founder is super admin
        yield started


def doctor(gatepost, url, *more, user="ann"):
    done = gatepost.run("doctor", url, "--user", user, "--password-env", "ANN", *more)
    assert done.returncode in (0, 1) and not done.stderr, done
    return done


def examined(gatepost, proxy, *more, below="/"):
    done = doctor(gatepost, f"http://127.0.0.1:{proxy.port}{below}", "--json", *more)
    report = json.loads(done.stdout)
    assert (done.returncode == 1) == bool(report["faults"]), report
    return report


def found(report):
    return {fault["fault"] for fault in report["faults"]}


@pytest.mark.parametrize("proxy", PROXIES, ids=repr)
def test_nothing_is_found_in_the_shipped_files(gatepost, free_ports, tmp_path, proxy):
    with through(proxy, tmp_path):
        report = examined(gatepost, proxy, "--application", APPLICATION)
    assert report["gate"] == proxy.gate and report["faults"] == []
    assert {line["outcome"] for line in report["lines"]} == {"fine"}, report
    names = {line["name"] for line in report["lines"]}
    assert {"a gate that is silent", "a gate that hangs up", "who asks", "tunnels", "odd paths"} <= names


IDENTITY_LINE = "proxy_set_header X-Auth-User       $gatepost_user;"
# the application gets `//`, the gate is told `/`
CLEAN = 'include gatepost.conf;\n    map $request_uri $clean { "~^([^?]*)//(.*)$" $1/$2; default $request_uri; }'
HEADERS_OFF = "proxy_pass_request_headers off;"

# name: (proxy, edits, path, faults)
TO_THE_GATE = {
    "nginx: $uri": (NGINX, [("gatepost_server.conf", "$request_uri;", "$uri;")], "/", {"wrong_uri"}),
    "nginx: no URI of its own": (NGINX, [("gatepost_server.conf", HEADERS_OFF, ""),
                                         ("gatepost_server.conf", "proxy_set_header X-Original-URI    $request_uri;", "")], "/", {"not_described"}),
    "nginx: not asked": (NGINX, [("gatepost_location.conf", "satisfy          all;", "satisfy any; allow all;")], "/", {"not_asked"}),
    "nginx: one location": (NGINX, [("nginx.conf", "location / {", "location / { proxy_pass http://app; }\n location /api/ {")], "/api", {"past_the_gate"}),
    "nginx: its own name": (NGINX, [("gatepost_server.conf", "X-Original-Host   $host;", "X-Original-Host   $proxy_host;")], "/", {"wrong_host"}),
    "nginx: another scheme": (NGINX, [("gatepost_server.conf", "X-Original-Proto  $scheme;", "X-Original-Proto  https;")], "/", {"wrong_scheme"}),
    "nginx: cleaned by hand": (NGINX, [("gatepost_server.conf", "X-Original-URI    $request_uri;", "X-Original-URI    $clean;"),
                                       ("nginx.conf", "include gatepost.conf;", CLEAN)], "/", {"uri_rewritten"}),
    "nginx: one method, no /explain": (NGINX, [("gatepost_server.conf", "X-Original-Method $request_method", "X-Original-Method GET"),
                                               ("gatepost_location.conf", "error_page 401", "#")], "/", {"wrong_method", "status_lost"}),
    "nginx: obeyed by nobody": (NGINX, [("gatepost_location.conf", "error_page 401 403 500 = @gatepost_explain;", "error_page 401 403 =200 @open;"),
                                        ("gatepost_server.conf", "location @gatepost_down {", "location @open { proxy_pass http://app; }\nlocation @gatepost_down {")],
                                "/", {"refusal_ignored"}),
    "traefik: prefix cut before": (TRAEFIK, [("dynamic.yml", "middlewares: [gatepost-clean,", "middlewares: [cut, gatepost-clean,"),
                                             ("dynamic.yml", "  middlewares:\n", '  middlewares:\n    cut: { stripPrefix: { prefixes: ["/api"] } }\n')], "/api", {"wrong_uri"}),
    "traefik: at the gate of nginx": (TRAEFIK, [("dynamic.yml", "127.0.0.1:9002", "127.0.0.1:9001")], "/", {"wrong_dialect"}),
    "traefik: another address": (TRAEFIK, [("dynamic.yml", "127.0.0.1:9002/verify", "127.0.0.1:9002/auth")], "/", {"wrong_target"}),
    "traefik: the client's word": (TRAEFIK, [("dynamic.yml", "trustForwardHeader: false", "trustForwardHeader: true"),
                                             ("traefik.yml", "    http:\n", "    forwardedHeaders: { insecure: true }\n    http:\n")], "/", {"description_believed"}),
    "caddy: one path": (CADDY, [("Caddyfile", "forward_auth 127.0.0.1:9003", "forward_auth /api/* 127.0.0.1:9003")], "/api", {"past_the_gate"}),
    "envoy: another prefix": (ENVOY, [("envoy.yaml", "path_prefix: /verify", "path_prefix: /auth")], "/", {"wrong_target"}),
    "haproxy: another secret": (HAPROXY, [("forward-auth.lua", 'SECRET = "s3cret"', 'SECRET = "other"')], "/", {"proxy_secret"}),
    "haproxy: without query": (HAPROXY, [("haproxy.cfg", "txn.gatepost_uri) pathq", "txn.gatepost_uri) path")], "/", {"query_lost"}),
}


@pytest.mark.parametrize("name", TO_THE_GATE)
def test_what_arrives_at_the_gate(gatepost, free_ports, application, tmp_path, name):
    proxy, edits, below, faults = TO_THE_GATE[name]
    application.start()
    try:
        with through(proxy, tmp_path, edits):
            report = examined(gatepost, proxy, "--no-outages", below=below)
    finally:
        application.stop()
    assert found(report) == faults, report
    for fault in report["faults"]:
        assert fault["arrived"] and fault["means"] and all(mend["how"] for mend in fault["mend"])


TO_THE_APPLICATION = {
    "nginx": (NGINX, [
        ("gatepost.conf", "    keepalive 64; ", "    # "),
        ("gatepost_server.conf", HEADERS_OFF, ""),
        ("gatepost_server.conf", 'proxy_set_header Content-Length "";', ""),
        ("gatepost_proxy.conf", IDENTITY_LINE, ""),
        ("gatepost_proxy.conf", 'proxy_set_header X-Original-URI         "";', ""),
        ("gatepost_proxy.conf", 'proxy_set_header X-Api-Key       "";', ""),
        ("gatepost_proxy.conf", "proxy_set_header Upgrade    $gatepost_upgrade;", "proxy_set_header Upgrade $http_upgrade;"),
    ], {"no_keep_alive", "client_headers", "identity_to_gate", "body_announced", "identity_lost", "identity_spoofed", "client_headers_to_app",
        "credentials_to_app", "tunnel_to_app"}),
    "nginx: a path at proxy_pass": (NGINX, [("nginx.conf", "proxy_pass http://app;", "proxy_pass http://app/other/;")], {"request_changed"}),
    "traefik": (TRAEFIK, [
        ("dynamic.yml", "          - X-Auth-User\n", ""),
        ("dynamic.yml", '          X-Auth-User: ""\n', ""),
        ("dynamic.yml", "          - X-Api-Key\n", ""),
        ("dynamic.yml", '          X-Api-Key: ""\n', ""),
        ("dynamic.yml", '          X-Proxy-Secret: ""\n', ""),
        ("dynamic.yml", "          - X-Original-Upgrade\n", ""),
        ("traefik.yml", "aliasHeadersStrategy: delete", "#"),
    ], {"identity_lost", "identity_spoofed", "credentials_lost", "credentials_to_app", "secret_to_app", "upgrade_untold"}),
    "traefik: everything to the gate": (TRAEFIK, [
        ("dynamic.yml", '          X-Original-Url: ""\n', ""),
        ("dynamic.yml", '          X-Auth-User: ""\n', ""),
        ("dynamic.yml", "          - X-Request-Id ", "          - X-Original-Url\n          - X-Auth-User\n          - X-Request-Id "),
    ], {"client_headers", "identity_to_gate", "client_headers_to_app"}),
    "caddy": (CADDY, [
        ("Caddyfile", "copy_headers", "# "),
        ("Caddyfile", "request_header -X-Auth-*", ""),
        ("Caddyfile", "request_header -X-Original-*", ""),
        ("Caddyfile", "request_header -X-Api-Key", ""),
        ("Caddyfile", "uri /verify?", "uri /verify"),
    ], {"identity_lost", "identity_to_gate", "identity_spoofed", "client_headers", "client_headers_to_app", "credentials_to_app", "query_appended"}),
    "caddy: Connection": (CADDY, [
        ("Caddyfile", "request_header @plain -Upgrade", ""),
        ("Caddyfile", "request_header @plain -Connection", ""),
    ], {"identity_dropped", "tunnel_to_app"}),
    "envoy": (ENVOY, [
        ("envoy.yaml", "- { remove: x-auth-user }", ""),
        ("envoy.yaml", "- { remove: x-original-url }", ""),
        ("envoy.yaml", "                    - { exact: x-auth-user }\n", ""),
        ("envoy.yaml", "                - { exact: x-api-key }\n", ""),
        ("envoy.yaml", "                - { exact: upgrade }\n", ""),
        ("envoy.yaml", "              - x-api-key\n", ""),
    ], {"identity_lost", "identity_spoofed", "client_headers_to_app", "credentials_lost", "credentials_to_app", "upgrade_untold"}),
    "haproxy": (HAPROXY, [
        ("haproxy.cfg", "http-request del-header [^A-Za-z0-9-] -m reg", "#"),
        ("haproxy.cfg", "http-request del-header x-original- -m beg", ""),
        ("haproxy.cfg", "  http-request del-header x-api-key\n", ""),
        ("haproxy.cfg", "http-request del-header connection", ""),
        ("haproxy.cfg", "http-request del-header upgrade                    unless websocket", ""),
        ("forward-auth.lua", '"x-api-key", ', ""),
        ("forward-auth.lua", ', "upgrade"', ""),
    ], {"identity_spoofed", "client_headers_to_app", "credentials_to_app", "credentials_lost", "tunnel_to_app", "upgrade_untold"}),
    "haproxy: 204 alone": (HAPROXY, [("forward-auth.lua", "status ~= 200", "status ~= 204")], {"not_let_through"}),
}


@pytest.mark.parametrize("name", TO_THE_APPLICATION)
def test_what_arrives_at_the_application(gatepost, free_ports, tmp_path, name):
    proxy, edits, faults = TO_THE_APPLICATION[name]
    with through(proxy, tmp_path, edits):
        report = examined(gatepost, proxy, "--no-outages", "--application", APPLICATION)
    assert found(report) == faults, report


OUTAGES = {
    "nginx": (NGINX, [
        ("gatepost_location.conf", "error_page 401 403 500 = @gatepost_explain;", "error_page 401 403 = @gatepost_explain; error_page 500 =200 @open;"),
        ("gatepost_server.conf", "location @gatepost_down {", "location @open { proxy_pass http://app; }\nlocation @gatepost_down {"),
    ], {"fail_open"}),
    "nginx: while it is away": (NGINX, [("gatepost_server.conf", "error_page 500 502 503 504 @gatepost_down;", "error_page 502 =200 /open;"),
                                        ("nginx.conf", "location / {", "location = /open { return 200; }\n location / {")], {"fail_open"}),
    "traefik": (TRAEFIK, [
        ("dynamic.yml", "middlewares: [gatepost-clean,", "middlewares: [open, gatepost-clean,"),
        ("dynamic.yml", "  middlewares:\n", '''  middlewares:
    open: { errors: { status: ["500-599"], service: app, query: "/", statusRewrites: { "500-599": 200 } } }
'''),
    ], {"fail_open"}),
    "caddy": (CADDY, [
        ("Caddyfile", '`{"data":[],"status":"failed","code":503,"message":"authorization or application unavailable"}` 503', "open 200"),
        ("Caddyfile", "				response_header_timeout 500ms\n", ""),
        ("Caddyfile", "				keepalive 60s\n				keepalive_idle_conns_per_host 64\n", "				keepalive off\n"),
    ], {"fail_open", "slow_timeout", "no_keep_alive"}),
    "envoy": (ENVOY, [("envoy.yaml", "failure_mode_allow: false", "failure_mode_allow: true"), ("envoy.yaml", "timeout: 0.5s }", "timeout: 10s }")],
              {"fail_open", "slow_timeout"}),
    "haproxy": (HAPROXY, [("forward-auth.lua", 'return refuse_ourselves(txn, 503, "authorization unavailable") end',
                           'return txn:set_var("txn.gatepost_ok", true) end')], {"fail_open"}),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_a_gate_that_fails(gatepost, free_ports, application, tmp_path, name):
    proxy, edits, faults = OUTAGES[name]
    application.start()
    try:
        with through(proxy, tmp_path, edits):
            report = examined(gatepost, proxy)
    finally:
        application.stop()
    assert found(report) == faults, report


def test_the_text(gatepost, free_ports, application, tmp_path):
    """One line a question, then what arrived, what that means and how it is mended; no secret of anyone's."""
    application.start()
    try:
        with through(NGINX, tmp_path, [("gatepost.conf", "    keepalive 64; ", "    # ")]):
            done = doctor(gatepost, f"http://127.0.0.1:{NGINX.port}/", "--no-outages")
    finally:
        application.stop()
    lines = done.stdout.splitlines()
    assert lines[0] == f"http://127.0.0.1:{NGINX.port}/ asks the nginx gate"
    assert sum(line.startswith("✓ ") for line in lines) >= 9 and sum(line.startswith("✗ ") for line in lines) == 1
    assert any(line.startswith("? the application") and "--application" in line for line in lines)
    said = done.stdout.partition("\n1. ")[2]
    assert "arrived  6 checks over 6 connections" in said and "means    " in said and "mend     nginx: `keepalive 64;`" in said
    assert "1 fault\n" in said and "s3cret" not in done.stdout and PASSWORD not in done.stdout


def test_over_tls(gatepost, free_ports, application, tmp_path):
    """The name and the port of the URL are what the proxy is told; where to connect may be said apart."""
    authority = Authority(tmp_path / "authority")
    key = authority.key()
    pair = tmp_path / "pair.pem"
    pair.write_text(authority.sign(key, 1) + key)
    listen = f"listen 127.0.0.1:{NGINX.port} ssl; ssl_certificate {pair}; ssl_certificate_key {pair};"
    url, here = "https://localhost:9999/", ["--connect", f"127.0.0.1:{NGINX.port}", "--no-outages", "--json"]
    application.start()
    try:
        with through(NGINX, tmp_path, [("nginx.conf", f"listen 127.0.0.1:{NGINX.port};", listen)]):
            done = doctor(gatepost, url, *here, "--ca", str(authority.cert))
            distrusted = gatepost.run("doctor", url, *here, "--user", "ann", "--password-env", "ANN", check=1)
    finally:
        application.stop()
    report = json.loads(done.stdout)
    assert report["faults"] == [] and report["gate"] == "nginx", report
    assert "cannot connect" in distrusted.stderr and "certificate" in distrusted.stderr.lower(), distrusted


def test_who_may_ask_and_how(gatepost, free_ports):
    url = f"http://127.0.0.1:{NGINX.port}/"
    ann = ["--user", "ann", "--password-env", "ANN"]
    for arguments in (["not a URL"], [url + "?a=b"], [url, "--admin", "auth.example", *ann], [url, "--admin", "http://auth.example", *ann], [url, "--user", "ann", "--password-env", "NOBODY"], []):
        done = gatepost.run("doctor", *arguments, check=64)
        assert done.stderr and not done.stdout
    gatepost.sign_up("bob")
    done = gatepost.run("doctor", url, "--user", "bob", "--password-env", "ANN", check=1)
    assert "only a super admin may examine" in done.stderr
    done = gatepost.run("doctor", url, "--user", "ann", "--password-env", "GATEPOST_CONFIG", check=1)
    assert "401" in done.stderr
    done = gatepost.run("doctor", url, "--user", "ann", "--password-env", "ANN", check=1)
    assert "the proxy does not answer" in done.stderr
    done = gatepost.run("doctor", url, "--admin", "http://127.0.0.1:9", "--user", "ann", "--password-env", "ANN", check=1)
    assert "no connection" in done.stderr
    token = gatepost.ann.login()["token"]
    done = gatepost.run_printed(f"GATEPOST_ADMIN_TOKEN={token} gatepost doctor {url} --admin http://127.0.0.1:{ADMIN}")
    assert done.returncode == 1 and "the proxy does not answer" in done.stderr, done


def test_an_open_location_is_not_examined(gatepost, free_ports, application, tmp_path):
    application.start()
    try:
        with through(NGINX, tmp_path), application.watch() as reached:
            done = gatepost.run("doctor", f"http://127.0.0.1:{NGINX.port}/open", "--user", "ann", "--password-env", "ANN", check=1)
    finally:
        application.stop()
    assert "the rules let everyone pass there" in done.stderr and not done.stdout
    assert [request.method for request in reached] == ["GET"]


@pytest.fixture
def examination(gatepost):
    """Opens examinations; each is closed in the end, for four may be open."""
    opened = []

    def open_one(*manners, below="/"):
        answer = gatepost.ann.call("POST", "/v1/examinations", {"manners": manners, "below": below})
        assert answer.status == 201 and answer.json["examination"]["expires_in"] == 120, answer
        opened.append(answer.json["examination"])
        return opened[-1]["id"], opened[-1]["nonces"]

    yield open_one
    for one in opened:
        gatepost.ann.call("DELETE", f"/v1/examinations/{one['id']}")


@pytest.mark.parametrize("proxy", PORTS)
def test_what_a_nonce_lets_through(gatepost, examination, proxy):
    """One GET of its own path, as nobody or as `gatepost-doctor`; nothing else, for nobody else, and never after."""
    until("the gate answers", 5, lambda: check(proxy, uri="/orders/1") is not None)
    for manner in ("allow", "identify"):
        identity, [nonce, other] = examination(manner, manner)
        own = f"/.gatepost/doctor/{nonce}"
        never = [
            {"uri": "/orders/1", "headers": [("X-Nonce", nonce)]},
            {"uri": f"/orders/{nonce}"},
            {"uri": f"{own}/orders"},
            {"uri": f"{own}?a=b"},
            {"uri": f"/api{own}"},
            {"uri": own.replace("doctor", "d%6fctor")},
            {"uri": f"/.gatepost/doctor/{other}x", "headers": [("X-Nonce", nonce)]},
            {"uri": f"/.gatepost/doctor/{other}", "headers": [("Cookie", nonce)], "method": "POST"},
            {"uri": own, "method": "POST"},
            {"uri": own, "method": "HEAD"},
            {"uri": own, "secret": "guess"},
            {"uri": own, "secret": None},
            {"uri": own, "path": "/explain"},
            {"uri": own, "headers": [("Content-Length", "1")]},
            {"uri": f"/.gatepost/doctor/gpd_{'0' * 32}"},
        ]
        for question in never:
            answer = check(proxy, **question)
            assert refused(answer) or answer.status == 503, (question, answer)
        answer = check(proxy, uri=own)
        assert answer.status == 200, answer
        assert {answer.one(name) for name in IDENTITY} == ({""} if manner == "allow" else {"gatepost-doctor", "60"})
        assert refused(check(proxy, uri=own)), "a second time"
        assert gatepost.ann.call("DELETE", f"/v1/examinations/{identity}").json["deleted"]
        assert refused(check(proxy, uri=f"/.gatepost/doctor/{other}")), "it is over"
        assert gatepost.ann.call("GET", f"/v1/examinations/{identity}").status == 404


@pytest.mark.parametrize("proxy", PORTS)
def test_what_a_nonce_shows(gatepost, examination, proxy):
    """Every manner but letting through refuses; what is kept holds no credential; what carries no nonce is not kept."""
    identity, nonces = examination("usual", "fail", "hang_up")
    token = gatepost.ann.token()
    secrets = [("Authorization", f"Bearer {token}"), ("Cookie", "session=cookie-secret"), ("X-Vendor-Token", "vendor-secret")]
    answers = [check(proxy, uri=f"/a?{nonce}", headers=secrets) for nonce in nonces]
    check(proxy, uri="/without", headers=secrets)
    assert refused(answers[0]) and answers[1].status == 500 and answers[2] is None, answers
    answer = gatepost.ann.call("GET", f"/v1/examinations/{identity}")
    sights = answer.json["sights"]
    assert [sight["nonce"] for sight in sights] == nonces and {sight["gate"] for sight in sights} == {proxy}
    assert {sight["uri"]["value"] for sight in sights} == {f"/a?{nonce}" for nonce in nonces}
    assert all(sight["connection"] >= answer.json["first_connection"] for sight in sights)
    for secret in (token, "cookie-secret", "vendor-secret", "s3cret"):
        assert secret not in answer.body.decode()
    trail = gatepost.ann.call("GET", "/v1/audit?limit=50").json
    assert any(entry["action"] == "examine" and entry["target"] == identity for entry in trail["entries"]), trail


def test_few_examinations_at_once(gatepost, examination):
    for _ in range(4):
        examination("usual")
    answer = gatepost.ann.call("POST", "/v1/examinations", {"manners": ["usual"]})
    assert answer.status == 429 and answer.one("retry-after")
    for body in ({"manners": []}, {"manners": ["usual"] * 65}, {"manners": ["open"]}, {"manners": ["usual"], "below": "/a/../b"},
                 {"manners": ["usual"], "below": "/{x}"}, {"manners": ["usual"], "below": "/**"}, {}):
        assert gatepost.ann.call("POST", "/v1/examinations", body).status == 400, body
