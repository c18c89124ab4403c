"""The true state of a trained network, from its weights alone.

This code is independent of the probes and their thresholds, which it checks.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, ndtr

import nnlab
from nnlab import InitConfig, RunConfig
from nnlab.datasets import Dataset

__all__ = ["Outcome", "Weights", "state_of"]

Array = NDArray[np.floating]
Weights = list[tuple[Array, Array]]

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "sigmoid": expit,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "gelu": lambda z: z * ndtr(z),
    "identity": lambda z: z,
}


class Outcome(NamedTuple):
    """A finished training: its config, its data, and its first and last weights as [(W1, b1), ...]."""

    config: RunConfig
    data: Dataset
    start: Weights
    end: Weights

    def layers(self, weights: Weights, X: Array | None = None) -> list[Array]:
        """Return the logits of every layer, each (n, m)."""
        A = self.data.X if X is None else X
        logits: list[Array] = []
        with np.errstate(all="ignore"):
            for W, b in weights:
                logits.append(W @ A + b)
                A = FUNCTIONS[self.config.model.activation](logits[-1])
        return logits

    def cost(self, weights: Weights) -> float:
        logits, Y = self.layers(weights)[-1], self.data.Y
        with np.errstate(all="ignore"):
            if self.data.task == "regression":
                return float(np.mean((logits - Y) ** 2))
            if self.data.task == "multiclass":
                return float(-np.mean(np.sum(Y * log_softmax(logits, axis=0), axis=0)))
            return float(np.mean(np.logaddexp(0, np.where(Y == 1, -logits, logits))))

    @property
    def finite(self) -> bool:
        return all(np.isfinite(W).all() and np.isfinite(b).all() for W, b in self.end)

    @property
    def calm(self) -> bool:
        """True if the weights are finite and the cost is at most ten times the initial cost."""
        return self.finite and self.cost(self.end) <= 10 * self.cost(self.start)

    @property
    def moved(self) -> list[float]:
        """The change of each layer's weights, relative to their initial norm."""
        sizes = [float(np.linalg.norm(W)) for W, _ in self.start]
        steps = [float(np.linalg.norm(W - V)) for (W, _), (V, _) in zip(self.end, self.start, strict=True)]
        return [step / size if size else np.inf * (step > 0) for step, size in zip(steps, sizes, strict=True)]

    @property
    def beats_affine(self) -> bool:
        """True if the network fits clearly better than the best affine model, or nearly perfectly where both do."""
        affine, prior = affine_and_prior_cost(self.config)
        return self.cost(self.end) < max(0.8 * affine, 0.04 * prior)

    @property
    def misses_affine(self) -> bool:
        affine, prior = affine_and_prior_cost(self.config)
        return not self.cost(self.end) < max(affine, 0.06 * prior)

    def silent_shares(self, weights: Weights) -> list[float]:
        """Return the share of each hidden layer's units whose logits are never above 0."""
        return [float(np.mean((Z <= 0).all(axis=1))) for Z in self.layers(weights)[:-1]]

    @property
    def nonlinearity(self) -> float:
        """1 - R^2 of the final logits on the inputs; 0 for constant logits. Softmax ignores the mean over classes."""
        from sklearn.linear_model import LinearRegression

        logits = self.layers(self.end)[-1].T
        if self.data.task == "multiclass":
            logits = logits - logits.mean(axis=1, keepdims=True)
        if np.ptp(logits, axis=0).max() < 1e-12:
            return 0.0
        fitted = LinearRegression().fit(self.data.X.T, logits).predict(self.data.X.T)
        return float(np.sum((logits - fitted) ** 2) / np.sum((logits - logits.mean(axis=0)) ** 2))

    def signal(self, weights: Weights) -> float:
        """Return rms dZ of layer 1 over rms dZ of the output, by central differences of the losses.

        dZ[1] comes from perturbing Z[1] one unit at a time; a sample of units is enough for its root mean square.
        """
        rng = np.random.default_rng(0)
        Z = self.layers(weights)[0]
        at_output = self._output_error(self.layers(weights)[-1])
        squares = []
        for unit in rng.choice(len(Z), min(len(Z), 8), replace=False):
            step = 1e-6 * np.maximum(1.0, np.abs(Z[unit]))
            up, down = Z.copy(), Z.copy()
            up[unit] += step
            down[unit] -= step
            slope = (self._losses(weights, up) - self._losses(weights, down)) / (2 * step)
            squares.append(slope**2)
        return float(np.sqrt(np.mean(squares)) / np.sqrt(np.mean(at_output**2)))

    def _losses(self, weights: Weights, Z: Array) -> Array:
        function = FUNCTIONS[self.config.model.activation]
        for W, b in weights[1:]:
            Z = W @ function(Z) + b
        Y = self.data.Y
        if self.data.task == "regression":
            return np.asarray(np.mean((Z - Y) ** 2, axis=0))
        if self.data.task == "multiclass":
            return np.asarray(-np.sum(Y * log_softmax(Z, axis=0), axis=0))
        return np.asarray(np.logaddexp(0, np.where(Y == 1, -Z, Z))[0])

    def _output_error(self, logits: Array) -> Array:
        if self.data.task == "regression":
            return 2 * (logits - self.data.Y) / len(logits)
        probability = np.exp(log_softmax(logits, axis=0)) if self.data.task == "multiclass" else expit(logits)
        return np.asarray(probability - self.data.Y)

    def cost_after(self, iterations: int, rate: float, init: InitConfig | None = None, activation: str = "") -> float:
        """Return the final cost of the same training with other iterations, rate, initialization or activation."""
        training = replace(self.config.training, iterations=iterations, learning_rate=rate)
        model = replace(self.config.model, activation=activation or self.config.model.activation)
        config = replace(self.config, training=training, model=model, init=init or self.config.init)
        return final_cost(config)


def final_cost(config: RunConfig) -> float:
    from nnlab.study.plan import prepare
    from nnlab.study.run_stack import run_stack

    quiet = replace(config, diagnostics=nnlab.DiagnosticsConfig("none", checkpoints=2))
    (job,) = prepare([quiet])
    (run,) = run_stack([job.config], job.data, [job.fingerprint])
    return run.metrics["cost/train"]


def affine_and_prior_cost(config: RunConfig) -> tuple[float, float]:
    return _reference_costs(tuple(asdict(config.data).items()))


@cache
def _reference_costs(choices: tuple[tuple[str, Any], ...]) -> tuple[float, float]:
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.metrics import log_loss

    data = nnlab.load_dataset(nnlab.DataConfig(**dict(choices)))
    X, Y = data.X.T, data.Y
    if data.task == "regression":
        residual = Y.T - LinearRegression().fit(X, Y.T).predict(X)
        return float(np.mean(residual**2)), float(Y.var())
    labels = Y.argmax(axis=0) if len(Y) > 1 else Y[0].astype(int)
    shares = np.bincount(labels) / len(labels)
    # A weak penalty keeps the weights of separable classes finite; it changes other costs by less than a thousandth.
    model = LogisticRegression(C=1e4, max_iter=3000).fit(X, labels)
    return float(log_loss(labels, model.predict_proba(X))), float(-np.sum(shares * np.log(shares)))


def _diverged(outcome: Outcome) -> bool:
    return not outcome.finite or not outcome.cost(outcome.end) <= 10 * outcome.cost(outcome.start)


def _frozen(outcome: Outcome) -> bool:
    return all(np.array_equal(W, V) and not W.any() for (W, _), (V, _) in zip(outcome.start, outcome.end, strict=True))


def _symmetric(outcome: Outcome) -> bool:
    """All units of some hidden layer have equal weights at the end, although the weights have moved."""
    if outcome.config.model.activation == "identity" or not outcome.finite:
        return False
    alike = any(
        np.allclose(np.ptp(np.column_stack([W, b, V.T]), axis=0), 0, atol=1e-9 * np.abs(W).max())
        for (W, b), (V, _) in pairwise(outcome.end)
        if len(W) > 1
    )
    return outcome.calm and alike and max(outcome.moved) > 0


def _dead(outcome: Outcome) -> bool:
    if outcome.config.model.activation != "relu":
        return False
    return outcome.calm and max(outcome.silent_shares(outcome.end), default=0.0) >= 0.5


def _saturated(outcome: Outcome) -> bool:
    edge = {"tanh": 2.18, "sigmoid": 4.36}.get(outcome.config.model.activation, np.inf)
    flat = [np.mean(np.mean(np.abs(Z) > edge, axis=1) > 0.95) for Z in outcome.layers(outcome.end)[:-1]]
    return outcome.calm and max(flat, default=0.0) >= 0.5 and outcome.misses_affine


def _vanishing(outcome: Outcome) -> bool:
    """Little of the error reaches layer 1, which hardly moves, and better initial weights would learn more."""
    if len(outcome.end) < 4 or not outcome.calm or not outcome.misses_affine:
        return False
    if not outcome.signal(outcome.end) < 0.02 or not outcome.moved[0] < 0.03:
        return False
    iterations = outcome.config.training.iterations
    cured = min(
        outcome.cost_after(iterations, 0.2, InitConfig("xavier", 1.0), "tanh"),
        outcome.cost_after(iterations, 0.05, InitConfig("he", 1.0), "relu"),
    )
    return cured < 0.9 * outcome.cost(outcome.end)


def _exploding(outcome: Outcome) -> bool:
    if not outcome.calm or not outcome.misses_affine:
        return False
    return min(outcome.signal(outcome.start), outcome.signal(outcome.end)) > 1e3


def _linear(outcome: Outcome) -> bool:
    return outcome.calm and outcome.nonlinearity < 0.01 and max(outcome.moved) > 0


def _plateau(outcome: Outcome) -> bool:
    """The cost equals the prior's or a line's, the network is not linear, and longer training leaves the plateau."""
    final, (affine, prior) = outcome.cost(outcome.end), affine_and_prior_cost(outcome.config)
    stuck = min(abs(final / reference - 1) for reference in (prior, affine)) < 0.01
    if not outcome.calm or not stuck or outcome.nonlinearity < 0.02:
        return False
    return outcome.cost_after(5000, 0.3) < 0.9 * final


def _healthy(outcome: Outcome) -> bool:
    return outcome.calm and outcome.beats_affine and outcome.nonlinearity > 0.02


CHECKS: dict[str, Callable[[Outcome], bool]] = {
    "diverged": _diverged,
    "frozen": _frozen,
    "symmetric": _symmetric,
    "dead": _dead,
    "saturated": _saturated,
    "vanishing": _vanishing,
    "exploding": _exploding,
    "linear": _linear,
    "plateau": _plateau,
    "healthy": _healthy,
}


def state_of(outcome: Outcome) -> str | None:
    """Return the first state, in the order of the verdicts, in which the training ended; None if none is clear."""
    with np.errstate(all="ignore"):
        return next((state for state, holds in CHECKS.items() if holds(outcome)), None)
