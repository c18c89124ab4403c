"""Which hidden units are equal: canonical forms of layers, and classes of units that are nearly equal."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.network.activations import Activation, Array
from nnlab.network.parameters import Parameters

__all__ = ["NEAR", "UnitClasses", "classes", "classify_units", "count_classes", "unit_parameters"]

NEAR = 1e-6
"""Two units are equal if they differ by no more than this share of the layer's largest number."""

Labels = NDArray[np.intp]


def unit_parameters(parameters: Parameters, layer: int) -> Array:
    """Return F (R, n_l, n_in + 1 + n_out), the parameters of each unit of hidden layer `layer`.

    Row i holds the incoming weights, bias and outgoing weights of unit i. Units with equal rows compute the same and
    receive the same gradient, so gradient descent cannot separate them.
    """
    return np.concatenate([parameters.theta[layer - 1], parameters.W[layer].swapaxes(-1, -2)], axis=-1)


class UnitClasses(NamedTuple):
    """The classes of equal units in one hidden layer. A unit's label is the smallest index in its class.

    - `functions` (R, n): units with equal labels compute the same function of the inputs
    - `units` (R, n): units with equal labels are exchangeable, because their outgoing weights agree as well. These
      classes refine those of `functions`: outgoing weights of 0 hide no difference between two functions.
    - `finite` (R,): False if the layer holds inf or NaN; its labels then have no meaning
    """

    functions: Labels
    units: Labels
    finite: NDArray[np.bool_]


def count_classes(labels: Labels) -> Array:
    """Return the number of classes in each row of labels (R, n)."""
    return np.asarray((labels == np.arange(labels.shape[1])).sum(axis=1), dtype=float)


def classify_units(parameters: Parameters, activation: Activation) -> Iterator[UnitClasses]:
    """Yield the classes of each hidden layer, after removing differences that do not change the network's function.

    - tanh is odd: (w, b, v) and (-w, -b, -v) are the same unit. For sigmoid they differ by a bias of the next layer.
    - relu and leaky relu are homogeneous: (a w, a b, v / a) is the same unit for every a > 0.
    - In deeper layers, the weights from units that compute the same are first added up.
    """
    theta: Array = parameters.theta[0].astype(np.float64)
    with np.errstate(all="ignore"):
        for layer in range(1, len(parameters.W)):
            outgoing = parameters.W[layer].swapaxes(-1, -2).astype(np.float64)
            incoming, factor = _canonical(theta, activation)
            finite = _is_finite(theta) & _is_finite(outgoing)
            functions = classes(incoming, finite)
            units = classes(_canonical_units(incoming, factor * outgoing, activation), finite)
            yield UnitClasses(functions, _intersection(units, functions), finite)
            theta = _merge(parameters.theta[layer].astype(np.float64), functions, factor[:, :, 0], activation)


def _intersection(a: Labels, b: Labels) -> Labels:
    """Return labels (R, n) of the classes that are equal in both a and b."""
    R, n = a.shape
    both = (n * np.arange(R)[:, None] + a) * n + b
    _, first, members = np.unique(both, return_index=True, return_inverse=True)
    return np.asarray(first[members].reshape(R, n) % n)


def _is_finite(values: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values).all(axis=(1, 2)))


def _canonical(theta: Array, activation: Activation) -> tuple[Array, Array]:
    """Return canonical [w, b], and for each unit the factor (R, n, 1) that its activation has lost."""
    if activation.centre is not None:
        # A generic direction, because the sign of a single entry near 0 would depend on rounding.
        direction = np.cos(np.arange(1, theta.shape[-1] + 1))
        sign = np.where(theta @ direction < 0, -1.0, 1.0)[:, :, None]
        return sign * theta, sign
    if activation.homogeneous:
        largest = np.abs(theta).max(axis=-1, keepdims=True)
        size = largest * np.sqrt(np.square(_ratio(theta, largest)).sum(axis=-1, keepdims=True))
        return _ratio(theta, size), size
    return theta, np.ones((*theta.shape[:2], 1))


def _canonical_units(incoming: Array, outgoing: Array, activation: Activation) -> Array:
    """Return the canonical parameters of each unit."""
    if activation.homogeneous:  # the outgoing weights carry the whole scale; split it between both sides
        largest = np.abs(outgoing).max(axis=-1, keepdims=True)
        half = np.sqrt(largest)
        return np.concatenate([incoming * half, _ratio(outgoing, half)], axis=-1)
    return np.concatenate([incoming, outgoing], axis=-1)


def _ratio(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def _merge(theta: Array, labels: Labels, factor: Array, activation: Activation) -> Array:
    """Return [W, b] with the columns of units that compute the same added up in the first of them."""
    W, b = theta[:, :, :-1], theta[:, :, -1:]
    if activation.centre:  # sigmoid(-z) = 1 - sigmoid(z): the 1 goes to the bias
        b = b + 2 * activation.centre * (W * (factor[:, None, :] < 0)).sum(axis=-1, keepdims=True)
    W = W * factor[:, None, :]
    if (labels != np.arange(labels.shape[1])).any():
        fold = (labels[:, :, None] == np.arange(labels.shape[1])).astype(float)
        W = W @ fold
    return np.concatenate([W, b], axis=-1)


def classes(points: Array, finite: NDArray[np.bool_]) -> Labels:
    """Return class labels (R, n) of points (R, n, k) by single linkage; a label is the smallest index in the class.

    Points are linked if no coordinate differs by more than NEAR times the largest number of their run. In runs that are
    not `finite` all points are different.
    """
    R, n, k = points.shape
    largest = np.abs(points).max(axis=(1, 2))
    finite = finite & np.isfinite(largest)
    # In units of the largest number nothing overflows.
    points = np.where(finite[:, None, None], points / np.where(largest > 0, largest, 1.0)[:, None, None], 0.0)
    order, gaps = _gaps(points, finite)
    labels = np.broadcast_to(np.arange(n), (R, n)).copy()
    if gaps.all():
        return labels
    # The gaps cut the sorted points into blocks. A block that is wider than NEAR may still hold several classes.
    first = np.concatenate([np.ones((R, 1), dtype=bool), gaps], axis=1).ravel()
    starts = np.flatnonzero(first)
    rows = (order + n * np.arange(R)[:, None]).ravel()
    points = points.reshape(R * n, k)
    ordered = points[rows]
    width = (np.maximum.reduceat(ordered, starts) - np.minimum.reduceat(ordered, starts)).max(axis=1)
    block = np.cumsum(first) - 1
    flat = labels.reshape(-1)
    flat[rows] = np.minimum.reduceat(rows % n, starts)[block]
    for number in np.flatnonzero(width > NEAR):
        members = rows[block == number]
        flat[members] = _single_linkage(points[members], members % n)
    return labels


def _gaps(points: Array, finite: NDArray[np.bool_]) -> tuple[Labels, NDArray[np.bool_]]:
    """Return the order (R, n) of the points along one direction, and True (R, n - 1) where a gap separates neighbours.

    Linked points are close in every projection, so points on either side of a gap are in different classes. In most
    layers the gaps separate all points.
    """
    n, k = points.shape[1:]
    direction = np.sin(np.arange(1, k + 1))
    projected = points @ direction
    projected[~finite] = 2 * np.abs(direction).sum() * np.arange(n)
    order = projected.argsort(axis=1)
    gaps = np.diff(np.take_along_axis(projected, order, axis=1), axis=1) > NEAR * np.abs(direction).sum() * (1 + 1e-6)
    return order, gaps


def _single_linkage(points: Array, indices: Labels) -> Labels:
    from scipy.cluster.hierarchy import fcluster, linkage

    clusters = fcluster(linkage(points, "single", "chebyshev"), NEAR, "distance")
    smallest = np.full(clusters.max() + 1, indices.max())
    np.minimum.at(smallest, clusters, indices)
    return smallest[clusters]
