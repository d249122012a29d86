"""More than one Redis: TLS and users of few rights; Sentinels and a Cluster whose primary is killed, or cut off and back, under load.

What examples/scale-out says is what is run here: its file, its users, its addresses.
"""

import http.client
import threading
import time

import pytest

from support.certificates import Authority
from support.databases import Postgres
from support.gate import bearer, check
from support.gatepost import PASSWORD
from support.nemesis_scenes import basic
from support.redises import MAX_LAG, WRITTEN, SENTINELS_WRITTEN, Cluster, Node, Watched
from support.replica import Replica
from support.services import until

RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key"]}]
STALENESS = 0.5
SETTLING = 1.1 * (MAX_LAG + 2)  # after a failover: until it is certain which primary lasts
KEYS = 36


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.leaf, authority.leaf_key = authority.folder / "redis.pem", authority.folder / "redis.key"
    authority.leaf_key.write_text(authority.key())
    authority.leaf.write_text(authority.sign(authority.leaf_key.read_text(), 7))
    return authority


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    started = Postgres(tmp_path_factory.mktemp("postgres"), 5490).start()
    yield started
    started.stop()


def quiet(*services):
    """No secret of an address was said."""
    for service in services:
        assert WRITTEN not in service.said(10**7) and SENTINELS_WRITTEN not in service.said(10**7) and "pa:ss" not in service.said(10**7)


def test_tls_with_a_client_certificate_and_a_user_of_few_rights(authority, gatepost_with, tmp_path):
    redis = Node(tmp_path / "redis", 6430, "min-replicas-to-write 0", authority=authority).start()
    try:
        url = f"rediss://gatepost:{WRITTEN}@localhost:6430/?ca={authority.cert}"
        own = f"&cert={authority.leaf}&key={authority.leaf_key}"
        one = gatepost_with(RULES, tokens={"store": {"env": "STORE"}}, environment={"STORE": url + own})
        with one:
            token = one.sign_up("ann").token("orders:read")
            assert check("nginx", uri="/orders/1", headers=bearer(token)).status == 200
        other = Authority(tmp_path / "other")
        wrong = {"STORE": url.replace(str(authority.cert), str(other.cert)) + own}
        one.environment |= wrong
        refused = one.run(check=1).stderr
        assert "the certificate of localhost:6430 is not trusted" in refused and WRITTEN not in refused, refused
        one.environment |= {"STORE": url.replace("ca.pem", "nowhere.pem")}
        refused = one.run(check=64).stderr
        assert "tokens.store: `" in refused and "nowhere.pem` cannot be read" in refused and WRITTEN not in refused, refused
        one.environment |= {"STORE": (url + own).replace(WRITTEN, "wrong")}
        assert "Redis refuses: WRONGPASS" in one.run(check=1).stderr
        quiet(one)
    finally:
        redis.stop()


def test_settings_that_would_break_the_promise_refuse_the_start(gatepost_with, tmp_path):
    watched = Watched(tmp_path / "redis", 6460).start()
    try:
        one = gatepost_with(RULES, tokens={"store": {"env": "STORE"}}, environment={"STORE": watched.url})
        primary = watched.primary()
        for setting, value, said in (("min-replicas-to-write", 0, "`min-replicas-to-write` is 0, and there are 2 replicas; set it to 1"),
                                     ("min-replicas-max-lag", 0, "`min-replicas-max-lag` is 0"),
                                     ("maxmemory-policy", "allkeys-lru", "`maxmemory-policy allkeys-lru`")):
            before = primary.cli("CONFIG", "GET", setting).split()[1]
            assert primary.cli("CONFIG", "SET", setting, value) == "OK"
            assert said in (refused := one.run(check=1).stderr), refused
            primary.cli("CONFIG", "SET", setting, before)
        # where CONFIG is forbidden, INFO says that it is on; the address must say the rest
        primary.cli("ACL", "SETUSER", "gatepost", "-config|get")
        assert "`min-replicas-max-lag` cannot be read" in (refused := one.run(check=1).stderr), refused
        one.environment |= {"STORE": watched.url.replace("/gate?", "/nobody?")}
        assert "knows no service `nobody`" in (refused := one.run(check=1).stderr), refused
        one.environment |= {"STORE": watched.url + "&max_lag=3s"}
        with one:
            assert one.ready()
        quiet(one)
    finally:
        watched.stop()


class World:
    """Two replicas, people with keys, and what happened to those."""

    def __init__(self, database, name, url, folder):
        database.value(f"CREATE DATABASE {name}", "postgres")
        self.database, self.name, self.url, self.folder = database, name, url, folder
        self.replicas = []
        self.start_replica()
        self.start_replica()
        self.ann = self.replicas[0].sign_up("ann")
        self.keys = [self.ann.key("orders:read") for _ in range(KEYS)]
        self.tokens = [self.replicas[0].token(secret) for _, secret in self.keys]
        self.applied = {}  # key number -> when its end was answered, or found, as applied
        self.waiting = set()  # ended in the database; Redis was away
        self.asked = {}  # key number -> when its end was asked for
        self.strictly = {}  # key number -> when its strict end returned
        self.allowed, self.refused, self.statuses, self.over = [], [], {}, threading.Event()
        self.threads = [threading.Thread(target=self.load, args=(replica,), daemon=True) for replica in self.replicas]
        self.login = self.replicas[0].admin("POST", "/v1/login", headers=basic("ann", PASSWORD)).json["jwt"]["token"]
        for thread in self.threads:
            thread.start()

    def start_replica(self):
        n = len(self.replicas)
        environment = {"DATABASE": self.database.url(self.name), "STORE": self.url}
        tokens = {"store": {"env": "STORE"}, "staleness_bound": f"{int(STALENESS * 1000)}ms"}
        replica = Replica(self.folder / f"replica{n}", n, RULES, environment=environment, database={"env": "DATABASE"}, tokens=tokens)
        self.replicas.append(replica.start())

    def load(self, replica):
        while not self.over.is_set():
            for n, token in enumerate(self.tokens):
                began = time.monotonic()
                answer = replica.check(bearer(token))
                status = int(answer.one("x-deny-status") or answer.status)
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if status == 200:
                    self.allowed.append((began, time.monotonic(), n))
                if status == 401:
                    self.refused.append((time.monotonic(), n))

    def end_strictly(self, n, replica):
        """Ends it by a strict end; how long that took."""
        self.asked[n] = began = time.monotonic()
        answer = self.replicas[replica].admin("DELETE", f"/v1/keys/{self.keys[n][0]}?strict=true", token=self.login)
        assert (answer.status, answer.json["strict"]) == (200, True), answer
        self.applied[n] = self.strictly[n] = time.monotonic()
        return self.strictly[n] - began

    def end(self, n, replica):
        """Asks for it once; whether it was committed."""
        self.asked.setdefault(n, time.monotonic())
        try:
            answer = self.replicas[replica].admin("DELETE", f"/v1/keys/{self.keys[n][0]}", token=self.login)
        except (OSError, http.client.HTTPException):
            return False
        if answer.status in (200, 202):
            (self.applied.setdefault(n, time.monotonic()) if answer.json["propagated"] else self.waiting.add(n))
        return answer.status in (200, 202)

    def are_applied(self):
        """Whether every end that was committed is marked as applied."""
        if self.database.value("SELECT COUNT(*) FROM outbox WHERE done_at IS NULL", self.name) != "0":
            return False
        for n in self.waiting:
            self.applied.setdefault(n, time.monotonic())
        self.waiting.clear()
        return True

    def serves(self, n, since):
        """Whether this token was allowed by either replica in a check that began after that."""
        return any(began > since and number == n for began, _, number in self.allowed[-400:])

    def fails_over(self, away):
        """Ends before, during and after; away() takes the primary away. How long until both replicas allowed again, and ended."""
        left = [n for n in range(1, KEYS) if n not in self.applied]
        for n in left[:4]:
            assert self.end(n, n % 2) and n in self.applied
        until("both allow", 5, lambda: self.serves(0, time.monotonic() - 0.5))
        away()
        lost, ended, allowed = time.monotonic(), None, None
        asked = left[4:12]
        while time.monotonic() - lost < 40 and not (ended and allowed):
            asked = asked if asked and not self.end(asked[0], asked[0] % 2) else asked[1:]
            if allowed is None and time.monotonic() - lost > 1 and all(r.ready() for r in self.replicas) and self.serves(0, time.monotonic() - 0.2):
                allowed = time.monotonic() - lost
            if not asked and ended is None and self.are_applied():
                ended = time.monotonic() - lost
            time.sleep(0.1)
        assert ended and allowed, (ended, allowed, self.statuses)
        # none was done before it was certain that this primary lasts; now they are at once, and a strict one need not wait for long
        assert ended > SETTLING, ended
        time.sleep(0.5)
        for n in left[12:14]:
            assert self.end(n, n % 2) and n in self.applied
        assert self.end_strictly(left[14], 0) < SETTLING
        return allowed, ended

    def judge(self):
        """No check that began later than the bound after an end was allowed; returns the longest after which one was."""
        until("every end has reached Redis", 15, self.are_applied, every=0.1)
        time.sleep(max(0, max(self.applied.values()) + STALENESS + 0.3 - time.monotonic()))
        self.stop_load()
        late = [(round(began - self.applied[n], 3), n) for began, _, n in self.allowed if n in self.applied and began > self.applied[n] + STALENESS]
        assert not late, late
        late = [(round(began - self.strictly[n], 3), n) for began, _, n in self.allowed if n in self.strictly and began > self.strictly[n]]
        assert not late, late
        # nor was anybody told before that a good token is none
        early = [n for answered, n in self.refused if n not in self.asked or answered < self.asked[n]]
        assert not early and self.refused, early
        worst = max((began - self.applied[n] for began, _, n in self.allowed if n in self.applied), default=0)
        # nobody was told that a good token is none, and of what ended nothing came back
        for n, token in enumerate(self.tokens):
            for replica in self.replicas:
                status = replica.check(bearer(token)).status
                assert status == (401 if n in self.applied else 200), (n, status)
        return max(worst, 0)

    def stop_load(self):
        self.over.set()
        for thread in self.threads:
            thread.join(10)

    def stop(self):
        self.stop_load()
        quiet(*self.replicas)
        for replica in self.replicas:
            replica.stop()


def told(capsys, what, world, allowed, ended):
    with capsys.disabled():
        print(f"\n{what}: checks allowed again after {allowed:.1f} s, ends applied again after {ended:.1f} s; {world.statuses}", flush=True)


def test_sentinels_promote_another_and_nothing_ended_comes_back(database, tmp_path, capsys):
    watched = Watched(tmp_path / "redis").start()
    try:
        world = World(database, "sentinel", watched.url, tmp_path)
        try:
            # the first epoch of all: nobody has another
            assert world.end_strictly(KEYS - 1, 0) < SETTLING
            lost = watched.primary()
            told(capsys, "Sentinel, primary killed", world, *world.fails_over(lost.kill))
            # what the others found out about the epoch, one that starts now finds written down
            world.start_replica()
            unended = next(n for n in range(1, KEYS) if n not in world.asked)
            assert world.end(unended, -1) and unended in world.applied
            lost.start()
            # the Sentinels would tell it so after ten seconds
            lost.cli("REPLICAOF", "127.0.0.1", watched.primary_but(lost).port)
            until("it is a replica again", 20, lambda: watched.primary().info("min_slaves_good_slaves") == "2", every=0.1)
            # a primary that stood still wakes up and believes to be one until it is told
            paused = watched.primary()
            figures = world.fails_over(paused.pause)
            paused.go_on()
            told(capsys, "Sentinel, primary stopped and back", world, *figures)
            worst = world.judge()
            with capsys.disabled():
                print(f"Sentinel: longest after an end that a check was allowed: {worst:.3f} s of {STALENESS} s", flush=True)
        finally:
            world.stop()
    finally:
        watched.stop()


def test_a_cluster_promotes_another_and_nothing_ended_comes_back(database, authority, tmp_path, capsys):
    cluster = Cluster(tmp_path / "redis", authority).start()
    try:
        world = World(database, "cluster", cluster.url, tmp_path)
        try:
            told(capsys, "Cluster, primary killed", world, *world.fails_over(cluster.primary().kill))
            worst = world.judge()
            with capsys.disabled():
                print(f"Cluster: longest after an end that a check was allowed: {worst:.3f} s of {STALENESS} s", flush=True)
        finally:
            world.stop()
    finally:
        cluster.stop()
