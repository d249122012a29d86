"""The Helm chart and the manifests: what Helm and Kubernetes take, and a configuration that Gatepost takes."""

import re
import subprocess

import helm_python
import kubernetes_validate
import pytest
import yaml

from support import binaries
from support.chart import CHART, MANIFESTS, manifests, notes, objects
from support.gatepost import NO_GATEPOST

SHARED = {"database": "postgres://gatepost:pw@db/gatepost", "tokenStore": "redis://redis:6379", "replicas": 3, "proxies": ["traefik", "nginx"],
          "adminRoute": {"enabled": True}, "config": {"tokens": {"ttl": "30m"}, "log": {"format": "json"}}, "secretKey": "5e" * 32}
SETS = {"as it is": {}, "shared": SHARED, "without Traefik": {"proxies": ["envoy"], "traefik": {"enabled": False}, "persistence": {"storageClass": "fast"}}}
OF_OTHERS = {"Middleware", "IngressRoute", "Gateway", "HTTPRoute"}  # no schema of these is at hand


def mapped(node):
    """Every mapping of a tree."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mapped(inner)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_helm_finds_nothing_to_mend(values):
    report = helm_python.lint(str(CHART), values, strict=True)
    worse = [message for message in report["messages"] if message["severity"] > 1]
    assert report["total_charts_linted"] == 1 and not worse and not report["errors"], report


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_kubernetes_takes_every_object(values):
    made = objects(values)
    assert {"Deployment", "Service", "ConfigMap", "Secret"} <= {kind for kind, _ in made}
    for (kind, name), item in made.items():
        if kind not in OF_OTHERS:
            kubernetes_validate.validate(item, "1.37", strict=True)
        assert name.startswith("gatepost") and item["metadata"]["labels"]["app.kubernetes.io/name"] == "gatepost"
    pod = made["Deployment", "gatepost"]["spec"]["template"]
    mounted = {mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["spec"]["volumes"]}
    chosen = made["Service", "gatepost"]["spec"]["selector"]
    assert chosen.items() <= pod["metadata"]["labels"].items() and chosen == made["Deployment", "gatepost"]["spec"]["selector"]["matchLabels"]
    ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"]: port["port"] for port in made["Service", "gatepost"]["spec"]["ports"]} == ports


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_gatepost_takes_the_configuration(values, tmp_path):
    made = objects(values)
    for file, text in made["Secret", "gatepost"]["stringData"].items():
        (tmp_path / file).write_text(text)
    for file, text in made["ConfigMap", "gatepost"]["data"].items():
        (tmp_path / file).write_text(text.replace("/secrets/", f"{tmp_path}/").replace("data: /data", f"data: {tmp_path}/data"))
    done = subprocess.run([binaries.gatepost(), "check-config", "--config", tmp_path / "gatepost.yaml"], capture_output=True, text=True, env=NO_GATEPOST, timeout=30)
    assert done.returncode == 0, done
    config = yaml.safe_load((tmp_path / "gatepost.yaml").read_text())
    ports = {port["name"]: port["port"] for port in made["Service", "gatepost"]["spec"]["ports"]}
    listens = {gate["proxy"]: gate["listen"] for gate in config["gates"]} | {"admin": config["admin"]["listen"], "metrics": config["metrics"]["listen"]}
    assert listens == {name: f"0.0.0.0:{port}" for name, port in ports.items()}
    assert config.get("tokens", {}).get("ttl") == values.get("config", {}).get("tokens", {}).get("ttl")


def test_secrets_are_made_once_and_of_the_right_kind():
    values = {"database": SHARED["database"], "tokenStore": SHARED["tokenStore"]}
    made, again = objects(values), objects(values)
    secret = made["Secret", "gatepost"]["stringData"]
    assert all(re.fullmatch("[0-9a-f]{64}", secret[key]) for key in ("proxy-secret", "secret-key")) and secret["proxy-secret"] != secret["secret-key"]
    assert made["Middleware", "gatepost-clean"]["spec"]["headers"]["customRequestHeaders"]["X-Proxy-Secret"] == secret["proxy-secret"]
    assert again["Secret", "gatepost"]["stringData"]["proxy-secret"] != secret["proxy-secret"], "nobody else's"
    for (kind, _), item in made.items():
        if kind not in ("Secret", "Middleware"):
            assert not any(value in yaml.safe_dump(item) for value in (*secret.values(), "pw@db")), kind


def test_pods_are_replaced_with_whatever_is_read_at_the_start_only():
    """The Middleware sends another secret at once: a pod that goes on with the old one refuses everybody."""
    def annotation(**more):
        return objects(SHARED | {"proxySecret": "one"} | more)["Deployment", "gatepost"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert annotation() == annotation() == annotation(rulesFile="rules: []\n", secretKey="6f" * 32), "these are read again"
    others = [{"proxySecret": "two"}, {"database": "postgres://gatepost:pw@other/gatepost"}, {"tokenStore": "redis://other:6379"}, {"proxies": ["traefik"]},
              {"config": {"tokens": {"ttl": "31m"}}}]
    assert len({annotation(), *(annotation(**other) for other in others)}) == 1 + len(others)


@pytest.mark.parametrize("values", SETS.values(), ids=SETS)
def test_the_notes_say_what_can_be_done(values):
    said = notes(values, name="mine")
    made = {(kind, name.replace("gatepost", "mine-gatepost", 1)) for kind, name in objects(values)}
    named = {(kind, name) for kind, name in re.findall(r"(deployment|service|Middleware|ConfigMap)(?:/| `)([\w-]+)", said)}
    assert {(kind.capitalize() if kind.islower() else kind, name) for kind, name in named} <= made, said
    assert {"deployment", "service", "ConfigMap"} <= {kind for kind, _ in named}
    commands = re.findall(r"-- /gatepost (.*)", said)
    assert commands[0] == "create-admin --user ann" and len(commands) == (1 if values.get("traefik", {}).get("enabled", True) else 2)
    for command in commands:
        done = subprocess.run([binaries.gatepost(), *command.split(), "--help"], capture_output=True, text=True, env=NO_GATEPOST, timeout=30)
        assert done.returncode == 0, done
    assert said.count("--namespace gatepost ") == said.count("kubectl ")


@pytest.mark.parametrize("values, told", [
    ({"replicas": 2}, "more than one replica"), ({"replicas": 0}, "replicas"), ({"proxies": ["squid"]}, "proxies"), ({"proxies": ["nginx"]}, "among the proxies"),
    ({"replica": 2}, "replica"), ({"secretKey": "short"}, "secretKey"), ({"tokenStore": "embedded"}, "tokenStore"), ({"rulesFile": ""}, "rulesFile"),
])
def test_values_that_make_no_sense_are_refused(values, told):
    with pytest.raises(helm_python.HelmError, match=told):
        objects(values)


def test_the_middlewares_are_those_of_the_shipped_file():
    shipped = yaml.safe_load((binaries.REPOSITORY / "traefik/dynamic.yml").read_text())["http"]["middlewares"]
    made = {name: item["spec"] for (kind, name), item in objects({"proxySecret": "s3cret"}).items() if kind == "Middleware"}
    assert made.pop("gatepost-ask")["forwardAuth"].pop("address") == "http://gatepost.gatepost.svc:9002/verify"
    ask = objects({"proxySecret": "s3cret"})["Middleware", "gatepost-ask"]["spec"]
    ask["forwardAuth"]["address"] = shipped["gatepost-ask"]["forwardAuth"]["address"]
    for name, spec in (made | {"gatepost-ask": ask}).items():
        if "chain" in spec:
            spec = {"chain": {"middlewares": [link["name"] for link in spec["chain"]["middlewares"]]}}
        assert spec == shipped[name], name
    assert set(made) | {"gatepost-ask"} == set(shipped)


def test_the_routes_are_those_that_are_printed(tmp_path):
    """What `print-config gateway-api` prints for the chart's configuration, and what IngressRoutes need for the same."""
    for file, text in objects()["ConfigMap", "gatepost"]["data"].items():
        (tmp_path / file).write_text(text.replace("/secrets/", f"{tmp_path}/"))
    (tmp_path / "proxy-secret").write_text("s3cret")
    done = subprocess.run([binaries.gatepost(), "print-config", "gateway-api", "--config", tmp_path / "gatepost.yaml"],
                          capture_output=True, text=True, env=NO_GATEPOST, timeout=30)
    assert done.returncode == 0, done
    printed = {(item["kind"], item["metadata"]["name"]): item["spec"] for item in yaml.safe_load_all(done.stdout)}
    shipped = {item["kind"]: item["spec"] for item in yaml.safe_load_all((MANIFESTS.parent / "route.yaml").read_text())}

    def in_no_order(rules):
        return sorted(rules, key=str)

    assert in_no_order(shipped["HTTPRoute"]["rules"]) == in_no_order(printed["HTTPRoute", "app"]["rules"])
    [unchecked] = [rule for rule in shipped["HTTPRoute"]["rules"] if "filters" not in rule]
    paths = " || ".join(f"Path(`{match['path']['value']}`)" for match in unchecked["matches"])
    [route] = [route for route in shipped["IngressRoute"]["routes"] if "middlewares" not in route]
    assert route["match"] == f"Host(`app.example.com`) && ({paths})" and route["services"] == unchecked["backendRefs"]
    others = [other["match"] for other in shipped["IngressRoute"]["routes"] if other is not route]
    assert all(len(other) < len(route["match"]) for other in others), "the longest is the first to be asked"


def test_the_manifests_are_the_chart_and_the_route_finds_them():
    assert MANIFESTS.read_text() == manifests(), "make it anew: cd tests/e2e && python -m support.chart"
    there = {(item["kind"], item["metadata"]["name"]) for item in yaml.safe_load_all(MANIFESTS.read_text()) if item}
    route = [item for item in yaml.safe_load_all((MANIFESTS.parent / "route.yaml").read_text())]
    there |= {(item["kind"], item["metadata"]["name"]) for item in route}
    named = [(part["kind"], part["name"]) for item in route for part in mapped(item["spec"]) if part.get("group") == "traefik.io"]
    named += [("Middleware", link["name"]) for item in route for part in mapped(item["spec"]) for link in part.get("middlewares", [])]
    named += [("Gateway", parent["name"]) for item in route for parent in item["spec"].get("parentRefs", [])]
    assert len(named) == 5 and set(named) <= there, set(named) - there
