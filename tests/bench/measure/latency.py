"""How long a check takes at a constant rate far from saturation, by h2load: a load that waits for answers would hide what stands still."""

import subprocess
from statistics import median

from . import question
from .load import CONNECTIONS, Target, in_turn
from .row import compared
from .servers import Missing, program

RATE = 20_000  # a second, over all connections


def rows(options, folder):
    with options.home(folder / "latency") as home:
        bare, ten = home.bare(), home.gatepost("ten")
        asked = question.headers(question.credentials(ten.token()))
        targets = [Target("bare", bare, asked), Target("gatepost", ten, asked)]
        found = in_turn(targets, options.latency_rounds, lambda target: slice_of(folder, target, 2))
    bare, gate = found["bare"], found["gatepost"]
    return [compared("latency", f"{name} at {RATE:,} checks/s", "us", [part[n] for part in gate], "bare hyper, constant 200", [part[n] for part in bare])
            for n, name in enumerate(("median", "99 of 100 within"))]


def slice_of(folder, target, seconds):
    """(median, 99th of 100) in microseconds."""
    log = folder / "latency.log"
    log.unlink(missing_ok=True)
    headers = [word for name, value in target.asked if name != "Host" for word in ("-H", f"{name}: {value}")]
    done = subprocess.run(["taskset", "-c", "1", program("h2load", "apt-get install nghttp2-client"), "--h1", "-t1", f"-c{CONNECTIONS}",
                           f"--duration={seconds}", f"--rps={RATE // CONNECTIONS}", f"--log-file={log}", *headers,
                           f"http://127.0.0.1:{target.server.port}/verify"], capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode or not log.exists():
        raise Missing(f"h2load ended with {done.returncode}: {done.stdout}{done.stderr}")
    lines = [line.split("\t") for line in log.read_text().splitlines()]
    took = sorted(int(line[2]) for line in lines if line[1].startswith("2"))
    if len(took) < 0.9 * len(lines) or not took:
        raise Missing(f"{target.name}: {len(lines) - len(took)} of {len(lines)} were not allowed")
    return median(took), took[int(len(took) * 0.99)]
