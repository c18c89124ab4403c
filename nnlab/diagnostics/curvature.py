"""Curvature: how the cost bends around the network's parameters, and whether gradient descent is stable there.

Both probes differentiate the gradient by central differences, in float64 whatever the dtype of the network. The
perturbed copies of the network form one large stack. A step is so long that no logit of any layer moves by more than
6e-6, or by that share of a logit above 1; the units of the inputs do not matter. If logits cross the kink of a relu
within a difference, the result is wrong: do not trust growth rates of relu networks.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.equality import NEAR, UnitClasses, classify_units, unit_parameters
from nnlab.diagnostics.probe import Measurement
from nnlab.network.activations import Activation, Array
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward, with_ones
from nnlab.network.training import Snapshot

__all__ = ["LARGEST_HESSIAN", "hessian", "transverse"]

LARGEST_HESSIAN = 500
"""Networks with more parameters get no Hessian, because its cost grows with their square."""

_STEP = float(np.cbrt(np.finfo(np.float64).eps))
"""The largest change of a logit that a difference step causes: cancellation and curvature cost about as much."""
_CHUNK_BYTES = 1 << 25


def hessian(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `curvature/largest`, `curvature/smallest` and `curvature/sharpness` of networks of up to 500 parameters.

    These are the extreme eigenvalues of the Hessian of the training cost, and the largest as a share of
    2 / learning rate.

    How to read it: gradient descent cannot settle where the sharpness is above 1, because steps overshoot along that
    direction. Networks trained for long stay at about 1 (the edge of stability). A negative smallest eigenvalue is a
    direction in which the cost falls; at a symmetric state, it is the way out. NaN if the network has diverged.
    Sources: LeCun et al. 1998, Efficient BackProp; Cohen et al. 2021.
    """
    flat = snapshot.parameters.flat
    R, P = flat.shape
    if P > LARGEST_HESSIAN:
        return
    finite = np.flatnonzero(np.isfinite(flat).all(axis=1))
    extremes = np.full((R, 2), np.nan)
    chunk = max(1, _CHUNK_BYTES // (8 * P * P))
    for start in range(0, len(finite), chunk):
        runs = finite[start : start + chunk]
        extremes[runs] = _eigenvalues(_differences(snapshot, runs, np.broadcast_to(np.eye(P), (len(runs), P, P))))
    with np.errstate(all="ignore"):
        sharpness = snapshot.learning_rate.astype(np.float64) * extremes[:, 1] / 2
    for name, value in (("largest", extremes[:, 1]), ("smallest", extremes[:, 0]), ("sharpness", sharpness)):
        yield f"curvature/{name}", 0, value


def transverse(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `curvature/transverse` and `curvature/growth` by hidden layer: do exchangeable units drift apart?

    The probe takes two units of the layer whose numbers are equal up to 1e-6 (for tanh: equal or opposite). It moves
    one by +h and the other by -h along each of their parameters (opposite units both by +h). The change of the gradient
    is the curvature across the symmetric state; `transverse` is its smallest eigenvalue lambda. A difference between
    the two grows in one iteration by the factor `growth` = 1 - learning rate * lambda.

    How to read it: growth above 1 means that the symmetric state is unstable; a difference of one rounding error,
    1e-16, then needs ln(1e13) / ln(growth) iterations to become visible. Growth below 1 pulls the units together again.
    NaN if there is no such pair. Units that are equal only up to a sign or a rescaling are no pair: they receive
    different gradients and separate anyway.
    """
    R = len(snapshot.parameters.flat)
    positions = Parameters(snapshot.parameters.sizes, np.arange(snapshot.parameters.flat.shape[1], dtype=float)[None])
    for layer, unit_classes in enumerate(classify_units(snapshot.parameters, snapshot.activation), start=1):
        columns = unit_parameters(positions, layer)[0].astype(np.intp)
        F = unit_parameters(snapshot.parameters, layer).astype(np.float64)
        runs, first, second, sign = _pairs(unit_classes, F, snapshot.activation)
        smallest = np.full(R, np.nan)
        if len(runs):
            smallest[runs] = _transverse_curvature(snapshot, runs, columns[first], columns[second], sign)
        with np.errstate(all="ignore"):
            growth = 1 - snapshot.learning_rate.astype(np.float64) * smallest
        yield "curvature/transverse", layer, smallest
        yield "curvature/growth", layer, growth


def _pairs(
    unit_classes: UnitClasses, F: Array, activation: Activation
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], Array]:
    """Return the runs with two units that gradient descent cannot separate, those two units, and their relative sign.

    F (R, n, k) holds the parameters of each unit. Units of one class pair up only if their numbers are equal, because
    the gradient depends on sizes and, except for tanh, on signs.
    """
    labels = unit_classes.units
    with np.errstate(all="ignore"):
        others = np.take_along_axis(F, labels[:, :, None], axis=1)
        sign = np.ones(labels.shape)
        if activation.centre == 0:  # odd, like tanh
            sign[(F * others).sum(axis=-1) < 0] = -1.0
        distance = np.abs(F - sign[:, :, None] * others).max(axis=-1)
        equal = distance <= NEAR * np.abs(F).max(axis=(1, 2))[:, None]
    copies = np.asarray((labels != np.arange(labels.shape[1])) & unit_classes.finite[:, None] & equal)
    runs = np.flatnonzero(copies.any(axis=1))
    second = copies[runs].argmax(axis=1)
    return runs, labels[runs, second], second, sign[runs, second]


def _transverse_curvature(
    snapshot: Snapshot, runs: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp], sign: Array
) -> Array:
    """Return the smallest eigenvalue for each pair of units, whose parameters are the columns `first` and `second`."""
    k, P = first.shape[1], snapshot.parameters.flat.shape[1]
    each, number = np.arange(len(runs))[:, None], np.arange(k)
    directions = np.zeros((len(runs), k, P))
    directions[each, number, first] = 1.0
    directions[each, number, second] = -sign[:, None]
    # Keep the change of the gradient for the first unit's parameters only.
    change = np.take_along_axis(_differences(snapshot, runs, directions), first[:, None, :], axis=2)
    return _eigenvalues(change)[:, 0]


def _eigenvalues(matrices: Array) -> Array:
    """Return the smallest and the largest eigenvalue (R, 2) of matrices (R, k, k) that are symmetric up to rounding.

    NaN if a matrix is not finite.
    """
    finite = np.asarray(np.isfinite(matrices).all(axis=(1, 2)))
    matrices = np.where(finite[:, None, None], matrices, 0.0)
    extremes = np.linalg.eigvalsh((matrices + matrices.swapaxes(-1, -2)) / 2)[:, [0, -1]]
    return np.where(finite[:, None], extremes, np.nan)


def _differences(snapshot: Snapshot, runs: NDArray[np.intp], directions: Array) -> Array:
    """Return the derivative of these runs' gradients along `directions` (len(runs), K, P), of the same shape."""
    sizes = snapshot.parameters.sizes
    X, T = snapshot.X.astype(np.float64), snapshot.T.astype(np.float64)
    count, P = directions.shape[1:]
    derivative = np.empty((len(runs) * count, P))
    chunk = max(1, _CHUNK_BYTES // (8 * (5 * sum(sizes) * X.shape[1] + 5 * P)))
    for start in range(0, len(derivative), chunk):
        index, number = np.divmod(np.arange(start, min(start + chunk, len(derivative))), count)
        flat, along = snapshot.parameters.flat[runs[index]].astype(np.float64), directions[index, number]
        with np.errstate(all="ignore"):
            step = _steps(_logit_slope(snapshot, runs[index], along))[:, None]
            forwards = _gradients(snapshot, flat + step * along, X, T)
            backwards = _gradients(snapshot, flat - step * along, X, T)
            derivative[start : start + len(flat)] = (forwards - backwards) / (2 * step)
    return derivative.reshape(len(runs), count, P)


def _logit_slope(snapshot: Snapshot, runs: NDArray[np.intp], along: Array) -> Array:
    """Return the largest |dz| / max(1, |z|) (K,) that a unit step of network runs[k] along `along[k]` causes.

    The maximum is over the logits z of all layers and examples. A weight on an input of 1e6 moves its logit a million
    times further than a bias does, and its difference step must be as much smaller.
    """
    change, largest = Parameters(snapshot.parameters.sizes, along), np.zeros(len(runs))
    dA: Array | None = None
    for layer, (W, all_Z) in enumerate(zip(snapshot.parameters.W, snapshot.Z, strict=True)):
        A_in, Z = snapshot.A[layer - 1][runs] if layer else snapshot.X, all_Z[runs]
        dZ = change.theta[layer] @ with_ones(A_in)
        if dA is not None:
            dZ += W[runs] @ dA
        largest = np.maximum(largest, (np.abs(dZ) / np.maximum(1.0, np.abs(Z))).max(axis=(1, 2)))
        dA = snapshot.activation.derivative(Z) * dZ
    return largest


def _steps(slope: Array) -> Array:
    """Return the difference steps (K,): powers of two, which most weights can be moved by exactly."""
    steps = _STEP / np.where(slope > 0, slope, 1.0)  # any step will do where no logit moves
    return np.asarray(np.ldexp(0.5, np.frexp(steps)[1]))


def _gradients(snapshot: Snapshot, flat: Array, X: Array, T: Array) -> Array:
    """Return the gradients of networks `flat` (K, P) on these examples."""
    networks = Parameters(snapshot.parameters.sizes, flat)
    Z, A = forward(networks, X, snapshot.activation)
    return backward(networks, X, T, Z, A, snapshot.activation, snapshot.cost_function)[1].flat
