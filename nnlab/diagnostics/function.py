"""Function: how well the network predicts, how far its function is from an affine one, what it answers."""

from collections.abc import Iterator

import numpy as np

from nnlab.diagnostics.probe import Measurement
from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward, with_ones
from nnlab.network.training import Snapshot

__all__ = ["affine_residual", "majority", "on_test_data", "on_training_data"]


def on_training_data(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `cost/train` and `accuracy/train` (`r2/train` where the labels are real numbers).

    How to read it: if the cost stays at ln 2 (two balanced classes), nothing was learned. Training accuracy measures
    how well the examples are fitted, not how well new examples will be predicted.
    """
    yield from _performance("train", snapshot.cost, snapshot.Z[-1], snapshot.Y, snapshot.cost_function)


def on_test_data(
    parameters: Parameters, X_test: Array, Y_test: Array, activation: Activation, cost: Cost
) -> Iterator[Measurement]:
    """Yield `cost/test` and `accuracy/test` (or `r2/test`) on examples that were not used for training.

    Yield nothing if there are none: X_test (n_x, 0), Y_test (n_y, 0).
    """
    if not Y_test.size:
        return
    dtype = parameters.flat.dtype
    with np.errstate(all="ignore"):
        Z, _ = forward(parameters, X_test.astype(dtype), activation)
        Y = Y_test.astype(dtype)
        mean = cost.mean(Z[-1], cost.encode(Y))
    yield from _performance("test", mean, Z[-1], Y, cost)


def affine_residual(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `function/affine_residual`: 1 - R^2 of the logits regressed on the inputs and a constant.

    Softmax sees only differences between an example's logits, so their mean over the classes is subtracted first.

    How to read it: the share of the output's variance that no affine function of the inputs explains. Below 1e-2 the
    network is a linear model, whatever its activation; tanh with small weights is one for the first thousand
    iterations. Identity gives about 1e-30. A residual no larger than rounding is divided by the output's mean square
    instead of its variance. 0 if the output is constant, NaN if it or an input is not finite.
    """
    design = with_ones(snapshot.X.astype(np.float64)).T
    if not np.isfinite(design).all():  # beyond float32; LAPACK would not return
        yield "function/affine_residual", 0, np.full(len(snapshot.Z[-1]), np.nan)
        return
    U, strength, _ = np.linalg.svd(design, full_matrices=False)
    # A constant feature or a combination of others adds no direction: its column of U is arbitrary.
    basis = U[:, strength > strength[0] * max(design.shape) * np.finfo(np.float64).eps]
    with np.errstate(all="ignore"):
        logits = snapshot.Z[-1].astype(np.float64)
        seen = logits - logits.mean(axis=-2, keepdims=True) if snapshot.cost_function.relative else logits
        centred = seen - seen.mean(axis=-1, keepdims=True)
        residual = np.square(centred - (centred @ basis) @ basis.T).mean(axis=(-2, -1))
        variance = np.square(centred).mean(axis=(-2, -1))
        # The variation of an almost constant output is its rounding, which no affine function explains.
        rounding = np.square(2 * np.finfo(snapshot.Z[-1].dtype).eps * np.abs(logits).max(axis=(-2, -1)))
        whole = np.where(residual <= rounding, np.square(logits).mean(axis=(-2, -1)), variance)
        share = np.divide(residual, whole, out=np.zeros_like(whole), where=whole != 0)
    yield "function/affine_residual", 0, share


def majority(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `function/majority`: the share of the class that is answered most often. Classes only.

    How to read it: healthy is about the share of the largest class among the labels. 1 means that the network answers
    the same class for every example, so its accuracy is that class's share, however high that is. NaN if a logit is
    NaN.
    """
    cost, logits = snapshot.cost_function, snapshot.Z[-1]
    if cost.score_name == "accuracy":
        answers = cost.decide(logits)
        shares = [(answers == number).mean(axis=(-2, -1)) for number in range(max(logits.shape[-2], 2))]
        yield "function/majority", 0, np.where(np.isnan(logits).any(axis=(-2, -1)), np.nan, np.max(shares, axis=0))


def _performance(part: str, mean_loss: Array, logits: Array, Y: Array, cost: Cost) -> Iterator[Measurement]:
    yield f"cost/{part}", 0, mean_loss
    with np.errstate(all="ignore"):
        yield f"{cost.score_name}/{part}", 0, cost.score(logits, Y)
