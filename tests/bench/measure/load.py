"""Slices of load by wrk on core 1, and slices of several servers in turn."""

import itertools
import json
import subprocess
from dataclasses import dataclass

from . import question
from .servers import Missing, cpu_ns, program

CONNECTIONS = 32
FILES = itertools.count()
# of the answers: what a machine that does other things, too, may cost before a slice says nothing
STRAY = 0.01

DONE = """
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(99)))
end
"""
# one token after the other from a file; `once` = the load ends where the file does
EACH = """
local tokens, at, once = {}, 0, %s
function init(arguments)
  for line in io.lines(arguments[1]) do tokens[#tokens + 1] = line end
end
function request()
  at = at + 1
  if at > #tokens then
    if once then wrk.thread:stop() end
    at = 1
  end
  return head .. tokens[at] .. tail
end
"""


@dataclass
class Target:
    """Whom to ask what: constant bytes, or with one token after the other from a file."""

    name: str
    server: object
    asked: list
    tokens: object = None
    refused: bool = False  # any answer but 2xx is what is wanted
    path: str = "/verify"
    port: int = 0


@dataclass
class Slice:
    rate: float       # answers a second
    cpu: float        # ns of the server's CPU an answer
    requests: int
    stray: int        # answers that were not the wanted ones
    p99_us: int


def slice_of(folder, target, seconds, once=False):
    """One slice of load on one server."""
    script = folder / f"load-{next(FILES)}.lua"
    if target.tokens:
        head, tail = question.text(target.asked, target.path).split("TOKEN")
        lines = f"local head, tail = {json.dumps(head)}, {json.dumps(tail)}\n" + EACH % str(once).lower()
    else:
        lines = "".join(f"wrk.headers[{json.dumps(n)}] = {json.dumps(v)}\n" for n, v in target.asked)
    script.write_text(lines + DONE)
    port = target.port or target.server.port
    command = ["taskset", "-c", "1", program("wrk", "apt-get install wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script),
               f"http://127.0.0.1:{port}{target.path}"]
    before = cpu_ns(target.server.pid)
    done = subprocess.run([*command, "--", str(target.tokens)] if target.tokens else command, capture_output=True, text=True, timeout=seconds + 60)
    used = cpu_ns(target.server.pid) - before
    script.unlink()
    result = next((line.split()[1:] for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if not result:
        raise Missing(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}")
    requests, micros, refused, failed, p99 = map(int, result)
    stray = (requests - refused if target.refused else refused) + failed
    if stray > STRAY * requests:
        raise Missing(f"{target.name}: {stray} of {requests} answers were not the wanted ones\n{done.stdout}")
    return Slice(requests / (micros / 1e6), used / max(1, requests), requests, stray, p99)


def in_turn(targets, rounds, measure):
    """What `measure` says of each target, `rounds` times: forwards, then backwards, so that whatever drifts meets all alike."""
    found = {target.name: [] for target in targets}
    for n in range(rounds):
        for target in targets if n % 2 == 0 else targets[::-1]:
            found[target.name].append(measure(target))
    return found
