"""What a run comes to: figures for people who watch, and the story of each violation.

    python -m support.nemesis_report FOLDER   judges once more what a run has left there
"""

import sys
from collections import Counter
from pathlib import Path

from .nemesis_checker import judge, since
from .nemesis_history import APPLIED, History

AROUND = 3_000_000_000


def figures(history, verdict):
    statuses = verdict.statuses
    lines = [f"checks {sum(statuses.values())}: " + counted(status or "without answer" for status in statuses.elements())]
    lines.append(f"made {len(history.credentials)}: " + counted(one.kind for one in history.credentials)
                 + f"; {verdict.fresh} checks allowed within 50 ms of it")
    lines.append(f"ends {len(history.ends)}: " + counted(end.outcome for end in history.ends) + "; " + counted(end.kind for end in history.ends))
    lines.append(f"faults {len(history.faults)}: " + counted(fault.kind for fault in history.faults) + f"; {len(history.losses)} losses of data")
    if history.gave_up:
        lines.append(f"scenes given up: {len(history.gave_up)}")
    for name, strict in (("strict", True), ("other", False)):
        took = sorted(end.answered - end.asked for end in history.ends if end.outcome == APPLIED and end.strict is strict)
        if took:
            half, most = took[len(took) // 2] / 1e6, took[len(took) * 99 // 100] / 1e6
            lines.append(f"{name} ends applied {len(took)}: answered after p50 {half:.1f} ms, p99 {most:.1f} ms")
    kind = max(verdict.worst, key=verdict.worst.get, default=None)
    lines.append(f"worst staleness {verdict.worst[kind] / 1e6:.1f} ms ({kind})" if kind else
                 "worst staleness 0: no check that began after an end's answer was allowed")
    if verdict.stale:
        lines.append(f"allowed within the bound after an end: {counted(verdict.stale.elements())}")
    return "\n".join(lines)


def counted(what):
    return ", ".join(f"{count} {name}" for name, count in Counter(what).most_common())


def story(history, violation):
    """The violation, with what was done to its credential and what happened about then."""
    lines = [f"{violation.rule}: {violation.text}"]
    if violation.check is None:
        return lines[0]
    began, _, credential, _, _ = violation.check
    ends = [end for end in history.ends if credential in end.credentials]
    lines += [f"  {since(history, end.asked)} end of a {end.kind} {end.path}, strict {end.strict}, by replica {end.replica}: {end.status}, {end.outcome}"
              + (f" at {since(history, end.answered)}" if end.answered else "") for end in ends]
    first = min([began, *[end.asked for end in ends]]) - AROUND
    lines += [f"  {since(history, one.began)} to {since(history, one.over)} {one.kind} {one.what}" for one in history.faults
              if one.over > first and one.began < began]
    lines += [f"  lost from {since(history, loss.began)} to {since(history, loss.over)}: all after {since(history, loss.kept)}"
              for loss in history.losses if loss.over > first and loss.began < began]
    checks = sorted(check for check in history.checks if check[2] == credential and check[1] > first and check[0] < began + AROUND)
    at = checks.index(violation.check)
    lines += [f"  {since(history, one[0])} to {since(history, one[1])} replica {one[4]}: {one[3]}" for one in checks[max(0, at - 25):at + 15]]
    return "\n".join(lines)


if __name__ == "__main__":
    told = History.load(Path(sys.argv[1]))
    verdict = judge(told)
    print(figures(told, verdict), *[story(told, violation) for violation in verdict.violations], sep="\n\n")
