"""The dashboard and the alerts ask for what is there: in a real Prometheus that scrapes a real Gatepost."""

import http.client
import json
import re
import subprocess
import threading
import time
import urllib.parse

import pytest

from support import binaries
from support.gate import bearer, check
from support.gatepost import METRICS, Gatepost, call
from support.issuer import Issuer
from support.services import Service, until

EXAMPLES = binaries.REPOSITORY / "examples"
ALERTS = EXAMPLES / "prometheus/alerts.yml"
DASHBOARD = json.loads((EXAMPLES / "grafana/gatepost.json").read_text())
PROMETHEUS = 9490
RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]},
    {"id": "theirs", "path": "/theirs/**", "scopes": {"all": ["orders:read"]}, "credentials": ["issuer:corp"]},
    {"id": "trial", "path": "/trial/**", "scopes": {"all": ["trial:read"]}, "enforce": False},
]
OF_PROMETHEUS = {"up", "instance", "job", "le", "installation"}


def dashboard_queries():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def alert_queries():
    return re.findall(r"^ +expr: (.*)$", ALERTS.read_text(), re.M)


def as_grafana_sends(query):
    return query.replace("$__rate_interval", "10s").replace("$instance", ".*")


def names(query):
    return set(re.findall(r"\b(?:gatepost_\w+|up)\b", re.sub(r'"[^"]*"', "", query)))


def labels(query):
    """Every label that the query names: in selectors and after `by`."""
    selected = [word for inside in re.findall(r"\{([^}]*)\}", query) for word in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside)]
    grouped = [word.strip() for inside in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", query) for word in inside.split(",")]
    return set(selected + grouped)


class Prometheus(Service):
    def __init__(self, folder):
        shipped = (EXAMPLES / "prometheus/prometheus.yml").read_text()
        assert f"127.0.0.1:{METRICS}" in shipped and "scrape_interval: 15s" in shipped
        (folder / "prometheus.yml").write_text(shipped.replace("15s", "1s"))
        (folder / "alerts.yml").write_text(ALERTS.read_text())
        super().__init__("prometheus", [binaries.debian("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                                        f"--web.listen-address=127.0.0.1:{PROMETHEUS}"], folder)

    def start(self):
        return super().start(lambda: self.asks("/-/ready")[0] == 200)

    def asks(self, path):
        try:
            answer = call(PROMETHEUS, "GET", path)
            return answer.status, answer.body.decode()
        except (OSError, http.client.HTTPException):
            return None, ""

    def query(self, query):
        status, text = self.asks("/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        assert status == 200, (query, text)
        return json.loads(text)["data"]["result"]


@pytest.fixture(scope="module")
def observed(tmp_path_factory, redis):
    """A Gatepost after some of everything, and a Prometheus that watched."""
    folder = tmp_path_factory.mktemp("observed")
    oidc = {"own": {"issuer": "http://127.0.0.1:9", "client_id": "a", "client_secret": {"env": "SECRET_KEY"}}}
    issuer = Issuer(tmp_path_factory.mktemp("issuer"))
    corp = {"name": "corp", "issuer": issuer.address, "audiences": ["https://app.example"]}
    gatepost = Gatepost(folder, RULES, tokens={"store": f"redis://127.0.0.1:{redis.port}"}, senders={"log": True}, oidc=oidc, issuers=[corp])
    prometheus = Prometheus(folder)
    with issuer, gatepost:
        alice = gatepost.sign_up("alice")
        token, stop = alice.token("orders:read"), threading.Event()

        def some_of_everything():
            while not stop.wait(0.05):
                check("nginx", uri="/orders/1", headers=bearer(token))
                check("nginx", uri="/open/a")
                check("nginx", uri="/theirs/1", headers=bearer(issuer.token()))
                check("traefik", uri="/trial/a")
                for reason in ({"uri": "/orders/1"}, {"uri": "/nowhere"}, {"uri": "/open/a", "secret": "wrong"}, {"host": None},
                               {"uri": "/orders/1", "headers": bearer("gpt_forged")}):
                    check("nginx", **reason)
                gatepost.admin("POST", "/v1/otp/send", {"email": "somebody@example.com"})
                gatepost.admin("GET", "/v1/oidc/own/login")

        asking = threading.Thread(target=some_of_everything)
        asking.start()
        try:
            with redis.away():
                until("the store is missed", 10, lambda: "gatepost_store_errors_total{" in gatepost.metrics())
            until("the store is back", 10, gatepost.ready)
            gatepost.write_rules([*RULES, {"id": "more", "path": "/more", "access": "anonymous"}])
            prometheus.start()
            until("it has seen some", 20, lambda: len(prometheus.query('rate(gatepost_decisions_total{result="allow"}[10s]) > 0')) > 1)
            time.sleep(2)
            yield gatepost, prometheus
        finally:
            stop.set()
            asking.join(10)
            prometheus.stop()


def test_every_query_names_metrics_and_labels_that_exist(observed):
    gatepost, _ = observed
    there = {}
    for name, inside in re.findall(r"^(gatepost_\w+)(?:\{(.*)\})? ", gatepost.metrics(), re.M):
        there.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    for query in dashboard_queries() + alert_queries():
        asked = names(query)
        assert asked and asked <= set(there) | {"up"}, (query, asked - set(there))
        known = set().union(*(there.get(name, set()) for name in asked)) | OF_PROMETHEUS
        assert labels(query) <= known, (query, labels(query) - known)
    declared = set(re.findall(r'^const \w+: &str = "(gatepost_\w+)";', (binaries.REPOSITORY / "src/metrics.rs").read_text(), re.M))
    shown = {re.sub("_(bucket|count|sum)$", "", name) for query in dashboard_queries() for name in names(query)}
    assert shown == declared, "the dashboard shows every metric"


def test_every_panel_shows_something(observed):
    _, prometheus = observed
    for query in dashboard_queries():
        found = prometheus.query(as_grafana_sends(query))
        assert found and all(series["value"][1] != "NaN" or "store_request" in query for series in found), (query, found)


def test_alerts_are_quiet_and_loud(observed):
    """Those that the traffic of this test gives reason to hold; those for which there is none do not."""
    _, prometheus = observed
    held = {}
    for alert, query in zip(re.findall(r"- alert: (\w+)", ALERTS.read_text()), alert_queries(), strict=True):
        held[alert] = bool(prometheus.query(re.sub(r"\[\d+m\]", "[10s]", query)))
    assert {alert for alert, holds in held.items() if holds} >= {"GatepostProxySecretWrong", "GatepostRequestsNotDescribed"}, held
    assert not {alert for alert, holds in held.items() if holds} & {"GatepostDown", "GatepostStoreAway", "GatepostReloadRefused", "GatepostReplicasDisagree"}, held


FIRES = """
rule_files: [alerts.yml]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - { series: 'up{job="gatepost", instance="a"}', values: '1+0x20 0+0x80' }
      - { series: 'up{job="gatepost", instance="b"}', values: '1+0x100' }
      - { series: 'gatepost_store_up{instance="a"}', values: '1+0x20 0+0x80' }
      - { series: 'gatepost_store_up{instance="b"}', values: '1+0x100' }
      - { series: 'gatepost_reload_failed{instance="a"}', values: '1+0x100' }
      - { series: 'gatepost_reload_failed{instance="b"}', values: '0+0x100' }
      - { series: 'gatepost_rules{instance="a"}', values: '7+0x100' }
      - { series: 'gatepost_rules{instance="b"}', values: '7+0x10 8+0x90' }
      - { series: 'gatepost_rules{instance="c", installation="other"}', values: '3+0x100' }
      - { series: 'gatepost_rules{instance="d", installation="other"}', values: '3+0x100' }
      - { series: 'gatepost_rules{instance="e", installation="third"}', values: '4+0x100' }
      - { series: 'gatepost_decisions_total{instance="a", result="deny", reason="store_unavailable"}', values: '0+30x100' }
      - { series: 'gatepost_decisions_total{instance="b", result="deny", reason="store_unavailable"}', values: '5+0x100' }
      - { series: 'gatepost_decisions_total{instance="a", result="deny", reason="invalid_credential"}', values: '0+600x100' }
      - { series: 'gatepost_decisions_total{instance="b", result="deny", reason="invalid_credential"}', values: '0+60x100' }
      - { series: 'gatepost_decision_duration_seconds_bucket{instance="a", le="0.025"}', values: '0+10x100' }
      - { series: 'gatepost_decision_duration_seconds_bucket{instance="a", le="0.1"}', values: '0+100x100' }
      - { series: 'gatepost_decision_duration_seconds_bucket{instance="a", le="+Inf"}', values: '0+100x100' }
      - { series: 'gatepost_decision_duration_seconds_bucket{instance="b", le="0.025"}', values: '0+100x100' }
      - { series: 'gatepost_decision_duration_seconds_bucket{instance="b", le="+Inf"}', values: '0+100x100' }
      - { series: 'gatepost_admin_answers_total{instance="a", status="503"}', values: '0+3x100' }
      - { series: 'gatepost_admin_answers_total{instance="b", status="200"}', values: '0+300x100' }
      - { series: 'gatepost_codes_sent_total{instance="a", channel="sms", result="failed"}', values: '0+1x100' }
      - { series: 'gatepost_codes_sent_total{instance="b", channel="sms", result="sent"}', values: '0+9x100' }
    promql_expr_test:
      - { expr: 'count(ALERTS{alertstate="firing", instance="b"}) or vector(0)', eval_time: 24m, exp_samples: [{ labels: '{}', value: 0 }] }
      - { expr: 'count(ALERTS{alertstate="firing", installation!=""}) or vector(0)', eval_time: 24m, exp_samples: [{ labels: '{}', value: 0 }] }
      - { expr: 'count(ALERTS{alertstate="firing", alertname="GatepostReplicasDisagree"}) or vector(0)', eval_time: 11m, exp_samples: [{ labels: '{}', value: 0 }] }
      - { expr: 'count(ALERTS{alertstate="firing", alertname="GatepostDown"}) or vector(0)', eval_time: 5m, exp_samples: [{ labels: '{}', value: 0 }] }
"""
FIRING = ("GatepostDown", "GatepostStoreAway", "GatepostReloadRefused", "GatepostReplicasDisagree", "GatepostRefusesForLackOfStore",
          "GatepostCredentialsGuessed", "GatepostSlow", "GatepostAdminFails", "GatepostCodesNotSent")


def test_alerts_fire_for_whom_it_concerns(tmp_path):
    (tmp_path / "alerts.yml").write_text(ALERTS.read_text())
    expected = "".join(f"      - {{ expr: 'count(ALERTS{{alertstate=\"firing\", alertname=\"{alert}\"}})', eval_time: 24m, exp_samples: [{{ labels: '{{}}', value: 1 }}] }}\n"
                       for alert in FIRING)
    (tmp_path / "fires.yml").write_text(FIRES + expected)
    promtool = binaries.debian("promtool")
    for command in (["check", "config", EXAMPLES / "prometheus/prometheus.yml"], ["check", "rules", ALERTS], ["test", "rules", tmp_path / "fires.yml"]):
        done = subprocess.run([promtool, *map(str, command)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_whole():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"] and panel["title"] and panel["datasource"]["uid"] == "${datasource}"
    assert {"datasource", "instance"} == {variable["name"] for variable in DASHBOARD["templating"]["list"]}
