"""`gatepost apply`: files are the people, beside a running server."""

import re
import time

import pytest

from support.gate import bearer
from support.replica import Replica
from support.services import until

RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]}]
PEOPLE = """
tenants:
  - { name: acme }
policies:
  - { tenant: acme, name: readers, allow: [orders:read] }
principals:
  - { tenant: acme, user: acme-ops, role: admin, scopes: ['orders:*'] }
  - { tenant: acme, user: acme-ci, role: client, below: acme-ops, policies: [readers] }
"""


@pytest.fixture
def gatepost(tmp_path):
    started = Replica(tmp_path / "machine", 0, RULES).start()
    (started.folder / "people").mkdir()
    yield started
    started.stop()


def test_files_are_what_stands(gatepost):
    people = gatepost.folder / "people"
    (people / "10-people.yaml").write_text(PEOPLE)
    made = gatepost.run("keys", "declare", "--principal", "acme-ci", "--name", "nightly", "--scopes", "orders:read", check=0)
    [secret] = re.findall(r"gpk_\S+", made.stderr)
    assert secret not in made.stdout
    (people / "20-keys.yaml").write_text("keys:\n" + made.stdout)
    assert gatepost.check([("X-Api-Key", secret)]).status == 401, "declared is not applied"

    shown = gatepost.run("apply", "people", "--check", check=1)
    assert [line[:2] for line in shown.stdout.splitlines() if not line.startswith(" ")] == ["+ "] * 5, shown
    assert gatepost.check([("X-Api-Key", secret)]).status == 401, "a check changes nothing"

    done = gatepost.run("apply", "people", check=0)
    assert done.stdout == shown.stdout and "applied" in done.stderr, done
    assert gatepost.check([("X-Api-Key", secret)]).status == 200
    token = gatepost.token(secret)
    again = gatepost.run("apply", "people", "--check", check=0)
    assert (again.stdout, again.stderr) == ("", "nothing differs\n")

    # what somebody changed by hand is drift
    (people / "10-people.yaml").write_text(PEOPLE.replace("allow: [orders:read]", "allow: []"))
    assert "~ policy acme/readers\n    allow: orders:read" in gatepost.run("apply", "people", "--check", check=1).stdout
    gatepost.run("apply", "people", check=0)
    until("the policy acts", 2, lambda: gatepost.check(bearer(token)).status == 403)
    (people / "10-people.yaml").write_text(PEOPLE)
    gatepost.run("apply", "people", check=0)
    until("and back", 2, lambda: gatepost.check(bearer(token)).status == 200)
    (people / "10-people.yaml").write_text(PEOPLE.replace("allow: [orders:read]", "allow: [orders:read], limit: { quota: 1/day }"))
    assert '"quota":"1/day"' in gatepost.run("apply", "people", check=0).stdout
    until("the limit acts", 2, lambda: gatepost.check(bearer(token)).one("x-deny-status") == "429")
    # what is not declared is not agreed
    (people / "10-people.yaml").write_text(PEOPLE)
    gatepost.run("apply", "people", check=0)
    until("and no longer", 2, lambda: gatepost.check(bearer(token)).status == 200)

    # a key that vanished stays until somebody says otherwise
    (people / "20-keys.yaml").unlink()
    assert "--prune ends it" in gatepost.run("apply", "people", check=0).stdout
    time.sleep(0.5)
    assert gatepost.check(bearer(token)).status == 200
    assert "- key" in gatepost.run("apply", "people", "--prune", check=0).stdout
    until("the key has ended", 2, lambda: gatepost.check(bearer(token)).status == 401)

    # a key with a scope that its owner lacks: a check finds it, and nothing else of the files is done either
    greedy = gatepost.run("keys", "declare", "--principal", "acme-ci", "--name", "greedy", "--scopes", "orders:write", check=0).stdout
    (people / "20-keys.yaml").write_text("keys:\n" + greedy)
    (people / "10-people.yaml").write_text(PEOPLE + "  - { tenant: acme, user: acme-new, role: client, below: acme-ops }\n")
    for arguments in (["--check"], []):
        refused = gatepost.run("apply", "people", *arguments, check=1)
        assert "20-keys.yaml:2:3: keys[0]: `acme-ci` does not hold `orders:write`; " in refused.stderr and refused.stdout == "", refused
        assert refused.stderr.endswith("nothing was changed\n"), refused
    (people / "20-keys.yaml").unlink()
    assert gatepost.run("apply", "people", "--check", check=1).stdout.startswith("+ principal acme-new\n"), "it was not made before"

    (people / "bad.yaml").write_text("principals: [{ user: x, role: king }]")
    bad = gatepost.run("apply", "people", check=64)
    assert "bad.yaml:1:31: principals[0].role" in bad.stderr, bad
