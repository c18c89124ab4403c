"""Function: what the network has become, seen from outside."""

from collections.abc import Iterator

import numpy as np

from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.network.training import Snapshot

__all__ = ["on_test_data", "on_training_data"]


def on_training_data(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `cost/train` and `accuracy/train` (`r2/train` where the labels are real numbers).

    How to read it: a cost that stays at ln 2 (two balanced classes) has learned nothing. Training accuracy says how
    well the examples were fitted, not how well others will be.
    """
    yield from _performance("train", snapshot.Z[-1], snapshot.Y, snapshot.cost_function)


def on_test_data(
    parameters: Parameters, X_test: Array, Y_test: Array, activation: Activation, cost: Cost
) -> Iterator[tuple[str, int, Array]]:
    """Yield `cost/test` and `accuracy/test` (or `r2/test`) on examples that were not trained on."""
    dtype = parameters.flat.dtype
    with np.errstate(all="ignore"):
        Z, _ = forward(parameters, X_test.astype(dtype), activation)
    yield from _performance("test", Z[-1], Y_test.astype(dtype), cost)


def _performance(part: str, logits: Array, Y: Array, cost: Cost) -> Iterator[tuple[str, int, Array]]:
    with np.errstate(all="ignore"):
        yield f"cost/{part}", 0, cost.loss(logits, cost.encode(Y)).mean(axis=-1)
        yield f"{cost.score_name}/{part}", 0, cost.score(logits, Y)
