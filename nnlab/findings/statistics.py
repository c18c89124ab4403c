"""What many runs say together: aggregates over seeds with intervals, paired differences, performance profiles.

Frames of `load_runs` go in; nothing is read or written here. A *setting* is a combination of the varied config keys
other than the seed; where a question is about fewer keys, the settings of one answer are its *strata*, and each keeps
its number of runs in every resample (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical
precipice"). Strata that were run with the same seeds are *crossed*: with a seed go the same initial draws, order and
often data, so what a seed does it may do in all of them. Then seeds are drawn, each with its runs of all strata, and
the seeds are what is counted, not the runs. Other strata are taken as independent and drawn from one by one.

A run that diverged is a result, and no run is left out. Where the better direction of a metric is known (`cost/...`
down, `accuracy/...` and `r2/...` up, others by `lower_is_better`), NaN stands at its worse end: a cost of NaN counts as
inf. The accuracy of a diverged run is what was recorded. Medians and means over inf are what they are: the median is
inf if half of the runs are, and an interval may end at inf. Where the direction is not known, or a run has no such
metric (an `r2` of a classifier), NaN in is NaN out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nnlab.config import RunConfig, flatten
from nnlab.findings.completeness import numbered, refuse_duplicates, refuse_holes, refuse_missing, seeds_text
from nnlab.findings.intervals import Interval, check_level, interval, share_interval
from nnlab.settings import name_of, setting_keys

__all__ = ["Comparison", "aggregate", "compare", "performance_profile"]

Array = NDArray[np.float64]
Places = NDArray[np.intp]
"""Numbers of rows in a frame."""


def aggregate(
    runs: pd.DataFrame,
    metric: str,
    by: Sequence[str] | None = None,
    statistic: str = "iqm",
    *,
    method: str = "percentile",
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
    lower_is_better: bool | None = None,
    allow_incomplete: bool = False,
) -> pd.DataFrame:
    """Return a metric over seeds, with its interval: one row for each combination of values of `by` that occurs.

    `by` None is every setting; with fewer keys, or none, the settings of a row are strata, crossed if all of them have
    the same seeds. For the other parameters, and how far to believe the interval, see `interval`.

    Columns: those of `by`; `estimate`, `low`, `high` in the unit of the metric; `runs`, how many they are of;
    `non_finite`, in how many of those the metric is inf or NaN (see the top of this module for what that means).

    Raises IncompleteError, naming them, if settings lack seeds, or rows lack settings, that others have, and ValueError
    if a setting has a seed twice, unless `allow_incomplete`; ValueError for a metric or a key that the runs have not.

    Beware: strata that have only some of their seeds in common are taken as independent. Their intervals are too
    narrow if what a seed does is alike in them.
    """
    _check_columns(runs, metric, by=by or ())
    by = setting_keys(runs) if by is None else list(by)
    if not allow_incomplete:
        _refuse_incomplete(runs, by)
    table, groups = _groups(runs, by)
    values = _values(runs, metric, lower_is_better)
    finite = np.isfinite(runs[metric].to_numpy(dtype=np.float64, na_value=np.nan))
    found = np.full((3, len(groups)), np.nan)
    options: dict[str, Any] = {"method": method, "level": level, "resamples": resamples}
    options["rng"] = np.random.default_rng(0) if rng is None else rng
    for rows, strata, crossed in _alike(groups, runs["seed"].to_numpy()):
        found[:, rows] = interval([values[stratum] for stratum in strata], statistic, crossed=crossed, **options)
    return table.assign(
        **dict(zip(Interval._fields, found, strict=True)),
        runs=[sum(map(len, strata)) for strata in groups],
        non_finite=[int(sum((~finite[stratum]).sum() for stratum in strata)) for strata in groups],
    )


def _refuse_incomplete(runs: pd.DataFrame, by: Sequence[str]) -> None:
    keys = list(dict.fromkeys([*by, *setting_keys(runs)]))
    refuse_duplicates(runs, keys)
    refuse_holes(runs, keys, by)


def _groups(runs: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, list[list[Places]]]:
    """Return the combinations of `by`, one row each, and for each of them by stratum where its runs are, by seed."""
    strata = [key for key in setting_keys(runs) if key not in by]
    group, stratum = (numbered(runs, keys) for keys in (by, strata))
    order = np.lexsort((runs["seed"].to_numpy(), stratum, group))
    _, first = np.unique(group, return_index=True)
    changes = np.flatnonzero(np.diff(group[order]) | np.diff(stratum[order])) + 1
    edges = [0, *changes.tolist(), len(runs)] if len(runs) else []
    groups: list[list[Places]] = [[] for _ in first]
    for start, stop in pairwise(edges):
        groups[group[order[start]]].append(order[start:stop])
    return runs[list(by)].iloc[first].reset_index(drop=True), groups


def _alike(groups: Sequence[Sequence[Places]], seeds: NDArray[Any]) -> Iterator[tuple[list[int], list[Places], bool]]:
    """Yield groups of one design together: their numbers, strata of (groups, n_s), and whether these are crossed."""
    designs: dict[tuple[bool, tuple[int, ...]], list[int]] = {}
    for number, strata in enumerate(groups):
        design = _crossed([seeds[stratum] for stratum in strata]), tuple(map(len, strata))
        designs.setdefault(design, []).append(number)
    for (crossed, sizes), numbers in designs.items():
        yield numbers, [np.stack([groups[number][s] for number in numbers]) for s in range(len(sizes))], crossed


def _crossed(seeds: Sequence[NDArray[Any]]) -> bool:
    """Return whether all strata have the same seeds, each once; those of a stratum are in order."""
    first = seeds[0]
    return len(np.unique(first)) == len(first) and all(np.array_equal(first, others) for others in seeds)


class Comparison(NamedTuple):
    """Two settings over common seeds.

    `pairs` is how many runs each has; `difference` the statistic of (first - second), in the unit of the metric;
    `improvement` the share of pairs in which the first is better, ties counted half: 0.5 is no difference.
    """

    pairs: int
    difference: Interval
    improvement: Interval


def compare(
    runs: pd.DataFrame,
    metric: str,
    first: Mapping[str, object],
    second: Mapping[str, object],
    statistic: str = "iqm",
    *,
    method: str = "percentile",
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
    lower_is_better: bool | None = None,
    allow_incomplete: bool = False,
) -> Comparison:
    """Compare two settings run by run: `compare(runs, "cost/test", {"init.scheme": "he"}, {"init.scheme": "normal"})`.

    A run of the first is paired with the run of the second that has the same seed and the same value of every other key
    that was varied within one of them; those are the strata, crossed if all of them have the same seeds. Pairs are
    resampled as pairs. Two runs that both diverged are a tie with difference 0, one that did beside one that did not
    differs by inf.

    The interval of the difference is that of `interval`, the interval of the share Wilson's (1927), which does not
    shrink to a point where one setting won every time. With several strata it is that of fewer pairs (see
    `performance_profile`). The share is of runs with the same seed, not of all pairs of runs as in Agarwal et al. 2021:
    with a seed go the same initial draws and the same order of examples.

    Raises IncompleteError, naming them, if runs have no partner, unless `allow_incomplete`; ValueError if there is no
    pair, if a seed occurs twice, if the better direction of the metric is not known and `lower_is_better` is None, and
    for a metric or a key that the runs have not.
    """
    _check_columns(runs, metric, first=first, second=second)
    lower = _lower_is_better(metric) if lower_is_better is None else lower_is_better
    if lower is None:
        raise ValueError(f"lower_is_better must be True or False for {metric}, got None")
    chosen = [_selected(runs, setting) for setting in (first, second)]
    keys = [
        key for key in setting_keys(pd.concat(chosen)) if any(part[key].nunique(dropna=False) > 1 for part in chosen)
    ]
    sides = []
    for part in chosen:
        refuse_duplicates(part, keys)
        sides.append(part[[*keys, "seed"]].assign(value=_values(part, metric, lower)))
    joined = sides[0].merge(sides[1], on=[*keys, "seed"], how="outer", indicator=True)
    if not allow_incomplete:
        refuse_missing(_lonely(joined, keys, first, second))
    pairs = joined[joined["_merge"] == "both"]  # in the order of keys and seed, as every outer merge
    if pairs.empty:
        raise ValueError(f"{name_of(first)} and {name_of(second)} must have a seed in common, got none")
    ours, theirs = (pairs[name].to_numpy(np.float64) for name in ("value_x", "value_y"))
    with np.errstate(invalid="ignore"):
        differences = np.where(ours == theirs, 0.0, ours - theirs)
    stratum, seeds = numbered(pairs, keys), pairs["seed"].to_numpy()
    places = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    difference = interval(
        [differences[place] for place in places],
        statistic,
        crossed=_crossed([seeds[place] for place in places]),
        method=method,
        level=level,
        resamples=resamples,
        rng=rng,
    )
    gains = -np.sign(differences) if lower else np.sign(differences)
    return Comparison(len(pairs), difference, share_interval(((1 + gains) / 2).mean(), _effective(seeds), level))


def _selected(runs: pd.DataFrame, setting: Mapping[str, object]) -> pd.DataFrame:
    chosen = np.ones(len(runs), dtype=bool)
    for key, value in setting.items():
        same = runs[key].isna() if value is None else runs[key] == value
        chosen &= same.to_numpy(dtype=bool, na_value=False)
    if not chosen.any():
        raise ValueError(f"{name_of(setting)} must be a setting that occurs, got no run of it")
    return runs[chosen]


def _lonely(
    joined: pd.DataFrame, keys: Sequence[str], first: Mapping[str, object], second: Mapping[str, object]
) -> list[str]:
    """Return the runs that would be the partners of those that have none, by setting."""
    missing: dict[str, set[int]] = {}
    for present, absent in (("left_only", second), ("right_only", first)):
        for _, run in joined[joined["_merge"] == present].iterrows():
            name = name_of({**absent, **{key: run[key] for key in keys}})
            missing.setdefault(name, set()).add(int(run["seed"]))
    return [f"{name}: {seeds_text(seeds)}" for name, seeds in missing.items()]


def _effective(seeds: NDArray[Any]) -> float:
    """Return of how many independent runs a share is at least as sure as of these, given the seed of each.

    The variance of a mean is largest if all runs of a seed say the same: 1 / Kish's effective number, n^2 / sum(m^2)
    of m runs a seed ("Survey sampling", 1965). Seeds that occur once count as they are.
    """
    return float(len(seeds) ** 2 / (np.unique(seeds, return_counts=True)[1] ** 2).sum())


def performance_profile(
    runs: pd.DataFrame,
    metric: str,
    by: Sequence[str] | None = None,
    taus: ArrayLike | None = None,
    *,
    level: float = 0.95,
    lower_is_better: bool | None = None,
    allow_incomplete: bool = False,
) -> pd.DataFrame:
    """Return which share of the runs is better than each of many thresholds: the whole distribution, not its middle.

    Better is above tau, or below it for a metric that is better when lower (see the top of this module; where the
    direction is not known it is above). A run that diverged is better than no threshold. Settings of one combination of
    `by` are strata, as in `aggregate`. `taus` None is 101 thresholds from the smallest to the largest finite value.

    Columns: those of `by`; `tau` in the unit of the metric; `share`, `low`, `high` in [0, 1]. The share of Agarwal et
    al. 2021, section 4.2, has Wilson's interval here (1927): resamples of runs that are all on one side of tau would
    all be the same, and the band would have no width. Bands hold tau by tau, not for the whole curve at once.

    Runs of one seed in several strata are not independent, and nothing is assumed of how alike they are: the interval
    is as wide as if all runs of a seed said the same, so that of crossed strata is that of as many runs as there are
    seeds, and too wide where they differ. Measured coverage of 95 % at true shares from 0.1 to 0.9 (`python
    tests/findings/simulated.py`): 92 to 99 % for 5 runs, 93 to 98 % for 10 and 20, 94 to 99 % for four independent
    strata of 5, 96 to 100 % for crossed strata; at 0.02 and 0.98 90 to 99 %.

    Raises as `aggregate` does.
    """
    _check_columns(runs, metric, by=by or ())
    check_level(level)
    by = setting_keys(runs) if by is None else list(by)
    if not allow_incomplete:
        _refuse_incomplete(runs, by)
    lower = _lower_is_better(metric) if lower_is_better is None else lower_is_better
    values = _values(runs, metric, lower)
    finite = values[np.isfinite(values)]
    if taus is None:
        if not finite.size:
            raise ValueError(f"taus must be given where no run has a finite {metric}")
        taus = np.linspace(finite.min(), finite.max(), 101)
    thresholds = np.asarray(taus, dtype=np.float64)
    table, groups = _groups(runs, by)
    seeds = runs["seed"].to_numpy()
    shares = np.empty((3, len(groups), len(thresholds)))
    for row, strata in enumerate(groups):
        places = np.concatenate(strata)
        share = _better(values[places], thresholds[:, None], lower).mean(axis=-1)
        shares[:, row] = share_interval(share, _effective(seeds[places]), level)
    columns = dict(zip(("share", "low", "high"), shares.reshape(3, -1), strict=True))
    long = table.loc[table.index.repeat(len(thresholds))].reset_index(drop=True)
    return long.assign(tau=np.tile(thresholds, len(groups)), **columns)


def _better(values: Array, thresholds: Array, lower: bool | None) -> Array:
    better = values < thresholds if lower else values > thresholds
    return np.where(np.isnan(values), np.nan, better)


def _check_columns(runs: pd.DataFrame, metric: str, **keys: Iterable[str]) -> None:
    config = flatten(RunConfig())
    others = [str(column) for column in runs if column not in config]
    if metric not in runs:
        raise ValueError(f"metric must be one of {', '.join(others)}, got {metric!r}")
    if "seed" not in runs:
        raise ValueError(f"runs must have a column seed, got {', '.join(map(str, runs))}")
    for name, wanted in keys.items():
        for key in wanted:
            if key not in runs:
                legal = ", ".join(key for key in config if key in runs)
                raise ValueError(f"{name} must have keys that the runs have ({legal}), got {key!r}")


_DOWN, _UP = ("cost/",), ("accuracy/", "r2/")
_SCORES = {"accuracy": ("binary", "multiclass"), "r2": ("regression",)}


def _lower_is_better(metric: str) -> bool | None:
    return True if metric.startswith(_DOWN) else False if metric.startswith(_UP) else None


def _values(runs: pd.DataFrame, metric: str, lower_is_better: bool | None) -> Array:
    """Return the metric of each run (len(runs),), NaN at its worse end where it has one."""
    values = runs[metric].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    lower = _lower_is_better(metric) if lower_is_better is None else lower_is_better
    if lower is not None:
        known = np.ones(len(runs), dtype=bool)
        score = metric.split("/")[0]
        if score in _SCORES and "task" in runs:
            known = runs["task"].isin(_SCORES[score]).to_numpy()
        values[known & np.isnan(values)] = np.inf if lower else -np.inf
    return values
