"""The promise on the token cache, held against real processes while a nemesis is at work (ARCHITECTURE.md, "Two clocks of truth").

Three gateposts, PostgreSQL and Redis on this machine. GATEPOST_NEMESIS_SEED gives the schedule of faults, GATEPOST_NEMESIS_SECONDS how long
(else a minute, with `--long` five), GATEPOST_NEMESIS_CHECKS how many checks a second. It goes on, for as long again at most, until each kind
of end and of fault has been there. What happened stands in target/tests/nemesis/.
"""

import os
import random
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import binaries, services
from support.databases import Postgres
from support.gatepost import PASSWORD
from support.nemesis_checker import judge
from support.nemesis_children import Links, Load
from support.nemesis_faults import OnRedis, OnReplicas
from support.nemesis_history import APPLIED, Checks, History, now
from support.nemesis_report import figures, story
from support.nemesis_scenes import DECK, Desk, GaveUp, Odd, basic
from support.replica import Replica
from support.services import until

pytestmark = pytest.mark.alone
SEED = int(os.environ.get("GATEPOST_NEMESIS_SEED") or random.SystemRandom().randrange(10**6))
SECONDS = float(os.environ.get("GATEPOST_NEMESIS_SECONDS") or (300 if os.environ.get("GATEPOST_LONG") else 60))
BOUNDS_MS = (500, 500, 300)  # of three replicas: they may differ
DESKS = 8
CHECKS_PER_SECOND = float(os.environ.get("GATEPOST_NEMESIS_CHECKS") or 2400)
REDIS, LINKS = 6391, [6401 + n for n in range(len(BOUNDS_MS))]
RULES = [{"id": "orders", "path": "/orders/**", "scopes": {"all": ["orders:read"]}, "credentials": ["token", "api_key", "jwt"]}]


@pytest.fixture
def world(tmp_path):
    """The servers, and replicas that reach Redis each over a way of its own."""
    for name in ("postgres", "redis"):
        (tmp_path / name).mkdir()
    database = Postgres(tmp_path / "postgres", 5490)
    redis = services.Redis(binaries.debian("redis-server"), REDIS, tmp_path / "redis", lasting=False)
    started = []
    try:
        started += [database.start(), redis.start()]
        links = Links(REDIS, LINKS)
        started.append(links)
        database.value("CREATE DATABASE nemesis", "postgres")
        replicas = []
        for n, link in enumerate(LINKS):
            tokens = {"store": f"redis://127.0.0.1:{link}", "staleness_bound": f"{BOUNDS_MS[n]}ms"}
            replicas.append(Replica(tmp_path / f"replica{n}", n, RULES, "traefik", environment={"DATABASE": database.url("nemesis")},
                                    database={"env": "DATABASE"}, tokens=tokens, log={"level": "warn"}))
            started.append(replicas[-1].start())
        yield database, redis, links, replicas
    finally:
        for one in reversed(started):
            one.stop()


def test_no_ended_credential_is_allowed(world, capsys):
    print(f"GATEPOST_NEMESIS_SEED={SEED}")
    database, redis, links, replicas = world
    folder = binaries.TARGET / "tests" / "nemesis"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    assert replicas[0].register("founder").status == 201
    founder = replicas[0].admin("POST", "/v1/login", headers=basic("founder", PASSWORD)).json["jwt"]["token"]
    history = History([bound * 1_000_000 for bound in BOUNDS_MS])
    load = Load(folder / "checks", CHECKS_PER_SECOND, [replica.gate for replica in replicas])
    try:
        run(history, world, load, founder)
    finally:
        load.stop()
        history.save(folder)
    history.checks = Checks(folder / "checks")
    verdict = judge(history)
    with capsys.disabled():
        print(f"\nnemesis, seed {SEED}, {SECONDS:.0f} s, bounds {BOUNDS_MS} ms\n{figures(history, verdict)}")
    if verdict.violations:
        (folder / "violations").write_text(told := "\n\n".join(story(history, violation) for violation in verdict.violations[:40]))
        pytest.fail(f"{len(verdict.violations)} violations, seed {SEED}; all of it stands in {folder}\n{told[:20000]}", pytrace=False)
    # what was too little to show anything
    assert verdict.statuses[200] > CHECKS_PER_SECOND * SECONDS / 20 and verdict.statuses[200] > sum(verdict.statuses.values()) / 10, verdict.statuses
    assert not missing(history)


def missing(history):
    """Kinds of ends and faults that have not been there."""
    seen = {end.kind for end in history.ends if end.outcome == APPLIED} | {fault.kind for fault in history.faults}
    return {*DECK, *OnRedis.KINDS, *OnReplicas.KINDS} - seen


def run(history, world, load, founder):
    """People at work and the nemesis, for SECONDS; then all is healed and everything asked about once more."""
    database, redis, links, replicas = world

    def desk(n):
        return Desk(replicas, history, load, random.Random(f"{SEED}:desk {n}"), founder)

    start_with(desk(0))
    on_redis = OnRedis(history, random.Random(f"{SEED}:redis"), (0.6, 3.0), redis, load)
    lanes = [on_redis, OnReplicas(history, random.Random(f"{SEED}:replicas"), (0.05, 0.8), replicas, links, database, on_redis)]
    decks, over = Decks(random.Random(f"{SEED}:decks")), threading.Event()
    with ThreadPoolExecutor(len(lanes) + DESKS) as pool:
        tasks = [pool.submit(lane.run, over) for lane in lanes] + [pool.submit(work, desk(n), decks, over) for n in range(DESKS)]
        began = time.monotonic()
        try:
            while (going := time.monotonic() - began) < SECONDS or (going < 2 * SECONDS and missing(history)):
                if [task for task in tasks if task.done()]:
                    break
                time.sleep(0.1)
        finally:
            over.set()
        for task in tasks:
            task.result()
    undone = "outbox WHERE done_at IS NULL"
    until("every end has reached Redis", 15, lambda: database.value(f"SELECT COUNT(*) FROM {undone}", "nemesis") == "0", every=0.1)
    time.sleep(max(BOUNDS_MS) / 1000)
    history.settled = now()
    load.tell(settle=True)
    asked = ThreadPoolExecutor(1).submit(load.hear)
    assert asked.result(60) == "settled"
    on_redis.snapshot()  # for whoever looks for the cause of a violation


def start_with(desk):
    """What is never ended: keys, tokens and a login that are asked about all the time."""
    for _ in range(4):
        _, secret, _ = desk.client(stage="live")
        for _ in range(4):
            desk.mint(secret, "live")
    desk.login(desk.person(), "live")


class Decks:
    """Which scene comes next: each kind before any comes again."""

    def __init__(self, dice):
        self.dice, self.left, self.lock = dice, [], threading.Lock()

    def next(self):
        with self.lock:
            if not self.left:
                self.left = [*DECK]
                self.dice.shuffle(self.left)
            return self.left.pop()


def work(desk, decks, over):
    while not over.is_set():
        try:
            desk.play(decks.next())
        except GaveUp as gave_up:
            desk.history.gave_up.append(str(gave_up))
        except Odd as odd:
            desk.history.odd.append(str(odd))
