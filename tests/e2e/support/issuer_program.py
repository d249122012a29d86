"""An issuer of access tokens for the tests: `python issuer_program.py PORT` serves on 127.0.0.1.

It publishes its discovery document and its keys, and signs whatever it is asked to, wrong or right:

- `POST /token {"claims": {…}, "header": {…}, "key": NAME}` answers the token; claims and header are written over the usual ones, null takes one out.
  `key` is one of ALGORITHMS (published), "other" (nobody's, under the first one's name), "none" or "hs256" (with the published key as the secret)
- `POST /rotate` makes a new key besides the ones before; it is what signs from then on
- `PUT /control {"away": true}` answers 503 to whoever asks for the document or the keys
- `GET /asked` tells how often each path was asked for
"""

import base64
import hmac
import http.server
import json
import sys
import time

from authlib import jose
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

ALGORITHMS = {
    "RS256": lambda: jose.RSAKey.generate_key(is_private=True),
    "ES256": lambda: jose.ECKey.generate_key("P-256", is_private=True),
    "ES384": lambda: jose.ECKey.generate_key("P-384", is_private=True),
    "EdDSA": lambda: jose.OKPKey.generate_key("Ed25519", is_private=True),
}
JWT = jose.JsonWebToken([*ALGORITHMS])


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(header, claims, signature):
    text = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return (text + b"." + encoded(signature(text))).decode()


class Issuer:
    def __init__(self, port):
        self.address = f"http://127.0.0.1:{port}/"
        self.keys = {name: ("RS256" if name == "RS256" else name, make()) for name, make in ALGORITHMS.items()}
        self.current, self.away, self.asked = "RS256", False, {}

    def document(self):
        return {"issuer": self.address, "jwks_uri": f"{self.address}keys"}

    def published(self):
        return {"keys": [key.as_dict() | {"kid": kid, "use": "sig", "alg": algorithm} for kid, (algorithm, key) in self.keys.items()]}

    def rotate(self):
        self.current = f"new-{len(self.keys)}"
        self.keys[self.current] = ("RS256", ALGORITHMS["RS256"]())

    def token(self, asked):
        now, kid = int(time.time()), asked.get("key") or self.current
        claims = {"iss": self.address, "sub": "auth0|7", "aud": "https://app.example", "iat": now, "exp": now + 300, "jti": f"{time.time_ns()}",
                  "scope": "orders:read profile https://x.example/y", "org": {"id": "acme"}} | asked.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithm, key = self.keys.get(kid) or self.keys[self.current]
        header = {"alg": algorithm, "kid": kid if kid in self.keys else self.current, "typ": "at+jwt"}
        if kid == "none":
            header["alg"] = "none"
        elif kid == "hs256":
            header["alg"] = "HS256"
        elif kid == "other":
            key = ALGORITHMS["RS256"]()
        header = {name: value for name, value in (header | asked.get("header", {})).items() if value is not None}
        if kid == "none":
            return signed(header, claims, lambda _: b"")
        if kid == "hs256":
            return signed(header, claims, lambda text: hmac.digest(key.as_pem(is_private=False), text, "sha256"))
        if "crit" in header:  # the library would not
            private = key.get_private_key()
            return signed(header, claims, lambda text: private.sign(text, padding.PKCS1v15(), hashes.SHA256()))
        return JWT.encode(header, claims, key).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        issuer = self.server.issuer
        if self.path == "/asked":
            return self.answer(200, issuer.asked)
        issuer.asked[self.path] = issuer.asked.get(self.path, 0) + 1
        documents = {"/.well-known/openid-configuration": issuer.document, "/keys": issuer.published}
        if issuer.away or self.path not in documents:
            return self.answer(503 if issuer.away else 404, {})
        return self.answer(200, documents[self.path]())

    def do_POST(self):
        issuer, body = self.server.issuer, json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        if self.path == "/token":
            return self.answer(200, {"token": issuer.token(body)})
        if self.path == "/rotate":
            issuer.rotate()
        else:
            issuer.away = body.get("away", False)
        return self.answer(200, {})

    do_PUT = do_POST


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.issuer = Issuer(int(sys.argv[1]))
    server.serve_forever()
