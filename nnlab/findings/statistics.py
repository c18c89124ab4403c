"""Statistics over many runs: aggregates over seeds with intervals, paired differences, performance profiles.

All functions take frames of `load_runs`; nothing is read or written here. A *setting* is a combination of the varied
config keys other than the seed. If a question is about fewer keys, the settings of one answer are its *strata*, and
each keeps its number of runs in every resample (Agarwal et al. 2021, "Deep reinforcement learning at the edge of the
statistical precipice").

Strata with the same seeds are *crossed*: runs of one seed share the initial draws, the order of examples and often the
data, so a seed may have the same effect in all strata. Then seeds are resampled, each with its runs of all strata, and
the sample size is the number of seeds, not of runs. Other strata are independent, and each is resampled by itself.

Intervals speak of what is resampled. If only the seed varies, they say nothing about other data sets. The seed of the
data is resampled too, unless a row is about one data set (`data.seed` in `by`):

- if every seed has its own data, both are one, and nothing changes;
- if all runs have one seed, data sets take the place of seeds, and intervals say nothing about other seeds;
- if seeds and data sets are crossed, both are resampled (the pigeonhole bootstrap of Owen 2007), and intervals speak of
  other seeds on other data sets;
- if each seed occurs on one data set of several seeds, data sets are resampled, each with its seeds.

A run that diverged is a result, and no run is left out. If the better direction of a metric is known (`cost/...` down,
`accuracy/...` and `r2/...` up, others by `lower_is_better`), NaN counts as the worst value, so a cost of NaN counts as
inf. The accuracy of a diverged run is the recorded one. Medians and means include inf: the median is inf if half of the
runs are, and an interval may end at inf. NaN in is NaN out if the direction is not known, or if a run has no such
metric (see `has_metric`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nnlab.config import RunConfig, flatten
from nnlab.findings.completeness import numbered, refuse_duplicates, refuse_holes, refuse_missing, seeds_text
from nnlab.findings.intervals import (
    SHARE_INTERVAL,
    Interval,
    check_level,
    interval,
    interval_name,
    share_interval,
    statistic_name,
)
from nnlab.settings import replicate_key, setting_keys, setting_name

__all__ = ["Comparison", "aggregate", "compare", "has_metric", "performance_profile"]

Array = NDArray[np.float64]
Places = NDArray[np.intp]
"""Row numbers of a frame."""


# ---- aggregates


def aggregate(
    runs: pd.DataFrame,
    metric: str,
    by: Sequence[str] | None = None,
    statistic: str = "iqm",
    *,
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
    lower_is_better: bool | None = None,
    allow_incomplete: bool = False,
) -> pd.DataFrame:
    """Return a metric over seeds, with its interval: one row for each combination of values of `by` that occurs.

    With `by` None every setting is a row; if all runs have one seed, their data sets are not. With fewer keys, or none,
    the settings of a row are strata, which are crossed if all of them have the same seeds. The other parameters, and
    how far to believe the interval, are described at `interval`.

    Columns: the keys in `by`; `estimate`, `low`, `high` in the unit of the metric; `runs`, the number of runs;
    `non_finite`, the number of runs whose metric is inf or NaN (the docstring of this module says how they count);
    `statistic` and `interval`, the names of what was computed, such as `interquartile mean` and `95 % bootstrap
    interval`. A metric of True and False needs `statistic="mean"`: it is a share, with Wilson's interval.

    Raises IncompleteError, naming them, if settings lack seeds, or rows lack settings, that others have, and ValueError
    if a setting has a seed twice, unless `allow_incomplete`; ValueError for a metric or a key that the runs lack.

    Strata that share only some of their seeds are treated as independent. Their intervals are too narrow if a seed has
    the same effect in several of them.
    """
    _check_columns(runs, metric, by=by or ())
    by = _rows(runs) if by is None else list(by)
    if not allow_incomplete:
        _refuse_incomplete(runs, by)
    table, groups = _groups(runs, by)
    values = _values(runs, metric, lower_is_better)
    finite = np.isfinite(runs[metric].to_numpy(dtype=np.float64, na_value=np.nan))
    intervals, names = np.full((3, len(groups)), np.nan), dict[int, tuple[str, str]]()
    rng = np.random.default_rng(0) if rng is None else rng
    for rows, strata, design in _by_design(groups, _replicates(runs, by)):
        samples = [values[stratum] for stratum in strata]
        intervals[:, rows] = interval(
            *(samples, statistic), crossed=design.crossed, units=design.units, level=level, resamples=resamples, rng=rng
        )
        for row in rows:
            names[row] = design.names(statistic, level, share=values.dtype == bool)
    return table.assign(
        **dict(zip(Interval._fields, intervals, strict=True)),
        runs=[sum(map(len, strata)) for strata in groups],
        non_finite=[int(sum((~finite[stratum]).sum() for stratum in strata)) for strata in groups],
        **{
            name: [names[row][place] for row in range(len(groups))]
            for place, name in enumerate(("statistic", "interval"))
        },
    )


def _rows(runs: pd.DataFrame) -> list[str]:
    """Return the keys of the settings. If all runs have one seed, the seeds of their data take its place."""
    key = replicate_key(runs)
    return [other for other in setting_keys(runs) if other != key]


def _refuse_incomplete(runs: pd.DataFrame, by: Sequence[str]) -> None:
    keys = list(dict.fromkeys([*by, *setting_keys(runs)]))
    refuse_duplicates(runs, keys)
    refuse_holes(runs, keys, by, replicate_key(runs) if "data.seed" not in by else "seed")


def _replicates(runs: pd.DataFrame, by: Sequence[str]) -> NDArray[np.intp]:
    """Return the labels of the runs in each random factor (len(runs), factors): the seed, and the seed of the data.

    The latter is left out if it is in `by`, does not vary, or is determined by the seed or the setting.
    """
    keys = ["seed", *(["data.seed"] if "data.seed" in setting_keys(runs) and "data.seed" not in by else [])]
    return np.column_stack([np.unique(runs[key].to_numpy(), return_inverse=True)[1] for key in keys])


def _groups(runs: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, list[list[Places]]]:
    """Return the combinations of `by`, one row each, and the rows of `runs` in each: by stratum, sorted by seed."""
    strata = [key for key in setting_keys(runs) if key not in by and key != "data.seed"]
    group, stratum = (numbered(runs, keys) for keys in (by, strata))
    order = np.lexsort((*_replicates(runs, by).T[::-1], stratum, group))
    _, first = np.unique(group, return_index=True)
    changes = np.flatnonzero(np.diff(group[order]) | np.diff(stratum[order])) + 1
    edges = [0, *changes.tolist(), len(runs)] if len(runs) else []
    groups: list[list[Places]] = [[] for _ in first]
    for start, stop in pairwise(edges):
        groups[group[order[start]]].append(order[start:stop])
    return runs[list(by)].iloc[first].reset_index(drop=True), groups


class _Design(NamedTuple):
    """The strata of a group: the labels of each stratum's runs in each random factor, and True if crossed."""

    units: tuple[tuple[tuple[int, ...], ...], ...]
    crossed: bool

    def names(self, statistic: str, level: float, *, share: bool = False) -> tuple[str, str]:
        """Return the names of a statistic over these runs and of its interval, which is empty if there is none."""
        if share:
            return "share", SHARE_INTERVAL if level == 0.95 else f"{100 * level:g} % score interval"
        name = statistic_name(statistic, [sum(len(factors[0]) for factors in self.units)])
        seeds = min(len(set(labels)) for factors in self.units for labels in factors)
        if seeds < 2:
            return name, ""
        statistic = "mean" if name == "mean" else statistic
        two_way = any(len(factors) > 1 for factors in self.units)
        pooled = len(self.units) > 1 or (not two_way and seeds < len(self.units[0][0]))
        return name, interval_name(seeds, statistic, pooled=pooled, two_way=two_way, level=level)


def _design(replicates: Sequence[NDArray[np.intp]]) -> _Design:
    """Return the design of strata, given the labels (n_s, factors) of their runs, which are sorted."""
    first = replicates[0]
    each_once = len(np.unique(first, axis=0)) == len(first)
    crossed = each_once and all(np.array_equal(first, others) for others in replicates)
    if not each_once or first.shape[1] == 1:  # every run by itself
        return _Design(tuple((tuple(range(len(labels))),) for labels in replicates), crossed)
    return _Design(
        tuple(tuple(tuple(factor.tolist()) for factor in _factors(labels)) for labels in replicates), crossed
    )


def _factors(labels: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the random factors among the labels (n, factors) of runs: those that vary.

    A factor is left out if it is nested in the other: seeds that occur on one data set each are parts of that data set.
    """
    varying = [factor for factor in labels.T if factor.min() < factor.max()] or [labels.T[0]]
    if len(varying) < 2:
        return varying
    pairs = len(np.unique(labels, axis=0))
    coarse = [factor for factor, other in zip(varying, varying[::-1], strict=True) if len(np.unique(other)) == pairs]
    return coarse[:1] or varying


def _by_design(
    groups: Sequence[Sequence[Places]], replicates: NDArray[np.intp]
) -> Iterator[tuple[list[int], list[Places], _Design]]:
    """Yield the groups of each design together: their numbers, strata of (groups, n_s), and the design."""
    designs: dict[_Design, list[int]] = {}
    for number, strata in enumerate(groups):
        designs.setdefault(_design([replicates[stratum] for stratum in strata]), []).append(number)
    for design, numbers in designs.items():
        strata = [np.stack([groups[number][s] for number in numbers]) for s in range(len(design.units))]
        yield numbers, strata, design


# ---- paired differences


class Comparison(NamedTuple):
    """Two settings over common seeds.

    `pairs` is the number of pairs. `difference` is the statistic of (first - second), in the unit of the metric.
    `improvement` is the share of pairs in which the first is better, with ties counted half: 0.5 is no difference.
    `statistic` and `interval` are the names of what `difference` holds, as in the columns of `aggregate`.
    """

    pairs: int
    difference: Interval
    improvement: Interval
    statistic: str
    interval: str


def compare(
    runs: pd.DataFrame,
    metric: str,
    first: Mapping[str, object],
    second: Mapping[str, object],
    statistic: str = "iqm",
    *,
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
    lower_is_better: bool | None = None,
    allow_incomplete: bool = False,
) -> Comparison:
    """Compare two settings run by run: `compare(runs, "cost/test", {"init.scheme": "he"}, {"init.scheme": "normal"})`.

    A run of the first is paired with the run of the second that has the same seed and the same value of every other key
    that varies within either of them. Pairing removes luck that both have in common: scales, schemes, widths and depths
    of one seed start from the same random numbers (`nnlab.network.initializers`). Combinations of those keys are the
    strata, crossed if all of them have the same seeds. Pairs are resampled as pairs. If both runs of a pair diverged,
    they tie with difference 0; if one did, they differ by inf.

    The difference has the interval of `interval`. The share has Wilson's (1927), which does not shrink to a point if
    one setting won every time; with several strata it counts fewer pairs (see `performance_profile`). The share is over
    pairs with the same seed, not over all pairs of runs as in Agarwal et al. 2021: runs of one seed share the initial
    draws and the order of examples.

    Raises IncompleteError, naming them, if runs have no partner, unless `allow_incomplete`; ValueError if there is no
    pair, if a seed occurs twice, if the better direction of the metric is unknown and `lower_is_better` is None, and
    for a metric or a key that the runs lack.
    """
    _check_columns(runs, metric, first=first, second=second)
    lower = _lower_is_better(metric) if lower_is_better is None else lower_is_better
    if lower is None:
        raise ValueError(f"lower_is_better must be True or False for {metric}, got None")
    joined, keys, seeds = _joined(runs, metric, first, second, lower)
    if not allow_incomplete:
        refuse_missing(_missing_partners(joined, keys, seeds, first, second))
    pairs = joined[joined["_merge"] == "both"]  # sorted by keys and seeds, as every outer merge is
    if pairs.empty:
        raise ValueError(f"{setting_name(first)} and {setting_name(second)} must have a seed in common, got none")
    ours, theirs = (pairs[name].to_numpy(np.float64) for name in ("value_x", "value_y"))
    with np.errstate(invalid="ignore"):
        differences = np.where(ours == theirs, 0.0, ours - theirs)
    stratum, replicates = numbered(pairs, keys), pairs[seeds].to_numpy()
    places = [np.flatnonzero(stratum == number) for number in np.unique(stratum)]
    samples, design = [differences[place] for place in places], _design([replicates[place] for place in places])
    difference = interval(
        *(samples, statistic), crossed=design.crossed, units=design.units, level=level, resamples=resamples, rng=rng
    )
    gains = -np.sign(differences) if lower else np.sign(differences)
    share = ((1 + gains) / 2).mean()
    improvement = share_interval(share, _effective_count(replicates), level)
    return Comparison(len(pairs), difference, improvement, *design.names(statistic, level))


def _joined(
    runs: pd.DataFrame, metric: str, first: Mapping[str, object], second: Mapping[str, object], lower: bool
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Return the outer join of both settings, and the keys of its strata and of its replicates.

    They are joined by seed and by the keys that vary within either of them. The metric is in the columns value_x and
    value_y.
    """
    chosen = [_selected(runs, setting) for setting in (first, second)]
    varying = [
        key for key in setting_keys(pd.concat(chosen)) if any(part[key].nunique(dropna=False) > 1 for part in chosen)
    ]
    keys = [key for key in varying if key != "data.seed"]
    seeds = ["seed", *(["data.seed"] if "data.seed" in varying else [])]
    sides = []
    for part in chosen:
        refuse_duplicates(part, varying)
        sides.append(part[[*keys, *seeds]].assign(value=_values(part, metric, lower)))
    return sides[0].merge(sides[1], on=[*keys, *seeds], how="outer", indicator=True), keys, seeds


def _selected(runs: pd.DataFrame, setting: Mapping[str, object]) -> pd.DataFrame:
    chosen = np.ones(len(runs), dtype=bool)
    for key, value in setting.items():
        same = runs[key].isna() if value is None else runs[key] == value
        chosen &= same.to_numpy(dtype=bool, na_value=False)
    if not chosen.any():
        raise ValueError(f"{setting_name(setting)} must be a setting that occurs, got no run of it")
    return runs[chosen]


def _missing_partners(
    joined: pd.DataFrame,
    keys: Sequence[str],
    seeds: Sequence[str],
    first: Mapping[str, object],
    second: Mapping[str, object],
) -> list[str]:
    """Return the missing partners of unpaired runs: each setting with its seeds."""
    missing: dict[str, set[int]] = {}
    for present, absent in (("left_only", second), ("right_only", first)):
        for _, run in joined[joined["_merge"] == present].iterrows():
            name = setting_name({**absent, **{key: run[key] for key in (*keys, *seeds[1:])}})
            missing.setdefault(name, set()).add(int(run["seed"]))
    return [f"{name}: {seeds_text(numbers)}" for name, numbers in missing.items()]


def _effective_count(replicates: NDArray[np.intp]) -> float:
    """Return the number of independent runs that runs with these labels (n, factors) count for: a conservative bound.

    The variance of a mean is largest if all runs with one label agree. It is then 1 / Kish's effective sample size,
    n^2 / sum(m^2) with m runs of each label ("Survey sampling", 1965). Seeds that occur once count as one run.
    """
    sizes = [np.unique(factor, return_counts=True)[1] for factor in _factors(replicates)]
    return float(min(len(replicates) ** 2 / (size**2).sum() for size in sizes))


# ---- performance profiles


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
    """Return the share of runs that are better than each of many thresholds: the whole distribution, not its middle.

    Better is above tau, or below it for a metric where lower is better (see the docstring of this module; if the
    direction is not known, it is above). A run that diverged is better than no threshold. Settings of one combination
    of `by` are strata, as in `aggregate`. `taus` None is 101 thresholds from the smallest to the largest finite value.

    Columns: the keys in `by`; `tau` in the unit of the metric; `share`, `low`, `high` in [0, 1]. The share follows
    Agarwal et al. 2021, section 4.2, but its interval is Wilson's (1927): if all runs are on the same side of tau, all
    resamples are equal, and a bootstrap band has no width. Bands hold for each tau, not for the whole curve at once.

    Runs of one seed in several strata are not independent, and no assumption is made about their correlation: the
    interval is as wide as if all runs of a seed agreed. So crossed strata count as many runs as there are seeds, and
    their interval is too wide if the runs of a seed differ. Measured coverage of 95 % at true shares from 0.1 to 0.9
    (`python tests/findings/simulated.py`): 92 to 99 % for 5 runs, 93 to 98 % for 10 and 20, 94 to 99 % for four
    independent strata of 5, 96 to 100 % for crossed strata; at 0.02 and 0.98 90 to 99 %.

    Raises the errors of `aggregate`.
    """
    _check_columns(runs, metric, by=by or ())
    check_level(level)
    by = _rows(runs) if by is None else list(by)
    if not allow_incomplete:
        _refuse_incomplete(runs, by)
    lower = _lower_is_better(metric) if lower_is_better is None else lower_is_better
    values = _values(runs, metric, lower)
    thresholds = _thresholds(values, metric) if taus is None else np.asarray(taus, dtype=np.float64)
    table, groups = _groups(runs, by)
    replicates = _replicates(runs, by)
    shares = np.empty((3, len(groups), len(thresholds)))
    for row, strata in enumerate(groups):
        places = np.concatenate(strata)
        share = _better(values[places], thresholds[:, None], lower).mean(axis=-1)
        shares[:, row] = share_interval(share, _effective_count(replicates[places]), level)
    columns = dict(zip(("share", "low", "high"), shares.reshape(3, -1), strict=True))
    long = table.loc[table.index.repeat(len(thresholds))].reset_index(drop=True)
    return long.assign(tau=np.tile(thresholds, len(groups)), **columns)


def _thresholds(values: Array, metric: str) -> Array:
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError(f"taus must be given if no run has a finite {metric}, got None")
    return np.linspace(finite.min(), finite.max(), 101)


def _better(values: Array, thresholds: Array, lower: bool | None) -> Array:
    """Return 1 for values better than the thresholds, 0 for others, NaN for NaN."""
    better = values < thresholds if lower else values > thresholds
    return np.where(np.isnan(values), np.nan, better)


# ---- what all of them need


def _check_columns(runs: pd.DataFrame, metric: str, **keys: Iterable[str]) -> None:
    config = flatten(RunConfig())
    others = [str(column) for column in runs if column not in config]
    if metric not in runs:
        raise ValueError(f"metric must be one of {', '.join(others)}, got {metric!r}")
    if "seed" not in runs:
        raise ValueError(f"runs must have a column seed, got {', '.join(map(str, runs))}")
    for name, columns in keys.items():
        for key in columns:
            if key not in runs:
                legal = ", ".join(key for key in config if key in runs)
                raise ValueError(f"{name} must have keys that the runs have ({legal}), got {key!r}")


_DOWN, _UP = ("cost/",), ("accuracy/", "r2/")
_TASKS_WITH = {"accuracy": ("binary", "multiclass"), "r2": ("regression",)}


def _lower_is_better(metric: str) -> bool | None:
    """Return True if lower values of a metric are better, False if higher ones are, None if it is not known."""
    return True if metric.startswith(_DOWN) else False if metric.startswith(_UP) else None


def has_metric(runs: pd.DataFrame, metric: str) -> NDArray[np.bool_]:
    """Return True for each run (len(runs),) that has a metric, be it NaN.

    A classifier has no `r2/...`, a regression no `accuracy/...`, and a run that trained on all its data no `.../test`.
    """
    has = np.full(len(runs), metric in runs)
    score, part = metric.split("/")[0], metric.rpartition("/")[2]
    if score in _TASKS_WITH and "task" in runs:
        has &= runs["task"].isin(_TASKS_WITH[score]).to_numpy()
    if part == "test" and "data.test_fraction" in runs:
        has &= (runs["data.test_fraction"] != 0).to_numpy()
    return has


def _values(runs: pd.DataFrame, metric: str, lower_is_better: bool | None) -> Array:
    """Return the metric of each run (len(runs),), with NaN as the worst value if the better direction is known."""
    if runs[metric].dtype == bool:
        return runs[metric].to_numpy()
    values = runs[metric].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    lower = _lower_is_better(metric) if lower_is_better is None else lower_is_better
    if lower is not None:
        values[has_metric(runs, metric) & np.isnan(values)] = np.inf if lower else -np.inf
    return values
