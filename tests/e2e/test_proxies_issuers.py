"""Through each real proxy: tokens of another issuer pass, and who has none is told, by that very proxy, whose are taken."""

import json
import re
from types import SimpleNamespace

import pytest

from support.gatepost import Gatepost
from support.issuer import Issuer
from support.wire import ask

HOST = "api.test"
RULES = [{"id": "mcp", "path": "/mcp", "hosts": [HOST], "credentials": ["issuer:corp"], "scopes": {"all": ["orders:read"]}}]


@pytest.fixture(scope="module")
def behind(tmp_path_factory, application):
    with Issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        corp = {"name": "corp", "issuer": issuer.address, "audiences": [f"https://{HOST}/mcp"], "tenant_claim": "org.id"}
        with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, issuers=[corp]).start():
            yield SimpleNamespace(issuer=issuer, application=application)


def test_a_client_finds_its_way(behind, proxy):
    token = behind.issuer.token(aud=f"https://{HOST}/mcp")
    with behind.application.watch() as reached:
        refused = ask(proxy.port, target="/mcp", host=HOST)
        assert refused.status == 401
        scheme, path = re.search(rf'resource_metadata="(https?)://{HOST}(/[^"]+)"', refused.one("www-authenticate")).groups()
        assert (scheme, path) in (("http", "/.well-known/oauth-protected-resource"), ("https", "/.well-known/oauth-protected-resource"))
        found = ask(proxy.port, target=path, host=HOST)
        assert found.status == 200, found
        said = json.loads(found.body)
        assert (said["resource"], said["authorization_servers"]) == (f"https://{HOST}/mcp", [behind.issuer.address])
        forged = ask(proxy.port, target="/mcp", host=HOST, headers=[("Authorization", f"Bearer {behind.issuer.token('other', aud=f'https://{HOST}/mcp')}")])
        assert forged.status == 401 and 'error="invalid_token"' in forged.one("www-authenticate")
        for target in (f"{path}/", f"{path}/../../v1/keys", "/.well-known/jwks.json"):
            assert ask(proxy.port, target=target, host=HOST).status in (400, 401, 403, 404), target
    assert not reached
    with behind.application.watch() as reached:
        assert ask(proxy.port, target="/mcp", host=HOST, headers=[("Authorization", f"Bearer {token}"), ("X-Auth-User", "root")]).status == 200
    assert (reached[0].one("x-auth-user"), reached[0].one("x-auth-tenant")) == ("auth0|7", "acme")
