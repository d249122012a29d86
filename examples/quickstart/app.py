"""The application behind nginx: it trusts the identity headers, because only nginx can reach it."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IDENTITY = ("X-Auth-User", "X-Auth-Scopes", "X-Auth-Tenant", "X-Auth-Key-Id", "X-Auth-Expires-In")


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        told = [f"  {name}: {self.headers[name]}\n" for name in IDENTITY if self.headers[name]]
        body = f"the application answers {self.command} {self.path}\n" + "".join(told)
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_HEAD = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 8080), Application).serve_forever()
