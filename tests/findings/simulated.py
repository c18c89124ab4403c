"""The coverage of the intervals, measured on simulated runs (`python tests/findings/simulated.py`)."""

import argparse
from collections.abc import Callable, Iterator
from math import sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from nnlab.findings.intervals import STATISTICS, interval
from nnlab.findings.statistics import performance_profile

__all__ = ["DISTRIBUTIONS", "Design", "coverage", "share_coverage"]

Array = NDArray[np.float64]

DISTRIBUTIONS: dict[str, Callable[[Array], Array]] = {"normal": lambda z: 3 + 2 * z, "lognormal": np.exp}
"""Functions from standard normal numbers to runs: normal ones, and skewed ones, as costs are."""


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
    return float(np.mean((low <= truth) & (truth <= high)))


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
    cases = [(name, statistic) for name in DISTRIBUTIONS for statistic in ("iqm", "median")]
    for title, designs in (
        ("strata with equal means, each with its own seeds", ALIKE),
        ("strata with the same seeds, and the share of the variance from the seed", CROSSED),
        ("strata with different means", UNLIKE),
    ):
        yield f"\n{title}\n" + " " * 32 + "".join(f"{' '.join(case):>18}" for case in cases)
        for name, design in designs.items():
            shares_covered = (coverage(*case, design, repetitions) for case in cases)
            yield f"{name:32}" + "".join(f"{share:18.3f}" for share in shares_covered)
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
