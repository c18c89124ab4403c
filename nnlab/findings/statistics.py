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

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from nnlab.config import SCIENCE, RunConfig, flatten, independent_keys, setting_name

__all__ = [
    "STATISTICS",
    "Comparison",
    "IncompleteError",
    "Interval",
    "aggregate",
    "compare",
    "constant",
    "holes",
    "interval",
    "interval_name",
    "performance_profile",
    "refuse_holes",
    "share_interval",
    "varied",
]

Array = NDArray[np.float64]
Places = NDArray[np.intp]
"""Numbers of rows in a frame."""

# scipy.stats is imported where it is used: it takes 0.7 s, and a sweep with one seed does not need it.


class IncompleteError(ValueError):
    """Runs are missing that a comparison needs. The message names them."""


class Interval(NamedTuple):
    """An estimate and the ends of its interval: three arrays of one shape, () for a single question."""

    estimate: Array
    low: Array
    high: Array


# ---- settings


def varied(runs: pd.DataFrame) -> list[str]:
    """Return the config keys that were varied between these runs: the seed first, the others in the config's order.

    What merely follows from another choice, as a data set's noise from its name, is left out, and so is what does not
    change a result: where and by how many workers a run was made.
    """
    return [*(["seed"] if "seed" in runs and runs["seed"].nunique() > 1 else []), *_settings(runs)]


def _settings(runs: pd.DataFrame) -> list[str]:
    keys = [key for key in flatten(RunConfig()) if key.split(".")[0] in SCIENCE and key != "seed" and key in runs]
    if "data.seed" in keys and "seed" in runs:
        pairs = runs[["seed", "data.seed"]].drop_duplicates()
        if len(pairs) == runs["seed"].nunique() == runs["data.seed"].nunique():
            keys.remove("data.seed")  # each seed brings its own data: it is part of the replicate, not of the setting
    return independent_keys({key: runs[key].astype(object).map(repr).tolist() for key in keys})


def constant(runs: pd.DataFrame) -> dict[str, object]:
    """Return the config keys that have one value in all these runs, with it, but for those that change no result."""
    keys = [key for key in flatten(RunConfig()) if key.split(".")[0] in SCIENCE and key in runs]
    return {key: runs[key].iloc[0] for key in keys if runs[key].nunique(dropna=False) == 1}


def _setting(values: Mapping[str, Any]) -> str:
    """Return the name of a setting, `tanh h4 scale 0.01`: that of its runs in MLflow without the seed."""
    return setting_name({key: None if pd.isna(value) else value for key, value in values.items()})


def holes(runs: pd.DataFrame, swept: Sequence[str], by: Sequence[str] | None = None) -> list[str]:
    """Return which settings lack seeds that others have: `["tanh h4 scale 0.01: seeds 3, 4"]`.

    A setting is a combination of swept values other than the seed that occurs at all. If rows are to be made of the
    values of `by` alone, every row must have the same settings, and those that a row lacks come first:
    `["relu h8: every seed"]`.
    """
    keys = [key for key in swept if key != "seed"]
    if not keys or "seed" not in runs:
        return []
    everywhere = set(runs["seed"])
    return [f"{name}: every seed" for name in _missing(runs, keys, [] if by is None else by)] + [
        f"{_setting(dict(zip(keys, setting, strict=True)))}: {_seeds(missing)}"
        for setting, seeds in runs.groupby(keys, dropna=False)["seed"]
        if (missing := everywhere.difference(seeds))
    ]


def _missing(runs: pd.DataFrame, keys: Sequence[str], by: Sequence[str]) -> list[str]:
    """Return the settings that some rows of `by` have and others have not, under the names they would have there."""
    follow = [key for key in by if key not in _settings(runs)]
    # The layers bring their hidden size, a data set its task: rows by what follows never have what brings it in common.
    left = [key for key in keys if key not in by and not any(_follows(runs, other, key) for other in follow)]
    if not left or not by:
        return []
    row, cell = _numbered(runs, by), _numbered(runs, left)
    present = np.zeros((row.max() + 1, cell.max() + 1), dtype=bool)
    present[row, cell] = True
    rows, cells = (
        runs[keys].iloc[np.unique(numbers, return_index=True)[1]] for keys, numbers in ((by, row), (left, cell))
    )
    return [
        _setting({**rows.iloc[r].to_dict(), **cells.iloc[c].to_dict()})
        for r, c in zip(*np.nonzero(~present), strict=True)
    ]


def _follows(runs: pd.DataFrame, key: str, other: str) -> bool:
    """Return whether each value of the other key goes with one value of this key, which varies."""
    one, two = _numbered(runs, [key]), _numbered(runs, [other])
    return len(np.unique(one)) > 1 and len(np.unique([one, two], axis=1).T) == len(np.unique(two))


def _seeds(seeds: set[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}"


def refuse_holes(runs: pd.DataFrame, swept: Sequence[str], by: Sequence[str] | None = None) -> None:
    """Raise IncompleteError if there are `holes`."""
    _refuse(holes(runs, swept, by))


def _refuse(missing: Sequence[str]) -> None:
    if missing:
        more = f"; and {len(missing) - 5} settings more" if len(missing) > 5 else ""
        raise IncompleteError(
            "every setting must have the same seeds to be compared (or allow_incomplete=True), missing: "
            f"{'; '.join(missing[:5])}{more}"
        )


def _refuse_doubles(runs: pd.DataFrame, keys: Sequence[str]) -> None:
    """Two runs of one seed are not two results: pooled, they would make an interval too narrow."""
    columns = [key for key in keys if key != "seed"]
    double = runs[runs.duplicated([*columns, "seed"])]
    if len(double):
        first = double.iloc[0]
        name = _setting({key: first[key] for key in [*columns, "seed"]})
        raise ValueError(f"every setting must have one run of each seed, got several of {name}: leave all but one out")


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


# ---- values


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


# ---- intervals


def _iqm(values: Array, axis: int) -> Array:
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(values, 0.25, axis=axis))


STATISTICS: dict[str, Callable[..., Array]] = {"median": np.median, "iqm": _iqm, "mean": np.mean}
"""What runs are summarized by. The interquartile mean (IQM) is the mean without a quarter of the runs, rounded down, at
either end: nearly as indifferent to outliers as the median and much less noisy; of fewer than four runs the mean."""

METHODS = ("percentile", "bca")
_AT_ONCE = 1 << 20
"""Numbers that one step of the resampling holds: 8 MiB."""


def interval(
    strata: Sequence[ArrayLike],
    statistic: str = "iqm",
    *,
    crossed: bool = False,
    method: str = "percentile",
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
) -> Interval:
    """Return a statistic of pooled runs and its stratified bootstrap interval.

    Each of `strata` is (..., n_s): n_s runs of one setting along the last axis, the axes before it are independent
    questions. The result has the shape (...). The statistic is of all runs together, so a stratum counts by its runs.

    Parameters
    ----------
    statistic : "iqm", "median" or "mean"
    crossed : whether place j of every stratum is of one seed
        The strata then have the same number of runs, and seeds are resampled, each with its runs of all strata.
        Otherwise the strata are independent of each other.
    method : "percentile" or "bca"
        Bias-corrected and accelerated (Efron 1987), or not. Where `bca` is not defined, as with many equal values, the
        percentiles are taken.
    level : the wanted coverage
    resamples : how many bootstrap samples are drawn
    rng : None is a generator with a fixed seed: the same runs have the same interval

    How far to believe it
    ---------------------
    The bootstrap of n runs varies too little by (n - 1) / n and knows nothing of Student's t: plain percentiles cover
    88 to 94 % at n = 5 where 95 % are asked for. So the level is raised as for a t interval (the expanded percentile
    interval of Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3); of crossed strata with
    one degree of freedom less than there are seeds. Measured coverage of the 95 % interval of `iqm` and `median`, of
    normal and lognormal runs (2,000 repetitions of `python tests/findings/simulated.py`, +- 1 %; `bca` is no better):

    - 95 to 97 % for 10, 20 and 50 runs, 92 to 93 % for 5;
    - independent strata that are alike: 96 % for four of 5, 91 to 93 % for ten of 2;
    - crossed strata that are alike, whether no, half or nine tenths of the variance come from the seed: 95 to 96 % for
      4 or 12 strata of 10 seeds; for 4 strata of 5 seeds 92 to 93 % (`iqm`) and 89 to 92 % (`median`);
    - four strata whose means are one standard deviation apart, of 10: 94 to 95 % (`iqm`) and 93 to 95 % (`median`);
      of 5: 92 to 96 % and 88 to 93 %;
    - four strata three standard deviations apart, of 10: 94 % (`iqm`) and 87 to 90 % (`median`) of normal runs, 90 to
      92 % and 78 % of lognormal ones; of 5: 92 to 94 % and 88 to 90 %, 84 to 88 % and 60 to 62 %.

    So do not take the median over settings that differ by more than their seeds do: it lies in the gap between two of
    them, where there are no runs to say how sure it is. The IQM nearly holds there, of skewed runs only with ten seeds.

    Intervals end within the data, so few runs cannot do better than their range does: for the median of continuous
    values 1 - 2^(1 - n), that is 50 % of 2 runs, 75 % of 3, 87.5 % of 4, 93.75 % of 5.

    NaN in is NaN out, and so is a statistic that inf and -inf leave undefined: the mean of runs that have both, or the
    median or IQM if the middle has both. A resample that has both in its middle counts as -inf for the lower end and as
    inf for the upper one. One run, or a stratum of one, says nothing about spread: its interval is NaN.

    Raises ValueError for names that are not those above, a level outside (0, 1), crossed strata of unlike sizes, and no
    runs at all.
    """
    _check("statistic", statistic, STATISTICS)
    _check("method", method, METHODS)
    _check_level(level)
    samples = [np.asarray(stratum, dtype=np.float64) for stratum in strata]
    if not samples or any(sample.shape[-1] == 0 for sample in samples):
        raise ValueError("every stratum must have at least one run")
    sizes = [sample.shape[-1] for sample in samples]
    if crossed and len(set(sizes)) > 1:
        raise ValueError(f"crossed strata must have one number of runs, got {', '.join(map(str, sizes))}")
    pooled = np.concatenate(samples, axis=-1)
    both = (pooled.max(axis=-1) == np.inf) & (pooled.min(axis=-1) == -np.inf)
    leanings = (-1, 1) if both.any() else (0,)
    bounded, exponent = _bounded(pooled, leanings)
    estimates = _restored(STATISTICS[statistic](bounded, axis=-1), exponent)
    undefined = np.isnan(pooled).any(axis=-1) | (estimates[0] != estimates[-1])
    estimate = np.where(undefined, np.nan, estimates[0])
    if min(sizes) < 2:
        return Interval(estimate, np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan))
    parts = np.split(bounded, np.cumsum(sizes)[:-1], axis=-1)
    rng = np.random.default_rng(0) if rng is None else rng
    level = _expanded(level, sizes[:1] if crossed else sizes)
    lows, highs = _ends(parts, STATISTICS[statistic], crossed, method, level, resamples, rng)
    low, high = _restored(lows, exponent)[0], _restored(highs, exponent)[-1]
    return Interval(estimate, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def interval_name(seeds: int) -> str:
    """Return what the 95 % interval of settings of so many seeds may be called: of fewer than six it is a range.

    An interval of so few is hardly more than the least and the largest of them (see `interval`). Crossed strata do not
    help: they are of the same seeds.
    """
    return "95 % interval" if seeds >= 6 else "range"


def _check(name: str, value: str, legal: Sequence[str] | Mapping[str, object]) -> None:
    if value not in legal:
        raise ValueError(f"{name} must be one of {', '.join(legal)}, got {value!r}")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")


_BEYOND = 2.0**100
"""Where inf stands while means and interpolations are taken, which would make NaN of inf: far beyond all others."""


def _bounded(pooled: Array, leanings: Sequence[int]) -> tuple[Array, NDArray[np.intp]]:
    """Return the values scaled into [-1, 1] by a power of two, which is exact, and the power (...).

    inf and -inf are put beyond. The cubes in BCa then overflow for no cost, however large. The values are returned
    (len(leanings), ..., n): where inf and -inf meet in a mean, -inf wins if the leaning is -1, inf if it is 1.
    """
    finite = np.isfinite(pooled)
    exponent = np.frexp(np.where(finite, np.abs(pooled), 0.0).max(axis=-1, keepdims=True))[1]
    scaled = np.ldexp(np.where(finite, pooled, 0.0), -exponent)
    leaning = [
        np.where(np.isinf(pooled), np.copysign(np.where(np.sign(pooled) == side, _BEYOND**2, _BEYOND), pooled), scaled)
        for side in leanings
    ]
    return np.stack(leaning), exponent[..., 0]


def _restored(values: Array, exponent: NDArray[np.intp]) -> Array:
    beyond = np.abs(values) > 1  # no mean of finite ones is
    return np.where(beyond, np.copysign(np.inf, values), np.ldexp(np.where(beyond, 0, values), exponent))


def _expanded(level: float, sizes: Sequence[int]) -> float:
    """Return the level at which percentiles of the bootstrap are as far apart as a t interval is wide."""
    from scipy.stats import norm, t

    runs, strata = sum(sizes), len(sizes)
    each = runs / strata
    wide = np.sqrt(each / (each - 1)) * t.isf((1 - level) / 2, runs - strata)
    return min(1 - 2 * float(norm.sf(wide)), 1 - 1e-15)


def _ends(
    parts: Sequence[Array],
    statistic: Callable[..., Array],
    crossed: bool,
    method: str,
    level: float,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[Array, Array]:
    from scipy.stats import DegenerateDataWarning, bootstrap

    def pooled(*resampled: Array, axis: int) -> Array:
        return statistic(np.concatenate(resampled, axis=axis), axis=axis)

    options = {"vectorized": True, "axis": -1, "confidence_level": level, "paired": crossed}
    batch = max(1, _AT_ONCE // sum(part.size for part in parts))
    drawn = bootstrap(parts, pooled, **options, n_resamples=resamples, batch=batch, method="percentile", rng=rng)
    low, high = drawn.confidence_interval
    if method == "bca":
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", DegenerateDataWarning)  # it says where the percentiles stay
            corrected = bootstrap(parts, pooled, **options, n_resamples=0, method="BCa", bootstrap_result=drawn)
        better = corrected.confidence_interval
        defined = ~np.isnan(better.low) & ~np.isnan(better.high)
        low, high = np.where(defined, better.low, low), np.where(defined, better.high, high)
    return np.asarray(low), np.asarray(high)


# ---- questions


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
    by = _settings(runs) if by is None else list(by)
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
    keys = list(dict.fromkeys([*by, *_settings(runs)]))
    _refuse_doubles(runs, keys)
    refuse_holes(runs, keys, by)


def _groups(runs: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, list[list[Places]]]:
    """Return the combinations of `by`, one row each, and for each of them by stratum where its runs are, by seed."""
    strata = [key for key in _settings(runs) if key not in by]
    group, stratum = (_numbered(runs, keys) for keys in (by, strata))
    order = np.lexsort((runs["seed"].to_numpy(), stratum, group))
    _, first = np.unique(group, return_index=True)
    changes = np.flatnonzero(np.diff(group[order]) | np.diff(stratum[order])) + 1
    edges = [0, *changes.tolist(), len(runs)] if len(runs) else []
    groups: list[list[Places]] = [[] for _ in first]
    for start, stop in pairwise(edges):
        groups[group[order[start]]].append(order[start:stop])
    return runs[list(by)].iloc[first].reset_index(drop=True), groups


def _numbered(runs: pd.DataFrame, keys: Sequence[str]) -> NDArray[np.int64]:
    """Return for each run the number of its combination of keys, in the order of the values."""
    if not keys:
        return np.zeros(len(runs), dtype=np.int64)
    return np.asarray(runs.groupby(list(keys), dropna=False).ngroup(), dtype=np.int64)


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
    keys = [key for key in _settings(pd.concat(chosen)) if any(part[key].nunique(dropna=False) > 1 for part in chosen)]
    sides = []
    for part in chosen:
        _refuse_doubles(part, keys)
        sides.append(part[[*keys, "seed"]].assign(value=_values(part, metric, lower)))
    joined = sides[0].merge(sides[1], on=[*keys, "seed"], how="outer", indicator=True)
    if not allow_incomplete:
        _refuse(_lonely(joined, keys, first, second))
    pairs = joined[joined["_merge"] == "both"]  # in the order of keys and seed, as every outer merge
    if pairs.empty:
        raise ValueError(f"{_setting(first)} and {_setting(second)} must have a seed in common, got none")
    ours, theirs = (pairs[name].to_numpy(np.float64) for name in ("value_x", "value_y"))
    with np.errstate(invalid="ignore"):
        differences = np.where(ours == theirs, 0.0, ours - theirs)
    stratum, seeds = _numbered(pairs, keys), pairs["seed"].to_numpy()
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
    return Comparison(len(pairs), difference, _wilson(((1 + gains) / 2).mean(), _effective(seeds), level))


def _selected(runs: pd.DataFrame, setting: Mapping[str, object]) -> pd.DataFrame:
    chosen = np.ones(len(runs), dtype=bool)
    for key, value in setting.items():
        same = runs[key].isna() if value is None else runs[key] == value
        chosen &= same.to_numpy(dtype=bool, na_value=False)
    if not chosen.any():
        raise ValueError(f"{_setting(setting)} must be a setting that occurs, got no run of it")
    return runs[chosen]


def _lonely(
    joined: pd.DataFrame, keys: Sequence[str], first: Mapping[str, object], second: Mapping[str, object]
) -> list[str]:
    """Return the runs that would be the partners of those that have none, by setting."""
    missing: dict[str, set[int]] = {}
    for present, absent in (("left_only", second), ("right_only", first)):
        for _, run in joined[joined["_merge"] == present].iterrows():
            name = _setting({**absent, **{key: run[key] for key in keys}})
            missing.setdefault(name, set()).add(int(run["seed"]))
    return [f"{name}: {_seeds(seeds)}" for name, seeds in missing.items()]


def share_interval(share: float, count: int, level: float = 0.95) -> Interval:
    """Return a share of `count` independent runs and its score interval (Wilson 1927, "Probable inference").

    Raises ValueError for a share outside [0, 1], a count below 1 and a level outside (0, 1).
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    if not count >= 1:
        raise ValueError(f"count must be at least 1, got {count}")
    _check_level(level)
    return _wilson(share, count, level)


def _wilson(share: ArrayLike, count: float, level: float) -> Interval:
    from scipy.stats import norm

    share = np.asarray(share, dtype=np.float64)
    z2 = float(norm.isf((1 - level) / 2)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    # At 0 and 1 rounding would leave the share itself, or the unit interval.
    low, high = np.maximum(0.0, np.minimum(share, middle - reach)), np.minimum(1.0, np.maximum(share, middle + reach))
    return Interval(share, np.asarray(low), np.asarray(high))


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
    _check_level(level)
    by = _settings(runs) if by is None else list(by)
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
        shares[:, row] = _wilson(share, _effective(seeds[places]), level)
    columns = dict(zip(("share", "low", "high"), shares.reshape(3, -1), strict=True))
    long = table.loc[table.index.repeat(len(thresholds))].reset_index(drop=True)
    return long.assign(tau=np.tile(thresholds, len(groups)), **columns)


def _better(values: Array, thresholds: Array, lower: bool | None) -> Array:
    better = values < thresholds if lower else values > thresholds
    return np.where(np.isnan(values), np.nan, better)
