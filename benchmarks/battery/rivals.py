"""Four published rule sets, re-implemented from their thresholds.

A rule set reads `Observation`s at a hundred evenly spaced iterations and returns the symptoms that it sees, each with
the iteration at which it appeared first. `RIVALS` credits each symptom with every state of ours that it could mean.
The authors tuned their rules on mini-batch image models; here they judge small dense networks and full batches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.network.training import Snapshot

__all__ = ["RIVALS", "Observation", "observe"]

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Observation:
    """What the rule sets need to know about one network at one iteration; lists have one value per layer."""

    iteration: int
    cost: float
    score: float
    learning_rate: float
    bounded: bool
    finite_weights: bool
    finite_gradients: bool
    gradient_norm: list[float]
    gradient_mean: list[float]
    gradient_zeros: list[float]
    gradient_spread: list[float]
    weight_variance: list[float]
    weight_mean: list[float]
    all_zero: bool
    activation_sum: list[float]
    beyond_5: list[float]
    not_positive: list[float]
    inactive_units: list[float]
    beyond_far: list[float]
    weak_units: list[float]
    index_units: list[float]
    activation_std: list[float]


def observe(snapshot: Snapshot) -> Observation:
    """Return the observation of a stack of one network."""
    with np.errstate(all="ignore"):
        dW = [gradient[0] for gradient in snapshot.gradient.W]
        W = [weights[0] for weights in snapshot.parameters.W]
        Z, A = [z[0] for z in snapshot.Z[:-1]], [a[0] for a in snapshot.A]
        name = snapshot.activation.name
        score = snapshot.cost_function.score(snapshot.Z[-1], snapshot.Y)[0]
        return Observation(
            iteration=snapshot.iteration,
            cost=float(snapshot.cost[0]),
            score=float(score),
            learning_rate=float(snapshot.learning_rate[0]),
            bounded=name in ("tanh", "sigmoid"),
            finite_weights=bool(np.isfinite(snapshot.parameters.flat).all()),
            finite_gradients=bool(np.isfinite(snapshot.gradient.flat).all()),
            gradient_norm=[float(np.linalg.norm(g)) for g in dW],
            gradient_mean=[float(np.abs(g).mean()) for g in dW],
            gradient_zeros=[float((g == 0).mean()) for g in dW],
            gradient_spread=[float(np.ptp(np.nan_to_num(np.percentile(g, [5, 95])))) for g in dW],
            weight_variance=[float(w.var()) for w in W],
            weight_mean=[float(np.abs(w).mean()) for w in W],
            all_zero=any(not w.any() for w in W) or any(not a.any() for a in A),
            activation_sum=[float(np.abs(a).sum()) for a in A],
            beyond_5=[float((np.abs(z) >= 5).mean()) for z in Z],
            not_positive=[float((a <= 0).mean()) for a in A],
            inactive_units=[float(((a > 0).mean(axis=1) < 0.01).mean()) for a in A],
            beyond_far=[_far(z, name) for z in Z],
            weak_units=[float((np.percentile(np.abs(np.nan_to_num(a)), 95, axis=1) < 1e-5).mean()) for a in A],
            index_units=[float((_saturation_index(a, name) > 0.85).mean()) for a in A],
            activation_std=[float(a.std()) for a in A],
        )


def _far(Z: Array, name: str) -> float:
    """Return the share of units that SageMaker counts as saturated on more than half of the examples."""
    if name == "tanh":
        far = np.abs(Z) > 9.4999
    elif name == "sigmoid":
        far = (Z < -23) | (Z > 17)
    else:
        return 0.0
    return float((far.mean(axis=1) > 0.5).mean())


def _saturation_index(A: Array, name: str) -> Array:
    """Return the range-independent index of each unit (Rakitianskaia & Engelbrecht 2015), ten bins on [-1, 1]."""
    scaled = {"tanh": A, "sigmoid": 2 * A - 1}.get(name)
    if scaled is None:
        return np.zeros(len(A))
    index = np.zeros(len(A))
    bins = np.clip(np.floor((np.nan_to_num(scaled) + 1) * 5), 0, 9)
    for number in range(10):
        inside = bins == number
        amount = inside.sum(axis=1)
        mean = np.abs((scaled * inside).sum(axis=1) / np.maximum(amount, 1))
        index += mean * amount / A.shape[1]
    return index


Alarms = dict[str, int]
"""Symptom -> iteration at which it appeared first."""


def _alarms(observations: Sequence[Observation], symptoms: Callable[[int], Sequence[str]]) -> Alarms:
    first: Alarms = {}
    with np.errstate(all="ignore"):
        for index, observation in enumerate(observations):
            for symptom in symptoms(index):
                first.setdefault(symptom, observation.iteration)
    return first


def autotrainer(observations: Sequence[Observation]) -> Alarms:
    """Zhang et al., ICSE 2021. One symptom at a time: dying, exploding, vanishing, slow, oscillating."""
    scores = np.array([o.score for o in observations])
    with np.errstate(all="ignore"):
        swings = np.abs(np.diff(scores, prepend=scores[0])) >= 0.03

    def symptoms(index: int) -> Sequence[str]:
        o, so_far = observations[index], scores[: index + 1]
        if index < 0.3 * len(observations):
            return ()
        slow = np.diff(so_far).max(initial=-np.inf) < 0.01
        if so_far.max() <= 0.7 or slow or not np.isfinite(o.cost):
            if max(o.gradient_zeros) >= 0.7:
                return ("dying ReLU",)
            broken = not np.isfinite(o.cost) or o.cost >= 1e3
            ratio = o.gradient_norm[0] / o.gradient_norm[-1] if o.gradient_norm[-1] else np.nan
            if ratio > 70 or (broken and not (o.finite_weights and o.finite_gradients)):
                return ("exploding gradient",)
            if ratio < 1e-3 and o.gradient_norm[0] < 1e-4:
                return ("vanishing gradient",)
        if slow:
            return ("slow convergence",)
        return ("oscillating loss",) if swings[: index + 1].mean() >= 0.2 else ()

    return _alarms(observations, symptoms)


def deep_diagnosis(observations: Sequence[Observation]) -> Alarms:
    """Wardat et al., ICSE 2022."""
    costs, scores = [o.cost for o in observations], [o.score for o in observations]

    def symptoms(index: int) -> Sequence[str]:
        o = observations[index]
        names = []
        if not (np.isfinite(o.cost) and o.finite_weights and o.finite_gradients) or not all(o.activation_sum):
            names.append("numerical error")
        for layer in range(len(o.weight_mean)):
            recent = [past.weight_mean[layer] for past in observations[max(0, index - 4) : index + 1]]
            if len(recent) == 5 and np.mean(recent) == max(recent):
                names.append("unchanged weight")
        if o.bounded and max(o.beyond_5, default=0) > 0.5:
            names.append("saturated activation")
        if index == len(observations) - 1 and max(o.not_positive, default=0) >= 0.7:
            names.append("dead node")
        if min(o.gradient_mean) < 1e-7:
            names.append("vanishing gradient")
        if index >= 5 and costs[index] >= costs[index - 5]:
            names.append("loss not decreasing")
        if index >= 20 and scores[index] <= scores[index - 20]:
            names.append("accuracy not increasing")
        return names

    return _alarms(observations, symptoms)


def sagemaker(observations: Sequence[Observation]) -> Alarms:
    """Amazon SageMaker Debugger's built-in rules at their defaults."""
    costs = [o.cost for o in observations]

    def symptoms(index: int) -> Sequence[str]:
        o = observations[index]
        names = []
        if not o.bounded and max(o.inactive_units, default=0) > 0.5:
            names.append("dead relu")
        if max(o.beyond_far, default=0) > 0.5:
            names.append("saturated activation")
        if min(o.gradient_mean) < 1e-7:
            names.append("vanishing gradient")
        steps = [o.learning_rate * g / w for g, w in zip(o.gradient_mean, o.weight_mean, strict=True) if w]
        if any(step > 10 for step in steps) or not o.finite_weights:
            names.append("update too large")
        if any(step < 1e-8 for step in steps):
            names.append("update too small")
        unlike = max(o.weight_variance) > 10 * min(o.weight_variance)
        if index <= 10 and (unlike or max(o.gradient_spread) < 1e-3):
            names.append("poor initialization")
        if index >= 10 and not min(costs[index - 9 : index + 1]) < costs[index - 10]:
            names.append("loss not decreasing")
        if o.all_zero:
            names.append("all zero")
        return names

    return _alarms(observations, symptoms)


def deep_checker(observations: Sequence[Observation]) -> Alarms:
    """Braiek & Khomh, TOSEM 2022: checks from the tenth observation on, with a patience of five."""
    start = 10
    streaks: dict[str, int] = {}

    def symptoms(index: int) -> Sequence[str]:
        o = observations[index]
        if index == 0:
            return ["symmetry"] if any(v < 1e-12 for v in o.weight_variance) else []
        if index < start:
            return []
        past = observations[index - 1]
        recent = _pairs(observations[index - 4 : index + 1])
        shrinking = all(a.gradient_mean[0] < 0.5 * b.gradient_mean[0] for a, b in recent)
        growing = all(a.gradient_mean[0] > 2 * b.gradient_mean[0] for a, b in recent)
        with np.errstate(all="ignore"):
            logs = [np.log10(o.learning_rate * g / w) for g, w in zip(o.gradient_mean, o.weight_mean, strict=True) if w]
        slow = abs(past.cost - o.cost) < 0.05 * abs(past.cost)
        now = {
            "dead": not o.bounded and max(o.weak_units, default=0) > 0.5,
            "saturated": max(o.index_units, default=0) > 0.5,
            "vanishing gradient": min(o.gradient_mean) < 1e-6 or shrinking,
            "exploding gradient": max(o.gradient_mean) > 1e6 or growing or not o.finite_gradients,
            "activation range": any(not 0.5 <= s <= 2 for s in o.activation_std),
            "update too small": any(step < -4 for step in logs),
            "update too large": any(step > -1 for step in logs),
            "loss not decreasing": slow,
            "loss not a number": not np.isfinite(o.cost),
        }
        for symptom, holds in now.items():
            streaks[symptom] = streaks.get(symptom, 0) + 1 if holds else 0
        return [symptom for symptom, streak in streaks.items() if streak >= 5 or (streak and "not a number" in symptom)]

    return _alarms(observations, symptoms)


def _pairs(observations: Sequence[Observation]) -> list[tuple[Observation, Observation]]:
    return list(zip(observations[1:], observations[:-1], strict=True))


RIVALS: dict[str, tuple[Callable[[Sequence[Observation]], Alarms], dict[str, tuple[str, ...]]]] = {
    "AUTOTRAINER": (
        autotrainer,
        {
            "dying ReLU": ("dead",),
            "exploding gradient": ("exploding", "diverged"),
            "vanishing gradient": ("vanishing",),
            "slow convergence": ("plateau", "slow"),
            "oscillating loss": ("overshooting",),
        },
    ),
    "DeepDiagnosis": (
        deep_diagnosis,
        {
            "numerical error": ("diverged",),
            "unchanged weight": ("frozen",),
            "saturated activation": ("saturated",),
            "dead node": ("dead",),
            "vanishing gradient": ("vanishing",),
            "loss not decreasing": ("plateau", "slow", "overshooting"),
            "accuracy not increasing": ("plateau", "slow", "overshooting"),
        },
    ),
    "SageMaker Debugger": (
        sagemaker,
        {
            "dead relu": ("dead",),
            "saturated activation": ("saturated",),
            "vanishing gradient": ("vanishing",),
            "update too large": ("exploding", "diverged", "overshooting"),
            "update too small": ("vanishing", "slow"),
            "poor initialization": (),
            "loss not decreasing": ("plateau", "slow", "overshooting"),
            "all zero": ("frozen",),
        },
    ),
    "TheDeepChecker": (
        deep_checker,
        {
            "symmetry": ("symmetric", "frozen"),
            "dead": ("dead",),
            "saturated": ("saturated",),
            "vanishing gradient": ("vanishing",),
            "exploding gradient": ("exploding", "diverged"),
            "activation range": (),
            "update too small": ("vanishing", "slow"),
            "update too large": ("exploding", "overshooting"),
            "loss not decreasing": ("plateau", "slow", "overshooting"),
            "loss not a number": ("diverged",),
        },
    ),
}
"""Rule set -> its function, and the states that each of its symptoms could mean."""
