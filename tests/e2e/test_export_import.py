"""`gatepost export` and `import`: from a file and a store in the process to PostgreSQL and Redis, and back, while people go on."""

import itertools
import json
import signal
import socket
import subprocess
import threading

import pytest

from support.databases import Postgres
from support.gate import bearer
from support.replica import Replica
from support.services import until

RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]}]
NAMES = (f"copies{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    started = Postgres(tmp_path_factory.mktemp("postgres"), 5491).start()
    yield started
    started.stop()


@pytest.fixture
def machines(postgres, redis, tmp_path):
    """Gateposts with files of their own (`file`), or on a new database with an empty Redis (`servers`)."""
    made = []

    def machine(n, **sections):
        made.append(Replica(tmp_path / f"machine{n}", n, RULES, **sections))
        return made[-1]

    def servers(n):
        database = next(NAMES)
        postgres.value(f"CREATE DATABASE {database}", "postgres")
        with socket.create_connection(("127.0.0.1", redis.port)) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert connection.recv(64).startswith(b"+OK")
        sections = {"database": {"env": "DATABASE"}, "tokens": {"store": f"redis://127.0.0.1:{redis.port}"}}
        started = machine(n, environment={"DATABASE": postgres.url(database)}, **sections)
        started.rows = lambda what: int(postgres.value(f"SELECT COUNT(*) FROM {what}", database))
        return started

    machine.servers = servers
    yield machine
    for one in made:
        one.stop()


def audit(person):
    """Every entry, oldest first, but what this reading itself and the imports left."""
    entries, cursor = [], ""
    while cursor is not None:
        answer = person.call("GET", f"/v1/audit?limit=1000{cursor and '&cursor=' + cursor}")
        assert answer.status == 200, answer
        entries += answer.json["entries"]
        cursor = answer.json["next_cursor"]
    return [entry for entry in reversed(entries) if entry["action"] not in ("import", "login")]


def export(machine, name):
    done = machine.run("export", name, check=0)
    assert "exported" in done.stderr and "secret keys" in done.stderr, done
    return machine.folder / name


def test_there_and_back_with_everything_that_is_live(machines):
    one = machines(0).start()
    ann = one.sign_up("ann")
    kept_key, kept_secret = ann.key("orders:read")
    gone_key, gone_secret = ann.key("orders:read")
    live, ended, of_gone = one.token(kept_secret), one.token(ann.api_key, ["orders:read"]), one.token(gone_secret)
    refresh = ann.login()["refresh_token"]
    end(ann, one, ended)
    assert ann.call("DELETE", f"/v1/keys/{gone_key}").status == 200
    policy = ann.call("POST", "/v1/policies", {"name": "readers", "allow": ["orders:*"], "deny": ["orders:delete"]}).json["policy"]
    client = ann.call("POST", "/v1/clients", {"user": "carl", "policies": [policy["id"]]})
    assert client.status == 201, client
    carl = one.token(client.json["api_key"], ["orders:read"])
    invitation = ann.call("POST", "/v1/invitations", {"role": "client", "scopes": ["orders:read"]}).json["code"]

    def holds(machine):
        for presented in (bearer(live), bearer(carl), [("X-Api-Key", kept_secret)]):
            until("what is live passes", 5, lambda p=presented: machine.check(p).status == 200)
        for presented in (bearer(ended), bearer(of_gone), [("X-Api-Key", gone_secret)]):
            assert machine.check(presented).status == 401, presented
        assert machine.token(kept_secret) == live, "the token that is live is given again"

    holds(one)
    # the server runs on; who signs up afterwards is not in the copy
    first = export(one, "first.jsonl")
    assert first.stat().st_mode & 0o777 == 0o600
    one.sign_up("late")
    before = audit(ann)[:-1]
    one.stop()

    two = machines.servers(1)
    said = two.run("import", str(first), check=0).stderr
    # that of the ended key too, whose end the key's record tells
    assert "from SQLite and embedded; 3 live tokens were put into Redis" in said, said
    two.start()
    holds(two)
    ann.gatepost, ann._login = two, None
    assert two.register("late").status == 201, "not in the copy"
    assert audit(ann)[:len(before)] == before
    assert two.admin("POST", "/v1/token/refresh", token=refresh).status == 200
    assert ann.call("GET", "/v1/policies").json["policies"][0] == policy
    # what ends here, ends
    assert two.admin("POST", "/v1/register", {"user": "dora", "password": "a long enough password", "invitation": invitation}).status == 201
    end(ann, two, live)
    assert two.check(bearer(live)).status == 401

    # back, with what Redis alone knows: when tokens end
    live = two.token(kept_secret)
    second = export(two, "second.jsonl")
    middle = audit(ann)
    two.stop()
    three = machines(2)
    said = three.run("import", str(second), check=0).stderr
    assert "from PostgreSQL and Redis" in said, said
    three.start()
    holds(three)
    ann.gatepost, ann._login = three, None
    assert audit(ann)[:len(middle)] == middle
    assert three.admin("POST", "/v1/register", {"user": "erik", "password": "a long enough password", "invitation": invitation}).status != 201
    # and it is a whole installation
    frida = three.sign_up("frida")
    assert three.check(bearer(frida.token("orders:read"))).status == 200


def end(person, machine, token):
    """Ends this very token."""
    def introspect():
        return machine.admin("POST", "/v1/introspect", f"token={token}", person.login()["token"], {"Content-Type": "application/x-www-form-urlencoded"})

    # on a busy machine Redis may miss a deadline
    until("Redis answers", 10, lambda: introspect().status == 200)
    answer = introspect()
    assert answer.status == 200 and answer.json["active"], answer
    answer = person.call("DELETE", f"/v1/tokens/{answer.json['jti']}")
    assert (answer.status, answer.json["propagated"]) == (200, True), answer


def test_a_copy_made_under_load_is_of_one_moment(machines):
    one = machines(0).start()
    ann = one.sign_up("ann")
    ann.login()
    over, made = threading.Event(), []

    def make():
        while not over.is_set():
            answer = ann.call("POST", "/v1/keys", {"name": f"key{len(made)}", "scopes": ["orders:read"]})
            assert answer.status == 201, answer
            made.append((answer.json["key"]["id"], answer.json["api_key"]))

    maker = threading.Thread(target=make)
    maker.start()
    try:
        until("keys are made", 10, lambda: len(made) > 20)
        sure = len(made)
        copy = export(one, "copy.jsonl")
    finally:
        over.set()
        maker.join()
    tables, rows = {}, None
    for line in map(json.loads, copy.read_text().splitlines()):
        if isinstance(line, dict) and "table" in line:
            rows = tables.setdefault(line["table"], [])
            columns = line["columns"]
        elif isinstance(line, list):
            rows.append(dict(zip(columns, line, strict=True)))
    keys = {row["id"] for row in tables["api_keys"]}
    assert {key for key, _ in made[:sure]} <= keys and len(keys) <= len(made) + 1
    assert {row["key_id"] for row in tables["key_secrets"]} == keys, "of one moment"
    assert {row["target"] for row in tables["audit"] if row["action"] == "key_create"} >= {key for key, _ in made if key in keys}


def test_killed_in_the_middle_it_leaves_nothing(machines):
    one = machines(0).start()
    ann = one.sign_up("ann")
    secret = ann.key("orders:read")[1]
    token = one.token(secret)
    copy = export(one, "copy.jsonl").read_bytes()
    one.stop()
    two = machines.servers(1)
    lines = copy.splitlines(keepends=True)
    for part in (len(lines) // 3, len(lines) - 1):
        importing = subprocess.Popen([*two.command, "import", "-"], cwd=two.folder, env=two.environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            importing.stdin.write(b"".join(lines[:part]))
            importing.stdin.flush()
            until("the database is there", 10, lambda: two.run("keys", "list").returncode == 0)
            assert importing.poll() is None, importing.stderr.read()
        finally:
            importing.send_signal(signal.SIGKILL)
            importing.wait()
        assert two.rows("principals") == 0 and two.rows("api_keys") == 0
    # cut off is refused
    cut = two.folder / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:-1]))
    assert "cut off" in two.run("import", str(cut), check=1).stderr
    assert two.rows("principals") == 0
    whole = two.folder / "whole.jsonl"
    whole.write_bytes(copy)
    two.run("import", str(whole), check=0)
    assert "takes an empty database" in two.run("import", str(whole), check=1).stderr
    two.start()
    assert two.check(bearer(token)).status == 200


def test_a_server_and_an_import_keep_out_of_each_others_way(machines):
    one = machines(0).start()
    one.sign_up("ann")
    copy = export(one, "copy.jsonl")
    assert "another gatepost serves" in one.run("import", str(copy), check=1).stderr
    two = machines.servers(1).start()
    assert "rows in `replicas`" in two.run("import", str(copy), check=1).stderr
    two.stop()
    # Redis is away: the database is whole, and the first server puts the tokens there
    token = one.token(one.sign_up("bob").api_key, ["orders:read"])
    copy = export(one, "again.jsonl")
    three = machines.servers(2)
    store = three.config.read_text()
    three.config.write_text(store.replace("redis://127.0.0.1:6390", "redis://127.0.0.1:6391"))
    said = three.run("import", str(copy), check=1).stderr
    assert "the database is whole, but its live tokens are not in Redis yet" in said, said
    three.config.write_text(store)
    three.start()
    until("the token arrives", 5, lambda: three.check(bearer(token)).status == 200)
