"""Logging in with cookies: by hand, over the admin listener alone, and in a real browser."""

import http.client
import re
from urllib.parse import urlencode, urlsplit

from . import binaries
from .gate import check
from .gatepost import ADMIN, PASSWORD
from .wire import Answer

AUTH = "auth.example.test"
HOSTS = ["app.example.test", "b.example.test", "other.test", "www.other.test"]
RULES = [
    {"id": "session", "hosts": HOSTS, "path": "/**", "credentials": ["session", "token"], "login_redirect": True},
    {"id": "login-jwt", "hosts": HOSTS, "path": "/login-jwt", "credentials": ["jwt"]},
    {"id": "token", "hosts": HOSTS, "path": "/token", "credentials": ["token"]},
    {"id": "open", "hosts": HOSTS, "path": "/open", "access": "anonymous"},
]
SECTIONS = {
    "admin": {"listen": "127.0.0.1:8000", "public_url": f"https://{AUTH}"},
    "sessions": {"idle": "60m", "max": "12h", "domains": ["example.test"], "return_hosts": ["other.test"]},
}
DOMAIN, HOST = "__Secure-gatepost", "__Host-gatepost"


def asked(proxy, cookies=None, method="GET", host="app.example.test", uri="/x", headers=(), **named):
    """The answer of a gate to a request with these cookies."""
    sent = [("X-Original-Proto" if proxy == "nginx" else "X-Forwarded-Proto", "https"), *headers]
    lines = cookies if isinstance(cookies, list) else [cookies] if cookies else []
    return check(proxy, method, uri, host, [*sent, *(("Cookie", line) for line in lines)], **named)


class Hand:
    """A browser by hand: it keeps the cookies of each host, and follows nothing by itself."""

    def __init__(self, auth=AUTH):
        self.auth, self.cookies = auth, {}

    def send(self, method, target, host=None, fields=None, headers=()):
        host = host or self.auth
        jar = "; ".join(f"{name}={value}" for (of, name), value in self.cookies.items() if of == host or f".{host}".endswith(of))
        sent = {"Host": host, "Sec-Fetch-Site": "same-origin", **({"Cookie": jar} if jar else {}), **dict(headers)}
        if fields is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=8)
        try:
            connection.request(method, target, urlencode(fields) if fields is not None else None, sent)
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.getheaders(), reply.read())
        finally:
            connection.close()
        for line in answer.all("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            domain = next((a.removeprefix("Domain=") for a in attributes if a.startswith("Domain=")), None)
            key = (f".{domain}" if domain else host, name)
            if "Max-Age=0" in attributes:
                self.cookies.pop(key, None)
            else:
                self.cookies[key] = value
        return answer

    def get(self, url):
        parts = urlsplit(url)
        return self.send("GET", parts.path + (f"?{parts.query}" if parts.query else ""), parts.hostname, headers={"Accept": "text/html"})

    def log_in(self, user, rd="/", password=PASSWORD):
        page = self.send("GET", f"/login?{urlencode({'rd': rd})}", headers={"Accept": "text/html"})
        assert page.status == 200, page
        hidden = dict(re.findall(r'name="(token|rd)" value="([^"]*)"', page.body.decode()))
        return self.send("POST", "/login", fields={**hidden, "name": user, "password": password})

    def arrive(self, url):
        """Follows the way to a page of another host, up to that page."""
        answer = self.get(f"https://{self.auth}/login?{urlencode({'rd': url})}")
        while answer.status == 303 and (to := answer.one("location")) != url:
            answer = self.get(to)
        assert answer.status == 303, answer
        return self

    def log_out(self):
        page = self.get(f"https://{self.auth}/")
        token = re.search(r'name="token" value="([^"]*)"', page.body.decode())[1]
        return self.send("POST", "/logout", fields={"token": token})

    def cookie(self, of, name):
        return self.cookies[of, name]


def chromium(playwright, port):
    """A real browser for which every host is this machine, at one port; certificates are the test's own."""
    return playwright.chromium.launch(executable_path=binaries.debian("chromium"), args=[
        f"--host-resolver-rules=MAP * 127.0.0.1:{port}", "--ignore-certificate-errors", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--disable-features=OptimizationHints,MediaRouter"])
