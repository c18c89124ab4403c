"""Which units are one unit: canonical forms of hidden layers, and classes of units that are nearly equal."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.network.activations import Activation, Array
from nnlab.network.parameters import Parameters

__all__ = ["NEAR", "Layer", "canonical_layers", "classes", "count_classes", "owned_by_units"]

NEAR = 1e-6
"""Two units are one when they differ by less than this share of the layer's largest number."""

Labels = NDArray[np.intp]


def owned_by_units(parameters: Parameters, layer: int) -> Array:
    """Return F (R, n_l, n_in + 1 + n_out): all that each unit of hidden layer `layer` owns.

    Row i holds its incoming weights, bias and outgoing weights. Units with equal rows compute the same and receive the
    same gradient, so gradient descent cannot tell them apart.
    """
    return np.concatenate([parameters.theta[layer - 1], parameters.W[layer].swapaxes(-1, -2)], axis=-1)


class Layer(NamedTuple):
    """The units of one hidden layer, as the network's function sees them.

    `functions` (R, n) and `units` (R, n) number the classes: each unit carries the smallest index of its class.
    Equal `functions`: the two compute the same of the inputs. Equal `units`: they are exchangeable, their outgoing
    weights agree as well. `known` (R,) is False where the layer holds inf or NaN; there the numbers say nothing.
    """

    functions: Labels
    units: Labels
    known: NDArray[np.bool_]


def count_classes(labels: Labels) -> Array:
    """Return how many classes there are in each row of labels (R, n)."""
    return np.asarray((labels == np.arange(labels.shape[1])).sum(axis=1), dtype=float)


def canonical_layers(parameters: Parameters, activation: Activation) -> Iterator[Layer]:
    """Yield the classes of each hidden layer after removing what the activation cannot see.

    tanh is odd: (w, b, v) and (-w, -b, -v) are one unit; so it is for sigmoid, up to a bias of the next layer. relu
    and leaky relu are homogeneous: (a w, a b, v / a) is the same unit for every a > 0. In deeper layers the weights to
    units that compute the same are added up first.
    """
    theta: Array = parameters.theta[0].astype(np.float64)
    with np.errstate(all="ignore"):
        for layer in range(1, len(parameters.W)):
            outgoing = parameters.W[layer].swapaxes(-1, -2).astype(np.float64)
            incoming, factor = _canonical(theta, activation)
            known = _finite(theta) & _finite(outgoing)
            functions = classes(incoming, known)
            yield Layer(functions, classes(_owned(incoming, factor * outgoing, activation), known), known)
            theta = _merge(parameters.theta[layer].astype(np.float64), functions, factor[:, :, 0], activation)


def _finite(values: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values).all(axis=(1, 2)))


def _canonical(theta: Array, activation: Activation) -> tuple[Array, Array]:
    """Return canonical [w, b] and, for each unit, the factor (R, n, 1) by which its activation has changed."""
    if activation.centre is not None:
        # A generic direction: the sign of a single entry would flip between units that differ by rounding around 0.
        direction = np.cos(np.arange(1, theta.shape[-1] + 1))
        sign = np.where(theta @ direction < 0, -1.0, 1.0)[:, :, None]
        return sign * theta, sign
    if activation.homogeneous:
        largest = np.abs(theta).max(axis=-1, keepdims=True)
        size = largest * np.sqrt(np.square(_ratio(theta, largest)).sum(axis=-1, keepdims=True))
        return _ratio(theta, size), size
    return theta, np.ones((*theta.shape[:2], 1))


def _owned(incoming: Array, outgoing: Array, activation: Activation) -> Array:
    if activation.homogeneous:  # all of the size is in the outgoing weights; share it out again
        largest = np.abs(outgoing).max(axis=-1, keepdims=True)
        half = np.sqrt(largest)
        return np.concatenate([incoming * half, _ratio(outgoing, half)], axis=-1)
    return np.concatenate([incoming, outgoing], axis=-1)


def _ratio(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _merge(theta: Array, labels: Labels, factor: Array, activation: Activation) -> Array:
    """Return [W, b] with the columns of units that compute the same added up into the first of them."""
    W, b = theta[:, :, :-1], theta[:, :, -1:]
    if activation.centre:  # sigmoid(-z) = 1 - sigmoid(z): the 1 goes to the bias
        b = b + 2 * activation.centre * (W * (factor[:, None, :] < 0)).sum(axis=-1, keepdims=True)
    W = W * factor[:, None, :]
    if (labels != np.arange(labels.shape[1])).any():
        fold = (labels[:, :, None] == np.arange(labels.shape[1])).astype(float)
        W = W @ fold
    return np.concatenate([W, b], axis=-1)


def classes(points: Array, known: NDArray[np.bool_]) -> Labels:
    """Return labels (R, n) of points (R, n, k) by single linkage: linked where no coordinate differs by more than
    NEAR times the largest number of the run. A label is the smallest index of its class; rows that are not `known`
    are all different.
    """
    R, n, k = points.shape
    largest = np.abs(points).max(axis=(1, 2))
    known = known & np.isfinite(largest)
    # In units of the largest number nothing overflows.
    points = np.where(known[:, None, None], points / np.where(largest > 0, largest, 1.0)[:, None, None], 0.0)
    # Linked points are close in every projection, so a gap in one parts the classes; most layers end here.
    direction = np.sin(np.arange(1, k + 1))
    projected = points @ direction
    projected[~known] = 2 * np.abs(direction).sum() * np.arange(n)
    order = projected.argsort(axis=1)
    gaps = np.diff(np.take_along_axis(projected, order, axis=1), axis=1) > NEAR * np.abs(direction).sum() * (1 + 1e-6)
    labels = np.broadcast_to(np.arange(n), (R, n)).copy()
    if gaps.all():
        return labels
    first = np.concatenate([np.ones((R, 1), dtype=bool), gaps], axis=1).ravel()
    starts = np.flatnonzero(first)
    rows = (order + n * np.arange(R)[:, None]).ravel()
    ordered = points.reshape(R * n, k)[rows]
    spread = (np.maximum.reduceat(ordered, starts) - np.minimum.reduceat(ordered, starts)).max(axis=1)
    block = np.cumsum(first) - 1
    flat = labels.reshape(-1)
    flat[rows] = np.minimum.reduceat(rows % n, starts)[block]
    for number in np.flatnonzero(spread > NEAR):
        members = rows[block == number]
        flat[members] = _single_linkage(points.reshape(R * n, k)[members], members % n)
    return labels


def _single_linkage(points: Array, indices: Labels) -> Labels:
    from scipy.cluster.hierarchy import fcluster, linkage

    found = fcluster(linkage(points, "single", "chebyshev"), NEAR, "distance")
    smallest = np.full(found.max() + 1, indices.max())
    np.minimum.at(smallest, found, indices)
    return smallest[found]
