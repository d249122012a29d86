"""A browser without a screen: cookies by host, redirects one at a time."""

import http.client
import json
import urllib.parse

from .wire import Answer

ADMIN = "http://localhost:8000"


class Visitor:
    def __init__(self):
        self.cookies = {}

    def send(self, method, url, form=None, headers=(), body=None):
        where = urllib.parse.urlsplit(urllib.parse.urljoin(ADMIN, url))
        jar = self.cookies.setdefault(where.hostname, {})
        headers = dict(headers)
        if jar:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers.setdefault("Sec-Fetch-Site", "same-origin")
        connection = http.client.HTTPConnection("127.0.0.1", where.port or 80, timeout=10)
        try:
            target = urllib.parse.urlunsplit(("", "", where.path or "/", where.query, ""))
            connection.request(method, target, body, {"Host": where.netloc, **headers})
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.getheaders(), reply.read())
        finally:
            connection.close()
        answer.url = where.geturl()
        for line in answer.all("set-cookie"):
            pair, _, attributes = line.partition(";")
            name, _, value = pair.partition("=")
            assert where.hostname != "localhost" or {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= {a.strip() for a in attributes.split(";")}
            if "Max-Age=0" in attributes:
                jar.pop(name, None)
            else:
                jar[name] = value
        return answer

    def get(self, url):
        return self.send("GET", url)

    def follow(self, answer, until=None):
        """Follows redirects; stops before the one that leads to an address with `until` in it."""
        for _ in range(12):
            to = answer.one("location")
            if answer.status not in (302, 303) or (until and until in to):
                return answer
            answer = self.get(urllib.parse.urljoin(answer.url, to))
        raise AssertionError(f"a loop: {answer}")

    def to_provider(self, provider="mock", rd="/", **more):
        """Begins a sign-in: the provider's page."""
        query = urllib.parse.urlencode({"rd": rd, **more})
        return self.follow(self.get(f"/v1/oidc/{provider}/login?{query}"), until="/callback")

    def back(self, page, person):
        """Logs `person` in on the provider's page: the redirect back, not followed."""
        return self.send("POST", page.url, {"sub": person})

    def sign_in(self, person, provider="mock", rd="/", **more):
        """The whole way; the answer of the callback."""
        page = self.to_provider(provider, rd, **more)
        assert page.status == 200, page
        return self.get(self.back(page, person).one("location"))

    def console(self, method, path, body):
        """What the console's script would send."""
        token = self.get("/v1/session").json["csrf_token"]
        headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": token}
        return self.send(method, path, headers=headers, body=json.dumps(body))

    def uid(self):
        """Whom the console's cookie names."""
        answer = self.get("/v1/session")
        return answer.json["session"]["uid"] if answer.status == 200 else None
