"""HTTP/1.1 as bytes: requests are sent exactly as written, answers are read one at a time."""

import json
import socket

CLIENT = "127.0.0.5"  # not 127.0.0.1: a proxy's peer must be told from the proxy itself


class Message:
    """Whatever has `headers`, a list of names and values."""

    headers = ()

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def one(self, name):
        found = self.all(name)
        assert len(found) <= 1, f"{name} more than once: {found}"
        return found[0] if found else None


class Answer(Message):
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        """Gatepost's stable code for a refusal, where this answer carries it."""
        return self.one("x-deny-reason")

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Connection:
    """One TCP or unix connection."""

    def __init__(self, address, timeout=8, source=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(("127.0.0.1", address), timeout, (source, 0) if source else None)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, data):
        """Sends as much as the other side takes: one that refuses a large head stops reading it."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, method="GET"):
        """The next answer, or None where the other side ended the connection without one."""
        try:
            return self._answer(method)
        except (ConnectionResetError, EOFError):
            return None

    def _answer(self, method):
        line = self._line()
        status = int(line.split()[1])
        headers = []
        while line := self._line():
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        answer = Answer(status, headers, b"")
        if status == 100:
            return self._answer(method)
        if method == "HEAD" or status in (101, 204, 304):
            return answer
        if "chunked" in (answer.one("transfer-encoding") or ""):
            while size := int(self._line(), 16):
                answer.body += self.reader.read(size)
                self._line()
            self._line()
        elif length := answer.one("content-length"):
            answer.body = self.reader.read(int(length))
        else:
            answer.body = self.reader.read()
        return answer

    def _line(self):
        line = self.reader.readline(200_000)
        if not line:
            raise EOFError
        return line.decode("latin-1").rstrip("\r\n")

    def ended(self, within):
        """Whether the other side ends the connection within so many seconds, sending nothing more."""
        self.socket.settimeout(within)
        try:
            return self.reader.read1(1) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True


def request(method, target, headers=(), body=b"", host="app.example"):
    """The bytes of a request; text stands for latin-1."""

    def raw(text):
        return text if isinstance(text, bytes) else str(text).encode("latin-1")

    lines = [raw(method) + b" " + raw(target) + b" HTTP/1.1"]
    if host is not None:
        lines.append(b"Host: " + raw(host))
    lines += [raw(n) + b": " + raw(v) for n, v in headers]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def exchange(address, data, method="GET", timeout=8, source=None):
    """One request over a connection of its own."""
    with Connection(address, timeout, source) as connection:
        connection.send(data)
        return connection.answer(method)


def ask(address, method="GET", target="/", headers=(), body=b"", host="app.example", timeout=8):
    """One request as a client of a proxy sends it."""
    return exchange(address, request(method, target, headers, body, host), method, timeout, CLIENT)
