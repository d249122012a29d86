"""The script of docs/websockets.md in a real browser, through the nginx of that page: it buys a ticket, its socket opens and carries messages."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from support import binaries, pages
from support.certificates import Authority
from support.console import chromium
from support.gatepost import Gatepost
from support.services import Service, listening, until

FILES = {block.marks["file"]: block.text for block in pages.blocks("docs/websockets.md") if "file" in block.marks}
SAY = """async ([token, words]) => {
  const socket = await live(token), heard = [];
  return await new Promise(done => {
    socket.onopen = () => words.forEach(word => socket.send(word));
    socket.onmessage = message => { heard.push(message.data); if (heard.length == words.length) socket.close(); };
    socket.onclose = () => done(heard);
  });
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=["http", "https"])
def world(request, browser, tmp_path_factory, application, running_proxies):
    """The page stands where its rules let everybody read."""
    running_proxies.stop()
    folder = tmp_path_factory.mktemp("nginx")
    config = FILES["nginx.conf"]
    if request.param == "https":
        authority = Authority(folder)
        (folder / "key.pem").write_text(key := authority.key())
        (folder / "cert.pem").write_text(authority.sign(key, 1))
        config = config.replace("listen 127.0.0.1:8081;", "listen 127.0.0.1:8081 ssl; ssl_certificate cert.pem; ssl_certificate_key key.pem;")
        assert "ssl" in config
    (folder / "nginx.conf").write_text(config)
    application.pages["/health"] = f"<!doctype html><script>{FILES['live.js']}</script>".encode()
    with ExitStack() as ends:
        ends.callback(application.pages.clear)
        gatepost = ends.enter_context(Gatepost(tmp_path_factory.mktemp("gatepost"), FILES["rules.yaml"]))
        gatepost.run("print-config", "nginx", "--dir", str(folder), check=0)
        nginx = Service("nginx", [binaries.debian("nginx"), "-p", str(folder), "-e", "stderr", "-c", "nginx.conf", "-g", "daemon off;"], folder)
        ends.callback(nginx.stop)
        nginx.start(lambda: listening(8081))
        context = browser.new_context(ignore_https_errors=True)
        ends.callback(context.close)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.goto(f"{request.param}://localhost:8081/health")
        yield SimpleNamespace(page=page, me=gatepost.sign_up("me"), application=application, log=folder / "access.log")


def test_the_socket_opens_and_carries_messages(world):
    for words in (["hello"], ["and", "once", "more"]):
        with world.application.watch() as reached:
            assert world.page.evaluate(SAY, [world.me.token("orders:read"), words]) == words
        [seen] = reached
        assert (seen.target, seen.one("x-auth-user"), seen.one("authorization")) == ("/live", "me", None)
    until("both are logged", 5, lambda: world.log.read_text().count('"GET /live" 101') == 2)
    assert "gpw_" not in world.log.read_text()


@pytest.mark.parametrize("scope, status", [(None, 401), ("orders:write", 403)])
def test_it_does_not_open_for_who_may_not(world, scope, status):
    with world.application.watch() as reached:
        assert world.page.evaluate(SAY, [world.me.token(scope) if scope else "gpt_unknown", ["hello"]]) == []
    assert not reached
    until("that is logged", 5, lambda: f'"GET /live" {status}' in world.log.read_text())
