"""Where an iteration's time goes, pass by pass."""

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

__all__ = ["COST", "PASSES", "REST", "SLOPE", "passes"]

PRODUCTS = ("the product W1 X", "the product W2 A", "the product for dW2", "the product for dW1")
"""What `iterate` multiplies for one hidden layer and one output unit, in this order."""
ACTIVATE, SLOPE, COST = "the activation, in place", "its slope", "dz of the output"
REST = "the rest: dz times X, the update, Python"
PASSES = (PRODUCTS[0], ACTIVATE, PRODUCTS[1], COST, PRODUCTS[2], SLOPE, PRODUCTS[3], REST)


def passes(problem: Problem, R: int) -> dict[str, float]:
    """Return the microseconds per iteration and network of each pass, in a stack of R with one hidden layer.

    The training is the real one; the functions that it is given are timed as they are called.
    """
    spent = dict.fromkeys(PASSES, 0.0)
    in_turn = cycle(PRODUCTS)

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
        product=timed(np.matmul, lambda: next(in_turn)),
    )
    next(snapshots)
    spent.update(dict.fromkeys(PASSES, 0.0))
    started = time.perf_counter()
    next(snapshots)
    spent[REST] = time.perf_counter() - started - sum(spent.values())
    return {name: seconds / problem.iterations / R * 1e6 for name, seconds in spent.items()}
