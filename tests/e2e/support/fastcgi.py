"""A FastCGI responder that records the parameters of each request."""

import socket
import struct
import threading


class FastCgi:
    def __init__(self, port):
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as reader:
                self.seen.append(decoded(self._params(reader)))
                out = b"Status: 200\r\nContent-Type: text/plain\r\n\r\nfrom fastcgi"
                records = (record(6, out), record(6, b""), record(3, bytes(8)))
                connection.sendall(b"".join(records))

    @staticmethod
    def _params(reader):
        params = b""
        while True:
            _, kind, _, length, padding, _ = struct.unpack("!BBHHBB", reader.read(8))
            data = reader.read(length)
            reader.read(padding)
            if kind == 4:
                params += data
            if kind == 5 and not length:
                return params


def record(kind, data):
    return struct.pack("!BBHHBB", 1, kind, 1, len(data), 0, 0) + data


def decoded(data):
    found, at = {}, 0

    def length():
        nonlocal at
        size = data[at]
        if size & 0x80:
            size = struct.unpack("!I", data[at:at + 4])[0] & 0x7FFFFFFF
            at += 3
        at += 1
        return size

    while at < len(data):
        name_length, value_length = length(), length()
        name = data[at:at + name_length].decode("latin-1")
        at += name_length
        found.setdefault(name, []).append(data[at:at + value_length].decode("latin-1"))
        at += value_length
    return found
