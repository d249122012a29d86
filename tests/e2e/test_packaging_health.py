"""`gatepost healthcheck`, and a data directory that belongs to somebody else."""

import os
import shutil
import signal
import subprocess

import pytest

from support.gate import PORTS, check
from support.gatepost import METRICS, call
from support.services import until

RULES = [{"id": "open", "path": "/open/**", "access": "anonymous"}]


def test_healthcheck_tells_whether_it_can_decide(gatepost_with):
    gatepost = gatepost_with(RULES, accounts={"sign_up": "open", "direct_scopes": ["*"]})
    away = gatepost.run("healthcheck", check=1)
    assert away.stdout == "" and f"nothing answers at http://127.0.0.1:{METRICS}/readyz" in away.stderr and "is it running" in away.stderr
    gatepost.start()
    assert gatepost.run("healthcheck", check=0).stdout == "ready\n"
    assert gatepost.run("healthcheck", "--live", check=0).stdout == "ok\n"

    gatepost.write_rules("rules: [")  # refused by the one that runs, which goes on with the old ones
    assert gatepost.run("healthcheck", check=0).stdout == "ready\n"
    assert gatepost.run("check-config").returncode == 64

    gatepost.process.send_signal(signal.SIGTERM)
    until("it stops", 2, lambda: call(METRICS, "GET", "/readyz").status == 503)
    stopping = gatepost.run("healthcheck", check=1)
    assert (stopping.stdout, stopping.stderr) == ("", "gatepost: not ready: stopping\n")
    gatepost.run("healthcheck", "--live", check=0)
    gatepost.process.send_signal(signal.SIGINT)
    gatepost.process.wait(10)


def test_healthcheck_asks_where_the_configuration_says(gatepost_with):
    gatepost = gatepost_with(RULES, metrics={"listen": "0.0.0.0:9465"})
    gatepost.ready = lambda: gatepost.run("healthcheck").returncode == 0
    gatepost.start()
    gatepost.config.write_text("metrics: { listen: nowhere }\n")
    wrong = gatepost.run("healthcheck", check=64)
    assert "metrics.listen: `nowhere` is no address and port" in wrong.stderr
    gatepost.config.write_text("metrics: { listen: 127.0.0.1:%d }\n" % PORTS["nginx"])
    assert "is not gatepost" in gatepost.run("healthcheck", check=1).stderr


def test_a_proxy_secret_is_made_for_the_proxy_to_read(gatepost_with):
    gates = [{"proxy": proxy, "listen": f"0.0.0.0:{PORTS[proxy]}", "secret": {"file": "proxy/secret"}} for proxy in ("nginx", "traefik")]
    gatepost = gatepost_with(RULES, gates=gates)
    told = gatepost.run("check-config", check=0)
    assert "proxy/secret` is not there; the start makes it" in told.stdout + told.stderr
    file = gatepost.folder / "data/proxy/secret"
    assert not file.exists(), "nothing but a start makes anything"
    for _ in range(2):
        gatepost.start()
        secret = file.read_text()
        assert len(secret) == 65 and oct(file.stat().st_mode & 0o777) == "0o640"
        for proxy in ("nginx", "traefik"):
            assert check(proxy, uri="/open/a", secret=secret.strip()).status == 200
            assert check(proxy, uri="/open/a", secret="0" * 64).status == 403 and check(proxy, uri="/open/a", secret=None).status == 403
        gatepost.stop()
        assert secret.strip() not in gatepost.said(100_000)
        assert file.read_text() == secret


@pytest.mark.parametrize("mode", [0o755, 0o700], ids=oct)
def test_a_data_directory_of_somebody_else_is_told_loudly(gatepost_with, tmp_path, mode):
    gatepost = gatepost_with(RULES, gates=[{"proxy": "nginx", "listen": f"127.0.0.1:{PORTS['nginx']}", "secret": {"file": "proxy/secret"}}])
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(mode)
    command = [*gatepost.command]
    if os.geteuid() == 0:  # root may write anywhere
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o011 != 0o011:
                folder.chmod(folder.stat().st_mode | 0o055)
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", shutil.copy(command[0], tmp_path / "gatepost")]
    else:
        (tmp_path / "data").chmod(mode - 0o200)
    done = subprocess.run(command, cwd=tmp_path, env=gatepost.environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == (1 if mode == 0o755 else 64), done
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    said = f"data cannot be written by user {user}: " if mode == 0o755 else "data/proxy/secret` cannot be read: Permission denied"
    assert said in done.stderr and f"chown -R {user}:" in done.stderr
    assert not list((tmp_path / "data").iterdir())
