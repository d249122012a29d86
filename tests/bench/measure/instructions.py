"""User instructions a check by callgrind: (Ir(N2) - Ir(N1)) / (N2 - N1), so that start-up does not count; and how often a check asks for memory."""

import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor

from . import question
from .row import Row
from .servers import Missing, program

FEW, MANY = 500, 2500
BOUND = 1.10
USAGE_BOUND = 1.05
# whoever asks the allocator calls one of these
ALLOCATOR = {"malloc", "calloc", "realloc", "reallocarray", "posix_memalign", "aligned_alloc", "memalign", "valloc"}
# hyper keeps the names and values of headers by this
READING = "bytes::bytes::Bytes::copy_from_slice"
# of allocations a check: what else goes on while they are counted, which callgrind makes slow; one a check would be 1
STRAY = 0.5


def rows(options, folder):
    with options.home(folder / "instructions") as home:
        prefix = [program("valgrind", "apt-get install valgrind"), "--tool=callgrind", f"--callgrind-out-file={home.folder}/calls.%p"]
        bare, empty, on_core = (home.bare(how, core=None, prefix=prefix) for how in (200, 204, "core"))
        ten = home.gatepost("ten", core=None, prefix=prefix)
        api_key = ten.sign_up()
        credential = question.credentials(ten.token(api_key))
        asked = question.headers(credential)
        by_key = question.headers([("X-Api-Key", api_key)])
        opaque = {"opaque token": asked, "anonymous rule": question.headers(credential, question.OPEN),
                  "a rate and a quota": question.headers(credential, question.LIMITED), "API key": by_key}
        jwt = home.gatepost("jwt", core=None, prefix=prefix, tokens={"format": "jwt"})
        by_jwt = question.headers(question.credentials(jwt.token()))
        # what is longer, or stands in another header, costs the reference more, too
        servers = [(ten, opaque), (bare, {"bare": asked, "bare, JWT": by_jwt, "bare, API key": by_key}), (empty, {"bare 204": asked}),
                   (on_core, {"bare on a core": asked}), (jwt, {"JWT": by_jwt})]
        uncounted = home.gatepost("uncounted", core=None, prefix=prefix, usage={"enabled": False})
        servers.append((uncounted, {"uncounted": question.headers(question.credentials(uncounted.token()))}))
        if not options.quick:
            stored = home.redis()
            server = home.gatepost("redis", core=None, prefix=prefix, tokens={"store": f"redis://127.0.0.1:{stored.port}"})
            servers.append((server, {"opaque token, tokens in Redis": question.headers(question.credentials(server.token()))}))

        def each(one):
            server, questions = one
            return {name: measured(server, asked, options.callgrind_rounds) for name, asked in questions.items()}

        with ThreadPoolExecutor(2) as pool:  # counts, not times: two servers at once do not disturb each other
            counts = {name: count for found in pool.map(each, servers) for name, count in found.items()}
        allocated, _ = allocations(ten, home.folder, asked)
        _, to_read = allocations(on_core, home.folder, asked)
    base, empty, on_core, uncounted = (counts.pop(name) for name in ("bare", "bare 204", "bare on a core", "uncounted"))
    counted_too = counts["opaque token"]
    alike = {name: counts.pop(f"bare, {name}") for name in ("JWT", "API key")}
    return [Row("instructions", "opaque token: allocations beyond those of reading the head", allocated - to_read, "allocations a check", at_most=STRAY,
                more={"all": allocated, "to_read": to_read}),
            Row("instructions", "bare hyper, constant 200", base, "instructions a request", "bare hyper, 204", empty, base / empty),
            Row("instructions", "opaque token", counted_too, "instructions a check", "bare hyper, constant 200, served as gates are", on_core,
                counted_too / on_core),
            Row("instructions", "opaque token, with usage", counted_too, "instructions a check", "without usage", uncounted, counted_too / uncounted,
                at_most=USAGE_BOUND),
            *(Row("instructions", name, count, "instructions a check", "bare hyper, constant 200", alike.get(name, base),
                  count / alike.get(name, base), at_most=None if name in ("anonymous rule", "a rate and a quota") else BOUND) for name, count in counts.items())]


def measured(server, asked, rounds):
    """Of each count the least of some rounds: what goes on in the background, as rules that are read again, does not count either."""
    fire(server, asked, 200)
    many, few = (min(counted(server, asked, count) for _ in range(rounds)) for count in (MANY, FEW))
    return (many - few) / (MANY - FEW)


def counted(server, asked, count):
    subprocess.run(["callgrind_control", "-z", str(server.pid)], check=True, capture_output=True)
    fire(server, asked, count)
    done = subprocess.run(["callgrind_control", "-e", "-b", str(server.pid)], check=True, capture_output=True, text=True)
    return max(int(word.replace(",", "")) for word in done.stdout.split() if word.replace(",", "").isdigit())


def allocations(server, folder, asked):
    """How often a check asks the allocator for memory, and how often of these hyper does so to keep the head that it reads."""
    subprocess.run(["callgrind_control", "-z", str(server.pid)], check=True, capture_output=True)
    fire(server, asked, MANY)
    subprocess.run(["callgrind_control", "-d", str(server.pid)], check=True, capture_output=True)
    names, caller, called, calls, reading = {}, "", "", 0, 0
    for line in (folder / f"calls.{server.pid}.1").read_text().splitlines():
        if named := re.match(r"(c?)fn=\((\d+)\)(?: (.*))?", line):
            is_called, number, name = named.groups()
            name = names.setdefault(number, name)
            caller, called = (caller, name) if is_called else (name, "")
        elif line.startswith("calls=") and called in ALLOCATOR:
            count = int(line[6:line.index(" ")])
            calls += count
            reading += count * (caller == READING)
    return calls / MANY, reading / MANY


def fire(server, asked, count):
    """`count` requests over one connection, each answer read."""
    head = question.text(asked).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        reader = connection.makefile("rb")
        for _ in range(count):
            connection.sendall(head)
            status = reader.readline()
            if not status.startswith(b"HTTP/1.1 20"):
                raise Missing(f"not allowed: {status}")
            while reader.readline().strip():
                pass
