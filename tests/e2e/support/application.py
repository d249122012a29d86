"""The application behind the proxies: records every request that reaches it and answers 200, or N to …/answers-N, or with one of its pages; a
WebSocket to /ws/echo or /live echoes."""

import base64
import hashlib
import re
import socket
import threading
from contextlib import contextmanager

from .wire import Message

PORT = 8080


class Reached(Message):
    """One request as it arrived."""

    def __init__(self, head):
        self.raw = head
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, _, rest = first.partition(" ")
        self.target = rest.rpartition(" ")[0]
        self.headers = [(n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in lines if line)]
        self.body = b""

    @property
    def cookies(self):
        return [pair.strip() for line in self.all("cookie") for pair in line.split(";") if pair.strip()]

    def __repr__(self):
        return f"<{self.raw!r}>"


class Application:
    def __init__(self):
        self.seen, self.pages = [], {}
        self.start()

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", PORT), backlog=128)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    @contextmanager
    def watch(self):
        """The requests that arrive inside the block."""
        reached, before = [], len(self.seen)
        yield reached
        reached.extend(self.seen[before:])

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            try:
                while request := self._read(reader):
                    self.seen.append(request)
                    if request.target.startswith(("/ws/echo", "/live")) and request.one("upgrade") == "websocket":
                        return self._echo(connection, reader, request)
                    body = b"" if request.method == "HEAD" else self.pages.get(request.target, b"from the application")
                    status = re.search(r"/answers-(\d+)$", request.target)
                    connection.sendall(b"HTTP/1.1 %s Its\r\nX-App: reached\r\nContent-Length: %d\r\n\r\n" % (status[1].encode() if status else b"200", len(body)) + body)
            except (OSError, ValueError):
                pass

    @staticmethod
    def _echo(connection, reader, request):
        """RFC 6455 §4.2.2 and §5.2; each short frame goes back without its mask, up to the one that closes."""
        accept = base64.b64encode(hashlib.sha1(request.one("sec-websocket-key").encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while head := reader.read(2):
            mask, masked = reader.read(4), reader.read(head[1] & 0x7F)
            connection.sendall(bytes([head[0], len(masked)]) + bytes(byte ^ mask[place % 4] for place, byte in enumerate(masked)))
            if head[0] & 0x0F == 8:
                return

    @staticmethod
    def _read(reader):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = reader.readline(1 << 20)
            if not line:
                return None
            head += line
        request = Reached(head[:-4])
        if length := request.one("content-length"):
            request.body = reader.read(int(length))
        elif "chunked" in (request.one("transfer-encoding") or ""):
            while size := int(reader.readline(), 16):
                request.body += reader.read(size)
                reader.readline()
            while reader.readline().strip():
                pass
        return request
