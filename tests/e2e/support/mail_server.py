"""A mail server that keeps what it gets, as a process of its own: with STARTTLS and a password where it is given a certificate."""

import asyncio
import json
import ssl
import sys
from pathlib import Path

USER, WORD = "gatepost", "the mail server's password"


def serve(port, kept, cert=None, key=None):
    from aiosmtpd.smtp import SMTP, AuthResult

    class Keep:
        async def handle_DATA(self, server, session, envelope):
            mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": envelope.content.decode(),
                    "tls": session.ssl is not None, "user": session.auth_data and session.auth_data.login.decode()}
            with open(kept, "a") as file:
                file.write(json.dumps(mail) + "\n")
            return "250 kept"

    def authenticate(server, session, envelope, mechanism, data):
        right = (data.login, data.password) == (USER.encode(), WORD.encode())
        return AuthResult(success=right, handled=right, auth_data=data)

    options = {}
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": authenticate}

    async def run():
        server = await asyncio.get_running_loop().create_server(lambda: SMTP(Keep(), hostname="localhost", **options), "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    serve(int(sys.argv[1]), *sys.argv[2:])
else:
    from .services import Service, listening, until

    class Mailbox(Service):
        def __init__(self, folder, port, *certificate):
            self.port, self.kept = port, folder / "mails.jsonl"
            super().__init__("mailbox", [sys.executable, __file__, str(port), str(self.kept), *map(str, certificate)], folder)

        def start(self):
            return super().start(lambda: listening(self.port))

        def mails(self):
            return [json.loads(line) for line in self.kept.read_text().splitlines()] if self.kept.exists() else []

        def next(self, before):
            """The mail that comes after so many."""
            until("a mail comes", 10, lambda: len(self.mails()) > before)
            return self.mails()[before]
