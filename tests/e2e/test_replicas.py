"""Two replicas on one database with one Redis; and one alone where the token store is its own."""

import http.client
import itertools
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.databases import PASSWORD as DATABASE_PASSWORD, SERVERS, WRITTEN
from support.gate import bearer, changed
from support.gatepost import PASSWORD
from support.nemesis_link import Link
from support.replica import Replica
from support.services import until

BOUND, CACHED = 0.5, 2
RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]}]
NAMES = (f"person{n}" for n in itertools.count())
LINKS = itertools.count(6520)


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    started = SERVERS[request.param](tmp_path_factory.mktemp(request.param), 5490).start()
    yield started
    started.stop()


@pytest.fixture
def replicas(server, redis, tmp_path):
    """Makes replicas on a new database and an empty Redis."""
    made, database = [], f"gatepost{next(NAMES)}"
    server.value(f"CREATE DATABASE {database}", "postgres" if server.name == "postgres" else "mysql")

    def make(n, rules=RULES, **sections):
        sections = {"database": {"env": "DATABASE"}, "tokens": {"store": f"redis://127.0.0.1:{redis.port}"}, **sections}
        replica = Replica(tmp_path / f"replica{n}", n, rules, environment={"DATABASE": server.url(database)}, **sections)
        made.append(replica)
        return replica

    make.database = database
    with socket.create_connection(("127.0.0.1", redis.port)) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64).startswith(b"+OK")
    yield make
    for replica in made:
        if replica.process:
            replica.process.send_signal(signal.SIGCONT)
            assert DATABASE_PASSWORD not in replica.said() and WRITTEN not in replica.said()
            replica.stop()


def at_once(*calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        barrier = threading.Barrier(len(calls))
        return [future.result() for future in [pool.submit(lambda c=c: (barrier.wait(), c())[1]) for c in calls]]


def count(server, replicas, what):
    return int(server.value(f"SELECT COUNT(*) FROM {what}", replicas.database))


def test_two_that_start_together_work_together(server, replicas):
    one, two = replicas(0), replicas(1)
    at_once(one.start, two.start)

    # two found: one does
    founders = at_once(lambda: one.register("ann"), lambda: two.register("bob"))
    assert [answer.status for answer in founders] == [201, 201], founders
    assert count(server, replicas, "founding") == 1
    assert count(server, replicas, "principals WHERE role = 'super_admin'") == 1

    # two want one name: one has it
    for _ in range(6):
        name = next(NAMES)
        answers = at_once(*[lambda replica=replica: replica.register(name) for replica in (one, two, one, two)])
        assert sorted(answer.status for answer in answers) == [201, 400, 400, 400], answers
        assert {answer.json["message"] for answer in answers if answer.status == 400} == {"user already exist"}

    # what one ends, the other refuses
    carl = one.sign_up(next(NAMES))
    for _ in range(3):
        key, secret = carl.key("orders:read")
        token = two.token(secret)
        assert [replica.check(bearer(token)).status for replica in (one, two)] == [200, 200]
        answer = carl.call("DELETE", f"/v1/keys/{key}")
        assert (answer.status, answer.json["propagated"]) == (200, True), answer
        began = time.monotonic()
        until("the other replica refuses", 1.2, lambda: two.check(bearer(token)).status == 401)
        print(f"refused by the other replica after {time.monotonic() - began:.3f} s")
        assert one.check(bearer(token)).status == 401


def test_an_end_while_what_is_cached_is_used(redis, replicas):
    """One replica cannot reach Redis and lets what it knows pass for a while, as its rule says: the published bound, and a strict end, know of it."""
    rules = [{**RULES[0], "on_store_error": {"allow_cached_for": f"{CACHED}s"}}]
    link = Link(next(LINKS), redis.port)
    tokens = {"staleness_bound": f"{int(BOUND * 1000)}ms"}
    one = replicas(0, rules, tokens={"store": f"redis://127.0.0.1:{redis.port}", **tokens}).start()
    two = replicas(1, rules, tokens={"store": f"redis://127.0.0.1:{link.port}", **tokens}).start()
    carl = one.sign_up(next(NAMES))
    (plain, plain_secret), (strict, strict_secret) = carl.key("orders:read"), carl.key("orders:read")
    shown = {"plain": bearer(one.token(plain_secret)), "strict": bearer(one.token(strict_secret))}
    assert [two.check(headers).status for headers in shown.values()] == [200, 200]
    time.sleep(BOUND)  # until there is a lease that was asked for after the database knew for how long it may be outlasted
    over, allowed = threading.Event(), {"plain": [], "strict": []}

    def load():
        while not over.is_set():
            for which, headers in shown.items():
                began = time.monotonic()
                if two.check(headers).status == 200:
                    allowed[which].append(began)
            time.sleep(0.01)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    try:
        link.obey("stall", seconds=60)
        stalled = time.monotonic()
        answer = carl.call("DELETE", f"/v1/keys/{plain}")
        applied = time.monotonic()
        assert (answer.status, answer.json["propagated"]) == (200, True), answer
        assert applied - stalled < 1.1 * (BOUND + CACHED), "only a strict end waits"
        answer = carl.call("DELETE", f"/v1/keys/{strict}?strict=true")
        returned = time.monotonic()
        assert (answer.status, answer.json["strict"]) == (200, True), answer
        assert returned - applied >= 1.1 * (BOUND + CACHED)
        time.sleep(0.3)
    finally:
        over.set()
        thread.join(10)
        link.obey("cut")
    assert max(allowed["plain"]) > stalled + BOUND, "it did use what it knew"
    assert max(allowed["plain"]) < applied + BOUND + CACHED
    assert max(allowed["strict"]) < returned


def test_of_two_first_sign_ups_one_founds(server, replicas):
    accounts = {"sign_up": "first", "direct_scopes": ["*"], "require_phone": "never"}
    one, two = (replicas(n, accounts=accounts).start() for n in (0, 1))
    answers = at_once(*[lambda n=n: (one, two)[n % 2].register(f"founder{n}") for n in range(6)])
    assert sorted(answer.status for answer in answers) == [201, 403, 403, 403, 403, 403], answers
    assert count(server, replicas, "principals WHERE role <> 'quickstart'") == 1


def test_a_set_up_code_counts_at_every_replica(replicas):
    one, two = replicas(0).start(), replicas(1).start()
    code = one.said().split("Set-up code (to sign up first from another machine): ")[1].split()[0]
    elsewhere = {"Host": "auth.example.com"}
    body = {"user": "ann", "password": PASSWORD}
    answer = two.admin("POST", "/v1/register", {**body, "setup_code": changed(code)}, headers=elsewhere)
    assert (answer.status, answer.json["message"]) == (403, "setup code required")
    assert two.admin("POST", "/v1/register", {**body, "setup_code": code}, headers=elsewhere).status == 201


def test_one_that_dies_in_the_middle_leaves_nothing_half_done(server, replicas):
    one, two = replicas(0).start(), replicas(1).start()
    two.sign_up(next(NAMES))
    for how in (signal.SIGKILL, signal.SIGSTOP, signal.SIGSTOP, signal.SIGKILL):
        going = threading.Event()

        def hammer():
            while not going.is_set():
                try:
                    one.register(next(NAMES))
                except (OSError, http.client.HTTPException):
                    return

        threads = [threading.Thread(target=hammer, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.7)
        one.process.send_signal(how)
        began = time.monotonic()
        answer = two.register(next(NAMES))
        while answer.status == 503 and time.monotonic() - began < 8:  # the turn is waited for five seconds, and its holder put out after three
            answer = two.register(next(NAMES))
        took = time.monotonic() - began
        print(f"after {how.name} the other answered {answer.status} in {took:.2f} s")
        assert answer.status == 201 and took < 12, answer
        going.set()
        if how is signal.SIGSTOP:
            one.process.send_signal(signal.SIGCONT)
            until("the one that was stopped goes on", 10, lambda: one.register(next(NAMES)).status == 201)
        else:
            one.process.wait()
            one.forget()
            one.start()
        for thread in threads:
            thread.join(20)
    principals = count(server, replicas, "principals")
    assert principals > 4
    assert count(server, replicas, "tenants") == principals
    assert count(server, replicas, "api_keys") == count(server, replicas, "key_secrets") == principals
    assert count(server, replicas, "audit WHERE action IN ('sign_up', 'found')") == principals
    until("every change has reached Redis", 5, lambda: count(server, replicas, "outbox WHERE done_at IS NULL") == 0)


def test_the_database_is_started_again_under_load(server, replicas):
    one, two = replicas(0).start(), replicas(1).start()
    ann = one.sign_up(next(NAMES))
    token = ann.token("orders:read")
    checks, stop = [], threading.Event()

    def load(replica):
        while not stop.is_set():
            answer = replica.check(bearer(token))
            checks.append(int(answer.one("x-deny-status") or answer.status))

    assert [replica.check(bearer(token)).status for replica in (one, two)] == [200, 200]
    threads = [threading.Thread(target=load, args=(replica,), daemon=True) for replica in (one, two)]
    for thread in threads:
        thread.start()
    server.kill()
    for replica in (one, two):
        began = time.monotonic()
        answer = replica.register(next(NAMES))
        print(f"without the database: {answer.status} after {time.monotonic() - began:.2f} s")
        assert (answer.status, answer.json["message"]) == (503, "unavailable"), answer
        assert answer.one("retry-after") == "1"
    server.start()
    began = time.monotonic()
    for replica in (one, two):
        until("it signs up again", 10, lambda: replica.register(next(NAMES)).status == 201)
    print(f"back {time.monotonic() - began:.2f} s after the database")
    stop.set()
    for thread in threads:
        thread.join(10)
    # on a busy machine Redis may miss a deadline; nobody is ever told that a good token is none
    statuses = {status: checks.count(status) for status in set(checks)}
    assert statuses[200] > 100 and statuses[200] > 0.8 * len(checks) and set(statuses) <= {200, 503}, statuses


def test_of_two_redis_on_one_database_one_serves(redis, replicas):
    """A mistake: neither would hear of the other's ends. Another database of the same server is as far away as another machine's Redis."""
    elsewhere = {"store": f"redis://127.0.0.1:{redis.port}/1"}
    one, two = replicas(0).start(), replicas(1, tokens=elsewhere)
    ann = one.sign_up(next(NAMES))
    key, secret = ann.key("orders:read")
    token = one.token(secret)
    began = time.monotonic()
    refused = two.run(check=1).stderr
    print(f"refused after {time.monotonic() - began:.2f} s")
    assert f"with its tokens in redis://127.0.0.1:{redis.port}, and what this one reaches as redis://127.0.0.1:{redis.port}/1 is another Redis" in refused, refused
    assert one.check(bearer(token)).status == 200 and "another gatepost wants to serve" in one.said()

    # one that cannot say so loses the database, and must not go on when it can
    one.process.send_signal(signal.SIGSTOP)
    two.start()
    bob = two.sign_up(next(NAMES))
    _, bobs_secret = bob.key("orders:read")
    bobs = two.token(bobs_secret)
    assert two.check(bearer(bobs)).status == 200
    one.process.send_signal(signal.SIGCONT)
    until("it finds that the database has another epoch", 8, lambda: "is another Redis" in one.said())
    assert one.check(bearer(token)).one("x-deny-status") == "503"
    for _ in range(20):
        assert not one.ready() and two.check(bearer(bobs)).status == 200
        time.sleep(0.1)

    # what was ended meanwhile is ended there, too, once it is alone
    ann.gatepost = two
    ended = ann.call("DELETE", f"/v1/keys/{key}")
    assert (ended.status, ended.json["propagated"]) == (200, True), ended
    two.kill()
    until("the other one founds an epoch", 5, one.ready)
    assert one.check(bearer(token)).status == 401
    assert one.check(bearer(one.token(bobs_secret))).status == 200


def test_an_embedded_store_is_alone_on_its_database(server, replicas):
    embedded = {"tokens": {"store": "embedded"}}
    one, two, with_redis = replicas(0, **embedded).start(), replicas(1, **embedded), replicas(2)
    ann = one.sign_up(next(NAMES))
    token = ann.token("orders:read")
    assert one.check(bearer(token)).status == 200
    refused = two.run(check=1)
    assert "another gatepost serves from it" in refused.stderr and DATABASE_PASSWORD not in refused.stderr, refused
    assert "another gatepost serves from this database" in with_redis.run(check=1).stderr

    # a command beside it
    made = one.run("keys", "create", "--principal", ann.user, "--json", check=0)
    assert "applied" in made.stderr and "no server" not in made.stderr, made

    # killed, the next one takes over and knows all of it
    one.kill()
    began = time.monotonic()
    two.start()
    print(f"took over in {time.monotonic() - began:.2f} s")
    assert two.check(bearer(token)).status == 200
    # who stops cleanly is not waited for
    two.stop()
    assert "no server is running" in two.run("keys", "create", "--principal", ann.user, check=0).stderr
    began = time.monotonic()
    one.start()
    assert time.monotonic() - began < 2

    # stopped while another one serves, it must not go on
    one.process.send_signal(signal.SIGSTOP)
    if server.name == "postgres":
        server.value("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'", replicas.database)
    else:
        holder = server.value("SELECT IS_USED_LOCK(CONCAT('gatepost.', SHA1(DATABASE())))", replicas.database)
        server.value(f"KILL {holder}", replicas.database)
    two.start()
    assert two.check(bearer(token)).status == 200
    one.process.send_signal(signal.SIGCONT)
    # never a yes from a memory that is not the newest
    assert one.check(bearer(token)) is None or one.check(bearer(token)).status in (401, 403)
    assert one.process.wait(10) == 1
    assert "another gatepost has served from this database meanwhile" in one.said()


def test_sqlite_takes_one_server(redis, tmp_path):
    sections = {"data": str(tmp_path / "data"), "tokens": {"store": f"redis://127.0.0.1:{redis.port}"}}
    one, two = Replica(tmp_path / "one", 0, RULES, **sections), Replica(tmp_path / "two", 1, RULES, **sections)
    with one:
        assert "more than one replica needs Redis and PostgreSQL or MySQL" in two.run(check=1).stderr


def test_commands_make_no_database(server, replicas):
    one = replicas(0)
    assert "the database is empty; start `gatepost` once" in one.run("keys", "list", check=1).stderr
    wrong = {**one.environment, "DATABASE": server.url(replicas.database).replace(WRITTEN, "wrong")}
    one.environment = wrong
    refused = one.run(check=1).stderr
    assert "gatepost: the database is unavailable" in refused and "wrong" not in refused, refused
