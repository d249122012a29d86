"""The Helm chart and the manifests: what Helm and Kubernetes take, and a configuration that Gatepost takes."""

import re
import subprocess

import helm_python
import kubernetes_validate
import pytest
import yaml

from support import binaries
from support.chart import CHART, MANIFESTS, manifests, objects
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


def test_the_manifests_are_the_chart_and_the_route_finds_them():
    assert MANIFESTS.read_text() == manifests(), "make it anew: cd tests/e2e && python -m support.chart"
    there = {(item["kind"], item["metadata"]["name"]) for item in yaml.safe_load_all(MANIFESTS.read_text()) if item}
    route = [item for item in yaml.safe_load_all((MANIFESTS.parent / "route.yaml").read_text())]
    there |= {(item["kind"], item["metadata"]["name"]) for item in route}
    named = [(part["kind"], part["name"]) for item in route for part in mapped(item["spec"]) if part.get("group") == "traefik.io"]
    named += [("Middleware", link["name"]) for item in route for part in mapped(item["spec"]) for link in part.get("middlewares", [])]
    named += [("Gateway", parent["name"]) for item in route for parent in item["spec"].get("parentRefs", [])]
    assert len(named) == 5 and set(named) <= there, set(named) - there
