"""The OpenID provider process, as tests use it, and how Gatepost is told of it."""

import http.client
import json
import sys
from pathlib import Path

from .services import Service, listening

PORT = 9400
PROVIDER = f"http://127.0.0.1:{PORT}"  # not localhost: cookies know no ports
CLIENT, SECRET = "gatepost", "a-secret.of_the-client"


def mock(**more):
    return {"issuer": PROVIDER, "client_id": CLIENT, "client_secret": {"env": "MOCK_SECRET"}, "label": "Mock", **more}


class OidcProvider(Service):
    secret = SECRET

    def __init__(self, folder):
        program = Path(__file__).with_name("oidc_provider.py")
        super().__init__("oidc-provider", [sys.executable, "-W", "ignore", str(program), str(PORT)], folder)

    def start(self):
        return super().start(lambda: listening(PORT))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
        try:
            connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status < 300, text
            return text
        finally:
            connection.close()

    def person(self, subject, **claims):
        """What the provider says of somebody."""
        self.call("PUT", f"/users/{subject}", claims)

    def control(self, **wrong):
        """What goes wrong from here on."""
        self.call("PUT", "/control", wrong)

    def asked(self, path):
        """How often it was asked for this."""
        return json.loads(self.call("GET", "/asked")).get(path, 0)
