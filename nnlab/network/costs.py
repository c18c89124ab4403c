"""Costs, each with its gradient with respect to the logits.

A cost is computed from the logits, never from the output activations. For a saturated output, -log(sigmoid(z)) is
exact when computed from z, and inf or NaN (0 * log 0) when computed from the activation.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nnlab.network.activations import Array, sigmoid

__all__ = ["COSTS", "Cost"]


class Cost(NamedTuple):
    """An output activation and its loss.

    encode(Y)
        Return the targets T (n_y, m): the labels Y (n_y, m) in the form that `loss` and `differentiate` take.
    loss(Z, T)
        Return the loss of each example (R, m) for the logits Z (R, n_y, m).
    differentiate(Z, T)
        Overwrite the logits with dZ, the gradient of each example's loss, without 1/m.
    output(Z)
        Return the output activations (R, n_y, m): probabilities, or the predicted values.
    decide(Z)
        Return the predictions (R, 1 or n_y, m): class numbers, or the predicted values.
    score(Z, Y)
        Return the score (R,) named by `score_name`: accuracy (0 to 1), or r2 (at most 1; predicting the mean gives 0).
    relative
        True if only differences between an example's logits matter (softmax).
    """

    name: str
    encode: Callable[[Array], Array]
    loss: Callable[[Array, Array], Array]
    differentiate: Callable[[Array, Array], None]
    output: Callable[[Array], Array]
    decide: Callable[[Array], Array]
    score: Callable[[Array, Array], Array]
    score_name: str
    relative: bool = False

    def mean(self, Z: Array, T: Array) -> Array:
        """Return the cost (R,): the mean loss.

        Losses are averaged as differences from the first one, which makes the mean of equal losses exact: a network of
        zeros costs ln 2, not one rounding error less.
        """
        losses = self.loss(Z, T)
        dtype = losses.dtype
        losses = losses.astype(np.float64)  # in float32 small losses are lost beside a large first one
        first = losses[..., :1]
        first = np.where(np.isfinite(first), first, 0.0)
        mean: Array = (first + (losses - first).mean(axis=-1, keepdims=True))[..., 0]
        return mean.astype(dtype)


def _sign(Y: Array) -> Array:
    """Return -1 for class 1 and +1 for class 0, so that loss = log(1 + exp(T z)) for both classes."""
    return 1.0 - 2.0 * Y


def _binary_loss(Z: Array, T: Array) -> Array:
    return np.logaddexp(0.0, T * Z).sum(axis=-2)


def _binary_differentiate(Z: Array, T: Array) -> None:
    # a - y = T / (1 + exp(-T z)) subtracts no nearly equal numbers, so it does not underflow near a = y.
    np.multiply(Z, T, out=Z)
    np.negative(Z, out=Z)
    np.exp(Z, out=Z)
    np.add(Z, 1.0, out=Z)
    np.divide(T, Z, out=Z)


def _softmax_loss(Z: Array, T: Array) -> Array:
    # A product Z * T would turn -inf, a class with probability 0, into NaN.
    true = np.where(T != 0, Z, 0.0).sum(axis=-2, keepdims=True)
    return np.logaddexp.reduce(Z - true, axis=-2)


def _softmax_differentiate(Z: Array, T: Array) -> None:
    np.subtract(Z, Z.max(axis=-2, keepdims=True), out=Z)
    np.exp(Z, out=Z)
    total = Z.sum(axis=-2, keepdims=True)
    # The true class gets minus the sum of the others; a - 1 would underflow near a = 1.
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
    # A NaN logit counts as wrong for either class.
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
        relative=True,
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
"""The cost of each task. The labels decide the task: two classes, more classes or real numbers."""
