"""`gatepost print-config`: what it prints for configurations that are not the shipped one passes each real proxy's own check, and works."""

import json
import re
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest

from support import binaries
from support.certificates import Authority
from support.gatepost import NO_GATEPOST, Gatepost
from support.proxies import PROXIES
from support.services import Service, listening, until
from support.wire import ask

NAMES = ["nginx", "traefik", "caddy", "haproxy", "envoy"]
RULES = [{"id": "open", "path": "/open", "access": "anonymous"}, {"id": "orders", "path": "/orders", "scopes": {"all": ["orders:read"]}}]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    (folder / "gate.key").write_text(key := authority.key())
    (folder / "gate.key").chmod(0o600)
    (folder / "gate.pem").write_text(authority.sign(key, 1))
    return {"cert": str(folder / "gate.pem"), "key": str(folder / "gate.key")}


def gates(kind, folder, tls):
    """Where each gate listens, other than in the shipped files."""
    for n, name in enumerate(NAMES):
        if kind == "sockets" and name != "traefik":
            yield {"proxy": name, "listen": f"unix:{folder}/{name}.sock"}
        else:
            yield {"proxy": name, "listen": f"127.0.0.1:{9701 + n}", "secret": {"env": "SECRET"}, **({"tls": tls} if kind == "tls" else {})}


def configured(folder, kind, tls=None):
    settings = {"gates": list(gates(kind, folder, tls)), "admin": {"listen": "127.0.0.1:8700", **({"tls": tls} if kind == "tls" else {})}}
    (folder / "gatepost.yaml").write_text(json.dumps(settings))
    (folder / "rules.yaml").write_text(json.dumps({"rules": RULES}))


def printed(folder, *arguments, status=0):
    done = subprocess.run([binaries.gatepost(), "print-config", *arguments, "--config", "gatepost.yaml"], cwd=folder,
                          env={**NO_GATEPOST, "SECRET": "of-the-user"}, capture_output=True, text=True, timeout=30)
    assert done.returncode == status and "of-the-user" not in done.stdout + done.stderr, done
    return done


def complaints_of(proxy, folder):
    """What the proxy's own check says of the files in `folder`; empty where it takes them."""
    home = {**NO_GATEPOST, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}

    def run(*command):
        done = subprocess.run(command, cwd=folder, env=home, capture_output=True, text=True, timeout=60)
        return "" if done.returncode == 0 else (done.stdout + done.stderr or "failed")

    binary = proxy.find_binary()
    if proxy.gate == "nginx":
        (folder / "logs").mkdir(exist_ok=True)
        shutil.copy(binaries.REPOSITORY / "nginx" / "nginx.conf", folder)  # three lines of it are what a user adds
        return run(binary, "-t", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", f"pid {folder}/nginx.pid;")
    if proxy.gate == "caddy":
        return run(binary, "validate", "--adapter", "caddyfile", "--config", "Caddyfile")
    if proxy.gate == "haproxy":
        return run(binary, "-c", "-f", "haproxy.cfg")
    if proxy.gate == "envoy":
        return run(binary, "--mode", "validate", "-c", "envoy.yaml", "--use-dynamic-base-id")
    # Traefik has no check: it logs what it does not take, at the level that the shipped file sets
    service = Service("traefik-check", [binary, "--configFile=traefik.yml"], folder, home)
    service.start(lambda: listening(proxy.port))
    try:
        until("the routes are loaded", 5, lambda: ask(proxy.port).status != 404 or "error" in service.said().lower())
    except BaseException:
        return service.said() or "no route"
    finally:
        service.stop()
    # that nobody answers at the gate is no fault of the files
    return "".join(line for line in service.said().splitlines() if "err" in line.lower() and "Error calling" not in line)


@pytest.mark.parametrize("kind", ["ports", "sockets", "tls"])
@pytest.mark.parametrize("proxy", PROXIES, ids=repr)
def test_each_proxy_takes_what_is_printed(tmp_path, running_proxies, certificate, proxy, kind):
    running_proxies.stop()
    configured(tmp_path, kind, certificate)
    if (proxy.gate, kind) == ("traefik", "sockets"):
        (tmp_path / "gatepost.yaml").write_text(json.dumps({"gates": [{"proxy": "traefik", "listen": f"unix:{tmp_path}/t.sock"}]}))
        assert "Traefik asks over TCP only" in printed(tmp_path, "traefik", status=1).stderr
        return
    folder = tmp_path / "proxy"
    folder.mkdir()
    done = printed(tmp_path, proxy.gate, "--dir", str(folder))
    assert "note: " in done.stderr and ": written" in done.stdout
    assert complaints_of(proxy, folder) == ""
    # and the check does see what is wrong
    file = folder / {"nginx": "gatepost.conf", "traefik": "dynamic.yml", "caddy": "Caddyfile", "haproxy": "haproxy.cfg", "envoy": "envoy.yaml"}[proxy.gate]
    file.write_text(file.read_text() + "\n  ]] nonsense {\n")
    assert complaints_of(proxy, folder) != ""


def test_proxies_ask_over_sockets_and_other_ports(tmp_path, running_proxies, application):
    """A request through each proxy, with nothing but what was printed."""
    running_proxies.stop()
    with tempfile.TemporaryDirectory(dir="/tmp") as open_folder:  # nginx's workers are nobody, and pytest's folders are closed to them
        sockets = Path(open_folder)
        sockets.chmod(0o755)
        gatepost = Gatepost(tmp_path, RULES, admin={"listen": "127.0.0.1:8700"}, gates=list(gates("sockets", sockets, None)), environment={"SECRET": "s3cret"})
        with gatepost:
            for socket in sockets.iterdir():
                socket.chmod(0o777)
            ask_through_each(gatepost, tmp_path, application)


def ask_through_each(gatepost, tmp_path, application, fill=lambda _: None, environment=None, answers=True):
    """Refused where no credential is, let in where none is needed; nobody is let in where the gate's answers are not to be had."""
    for proxy in PROXIES:
        folder = tmp_path / repr(proxy)
        folder.mkdir()
        gatepost.run("print-config", proxy.gate, "--dir", str(folder), check=0)
        fill(folder)
        if proxy.gate == "nginx":
            shutil.copy(binaries.REPOSITORY / "nginx" / "nginx.conf", folder)
            (folder / "logs").mkdir()
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        service = Service(repr(proxy), proxy.command(proxy.find_binary(), folder), folder, {**NO_GATEPOST, **home, **(environment or {})})
        service.start(lambda: listening(proxy.port) and ask(proxy.port, target="/open").status != 404)
        try:
            with application.watch() as reached:
                refused = ask(proxy.port, target="/orders")
                opened = ask(proxy.port, target="/open")
            if answers:
                assert (refused.status, refused.json["code"], opened.status, len(reached)) == (401, 401, 200, 1), (proxy, refused, opened)
            else:
                assert refused.status >= 500 and opened.status >= 500 and not reached, (proxy, refused, opened)
        finally:
            service.stop()


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "of-a-stranger"])
def test_proxies_verify_a_gate_that_speaks_tls(tmp_path, running_proxies, application, trusted):
    """With the name written where it is asked for, and the authority that each proxy is to trust."""
    running_proxies.stop()
    signer, other = Authority(tmp_path / "signer"), Authority(tmp_path / "other")
    (tmp_path / "gate.key").write_text(key := signer.key())
    (tmp_path / "gate.pem").write_text(signer.sign(key, 1))  # for localhost
    tls = {"cert": str(tmp_path / "gate.pem"), "key": str(tmp_path / "gate.key")}
    authorities = str((signer if trusted else other).cert)

    def fill(folder):
        for file in folder.iterdir():
            text = file.read_text().replace("gatepost.example.com", "localhost").replace("/etc/ssl/certs/ca-certificates.crt", authorities)
            file.write_text(text)

    gatepost = Gatepost(tmp_path, RULES, admin={"listen": "127.0.0.1:8700", "tls": tls}, gates=list(gates("tls", tmp_path, tls)), environment={"SECRET": "s3cret"})
    with gatepost:
        # Traefik and Caddy trust what the machine trusts
        ask_through_each(gatepost, tmp_path, application, fill, {"SSL_CERT_FILE": authorities, "SSL_CERT_DIR": "/nowhere"}, answers=trusted)


def test_the_gateway_s_middlewares_are_those_of_traefik(tmp_path):
    """Their CRDs hold what a file provider holds, and that is run by the other tests."""
    configured(tmp_path, "ports")

    def plain(text):
        """Without comments."""
        return "\n".join(line for line in (re.sub(r"\s*#.*$", "", line) for line in text.splitlines()) if line.strip())

    documents = plain(printed(tmp_path, "gateway-api").stdout).split("\n---\n")
    dynamic = plain(printed(tmp_path, "traefik").stdout.split("======== traefik.yml")[0])
    theirs = dynamic[dynamic.index("  middlewares:\n"):dynamic.index("  services:")]
    blocks = {name: textwrap.dedent(block) for name, block in re.findall(r"^    ([\w-]+): *\n((?:      .*\n?)+)", theirs, re.M)}
    chains = dict(re.findall(r"^    ([\w-]+): +\{ chain: \{ middlewares: \[(.*)\] \} \}$", theirs, re.M))
    assert set(chains) == {"gatepost", "gatepost-websocket"} and len(blocks) == 5
    ours = {}
    for document in documents[1:]:
        head, spec = document.split("\nspec:\n")
        assert "kind: Middleware" in head
        ours[re.search(r"name: ([\w-]+)", head)[1]] = textwrap.dedent(spec)
    assert set(ours) == {*blocks, *chains}
    for name, block in blocks.items():
        block = block.replace("http://127.0.0.1:9702/verify", "http://gatepost.default.svc:9702/verify")
        assert ours[name].strip() == block.strip(), name
    for name, chain in chains.items():
        assert re.findall(r"- name: (\S+)", ours[name]) == chain.split(", "), name
    assert re.findall(r"kind: Middleware, name: (\S+) ", documents[0]) == ["gatepost-websocket", "gatepost"]
    assert "backendRefs: [ { name: gatepost, port: 8700 } ]" in documents[0]


def test_errors(tmp_path):
    configured(tmp_path, "ports")
    assert "no gate for caddy listens on `127.0.0.1:1`" in printed(tmp_path, "caddy", "--gate", "127.0.0.1:1", status=1).stderr
    assert "possible values: nginx" in printed(tmp_path, "apache", status=64).stderr
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Caddyfile").write_text("mine")
    assert "nothing was written" in printed(tmp_path, "caddy", "--dir", "out", status=1).stderr
    printed(tmp_path, "caddy", "--dir", "out", "--force")
    assert "forward_auth 127.0.0.1:9703" in (tmp_path / "out" / "Caddyfile").read_text()
