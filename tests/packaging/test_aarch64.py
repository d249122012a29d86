"""The program for aarch64: cross-built as docs/operating.md tells, and run by an emulator."""

import json
import re
import struct

import pytest

import debian
from support import binaries, pages
from support.gate import PORTS, bearer, changed, check
from support.gatepost import Gatepost
from support.image import interpreter

AARCH64 = 183  # EM_AARCH64
TRIPLE = "aarch64-unknown-linux-gnu"
RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What `examples/docker/binary` makes of this repository for that machine."""
    out, target = tmp_path_factory.mktemp("aarch64"), debian.ROOTS / "target"
    target.mkdir(exist_ok=True)
    mounts = [(binaries.REPOSITORY, "/src"), (out, "/out"), (target, "/target"), (debian.REGISTRY, "/cargo/registry")]
    debian.run("rust", ["/src/examples/docker/binary", "/out"], mounts, seconds=3600, **debian.of_cargo(),
               CARGO_HOME="/cargo", CARGO_NET_OFFLINE="true", CARGO_TARGET_DIR="/target", **as_documented())
    return out


def as_documented():
    """The variables of the guide's commands."""
    [told] = [block.text for block in pages.blocks("docs/operating.md") if f"rustup target add {TRIPLE}" in block.text]
    assert "examples/docker/binary" in told
    return dict(re.findall(r"\b([A-Z_0-9]+)=(\S+)", told))


@pytest.fixture(scope="module")
def command(built):
    return [str(debian.root("rust") / "usr/bin/qemu-aarch64"), str(built / "gatepost")]


def test_it_is_one_static_file_for_that_machine(built):
    program = built / "gatepost"
    assert struct.unpack_from("<H", program.read_bytes(), 18)[0] == AARCH64 and interpreter(program) is None
    bill = json.loads((built / "gatepost.cdx.json").read_text())
    assert {"gatepost", "glibc", "ring", "tokio"} <= {part["name"] for part in [bill["metadata"]["component"], *bill["components"]]}


def test_it_serves(command, tmp_path):
    gatepost = Gatepost(tmp_path, RULES)
    gatepost.command = command
    assert gatepost.run("--version", check=0).stdout.startswith("gatepost ")
    gatepost.run("check-config", check=0)
    with gatepost:
        alice = gatepost.sign_up("alice")
        key_id, key = alice.key("orders:read")
        token = gatepost.token(key)
        for proxy in PORTS:
            assert check(proxy, uri="/open/a").status == 200 and check(proxy, uri="/orders/1").status == 401
            for _ in range(2):  # read from the store, then from the cache
                assert check(proxy, uri="/orders/1", headers=bearer(token)).status == 200
        assert check("nginx", uri="/orders/1", headers=bearer(changed(token))).status == 401
        assert alice.call("DELETE", f"/v1/keys/{key_id}").status == 200
        assert check("nginx", uri="/orders/1", headers=bearer(token)).status == 401
    assert "panicked" not in gatepost.said(100_000)
