"""Function: what the network has become, seen from outside."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters, parameter_count
from nnlab.network.propagation import forward, with_ones
from nnlab.network.training import Snapshot

__all__ = ["References", "affine_residual", "on_test_data", "on_training_data", "references"]


def on_training_data(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `cost/train` and `accuracy/train` (`r2/train` where the labels are real numbers).

    How to read it: a cost that stays at ln 2 (two balanced classes) has learned nothing. Training accuracy says how
    well the examples were fitted, not how well others will be.
    """
    yield from _performance("train", snapshot.Z[-1], snapshot.Y, snapshot.cost_function)


def on_test_data(
    parameters: Parameters, X_test: Array, Y_test: Array, activation: Activation, cost: Cost
) -> Iterator[tuple[str, int, Array]]:
    """Yield `cost/test` and `accuracy/test` (or `r2/test`) on examples that were not trained on."""
    dtype = parameters.flat.dtype
    with np.errstate(all="ignore"):
        Z, _ = forward(parameters, X_test.astype(dtype), activation)
    yield from _performance("test", Z[-1], Y_test.astype(dtype), cost)


def affine_residual(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `function/affine_residual`: 1 - R^2 of the logits regressed on the inputs and a constant.

    How to read it: the share of the network's answer that no straight line gives. Below 1e-2 the network is a linear
    model, whatever its activation (tanh with small weights is one for the first thousand iterations); identity gives
    about 1e-30. What is left is a share of the answer's mean square, not of its variance, where it is no more than
    rounding; 0 where the answer is constant, NaN where it is not finite.
    """
    design = with_ones(snapshot.X.astype(np.float64)).T
    U, strength, _ = np.linalg.svd(design, full_matrices=False)
    # A feature that is constant or a combination of others spans nothing: its column of U is arbitrary.
    basis = U[:, strength > strength[0] * max(design.shape) * np.finfo(np.float64).eps]
    with np.errstate(all="ignore"):
        logits = snapshot.Z[-1].astype(np.float64)
        centred = logits - logits.mean(axis=-1, keepdims=True)
        residual = np.square(centred - (centred @ basis) @ basis.T).mean(axis=(-2, -1))
        variance = np.square(centred).mean(axis=(-2, -1))
        # An answer that hardly varies varies by its rounding, which no line gives and no network meant.
        rounding = np.square(2 * np.finfo(snapshot.Z[-1].dtype).eps * np.abs(logits).max(axis=(-2, -1)))
        whole = np.where(residual <= rounding, np.square(logits).mean(axis=(-2, -1)), variance)
        share = np.divide(residual, whole, out=np.zeros_like(whole), where=whole != 0)
    yield "function/affine_residual", 0, share


def _performance(part: str, logits: Array, Y: Array, cost: Cost) -> Iterator[tuple[str, int, Array]]:
    with np.errstate(all="ignore"):
        yield f"cost/{part}", 0, cost.mean(logits, cost.encode(Y))
        yield f"{cost.score_name}/{part}", 0, cost.score(logits, Y)


class References(NamedTuple):
    """What models that need no hidden layer reach on the same data: costs on the training data, and scores.

    `nothing` knows neither inputs nor frequencies (ln C for C classes), `prior` only the frequencies (the entropy; the
    variance for real labels), `affine` is the best affine model; `score_train` and `score_test` are its accuracy or r2.
    """

    nothing: float
    prior: float
    affine: float
    score_train: float
    score_test: float


def references(X: Array, Y: Array, X_test: Array, Y_test: Array, cost: Cost) -> References:
    """Return what the reference models reach on training data X (n_x, m), Y (n_y, m) and on test data.

    The affine model is the network of depth 0 at its optimum: least squares, or found by L-BFGS on standardized
    inputs, since what affine models can does not depend on the units of the inputs. Separable classes have no optimum:
    the cost then is near 0, as far down as 500 iterations go.
    """
    T = cost.encode(Y)
    X, X_test = _standardized(X, X_test)
    best, affine = _affine_model(X, T, cost)
    parts = ((X, Y), (X_test, Y_test))
    with np.errstate(all="ignore"):
        scores = [float(cost.score(best @ with_ones(inputs), labels)[0]) for inputs, labels in parts]
    constant = np.zeros((1, *Y.shape))
    frequencies = Y.mean(axis=1)
    if cost.score_name == "r2":
        prior = float(np.square(Y - frequencies[:, None]).mean())
        return References(prior, prior, affine, *scores)
    shares = np.array([1 - frequencies[0], frequencies[0]]) if len(Y) == 1 else frequencies
    prior = float(-np.sum(shares * np.log(shares, where=shares > 0, out=np.zeros_like(shares))))
    return References(float(cost.mean(constant, T)[0]), prior, affine, *scores)


def _standardized(X: Array, X_test: Array) -> tuple[Array, Array]:
    """Return both in units of the deviations of X from its means; features that do not vary become 0."""
    exponent = np.frexp(np.abs(X).max(axis=1, keepdims=True))[1]
    with np.errstate(over="ignore"):  # test data may be larger by any factor
        X, X_test = np.ldexp(X, -exponent), np.ldexp(X_test, -exponent)  # exact, and no square of X overflows
        mean, deviation = X.mean(axis=1, keepdims=True), X.std(axis=1, keepdims=True)
        varies = deviation > np.finfo(X.dtype).eps
        scale = np.where(varies, deviation, 1.0)
        return np.where(varies, (X - mean) / scale, 0.0), np.where(varies, (X_test - mean) / scale, 0.0)


def _affine_model(X: Array, T: Array, cost: Cost) -> tuple[Array, float]:
    """Return [W, b] (1, n_y, n_x + 1) of the best affine model, and its cost."""
    from scipy.optimize import minimize

    sizes = (len(X), len(T))
    X1 = with_ones(X)
    if cost.score_name == "r2":
        theta = np.linalg.lstsq(X1.T, T.T, rcond=None)[0].T[None]
        return theta, float(cost.mean(theta @ X1, T)[0])

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        logits = Parameters(sizes, flat[None]).theta[0] @ X1
        value = float(cost.mean(logits, T)[0])
        cost.differentiate(logits, T)
        return value, (logits @ X1.T).ravel() / X.shape[1]

    start = np.zeros(parameter_count(sizes))
    with np.errstate(all="ignore"):
        best = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-9})
    return Parameters(sizes, best.x[None]).theta[0], float(best.fun)
