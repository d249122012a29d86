"""Through each real proxy: `denials.status` replaces 401 and 403, and nothing else."""

import pytest

from support.gate import bearer
from support.gatepost import Gatepost
from support.wire import ask

RULES = [
    {"id": "open", "path": "/open/**", "access": "anonymous"},
    {"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}},
]


@pytest.fixture(scope="module")
def token(tmp_path_factory, application):
    with Gatepost(tmp_path_factory.mktemp("gatepost"), RULES, denials={"status": 422}) as gatepost:
        yield gatepost.sign_up("alice").token("other")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_fixed_status(token, proxy, application, method):
    with application.watch() as reached:
        for target, headers in (("/orders/1", ()), ("/orders/1", bearer(token)), ("/orders/1", bearer("gpt_forged")), ("/nowhere", ())):
            answer = ask(proxy.port, method, target, headers)
            assert (answer.status, answer.json["code"], answer.json["status"]) == (422, 422, "failed"), answer
    assert not reached
    assert ask(proxy.port, method, "/open/a").status == 200
