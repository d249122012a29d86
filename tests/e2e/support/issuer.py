"""The process of an issuer of access tokens, as tests use it."""

import http.client
import json
import sys
from pathlib import Path

from .services import Service, listening


class Issuer(Service):
    def __init__(self, folder, port=9410):
        self.port, self.address = port, f"http://127.0.0.1:{port}/"
        program = Path(__file__).with_name("issuer_program.py")
        super().__init__("issuer", [sys.executable, "-W", "ignore", str(program), str(port)], folder)

    def start(self):
        return super().start(lambda: listening(self.port))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, json.dumps(body or {}) if method != "GET" else None)
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status == 200, text
            return json.loads(text)
        finally:
            connection.close()

    def token(self, key=None, header=None, **claims):
        """A token, right but for what is said otherwise."""
        return self.call("POST", "/token", {"key": key, "header": header or {}, "claims": claims})["token"]

    def keys(self):
        return self.call("GET", "/keys")

    def rotate(self):
        self.call("POST", "/rotate")

    def control(self, **wrong):
        self.call("PUT", "/control", wrong)

    def asked(self, path):
        return self.call("GET", "/asked").get(path, 0)
