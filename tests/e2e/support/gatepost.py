"""The real program with a configuration of its own, and its admin API."""

import base64
import http.client
import json
import os
import signal
import subprocess
import time

from . import binaries
from .gate import PORTS, SECRET
from .services import Service
from .wire import Answer

ADMIN, METRICS = 8000, 9464
PASSWORD = "a long enough password"
NO_GATEPOST = {n: v for n, v in os.environ.items() if not n.startswith("GATEPOST_")}


def call(port, method, path, body=None, headers=(), timeout=8, source=None):
    """One HTTP request to the admin or the metrics listener."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout, source_address=source and (source, 0))
    headers = dict(headers)
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return Answer(reply.status, reply.getheaders(), reply.read())
    finally:
        connection.close()


class Gatepost(Service):
    """`sections` replaces whole top-level keys of the configuration; the gates listen on `ports`."""

    end = signal.SIGINT  # as Ctrl-C does: without the seconds that SIGTERM leaves to load balancers

    def __init__(self, folder, rules, ports=PORTS, environment=None, **sections):
        self.config = folder / "gatepost.yaml"
        self.rules = folder / "rules.yaml"
        self.write_rules(rules)
        settings = {
            "gates": [{"proxy": proxy, "listen": f"127.0.0.1:{port}", "secret": {"env": "GATEPOST_PROXY_SECRET"}}
                      for proxy, port in ports.items()],
            "admin": {"listen": f"127.0.0.1:{ADMIN}"},
            "metrics": {"listen": f"127.0.0.1:{METRICS}"},
            "data": str(folder / "data"),
            "rules": "rules.yaml",
            "secret_key": {"env": "SECRET_KEY"},
            "accounts": {"sign_up": "open", "direct_scopes": ["*"], "require_phone": "never"},
            **sections,
        }
        self.config.write_text(json.dumps(settings, indent=1))  # JSON is YAML
        environment = {**NO_GATEPOST, "GATEPOST_CONFIG": str(self.config), "GATEPOST_PROXY_SECRET": SECRET, "SECRET_KEY": "5e" * 32, **(environment or {})}
        super().__init__("gatepost", [binaries.gatepost()], folder, environment)

    def write_rules(self, rules):
        self.rules.write_text(rules if isinstance(rules, str) else json.dumps({"rules": rules}))

    def start(self, **environment):
        self.environment = {**self.environment, **environment}
        return super().start(self.ready)

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        self.stop()

    def run(self, *arguments, check=None):
        """A command of the same program with the same configuration."""
        done = subprocess.run([*self.command, *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=30)
        if check is not None:
            assert done.returncode == check, done
        return done

    def run_printed(self, line):
        """A command line as the program printed it, with `gatepost` in PATH."""
        folder = os.path.dirname(self.command[0])
        environment = {**self.environment, "PATH": f"{folder}{os.pathsep}{self.environment['PATH']}"}
        return subprocess.run(["bash", "-c", line], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=30)

    def ready(self):
        try:
            return call(METRICS, "GET", "/readyz").status == 200
        except OSError:
            return False

    def metrics(self):
        return call(METRICS, "GET", "/metrics").body.decode()

    def admin(self, method, path, body=None, token=None, headers=()):
        headers = dict(headers)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return call(ADMIN, method, path, body, headers)

    def sign_up(self, user, **more):
        answer = self.admin("POST", "/v1/register", {"user": user, "password": PASSWORD, **more})
        assert answer.status == 201, answer
        return Person(self, user, answer.json["uid"], answer.json["api_key"])

    def token(self, api_key, scopes=None):
        """A fresh access token of this key. Where the store did not answer in time, it is asked again, as the answer says."""
        wanted, ends = {"api_key": api_key} | ({"scopes": scopes} if scopes is not None else {}), time.monotonic() + 5
        while (answer := self.admin("POST", "/get-token", wanted)).status == 503 and time.monotonic() < ends:
            time.sleep(float(answer.one("retry-after")))
        assert answer.status == 200, answer
        return answer.json["data"]["auth_token"]


class Person:
    """Somebody who signed up."""

    def __init__(self, gatepost, user, uid, api_key):
        self.gatepost, self.user, self.uid, self.api_key = gatepost, user, uid, api_key
        self._login = None

    def login(self):
        basic = base64.b64encode(f"{self.user}:{PASSWORD}".encode()).decode()
        answer = self.gatepost.admin("POST", "/v1/login", headers={"Authorization": f"Basic {basic}"})
        assert answer.status == 200, answer
        return answer.json["jwt"]

    def call(self, method, path, body=None):
        """A management call by this person, who logs in again where the login has ended."""
        answer = self._login and self.gatepost.admin(method, path, body, token=self._login["token"])
        if not answer or answer.status == 401:
            self._login = self.login()
            answer = self.gatepost.admin(method, path, body, token=self._login["token"])
        return answer

    def token(self, *scopes):
        return self.gatepost.token(self.api_key, list(scopes) or None)

    def key(self, *scopes):
        """A further API key: its id and its secret."""
        answer = self.call("POST", "/v1/keys", {"name": "test", "scopes": list(scopes)})
        assert answer.status == 201, answer
        return answer.json["key"]["id"], answer.json["api_key"]

    def tokens(self):
        answer = self.call("GET", "/v1/tokens?limit=1000")
        assert answer.status == 200, answer
        return answer.json["tokens"]

    def end(self, *scopes):
        """Ends this person's live token with exactly these scopes."""
        ids = [t["id"] for t in self.tokens() if sorted(t["scopes"]) == sorted(scopes)]
        assert len(ids) == 1, self.tokens()
        answer = self.call("DELETE", f"/v1/tokens/{ids[0]}")
        assert (answer.status, answer.json["deleted"], answer.json["propagated"]) == (200, True, True), answer
