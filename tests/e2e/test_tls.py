"""TLS on gates and on the admin listener: real clients, certificates that are replaced, and pairs that do not fit."""

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from support import binaries
from support.certificates import Authority
from support.gate import bearer, question
from support.gatepost import ADMIN, PASSWORD
from support.proxies import PROXIES
from support.services import Service, listening, until
from support.wire import ask

RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}}]
NGINX, ENVOY = 9001, 9005
TLS = {"cert": "gate.pem", "key": "gate.key"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def gate(proxy, port):
    return {"proxy": proxy, "listen": f"127.0.0.1:{port}", "secret": {"env": "GATEPOST_PROXY_SECRET"}, "tls": TLS}


def put(folder, cert=None, key=None):
    """Replaces files as a careful program does."""
    for name, text in (("gate.pem", cert), ("gate.key", key)):
        if text is not None:
            (folder / "beside").write_text(text)
            (folder / "beside").chmod(0o600)
            (folder / "beside").rename(folder / name)


@pytest.fixture
def gatepost(tmp_path, authority, gatepost_with):
    key = authority.key()
    put(tmp_path, authority.sign(key, 1), key)
    made = gatepost_with(RULES, gates=[gate("nginx", NGINX), gate("envoy", ENVOY)], admin={"listen": f"127.0.0.1:{ADMIN}", "tls": TLS})
    return made


def trusting(authority):
    context = ssl.create_default_context(cafile=authority.cert)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def connected(authority, port=NGINX, **asked):
    context = trusting(authority)
    if "alpn" in asked:
        context.set_alpn_protocols(asked["alpn"])
    if "at_most" in asked:
        context.maximum_version = asked["at_most"]
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=8), server_hostname="localhost")


def serial(authority):
    """The serial number of the certificate that is served to who comes now."""
    with connected(authority) as connection:
        return int(connection.getpeercert()["serialNumber"], 16)


def admin(authority, method, path, body=None):
    connection = http.client.HTTPSConnection("localhost", ADMIN, timeout=20, context=trusting(authority))
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status in (200, 201), answer.read()
        return json.loads(answer.read())
    finally:
        connection.close()


def token(authority):
    key = admin(authority, "POST", "/v1/register", {"user": "me", "password": PASSWORD})["api_key"]
    return admin(authority, "POST", "/get-token", {"api_key": key, "scopes": ["orders:read"]})["data"]["auth_token"]


def checked(connection, *arguments, **named):
    """One check over a connection that stays."""
    connection.sendall(question("nginx", *arguments, **named))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        assert byte, head
        head += byte
    return int(head.split()[1])


def test_the_admin_listener_speaks_to_curl(gatepost, authority, tmp_path):
    gatepost.start()
    assert f"admin             https://127.0.0.1:{ADMIN}" in gatepost.said()
    curl = ["curl", "-sS", "--max-time", "8", "-w", " %{http_code} %{http_version} %{ssl_verify_result}"]
    by_authority = subprocess.run([*curl, "--cacert", authority.cert, f"https://localhost:{ADMIN}/"], capture_output=True, text=True)
    assert '"name":"gatepost"' in by_authority.stdout.replace(" ", "") and by_authority.stdout.endswith(" 200 1.1 0"), by_authority
    assert subprocess.run([*curl, f"https://localhost:{ADMIN}/"], capture_output=True).returncode == 60, "whoever does not know the authority"
    assert subprocess.run([*curl, f"http://localhost:{ADMIN}/"], capture_output=True).returncode in (1, 52, 56), "plain"
    told = gatepost.run("check-config", check=0).stdout
    assert f"admin: 127.0.0.1:{ADMIN} with TLS" in told and f"gate nginx: 127.0.0.1:{NGINX} with TLS" in told, told


def test_versions_and_protocols(gatepost, authority):
    gatepost.start()
    for asked, version, protocol in (({}, "TLSv1.3", None), ({"at_most": ssl.TLSVersion.TLSv1_2}, "TLSv1.2", None),
                                     ({"alpn": ["h2", "http/1.1"]}, "TLSv1.3", "http/1.1")):
        with connected(authority, **asked) as connection:
            assert (connection.version(), connection.selected_alpn_protocol()) == (version, protocol)
            assert checked(connection, uri="/orders/1") == 401
    with pytest.raises(ssl.SSLError):
        connected(authority, alpn=["h2"])


@pytest.mark.parametrize("kind", ["sec1", "rsa", "pkcs1"])
def test_every_kind_of_key(gatepost, authority, kind, tmp_path):
    key = authority.key(kind)
    put(tmp_path, authority.sign(key, 7), key)
    gatepost.start()
    assert serial(authority) == 7


def test_the_secret_and_the_request_line_count_on_tls_as_well(gatepost, authority):
    gatepost.start()
    with connected(authority) as connection:
        assert checked(connection, uri="/orders/1", secret=None) == 403
    with connected(authority, ENVOY) as connection:
        connection.sendall(question("envoy", uri="/orders/1"))
        assert connection.recv(12) == b"HTTP/1.1 401"
    with connected(authority, ENVOY) as connection:
        connection.sendall(question("envoy", uri="/orders/1#/../open"))
        assert connection.recv(12) == b"HTTP/1.1 400"


@pytest.mark.parametrize("program", PROXIES[:2], ids=repr)
def test_nginx_asks_a_gate_by_tls(gatepost, authority, application, tmp_path, program, running_proxies):
    """The shipped files with https:// and three proxy_ssl lines; a gate with a certificate of nobody's is a gate that is down."""
    running_proxies.stop()
    gatepost.start()
    key = token(authority)
    folder = tmp_path / "nginx"
    shutil.copytree(binaries.REPOSITORY / "nginx", folder)
    (folder / "logs").mkdir()
    os.chmod(tmp_path, 0o755)
    shutil.copy(authority.cert, folder / "gatepost_ca.pem")
    server = (folder / "gatepost_server.conf").read_text()
    for gate in ("http://gatepost/verify;", "http://gatepost;"):
        assert server.count(gate) == 1
        server = server.replace(gate, gate.replace("http:", "https:"))
    verify = "proxy_ssl_trusted_certificate gatepost_ca.pem; proxy_ssl_verify on; proxy_ssl_verify_depth 2; proxy_ssl_name localhost; proxy_ssl_server_name on;\n"
    (folder / "gatepost_server.conf").write_text(verify + server)
    nginx = Service("nginx", program.command(program.find_binary(), folder), folder).start(lambda: listening(8081))
    try:
        with application.watch() as reached:
            assert ask(8081, "GET", "/orders/1").status == 401
            answers = [ask(8081, "GET", "/orders/1", bearer(key)) for _ in range(20)]
        assert [answer.status for answer in answers] == [200] * 20
        assert [(request.target, request.one("x-auth-user")) for request in reached] == [("/orders/1", "me")] * 20
        assert ask(8081, "GET", "/other", bearer(key)).status == 403
        stranger = Authority(tmp_path / "stranger")
        secret = stranger.key()
        put(tmp_path, stranger.sign(secret, 99), secret)
        until("the stranger's certificate is served", 8, lambda: "certificate reloaded" in gatepost.said())
        nginx.stop()  # its connections to the gate stay what they were; new ones are to be made
        nginx.start(lambda: listening(8081))
        assert ask(8081, "GET", "/orders/1", bearer(key)).status == 503
    finally:
        nginx.stop()


def test_a_certificate_is_replaced_without_dropping_anyone(gatepost, authority, tmp_path):
    gatepost.start()
    stays = connected(authority)
    assert checked(stays, uri="/orders/1") == 401
    key = authority.key("rsa")
    cert = authority.sign(key, 2)
    put(tmp_path, cert=cert)
    time.sleep(2)
    assert serial(authority) == 1 and "does not belong" not in gatepost.said(), "half of a pair waits for the other half"
    put(tmp_path, key=key)
    until("the other certificate is served", 8, lambda: serial(authority) == 2)
    assert checked(stays, uri="/orders/1") == 401, "whoever was connected is still"
    stays.close()
    assert admin(authority, "GET", "/")["name"] == "gatepost", "one pair, both listeners"


def test_a_pair_that_does_not_fit_is_told_and_not_taken(gatepost, authority, tmp_path):
    gatepost.start()
    put(tmp_path, cert="nothing\n")
    until("it is told", 8, lambda: "no certificate in it" in gatepost.said())
    assert "gatepost_reload_failed 1" in gatepost.metrics() and serial(authority) == 1
    put(tmp_path, cert=authority.sign(authority.key(), 3))
    gatepost.process.send_signal(signal.SIGHUP)
    until("it is told at once, because it was asked for", 3, lambda: "the key does not belong to the first certificate" in gatepost.said())
    assert serial(authority) == 1
    key = authority.key()
    put(tmp_path, authority.sign(key, 4), key)
    until("one that fits is taken", 8, lambda: serial(authority) == 4)
    assert "gatepost_reload_failed 0" in gatepost.metrics()


def test_what_cannot_serve_does_not_start(gatepost, authority, tmp_path):
    put(tmp_path, key=authority.key())
    for command in ((), ("check-config",)):
        told = gatepost.run(*command, check=64)
        text = told.stdout + told.stderr
        assert "gates[0].tls.key: the key in `" in text and "admin.tls.key: the key in `" in text and "does not belong to the first certificate" in text, told
    assert "PRIVATE KEY" not in text
    encrypted = subprocess.run([authority.openssl, "pkcs8", "-topk8", "-passout", "pass:x"], input=authority.key(), capture_output=True, text=True, check=True)
    put(tmp_path, key=encrypted.stdout)
    assert "the key is encrypted" in gatepost.run("check-config", check=64).stdout
    (tmp_path / "gate.key").unlink()
    assert "gate.key` cannot be read: No such file" in gatepost.run("check-config", check=64).stdout


def test_a_flood_of_silent_connections_keeps_nobody_waiting(gatepost, authority):
    gatepost.start()
    silent = [socket.create_connection(("127.0.0.1", NGINX), timeout=20) for _ in range(200)]
    began = time.monotonic()
    with connected(authority) as connection:
        assert checked(connection, uri="/orders/1") == 401
    assert time.monotonic() - began < 5
    assert silent[0].recv(1) == b"", "a handshake that does not come is not waited for"
    assert 8 < time.monotonic() - began < 14
    for connection in silent:
        connection.close()
