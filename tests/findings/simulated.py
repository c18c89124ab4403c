"""How often the intervals contain the truth, on simulated runs (`python tests/findings/simulated.py`)."""

import argparse
from collections.abc import Callable, Iterator
from math import exp, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from nnlab.findings.statistics import interval

__all__ = ["STATISTICS", "Distribution", "coverage", "distributions"]

STATISTICS = ("iqm", "median")


class Distribution(NamedTuple):
    """Where runs are drawn from, and the statistics of infinitely many of them."""

    draw: Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]
    truth: dict[str, float]


def distributions() -> dict[str, Distribution]:
    """Return normal runs, and lognormal ones: skewed, as costs are."""
    quartile = float(norm.ppf(0.75))
    middle = exp(0.5) * float(norm.cdf(quartile - 1) - norm.cdf(-quartile - 1)) / 0.5
    return {
        "normal": Distribution(lambda rng, shape: rng.normal(3.0, 2.0, shape), {"iqm": 3.0, "median": 3.0}),
        "lognormal": Distribution(lambda rng, shape: rng.lognormal(0.0, 1.0, shape), {"iqm": middle, "median": 1.0}),
    }


def coverage(
    distribution: Distribution,
    statistic: str,
    strata: tuple[int, ...],
    method: str = "percentile",
    repetitions: int = 2_000,
    seed: int = 0,
) -> float:
    """Return the share of repetitions whose 95 % interval contains the truth; strata of so many runs each."""
    rng = np.random.default_rng(seed)
    runs = [distribution.draw(rng, (repetitions, size)) for size in strata]
    _, low, high = interval(runs, statistic, method=method, resamples=1_000, rng=rng)
    truth = distribution.truth[statistic]
    return float(np.mean((low <= truth) & (truth <= high)))


def rows(repetitions: int) -> Iterator[str]:
    """Yield the table of the docstring of `interval`, line by line."""
    designs = {"5": (5,), "10": (10,), "20": (20,), "50": (50,), "4 x 5": (5,) * 4, "10 x 2": (2,) * 10}
    yield f"    {'':10}{'':12}" + "".join(f"{name:>8}" for name in designs) + "   runs"
    for name, distribution in distributions().items():
        for statistic in STATISTICS:
            for method in ("percentile", "bca"):
                shares = (coverage(distribution, statistic, strata, method, repetitions) for strata in designs.values())
                yield f"    {name:10}{statistic:7}{method:11}" + "".join(f"{share:8.3f}" for share in shares)
    yield f"    {repetitions} repetitions: +- {1.96 * sqrt(0.95 * 0.05 / repetitions):.3f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2_000)
    for row in rows(parser.parse_args().repetitions):
        print(row, flush=True)
