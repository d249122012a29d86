"""What a controller sees of a cluster: an API server that holds some objects, lists them, watches them (nothing ever changes) and takes what
is written into their status."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PATH = re.compile(r"/apis?(?:/([^/]+\.[^/]+|apps|policy))?/(v\w+)/(?:namespaces/([^/]+)/)?([a-z]+)(?:/([^/]+))?(?:/(status))?$")
# of what is asked for here, what is not the plural in capitals
KINDS = {"gatewayclasses": "GatewayClass", "endpointslices": "EndpointSlice", "configmaps": "ConfigMap", "ingressroutes": "IngressRoute",
         "ingressroutetcps": "IngressRouteTCP", "ingressrouteudps": "IngressRouteUDP", "middlewaretcps": "MiddlewareTCP", "traefikservices": "TraefikService",
         "serverstransports": "ServersTransport", "serverstransporttcps": "ServersTransportTCP", "tlsoptions": "TLSOption", "tlsstores": "TLSStore",
         "httproutes": "HTTPRoute", "grpcroutes": "GRPCRoute", "tcproutes": "TCPRoute", "tlsroutes": "TLSRoute", "referencegrants": "ReferenceGrant",
         "backendtlspolicies": "BackendTLSPolicy", "ingressclasses": "IngressClass", "ingresses": "Ingress"}
OVER_CLUSTER = {"GatewayClass", "Namespace", "Node"}
VERSION = "7"


def kind(plural):
    return KINDS.get(plural) or plural[:-1].capitalize()


class ApiServer:
    """`objects` as they would be applied; what has no namespace gets this one."""

    def __init__(self, port, objects, namespace):
        self.objects, self.statuses, self.ended = {}, {}, threading.Event()
        for n, item in enumerate(objects):
            meta = {"uid": f"00000000-0000-0000-0000-{n:012}", "resourceVersion": VERSION, "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z",
                    **({} if item["kind"] in OVER_CLUSTER else {"namespace": namespace}), **item["metadata"]}
            self.objects[item["apiVersion"], item["kind"], meta.get("namespace"), meta["name"]] = {**item, "metadata": meta}
        house = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                house.read(self)

            def do_PUT(self):
                house.write(self)

            do_PATCH = do_PUT

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def read(self, request):
        url = urlsplit(request.path)
        asked, query = PATH.match(url.path), parse_qs(url.query)
        if url.path == "/version":
            return self.answer(request, 200, {"major": "1", "minor": "37", "gitVersion": "v1.37.0"})
        if not asked:
            return self.answer(request, 404, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})
        group, version, namespace, plural, name, _ = asked.groups()
        api = f"{group}/{version}" if group else version
        found = [item for (of, what, within, called), item in self.objects.items()
                 if (of, what) == (api, kind(plural)) and namespace in (None, within) and name in (None, called)]
        if name:
            status, body = (200, found[0]) if found else (404, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})
            return self.answer(request, status, body)
        if query.get("watch", ["false"])[0] in ("true", "1"):
            return self.watch(request, api, kind(plural), found if query.get("sendInitialEvents") == ["true"] else None)
        return self.answer(request, 200, {"apiVersion": api, "kind": kind(plural) + "List", "metadata": {"resourceVersion": VERSION}, "items": found})

    def watch(self, request, api, what, first):
        """`first`: what is there, where that is asked for, and that this was all of it."""
        events = [{"type": "ADDED", "object": item} for item in first or []]
        if first is not None:
            events.append({"type": "BOOKMARK", "object": {"apiVersion": api, "kind": what, "metadata": {
                "resourceVersion": VERSION, "annotations": {"k8s.io/initial-events-end": "true"}}}})
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for event in events:
            line = json.dumps(event).encode() + b"\n"
            request.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        request.wfile.flush()
        self.ended.wait()
        request.close_connection = True

    def write(self, request):
        """Nobody but a controller's own words about an object is taken."""
        asked = PATH.match(urlsplit(request.path).path)
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if not asked or asked[6] != "status":
            return self.answer(request, 405, {"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 405})
        self.statuses[kind(asked[4]), asked[5]] = body["status"]
        return self.answer(request, 200, body)

    @staticmethod
    def answer(request, status, body):
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)


def service(name, address, **ports):
    """A Service and where it leads."""
    spec = {"clusterIP": "10.0.0.1", "type": "ClusterIP", "ports": [{"name": port, "port": number, "targetPort": number, "protocol": "TCP"} for port, number in ports.items()]}
    slice_ports = [{"name": port, "port": number, "protocol": "TCP"} for port, number in ports.items()]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec},
            {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
             "addressType": "IPv4", "endpoints": [{"addresses": [address], "conditions": {"ready": True, "serving": True}}], "ports": slice_ports}]
