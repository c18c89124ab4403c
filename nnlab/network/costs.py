"""Costs, each with its gradient with respect to the logits.

A cost is computed from the logits, never from the output activations: -log(sigmoid(z)) of a saturated output is
inf or NaN when taken from the activation (0 * log 0) and exact when taken from z.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nnlab.network.activations import Array, sigmoid

__all__ = ["COSTS", "Cost"]


class Cost(NamedTuple):
    """The output activation and the loss that belongs to it.

    encode(Y)
        Labels Y (n_y, m) in the form that the other two want: T, the same shape.
    loss(Z, T)
        Per-example loss (R, m) of the logits Z (R, n_y, m).
    differentiate(Z, T)
        Turns the logits into dZ in place: the gradient of each example's loss, without 1/m.
    output(Z)
        The output activations (R, n_y, m): probabilities, or the prediction itself.
    decide(Z)
        What the network answers (R, 1 or n_y, m): a class number, or the prediction itself.
    score(Z, Y)
        How good the answers are (R,): `score_name` is accuracy (0 to 1), or r2 (at most 1; 0 is the mean).
    """

    name: str
    encode: Callable[[Array], Array]
    loss: Callable[[Array, Array], Array]
    differentiate: Callable[[Array, Array], None]
    output: Callable[[Array], Array]
    decide: Callable[[Array], Array]
    score: Callable[[Array, Array], Array]
    score_name: str

    def mean(self, Z: Array, T: Array) -> Array:
        """Return the cost (R,): the mean loss.

        It is taken around the first example's loss, which makes the mean of equal losses exact: a network of zeros
        costs ln 2, not one rounding error less.
        """
        found = self.loss(Z, T)
        losses = found.astype(np.float64)  # in float32 small losses are lost beside a large first one
        first = losses[..., :1]
        first = np.where(np.isfinite(first), first, 0.0)
        mean: Array = (first + (losses - first).mean(axis=-1, keepdims=True))[..., 0]
        return mean.astype(found.dtype)


def _sign(Y: Array) -> Array:
    """-1 for class 1, +1 for class 0: then loss = log(1 + exp(T z)), whatever the class."""
    return 1.0 - 2.0 * Y


def _binary_loss(Z: Array, T: Array) -> Array:
    return np.logaddexp(0.0, T * Z).sum(axis=-2)


def _binary_differentiate(Z: Array, T: Array) -> None:
    # a - y = T / (1 + exp(-T z)): no difference of nearly equal numbers, so it does not underflow at a = y.
    np.multiply(Z, T, out=Z)
    np.negative(Z, out=Z)
    np.exp(Z, out=Z)
    np.add(Z, 1.0, out=Z)
    np.divide(T, Z, out=Z)


def _softmax_loss(Z: Array, T: Array) -> Array:
    true = (Z * T).sum(axis=-2, keepdims=True)
    return np.logaddexp.reduce(Z - true, axis=-2)


def _softmax_differentiate(Z: Array, T: Array) -> None:
    np.subtract(Z, Z.max(axis=-2, keepdims=True), out=Z)
    np.exp(Z, out=Z)
    total = Z.sum(axis=-2, keepdims=True)
    # The true class gets minus the sum of the others instead of a - 1, which underflows at a = 1.
    np.multiply(Z, 1.0 - T, out=Z)
    np.subtract(Z, T * Z.sum(axis=-2, keepdims=True), out=Z)
    np.divide(Z, total, out=Z)


def _softmax(Z: Array) -> Array:
    E = np.exp(Z - Z.max(axis=-2, keepdims=True))
    return E / E.sum(axis=-2, keepdims=True)


def _squared_loss(Z: Array, T: Array) -> Array:
    return np.square(Z - T).mean(axis=-2)


def _squared_differentiate(Z: Array, T: Array) -> None:
    np.subtract(Z, T, out=Z)
    np.multiply(Z, 2.0 / Z.shape[-2], out=Z)


def _exceeds_half(Z: Array) -> Array:
    return (Z > 0).astype(np.int64)


def _most_probable(Z: Array) -> Array:
    return Z.argmax(axis=-2)[..., None, :]


def _binary_accuracy(Z: Array, Y: Array) -> Array:
    # A logit that is not a number answers nothing: it counts as wrong, whatever the class.
    return np.mean((_exceeds_half(Z) == Y) & ~np.isnan(Z), axis=(-2, -1))


def _multiclass_accuracy(Z: Array, Y: Array) -> Array:
    return np.mean((Z.argmax(axis=-2) == Y.argmax(axis=-2)) & ~np.isnan(Z).any(axis=-2), axis=-1)


def _r2(Z: Array, Y: Array) -> Array:
    residual = np.square(Z - Y).sum(axis=(-2, -1))
    total = np.square(Y - Y.mean(axis=-1, keepdims=True)).sum()
    return 1.0 - residual / total if total > 0 else np.full(residual.shape, np.nan)


COSTS: dict[str, Cost] = {
    "binary": Cost(
        name="binary cross-entropy",
        encode=_sign,
        loss=_binary_loss,
        differentiate=_binary_differentiate,
        output=sigmoid,
        decide=_exceeds_half,
        score=_binary_accuracy,
        score_name="accuracy",
    ),
    "multiclass": Cost(
        name="cross-entropy",
        encode=np.copy,
        loss=_softmax_loss,
        differentiate=_softmax_differentiate,
        output=_softmax,
        decide=_most_probable,
        score=_multiclass_accuracy,
        score_name="accuracy",
    ),
    "regression": Cost(
        name="mean squared error",
        encode=np.copy,
        loss=_squared_loss,
        differentiate=_squared_differentiate,
        output=np.copy,
        decide=np.copy,
        score=_r2,
        score_name="r2",
    ),
}
"""The cost of each task. The task follows the labels: two classes, more classes, real numbers."""
