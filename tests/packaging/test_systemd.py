"""The units under systemd itself: installed as they say, started, restarted and killed in a Debian that boots."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import debian
from support import binaries
from support.asking import Asking
from support.gate import check
from support.gatepost import METRICS, call
from support.services import Service, listening, until

UNITS = binaries.REPOSITORY / "examples/systemd"
GIVEN = ("gatepost.service", "gatepost.socket", "gatepost.yaml", "rules.yaml")


class Machine(Service):
    """A booted system on the network of these tests; what is written there is gone afterwards."""

    end = 37  # SIGRTMIN+3: systemd halts

    def __init__(self, given, folder):
        command = [binaries.debian("systemd-nspawn"), "--quiet", "--boot", f"--directory={debian.root('systemd')}", "--volatile=overlay", "--register=no",
                   "--keep-unit", "--link-journal=no", "--machine=gatepost", "--console=pipe", f"--bind={given}:/given"]
        super().__init__("machine", command, folder)

    def leader(self):
        """Its first process."""
        below = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return below[0] if below else None

    def stop(self, seconds=30):
        """Ends what boots, and what was booted: that may outlive it."""
        leader = self.leader() if self.process and self.process.poll() is None else None
        super().stop(seconds)
        if leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(leader), signal.SIGKILL)

    def does(self, line, status=0):
        """What this line of shell prints there."""
        enter = ["nsenter", f"--target={self.leader()}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd"]
        done = subprocess.run([*enter, "sh", "-ec", f"cd /given; {line}"], env=debian.WITHIN, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, (line, done, self.said())
        return done.stdout

    def up(self):
        return self.leader() is not None and subprocess.run(
            ["nsenter", f"--target={self.leader()}", "--mount", "--pid", "--root", "systemctl", "is-active", "multi-user.target"],
            env=debian.WITHIN, capture_output=True, text=True, timeout=10).stdout == "active\n"

    def shows(self, setting):
        return self.does(f"systemctl show --value --property={setting} gatepost.service").strip()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    given, folder = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("machine")
    shutil.copy(binaries.gatepost(), given / "gatepost")
    for name in GIVEN:
        shutil.copy((UNITS if name.startswith("gatepost.s") else binaries.REPOSITORY / "config") / name, given)
    machine = Machine(given, folder)
    machine.start(machine.up, seconds=60)
    for line in re.findall(r"^#   (.*)$", (UNITS / "gatepost.service").read_text(), re.M):
        machine.does(line)
    yield machine
    machine.stop()


def health():
    return check("nginx", uri="/health", secret=None)


class Health(Asking):
    """Asks over fresh connections; `wrong` is whatever was not a 200."""

    def __init__(self):
        super().__init__([()] * 3)
        self.asked = 0

    def keep_asking(self):
        while not self.done.wait(0.004):
            try:
                answer = health()
                status = answer and answer.status
            except OSError as error:
                status = repr(error)
            self.asked += 1
            if status != 200:
                self.wrong.append(status)


def test_the_commands_of_the_unit_start_it(machine):
    assert machine.does("systemctl is-active gatepost.socket gatepost.service") == "active\nactive\n"
    assert health().status == 200 and check("nginx", uri="/quickstart/hello", secret=None).status == 401
    assert check("traefik", uri="/health", secret=None).status == 200 and call(METRICS, "GET", "/readyz").status == 200
    assert machine.shows("NRestarts") == "0" and machine.shows("StatusErrno") == "0"


def test_it_may_do_nothing_but_serve(machine):
    machine.does("systemd-analyze security --threshold=15 gatepost.service")  # in tenths: 1.5 of 10
    pid = machine.shows("MainPID")
    about = dict(re.findall(r"^(\w+):\t(.*)$", machine.does(f"cat /proc/{pid}/status"), re.M))
    assert about["Uid"].split()[0] not in ("0", "65534") and int(about["CapEff"], 16) == int(about["CapBnd"], 16) == 0
    assert about["NoNewPrivs"] == "1" and about["Seccomp"] == "2"
    for place in ("/etc/gatepost/x", "/usr/local/bin/x", "/var/lib/x"):
        machine.does(f"! nsenter --target={pid} --mount touch {place} 2>&1 | grep -v 'Read-only file system'")
    assert "gatepost.db" in machine.does("ls /var/lib/gatepost") and machine.does("stat --format=%a /var/lib/private/gatepost") == "700\n"


def test_a_restart_refuses_nobody(machine):
    before = machine.shows("MainPID")
    with Health() as asking:
        time.sleep(0.3)
        machine.does("systemctl restart gatepost")
        time.sleep(0.3)
    assert asking.wrong == [] and asking.asked > 100 and machine.shows("MainPID") != before


def test_a_reload_takes_new_rules(machine):
    before = machine.shows("MainPID")
    machine.does("sed -i 's|path: /health|path: /healthy|; s|localhost/health|localhost/healthy|' /etc/gatepost/rules.yaml; systemctl reload gatepost")
    until("the rules are read again", 10, lambda: check("nginx", uri="/healthy", secret=None).status == 200)
    machine.does("install -m 644 rules.yaml /etc/gatepost/; systemctl reload gatepost")
    until("the rules are read again", 10, lambda: health().status == 200)
    assert machine.shows("MainPID") == before


def test_who_is_killed_comes_back(machine):
    machine.does("systemctl kill --signal=KILL gatepost.service")
    assert health().status == 200, "who asks meanwhile waits on systemd's socket"
    assert machine.shows("NRestarts") == "1"


def test_a_configuration_that_cannot_be_taken_is_not_tried_for_ever(machine):
    machine.does("echo 'gates: none' >>/etc/gatepost/gatepost.yaml; ! systemctl restart gatepost")
    until("it has given up", 20, lambda: machine.shows("ActiveState") == "failed")
    assert machine.shows("ExecMainStatus") == "64"
    machine.does("install -m 644 gatepost.yaml /etc/gatepost/; systemctl reset-failed gatepost.service gatepost.socket; systemctl restart gatepost")
    assert health().status == 200


def test_it_leaves_nothing_open(machine):
    machine.does("systemctl stop gatepost.socket gatepost.service")
    assert not listening(9001) and machine.shows("Result") == "success"
    assert "panicked" not in machine.does("journalctl --no-pager --unit=gatepost")
    machine.does("systemctl start gatepost.socket gatepost.service")
