"""Where the cache does not answer: tokens asked about for the first time, forged ones, and Redis away; and what a cached token takes."""

import signal
import time
from statistics import median

from . import question, tokens
from .load import Target, in_turn, slice_of
from .row import Row, alone, compared
from .servers import memory_mib

TOKEN = [("Authorization", "Bearer TOKEN")]
BOUND_S = 1.0  # tokens.staleness_bound, as it is by itself


def rows(options, folder):
    with options.home(folder / "store") as home:
        bare, stored = home.bare(), home.redis()
        server = home.gatepost("redis", tokens={"store": f"redis://127.0.0.1:{stored.port}"})
        one = server.token()
        texts = tokens.seeded(stored.port, one, options.tokens)
        asked = question.headers(TOKEN)
        slice_of(folder, Target("warm", server, question.headers(question.credentials(one))), 1)
        before_mib = memory_mib(server.pid)
        found = missed(options, folder, server, bare, stored, texts, asked)
        rest = tokens.written(folder / "rest", texts)
        slice_of(folder, Target("fill", server, asked, rest), options.fill_s, once=True)
        grown = (memory_mib(server.pid) - before_mib) * 2 ** 20 / len(texts)
        found.append(Row("store", f"memory per cached token, {len(texts):,} of them", grown, "bytes", at_most=256,
                         note="resident memory after all were asked about, less before", more={"resident_mib": memory_mib(server.pid)}))
        found += forged(options, folder, server, bare, asked)
        found += away(options, folder, server, bare, stored, question.headers(question.credentials(one)))
    return found


def missed(options, folder, server, bare, stored, texts, asked):
    """Each slice has tokens of its own that nobody asked about before."""
    redis, cpu, rate, base, calls, stray = tokens.Redis(stored.port), [], [], [], [], 0
    share = len(texts) // (options.miss_rounds + 1)
    for n in range(options.miss_rounds):
        some = tokens.written(folder / f"cold-{n}", texts[n * share:(n + 1) * share])
        before = scripts(redis)
        part = slice_of(folder, Target("miss", server, asked, some), options.slice_s, once=True)
        calls.append((scripts(redis) - before) / part.requests)
        base.append(slice_of(folder, Target("bare", bare, asked, some), options.slice_s).cpu)
        cpu.append(part.cpu)
        rate.append(part.rate)
        stray += part.stray
    return [
        compared("store", "never asked about before (miss), in Redis", "ns CPU a check", cpu, "bare hyper, constant 200", base,
                 more={"checks_a_second": median(rate), "stray_answers": stray}),
        alone("store", "scripts at Redis per missed check", "scripts", calls, note="with the heartbeats of that time"),
    ]


def scripts(redis):
    """How often Redis was asked to run one."""
    text = redis("INFO", "commandstats").decode()
    return sum(int(line.split("calls=")[1].split(",")[0]) for line in text.splitlines() if line.startswith(("cmdstat_eval", "cmdstat_fcall")))


def forged(options, folder, server, bare, asked):
    flood = tokens.written(folder / "forged", tokens.forged(50_000))
    before_mib = memory_mib(server.pid)
    targets = [Target("forged", server, asked, flood, refused=True), Target("bare", bare, asked, flood)]
    found = in_turn(targets, options.miss_rounds, lambda target: slice_of(folder, target, options.slice_s))
    grown = memory_mib(server.pid) - before_mib
    return [compared("store", "distinct forged tokens, refused", "ns CPU a check", [part.cpu for part in found["forged"]],
                     "bare hyper, constant 200", [part.cpu for part in found["bare"]],
                     more={"checks_a_second": median(part.rate for part in found["forged"])}),
            Row("store", "memory grown by 50,000 distinct forged tokens", grown, "MiB", at_most=4, note="asked about again and again")]


def away(options, folder, server, bare, stored, asked):
    """Redis stands still: answers go on until the lease lapses, then 503; anonymous rules do not notice."""
    stored.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    while server.status(asked) == 200:
        if time.monotonic() - began > 10 * BOUND_S:
            break
        time.sleep(0.005)
    lapsed = time.monotonic() - began
    targets = [Target("503", server, asked, refused=True), Target("anonymous", server, question.headers([], question.OPEN)), Target("bare", bare, asked)]
    found = in_turn(targets, options.miss_rounds, lambda target: slice_of(folder, target, options.slice_s))
    stored.process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    while server.status(asked) != 200 and time.monotonic() - began < 30:
        time.sleep(0.005)
    back = time.monotonic() - began
    cpu = {name: [part.cpu for part in parts] for name, parts in found.items()}
    return [
        Row("store", "Redis away: cached answers go on for", lapsed, "s", at_most=BOUND_S, note="then 503; the lease is 0.9 of the staleness bound at most"),
        compared("store", "Redis away: 503", "ns CPU a check", cpu["503"], "bare hyper, constant 200", cpu["bare"],
                 more={"checks_a_second": median(part.rate for part in found["503"])}),
        alone("store", "Redis away: 99 of 100 503s within", "ms", [part.p99_us / 1000 for part in found["503"]], at_most=250,
              note="under full load"),
        compared("store", "Redis away: anonymous rule", "ns CPU a check", cpu["anonymous"], "bare hyper, constant 200", cpu["bare"]),
        Row("store", "Redis back: served again after", back, "s", note="Redis still whole"),
    ]
