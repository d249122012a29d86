"""What is measured and what it is measured beside: each a process on ports of its own, ended by its id."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import question

ROOT = Path(__file__).resolve().parents[3]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"
USER, PASSWORD = "bench", "a long and quiet passphrase"
SECRET_KEY = "ab" * 32
PROXY_SECRET = "s3cret"  # as in the files of nginx/ and traefik/
GATEPOST = Path(os.environ.get("GATEPOST_BIN", TARGET / "gatepost"))
# what the image says to the program about memory
IMAGE = dict(re.findall(r"^ENV (MALLOC_\w+)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
BARE = Path(os.environ.get("BARE_BIN", TARGET / "examples" / "bare"))


class Missing(Exception):
    """A program that a part needs is not there."""


def program(name, how):
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin") or missing(name, how)


def missing(name, how):
    raise Missing(f"{name} is missing: {how}")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Server:
    """A child process on one core, or on all (`core=None`), with a folder and a log."""

    end = signal.SIGTERM

    def __init__(self, folder, name, command, core=0, prefix=(), environment=None):
        self.folder, self.name, self.environment = folder, name, environment
        self.command = [*([] if core is None else ["taskset", "-c", str(core)]), *prefix, *map(str, command)]
        self.log, self.process = folder / f"{name}.log", None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def until_listening(self, port, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Missing(f"{self.name} ended with {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        raise Missing(f"{self.name}: nothing listens on {port}")

    def stop(self):
        if not self.process or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(self.end)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Home:
    """A folder for one part, and the servers in it; all end with it."""

    def __init__(self, folder):
        self.folder, self.running = folder, []

    def __enter__(self):
        self.folder.mkdir()
        return self

    def __exit__(self, *_):
        for server in reversed(self.running):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def started(self, server, port):
        self.running.append(server.start())
        return server.until_listening(port)

    def bare(self, how=200, core=0, prefix=()):
        port = free_port()
        if not BARE.exists():
            missing(BARE, "tests/bench/run builds it, without --no-build")
        server = Server(self.folder, f"bare-{port}", [BARE, f"127.0.0.1:{port}", 1, how], core, prefix)
        server.port = port
        return self.started(server, port)

    def nginx_204(self, core=0):
        """nginx that answers everything with `return 204`, in one process."""
        port, folder = free_port(), self.folder / "nginx-204"
        folder = folder.with_name(f"nginx-204-{port}")
        folder.mkdir()
        (folder / "nginx.conf").write_text(f"""
master_process off; daemon off; pid {folder}/pid; error_log stderr;
events {{}}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{ listen 127.0.0.1:{port}; location / {{ return 204; }} }}
}}
""")
        nginx = program("nginx", "apt-get install nginx-light")
        server = Server(folder, f"nginx-204-{port}", [nginx, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"], core)
        server.port = port
        return self.started(server, port)

    def redis(self, core=1):
        port = free_port()
        command = [program("redis-server", "apt-get install redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                   "--dir", self.folder]
        server = Server(self.folder, f"redis-{port}", command, core)
        server.port = port
        return self.started(server, port)

    def gatepost(self, name, rules=10, core=0, prefix=(), proxy="nginx", environment=None, proxy_secret=False, **sections):
        server = Gatepost(self.folder, name, rules, core, prefix, proxy, environment or {}, proxy_secret, sections)
        return self.started(server, server.metrics).until_ready()


class Gatepost(Server):
    """The program with a configuration of its own; `sections` replaces whole top-level keys of it."""

    end = signal.SIGINT  # as Ctrl-C does: without the seconds that SIGTERM leaves to load balancers

    def __init__(self, folder, name, rules, core, prefix, proxy, environment, proxy_secret, sections):
        home = folder / name
        (home / "data").mkdir(parents=True)
        (home / "data").chmod(0o700)
        (home / "rules.yaml").write_text(question.rules(rules))
        self.port, self.admin, self.metrics = free_port(), free_port(), free_port()
        secret = {"secret": {"env": "PROXY_SECRET"}} if proxy_secret else {}
        settings = {
            "gates": [{"proxy": proxy, "listen": f"127.0.0.1:{self.port}", **secret}],
            "admin": {"listen": f"127.0.0.1:{self.admin}"},
            "metrics": {"listen": f"127.0.0.1:{self.metrics}"},
            "data": str(home / "data"),
            "rules": "rules.yaml",
            "secret_key": {"env": "SECRET_KEY"},
            "accounts": {"require_phone": "never"},
            "workers": 1,
            **sections,
        }
        (home / "gatepost.yaml").write_text(json.dumps(settings, indent=1))  # JSON is YAML
        if not GATEPOST.exists():
            missing(GATEPOST, "tests/bench/run builds it, without --no-build")
        own = {name: value for name, value in os.environ.items() if not name.startswith("GATEPOST_")}
        super().__init__(home, "gatepost", [GATEPOST, "--config", home / "gatepost.yaml"], core, prefix,
                         {**own, **IMAGE, "SECRET_KEY": SECRET_KEY, "PROXY_SECRET": PROXY_SECRET, **environment})

    def until_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while self.get("/readyz") != 200:
            if time.monotonic() > end:
                raise Missing(f"{self.name} is not ready:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        return self

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=60)
        connection.request(method, path, body and json.dumps(body), {"Host": "localhost", "Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 201):
            raise Missing(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)

    def sign_up(self):
        """The founder's API key."""
        return self.call("POST", "/v1/register", {"user": USER, "password": PASSWORD})["api_key"]

    def token(self, api_key=None):
        return self.call("POST", "/get-token", {"api_key": api_key or self.sign_up(), "scopes": ["orders:read"]})["data"]["auth_token"]

    def status(self, asked):
        """The answer to one check."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(question.text(asked).encode())
            return int(connection.recv(4096).split()[1])


def memory_mib(pid, what="VmRSS"):
    return int(re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def cpu_ns(pid):
    """What the scheduler counted for all threads, kernel included."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except OSError:  # a thread that has just ended
            pass
    return total
