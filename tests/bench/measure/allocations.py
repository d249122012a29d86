"""Allocations a cached check by valgrind, beyond those of the bare server: hyper's own are in both."""

import re
from concurrent.futures import ThreadPoolExecutor

from . import question
from .instructions import FEW, MANY, fire
from .row import Row
from .servers import program

COUNTED = re.compile(r"total heap usage: ([\d,]+) allocs")


def rows(options, folder):
    prefix = [program("valgrind", "apt-get install valgrind"), "--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"]
    jobs = [(name, count) for name in ("bare", "gatepost") for count in (FEW, MANY)]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(jobs, pool.map(lambda job: allocated(options, folder, prefix, *job), jobs), strict=True))
    bare, ours = ((found[name, MANY] - found[name, FEW]) / (MANY - FEW) for name in ("bare", "gatepost"))
    return [Row("allocations", "allocations a check beyond bare hyper's", ours - bare, "allocations", at_most=0.05,
                note=f"{ours:.2f} beside {bare:.2f}; what goes on in the background is in it")]


def allocated(options, folder, prefix, name, count):
    """How many a whole run with `count` requests makes."""
    with options.home(folder / f"allocations-{name}-{count}") as home:
        server = home.bare(core=None, prefix=prefix) if name == "bare" else home.gatepost("gate", core=None, prefix=prefix)
        credential = question.credentials("none" if name == "bare" else server.token())
        fire(server, question.headers(credential), count)
        server.stop()
        return int(COUNTED.findall(server.log.read_text())[-1].replace(",", ""))
