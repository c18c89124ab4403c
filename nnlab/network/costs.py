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
    """

    name: str
    encode: Callable[[Array], Array]
    loss: Callable[[Array, Array], Array]
    differentiate: Callable[[Array, Array], None]
    output: Callable[[Array], Array]


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


COSTS: dict[str, Cost] = {
    "binary": Cost("binary cross-entropy", _sign, _binary_loss, _binary_differentiate, sigmoid),
    "multiclass": Cost("cross-entropy", np.copy, _softmax_loss, _softmax_differentiate, _softmax),
    "regression": Cost("mean squared error", np.copy, _squared_loss, _squared_differentiate, np.copy),
}
"""The cost of each task. The task follows the labels: two classes, more classes, real numbers."""
