"""The compose files: well-formed, and what they start does what their first lines promise."""

import re
import subprocess

import pytest

from support import binaries
from support.compose import Stack
from support.services import listening, until
from support.wire import ask

EXAMPLES = binaries.REPOSITORY / "examples"
FILES = {"traefik": EXAMPLES / "quickstart/compose.yaml", "nginx": EXAMPLES / "quickstart-nginx/compose.yaml"}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_compose_file_is_one(file):
    check = [binaries.script("check-jsonschema", "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for port in re.findall(r'- "(.*:\d+)"', file.read_text()):
        assert port.startswith("127.0.0.1:"), "nobody else's machine is meant"


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_compose_file_starts_what_it_promises(file, image, tmp_path, free_ports):
    stack = Stack(file, image, tmp_path)
    try:
        stack.up()
        execs, curls = stack.told()
        assert len(execs) == 2 and [status for _, status in curls] == ["401", "403", "200"]
        for name, line in execs:
            done = stack.execute(name, *line.split(), input="a long enough password\n")
            assert done.returncode == 0, done
            key = re.search(r"gpk_\w+", done.stdout)[0]
        port = int(re.search(r"localhost:(\d+)", curls[0][0])[1])
        until("the proxy has its routes", 10, lambda: listening(port) and ask(port).status != 404)
        for line, status in curls:
            done = subprocess.run(["bash", "-c", f"KEY={key}; {line} -sS"], capture_output=True, text=True, timeout=30)
            assert done.stdout.startswith("HTTP/1.1 " + status), (line, done)
        assert "the application answers GET /quickstart/hello" in done.stdout and "X-Auth-Scopes: quickstart:read" in done.stdout
        # nobody but the proxy has the secret, and the gates are for those who have it
        secret = (stack.volumes["proxy-secret"] / "secret").read_text().strip()
        assert len(secret) == 64 and (stack.volumes["data"] / "gatepost.key").stat().st_uid == 10001
        straight = subprocess.run(["curl", "-si", "http://127.0.0.1:9002/verify", "-H", f"X-Api-Key: {key}"], capture_output=True, text=True, timeout=30)
        assert straight.stdout.startswith("HTTP/1.1 403"), straight
    finally:
        stack.down()
