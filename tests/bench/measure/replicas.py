"""What replicas cost Redis: scripts and commands, while nobody asks and under load. Expected: 4 / staleness_bound each, and one a fill."""

import sys
import time
from pathlib import Path
from statistics import median

from . import question, tokens
from .load import Target, slice_of
from .row import Row
from .servers import ROOT

BOUND_S = 1.0


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
                                  tokens={"store": f"redis://127.0.0.1:{stored.port}"}) for n in range(count)]
        asked = question.headers(question.credentials(replicas[0].token()))
        redis = tokens.Redis(stored.port)
        for replica in replicas:
            replica.status(asked)
        time.sleep(2)
        idle, _ = between(redis, lambda: time.sleep(options.replica_s))
        loaded, parts = between(redis, lambda: [slice_of(folder, Target("replica", replica, asked), options.replica_load_s) for replica in replicas])
    expected = count * 4 / BOUND_S
    checks = sum(part.requests for part in parts)
    beyond = max(0.0, loaded["calls"] - loaded["seconds"] * idle["scripts"]) / checks
    return [
        Row("replicas", f"{count} replica{'s' * (count > 1)}: scripts at Redis, nobody asks", idle["scripts"], "scripts/s", "replicas x 4 / staleness_bound",
            expected, idle["scripts"] / expected, at_most=1.25, more={"commands_a_second": idle["commands"], "scripts_a_second_each": idle["scripts"] / count}),
        Row("replicas", f"{count} replica{'s' * (count > 1)}: the same while one token is checked", loaded["scripts"], "scripts/s",
            "replicas x 4 / staleness_bound", expected, loaded["scripts"] / expected, at_most=1.25,
            note=f"{checks:,} checks, {loaded['calls']} scripts", more={"checks": checks, "checks_a_second": median(part.rate for part in parts)}),
        Row("replicas", f"{count} replica{'s' * (count > 1)}: scripts per cached check beyond heartbeats", beyond, "scripts", at_most=0.001,
            note="one fill a replica and the slides of each second are in it"),
    ]


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
    return {"scripts": sum(n for name, n in calls.items() if name.startswith(("eval", "fcall"))),
            "commands": sum(n for name, n in calls.items() if name != "info")}
