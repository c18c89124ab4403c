"""Findings: the numbers that answer the question of an experiment, and how its plot.py computes them from runs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from nnlab.findings.intervals import SHARE_INTERVAL, share_interval
from nnlab.findings.load import load_curves
from nnlab.findings.statistics import aggregate, compare

__all__ = ["Finding", "agree", "count_of", "difference", "late_median", "over_seeds", "share", "table"]


class Finding(NamedTuple):
    """One number with its interval, the number of runs behind it, and what was expected.

    Attributes
    ----------
    what : what the number is
    value : the number; for a count, how many of `total`
    low, high : the interval; NaN if the number has no spread, such as a largest value
    n : what the number was computed from, such as "20 seeds, paired"
    expected : the expected value; NaN if nothing was expected
    digits : decimals shown in tables
    bound : True if `expected` is an upper bound
    total : for a count, out of how many; otherwise 0
    statistic : what the value is, such as "interquartile mean"
    interval : what its interval is, such as "95 % bootstrap interval" or "range"; empty if there is none
    """

    what: str
    value: float
    low: float
    high: float
    n: str
    expected: float = math.nan
    digits: int = 3
    bound: bool = False
    total: int = 0
    statistic: str = ""
    interval: str = ""

    @property
    def kind(self) -> str:
        """The statistic and its interval, as shown in tables."""
        return f"{self.statistic} [{self.interval}]" if self.interval else self.statistic

    @property
    def cell(self) -> str:
        """The value with its interval, as shown in tables."""
        if self.total:
            return f"{self.value:.0f} of {self.total}"
        if math.isnan(self.low):  # a largest or smallest value, which may be a mere rounding error
            return f"{self.value:.1e}" if 0 < abs(self.value) < 10.0**-self.digits else self._fixed(self.value)
        return f"{self._fixed(self.value)} [{self._fixed(self.low)}, {self._fixed(self.high)}]"

    @property
    def target(self) -> str:
        """The expected value, as shown in tables."""
        return "-" if math.isnan(self.expected) else "at most " * self.bound + self._fixed(self.expected)

    def _fixed(self, value: float) -> str:
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}"  # + 0.0 turns -0.0 into 0.0


def over_seeds(
    what: str,
    runs: pd.DataFrame,
    metric: str,
    statistic: str = "iqm",
    expected: float = math.nan,
    digits: int = 3,
) -> Finding:
    """Return a metric over the seeds of one setting, with its bootstrap interval."""
    found = aggregate(runs, metric, [], statistic).iloc[0]
    value, low, high = (float(found[name]) for name in ("estimate", "low", "high"))
    names = {"statistic": found["statistic"], "interval": found["interval"]}
    return Finding(what, value, low, high, _sample(runs), expected, digits, **names)


def _sample(runs: pd.DataFrame) -> str:
    """Return the number of seeds, preceded by the number of runs if some seeds have several."""
    seeds = f"{runs['seed'].nunique()} seeds"
    return seeds if len(runs) == runs["seed"].nunique() else f"{len(runs)} runs, {seeds}"


def difference(
    what: str,
    runs: pd.DataFrame,
    metric: str,
    first: Mapping[str, object],
    second: Mapping[str, object],
    statistic: str = "iqm",
) -> Finding:
    """Return the difference of a metric between two settings (first - second), paired by run, with its interval."""
    comparison = compare(runs, metric, first, second, statistic)
    value, low, high = (float(part) for part in comparison.difference)
    seeds = runs["seed"].nunique()
    count = comparison.pairs
    pairs = f"{seeds} seeds, paired" if count == seeds else f"{count} pairs of runs, {seeds} seeds"
    return Finding(*(what, value, low, high, pairs), statistic=comparison.statistic, interval=comparison.interval)


def share(what: str, hits: Iterable[object], of: str = "seeds", expected: float = math.nan) -> Finding:
    """Return the share of replicates that have a property, with its score interval.

    The interval assumes independent replicates: one run per seed. Use `count_of` for runs of several settings with the
    same seeds, or for runs in which nothing is random.
    """
    flags = [bool(hit) for hit in hits]
    value, low, high = (float(part) for part in share_interval(sum(flags) / len(flags), len(flags)))
    return Finding(
        *(what, value, low, high, f"{len(flags)} {of}", expected, 2), statistic="share", interval=SHARE_INTERVAL
    )


def count_of(what: str, hits: Iterable[object], of: str, expected: float = math.nan) -> Finding:
    """Return the count of items that have a property, and their total, without an interval. `of` names the items."""
    flags = [bool(hit) for hit in hits]
    return Finding(what, sum(flags), math.nan, math.nan, of, expected, 0, total=len(flags), statistic="count")


def late_median(runs: pd.DataFrame, quantity: str) -> pd.Series:
    """Return for each run the median of a quantity of the network over the last decade of the iterations.

    The verdict judges the efficiency of the steps by this median, because single values scatter. NaN where the quantity
    was never measurable in that decade.
    """
    curves = load_curves(runs, [quantity])
    late = curves[curves["iteration"] >= curves["iteration"].max() / 10]
    medians = late.groupby("fingerprint", observed=True)["value"].median()
    return runs["fingerprint"].map(medians).astype(float)


def table(findings: Sequence[Finding]) -> str:
    """Return findings as a table in Markdown."""
    expected = any(not math.isnan(one.expected) for one in findings)
    columns = ["finding", "value", *(["expected"] if expected else []), "statistic [interval]", "of"]
    lines = [f"| {' | '.join(columns)} |", f"| --- | ---: |{' ---: |' * expected} --- | --- |"]
    for one in findings:
        cells = [one.what, one.cell, *([one.target] if expected else []), one.kind, one.n]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def agree(old: Finding, new: Finding) -> bool:
    """Return True if two measurements of one number agree.

    The same runs on another machine differ in the last digits: other BLAS kernels sum in another order, and training
    amplifies the last bit. These must agree, where the margin is one unit of the last digit shown:

    - what the number is, its statistic and interval, and the sample;
    - the expected value, which is computed and not measured: to a relative 1e-6;
    - a value with an interval: each value lies in the other's interval, or within the margin outside; each end of the
      interval has moved by at most half of the smaller width plus the margin. If the interval is a range, whose ends
      are single runs, one end may have moved further;
    - a count: it differs by at most one in twenty, rounded up. A count that was as expected must still be;
    - a value without an interval: it differs by at most the margin, which rounding errors never reach.
    """
    same = ("what", "statistic", "interval", "n", "total", "bound", "digits")
    if any(getattr(old, name) != getattr(new, name) for name in same):
        return False
    if not _near(old.expected, new.expected, 1e-6 * abs(old.expected)):
        return False
    if old.total:
        reach = 0 if old.value == old.expected else math.ceil(old.total / 20)
        return abs(new.value - old.value) <= reach
    margin = 1.01 * 10.0**-old.digits
    if math.isnan(old.low) or math.isnan(new.low):
        return math.isnan(old.low) == math.isnan(new.low) and _near(old.value, new.value, margin)
    within = all(one.low - margin <= other.value <= one.high + margin for one, other in ((old, new), (new, old)))
    moved = 0.5 * min(old.high - old.low, new.high - new.low) + margin
    ends = _near(old.low, new.low, moved), _near(old.high, new.high, moved)
    return within and (any if old.interval == "range" else all)(ends)


def _near(one: float, other: float, reach: float) -> bool:
    """Return True if two numbers are at most `reach` apart, are both NaN, or are the same infinity."""
    return one == other or (math.isnan(one) and math.isnan(other)) or abs(one - other) <= reach
