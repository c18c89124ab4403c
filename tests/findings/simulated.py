"""The coverage of the intervals, measured on simulated runs (`python tests/findings/simulated.py`)."""

import argparse
from collections.abc import Callable, Iterator
from itertools import product
from math import exp, sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm, t

from nnlab.findings.intervals import STATISTICS, interval
from nnlab.findings.statistics import performance_profile

__all__ = ["DISTRIBUTIONS", "Design", "coverage", "share_coverage", "two_way_coverage"]

Array = NDArray[np.float64]

DISTRIBUTIONS: dict[str, Callable[[Array], Array]] = {
    "normal": lambda z: 3 + 2 * z,
    "lognormal": np.exp,
    "uniform": norm.cdf,
    "t3": lambda z: t.ppf(norm.cdf(z), 3),
    "0/1 half": lambda z: (z > 0).astype(float),
    "0/1 nine": lambda z: (z > norm.ppf(0.1)).astype(float),
}
"""Functions from standard normal numbers to runs: normal ones, skewed ones as costs are, bounded ones, ones with heavy
tails, and ones that have a property or not, at shares of a half and nine tenths."""

MEANS = {"normal": 3.0, "lognormal": exp(0.5), "uniform": 0.5, "t3": 0.0, "0/1 half": 0.5, "0/1 nine": 0.9}
"""Their means in closed form: the average of quantiles misses the tails."""


class Design(NamedTuple):
    """The sizes, means and seeds of simulated strata.

    `strata` are the numbers of runs. Their means are `apart` standard deviations (of the normal numbers) from one to
    the next. With `shared`, in [0, 1], all strata have the same seeds, which cause that share of the variance; with
    None each has its own seeds.
    """

    strata: tuple[int, ...]
    apart: float = 0.0
    shared: float | None = None

    def means(self) -> Array:
        return self.apart * np.arange(len(self.strata))

    def draw(self, rng: np.random.Generator, repetitions: int) -> list[Array]:
        """Return standard normal numbers (repetitions, n_s) of each stratum, shifted by its mean."""
        own = [rng.normal(size=(repetitions, size)) for size in self.strata]
        if self.shared is not None:
            seed = rng.normal(size=(repetitions, self.strata[0]))
            own = [sqrt(self.shared) * seed + sqrt(1 - self.shared) * z for z in own]
        return [z + mean for z, mean in zip(own, self.means(), strict=True)]


def coverage(
    distribution: str,
    statistic: str,
    design: Design,
    repetitions: int = 2_000,
    seed: int = 0,
) -> float:
    """Return the share of repetitions whose 95 % interval contains the statistic of infinitely many runs."""
    rng = np.random.default_rng(seed)
    runs = [DISTRIBUTIONS[distribution](z) for z in design.draw(rng, repetitions)]
    crossed = design.shared is not None
    _, low, high = interval(runs, statistic, crossed=crossed, resamples=1_000, rng=rng)
    everything = norm.ppf((np.arange(200_000) + 0.5) / 200_000) + design.means()[:, None]
    truth = STATISTICS[statistic](DISTRIBUTIONS[distribution](everything.ravel()), axis=-1)
    if statistic == "mean" and not design.apart:
        truth = MEANS[distribution]
    return float(np.mean((low <= truth) & (truth <= high)))


def two_way_coverage(
    statistic: str,
    seeds: int,
    sets: int,
    shares: tuple[float, float],
    resampled: str = "both",
    repetitions: int = 500,
) -> float:
    """Return the coverage of the 95 % interval for normal runs of every seed on every data set.

    A run is the sum of three independent effects: its seed's and its data set's, which cause these `shares` of the
    variance, and its own. `resampled` is "both", "seeds" or "sets".
    """
    rng = np.random.default_rng(0)
    by_seed, by_set, own = (rng.normal(size=(repetitions, *shape)) for shape in ((seeds, 1), (1, sets), (seeds, sets)))
    effects = sqrt(shares[0]) * by_seed + sqrt(shares[1]) * by_set + sqrt(1 - sum(shares)) * own
    labels = np.indices((seeds, sets)).reshape(2, -1)
    units = {"both": labels, "seeds": labels[:1], "sets": labels[1:]}[resampled]
    _, low, high = interval([effects.reshape(repetitions, -1)], statistic, units=[units], resamples=500, rng=rng)
    return float(np.mean((low <= 0) & (high >= 0)))


def share_coverage(share: float, design: Design, repetitions: int = 2_000, seed: int = 0) -> float:
    """Return the share of repetitions in which the band of `performance_profile` contains the true share."""
    draws = design.draw(np.random.default_rng(seed), repetitions)
    frames = [
        pd.DataFrame(
            {
                "repetition": np.repeat(np.arange(repetitions), z.shape[1]),
                "seed": np.tile(
                    np.arange(z.shape[1]) + (0 if design.shared is not None else 1_000 * stratum), repetitions
                ),
                "init.scale": float(stratum),
                "cost/test": z.ravel(),
            }
        )
        for stratum, z in enumerate(draws)
    ]
    threshold = [norm.ppf(share)]
    runs = pd.concat(frames, ignore_index=True)
    profile = performance_profile(runs, "cost/test", ["repetition"], threshold, allow_incomplete=True)
    truth = norm.cdf(threshold - design.means()).mean()
    return float(np.mean((profile["low"] <= truth) & (truth <= profile["high"])))


ALIKE = {
    "5": Design((5,)),
    "10": Design((10,)),
    "20": Design((20,)),
    "50": Design((50,)),
    "4 x 5": Design((5,) * 4),
    "10 x 2": Design((2,) * 10),
}
CROSSED = {
    f"{strata} x {seeds}, {shared}": Design((seeds,) * strata, shared=shared)
    for strata, seeds in ((4, 5), (4, 10), (12, 10))
    for shared in (0.0, 0.5, 0.9)
}
UNLIKE = {
    f"4 x {seeds}, {apart:g} apart{', crossed' * (shared is not None)}": Design((seeds,) * 4, apart, shared)
    for shared in (None, 0.5)
    for seeds in (5, 10)
    for apart in (1.0, 3.0)
}
SHARES = {
    "5": Design((5,)),
    "10": Design((10,)),
    "20": Design((20,)),
    "4 x 5": Design((5,) * 4),
    "4 x 5, 1 apart": Design((5,) * 4, 1.0),
    "4 x 5 crossed, 0": Design((5,) * 4, shared=0.0),
    "4 x 5 crossed, 0.5": Design((5,) * 4, shared=0.5),
    "4 x 10 crossed, 0.9": Design((10,) * 4, shared=0.9),
}


def tables(repetitions: int) -> Iterator[str]:
    """Yield the lines of the tables from which the docstrings of `interval` and `performance_profile` quote."""
    sizes = (5, 6, 10, 20, 50)
    yield "one setting" + " " * 21 + "".join(f"{size:8}" for size in sizes)
    for statistic, name in product(STATISTICS, DISTRIBUTIONS):
        if name.startswith("0/1") and statistic != "mean":
            continue
        covered = (coverage(name, statistic, Design((size,)), repetitions) for size in sizes)
        yield f"{statistic + ' ' + name:32}" + "".join(f"{share:8.3f}" for share in covered)
    cases = [(name, statistic) for name in ("normal", "lognormal") for statistic in STATISTICS]
    for title, designs in (
        ("strata with equal means, each with its own seeds", ALIKE),
        ("strata with the same seeds, and the share of the variance from the seed", CROSSED),
        ("strata with different means", UNLIKE),
    ):
        yield f"\n{title}\n" + " " * 32 + "".join(f"{' '.join(case):>18}" for case in cases)
        for name, design in designs.items():
            shares_covered = (coverage(*case, design, repetitions) for case in cases)
            yield f"{name:32}" + "".join(f"{share:18.3f}" for share in shares_covered)
    mixtures = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4), (1.0, 0.0), (0.0, 1.0))
    yield "\nseeds x data sets, and the shares of the variance from either" + "".join(
        f"{each!s:>12}" for each in mixtures
    )
    for statistic, (seeds, sets) in product(STATISTICS, ((5, 5), (5, 10), (10, 10), (20, 20))):
        covered = (two_way_coverage(statistic, seeds, sets, each, repetitions=repetitions) for each in mixtures)
        yield f"{f'{statistic} {seeds} x {sets}':20}" + "".join(f"{share:12.3f}" for share in covered)
    shares = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
    yield "\nbands of profiles at a true share\n" + " " * 32 + "".join(f"{share:8}" for share in shares)
    for name, design in SHARES.items():
        yield f"{name:32}" + "".join(f"{share_coverage(share, design, repetitions):8.3f}" for share in shares)
    yield f"\n{repetitions} repetitions: +- {1.96 * sqrt(0.95 * 0.05 / repetitions):.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2_000)
    for line in tables(parser.parse_args().repetitions):
        print(line, flush=True)
