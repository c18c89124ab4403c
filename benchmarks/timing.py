"""Times of contestants that take turns on one problem, and ratios within each round."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.breakdown import PASSES, time_passes
from benchmarks.peers import (
    FLOOR,
    JAX,
    JAX_VMAP,
    NOTES,
    STACKED,
    Contestant,
    Jax,
    Nnlab,
    Problem,
    TanhPass,
    check_agreement,
    installed,
)
from nnlab import DataConfig, ModelConfig, RunConfig, TrainingConfig, load_dataset
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.seeding import stream
from nnlab.study.plan import prepare
from nnlab.study.stacking import plan_stacks

__all__ = [
    "ACTIVATIONS_TIMED",
    "COLUMNS",
    "RATIOS",
    "Cell",
    "Cells",
    "Column",
    "Effort",
    "Times",
    "measure",
    "problem_of",
    "ratios",
    "single_precision_contestants",
    "time_cell",
]

RATIOS = {
    "notes / nnlab stacked": (NOTES, (STACKED,)),
    "nnlab stacked / JAX vmap": (STACKED, (JAX_VMAP,)),
    "nnlab stacked / best of JAX": (STACKED, (JAX, JAX_VMAP)),
    "nnlab stacked / bare tanh pass": (STACKED, (FLOOR,)),
}
"""Numerator, and denominators: in each round the fastest of them counts."""

ACTIVATIONS_TIMED = ("tanh", "relu", "sigmoid")
LEARNING_RATE = 0.1
LARGEST = 64


class Column(NamedTuple):
    """A network shape, and the number of iterations in one turn."""

    title: str
    hidden_size: int
    depth: int
    iterations: int


COLUMNS = (
    Column("h = 4", 4, 1, 400),
    Column("h = 20", 20, 1, 200),
    Column("h = 50", 50, 1, 100),
    Column("five layers of 16", 16, 5, 50),
)


class Effort(NamedTuple):
    """How long to measure: rounds, rounds for the stack sizes, the stack sizes, and a divisor of the iterations."""

    rounds: int = 11
    size_rounds: int = 5
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, LARGEST)
    shorter: int = 1


Times = dict[str, list[float]]
"""Microseconds per iteration and run of each contestant, one value per round."""


class Cell(NamedTuple):
    """The measurements of one network shape with one activation.

    Attributes
    ----------
    times : of every contestant
    sizes : median time of nnlab by stack size
    planned : the stack size that a sweep would use
    passes : time of each pass of nnlab at the best stack size; empty for deep networks
    """

    times: Times
    sizes: dict[int, float]
    planned: int
    passes: dict[str, float]

    @property
    def best(self) -> int:
        """The fastest stack size."""
        return min(self.sizes, key=self.sizes.__getitem__)


Cells = dict[tuple[str, Column], Cell]


def problem_of(column: Column, activation: str, dtype: str = "float64") -> Problem:
    """Return the flower with networks of one shape, each with its own Xavier weights and zero biases."""
    data = load_dataset(DataConfig())
    sizes = (len(data.X), *[column.hidden_size] * column.depth, 1)
    drawn = [initialize(sizes, "xavier", 1.0, stream(seed, "bench")).flat for seed in range(LARGEST)]
    start = Parameters(sizes, np.concatenate(drawn).astype(dtype))
    return Problem(data.X.astype(dtype), data.Y.astype(dtype), start, activation, LEARNING_RATE, column.iterations)


def planned_size(column: Column, activation: str, dtype: str) -> int:
    """Return the stack size that nnlab plans for a large sweep on one worker."""
    model = ModelConfig(column.hidden_size, column.depth, activation=activation)
    configs = [RunConfig(seed=seed, model=model, training=TrainingConfig(dtype=dtype)) for seed in range(300)]
    return max(len(stack.jobs) for stack in plan_stacks(prepare(configs), n_jobs=1))


def measure(problem: Problem, peers: Mapping[str, Contestant], rounds: int) -> Times:
    """Warm up the contestants, check that they agree, then let them take turns."""
    for peer in peers.values():
        peer.advance()
    check_agreement(problem, peers)
    times: Times = {name: [] for name in peers}
    for _ in range(rounds):
        for name, peer in peers.items():
            start = time.perf_counter()
            peer.advance()
            times[name].append((time.perf_counter() - start) / problem.iterations / peer.runs * 1e6)
    return times


def time_cell(
    column: Column,
    activation: str,
    dtype: str,
    enter: Callable[[Problem, int], Mapping[str, Contestant]],
    effort: Effort,
) -> Cell:
    """Find the best stack size, then time nnlab with it beside the contestants that `enter` returns."""
    problem = problem_of(column._replace(iterations=max(2, column.iterations // effort.shorter)), activation, dtype)
    planned = planned_size(column, activation, dtype)
    stacks = {str(R): Nnlab(problem, R) for R in sorted({*effort.sizes, planned})}
    sizes = {int(R): median(times) for R, times in measure(problem, stacks, effort.size_rounds).items()}
    best = min(sizes, key=sizes.__getitem__)
    times = measure(problem, enter(problem, best), effort.rounds)
    return Cell(times, sizes, planned, _median_passes(problem, best, effort.rounds) if column.depth == 1 else {})


def _median_passes(problem: Problem, R: int, rounds: int) -> dict[str, float]:
    rows = [time_passes(problem, R) for _ in range(rounds)]
    return {name: median(one[name] for one in rows) for name in PASSES}


def single_precision_contestants(problem: Problem, R: int) -> dict[str, Contestant]:
    """Return the contestants of the float32 tables."""
    jax: dict[str, Contestant] = {JAX_VMAP: Jax(problem, 16)} if installed("jax") else {}
    return jax | {STACKED: Nnlab(problem, R), FLOOR: TanhPass(problem, R)}


def ratios(times: Times, name: str) -> list[float] | None:
    """Return a ratio of `RATIOS` for each round; None if one of its contestants is not installed."""
    over, under = RATIOS[name]
    if over not in times or not all(peer in times for peer in under):
        return None
    fastest = (min(row) for row in zip(*(times[peer] for peer in under), strict=True))
    return [a / b for a, b in zip(times[over], fastest, strict=True)]
