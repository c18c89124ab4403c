"""Snapshots of random stacks for tests of probes."""

import numpy as np

from nnlab.diagnostics import measure
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.training import Snapshot


def snapshot(parameters: Parameters, activation: str = "tanh", task: str = "binary", m: int = 40) -> Snapshot:
    """Return a snapshot of the stack at iteration 0 on random examples of a task."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((parameters.sizes[0], m))
    n_y = parameters.sizes[-1]
    if task == "regression":
        Y = rng.standard_normal((n_y, m))
    else:
        classes = rng.integers(0, max(n_y, 2), m)
        Y = np.eye(n_y)[classes].T if n_y > 1 else classes[None, :].astype(float)
    rate = np.full(len(parameters.flat), 1.2)
    return Snapshot(0, parameters, parameters.copy(), X, Y, ACTIVATIONS[activation], COSTS[task], rate)


def random_stack(sizes: tuple[int, ...] = (2, 6, 5, 1), R: int = 3) -> Parameters:
    """Return R networks with standard normal weights and biases."""
    parameters = Parameters.zeros(sizes, R)
    parameters.flat[...] = np.random.default_rng(1).standard_normal(parameters.flat.shape)
    return parameters


def values(state: Snapshot, preset: str = "standard") -> dict[tuple[str, int], Array]:
    """Return the measurements of a preset, by quantity and layer."""
    return {(quantity, layer): value for quantity, layer, value in measure(state, preset)}
