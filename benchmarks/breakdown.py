"""Where the time of an iteration goes, pass by pass over the arrays."""

import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.peers import Problem
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.training import train

__all__ = ["COST", "PASSES", "REST", "SLOPE", "time_passes"]

PRODUCTS = ("the product W1 X", "the product W2 A", "the product for dW2", "the product for dW1")
"""The matrix products of an iteration with one hidden layer and one output unit, in order."""
ACTIVATE, SLOPE, COST = "the activation, in place", "its slope", "dz of the output"
REST = "the rest: dz times X, the update, Python"
PASSES = (PRODUCTS[0], ACTIVATE, PRODUCTS[1], COST, PRODUCTS[2], SLOPE, PRODUCTS[3], REST)


def time_passes(problem: Problem, R: int) -> dict[str, float]:
    """Return the microseconds of each pass, per iteration and network, in a stack of R with one hidden layer.

    This is nnlab's own training, called with functions that measure their time.
    """
    spent = dict.fromkeys(PASSES, 0.0)
    products = cycle(PRODUCTS)

    def timed(function: Callable[..., Any], name: Callable[[], str]) -> Callable[..., Any]:
        def call(*arrays: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arrays, **options)
            spent[name()] += time.perf_counter() - started
            return result

        return call

    activation, cost = ACTIVATIONS[problem.activation], COSTS["binary"]
    snapshots = train(
        Parameters(problem.start.sizes, problem.start.flat[:R].copy()),
        problem.X,
        problem.Y,
        activation=activation._replace(
            activate=timed(activation.activate, lambda: ACTIVATE), slope=timed(activation.slope, lambda: SLOPE)
        ),
        cost=cost._replace(differentiate=timed(cost.differentiate, lambda: COST)),
        learning_rate=problem.learning_rate,
        schedule=[problem.iterations, 2 * problem.iterations],
        product=timed(np.matmul, lambda: next(products)),
    )
    next(snapshots)
    spent.update(dict.fromkeys(PASSES, 0.0))
    started = time.perf_counter()
    next(snapshots)
    spent[REST] = time.perf_counter() - started - sum(spent.values())
    return {name: seconds / problem.iterations / R * 1e6 for name, seconds in spent.items()}
