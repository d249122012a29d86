"""What happened in a run: what was made and ended, what Redis lost, what was done to whom, and every check.

One clock for all processes of the machine: CLOCK_BOOTTIME in nanoseconds. Times are taken so that doubt never accuses: a check begins
before its last byte is sent, so not later than its head is complete; an end is applied not later than its answer has been read.
"""

import json
import struct
import threading
import time
from dataclasses import asdict, dataclass, field

CHECK = struct.Struct("<QQIHBx")  # began, ended, credential, status, replica
NO_ANSWER = 0  # in place of a status
ALLOWED, REFUSED = (200,), (401, 403)

APPLIED = "applied"  # 200, `propagated: true`
LATER = "later"  # 202, or found already done: the database has it
UNKNOWN = "unknown"  # no answer, or 503
NOT_DONE = "not done"  # refused: nothing was ended


def now():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass
class Credential:
    id: int
    kind: str
    asked: int
    made: int | None  # from when on it must be taken; None where nobody said so
    losable: bool  # a token is where Redis is; keys and sessions are brought back from the database
    head: list = None  # the header that shows it


@dataclass
class End:
    kind: str
    replica: int
    credentials: list
    asked: int
    strict: bool  # whether a strict end was asked for
    answered: int | None = None
    outcome: str = UNKNOWN
    strictly: bool = False  # whether the answer says that it holds strictly
    status: int | None = None
    path: str = ""


@dataclass
class Loss:
    """Redis lost what came after `kept`, until `over`."""

    began: int
    kept: int
    over: int


@dataclass
class Fault:
    kind: str
    what: str
    began: int
    over: int


@dataclass
class History:
    bounds: list  # of each replica, in ns
    began: int = field(default_factory=now)
    credentials: list = field(default_factory=list)
    ends: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    settled: int | None = None  # from here on every end that the database has must hold
    gave_up: list = field(default_factory=list)  # scenes that found the store away for too long
    odd: list = field(default_factory=list)  # answers that no page of the contract foresees
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    checks: object = ()  # (began, ended, credential, status, replica); iterated more than once

    def made(self, kind, asked, made, losable=False, head=None):
        with self.lock:
            credential = Credential(len(self.credentials), kind, asked, made, losable, head)
            self.credentials.append(credential)
            return credential

    def save(self, folder):
        """Everything but the checks, which the load has written beside it."""
        known = {name: [asdict(one) for one in getattr(self, name)] for name in ("credentials", "ends", "losses", "faults")}
        plain = {name: getattr(self, name) for name in ("bounds", "began", "settled", "gave_up", "odd")}
        (folder / "history.json").write_text(json.dumps({**plain, **known}))

    @classmethod
    def load(cls, folder):
        told = json.loads((folder / "history.json").read_text())
        kinds = {"credentials": Credential, "ends": End, "losses": Loss, "faults": Fault}
        return cls(**{name: [kinds[name](**one) for one in value] if name in kinds else value for name, value in told.items()},
                   checks=Checks(folder / "checks"))


class Checks:
    """The checks in a file, as the load wrote them."""

    def __init__(self, path):
        self.path = path

    def __iter__(self):
        with open(self.path, "rb") as file:
            while block := file.read(CHECK.size * 4096):
                yield from CHECK.iter_unpack(block[:len(block) - len(block) % CHECK.size])
