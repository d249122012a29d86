"""The gate's connections: bodies, limits, slow heads, idle keep-alive, pipelining, unix sockets."""

import socket
import time

import pytest

from support.gate import PORTS, check, question
from support.gatepost import Gatepost
from support.services import until
from support.wire import Connection, exchange

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "closed", "path": "/closed/**", "scopes": {"all": ["read"]}},
]


@pytest.fixture(scope="module", autouse=True)
def gatepost(tmp_path_factory):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES) as started:
        yield started


# Bodies -------------------------------------------------------------------------------------------------------------

SMUGGLED = question("nginx", uri="/open/smuggled")
ANNOUNCED = {
    "length": ([("Content-Length", "5")], b"hello"),
    "length, nothing sent": ([("Content-Length", "5")], b""),
    "length, more sent": ([("Content-Length", "5")], b"hello" + SMUGGLED),
    "length of a whole request": ([("Content-Length", str(len(SMUGGLED)))], SMUGGLED),
    "huge length": ([("Content-Length", "1099511627776")], b""),
    "chunked": ([("Transfer-Encoding", "chunked")], b"5\r\nhello\r\n0\r\n\r\n"),
    "chunked, nothing sent": ([("Transfer-Encoding", "chunked")], b""),
    "chunked, another request behind": ([("Transfer-Encoding", "chunked")], b"0\r\n\r\n" + SMUGGLED),
    "both": ([("Content-Length", "6"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\nG" + SMUGGLED),
    "both, the other way round": ([("Transfer-Encoding", "chunked"), ("Content-Length", "6")], b"0\r\n\r\nG" + SMUGGLED),
    "many lines": ([("Content-Length", str(600 + len(SMUGGLED)))], b"\r\n" * 300 + SMUGGLED),
    "many lines, chunked": ([("Transfer-Encoding", "chunked")], b"0\r\n\r\n" + b"\r\n" * 300 + SMUGGLED),
    "expecting": ([("Content-Length", "5"), ("Expect", "100-continue")], b""),
}
BROKEN = [[("Content-Length", "5"), ("Content-Length", "6")], [("Content-Length", "+1")], [("Content-Length", "-1")], [("Content-Length", "0x5")],
          [("Content-Length", "5, 6")], [("Transfer-Encoding", "xchunked")], [("Transfer-Encoding", "chunked, identity")]]


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("uri, status", [("/open/a", 200), ("/closed/a", 401)])
@pytest.mark.parametrize("case", ANNOUNCED)
def test_an_announced_body_changes_nothing_and_ends_the_connection(proxy, uri, status, case):
    headers, body = ANNOUNCED[case]
    with Connection(PORTS[proxy]) as connection:
        connection.send(question(proxy, uri=uri, headers=headers) + body)
        answer = connection.answer()
        if case.startswith("both") and answer.status == 400:
            return
        assert answer.status == status, answer
        assert answer.one("connection") == "close", answer
        assert connection.ended(within=3)


@pytest.mark.parametrize("proxy", PORTS)
@pytest.mark.parametrize("headers", BROKEN, ids=str)
def test_a_broken_announcement(proxy, headers):
    with Connection(PORTS[proxy]) as connection:
        connection.send(question(proxy, uri="/open/a", headers=headers) + b"hello!" + SMUGGLED)
        answer = connection.answer()
        assert answer is None or answer.status in (400, 401, 403), answer
        assert connection.ended(within=3)


@pytest.mark.parametrize("proxy", PORTS)
def test_an_empty_body_keeps_the_connection(proxy):
    with Connection(PORTS[proxy]) as connection:
        for _ in range(3):
            for uri, status in (("/open/a", 200), ("/closed/a", 401)):
                connection.send(question(proxy, uri=uri, headers=[("Content-Length", "0")]))
                answer = connection.answer()
                assert answer.status == status and answer.one("connection") != "close", answer


@pytest.mark.parametrize("proxy", PORTS)
def test_pipelined(proxy):
    """Nothing of one request leaks into the next."""
    uris = ["/open/a", "/closed/a", "/open/b", "/nowhere", "/open/c"] * 10
    with Connection(PORTS[proxy]) as connection:
        connection.send(b"".join(question(proxy, uri=uri) for uri in uris))
        assert [connection.answer().status for _ in uris] == [200, 401, 200, 403, 200] * 10


# Limits -------------------------------------------------------------------------------------------------------------

def with_headers(proxy, count):
    """A question of exactly so many headers."""
    has = question(proxy, uri="/open/a").count(b"\r\n") - 2
    return question(proxy, uri="/open/a", headers=[(f"X-H{n}", "v") for n in range(count - has)])


@pytest.mark.parametrize("proxy", PORTS)
def test_number_of_headers(proxy):
    for count in (101, 255, 256):
        assert exchange(PORTS[proxy], with_headers(proxy, count)).status == 200, count
    for count in (257, 300, 2000):
        answer = exchange(PORTS[proxy], with_headers(proxy, count))
        assert answer is None or answer.status == 431, (count, answer)


@pytest.mark.parametrize("proxy", PORTS)
def test_long_heads_among_short_ones(proxy):
    """The first head of many lines changes how the connection is read: nothing is lost, doubled or taken for something else."""
    many = [(f"X-H{n}", "v") for n in range(150)]
    asked = [("/open/a", [], 200), ("/closed/a", [], 401), ("/closed/a", many, 401), ("/open/b", many, 200), ("/nowhere", [], 403), ("/open/c", many, 200)]
    for pieces in (1, 2, 3, 40):
        with Connection(PORTS[proxy]) as connection:
            for uri, headers, status in asked:
                data = question(proxy, uri=uri, headers=headers)
                size = -(-len(data) // pieces)
                for at in range(0, len(data), size):
                    connection.send(data[at:at + size])
                    if pieces > 1:
                        time.sleep(0.002)
                assert connection.answer().status == status, (pieces, uri, len(headers))


@pytest.mark.parametrize("proxy", PORTS)
def test_a_body_that_comes_late_is_no_request(proxy):
    """However many lines it has: its connection is over."""
    body = b"\r\n" * 300 + SMUGGLED
    for length in (len(body), 10, 1 << 40):
        with Connection(PORTS[proxy]) as connection:
            connection.send(question(proxy, uri="/open/a", headers=[("Content-Length", str(length))]))
            assert connection.answer().status == 200
            try:
                connection.send(body + b"\r\n" * 300 + SMUGGLED)
            except OSError:
                continue  # over already
            assert connection.ended(within=3)


@pytest.mark.parametrize("proxy", PORTS)
def test_size_of_the_head(proxy):
    for size, fits in ((60_000, True), (120_000, True), (140_000, False), (1_000_000, False)):
        headers = [("X-Long", "x" * 30_000)] * (size // 30_000) + [("X-Rest", "x" * (size % 30_000))]
        answer = exchange(PORTS[proxy], question(proxy, uri="/open/a", headers=headers))
        if fits:
            assert answer.status == 200, size
        else:
            assert answer is None or answer.status == 431, (size, answer)


@pytest.mark.parametrize("proxy", PORTS)
def test_length_of_the_uri(proxy):
    assert check(proxy, "GET", "/open/" + "a" * 30_000).status == 200
    answer = check(proxy, "GET", "/open/" + "a" * 70_000)
    assert answer is None or answer.status in (403, 414, 431), answer


def test_what_is_no_http():
    for data in (b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60, b"GET\r\n\r\n", b"GET /verify\r\n\r\n", b"GET /verify HTTP/3.0\r\n\r\n",
                 b"GET /verify HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", b"GET /verify HTTP/1.1\r\nHost : a\r\n\r\n", b"GET /verify HTTP/1.1\r\n: x\r\n\r\n",
                 b"GET /verify HTTP/1.1\nHost: a\n\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        for port in PORTS.values():
            with Connection(port, timeout=1) as connection:
                connection.send(data)
                try:
                    answer = connection.answer()
                except TimeoutError:
                    continue  # waits for more of a head: nothing was answered
                assert answer is None or answer.status in (400, 403, 404, 505), (data, answer)
    assert check("nginx", uri="/open/a").status == 200


# Time ---------------------------------------------------------------------------------------------------------------

def test_slow_heads_end_and_idle_connections_stay():
    """A half-sent head is dropped after 10 s, however it trickles; an idle connection outlives every such timer."""
    whole = question("nginx", uri="/open/a")
    idle, used = Connection(PORTS["nginx"], 30), Connection(PORTS["nginx"], 30)
    used.send(whole)
    assert used.answer().status == 200
    half, late_half = Connection(PORTS["nginx"], 30), Connection(PORTS["nginx"], 30)
    late_half.send(whole)
    assert late_half.answer().status == 200
    began = time.monotonic()
    half.send(whole[:40])
    late_half.send(whole[:40])
    trickling = Connection(PORTS["nginx"], 30)

    ended = {}
    sent = 0
    while time.monotonic() - began < 16:
        for name, connection in (("half", half), ("half after a whole one", late_half), ("trickling", trickling)):
            if name not in ended and gone(connection):
                ended[name] = time.monotonic() - began
        if "trickling" not in ended and time.monotonic() - began > sent * 0.5:
            trickling.send(whole[sent:sent + 1])
            sent += 1
        time.sleep(0.05)
    assert set(ended) == {"half", "half after a whole one", "trickling"}
    assert all(9 <= seconds <= 13 for seconds in ended.values()), ended
    for connection in (idle, used):
        connection.send(whole)
        assert connection.answer().status == 200
    for connection in (idle, used, half, late_half, trickling):
        connection.close()


def gone(connection):
    connection.socket.setblocking(False)
    try:
        data = connection.socket.recv(4096)
        return data == b"" or b"HTTP/1.1 408" in data
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.socket.settimeout(30)


# Listeners ----------------------------------------------------------------------------------------------------------

def test_unix_socket(gatepost, gatepost_with, tmp_path):
    gatepost.stop()
    path = tmp_path / "nginx.sock"
    with gatepost_with(RULES, gates=[{"proxy": "nginx", "listen": f"unix:{path}"}]):
        for secret in (None, "whatever"):
            assert check("nginx", uri="/open/a", address=str(path), secret=secret).status == 200
            assert check("nginx", uri="/closed/a", address=str(path), secret=secret).status == 401
    # a socket file left by a killed process is no obstacle
    again = gatepost_with(RULES, gates=[{"proxy": "nginx", "listen": f"unix:{path}"}])
    again.start()
    again.kill()
    assert path.exists()
    with gatepost_with(RULES, gates=[{"proxy": "nginx", "listen": f"unix:{path}"}]):
        assert check("nginx", uri="/open/a", address=str(path), secret=None).status == 200
    gatepost.start()


@pytest.mark.parametrize("listen", ["0.0.0.0:9001", "[::]:9001", "192.0.2.1:9001"])
def test_off_loopback_without_secret(gatepost, gatepost_with, listen):
    gatepost.stop()
    other = gatepost_with(RULES, gates=[{"proxy": "nginx", "listen": listen}])
    done = other.run(check=64)
    said = done.stdout + done.stderr
    assert "gatepost.yaml:" in said and "gates" in said and "secret" in said, said
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", PORTS["nginx"]), timeout=1)
    gatepost.start()


def test_two_listeners_of_one_address(gatepost, gatepost_with):
    gatepost.stop()
    other = gatepost_with(RULES, gates=[{"proxy": p, "listen": "127.0.0.1:9001"} for p in ("nginx", "traefik")])
    assert other.run().returncode in (1, 64)
    gatepost.start()
    until("back", 2, lambda: check("nginx", uri="/open/a").status == 200)
