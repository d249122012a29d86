"""SMS gateways as a process of their own: one that asks as Fast2SMS does, one as Twilio does. Whoever asks wrongly is refused."""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

PORT = 2580
FAST2SMS_KEY = "the-gateway-s-key"
TWILIO = "Basic " + base64.b64encode(b"AC0123:the token").decode()
# senders that ask so; their SMS_KEY is FAST2SMS_KEY, or TWILIO
FAST2SMS_SENDER = {
    "url": f"http://127.0.0.1:{PORT}/dev/bulkV2",
    "headers": {"authorization": {"env": "SMS_KEY"}, "Content-Type": "application/x-www-form-urlencoded"},
    "body": "route=otp&variables_values={code}&numbers={phone_digits}",
}
TWILIO_SENDER = {
    "url": f"http://127.0.0.1:{PORT}/2010-04-01/Accounts/AC0123/Messages.json",
    "headers": {"Authorization": {"env": "SMS_KEY"}},
    "body": "To={phone}&From=%2B15005550006&Body=Your+code+is+{code}",
}


def fast2sms(path, headers, fields):
    """POST /dev/bulkV2 with the key in `authorization`; answers what it understood."""
    if path != "/dev/bulkV2" or headers.get("authorization") != FAST2SMS_KEY:
        return 412, {"return": False, "message": "Invalid Authentication, Check Authorization Key"}, None
    if fields.get("route") != "otp" or not fields.get("variables_values", "").isdigit() or not fields.get("numbers", "").isdigit():
        return 400, {"return": False, "message": "Invalid Request"}, None
    return 200, {"return": True, "request_id": "x"}, {"to": fields["numbers"], "code": fields["variables_values"]}


def twilio(path, headers, fields):
    """POST …/Messages.json with Basic; 201."""
    if path != "/2010-04-01/Accounts/AC0123/Messages.json" or headers.get("authorization") != TWILIO:
        return 401, {"code": 20003}, None
    if not fields.get("To", "").startswith("+") or fields.get("From") != "+15005550006":
        return 400, {"code": 21211}, None
    return 201, {"sid": "SM0", "status": "queued"}, {"to": fields["To"], "code": fields["Body"].split()[-1]}


def serve(port, kept):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            fields = {}
            if self.headers.get("Content-Type") == "application/x-www-form-urlencoded":
                fields = {name: values[0] for name, values in parse_qs(text, strict_parsing=True).items()}
            like = fast2sms if self.path.startswith("/dev/") else twilio
            status, answer, sms = like(self.path, self.headers, fields)
            if sms:
                with open(kept, "a") as file:
                    file.write(json.dumps(sms) + "\n")
            answer = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
else:
    from .services import Service, listening, until

    class Gateway(Service):
        def __init__(self, folder, port):
            self.port, self.kept = port, folder / "sms.jsonl"
            super().__init__("gateway", [sys.executable, __file__, str(port), str(self.kept)], folder)

        def start(self):
            return super().start(lambda: listening(self.port))

        def sms(self):
            return [json.loads(line) for line in self.kept.read_text().splitlines()] if self.kept.exists() else []

        def next(self, before):
            """The SMS that comes after so many."""
            until("an SMS comes", 10, lambda: len(self.sms()) > before)
            return self.sms()[before]
