"""What keys are used for: counted at gates, told by the API, as a table and on a page, through kills, stops and a database that is away."""

import csv
import io
import time

import pytest
from playwright.sync_api import expect, sync_playwright

from support import binaries
from support.databases import Postgres
from support.gate import bearer, changed, check
from support.gatepost import ADMIN, PASSWORD, call
from support.replica import Replica
from support.services import until

RULES = [
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
    {"id": "stock", "path": "/stock/**", "scopes": {"all": ["stock:read"]}, "credentials": ["token", "api_key"]},
    {"id": "open", "path": "/open", "access": "anonymous"},
    {"id": "few", "path": "/few", "credentials": ["api_key"], "limit": {"quota": "2/day"}},
]
FLUSH = 12  # seconds within which what was counted is told


def usage(asks, key):
    """What a key was used for by rule, over all hours: allowed, refused, limited. `asks` makes a management call."""
    answer = asks("GET", f"/v1/keys/{key}/usage?limit=1000")
    assert answer.status == 200 and answer.json["next_cursor"] is None, answer
    found = {}
    for row in answer.json["usage"]:
        assert row["hour"] % 3600 == 0 and time.time() - 7200 < row["hour"] <= time.time(), row
        sums = found.setdefault(row["rule"], [0, 0, 0])
        found[row["rule"]] = [total + row[name] for total, name in zip(sums, ("allowed", "refused", "limited"), strict=True)]
    return found


def test_what_was_checked_is_told(gatepost_with):
    with gatepost_with(RULES) as gatepost:
        ann = gatepost.sign_up("ann")
        key, secret = ann.key("orders:read")
        token = gatepost.token(secret)
        for uri, headers in [("/orders/1", bearer(token))] * 5 + [("/orders/2", [("X-Api-Key", secret)])] * 2:
            assert check("nginx", uri=uri, headers=headers).status == 200
        for proxy in ("nginx", "envoy"):
            assert check(proxy, uri="/stock/1", headers=bearer(token)).status == 403
        few = [check("traefik", uri="/few", headers=[("X-Api-Key", secret)]).status for _ in range(5)]
        assert few == [200, 200, 429, 429, 429]
        check("nginx", uri="/open", headers=bearer(token))  # nobody asks who it is
        check("nginx", uri="/nowhere", headers=bearer(token))
        check("nginx", uri="/orders/1", headers=bearer(changed(token)))
        check("nginx", uri="/stock/1", headers=bearer(token), path="/explain")
        expected = {"orders": [7, 0, 0], "stock": [0, 2, 0], "few": [2, 0, 3]}
        until("it is told", FLUSH, lambda: usage(ann.call, key) == expected, every=0.2)

        table = gatepost.admin("GET", f"/v1/keys/{key}/usage", token=ann.login()["token"], headers={"Accept": "text/csv"})
        assert (table.status, table.one("content-type")) == (200, "text/csv; charset=utf-8")
        rows = list(csv.DictReader(io.StringIO(table.body.decode())))
        assert sum(int(row["allowed"]) for row in rows) == 9 and sum(int(row["refused"]) for row in rows) == 2
        assert {row["rule"] for row in rows} == {"orders", "stock", "few"} and all(row["hour"].endswith(":00:00Z") for row in rows)

        seen_in_a_browser(key)

        # a process that is killed loses what it had not written
        assert all(check("nginx", uri="/orders/1", headers=bearer(token)).status == 200 for _ in range(3))
        gatepost.kill()
        gatepost.start()
        orders = usage(ann.call, key)["orders"][0]
        assert 7 <= orders <= 10 and usage(ann.call, key)["stock"] == [0, 2, 0]

        # a rule keeps its name when a reload moves it
        gatepost.write_rules([{"id": "first", "path": "/first", "access": "anonymous"}, *reversed(RULES)])
        until("the rules are in force", 5, lambda: check("nginx", uri="/first").status == 200)
        assert check("nginx", uri="/orders/1", headers=bearer(token)).status == 200
        # a stop writes what is not written
        gatepost.stop()
        gatepost.start()
        assert usage(ann.call, key) == {**expected, "orders": [orders + 1, 0, 0]}
        assert "gatepost_usage_lost_total 0" in gatepost.metrics()

        # the key ends, what it was used for stays, and is its owner's to see alone
        assert ann.call("DELETE", f"/v1/keys/{key}").status == 200
        assert usage(ann.call, key)["orders"] == [orders + 1, 0, 0]
        assert gatepost.sign_up("bob").call("GET", f"/v1/keys/{key}/usage").status == 404


@pytest.fixture
def postgres(tmp_path):
    folder = tmp_path / "postgres"
    folder.mkdir()
    server = Postgres(folder, 5492).start()
    yield server
    server.stop()


def test_replicas_add_up_and_a_database_that_is_away_is_written_later_and_once(postgres, redis, tmp_path):
    postgres.value("CREATE DATABASE usage_of_two", "postgres")
    sections = {"database": {"env": "DATABASE"}, "tokens": {"store": f"redis://127.0.0.1:{redis.port}"}}
    two = [Replica(tmp_path / f"replica{n}", n, RULES, environment={"DATABASE": postgres.url("usage_of_two")}, **sections) for n in (0, 1)]
    try:
        for replica in two:
            replica.start()
        ann = two[0].sign_up("ann")
        key, secret = ann.key("orders:read")
        token = two[0].token(secret)

        def both(times):
            for replica in two * times:
                assert replica.check(bearer(token)).status == 200

        both(10)
        until("both are told", FLUSH, lambda: usage(ann.call, key) == {"orders": [20, 0, 0]}, every=0.2)
        postgres.kill()
        both(10)
        until("they have tried", 20, lambda: all('gatepost_usage_writes_total{result="failed"}' in metrics_of(replica) for replica in two), every=0.2)
        both(10)
        postgres.start()
        until("both are told", FLUSH + 10, lambda: postgres.value("SELECT SUM(allowed) FROM usage_hours", "usage_of_two") == "60", every=0.2)
        both(1)
        for replica in two:
            replica.stop()
        assert postgres.value("SELECT SUM(allowed) FROM usage_hours", "usage_of_two") == "62"
        assert postgres.value("SELECT COUNT(*) FROM usage_writers", "usage_of_two") == "0"
    finally:
        for replica in two:
            if replica.process:
                replica.stop()


def metrics_of(replica):
    return call(replica.metrics_port, "GET", "/metrics").body.decode()


def seen_in_a_browser(key):
    """The page of the key, on a phone."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binaries.debian("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.set_default_timeout(10_000)
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://localhost:{ADMIN}/login?rd=/console/keys")
        page.get_by_label("User name, e-mail or phone").fill("ann")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/console/keys")
        page.locator("article.card", has_text=key).get_by_role("link", name="Usage").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Usage of a key")
        expect(page.locator("#allowed")).to_have_text("9")
        expect(page.locator("#refused")).to_have_text("2")
        expect(page.locator("#limited")).to_have_text("3")
        expect(page.get_by_role("img", name="Checks let through and refused by the hour")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="orders")).to_contain_text("7")
        page.get_by_role("link", name="30 days").click()
        expect(page.get_by_role("link", name="30 days")).to_have_attribute("aria-current", "true")
        expect(page.locator("#allowed")).to_have_text("9")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out on a phone"
        with page.expect_download() as download:
            page.get_by_role("link", name="As a table (CSV)").click()
        assert "orders,7,0,0" in download.value.path().read_text()
        page.get_by_role("link", name="Back to the keys").click()
        page.wait_for_url("**/console/keys")
        browser.close()
        assert not complaints, complaints
