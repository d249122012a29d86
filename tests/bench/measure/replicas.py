"""What replicas cost Redis: scripts and commands, while nobody asks and under load, and what tokens in use are written. Expected: 4 / staleness_bound
scripts a second each, one a fill, and one write a token for each tenth of its ttl.
"""

import sys
import time
from pathlib import Path
from statistics import median

from . import question, tokens
from .load import Target, slice_of
from .row import Row
from .servers import ROOT, Missing

BOUND_S = 1.0
TTL_S = 20
STEP_S = TTL_S / 10
SLIDING = 8  # tokens
FLUSHED_S = 1.5  # what is due is written within a second


def rows(options, folder):
    sys.path.insert(0, str(ROOT / "tests" / "e2e"))
    from support.databases import Postgres

    found = []
    with options.home(folder / "replicas") as home:
        (home.folder / "postgres").mkdir()
        database = Postgres(home.folder / "postgres", 5491).start()
        try:
            for count in options.replicas:
                name = f"bench{count}"
                database.value(f"CREATE DATABASE {name}", "postgres")
                found += one(options, Path(folder), home, count, database.url(name))
        finally:
            database.stop()
    return found


def one(options, folder, outer, count, url):
    with options.home(outer.folder / f"of-{count}") as home:
        stored = home.redis()
        replicas = [home.gatepost(f"replica-{n}", environment={"DATABASE": url}, database={"env": "DATABASE"},
                                  tokens={"store": f"redis://127.0.0.1:{stored.port}", "ttl": f"{TTL_S}s"}) for n in range(count)]
        api_key = replicas[0].sign_up()
        asked = question.headers(question.credentials(replicas[0].token(api_key)))
        redis = tokens.Redis(stored.port)
        for replica in replicas:
            replica.status(asked)
        time.sleep(2)
        idle, _ = between(redis, lambda: time.sleep(options.replica_s))
        loaded, parts = between(redis, lambda: [slice_of(folder, Target("replica", replica, asked), options.replica_load_s) for replica in replicas])
        slid = sliding(options, replicas, api_key, redis, tokens.Redis(stored.port))
    expected = count * 4 / BOUND_S
    checks = sum(part.requests for part in parts)
    beyond = max(0.0, loaded["calls"] - loaded["seconds"] * idle["scripts"]) / checks
    return [
        Row("replicas", f"{many(count)}: scripts at Redis, nobody asks", idle["scripts"], "scripts/s", "replicas x 4 / staleness_bound",
            expected, idle["scripts"] / expected, at_most=1.25, more={"commands_a_second": idle["commands"], "scripts_a_second_each": idle["scripts"] / count}),
        Row("replicas", f"{many(count)}: the same while one token is checked", loaded["scripts"], "scripts/s",
            "replicas x 4 / staleness_bound", expected, loaded["scripts"] / expected, at_most=1.25,
            note=f"{checks:,} checks, {loaded['calls']} scripts", more={"checks": checks, "checks_a_second": median(part.rate for part in parts)}),
        Row("replicas", f"{many(count)}: scripts per cached check beyond heartbeats", beyond, "scripts", at_most=0.001,
            note="one fill a replica and the slides of each second are in it"),
        slid,
    ]


def sliding(options, replicas, api_key, redis, listener):
    """Writes to tokens that are in use all the time, beside how many steps of a tenth of the ttl their ends were moved. Redis itself says what was
    written: that of two replicas who ask for the same the second changes nothing is part of it.
    """
    time.sleep(FLUSHED_S)  # what other tokens are due
    live = lambda: {name for name in redis("KEYS", "{gp}:t:*") if len(name.rpartition(b":t:")[2]) == 32}
    others = live()
    texts = [replicas[0].call("POST", "/get-token", {"api_key": api_key, "scopes": ["orders:read", f"lines:{n}"]})["data"]["auth_token"]
             for n in range(SLIDING)]
    asked = [question.headers(question.credentials(text)) for text in texts]
    redis("CONFIG", "SET", "notify-keyspace-events", "Kg")
    listener("PSUBSCRIBE", "__keyspace@0__:{gp}:t:*")
    names = live() - others
    ends = lambda: sum(redis("PEXPIRETIME", name) for name in names)
    before, sent, until = ends(), counted(redis)["pexpireat"], time.monotonic() + options.slide_s
    while time.monotonic() < until:
        for replica in replicas:
            if any(replica.status(one) != 200 for one in asked):
                raise Missing("a token that was in use all the time has run out")
        time.sleep(0.1)
    time.sleep(FLUSHED_S)
    steps = (ends() - before) / (1000 * STEP_S)
    redis("PUBLISH", "__keyspace@0__:{gp}:t:", "done")
    told = iter(lambda: listener.reply()[3], b"done")
    writes = sum(event == b"expire" for event in told)
    asks = counted(redis)["pexpireat"] - sent
    return Row("replicas", f"{many(len(replicas))}: writes for sliding expiry", writes / steps, "writes a token and tenth of ttl", at_most=1.0,
               note=f"{writes} writes, asked for {asks} times", more={"steps": steps, "writes": writes, "asked_for": asks})


def many(count):
    return f"{count} replica{'s' * (count > 1)}"


def between(redis, what):
    """Scripts and commands a second at Redis while this goes on."""
    before, began = counted(redis), time.monotonic()
    found = what()
    took, after = time.monotonic() - began, counted(redis)
    calls = after["scripts"] - before["scripts"]
    return {"scripts": calls / took, "commands": (after["commands"] - before["commands"]) / took, "calls": calls, "seconds": took}, found


def counted(redis):
    """INFO's own calls are left out; commands inside scripts are commands, too."""
    calls = {}
    for line in redis("INFO", "commandstats").decode().splitlines():
        if line.startswith("cmdstat_"):
            calls[line[8:line.index(":")]] = int(line.split("calls=")[1].split(",")[0])
    return {"pexpireat": calls.get("pexpireat", 0), "scripts": sum(n for name, n in calls.items() if name.startswith(("eval", "fcall"))),
            "commands": sum(n for name, n in calls.items() if name != "info")}
