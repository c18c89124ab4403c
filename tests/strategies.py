"""Data, networks and hypothesis strategies for tests of the core."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import ARITHMETICS
from nnlab.network.training import Snapshot, train

Array = NDArray[np.floating]


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def labelled(task: str, n_y: int, m: int, rng: np.random.Generator) -> Array:
    """Return labels (n_y, m) for a task: 0 or 1, one-hot columns, or real numbers."""
    if task == "binary":
        return rng.integers(0, 2, (n_y, m)).astype(float)
    if task == "multiclass":
        return np.eye(n_y)[:, rng.integers(0, n_y, m)]
    return rng.standard_normal((n_y, m))


def random_networks(sizes: tuple[int, ...], R: int, rng: np.random.Generator, dtype: Any = np.float64) -> Parameters:
    """Return R networks whose signals neither vanish nor explode.

    The biases are random, because zero biases put relu on its kink.
    """
    parameters = Parameters.zeros(sizes, R, dtype)
    for W, b in zip(parameters.W, parameters.b, strict=True):
        W[...] = rng.standard_normal(W.shape) / np.sqrt(W.shape[-1])
        b[...] = 0.5 * rng.standard_normal(b.shape)
    return parameters


def constant_network(sizes: tuple[int, ...], scale: float, dtype: Any = np.float64) -> Parameters:
    """Return one network of equal weights."""
    network = initialize(sizes, "constant", scale, generator(0))
    return Parameters(sizes, network.flat.astype(dtype))


def single(parameters: Parameters, run: int) -> Parameters:
    """Return a copy of one network of a stack."""
    return Parameters(parameters.sizes, parameters.flat[run : run + 1].copy())


def trained(parameters: Parameters, X: Array, Y: Array, iterations: int, **choices: Any) -> Snapshot:
    """Train a copy of `parameters` and return the last snapshot; activation and cost are given by name."""
    named = {"activation": ACTIVATIONS[choices.pop("activation")], "cost": COSTS[choices.pop("cost")]}
    *_, last = train(parameters.copy(), X, Y, schedule=[iterations], **named, **choices)
    return last


def flower(m: int = 400, seed: int = 1) -> tuple[Array, Array]:
    """Return the course's flower, implemented independently: X (2, m) and Y (1, m), m / 2 points of each class."""
    rng = np.random.RandomState(seed)
    petals = []
    for j in range(2):
        t = np.linspace(j * 3.12, (j + 1) * 3.12, m // 2) + 0.2 * rng.randn(m // 2)
        r = 4 * np.sin(4 * t) + 0.2 * rng.randn(m // 2)
        petals.append([r * np.sin(t), r * np.cos(t)])
    return np.concatenate(petals, axis=1), np.repeat([[0.0, 1.0]], m // 2, axis=1)


class Stack(NamedTuple):
    """R networks, their data and their training options."""

    parameters: Parameters
    X: Array
    Y: Array
    choices: dict[str, Any]
    batch_seeds: list[int]

    def final(self, runs: list[int] | None = None, iterations: int = 7, **changes: Any) -> Array:
        """Return `flat` after training only these runs together."""
        runs = list(range(len(self.parameters.flat))) if runs is None else runs
        choices = self.choices | changes
        choices["learning_rate"] = np.asarray(choices["learning_rate"])[runs]
        choices["rngs"] = [generator(self.batch_seeds[run]) for run in runs]
        networks = Parameters(self.parameters.sizes, self.parameters.flat[runs])
        return trained(networks, self.X, self.Y, iterations, **choices).parameters.flat


TASKS = [("binary", 1), ("multiclass", 3), ("regression", 1), ("regression", 2)]
activations = st.sampled_from(list(ACTIVATIONS))
tasks = st.sampled_from(TASKS)
seeds = st.integers(0, 2**32 - 1)
widths = st.one_of(st.integers(1, 12), st.sampled_from([16, 17, 31, 33, 50, 64, 65]))


@st.composite
def stacks(draw: st.DrawFn, max_depth: int = 3, dtypes: tuple[str, ...] = ("float64", "float32")) -> Stack:
    rng = generator(draw(seeds))
    R, depth, m = draw(st.integers(1, 5)), draw(st.integers(0, max_depth)), draw(st.integers(1, 70))
    task, n_y = draw(tasks)
    n_x = draw(st.integers(1, 4))
    sizes = (n_x, *(draw(widths) for _ in range(depth)), n_y)
    choices = {
        "activation": draw(activations),
        "cost": task,
        "learning_rate": rng.uniform(1e-4, 2e-3, R),  # small enough not to diverge, since NaN has several bit patterns
        "batch_size": draw(st.one_of(st.none(), st.just(1), st.integers(1, m))),
        "product": ARITHMETICS[draw(st.sampled_from(list(ARITHMETICS)))],
    }
    parameters = random_networks(sizes, R, rng, draw(st.sampled_from(dtypes)))
    X, Y = rng.standard_normal((n_x, m)), labelled(task, n_y, m, rng)
    return Stack(parameters, X, Y, choices, [int(s) for s in rng.integers(0, 2**32, R)])
