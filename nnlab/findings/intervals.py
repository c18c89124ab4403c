"""Intervals over runs, from arrays: a stratified bootstrap for statistics, and Wilson's interval for shares."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "SHARE_INTERVAL",
    "STATISTICS",
    "Interval",
    "check_level",
    "interval",
    "interval_name",
    "share_interval",
    "statistic_name",
]

Array = NDArray[np.float64]

# scipy.stats is imported where it is used: it takes 0.7 s, and a sweep with one seed does not need it.


class Interval(NamedTuple):
    """An estimate and the ends of its interval: three arrays of the same shape, () for a single question."""

    estimate: Array
    low: Array
    high: Array


def _iqm(values: Array, axis: int) -> Array:
    from scipy.stats import trim_mean

    return np.asarray(trim_mean(values, 0.25, axis=axis))


STATISTICS: dict[str, Callable[..., Array]] = {"median": np.median, "iqm": _iqm, "mean": np.mean}
"""Statistics that summarize runs. The interquartile mean (IQM) leaves out a quarter of the runs, rounded down, at
either end: it is nearly as robust to outliers as the median and much less noisy. Rounding makes it leave out 20 % of 5
runs, 17 % of 6 and 14 % of 7, and 18 to 25 % from 8 on. Of fewer than four runs it leaves out none and is their mean,
and `statistic_name` calls it so."""

_TRIMMED: dict[str, Callable[[NDArray[np.intp]], NDArray[np.intp]]] = {
    "median": lambda runs: (runs - 1) // 2,
    "iqm": lambda runs: runs // 4,
    "mean": lambda runs: 0 * runs,
}
"""The same statistics as means of what is left: how many of the lowest, and of the highest, are left out of n runs."""

_BATCH_NUMBERS = 1 << 20
"""Numbers held by one step of the resampling: 8 MiB."""


def interval(
    strata: Sequence[ArrayLike],
    statistic: str = "iqm",
    *,
    crossed: bool = False,
    units: Sequence[ArrayLike] | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
) -> Interval:
    """Return a statistic of pooled runs and its stratified bootstrap interval.

    Each of `strata` is (..., n_s), with n_s runs of one setting along the last axis; the axes before it are independent
    questions. The result has the shape (...). The statistic is taken over all runs together, so that each stratum
    counts in proportion to its runs.

    Parameters
    ----------
    statistic : "iqm", "median" or "mean"
    crossed : True if run j of every stratum has the same seed
        The strata then have the same number of runs, and seeds are resampled, each with its runs of all strata.
        Otherwise the strata are independent of each other.
    units : for each stratum, labels of its runs (n_s), or (factors, n_s) for several random factors
        What is resampled: all runs with one label together. None resamples every run by itself. With two factors, such
        as seeds and data sets, the labels of both are drawn, and a run occurs as often as the product of the numbers of
        times that its two labels were drawn: the pigeonhole bootstrap (Owen 2007, "The pigeonhole bootstrap", Annals of
        Applied Statistics 1). The level is raised for the factor with fewer labels.
    level : the nominal coverage
    resamples : the number of bootstrap samples
    rng : None is a generator with a fixed seed, so that the same runs have the same interval

    How far to believe it
    ---------------------
    The bootstrap of n runs underestimates the variance by (n - 1) / n and omits the t correction: plain percentiles
    cover 88 to 94 % at n = 5 where 95 % are wanted. So the level is raised as for a t interval (the expanded percentile
    interval of Hesterberg 2015, "What teachers should know about the bootstrap", section 5.3). Crossed strata have one
    degree of freedom less than there are seeds. Measured coverage of the 95 % interval (`python
    tests/findings/simulated.py`, +- 1 %), which `interval_name` puts into tables and figures:

    - `iqm` and `median` of one setting, whether runs are normal, lognormal, uniform or t3: 94 to 97 % for 6 to 50 runs,
      92 to 95 % for 5;
    - `mean` of one setting: 92 to 95 % for normal, uniform and t3 runs; for lognormal ones 81 % for 5 runs, 83 % for 6,
      86 % for 10, 88 % for 20, 90 % for 50. No method covers the mean of few skewed runs: the bootstrap-t reached 89 %
      for 6 and 91 % for 20, with intervals half as wide again that leave the range of the data;
    - independent strata with equal means: 96 % for four of 5 runs, 91 to 93 % for ten of 2;
    - crossed strata with equal means, whether none, half or nine tenths of the variance come from the seed: 95 to 96 %
      for 4 or 12 strata of 10 seeds; for 4 strata of 5 seeds 92 to 93 % (`iqm`) and 89 to 92 % (`median`);
    - four strata with means one standard deviation apart: of 10 runs 94 to 95 % (`iqm`) and 93 to 95 % (`median`); of 5
      runs 92 to 96 % and 88 to 93 %;
    - four strata with means three standard deviations apart: of 10 runs 94 % (`iqm`) and 87 to 90 % (`median`) for
      normal runs, 90 to 92 % and 78 % for lognormal ones; of 5 runs 92 to 94 % and 88 to 90 %, 84 to 88 % and 60 to
      62 %;
    - two factors, with all, some or none of the variance from either: 92 to 100 % for 5 seeds on 5 data sets, 94 to
      100 % for 10 on 10 (`iqm` and `median`). The pigeonhole bootstrap is conservative: it counts three times what
      neither factor explains.

    So do not take the median over settings that differ by more than their seeds do. It lies in the gap between two of
    them, where no runs show how certain it is. The IQM nearly keeps its coverage there; for skewed runs only with ten
    seeds.

    Intervals contain their estimate and end within the data, so the interval of few runs covers at most what their
    range does: for the median of continuous values 1 - 2^(1 - n), which is 50 % for 2 runs, 75 % for 3, 87.5 % for 4,
    93.75 % for 5.

    Runs that have a property or not are given as True and False, with the statistic `mean`. Their share has Wilson's
    interval, since all resamples of equal runs are equal: as numbers, runs of which nine in ten are 1 are covered by
    39 % of the intervals of 5 runs, and by 87 % of those of 20.

    NaN in is NaN out. A statistic that inf and -inf leave undefined is NaN too: the mean of runs with both, or the
    median or IQM if the middle has both. A resample with both in its middle counts as -inf for the lower end and as inf
    for the upper one. One run has no spread, nor has a stratum of one: the interval is NaN.

    Raises ValueError for another statistic, also than `mean` if the values are True and False, a level outside (0, 1),
    crossed strata of unequal sizes, and no runs.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic must be one of {', '.join(STATISTICS)}, got {statistic!r}")
    check_level(level)
    samples = [np.asarray(stratum) for stratum in strata]
    sizes = _checked_sizes(samples, crossed)
    labels = [_numbered(each) for each in ([np.arange(size) for size in sizes] if units is None else units)]
    counts = [int(label.max(axis=-1).min()) + 1 for label in labels]
    counts = counts[:1] if crossed else counts
    pooled = np.concatenate(samples, axis=-1)
    if pooled.dtype == bool:
        if statistic != "mean":
            raise ValueError(f"statistic must be mean for values that are True or False, got {statistic!r}")
        return share_interval(pooled.mean(axis=-1), sum(counts), level)
    pooled = pooled.astype(np.float64)
    both = (pooled.max(axis=-1) == np.inf) & (pooled.min(axis=-1) == -np.inf)
    leanings = (-1, 1) if both.any() else (0,)
    bounded, exponent = _bounded(pooled, leanings)
    estimates = _restored(STATISTICS[statistic](bounded, axis=-1), exponent)
    undefined = np.isnan(pooled).any(axis=-1) | (estimates[0] != estimates[-1])
    estimate = np.where(undefined, np.nan, estimates[0])
    if min(counts) < 2:
        return Interval(estimate, np.full(estimate.shape, np.nan), np.full(estimate.shape, np.nan))
    rng = np.random.default_rng(0) if rng is None else rng
    weights = _weights(labels, crossed, resamples, rng)
    lows, highs = _percentiles(bounded, weights, _TRIMMED[statistic], _expanded(level, counts))
    # An interval contains its estimate: percentiles of equal values differ from them by rounding.
    low = np.minimum(_restored(lows, exponent)[0], estimate)
    high = np.maximum(_restored(highs, exponent)[-1], estimate)
    return Interval(estimate, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def _checked_sizes(samples: Sequence[Array], crossed: bool) -> list[int]:
    """Return the number of runs of each stratum. Raises ValueError if there are none, or unequal ones are crossed."""
    sizes = [sample.shape[-1] for sample in samples]
    if not sizes or 0 in sizes:
        raise ValueError("every stratum must have at least one run")
    if crossed and len(set(sizes)) > 1:
        raise ValueError(f"crossed strata must have the same number of runs, got {', '.join(map(str, sizes))}")
    return sizes


_BEYOND = 2.0**100
"""The stand-in for inf, far beyond all scaled values: means and interpolations of inf itself would be NaN."""


def _bounded(pooled: Array, leanings: Sequence[int]) -> tuple[Array, NDArray[np.intp]]:
    """Return the values (len(leanings), ..., n) scaled into [-1, 1] by a power of two, and its exponent (...).

    Scaling by a power of two is exact, and no sum overflows. inf and -inf become +-_BEYOND. If both meet in a mean,
    -inf wins with leaning -1, and inf with 1: the winner becomes +-_BEYOND**2.
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
    """Return statistics of scaled values in the original unit, with inf in place of its stand-in."""
    beyond = np.abs(values) > 1  # never so for finite values
    return np.where(beyond, np.copysign(np.inf, values), np.ldexp(np.where(beyond, 0, values), exponent))


def _expanded(level: float, counts: Sequence[int]) -> float:
    """Return the level at which the percentiles of the bootstrap are as far apart as the ends of a t interval.

    `counts` are the numbers of units that are resampled, of each stratum that is resampled by itself.
    """
    from scipy.stats import norm, t

    units, strata = sum(counts), len(counts)
    each = units / strata
    wide = np.sqrt(each / (each - 1)) * t.isf((1 - level) / 2, units - strata)
    return min(1 - 2 * float(norm.sf(wide)), 1 - 1e-15)


# ---- resampling


def _numbered(labels: ArrayLike) -> NDArray[np.intp]:
    """Return labels (factors, n) with the labels of each factor numbered from 0; (n,) is one factor."""
    return np.stack([np.unique(factor, return_inverse=True)[1] for factor in np.atleast_2d(np.asarray(labels))])


def _weights(
    labels: Sequence[NDArray[np.intp]], crossed: bool, resamples: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return how often each run occurs in each resample (resamples, runs), given the labels (factors, n_s) of strata.

    The labels of a factor are drawn with replacement. A run occurs as often as the product over factors of the number
    of times that its labels were drawn: the pigeonhole bootstrap (Owen 2007). Resamples without any run are left out.
    """
    parts = []
    for factors in labels[:1] if crossed else labels:
        part = np.ones((resamples, factors.shape[1]), dtype=np.intp)
        for factor in factors:
            count = int(factor.max()) + 1
            drawn = rng.integers(0, count, (resamples, count)) + count * np.arange(resamples)[:, None]
            part *= np.bincount(drawn.ravel(), minlength=resamples * count).reshape(resamples, count)[:, factor]
        parts.append(part)
    weights = np.concatenate(parts * len(labels) if crossed else parts, axis=1)
    return weights[weights.any(axis=1)]


def _percentiles(
    values: Array, weights: NDArray[np.intp], trimmed: Callable[[NDArray[np.intp]], NDArray[np.intp]], level: float
) -> tuple[Array, Array]:
    """Return the ends (...) of the percentile interval of a trimmed mean of values (..., n) with resampled weights.

    Values are sorted once for all resamples, in which a value occurs as often as its weight says. Those between the
    `trimmed` lowest and the `trimmed` highest of a resample are averaged.
    """
    rows = values.reshape(-1, values.shape[-1])
    order = np.argsort(rows, axis=-1)
    rows = np.take_along_axis(rows, order, axis=-1)
    total = weights.sum(axis=1)
    cut = trimmed(total)
    step = max(1, _BATCH_NUMBERS // weights.size)
    ends = [
        np.percentile(
            _means(rows[start : start + step], weights[:, order[start : start + step]], cut, total),
            [50 * (1 - level), 50 * (1 + level)],
            axis=0,
        )
        for start in range(0, len(rows), step)
    ]
    low, high = np.concatenate(ends, axis=1).reshape(2, *values.shape[:-1])
    return low, high


def _means(rows: Array, weights: NDArray[np.intp], cut: NDArray[np.intp], total: NDArray[np.intp]) -> Array:
    """Return the means (resamples, questions) of sorted rows (questions, n) without `cut` values at either end."""
    if cut.any():
        last = weights.cumsum(axis=-1)
        cut = cut[:, None, None]
        weights = np.maximum(np.minimum(last, total[:, None, None] - cut) - np.maximum(last - weights, cut), 0)
    return np.einsum("rqn,qn->rq", weights, rows) / (total - 2 * cut.reshape(-1))[:, None]


# ---- names and shares


STATISTIC_NAMES = {"iqm": "interquartile mean", "median": "median", "mean": "mean"}
SHARE_INTERVAL = "95 % score interval"
FEWEST_TO_TRIM = 4
"""The IQM of fewer runs leaves none of them out: it is their mean."""


def statistic_name(statistic: str, runs: Iterable[int]) -> str:
    """Return the name of a statistic over these numbers of runs. The IQM of fewer than four is called a mean."""
    few = {number < FEWEST_TO_TRIM for number in runs}
    if statistic != "iqm" or few == {False} or not few:
        return STATISTIC_NAMES[statistic]
    return STATISTIC_NAMES["mean"] if few == {True} else "interquartile mean (mean of fewer than 4 runs)"


_COVERS: dict[tuple[str, bool], dict[int, tuple[int, int]]] = {
    ("iqm", False): {2: (50, 50), 3: (73, 75), 4: (86, 88), 5: (92, 95), 6: (94, 97)},
    ("median", False): {2: (50, 50), 3: (73, 75), 4: (86, 88), 5: (92, 95), 6: (94, 97)},
    ("mean", False): {2: (43, 51), 3: (63, 76), 4: (75, 86), 5: (80, 92), 6: (82, 94), 10: (85, 95), 20: (87, 95)},
    ("iqm", True): {2: (49, 78), 3: (72, 95), 4: (81, 95), 5: (86, 96), 6: (87, 96), 10: (90, 97), 20: (93, 95)},
    ("median", True): {2: (29, 78), 3: (41, 94), 4: (52, 94), 5: (60, 96), 6: (67, 96), 10: (77, 96), 20: (87, 96)},
    ("mean", True): {2: (43, 83), 3: (63, 94), 4: (74, 94), 5: (76, 95), 6: (79, 95), 10: (82, 96), 20: (87, 95)},
}
"""The lowest and the highest measured coverage in % of nominal 95 % intervals, by the number of seeds.

Of one setting: of normal, lognormal, uniform and t3 runs. Over several settings (True): of normal and lognormal runs of
four settings with means zero, one and three standard deviations apart, with common seeds and without.
"""


def interval_name(
    seeds: int, statistic: str = "iqm", *, pooled: bool = False, two_way: bool = False, level: float = 0.95
) -> str:
    """Return the name of the interval over this many seeds, for one setting or `pooled` over several.

    `two_way` says that data sets are resampled beside seeds; `seeds` is then the smaller of their numbers. An interval
    whose measured coverage was 93 to 97 % is called a 95 % interval. Others are named after what was measured, or are
    the range of the runs. At other levels the name says that the level is nominal.
    """
    if level != 0.95:
        return f"nominal {100 * level:g} % bootstrap interval"
    if not (pooled or two_way) and (seeds < 5 or (seeds == 5 and statistic != "mean")):
        return "range"
    measured = _COVERS[statistic, pooled]
    low, high = measured[max(number for number in measured if number <= max(seeds, 2))]
    if two_way:
        high = 100
    if low >= 93 and high <= 97:
        return "95 % bootstrap interval"
    return f"bootstrap interval, covers {low} to {high} %"


def share_interval(share: ArrayLike, count: float, level: float = 0.95) -> Interval:
    """Return shares of `count` independent runs and their score intervals (Wilson 1927, "Probable inference").

    Shares have any shape, and NaN in is NaN out. `count` need not be whole: partly redundant runs count as fewer.
    Raises ValueError for a share outside [0, 1], a count below 1 and a level outside (0, 1).
    """
    from scipy.stats import norm

    share = np.asarray(share, dtype=np.float64)
    if ((share < 0) | (share > 1)).any():
        raise ValueError(f"share must be between 0 and 1, got {share}")
    if not count >= 1:
        raise ValueError(f"count must be at least 1, got {count}")
    check_level(level)
    z2 = float(norm.isf((1 - level) / 2)) ** 2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = np.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    # Rounding at 0 and 1 could otherwise exclude the share itself, or leave the unit interval.
    low, high = np.maximum(0.0, np.minimum(share, middle - reach)), np.minimum(1.0, np.maximum(share, middle + reach))
    return Interval(share, np.asarray(low), np.asarray(high))


def check_level(level: float) -> None:
    """Raise ValueError for a level outside (0, 1)."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
