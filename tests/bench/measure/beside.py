"""The two benchmarks that also stand alone: a strict end in round trips, and what checks feel of a login flood."""

import json
import os
import subprocess
import sys

from .row import Row
from .servers import GATEPOST, IMAGE, ROOT, Missing

HERE = ROOT / "tests" / "bench"
BOUND_MS = 1000  # tokens.staleness_bound, as it is by itself


def strict(options, folder):
    path = folder / "strict.json"
    run([sys.executable, HERE / "strict", "--ends", options.ends, "--replicas", *options.strict_replicas, "--delay", "5", "--json", path], 120)
    found = []
    for one in json.loads(path.read_text()):
        count = f"{one['replicas']} replica{'s' * (one['replicas'] > 1)}"
        found += [
            Row("strict", f"strict end, {count}, median", one["strict_p50_ms"], "ms", "round trip to Redis (5 ms added each way)", one["round_trip_ms"],
                one["strict_p50_round_trips"], at_most=3, more=one),
            Row("strict", f"staleness after a plain end, {count}, the longest", one["stale_max_ms"], "ms", "tokens.staleness_bound", BOUND_MS,
                one["stale_max_ms"] / BOUND_MS, at_most=1, note=f"{one['ends']} ends, median {one['stale_p50_ms']:.1f} ms; none after a strict one"),
        ]
    return found


def flood(options, folder):
    path = folder / "flood.json"
    run([HERE / "login_flood", "--bin", GATEPOST, "--rounds", options.flood_rounds, "--seconds", 3, "--json", path], 180, accepted=(0, 1))
    one = json.loads(path.read_text())
    return [Row("flood", "checks in a login flood, 99 of 100 within", one["p99_flood_us"] / 1000, "ms", "the same, no flood", one["p99_idle_us"] / 1000,
                one["p99_flood_us"] / one["bound_us"], at_most=1, note="the ratio is to 2 x idle + 5 ms", more=one)]


def run(command, seconds, accepted=(0,)):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds, env={**os.environ, **IMAGE, "GATEPOST_BIN": str(GATEPOST)})
    if done.returncode not in accepted:
        raise Missing(f"{command[0]} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
