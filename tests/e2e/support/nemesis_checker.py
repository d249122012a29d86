"""Which checks of a history break the promise.

A credential's life goes one way in a run: it is made, may be lost, is ended; nothing gives back what was taken.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from .nemesis_history import ALLOWED, APPLIED, LATER, NO_ANSWER, NOT_DONE, REFUSED

LATE = "late"  # allowed, begun later than the bound after an end was applied, or had shown at some gate
AFTER_STRICT = "after strict"  # allowed, begun after a strict end had returned
CAME_BACK = "came back"  # allowed where the end had shown before, by more than the bound; or once all is settled
FALSE_NO = "false no"  # 401 or 403 for what was live and not lost: no outage may say that
NOT_SERVED = "not served"  # live, not lost, and not allowed although all is settled
ODD = "odd"  # an answer that no page of the contract foresees
ANSWERS = (*ALLOWED, *REFUSED, 503, NO_ANSWER)
FRESH = 50_000_000


@dataclass
class Violation:
    rule: str
    text: str
    check: tuple = None


@dataclass
class Life:
    """What may be said of one credential, and from when on."""

    live_from: float = math.inf
    live_until: float = math.inf
    lost_from: float = math.inf
    committed: float = math.inf  # the earliest end that the database certainly has
    applied: float = math.inf
    strict: float = math.inf
    shown: dict = field(default_factory=dict)  # by replica: a check had been refused for good
    ended_by: str = ""

    def last_yes(self, bound):
        """After this no check that begins may be allowed where `bound` is promised."""
        return min(self.strict, self.applied + bound, min(self.shown.values(), default=math.inf) + bound)


@dataclass
class Verdict:
    violations: list = field(default_factory=list)
    statuses: Counter = field(default_factory=Counter)
    stale: Counter = field(default_factory=Counter)  # allowed after the answer to an end, within the bound; by its kind
    worst: dict = field(default_factory=dict)  # by kind: the longest in ns that a check was allowed after the answer
    fresh: int = 0  # checks that were allowed and begun within 50 ms after the credential was made


def lives(history):
    found = {credential.id: Life() for credential in history.credentials}
    for credential in history.credentials:
        life = found[credential.id]
        if credential.made is not None:
            life.live_from = credential.made
            if credential.losable:
                gone = [loss.began for loss in history.losses if loss.kept < credential.made and credential.asked < loss.over]
                life.lost_from = min(gone, default=math.inf)
    for end in history.ends:
        for life in [found[one] for one in end.credentials if end.outcome != NOT_DONE]:
            life.live_until = min(life.live_until, end.asked)
            if end.outcome in (APPLIED, LATER):
                life.committed = min(life.committed, end.answered)
            if end.outcome == APPLIED and end.answered < life.applied:
                life.applied, life.ended_by = end.answered, end.kind
            if end.outcome == APPLIED and end.strictly:
                life.strict = min(life.strict, end.answered)
    return found


def judge(history):
    """Every violation of the history, with the figures of what was no violation."""
    verdict, life_of, served = Verdict(), lives(history), set()
    verdict.violations += [Violation(ODD, text) for text in history.odd]
    for began, ended, credential, status, replica in history.checks:
        life = life_of[credential]
        # refused because Redis had lost it, it may come back with another snapshot; but never over an end that was committed before
        if status in REFUSED and began >= life.committed:
            life.shown[replica] = min(life.shown.get(replica, math.inf), ended)
    for check in history.checks:
        began, ended, credential, status, replica = check
        life = life_of[credential]
        verdict.statuses[status] += 1
        if broken := broken_by(history, life, check):
            verdict.violations.append(Violation(broken, told(history, life, check), check))
        elif status in ALLOWED:
            verdict.fresh += life.live_from < began < life.live_from + FRESH
            if began > life.applied:
                verdict.stale[life.ended_by] += 1
                verdict.worst[life.ended_by] = max(verdict.worst.get(life.ended_by, 0), began - life.applied)
            if history.settled and began > history.settled:
                served.add((credential, replica))
    if history.settled:
        verdict.violations += [Violation(NOT_SERVED, f"{history.credentials[one].kind} #{one} at replica {replica}")
                               for one, life in life_of.items() if life.live_from < history.settled
                               and min(life.live_until, life.lost_from) == math.inf
                               for replica in range(len(history.bounds)) if (one, replica) not in served]
    return verdict


def broken_by(history, life, check):
    """The rule that this check breaks, or None."""
    began, ended, _, status, replica = check
    if status in ALLOWED:
        if began > life.shown.get(replica, math.inf) + history.bounds[replica]:
            return CAME_BACK
        if history.settled and began > history.settled and life.committed < math.inf:
            return CAME_BACK
        if began > life.strict:
            return AFTER_STRICT
        return LATE if began > life.last_yes(history.bounds[replica]) else None
    if status in REFUSED:
        return FALSE_NO if began >= life.live_from and ended <= min(life.live_until, life.lost_from) else None
    return None if status in ANSWERS else ODD


def told(history, life, check):
    began, ended, credential, status, replica = check
    kind = history.credentials[credential].kind
    where = f"{kind} #{credential} at replica {replica}: {status}, from {since(history, began)} to {since(history, ended)}"
    if life.committed == math.inf:
        return f"{where}; made at {since(history, life.live_from)}"
    by = "strictly ended" if life.strict < math.inf else f"ended by {life.ended_by}" if life.applied < math.inf else "ended, 202,"
    at = min(life.strict, life.applied if life.applied < math.inf else life.committed)
    return f"{where}; {by} at {since(history, at)}, {(began - at) / 1e6:.1f} ms before the check began"


def since(history, at):
    """Seconds of the run."""
    return f"{(at - history.began) / 1e9:.4f}" if at < math.inf else "never"
