"""An OpenID provider for the tests: `oidc-provider-mock`, with sessions, PKCE and `iss` besides, and with ways to go wrong.

`python oidc_provider.py PORT` serves on 127.0.0.1. Who logged in there stays logged in, in a cookie, so that `prompt=none`
answers as it does elsewhere. `PUT /control` sets what goes wrong from then on:

- `claims`: {name: value} written over those of the ID token; null takes one out
- `sign`: "none" | "hs256" (with the public key as the secret) | "other" (another key, same `kid`) | "rotate" (a new key, published) |
  any of ALGORITHMS, with a key of its own that is always published
- `metadata`: {name: value} written over the discovery document
- `callback`: {name: value} written over the parameters of the way back; null takes one out
- `key`: {name: value} written over the published key
- `pkce`: false lets every code be exchanged, whoever began
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import urllib.parse

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

import flask
import oidc_provider_mock
import werkzeug.serving
from authlib import jose
from oidc_provider_mock._storage import Client

CLIENT, SECRET = "gatepost", "a-secret.of_the-client"  # as in oidc.py
KID = "first"
ALGORITHMS = {
    "ES256": lambda: jose.ECKey.generate_key("P-256", is_private=True),
    "ES384": lambda: jose.ECKey.generate_key("P-384", is_private=True),
    "EdDSA": lambda: jose.OKPKey.generate_key("Ed25519", is_private=True),
    "PS256": lambda: jose.RSAKey.generate_key(is_private=True),
    "RS512": lambda: jose.RSAKey.generate_key(is_private=True),
}
JWT = jose.JsonWebToken([*ALGORITHMS, "RS256"])


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(header, claims, signature):
    text = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return (text + b"." + encoded(signature(text))).decode()


class Provider:
    def __init__(self):
        self.app = oidc_provider_mock.app(require_nonce=True)
        self.app.before_request(self.before)
        self.app.after_request(self.after)
        self.app.add_url_rule("/control", view_func=self.control, methods=["PUT"])
        self.serve = self.app.wsgi_app
        self.app.wsgi_app = self.for_all_tenants
        self.app.add_url_rule("/asked", view_func=lambda: flask.jsonify(self.asked))
        self.challenges, self.asked, self.kid = {}, {}, KID
        self.wrong = {}
        self.keys = {name: make() for name, make in ALGORITHMS.items()}

    def for_all_tenants(self, environment, respond):
        """The same below the path where Microsoft serves them."""
        environment["PATH_INFO"] = environment["PATH_INFO"].removeprefix("/common/v2.0")
        return self.serve(environment, respond)

    def control(self):
        self.wrong = flask.request.json
        if self.wrong.get("sign") == "rotate":
            self.storage.jwk = jose.RSAKey.generate_key(is_private=True)
            self.kid += "x"
        return "", 204

    @property
    def storage(self):
        return flask.g.oidc_provider_mock_storage

    def before(self):
        request = flask.request
        self.asked[request.path] = self.asked.get(request.path, 0) + 1
        if not self.storage.get_client(CLIENT):
            callbacks = [f"http://localhost:{port}/v1/oidc/{name}/callback" for port in (8000, 8001) for name in ("mock", "second")]
            self.storage.store_client(Client(id=CLIENT, secret=SECRET, redirect_uris=callbacks, allowed_scopes=Client.SCOPES_SUPPORTED,
                                             token_endpoint_auth_method="client_secret_basic"))
        if request.path == "/oauth2/authorize" and request.method == "GET" and request.args.get("prompt") == "none":
            person = request.cookies.get("at_provider")
            if not person:
                query = urllib.parse.urlencode({"error": "login_required", "state": request.args["state"]})
                return flask.redirect(f"{request.args['redirect_uri']}?{query}")
            asked = {name: value for name, value in request.args.items() if name != "prompt"}
            return self.app.test_client().post(request.path, query_string=asked, data={"sub": person}, base_url=request.host_url)
        if request.path == "/oauth2/token" and self.wrong.get("pkce", True):
            challenge = self.challenges.pop(request.form.get("code"), None)
            verifier = request.form.get("code_verifier", "")
            if challenge != ("S256", encoded(hashlib.sha256(verifier.encode()).digest()).decode()):
                return flask.jsonify({"error": "invalid_grant", "error_description": "<b>pkce</b>"}), 400
        return None

    def after(self, response):
        path = flask.request.path
        if path == "/oauth2/authorize" and response.status_code == 302:
            self.on_the_way_back(response)
        elif path == "/.well-known/openid-configuration":
            said = response.json | {"authorization_response_iss_parameter_supported": True} | self.wrong.get("metadata", {})
            response.set_data(json.dumps(said))
        elif path == "/jwks":
            key = self.storage.jwk.as_dict() | {"kid": self.kid, "use": "sig", "alg": "RS256"} | self.wrong.get("key", {})
            others = [other.as_dict() | {"kid": name, "use": "sig", "alg": name} for name, other in self.keys.items()]
            response.set_data(json.dumps({"keys": [key, *others]}))
        elif path == "/oauth2/token" and response.status_code == 200:
            said = response.json
            said["id_token"] = self.id_token(said["id_token"])
            response.set_data(json.dumps(said))
        return response

    def on_the_way_back(self, response):
        where = urllib.parse.urlsplit(response.headers["Location"])
        said = dict(urllib.parse.parse_qsl(where.query))
        if "iss" in said:  # on the way back already
            return
        if "code" in said:
            asked = flask.request.args
            self.challenges[said["code"]] = (asked.get("code_challenge_method"), asked.get("code_challenge"))
            response.set_cookie("at_provider", flask.request.form["sub"], httponly=True, samesite="Lax")
        said.setdefault("state", flask.request.args["state"])
        said |= {"iss": flask.request.host_url.rstrip("/")} | self.wrong.get("callback", {})
        said = {name: value for name, value in said.items() if value is not None}
        response.headers["Location"] = urllib.parse.urlunsplit(where._replace(query=urllib.parse.urlencode(said)))

    def id_token(self, text):
        payload = text.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | self.wrong.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        sign = self.wrong.get("sign")
        if sign == "none":
            return signed({"alg": "none", "kid": self.kid}, claims, lambda _: b"")
        if sign == "hs256":
            public = self.storage.jwk.as_pem(is_private=False)
            return signed({"alg": "HS256", "kid": self.kid}, claims, lambda text: hmac.digest(public, text, "sha256"))
        if sign in ALGORITHMS:
            return JWT.encode({"alg": sign, "kid": sign, "typ": "JWT"}, claims, self.keys[sign]).decode()
        key = jose.RSAKey.generate_key(is_private=True) if sign == "other" else self.storage.jwk
        return JWT.encode({"alg": "RS256", "kid": self.kid, "typ": "JWT"}, claims, key).decode()


if __name__ == "__main__":
    werkzeug.serving.make_server("127.0.0.1", int(sys.argv[1]), Provider().app, threaded=True).serve_forever()
