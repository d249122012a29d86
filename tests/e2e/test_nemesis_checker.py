"""The judge of the nemesis can say no: made-up histories, each with what must be reported."""

import pytest

from support.nemesis_checker import AFTER_STRICT, CAME_BACK, FALSE_NO, LATE, NOT_SERVED, ODD, judge
from support.nemesis_history import APPLIED, CHECK, LATER, NOT_DONE, UNKNOWN, Checks, End, Fault, History, Loss
from support.nemesis_report import figures, story

MS = 1_000_000
BOUND = 500


def history(*checks, bounds=(BOUND, BOUND), ends=(), losses=(), settled=None, losable=True, made=100, odd=()):
    """One credential, asked for at 90 ms; checks are (began, ended, status, replica), times in ms."""
    told = History([bound * MS for bound in bounds], began=0, settled=settled and settled * MS, odd=list(odd))
    told.made("token", 90 * MS, made and made * MS, losable)
    told.ends = [End("key", 0, [0], asked * MS, strict, answered and answered * MS, outcome, strictly)
                 for asked, answered, outcome, strict, strictly in ends]
    told.losses = [Loss(*(at * MS for at in loss)) for loss in losses]
    told.checks = [(began * MS, ended * MS, 0, status, replica) for began, ended, status, replica in checks]
    return told


def broken(told):
    return [violation.rule for violation in judge(told).violations]


PLAIN = (1000, 1010, APPLIED, False, False)
STRICT = (1000, 1010, APPLIED, True, True)
NOT_STRICT = (1000, 1010, APPLIED, True, False)
IN_DATABASE = (1000, 1010, LATER, True, False)
NOBODY_KNOWS = (1000, None, UNKNOWN, True, False)
REFUSED_END = (1000, 1010, NOT_DONE, False, False)


@pytest.mark.parametrize("checks, ends, expected", [
    # the bound, to the millisecond; what counts is when a check began
    ([(1005, 1006, 200, 1)], [PLAIN], []),
    ([(1509, 9000, 200, 1)], [PLAIN], []),
    ([(1511, 1512, 200, 1)], [PLAIN], [LATE]),
    ([(1511, 1512, 200, 1)], [NOT_STRICT], [LATE]),
    ([(1011, 1012, 200, 0)], [NOT_STRICT], []),
    ([(9000, 9001, 200, 1)], [PLAIN, (8000, 8001, APPLIED, False, False)], [LATE]),
    # strict: none that begins later
    ([(1009, 9000, 200, 1)], [STRICT], []),
    ([(1011, 1012, 200, 1)], [STRICT], [AFTER_STRICT]),
    ([(1011, 1012, 503, 1), (1011, 1012, 401, 0), (1011, 1012, 403, 0), (1013, 1014, 0, 0)], [STRICT], []),
    # of two ends the earlier counts
    ([(1411, 1412, 200, 1)], [PLAIN, (1300, 1400, APPLIED, True, True)], [AFTER_STRICT]),
    # once seen, never again
    ([(1020, 1030, 401, 0), (1531, 1532, 200, 0)], [PLAIN], [CAME_BACK]),
    ([(1020, 1030, 401, 0), (1531, 1532, 200, 0)], [STRICT], [CAME_BACK]),
    ([(1020, 1030, 401, 0), (1400, 1401, 200, 0)], [PLAIN], []),
    ([(1020, 1030, 401, 1), (1531, 1532, 200, 0)], [PLAIN], [LATE]),
    ([(9000, 9001, 200, 0)], [IN_DATABASE], []),
    ([(1020, 1030, 401, 0), (1529, 1530, 200, 1)], [IN_DATABASE], []),
    ([(1020, 1030, 401, 0), (1531, 1532, 200, 1)], [IN_DATABASE], [LATE]),
    ([(1020, 1030, 401, 0), (1531, 1532, 200, 0)], [IN_DATABASE], [CAME_BACK]),
    ([(1020, 1030, 401, 0), (9000, 9001, 200, 0)], [NOBODY_KNOWS], []),
    ([(1005, 1030, 401, 0), (9000, 9001, 200, 0)], [IN_DATABASE], []),
    # never a false no: neither before the end began nor where there was none
    ([(100, 110, 401, 1)], [], [FALSE_NO]),
    ([(100, 110, 403, 1)], [PLAIN], [FALSE_NO]),
    ([(99, 110, 401, 1)], [], []),
    ([(995, 1001, 401, 1)], [PLAIN], []),
    ([(995, 1001, 401, 1)], [NOBODY_KNOWS], []),
    ([(995, 1001, 401, 1)], [REFUSED_END], [FALSE_NO]),
    ([(200, 201, 503, 1), (200, 900, 0, 1)], [], []),
    ([(200, 201, 500, 1), (200, 201, 302, 0)], [], [ODD, ODD]),
])
def test_one_credential(checks, ends, expected):
    assert broken(history(*checks, ends=ends)) == expected


@pytest.mark.parametrize("losses, losable, expected", [
    ([(300, 0, 400)], True, []),  # flushed
    ([(300, 0, 400)], False, [FALSE_NO]),  # a key is brought back from the database
    ([(300, 101, 400)], True, [FALSE_NO]),  # the snapshot has it
    ([(300, 99, 400)], True, []),  # the snapshot is older
    ([(50, 0, 89)], True, [FALSE_NO]),  # made after all was over
    ([(50, 0, 95)], True, []),  # made meanwhile
    ([(600, 0, 700)], True, [FALSE_NO]),  # lost only later
])
def test_what_was_lost(losses, losable, expected):
    assert broken(history((500, 510, 401, 0), losses=losses, losable=losable)) == expected


def test_each_replica_keeps_its_own_bound():
    told = dict(ends=[PLAIN], bounds=[200, 500])
    assert broken(history((1209, 1210, 200, 0), (1509, 1510, 200, 1), **told)) == []
    assert broken(history((1211, 1212, 200, 0), (1511, 1512, 200, 1), **told)) == [LATE, LATE]


def test_lost_and_ended_does_not_come_back():
    told = dict(ends=[IN_DATABASE], losses=[(1020, 0, 1030)])
    assert broken(history((1100, 1110, 401, 0), (1611, 1612, 200, 0), **told)) == [CAME_BACK]


def test_what_must_hold_once_all_is_settled():
    both = [(2010, 2020, 200, 0), (2010, 2020, 200, 1)]
    assert broken(history(*both, settled=2000)) == []
    assert broken(history(both[0], (1990, 1995, 200, 1), settled=2000)) == [NOT_SERVED]
    assert broken(history(both[0], (2010, 2020, 503, 1), settled=2000)) == [NOT_SERVED]
    assert broken(history(settled=2000, losses=[(300, 0, 400)])) == []
    assert broken(history(settled=2000, made=None)) == []
    assert broken(history(both[0], ends=[IN_DATABASE], settled=2000)) == [CAME_BACK]
    assert broken(history(both[0], ends=[NOBODY_KNOWS], settled=2000)) == []


def test_figures():
    verdict = judge(history((1011, 1012, 200, 0), (1300, 1301, 200, 1), (1301, 1302, 503, 1), (120, 130, 200, 1), (990, 1200, 200, 1), ends=[PLAIN]))
    assert not verdict.violations
    assert verdict.statuses == {200: 4, 503: 1} and verdict.stale == {"key": 2} and verdict.worst == {"key": 290 * MS} and verdict.fresh == 1


def test_odd_answers_are_told_with_their_text():
    [violation] = judge(history(odd=["a 500"])).violations
    assert (violation.rule, violation.text) == (ODD, "a 500")
    [violation] = judge(history((1511, 1512, 200, 1), ends=[PLAIN])).violations
    assert violation.text == "token #0 at replica 1: 200, from 1.5110 to 1.5120; ended by key at 1.0100, 501.0 ms before the check began"


def test_a_violation_is_told_with_what_happened_about_then(tmp_path):
    told = history((1000, 1001, 200, 0), (1020, 1030, 401, 0), (1511, 1512, 200, 1), ends=[PLAIN], losses=[(1200, 1100, 1300)])
    told.ends[0].status, told.ends[0].path = 200, "/v1/keys/1"
    told.faults = [Fault("stall", "replica 1", 900 * MS, 1600 * MS)]
    (tmp_path / "checks").write_bytes(b"".join(CHECK.pack(*check) for check in told.checks))
    told.save(tmp_path)
    told = History.load(tmp_path)
    [violation] = judge(told).violations
    assert story(told, violation).splitlines()[1:] == [
        "  1.0000 end of a key /v1/keys/1, strict False, by replica 0: 200, applied at 1.0100",
        "  0.9000 to 1.6000 stall replica 1",
        "  lost from 1.2000 to 1.3000: all after 1.1000",
        "  1.0000 to 1.0010 replica 0: 200",
        "  1.0200 to 1.0300 replica 0: 401",
        "  1.5110 to 1.5120 replica 1: 200",
    ]
    assert "worst staleness 0" in figures(told, judge(told))


def test_checks_come_from_a_file_that_was_cut(tmp_path):
    path = tmp_path / "checks"
    path.write_bytes(b"".join(CHECK.pack(n, n + 1, 7, 200, 2) for n in range(5000)) + b"torn")
    checks = Checks(path)
    assert len(list(checks)) == len(list(checks)) == 5000
    assert next(iter(checks)) == (0, 1, 7, 200, 2)
