"""A real browser before a real nginx with TLS: two subdomains and a second domain, one login, one logout; what other sites' pages cannot do."""

import shutil
import subprocess
from types import SimpleNamespace

import pytest
from playwright.sync_api import sync_playwright

from support import binaries
from support.browser import AUTH, Hand, chromium
from support.gatepost import PASSWORD, Gatepost
from support.proxies import PROXIES
from support.services import Service, listening

TLS = 8443
HOSTS = ["app1.example.test", "app2.example.test", "other.test"]
RULES = [{"id": "apps", "hosts": HOSTS, "path": "/**", "credentials": ["session"], "login_redirect": True}]
CONF = f"""
events {{}}
http {{
    access_log off;
    include gatepost.conf;
    upstream app {{ server 127.0.0.1:8080; }}
    ssl_certificate test.crt;
    ssl_certificate_key test.key;
    server {{
        listen 127.0.0.1:{TLS} ssl;
        server_name {' '.join(HOSTS)};
        include gatepost_server.conf;
        location / {{ include gatepost_location.conf; include gatepost_proxy.conf; proxy_pass http://app; }}
    }}
    server {{
        listen 127.0.0.1:{TLS} ssl;
        server_name {AUTH};
        location / {{
            proxy_pass http://gatepost_admin;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
    server {{                                   # sites of strangers: one elsewhere, one on the same site as a protected host
        listen 127.0.0.1:{TLS} ssl;
        server_name evil.test evil.other.test;
        default_type text/html;
        location / {{ return 200 "<title>evil</title>"; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory, application):
    folder = tmp_path_factory.mktemp("nginx")
    shutil.copytree(binaries.REPOSITORY / "nginx", folder, dirs_exist_ok=True)
    (folder / "logs").mkdir()
    folder.chmod(0o755)
    (folder / "nginx.conf").write_text(CONF)
    names = ",".join(f"DNS:{name}" for name in [*HOSTS, AUTH, "evil.test", "evil.other.test"])
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=gatepost test", "-addext", f"subjectAltName={names}",
                    "-keyout", "test.key", "-out", "test.crt"], cwd=folder, check=True, capture_output=True)
    sections = {
        "admin": {"listen": "127.0.0.1:8000", "public_url": f"https://{AUTH}", "trusted_proxies": ["127.0.0.1/32"]},
        "sessions": {"idle": "60m", "max": "12h", "domains": ["example.test"], "return_hosts": ["other.test"]},
    }
    nginx = PROXIES[1]
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, ports={"nginx": 9001}, **sections) as gatepost:
        gatepost.sign_up("ann")
        service = Service("nginx", nginx.command(nginx.find_binary(), folder), folder).start(lambda: listening(TLS))
        try:
            with sync_playwright() as playwright:
                browser = chromium(playwright, TLS)
                yield SimpleNamespace(gatepost=gatepost, application=application, browser=browser)
                browser.close()
        finally:
            service.stop()


@pytest.fixture
def page(world):
    """A browser of its own, not logged in."""
    context = world.browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


def fill_in(page, password=PASSWORD):
    page.get_by_label("User name, e-mail or phone").fill("ann")
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")  # without a mouse, too


def log_in(page, url="https://app1.example.test/orders?a=1&b=%2F"):
    page.goto(url)
    assert page.url.startswith(f"https://{AUTH}/login?rd="), page.url
    fill_in(page)
    page.wait_for_url(url)


def reached(world, page, url):
    """What the application was asked when the browser opened this."""
    with world.application.watch() as seen:
        page.goto(url)
    return [request for request in seen if "favicon" not in request.target]


def test_one_login_one_logout(world, page):
    page.goto("https://app1.example.test/orders?a=1&b=%2F")
    fill_in(page, "not the password")
    page.get_by_role("alert").wait_for()
    fill_in(page)
    page.wait_for_url("https://app1.example.test/orders?a=1&b=%2F")
    assert page.inner_text("body") == "from the application"

    [request] = reached(world, page, "https://app1.example.test/again")
    assert request.one("x-auth-user") == "ann" and "gatepost" not in str(request.cookies)
    # the other subdomain and the other domain open without a form
    for url in ("https://app2.example.test/", "https://other.test/deep/page?x=y"):
        [request] = reached(world, page, url)
        assert page.url == url and request.one("x-auth-user") == "ann"

    cookies = {(c["domain"], c["name"]): c for c in page.context.cookies()}
    for key in ((AUTH, "__Host-gatepost-console"), (".example.test", "__Secure-gatepost"), ("other.test", "__Host-gatepost")):
        cookie = cookies[key]
        assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"], cookie["path"]) == (True, True, "Lax", "/"), cookie
    assert page.evaluate("document.cookie") == ""

    page.goto(f"https://{AUTH}/")
    assert "ann" in page.inner_text("main")
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Logged out").wait_for()
    for host in HOSTS:
        assert not reached(world, page, f"https://{host}/")
        assert page.url.startswith(f"https://{AUTH}/login?rd="), page.url


def test_what_the_pages_of_other_sites_cannot_do(world, page):
    log_in(page)
    reached(world, page, "https://other.test/")

    def tries(script, from_page):
        page.goto(from_page)
        with world.application.watch() as seen:
            page.evaluate(script)
            page.wait_for_timeout(400)
        return [request for request in seen if "favicon" not in request.target]

    def posts(to):
        return f"fetch('{to}', {{method: 'POST', mode: 'no-cors', credentials: 'include', body: 'a=b', headers: {{'Content-Type': 'text/plain'}}}}).catch(() => 0)"

    def sockets(host):
        return f"new Promise(done => {{ const s = new WebSocket('wss://{host}/ws'); s.onopen = s.onerror = () => done(1) }})"

    def form(to):
        return f"(() => {{ const f = document.createElement('form'); f.method = 'post'; f.action = '{to}'; f.target = 'x'; document.body.append(f); f.submit() }})()"

    # an application's own page may
    assert len(tries(posts("/x"), "https://other.test/")) == 1
    assert len(tries(sockets("other.test"), "https://other.test/")) == 1
    # within a domain that shares its login, each other's, too
    assert len(tries(posts("https://app1.example.test/x"), "https://app2.example.test/")) == 1
    # a stranger's page, elsewhere or on the same site, may not: there the browser sends the cookie, and the gate refuses it
    for stranger in ("https://evil.test/", "https://evil.other.test/"):
        for host in ("other.test", "app1.example.test"):
            for script in (posts(f"https://{host}/x"), sockets(host), form(f"https://{host}/x")):
                assert not tries(script, stranger), (stranger, script)
    # nor log anybody out
    page.goto("https://evil.test/")
    page.evaluate(form(f"https://{AUTH}/logout"))
    page.wait_for_timeout(400)
    assert len(reached(world, page, "https://other.test/")) == 1


def test_a_login_that_a_stranger_plants(world, page):
    """A code from the stranger's own way in, opened in this browser, logs nobody in."""
    stranger = Hand()
    assert stranger.log_in("ann").status == 303
    begun = stranger.get("https://other.test/.gatepost/login?rd=https%3A%2F%2Fother.test%2F")
    planted = stranger.get(begun.one("location")).one("location")
    page.goto("https://other.test/.gatepost/login")  # this browser has a way of its own under way
    assert page.goto(planted).status == 400
    assert not reached(world, page, "https://other.test/")
    assert not [c for c in page.context.cookies() if c["name"] == "__Host-gatepost"]
    # in the stranger's own browser it is good
    assert stranger.get(planted).status == 303


def test_the_login_page_without_script_on_a_phone(world):
    for scheme in ("light", "dark"):
        context = world.browser.new_context(ignore_https_errors=True, java_script_enabled=False, viewport={"width": 360, "height": 640}, color_scheme=scheme)
        page = context.new_page()
        log_in(page)
        page.goto(f"https://{AUTH}/")
        box = page.get_by_role("button", name="Log out").bounding_box()
        assert box["height"] >= 44 and box["x"] >= 0 and box["x"] + box["width"] <= 360
        context.close()
