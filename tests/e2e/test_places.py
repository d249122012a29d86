"""The map directory: what its `run` shows, and the commands of its page as they stand there."""

import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager

from support import binaries, pages
from support.gate import PORTS, bearer
from support.gatepost import ADMIN, METRICS, NO_GATEPOST, PASSWORD, call
from support.services import listening, until
from support.wire import ask

ROOT = binaries.REPOSITORY
RUN = ROOT / "examples/places/run"
EVERY = (8080, 8081, PORTS["nginx"], ADMIN, METRICS)
START, *BY_HAND = (block.text for block in pages.blocks("examples/places/README.md"))


def environment():
    return {**NO_GATEPOST, "GATEPOST_BIN": binaries.gatepost()}


@contextmanager
def running(tmp_path, command):
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment(), start_new_session=True)
    try:
        until("it is up", 60, lambda: "Ctrl-C" in (tmp_path / "log").read_text() or process.poll() is not None, every=0.2)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        assert process.wait(40) == 130
    assert not any(listening(port) for port in EVERY)


def test_run_shows_each_answer_and_ends(free_ports):
    done = subprocess.run([RUN, "--once"], capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 0, done
    assert re.findall(r"HTTP/1\.1 (\d+)", done.stdout) == ["401", "201", "200", "200", "403", "200", "200", "200", "401"], done.stdout
    until("everything has ended", 5, lambda: not any(listening(port) for port in EVERY))
    assert subprocess.run([RUN, "--twice"], capture_output=True, env=environment()).returncode == 64


def test_run_says_which_port_is_taken(application):
    done = subprocess.run([RUN, "--once"], capture_output=True, text=True, timeout=60, env=environment())
    assert done.returncode == 1 and "port 8080 on 127.0.0.1 is taken" in done.stderr, done


def test_commands_of_the_page(free_ports, tmp_path):
    assert START.split() == ["examples/places/run"] and len(BY_HAND) == 2
    with running(tmp_path, START.split()):
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", "\n".join(BY_HAND)], cwd=tmp_path, env=NO_GATEPOST, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        promised = re.findall(r"^curl -i.*# (\d+)", "\n".join(BY_HAND), re.M)
        assert re.findall(r"HTTP/1\.1 (\d+)", done.stdout) == promised == ["401", "200", "403", "200", "401"], done.stdout
        chargers, near = (json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"asked_by"'))
        assert chargers["asked_by"] == "me" and {place["kind"] for place in chargers["places"]} == {"ev_charger"}
        assert [place["name"] for place in near["places"]] == ["Station Square Swap"]
        assert '"deleted":true' in done.stdout


def test_the_application_answers_and_takes_places(free_ports, tmp_path):
    with running(tmp_path, [str(RUN)]):
        reader, writer = bearer(token("reader", "places:read")), bearer(token("writer", "places:write"))
        found = lambda query: [place["id"] for place in ask(8081, "GET", f"/mapdirectory/places/all?{query}", reader).json["places"]]
        assert len(found("")) == 10 and found("kind=swap_station") == [3, 5, 7, 9]
        assert found("city=eastvale&min_power_kw=50") == [4, 5] and found("near=51.41,4.22&within_km=3") == [4, 5, 10]
        assert ask(8081, "GET", "/mapdirectory/places/all?colour=red", reader).status == 400
        assert ask(8081, "GET", "/mapdirectory/places/all?near=here", reader).status == 400
        new = json.dumps({"name": "New", "kind": "swap_station", "city": "Northmere", "latitude": 51.22, "longitude": 3.9}).encode()
        assert ask(8081, "POST", "/mapdirectory/places", writer, body=new).status == 201
        assert ask(8081, "POST", "/mapdirectory/places", reader, body=new).status == 403
        assert ask(8081, "GET", "/mapdirectory/places/all", writer).status == 403
        assert found("kind=swap_station") == [3, 5, 7, 9, 11]


def token(user, scope):
    """The token of somebody who has just signed up."""
    key = call(ADMIN, "POST", "/v1/register", {"user": user, "password": PASSWORD}, {"Host": "localhost"}).json["api_key"]
    return call(ADMIN, "POST", "/get-token", {"api_key": key, "scopes": [scope]}).json["data"]["auth_token"]
