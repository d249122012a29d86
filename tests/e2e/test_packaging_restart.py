"""A restart that nobody notices, on sockets that outlive the process; and the units that give it to systemd."""

import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from support import binaries
from support.asking import Asking
from support.databases import SERVERS
from support.gate import PORTS, bearer, check, question
from support.gatepost import ADMIN, METRICS, Gatepost, call
from support.proxies import PROXIES
from support.services import until
from support.starter import Sockets, Started
from support.wire import Connection, ask, exchange

UNITS = binaries.REPOSITORY / "examples/systemd"
RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
]
LISTENERS = [f"127.0.0.1:{port}" for port in (PORTS["nginx"], ADMIN, METRICS)]


def settings(unit, key):
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.M)


@pytest.fixture
def sockets_of():
    made = []

    def make(addresses):
        made.append(Sockets(addresses))
        return made[-1]

    yield make
    for sockets in made:
        sockets.close()


@pytest.fixture
def start_on(tmp_path):
    """Starts the program of this house on these sockets, as often as one likes."""
    made = []

    def start(house, sockets, *arguments):
        name = f"gatepost{len(made)}"
        made.append(Started(name, [*house.command, *arguments], tmp_path, sockets, house.environment))
        return made[-1].start()

    yield start
    for started in made:
        started.stop()


def house(folder, **sections):
    return Gatepost(folder, RULES, ports={"nginx": PORTS["nginx"]}, **sections)


# No check fails ------------------------------------------------------------------------------------------------------

class Load(Asking):
    """Asks in each of its ways."""

    def __init__(self, token):
        self.token, self.asked = token, {}
        super().__init__([(way,) for way in (self.kept, self.fresh, self.through_nginx) for _ in range(2)])

    def keep_asking(self, way):
        questions = way()
        while not self.done.is_set():
            try:
                status = next(questions)
            except OSError as error:
                status, questions = repr(error), way()
            self.asked[way.__name__] = self.asked.get(way.__name__, 0) + 1
            if status != 200:
                self.wrong.append((way.__name__, status, time.monotonic()))
            time.sleep(0.004)

    def kept(self):
        """Over one connection, until the gate says that it ends it."""
        while True:
            with Connection(PORTS["nginx"]) as connection:
                answer = None
                while answer is None or answer.one("connection") != "close":
                    connection.send(question("nginx", uri="/orders/1", headers=bearer(self.token)))
                    answer = connection.answer()
                    yield answer.status

    def fresh(self):
        """Over a connection for each."""
        while True:
            answer = check("nginx", uri="/orders/1", headers=bearer(self.token))
            yield answer and answer.status

    def through_nginx(self):
        """As a client of nginx, which gives the gate half a second."""
        while True:
            answer = ask(8081, "GET", "/orders/1", headers=bearer(self.token))
            yield answer.status


@pytest.mark.alone
def test_a_restart_on_kept_sockets_fails_no_check(tmp_path, sockets_of, start_on, running_proxies, application):
    """As `systemctl restart` does it: the first process ends, then the second one begins. Embedded, so there can be but one."""
    running_proxies.use(PROXIES[0])
    home, sockets = house(tmp_path), sockets_of(LISTENERS)
    first = start_on(home, sockets)
    token = home.sign_up("alice").token("orders:read")
    with Load(token) as load:
        time.sleep(0.5)
        first.process.send_signal(signal.SIGTERM)
        assert first.process.wait(25) == 0 and first.says("STOPPING=1")
        second = start_on(home, sockets)
        time.sleep(0.5)
    assert load.wrong == []
    assert len(load.asked) == 3 and min(load.asked.values()) > 200, load.asked
    assert check("nginx", uri="/orders/1").status == 401 and call(METRICS, "GET", "/readyz").status == 200
    assert second.process.poll() is None and "panicked" not in first.said() + second.said()


@pytest.mark.alone
def test_an_old_process_drains_while_a_new_one_serves(tmp_path, sockets_of, start_on, redis, running_proxies, application):
    """With Redis and a database server both may run at once; they share the sockets until the old one has ended."""
    server = SERVERS["postgres"](tmp_path / "postgres", 5490) if (tmp_path / "postgres").mkdir() is None else None
    server.start()
    try:
        server.value("CREATE DATABASE restart", "postgres")
        running_proxies.use(PROXIES[0])
        home = house(tmp_path, database={"env": "DATABASE"}, tokens={"store": f"redis://127.0.0.1:{redis.port}"})
        home.environment["DATABASE"] = server.url("restart")
        sockets = sockets_of(LISTENERS)
        old = start_on(home, sockets)
        token = home.sign_up("alice").token("orders:read")
        with Load(token) as load:
            time.sleep(0.3)
            new = start_on(home, sockets)
            old.process.send_signal(signal.SIGTERM)
            until("the old one stops", 2, lambda: old.says("STOPPING=1"))
            assert old.process.poll() is None and new.process.poll() is None
            assert old.process.wait(25) == 0
            time.sleep(0.3)
        assert load.wrong == []
        assert len(load.asked) == 3 and min(load.asked.values()) > 200, load.asked
        new.stop()
    finally:
        server.stop()


# Sockets that were passed --------------------------------------------------------------------------------------------

def test_a_connection_made_while_nobody_serves_is_answered(tmp_path, sockets_of, start_on):
    home, sockets = house(tmp_path), sockets_of(LISTENERS)
    with Connection(PORTS["nginx"]) as early:
        early.send(question("nginx", uri="/open/a"))
        start_on(home, sockets)
        assert early.answer().status == 200


def test_unix_sockets_are_passed_as_well_and_stay(tmp_path, sockets_of, start_on):
    path = tmp_path / "nginx.sock"
    home = house(tmp_path, gates=[{"proxy": "nginx", "listen": f"unix:{path}"}])
    sockets = sockets_of([str(path), *LISTENERS[1:]])
    for _ in range(2):
        started = start_on(home, sockets)
        assert exchange(str(path), question("nginx", uri="/open/a", secret=None)).status == 200
        started.process.send_signal(signal.SIGINT)
        assert started.process.wait(10) == 0 and path.is_socket()


def test_a_socket_of_another_address_is_refused(tmp_path, sockets_of, start_on):
    """A gate of this machine alone has no secret: a socket that everybody reaches must not be served by it."""
    home = house(tmp_path, gates=[{"proxy": "nginx", "listen": f"127.0.0.1:{PORTS['nginx']}"}])
    sockets = sockets_of([f"127.0.0.2:{PORTS['nginx']}", *LISTENERS[1:]])
    with pytest.raises(AssertionError):
        start_on(home, sockets)
    said = (tmp_path / "gatepost0.log").read_text()
    assert f"a socket for 127.0.0.2:{PORTS['nginx']} was passed" in said and "the same address in both" in said


def test_a_socket_that_does_not_listen_is_refused(tmp_path, sockets_of, start_on):
    home, sockets = house(tmp_path), sockets_of(LISTENERS[:1])
    sockets.bound.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with pytest.raises(AssertionError):
        start_on(home, sockets)
    assert "socket 1 of those that were passed" in (tmp_path / "gatepost0.log").read_text()


# The units -----------------------------------------------------------------------------------------------------------

def test_the_units_name_the_shipped_listeners(tmp_path, sockets_of, start_on):
    """The command, the sockets and the data directory of the units, with the shipped configuration."""
    shutil.copytree(binaries.REPOSITORY / "config", tmp_path / "etc")
    [command] = settings("gatepost.service", "ExecStart")
    _, *arguments = command.split()
    assert arguments == ["--config", "/etc/gatepost/gatepost.yaml"]
    home = house(tmp_path)
    home.environment = {name: value for name, value in home.environment.items() if not name.startswith("GATEPOST_")} | {"GATEPOST_DATA": str(tmp_path / "data")}
    assert "GATEPOST_DATA=/var/lib/gatepost" in settings("gatepost.service", "Environment")
    start_on(home, sockets_of(settings("gatepost.socket", "ListenStream")), "--config", str(tmp_path / "etc/gatepost.yaml"))
    assert check("nginx", uri="/health", secret=None).status == 200 and check("traefik", uri="/health", secret=None).status == 200


def test_systemd_takes_the_units_and_finds_them_tight(tmp_path):
    analyze = binaries.debian("systemd-analyze") if shutil.which("systemd-analyze") else binaries.missing("systemd-analyze", "apt-get install systemd")
    for unit in ("gatepost.service", "gatepost.socket"):
        (tmp_path / unit).write_text((UNITS / unit).read_text().replace("/usr/local/bin/gatepost", binaries.gatepost()))
    done = subprocess.run([analyze, "verify", *map(str, sorted(tmp_path.glob("gatepost.*")))], capture_output=True, text=True, timeout=60)
    said = [line for line in (done.stdout + done.stderr).splitlines() if "gatepost" in line]
    assert done.returncode == 0 and said == [], done
    rated = subprocess.run([analyze, "security", "--offline=true", "--threshold=15", str(tmp_path / "gatepost.service")],
                           capture_output=True, text=True, timeout=60)
    assert rated.returncode == 0, rated.stdout + rated.stderr  # in tenths: 1.5 of 10, "OK" begins at 5
