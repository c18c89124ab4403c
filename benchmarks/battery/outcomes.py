"""The true state of a trained network, from its weights, and from training it again with one thing changed.

This code is independent of the probes, of nnlab's outcome and of their thresholds, which it checks. How much was
learned says `benchmarks.battery.reachable`.
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
from benchmarks.battery.reachable import Reachable, answers_of, labels_of, reachable
from nnlab import InitConfig, RunConfig
from nnlab.config import with_values
from nnlab.datasets import Dataset
from nnlab.network.parameters import Parameters
from nnlab.study.plan import prepare
from nnlab.study.run_stack import snapshots

__all__ = ["CLEARLY_LEARNED", "CLEARLY_MISSED", "Outcome", "Weights", "layers_of", "retrained", "state_of"]

CLEARLY_LEARNED, CLEARLY_MISSED = 0.93, 0.8
"""A network that learned a share between these of what can be reached is in no clear state."""
SEEDS, MOST_SEEDS = 5, 4
LONGEST = 8_000
"""Iterations of a training that is repeated longer."""

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

    @property
    def logits(self) -> Array:
        """The final logits of the output (n_y, m)."""
        return self.layers(self.end)[-1]

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
    def share(self) -> float:
        """The share of what can be reached that was learned."""
        answers = answers_of(self.logits, self.data.task)
        return what_can_be_reached(self.config).share(labels_of(self.data), answers)

    @property
    def has_missed(self) -> bool:
        """True if the weights are finite and clearly less was learned than can be."""
        return self.calm and not self.share > CLEARLY_MISSED

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

    def cost_after(self, init: InitConfig, activation: str, rate: float) -> float:
        """Return the final cost of the same training with other initial weights, activation and rate."""
        model = replace(self.config.model, activation=activation)
        training = replace(self.config.training, learning_rate=rate)
        return retrained([replace(self.config, model=model, training=training, init=init)])[0].cost_at_end

    def learns_with(self, **parts: Any) -> bool:
        """Return True if at least 4 of 5 seeds learn with other values of training, init or data."""
        changed = {part: replace(getattr(self.config, part), **values) for part, values in parts.items()}
        seeds = range(self.config.seed, self.config.seed + SEEDS)
        outcomes = retrained([replace(self.config, seed=seed, **changed) for seed in seeds])
        return sum(outcome.share >= CLEARLY_LEARNED for outcome in outcomes) >= MOST_SEEDS

    def learns_at(self, factor: float) -> bool:
        """Return True if the training learns at another learning rate."""
        rate = self.config.training.learning_rate
        assert rate is not None, "the config of a run has its learning rate"
        return self.learns_with(training={"learning_rate": factor * rate})

    @property
    def learns_in_time(self) -> bool:
        """True if ten times as many iterations suffice."""
        return self.learns_with(training={"iterations": min(10 * self.config.training.iterations, LONGEST)})

    @property
    def learns_from_good_weights(self) -> bool:
        """True if the weights that are recommended for the activation suffice."""
        scheme = "xavier" if self.config.model.activation in ("tanh", "sigmoid", "identity") else "he"
        scale = 2.0 if self.config.model.activation == "sigmoid" else 1.0
        return self.learns_with(init={"scheme": scheme, "scale": scale})

    @property
    def cost_at_end(self) -> float:
        return self.cost(self.end)


def layers_of(parameters: Parameters, index: int = 0) -> Weights:
    """Return the weights of one network of a stack."""
    named = parameters.as_dict(index)
    return [(named[f"W{layer}"], named[f"b{layer}"]) for layer in range(1, len(parameters.sizes))]


def retrained(configs: list[RunConfig]) -> list[Outcome]:
    """Train configs of one stack and return their outcomes."""
    jobs = prepare([with_values(config, {}) for config in configs])  # width 0 of no hidden layers is not legal
    last = [jobs[0].config.training.iterations]
    start, end = snapshots([job.config for job in jobs], jobs[0].data, [0, *last])
    return [
        Outcome(job.config, job.data, layers_of(start.parameters, index), layers_of(end.parameters, index))
        for index, job in enumerate(jobs)
    ]


def what_can_be_reached(config: RunConfig) -> Reachable:
    return _reachable(tuple(asdict(replace(config.data, standardize=None)).items()))


@cache
def _reachable(choices: tuple[tuple[str, Any], ...]) -> Reachable:
    return reachable(nnlab.load_dataset(nnlab.DataConfig(**dict(choices))))


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


def _share_of_a_line(config: RunConfig) -> float:
    """Return the share of what can be reached that the best affine model reaches."""
    from sklearn.linear_model import LinearRegression, LogisticRegression

    data = nnlab.load_dataset(config.data)
    X, labels = data.X.T, labels_of(data)
    known = what_can_be_reached(config)
    if data.task == "regression":
        answers = LinearRegression().fit(X, labels).predict(X)
    else:
        weights = "balanced" if known.balanced else None
        answers = LogisticRegression(max_iter=3000, class_weight=weights).fit(X, labels).predict(X)
    return known.share(labels, answers)


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


def _unscaled(outcome: Outcome) -> bool:
    """The inputs are far from scale 1, and standardized data suffice."""
    if outcome.config.data.standardize is not False or not outcome.has_missed:
        return False
    sizes = np.sqrt(np.square(outcome.data.X).mean(axis=1))
    if 0.1 < sizes.min() and sizes.max() < 10:
        return False
    return outcome.learns_with(data={"standardize": True})


def _dead(outcome: Outcome) -> bool:
    """Half of a layer's units are silent, unless the error hardly reached layer 1 even at the start."""
    if outcome.config.model.activation != "relu" or not outcome.has_missed:
        return False
    if max(outcome.silent_shares(outcome.end), default=0.0) < 0.5:
        return False
    starved = 0 < outcome.signal(outcome.start) < 1e-3 and _vanishing(outcome)
    return not starved


def _saturated(outcome: Outcome) -> bool:
    edge = {"tanh": 2.18, "sigmoid": 4.36}.get(outcome.config.model.activation, np.inf)
    flat = [np.mean(np.mean(np.abs(Z) > edge, axis=1) > 0.95) for Z in outcome.layers(outcome.end)[:-1]]
    return max(flat, default=0.0) >= 0.5 and outcome.has_missed


def _vanishing(outcome: Outcome) -> bool:
    """Little of the error reaches layer 1, which hardly moved, and better initial weights would learn more."""
    if len(outcome.end) < 4 or not outcome.has_missed:
        return False
    if not outcome.signal(outcome.end) < 0.02 or not outcome.moved[0] < 0.03:
        return False
    cured = min(
        outcome.cost_after(InitConfig("xavier", 1.0), "tanh", 0.2),
        outcome.cost_after(InitConfig("he", 1.0), "relu", 0.05),
    )
    return cured < 0.9 * outcome.cost_at_end


def _exploding(outcome: Outcome) -> bool:
    if not outcome.has_missed:
        return False
    return min(outcome.signal(outcome.start), outcome.signal(outcome.end)) > 1e3


def _linear(outcome: Outcome) -> bool:
    """The network is a line, and close to the best one, where more than a line can be learned."""
    if not outcome.has_missed or outcome.nonlinearity > 0.01 or max(outcome.moved) == 0:
        return False
    affine, prior = affine_and_prior_cost(outcome.config)
    is_line = outcome.config.model.activation == "identity" or outcome.config.model.depth == 0
    gap = max(prior - affine, 0.01 * prior) if is_line else prior - affine
    is_found = outcome.cost_at_end <= affine + 0.2 * gap and (is_line or gap > 0.05 * prior)
    return is_found and _share_of_a_line(outcome.config) < CLEARLY_MISSED


def _at_a_reference(outcome: Outcome) -> bool:
    final = outcome.cost_at_end
    return min(abs(final / reference - 1) for reference in affine_and_prior_cost(outcome.config)) < 0.01


def _overshooting(outcome: Outcome) -> bool:
    """Smaller steps suffice, and more of the same size do not."""
    return outcome.has_missed and outcome.learns_at(0.1) and not outcome.learns_in_time


def _slow(outcome: Outcome) -> bool:
    """Larger or more steps suffice, and neither better initial weights nor smaller steps do.

    A network that is on its way along a line, or that moved and is at the cost of the prior or a line, could as well be
    called linear or on a plateau: it is in no clear state.
    """
    affine, prior = affine_and_prior_cost(outcome.config)
    if outcome.nonlinearity < 0.02 and outcome.cost_at_end < (affine + prior) / 2:
        return False
    if _at_a_reference(outcome) and max(outcome.moved) > 5e-4:
        return False
    if not outcome.has_missed or not (outcome.learns_at(100) or outcome.learns_at(10) or outcome.learns_in_time):
        return False
    return not (outcome.learns_from_good_weights or outcome.learns_at(0.1))


def _plateau(outcome: Outcome) -> bool:
    """The cost equals the prior's or a line's; the same steps suffice from better initial weights."""
    return _at_a_reference(outcome) and outcome.has_missed and outcome.learns_from_good_weights


def _healthy(outcome: Outcome) -> bool:
    return outcome.calm and outcome.share >= CLEARLY_LEARNED


CHECKS: dict[str, Callable[[Outcome], bool]] = {
    "diverged": _diverged,
    "frozen": _frozen,
    "symmetric": _symmetric,
    "unscaled": _unscaled,
    "dead": _dead,
    "saturated": _saturated,
    "vanishing": _vanishing,
    "exploding": _exploding,
    "overshooting": _overshooting,
    "linear": _linear,
    "plateau": _plateau,
    "slow": _slow,
    "healthy": _healthy,
}


def state_of(outcome: Outcome) -> str | None:
    """Return the first state, in the order of `CHECKS`, in which the training ended; None if none is clear."""
    with np.errstate(all="ignore"):
        return next((state for state, holds in CHECKS.items() if holds(outcome)), None)
