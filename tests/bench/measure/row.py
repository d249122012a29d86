"""A row of the table: what was measured, beside what, and what it must be."""

import statistics
from dataclasses import asdict, dataclass, field


@dataclass
class Row:
    part: str                    # what `--only` names
    name: str
    value: float
    unit: str
    beside: str | None = None    # the reference measured in the same run, or whose published figure it is
    reference: float | None = None
    ratio: float | None = None
    spread: list | None = None   # of the ratio (or of the value, where there is none): the middle half of the rounds
    at_most: float | None = None
    at_least: float | None = None
    note: str = ""
    more: dict = field(default_factory=dict)

    @property
    def judged(self):
        """What the bound is about: the ratio where there is one."""
        return self.value if self.ratio is None else self.ratio

    @property
    def holds(self):
        """Whether the bound holds; None where the row has none."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or self.judged <= self.at_most) and (self.at_least is None or self.judged >= self.at_least)

    def as_json(self):
        return {**asdict(self), "holds": self.holds}


def middle_half(values):
    """The quartiles: half of all rounds lie between them."""
    if len(values) < 2:
        return [values[0]] * 2
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, high]


def compared(part, name, unit, values, beside, references, **more):
    """A row of the medians of rounds that were measured in turn; the ratio is the median of each round's own, which what drifts from round to
    round meets alike."""
    pairs = [a / b for a, b in zip(values, references, strict=True)]
    return Row(part, name, statistics.median(values), unit, beside, statistics.median(references), statistics.median(pairs), middle_half(pairs), **more)


def alone(part, name, unit, values, **more):
    """A row that stands beside nothing."""
    return Row(part, name, statistics.median(values), unit, spread=middle_half(values), **more)
