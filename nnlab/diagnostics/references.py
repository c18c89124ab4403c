"""Reference models: costs and scores of models without a hidden layer."""

from typing import NamedTuple

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters, parameter_count
from nnlab.network.propagation import with_ones

__all__ = ["References", "fit_references"]


class References(NamedTuple):
    """Costs on the training data, and scores, of models without a hidden layer.

    - `nothing`: the cost of a model that uses neither inputs nor class frequencies: ln C for C classes
    - `prior`: the cost of a model that uses only the class frequencies: their entropy; for real labels the variance
    - `affine`: the cost of the best affine model
    - `score_train`, `score_test`: the affine model's accuracy or r2
    """

    nothing: float
    prior: float
    affine: float
    score_train: float
    score_test: float


def fit_references(X: Array, Y: Array, X_test: Array, Y_test: Array, cost: Cost) -> References:
    """Return the costs and scores of the reference models, given training data X (n_x, m), Y (n_y, m) and test data.

    The affine model is the network of depth 0 at its optimum: by least squares for real labels, otherwise by L-BFGS.
    Inputs are standardized first, because the best affine model does not depend on their units. Separable classes have
    no optimum; the cost is then near 0, wherever 500 iterations end.
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
    """Return X and X_test, standardized by the means and deviations of X; features that do not vary become 0."""
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
