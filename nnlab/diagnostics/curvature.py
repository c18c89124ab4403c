"""Curvature: how the cost bends where the network is, and whether gradient descent stays there.

Both probes differentiate the gradient by central differences, in float64 whatever the dtype of the network: many
perturbed copies of it are one stack more. Where logits cross the kink of a relu within a difference the result is
wrong; growth rates of relu networks are not to be trusted.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.equality import canonical_layers, owned_by_units
from nnlab.network.activations import Array
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward
from nnlab.network.training import Snapshot

__all__ = ["LARGEST_HESSIAN", "hessian", "transverse"]

LARGEST_HESSIAN = 500
"""Networks of more parameters have no `curvature/largest`: its price grows with their square."""

_STEP = float(np.cbrt(np.finfo(np.float64).eps))
_CHUNK_BYTES = 1 << 25


def hessian(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `curvature/largest`, `curvature/smallest` and `curvature/sharpness` of networks of up to 500 parameters.

    The extreme eigenvalues of the Hessian of the training cost, and the largest as a share of 2 / learning rate.

    How to read it: gradient descent cannot settle where the sharpness is above 1: the step overshoots along that
    direction. Networks trained for long sit at about 1 (the edge of stability). A negative smallest eigenvalue is a
    way down: at a symmetric state, the way out of it. NaN where the network has diverged.
    Sources: LeCun et al. 1998, Efficient BackProp; Cohen et al. 2021.
    """
    flat = snapshot.parameters.flat
    R, P = flat.shape
    if P > LARGEST_HESSIAN:
        return
    known = np.isfinite(flat).all(axis=1)
    H = np.zeros((R, P, P))
    directions = np.eye(P)
    H[known] = _differences(snapshot, np.flatnonzero(known), np.broadcast_to(directions, (int(known.sum()), P, P)))
    known &= np.isfinite(H).all(axis=(1, 2))
    H[~known] = 0.0
    eigenvalues = np.linalg.eigvalsh((H + H.swapaxes(-1, -2)) / 2)
    with np.errstate(all="ignore"):
        sharpness = snapshot.learning_rate.astype(np.float64) * eigenvalues[:, -1] / 2
    for name, value in (("largest", eigenvalues[:, -1]), ("smallest", eigenvalues[:, 0]), ("sharpness", sharpness)):
        yield f"curvature/{name}", 0, np.where(known, value, np.nan)


def transverse(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `curvature/transverse` and `curvature/growth` by hidden layer: whether exchangeable units drift apart.

    Two units of the layer's first class of exchangeable units (see `symmetry/near_units`) are moved apart, one by +h
    and one by -h along each number they own; the change of the gradient is the curvature across the symmetric state.
    `transverse` is its smallest eigenvalue lambda, `growth` = 1 - learning rate * lambda the factor by which a
    difference between the two grows in one iteration.

    How to read it: growth above 1 means that the symmetric state is unstable; a difference of one rounding error,
    1e-16, then needs ln(1e13) / ln(growth) iterations to become visible. Below 1 the units are pulled together again.
    NaN where no two units are exchangeable.
    """
    R = len(snapshot.parameters.flat)
    positions = Parameters(snapshot.parameters.sizes, np.arange(snapshot.parameters.flat.shape[1], dtype=float)[None])
    for layer, found in enumerate(canonical_layers(snapshot.parameters, snapshot.activation.name), start=1):
        owned = owned_by_units(positions, layer)[0].astype(np.intp)
        paired, first, second = _exchangeable_pairs(found.units, found.known)
        smallest = np.full(R, np.nan)
        if len(paired):
            smallest[paired] = _transverse_curvature(snapshot, paired, owned[first], owned[second])
        with np.errstate(all="ignore"):
            growth = 1 - snapshot.learning_rate.astype(np.float64) * smallest
        yield "curvature/transverse", layer, smallest
        yield "curvature/growth", layer, growth


def _exchangeable_pairs(
    labels: NDArray[np.intp], known: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return the runs that have two exchangeable units, and the two."""
    copies = (labels != np.arange(labels.shape[1])) & known[:, None]
    runs = np.flatnonzero(copies.any(axis=1))
    second = copies[runs].argmax(axis=1)
    return runs, labels[runs, second], second


def _transverse_curvature(
    snapshot: Snapshot, runs: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp]
) -> Array:
    k, P = first.shape[1], snapshot.parameters.flat.shape[1]
    each, number = np.arange(len(runs))[:, None], np.arange(k)
    directions = np.zeros((len(runs), k, P))
    directions[each, number, first] = 1.0
    directions[each, number, second] = -1.0
    # Of the change of the gradient, keep what the first unit owns.
    change = np.take_along_axis(_differences(snapshot, runs, directions), first[:, None, :], axis=2)
    known = np.isfinite(change).all(axis=(1, 2))
    change[~known] = 0.0
    smallest: Array = np.linalg.eigvalsh((change + change.swapaxes(-1, -2)) / 2)[:, 0]
    return np.where(known, smallest, np.nan)


def _differences(snapshot: Snapshot, runs: NDArray[np.intp], directions: Array) -> Array:
    """Return the derivative of the gradient along `directions` (len(runs), K, P) of these runs, same shape."""
    flat = snapshot.parameters.flat[runs].astype(np.float64)
    step = _STEP * np.maximum(1.0, np.abs(flat).max(axis=1, initial=0.0))[:, None, None]
    forwards = (flat[:, None, :] + step * directions).reshape(-1, flat.shape[1])
    backwards = (flat[:, None, :] - step * directions).reshape(-1, flat.shape[1])
    with np.errstate(all="ignore"):
        difference = _gradients(snapshot, forwards) - _gradients(snapshot, backwards)
        derivative: Array = difference.reshape(directions.shape) / (2 * step)
    return derivative


def _gradients(snapshot: Snapshot, flat: Array) -> Array:
    """Return the gradients of networks `flat` (K, P), in chunks that leave memory for others."""
    sizes = snapshot.parameters.sizes
    X, T = snapshot.X.astype(np.float64), snapshot.T.astype(np.float64)
    chunk = max(1, _CHUNK_BYTES // (5 * 8 * sum(sizes) * X.shape[1]))
    found = np.empty_like(flat)
    for start in range(0, len(flat), chunk):
        networks = Parameters(sizes, flat[start : start + chunk])
        Z, A = forward(networks, X, snapshot.activation)
        _, gradient = backward(networks, X, T, Z, A, snapshot.activation, snapshot.cost_function)
        found[start : start + chunk] = gradient.flat
    return found
