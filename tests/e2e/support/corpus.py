"""tests/corpus: requests that went past other gates, as the bytes a gate receives, and their expected answers."""

import base64
import contextlib
import json
import time
from types import SimpleNamespace

from .binaries import REPOSITORY
from .gate import DESCRIBED_IN, PORTS, SECRET, changed
from .gatepost import Gatepost

FOLDER = REPOSITORY / "tests" / "corpus"
RULES = (FOLDER / "rules.yaml").read_text()
ENTRIES = [json.loads(line) for line in (FOLDER / "bypass.jsonl").read_text().splitlines()]
AT_GATES = [e for e in ENTRIES if e["proxy"] in PORTS]
AT_ADMIN = [e for e in ENTRIES if e["proxy"] == "admin"]
ODD_SCOPES = ("read", "adm", "admins", "ADMIN")  # and `x admin`, which no entry accepts as a scope


def id_of(entry):
    return entry["id"]


def credentials(folder, **sections):
    """A started Gatepost with the live credentials behind the placeholders of rules.yaml."""
    with contextlib.ExitStack() as undone:
        gatepost = Gatepost(folder, RULES, **sections)
        undone.callback(gatepost.stop)
        gatepost.start(GATEPOST_TOKENS_TTL="1s")
        alice = gatepost.sign_up("alice")
        expired = alice.token("read", "write", "admin")
        gatepost.stop()
        time.sleep(3.5)  # the idle time, one step of sliding, its delay
        gatepost.start(GATEPOST_TOKENS_TTL="60m")
        revoked = alice.token("read", "write", "admin")
        assert revoked != expired
        alice.end("read", "write", "admin")
        read = alice.token("read")
        known = SimpleNamespace(gatepost=gatepost, alice=alice, values={
            "READ": read,
            "ADMIN": gatepost.sign_up("root").token("admin"),
            "OTHER": gatepost.sign_up("bob").token("other"),
            "EXPIRED": expired,
            "REVOKED": revoked,
            "REFRESH": alice.login()["refresh_token"],
            "APIKEY": alice.key("read")[1],
            "SECRET": SECRET,
            "BADSUM": changed(read),
            "ODD": alice.token(*ODD_SCOPES),
        })
        # whoever asked stops it now
        undone.pop_all()
        return known


def filled(data, entry, values):
    """The bytes with the placeholders replaced."""
    if "carries scopes" in entry["rule_context"]:
        values = values | {"READ": values["ODD"]}
    for name, value in values.items():
        data = data.replace(b"{{%s}}" % name.encode(), value.encode())
    assert b"{{" not in data, data
    return data


def at_the_gate(entry, values):
    return filled(base64.b64decode(entry["raw_b64"]), entry, values)


def as_client(entry, values):
    """The bytes with which a client would bring a proxy to ask this, or None where no client can."""
    head, _, body = at_the_gate(entry, values).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = [tuple(part.strip() for part in line.partition(b":")[::2]) for line in lines]
    gate_method, _, rest = first.partition(b" ")
    gate_target = rest.rpartition(b" ")[0]
    _, _, query = gate_target.partition(b"?")

    def take(name):
        found = [h for h in headers if h[0].lower() == name.lower().encode()]
        if len(found) == 1:
            headers.remove(found[0])
            return found[0][1]
        return None

    hop = {b"content-length", b"x-original-proto", b"x-forwarded-proto", b"x-proxy-secret"}
    if entry["proxy"] == "envoy":
        if not gate_target.startswith(b"/verify/"):
            return None
        method, uri, host = gate_method, gate_target.removeprefix(b"/verify"), take("host")
    else:
        method, uri, host = (take(name) for name in DESCRIBED_IN[entry["proxy"]])
        take("host")
        hop.discard(b"content-length")
        if uri and query and b"?" not in uri:
            uri += b"?" + query
    if None in (method, uri, host) or len([h for h in headers if h[0].lower() == b"x-proxy-secret"]) != 1:
        return None  # a proxy names each exactly once, and itself
    if method == b"CONNECT":
        uri = host
    addresses = [h for h in headers if h[0].lower() == b"x-forwarded-for"]
    headers = [h for h in headers if h[0].lower() not in hop and h not in addresses[:1]]  # the first is the proxy's own
    return b"\r\n".join([method + b" " + uri + b" HTTP/1.1", b"Host: " + host, *(n + b": " + v for n, v in headers)]) + b"\r\n\r\n" + body
