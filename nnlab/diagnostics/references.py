"""Reference models: costs and scores of models without a hidden layer, and what strong models reach."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nnlab.diagnostics.outcome import Ceiling
from nnlab.network.activations import Array
from nnlab.network.costs import Cost
from nnlab.network.parameters import Parameters, parameter_count
from nnlab.network.propagation import with_ones

__all__ = ["References", "fit_references"]

FOLDS = 5
PENALTIES = (*10.0 ** np.arange(4, -5, -1), 0.0)
"""Penalties of the regularized affine model, from the strongest to none at all (1 / C in scikit-learn)."""
WORSE = 1.05
"""Weaker penalties are not tried if one costs this many times more than the best."""
DEFAULT_PENALTY = 1.0
LARGEST_SELECTION = 2000
"""The penalty is chosen on at most this many training examples."""
SEPARATED = 0.5
"""Classes are separable if no example's loss exceeds this: every one gets more than 60 % of the probability."""


class References(NamedTuple):
    """Costs on the training data, and scores, of models that are not the network.

    - `nothing`: the cost of a model that uses neither inputs nor class frequencies: ln C for C classes
    - `prior`: the cost of a model that uses only the class frequencies: their entropy; for real labels the variance
    - `affine`: the cost of the best affine model
    - `score_train`: the best affine model's accuracy or r2 on the training data
    - `score_test`, `regularized_train`: the accuracy or r2 of a regularized affine model on both parts of the data;
      `score_test` is NaN if there is no test part
    - `separable`: 1 if an affine model separates the classes, else 0. The affine cost then has no minimum: it tends to
      0 as the weights grow, and `affine` is where the fit stopped.
    - `score_nothing`, `ceiling`, `ceiling_error`: the scores that say how much can be learned (see `Ceiling`)
    - `ceiling_affine`: what an affine model reaches of the ceiling, on examples that it was not fitted to

    Those from `separable` on are NaN in runs of earlier versions, whose `score_test` is the best affine model's.
    """

    nothing: float
    prior: float
    affine: float
    score_train: float
    score_test: float
    separable: float = float("nan")
    regularized_train: float = float("nan")
    score_nothing: float = float("nan")
    ceiling: float = float("nan")
    ceiling_error: float = float("nan")
    ceiling_affine: float = float("nan")

    @property
    def learnable(self) -> Ceiling | None:
        """The scores between which a network's score is placed; None for runs of earlier versions."""
        known = np.isfinite(self.ceiling)
        return Ceiling(self.score_nothing, self.ceiling, self.ceiling_error) if known else None


def fit_references(X: Array, Y: Array, X_test: Array, Y_test: Array, cost: Cost) -> References:
    """Return the costs and scores of the affine models, given training data X (n_x, m), Y (n_y, m) and test data.

    The best affine model is the network of depth 0 at its optimum. On test data it is a poor reference: where it
    separates the classes, it is logistic regression on its way to infinity. The scores on test data are therefore those
    of an affine model with an L2 penalty on the weights of the standardized inputs. Cross-validation on the training
    data chooses the penalty (see `_penalty`). Without test data, X_test (n_x, 0) and Y_test (n_y, 0), `score_test` is
    NaN.

    Inputs are standardized first, because the best affine model does not depend on their units.
    """
    T = cost.encode(Y)
    X, X_test = _standardized(X, X_test)
    directions = _directions(X)
    F = directions @ X
    best, regularized = (_affine_model(F, T, cost, penalty) for penalty in (0.0, _penalty(F, Y, T, cost)))

    def logits(theta: Array, inputs: Array) -> Array:
        weights = np.concatenate([theta[..., :-1] @ directions, theta[..., -1:]], axis=-1)
        return np.asarray(weights @ with_ones(inputs))

    with np.errstate(all="ignore"):
        final = logits(best, X)
        scores = {
            "affine": float(cost.mean(final, T)[0]),
            "score_train": float(cost.score(final, Y)[0]),
            "score_test": float(cost.score(logits(regularized, X_test), Y_test)[0]) if Y_test.size else np.nan,
            "regularized_train": float(cost.score(logits(regularized, X), Y)[0]),
        }
    frequencies = Y.mean(axis=1)
    if cost.score_name == "r2":
        prior = float(np.square(Y - frequencies[:, None]).mean())
        return References(prior, prior, separable=0.0, **scores)
    shares = np.array([1 - frequencies[0], frequencies[0]]) if len(Y) == 1 else frequencies
    prior = float(-np.sum(shares * np.log(shares, where=shares > 0, out=np.zeros_like(shares))))
    nothing = float(cost.mean(np.zeros((1, *Y.shape)), T)[0])
    # If some example is on the wrong side or on the boundary, its loss is at least ln 2.
    separable = float((cost.loss(final, T) < SEPARATED).all())
    return References(nothing, prior, separable=separable, **scores)


def _standardized(X: Array, X_test: Array) -> tuple[Array, Array]:
    """Return X and X_test, standardized by the means and deviations of X; features that do not vary become 0."""
    exponent = np.frexp(np.abs(X).max(axis=1, keepdims=True))[1]
    with np.errstate(over="ignore"):  # test data may be larger by any factor
        X, X_test = np.ldexp(X, -exponent), np.ldexp(X_test, -exponent)  # exact, and no square of X overflows
        mean, deviation = X.mean(axis=1, keepdims=True), X.std(axis=1, keepdims=True)
        varies = deviation > np.finfo(X.dtype).eps
        scale = np.where(varies, deviation, 1.0)
        return np.where(varies, (X - mean) / scale, 0.0), np.where(varies, (X_test - mean) / scale, 0.0)


def _directions(X: Array) -> Array:
    """Return the principal directions (r, n_x) of X (n_x, m), without those in which X does not vary."""
    directions, strength, _ = np.linalg.svd(X, full_matrices=False)
    varies = strength > strength[:1] * max(X.shape) * np.finfo(X.dtype).eps
    return np.asarray(directions[:, varies].T)


def _penalty(F: Array, Y: Array, T: Array, cost: Cost) -> float:
    """Return the penalty with the smallest cross-validated cost on inputs F (r, m), with encoded labels T.

    Five folds of shuffled examples, stratified by class; fewer where a class has fewer examples. Where a class has only
    one example there are no folds, and the penalty is 1, scikit-learn's default.
    """
    m = F.shape[1]
    shuffled = np.random.default_rng(0).permutation(m)
    labels = np.zeros(m) if cost.score_name == "r2" else Y.argmax(axis=0) if len(Y) > 1 else Y[0]
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    chosen = by_class[:: -(-m // LARGEST_SELECTION)]
    folds = min(FOLDS, int(np.unique(labels[chosen], return_counts=True)[1].min()))
    if folds < 2 or len(np.unique(labels[chosen])) < len(np.unique(labels)):
        return DEFAULT_PENALTY
    parts = [(np.delete(chosen, slice(fold, None, folds)), chosen[fold::folds]) for fold in range(folds)]
    models: list[Array] = []
    costs: list[float] = []
    for penalty in PENALTIES:
        starts: Sequence[Array | None] = models or [None] * folds
        models = [
            _affine_model(F[:, kept], T[:, kept], cost, penalty, start)
            for start, (kept, _) in zip(starts, parts, strict=True)
        ]
        losses = [
            cost.loss(theta @ with_ones(F[:, held_out]), T[:, held_out]).sum()
            for theta, (_, held_out) in zip(models, parts, strict=True)
        ]
        costs.append(sum(losses))
        if costs[-1] > WORSE * min(costs):
            break
    return float(PENALTIES[np.argmin(costs)])


def _affine_model(F: Array, T: Array, cost: Cost, penalty: float, start: Array | None = None) -> Array:
    """Return [W, b] (1, n_y, r + 1) that minimizes the sum of the losses + penalty / 2 ||W||^2, by L-BFGS.

    The variables are scaled by the curvature of the objective, which is therefore well conditioned however collinear
    the inputs are: the rows of F (r, m) are the inputs along their principal directions.
    """
    from scipy.optimize import minimize

    m, sizes = F.shape[1], (len(F), len(T))
    scale = np.sqrt(np.square(F).mean(axis=1) + penalty / m)
    scale[scale == 0] = 1.0  # a direction in which these examples do not vary
    G1 = with_ones(F / scale[:, None])
    decay = penalty / m / np.append(np.square(scale), np.inf)  # the bias is not penalized

    def value_and_gradient(flat: Array) -> tuple[float, Array]:
        theta = Parameters(sizes, flat[None]).theta[0]
        logits = theta @ G1
        value = float(cost.mean(logits, T)[0]) + float((decay * np.square(theta)).sum()) / 2
        cost.differentiate(logits, T)
        return value, (logits @ G1.T / m + decay * theta).ravel()

    first = np.zeros(parameter_count(sizes)) if start is None else (start * np.append(scale, 1.0)).ravel()
    options = {"maxiter": 500, "ftol": 0.0, "gtol": 1e-9} if penalty == 0 else {"maxiter": 100, "gtol": 1e-4}
    with np.errstate(all="ignore"):
        best = minimize(value_and_gradient, first, jac=True, method="L-BFGS-B", options=options)
    return np.asarray(Parameters(sizes, best.x[None]).theta[0] / np.append(scale, 1.0))
