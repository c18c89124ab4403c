"""Function: what the network has become, seen from outside."""

from collections.abc import Iterator

import numpy as np

from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward, with_ones
from nnlab.network.training import Snapshot

__all__ = ["affine_residual", "on_test_data", "on_training_data"]


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


def affine_residual(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `function/affine_residual`: 1 - R^2 of the logits regressed on the inputs and a constant.

    How to read it: the share of the network's answer that no straight line gives. Below 1e-2 the network is a linear
    model, whatever its activation (tanh with small weights is one for the first thousand iterations); identity gives
    about 1e-30. 0 where the answer is constant, NaN where it is not finite.
    """
    design = with_ones(snapshot.X.astype(np.float64)).T
    U, strength, _ = np.linalg.svd(design, full_matrices=False)
    # A feature that is constant or a combination of others spans nothing: its column of U is arbitrary.
    basis = U[:, strength > strength[0] * max(design.shape) * np.finfo(np.float64).eps]
    with np.errstate(all="ignore"):
        logits = snapshot.Z[-1].astype(np.float64)
        logits = logits - logits.mean(axis=-1, keepdims=True)
        residual = logits - (logits @ basis) @ basis.T
        total = np.square(logits).sum(axis=(-2, -1))
        share = np.divide(np.square(residual).sum(axis=(-2, -1)), total, out=np.zeros_like(total), where=total != 0)
    yield "function/affine_residual", 0, share


def _performance(part: str, logits: Array, Y: Array, cost: Cost) -> Iterator[tuple[str, int, Array]]:
    with np.errstate(all="ignore"):
        yield f"cost/{part}", 0, cost.loss(logits, cost.encode(Y)).mean(axis=-1)
        yield f"{cost.score_name}/{part}", 0, cost.score(logits, Y)
