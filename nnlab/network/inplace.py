"""One iteration of gradient descent for a whole stack, in buffers that are allocated once.

Temporary arrays would dominate the cost: the operating system provides every array beyond 128 KiB as fresh pages, and
the page faults cost more than the arithmetic.

A run in a stack equals the same run alone, bit for bit: a 3-D ``np.matmul`` calls the same BLAS kernel for each slice,
and everything else works within a slice. Never fold R into a matrix dimension: another shape may select another kernel
and change the last bits.
"""

from collections.abc import Sequence

import numpy as np

from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import Product

__all__ = ["Workspace", "iterate", "working_set"]


class Workspace:
    """The buffers of one iteration over m examples.

    For each hidden layer:

    - `A` (R, n + 1, m): activations above a row of ones
    - `Z` (R, n, m): the same memory without that row
    - `D` (R, n, m): slopes
    - `dZ` (R, n, m)

    `logits` (R, n_y, m) is overwritten with the output's dZ. `gradient` holds sums over the examples, not means.
    """

    def __init__(
        self, sizes: Sequence[int], R: int, m: int, dtype: np.typing.DTypeLike, product: Product = np.matmul
    ) -> None:
        hidden = sizes[1:-1]
        self.product = product
        self.A = [np.ones((R, n + 1, m), dtype) for n in hidden]
        self.Z = [A[:, :-1] for A in self.A]
        self.D = [np.empty((R, n, m), dtype) for n in hidden]
        self.factored = _is_factored(sizes)
        self.dZ = [np.empty((R, n, m), dtype) for n in (hidden[:-1] if self.factored else hidden)]
        self.weighted_A = np.empty((R, sizes[-3] + 1 if self.factored else 0, m), dtype)
        self.logits = np.empty((R, sizes[-1], m), dtype)
        self.gradient = Parameters.zeros(sizes, R, dtype)


def _is_factored(sizes: Sequence[int]) -> bool:
    """Return True if the last hidden layer's dZ is never written out (see `_backward_factored`).

    This trades two passes over the layer's n rows for one pass over its n_in + 1 input rows.
    """
    return len(sizes) > 2 and sizes[-1] == 1 and sizes[-3] + 1 <= 2 * sizes[-2]


def working_set(sizes: Sequence[int], m: int, itemsize: int) -> int:
    """Return the bytes that one network's widest layer touches; R times this should fit in the cache."""
    return max((3 * n + 1) * m * itemsize for n in (*sizes[1:-1], 1))


def iterate(
    parameters: Parameters, X1: Array, T: Array, activation: Activation, cost: Cost, step: Array, work: Workspace
) -> None:
    """Do one iteration in place: forward, backward, update.

    X1 (n_x + 1, m) or (R, n_x + 1, m) are the inputs above a row of ones, T are the encoded labels, and `step` (R, 1)
    are the learning rates divided by m.
    """
    _forward(parameters, X1, activation, work)
    cost.differentiate(work.logits, T)
    _backward(parameters, X1, activation, work)
    change = work.gradient.flat
    np.multiply(change, step, out=change)
    np.subtract(parameters.flat, change, out=parameters.flat)


def _forward(parameters: Parameters, X1: Array, activation: Activation, work: Workspace) -> None:
    A_in = X1
    for theta, Z, D, A in zip(parameters.theta, work.Z, work.D, work.A, strict=False):
        work.product(theta, A_in, out=Z)
        activation.activate(Z, D)
        A_in = A
    work.product(parameters.theta[-1], A_in, out=work.logits)


def _backward(parameters: Parameters, X1: Array, activation: Activation, work: Workspace) -> None:
    gradient, inputs = work.gradient.theta, [X1, *work.A]
    top = len(work.A)
    work.product(work.logits, inputs[top].swapaxes(-1, -2), out=gradient[top])
    if top and not work.factored:
        work.product(parameters.W[top].swapaxes(-1, -2), work.logits, out=work.dZ[top - 1])
    for layer in range(top - 1, -1, -1):
        D = work.D[layer]
        activation.slope(work.Z[layer], D)
        if work.factored and layer == top - 1:
            _backward_factored(parameters, inputs[layer], work)
            continue
        dZ = work.dZ[layer]  # holds dA, written by the layer above
        np.multiply(dZ, D, out=dZ)
        work.product(dZ, inputs[layer].swapaxes(-1, -2), out=gradient[layer])
        if layer:
            work.product(parameters.W[layer].swapaxes(-1, -2), dZ, out=work.dZ[layer - 1])


def _backward_factored(parameters: Parameters, A_in: Array, work: Workspace) -> None:
    """Propagate back through the last hidden layer of a network with one output unit.

    The layer's dZ is w g'(Z) dz: the outer product of the outgoing weights w and the output's dz, times the slope. It
    is never written out, because both products that need it can apply w and dz on their small sides:

        dtheta = w (g'(Z) @ (dz A_in)^T)        W^T dZ = ((w W)^T @ g'(Z)) dz
    """
    layer = len(work.A) - 1
    w, dz, D, dtheta = parameters.W[-1].swapaxes(-1, -2), work.logits, work.D[layer], work.gradient.theta[layer]
    np.multiply(dz, A_in, out=work.weighted_A)
    work.product(D, work.weighted_A.swapaxes(-1, -2), out=dtheta)
    np.multiply(dtheta, w, out=dtheta)
    if layer:
        dA = work.dZ[layer - 1]
        work.product((w * parameters.W[layer]).swapaxes(-1, -2), D, out=dA)
        np.multiply(dA, dz, out=dA)
