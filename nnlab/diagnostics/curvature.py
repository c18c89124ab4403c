"""Curvature: how the cost bends where the network is, and whether gradient descent stays there.

Both probes differentiate the gradient by central differences, in float64 whatever the dtype of the network: many
perturbed copies of it are one stack more. Where logits cross the kink of a relu within a difference the result is
wrong; growth rates of relu networks are not to be trusted.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.equality import NEAR, Layer, canonical_layers, owned_by_units
from nnlab.network.activations import Activation, Array
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
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    extremes = np.full((R, 2), np.nan)
    together = max(1, _CHUNK_BYTES // (8 * P * P))
    for start in range(0, len(known), together):
        runs = known[start : start + together]
        extremes[runs] = _eigenvalues(_differences(snapshot, runs, np.broadcast_to(np.eye(P), (len(runs), P, P))))
    with np.errstate(all="ignore"):
        sharpness = snapshot.learning_rate.astype(np.float64) * extremes[:, 1] / 2
    for name, value in (("largest", extremes[:, 1]), ("smallest", extremes[:, 0]), ("sharpness", sharpness)):
        yield f"curvature/{name}", 0, value


def transverse(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `curvature/transverse` and `curvature/growth` by hidden layer: whether exchangeable units drift apart.

    Two units of the layer that are equal number by number up to 1e-6, or for tanh opposite, are moved apart, one by +h
    and one by -h along each number they own (opposite ones both by +h); the change of the gradient is the curvature
    across the symmetric state.
    `transverse` is its smallest eigenvalue lambda, `growth` = 1 - learning rate * lambda the factor by which a
    difference between the two grows in one iteration.

    How to read it: growth above 1 means that the symmetric state is unstable; a difference of one rounding error,
    1e-16, then needs ln(1e13) / ln(growth) iterations to become visible. Below 1 the units are pulled together again.
    NaN where there are no such two units: units that are equal up to a sign or a size that the activation does not see,
    but the gradient does, part anyhow.
    """
    R = len(snapshot.parameters.flat)
    positions = Parameters(snapshot.parameters.sizes, np.arange(snapshot.parameters.flat.shape[1], dtype=float)[None])
    for layer, found in enumerate(canonical_layers(snapshot.parameters, snapshot.activation), start=1):
        owned = owned_by_units(positions, layer)[0].astype(np.intp)
        rows = owned_by_units(snapshot.parameters, layer).astype(np.float64)
        paired, first, second, sign = _pairs(found, rows, snapshot.activation)
        smallest = np.full(R, np.nan)
        if len(paired):
            smallest[paired] = _transverse_curvature(snapshot, paired, owned[first], owned[second], sign)
        with np.errstate(all="ignore"):
            growth = 1 - snapshot.learning_rate.astype(np.float64) * smallest
        yield "curvature/transverse", layer, smallest
        yield "curvature/growth", layer, growth


def _pairs(
    found: Layer, owned: Array, activation: Activation
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Array]:
    """Return the runs that have two units which gradient descent cannot tell apart, the two, and their relative sign.

    `owned` (R, n, k) is what the units own. Of the units that are one function only those count that are equal number
    by number: gradient descent sees sizes, and signs too but for tanh.
    """
    labels = found.units
    with np.errstate(all="ignore"):
        others = np.take_along_axis(owned, labels[:, :, None], axis=1)
        sign = np.ones(labels.shape)
        if activation.centre == 0:  # odd, as tanh is
            sign[(owned * others).sum(axis=-1) < 0] = -1.0
        apart = np.abs(owned - sign[:, :, None] * others).max(axis=-1)
        equal = apart <= NEAR * np.abs(owned).max(axis=(1, 2))[:, None]
    copies = np.asarray((labels != np.arange(labels.shape[1])) & found.known[:, None] & equal)
    runs = np.flatnonzero(copies.any(axis=1))
    second = copies[runs].argmax(axis=1)
    return runs, labels[runs, second], second, sign[runs, second]


def _transverse_curvature(
    snapshot: Snapshot, runs: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp], sign: Array
) -> Array:
    k, P = first.shape[1], snapshot.parameters.flat.shape[1]
    each, number = np.arange(len(runs))[:, None], np.arange(k)
    directions = np.zeros((len(runs), k, P))
    directions[each, number, first] = 1.0
    directions[each, number, second] = -sign[:, None]
    # Of the change of the gradient, keep what the first unit owns.
    change = np.take_along_axis(_differences(snapshot, runs, directions), first[:, None, :], axis=2)
    return _eigenvalues(change)[:, 0]


def _eigenvalues(matrices: Array) -> Array:
    """Return the smallest and the largest eigenvalue (R, 2) of matrices (R, k, k) that are symmetric but for rounding.

    NaN where a matrix is not finite.
    """
    known = np.asarray(np.isfinite(matrices).all(axis=(1, 2)))
    matrices = np.where(known[:, None, None], matrices, 0.0)
    found = np.linalg.eigvalsh((matrices + matrices.swapaxes(-1, -2)) / 2)[:, [0, -1]]
    return np.where(known[:, None], found, np.nan)


def _differences(snapshot: Snapshot, runs: NDArray[np.intp], directions: Array) -> Array:
    """Return the derivative of the gradient along `directions` (len(runs), K, P) of these runs, same shape."""
    sizes = snapshot.parameters.sizes
    X, T = snapshot.X.astype(np.float64), snapshot.T.astype(np.float64)
    count, P = directions.shape[1:]
    derivative = np.empty((len(runs) * count, P))
    chunk = max(1, _CHUNK_BYTES // (8 * (5 * sum(sizes) * X.shape[1] + 5 * P)))  # leaves memory for others
    for start in range(0, len(derivative), chunk):
        place, number = np.divmod(np.arange(start, min(start + chunk, len(derivative))), count)
        flat, along = snapshot.parameters.flat[runs[place]].astype(np.float64), directions[place, number]
        # As large as the numbers that move: one huge weight elsewhere must not coarsen the others' differences.
        step = _STEP * np.maximum(1.0, np.abs(flat * along).max(axis=1, initial=0.0))[:, None]
        with np.errstate(all="ignore"):
            forwards = _gradients(snapshot, flat + step * along, X, T)
            backwards = _gradients(snapshot, flat - step * along, X, T)
            derivative[start : start + len(flat)] = (forwards - backwards) / (2 * step)
    return derivative.reshape(len(runs), count, P)


def _gradients(snapshot: Snapshot, flat: Array, X: Array, T: Array) -> Array:
    """Return the gradients of networks `flat` (K, P) on these examples."""
    networks = Parameters(snapshot.parameters.sizes, flat)
    Z, A = forward(networks, X, snapshot.activation)
    return backward(networks, X, T, Z, A, snapshot.activation, snapshot.cost_function)[1].flat
