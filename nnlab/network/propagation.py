"""Textbook forward and backward propagation, on stacks of networks.

Every array carries a leading stack axis R. `W A + b` is written `theta @ A`, with the bias as last column of theta and
a row of ones below A. These functions return new arrays; snapshots, predictions and the course's functions use them.
Training uses the same formulas in place (`inplace.py`), and the tests compare the two.
"""

from collections.abc import Callable

import numpy as np

from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters

__all__ = ["ARITHMETICS", "Product", "backward", "forward", "predict", "product_in_order", "with_ones"]

Product = Callable[..., Array]


def product_in_order(a: Array, b: Array, out: Array | None = None) -> Array:
    """Multiply like ``np.matmul``, but sum every entry in the same order.

    BLAS works in blocks. Its edge kernels sum the last few rows or columns in another order than the rest, so equal
    rows can give results that differ in the last bit. ``einsum`` runs one plain loop over all entries: equal rows give
    equal rows, and equal columns give equal columns.
    """
    return np.einsum("...ij,...jk->...ik", a, b, out=out)


ARITHMETICS: dict[str, Product] = {"blas": np.matmul, "exact": product_in_order}
"""Matrix products by their name in `training.arithmetic`: `blas` is fast, `exact` keeps equal units bitwise equal."""


def with_ones(X: Array) -> Array:
    """Return X (..., n, m) with a row of ones below it, which multiplies the bias column of theta."""
    return np.concatenate([X, np.ones((*X.shape[:-2], 1, X.shape[-1]), X.dtype)], axis=-2)


def forward(
    parameters: Parameters, X: Array, activation: Activation, product: Product = np.matmul
) -> tuple[list[Array], list[Array]]:
    """Return the logits Z and the hidden activations A of every layer.

    X is (n_x, m), shared by the stack, or (R, n_x, m). Z[l-1] and A[l-1] are (R, n_l, m). The last Z holds the
    output's logits and has no A, because the output activation belongs to the cost.
    """
    Z, A = [], []
    A_in = X
    for theta in parameters.theta:
        Z.append(product(theta, with_ones(A_in)))
        if len(Z) < len(parameters.theta):
            A_in = activation.value(Z[-1])
            A.append(A_in)
    return Z, A


def backward(
    parameters: Parameters,
    X: Array,
    T: Array,
    Z: list[Array],
    A: list[Array],
    activation: Activation,
    cost: Cost,
    product: Product = np.matmul,
) -> tuple[list[Array], Parameters]:
    """Return dZ of every layer and the gradient of the cost, in the layout of the parameters.

    T (n_y, m) are the encoded labels. dZ[l-1] (R, n_l, m) is the back-propagated signal, without 1/m; the gradient
    [dW, db] carries 1/m.
    """
    m = X.shape[-1]
    gradient = Parameters.zeros(parameters.sizes, len(parameters.flat), parameters.flat.dtype)
    dZ: list[Array] = []
    signal = Z[-1].copy()
    cost.differentiate(signal, T)
    for layer in range(len(Z) - 1, -1, -1):
        dZ.insert(0, signal)
        A_in = A[layer - 1] if layer else X
        gradient.theta[layer][...] = product(signal, with_ones(A_in).swapaxes(-1, -2)) / m
        if layer:
            dA = product(parameters.W[layer].swapaxes(-1, -2), signal)
            signal = dA * activation.derivative(Z[layer - 1])
    return dZ, gradient


def predict(parameters: Parameters, X: Array, activation: Activation, cost: Cost) -> Array:
    """Return the networks' predictions for X (n_x, m).

    For classes: class numbers (R, 1, m). With two classes, 1 where the probability of class 1 exceeds 0.5; with more,
    the most probable class. For real labels: the outputs (R, n_y, m).
    """
    Z, _ = forward(parameters, X, activation)
    return cost.decide(Z[-1])
