"""The verdict: what the probes of one run add up to, in one word, with its evidence.

Each rule looks at the curves of one run and either stays silent or gives a finding. All findings are kept, in the
order of `RULES`; the first is the headline. A run that no rule objects to is healthy if it fits the training data
better than the best affine model, and unfinished otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.events import Event, find_events
from nnlab.diagnostics.function import References
from nnlab.network.activations import Array

__all__ = ["RULES", "THRESHOLDS", "Curves", "Finding", "Verdict", "judge"]

Curves = Mapping[tuple[str, int], Array]
"""(quantity, layer) -> one value per checkpoint, the same checkpoints for all; layer 0 is the whole network."""

THRESHOLDS = {
    "diverged: final cost over initial cost": 10.0,
    "dead: share of a layer's units": 0.5,
    "saturated: share of a layer's units": 0.5,
    "vanishing: signal ratio": 1e-3,
    "vanishing: update ratio of layer 1": 1e-4,
    "exploding: signal ratio": 1e3,
    "linear: affine residual": 1e-2,
    "plateau: distance to a reference cost": 1e-2,
    "healthy: share of the prior's cost": 0.05,
}
"""Where each rule begins to object. The signal thresholds separate vanishing from healthy networks that were trained
(Glorot & Bengio 2010 for the quantity); the shares are what is left of a layer when half of it does not answer."""


OVERFITTED = 0.05
"""By how much a score must beat the affine model's in training before it counts that on test data it hardly does."""


class Finding(NamedTuple):
    """What one rule objects to: the numbers that decided it, why it happens, what helps, who says so."""

    name: str
    evidence: str
    cause: str
    cure: str
    source: str

    @property
    def text(self) -> str:
        """One line: `symmetric: all 4 units ... Equal weights get equal gradients. Draw ...`"""
        return f"{self.name}: {self.evidence}. {self.cause} {self.cure} ({self.source})"


@dataclass(frozen=True)
class Verdict:
    """The findings about one run, headline first, and what happened on the way to them."""

    findings: tuple[Finding, ...]
    events: tuple[Event, ...] = ()
    warning: str = ""

    @property
    def name(self) -> str:
        """The headline, in one word."""
        return self.findings[0].name

    @property
    def all(self) -> tuple[str, ...]:
        """Every finding, in one word each."""
        return tuple(finding.name for finding in self.findings)

    @property
    def text(self) -> str:
        """All findings with their evidence, then what happened on the way, one paragraph each."""
        return "\n\n".join([*(finding.text for finding in self.findings), *self.notes])

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way that the final state does not show, a sentence each."""
        expected = ("symmetry/broken_at", "init")
        told = [event.text for event in self.events if (event.name, event.cause) != expected]
        return tuple(f"note: {text}" for text in [*told, self.warning] if text)


class Case(NamedTuple):
    """What is known about a run when it is judged."""

    iterations: Sequence[int]
    curves: Curves
    widths: Sequence[int]
    activation: str
    references: References

    def layers(self, quantity: str) -> list[tuple[int, Array]]:
        """Return (layer, curve) for every layer that has this quantity."""
        return [(layer, curve) for (name, layer), curve in self.curves.items() if name == quantity]

    def first(self, condition: NDArray[np.bool_]) -> int:
        """Return the iteration from which a condition holds to the end."""
        lasting = np.logical_and.accumulate(condition[::-1])[::-1]
        return int(self.iterations[int(lasting.argmax())])

    @property
    def cost(self) -> Array:
        return self.curves["cost/train", 0]

    @property
    def goal(self) -> float:
        """The cost that shows that something was learned which no affine model gives.

        On separable classes the affine cost goes to 0 as its weights go to infinity, and no run can be below: there a
        share of the prior's cost is good enough.
        """
        return max(self.references.affine, THRESHOLDS["healthy: share of the prior's cost"] * self.references.prior)

    @property
    def misses_goal(self) -> bool:
        return not self.cost[-1] < self.goal


def judge(
    iterations: Sequence[int], curves: Curves, widths: Sequence[int], activation: str, references: References
) -> Verdict:
    """Return the verdict on one run.

    `curves` are what the probes of the standard preset saw at `iterations`, `widths` the units of each hidden layer.
    A rule whose quantities were not measured stays silent.
    """
    case = Case(iterations, curves, widths, activation, references)
    # Of a network of NaN there is nothing else to say: its units are equal, and so on.
    rules = RULES if np.isfinite(case.cost[-1]) else (_diverged,)
    found = tuple(finding for rule in rules if (finding := rule(case)) is not None)
    final = _unfinished(case) if case.misses_goal else _healthy(case)
    return Verdict(found or (final,), find_events(iterations, curves, widths), _overfitted(case))


def _overfitted(case: Case) -> str:
    """Return what there is to say of test data: a verdict is about training, where fitting noise is learning too."""
    for score in ("accuracy", "r2"):
        train, test = (case.curves.get((f"{score}/{part}", 0)) for part in ("train", "test"))
        if train is not None and test is not None:
            known = case.references
            gain = train[-1] - known.score_train
            if gain > OVERFITTED and test[-1] - known.score_test < gain / 4:
                return (
                    f"{score} is {train[-1]:.3g} on the training data and {test[-1]:.3g} on test data, where the best "
                    f"affine model has {known.score_test:.3g}: what was learned beyond a line holds for the training "
                    "data only (overfitting; more examples, fewer units or fewer iterations help)"
                )
    return ""


def _diverged(case: Case) -> Finding | None:
    finite = np.isfinite(case.cost)
    limit = THRESHOLDS["diverged: final cost over initial cost"]
    if finite.all() and case.cost[-1] / limit <= case.cost[0]:  # the product could overflow
        return None
    if finite.all():
        evidence = f"the cost went from {case.cost[0]:.4g} to {case.cost[-1]:.4g}, more than {limit:g} times as much"
    else:
        evidence = f"the cost was {case.cost[~finite][0]} from iteration {case.iterations[int((~finite).argmax())]} on"
    if not finite[0]:
        cause, cure = "The initial weights are too large for floating point.", "Lower init.scale."
    else:
        cause = "Steps that overshoot grow instead of shrinking."
        cure = "Lower training.learning_rate, or the initial scale."
    return Finding(
        "diverged",
        evidence,
        cause,
        cure,
        "LeCun et al. 1998, Efficient BackProp",
    )


def _frozen(case: Case) -> Finding | None:
    norms = [curve for _, curve in case.layers("signal/norm_dW")]
    if not norms or any((curve != 0).any() for curve in norms):
        return None
    size_known = np.isfinite(case.curves.get(("update", 1), np.array([np.nan]))).all()
    if size_known and any(share[0] == 1 for _, share in case.layers("activity/dead")):
        return None  # its weights are not 0: it was born dead, which is another disease
    return Finding(
        "frozen",
        "the gradient of every weight was exactly 0 at every checkpoint",
        "With zero weights no error comes back through the output and no input arrives there: only a bias can move.",
        "Draw the weights at random (init.scheme=normal, init.scale=0.01).",
        "Goodfellow et al. 2016, section 8.4",
    )


def _symmetric(case: Case) -> Finding | None:
    for layer, classes in case.layers("symmetry/near_units"):
        width, distinct = case.widths[layer - 1], classes[-1]
        if distinct < width and classes[0] < width:
            deviation = case.curves["symmetry/deviation", layer][-1]
            return Finding(
                "symmetric",
                f"layer {layer} began with {classes[0]:.0f} and ended with {distinct:.0f} distinct of {width} units "
                + (f"(all alike, deviation {deviation:.1g})" if distinct == 1 else "(partial)"),
                "Units with equal weights get equal gradients: the layer computes with fewer units than it has.",
                "Draw the weights at random (init.scheme=normal).",
                "Goodfellow et al. 2016, section 8.4",
            )
    return None


def _dead(case: Case) -> Finding | None:
    limit = THRESHOLDS["dead: share of a layer's units"]
    for layer, share in case.layers("activity/dead"):
        if share[-1] >= limit:
            start = case.first(share >= limit)
            return Finding(
                "dead",
                f"{share[-1]:.0%} of layer {layer}'s units were 0 on every example, "
                + ("from birth" if start == 0 else f"since iteration {start}"),
                "Where a relu is 0 on all examples its slope is 0 too, and its weights never move again.",
                "Use model.activation=leaky_relu or init=he, or lower training.learning_rate.",
                "Lu et al. 2019, Dying ReLU and initialization",
            )
    return None


def _saturated(case: Case) -> Finding | None:
    limit = THRESHOLDS["saturated: share of a layer's units"]
    for layer, share in case.layers("activity/saturated"):
        if share[-1] >= limit and case.misses_goal:
            return Finding(
                "saturated",
                f"{share[-1]:.0%} of layer {layer}'s units were flat on more than 95 % of the examples, "
                f"since iteration {case.first(share >= limit)}",
                "Far from 0 the slope of tanh and sigmoid is nearly 0, and with it the gradient.",
                "Lower init.scale, use init=xavier, or standardize the inputs (data.standardize=true).",
                "Glorot & Bengio 2010",
            )
    return None


def _vanishing(case: Case) -> Finding | None:
    ratio, update = case.curves.get(("signal/ratio", 0)), case.curves.get(("update", 1))
    if ratio is None or update is None or not case.misses_goal:
        return None
    limit = THRESHOLDS["vanishing: signal ratio"]
    # An exact 0 is no small number: nothing comes back at all, which other rules name, unless it came to that by
    # becoming ever smaller until the floating point numbers ended.
    underflown = (ratio == 0) & (_last_signal(case) < limit)
    weak = ((ratio > 0) & (ratio < limit)) | underflown
    if not weak[-1] or not update[-1] < THRESHOLDS["vanishing: update ratio of layer 1"]:
        return None
    arrived = "0, after layers of ever less," if underflown[-1] else f"{ratio[-1]:.2g} of that at the output,"
    return Finding(
        "vanishing",
        f"the error that reached layer 1 was {arrived} since iteration "
        f"{case.first(weak)}; one iteration moved layer 1 by {update[-1]:.2g} of its size",
        "Each layer multiplies the error by weights and slopes below 1.",
        "Use init=xavier (tanh) or init=he (relu), another activation, or fewer layers.",
        "Glorot & Bengio 2010; Schoenholz et al. 2017",
    )


def _last_signal(case: Case) -> Array:
    """Return the smallest back-propagated signal of a layer that is not 0, over that at the output, by checkpoint."""
    signal = np.array([curve for _, curve in sorted(case.layers("signal/rms_dZ"), key=itemgetter(0))])
    if not len(signal):
        return np.full(len(case.iterations), np.inf)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(signal > 0, signal, np.inf).min(axis=0) / signal[-1])


def _exploding(case: Case) -> Finding | None:
    ratio = case.curves.get(("signal/ratio", 0))
    if ratio is None or not ratio[-1] > THRESHOLDS["exploding: signal ratio"] or not case.misses_goal:
        return None
    return Finding(
        "exploding",
        f"the error that reached layer 1 was {ratio[-1]:.2g} times that at the output",
        "Each layer multiplies the error by weights and slopes above 1.",
        "Lower init.scale, or use init=xavier or init=he.",
        "Pascanu et al. 2013",
    )


def _linear(case: Case) -> Finding | None:
    residual = case.curves.get(("function/affine_residual", 0))
    if residual is None or not residual[-1] < THRESHOLDS["linear: affine residual"]:
        return None
    depthless = "" if case.widths else " (it has no hidden layer)"
    return Finding(
        "linear",
        f"an affine function of the inputs gives all but {residual[-1]:.2g} of the output's variance{depthless}",
        "With identity activations, or weights so small that tanh is a straight line, depth adds nothing.",
        "Use another activation, larger weights or more iterations.",
        "Saxe et al. 2013",
    )


def _plateau(case: Case) -> Finding | None:
    final = case.cost[-1]
    limit = THRESHOLDS["plateau: distance to a reference cost"]
    for meaning, reference in (
        ("a model that knows only how frequent the classes are", case.references.prior),
        ("a model that knows nothing", case.references.nothing),
        ("the best affine model", case.references.affine),
    ):
        if abs(final - reference) <= limit * reference:
            return Finding(
                "plateau",
                f"the cost ended at {final:.4g}, within {limit:.0%} of {meaning} ({reference:.4g})",
                "The iterations were spent where the cost is nearly flat.",
                "Train longer, raise training.learning_rate, or start from larger weights.",
                "Saad & Solla 1995",
            )
    return None


def _healthy(case: Case) -> Finding:
    return Finding(
        "healthy",
        f"the cost fell from {case.cost[0]:.4g} to {case.cost[-1]:.4g}, below {case.goal:.4g}, "
        + ("the best affine model's" if case.goal == case.references.affine else "a twentieth of the prior's"),
        "No rule objects.",
        "Compare seeds before believing a difference.",
        "nnlab",
    )


def _unfinished(case: Case) -> Finding:
    return Finding(
        "unfinished",
        f"the cost ended at {case.cost[-1]:.4g}, above {case.goal:.4g}, "
        + ("the best affine model's" if case.goal == case.references.affine else "a twentieth of the prior's"),
        "No rule objects, but more could be learned.",
        "Train longer, or look at the curves for steps that are too large.",
        "nnlab",
    )


RULES: tuple[Callable[[Case], Finding | None], ...] = (
    _diverged,
    _frozen,
    _symmetric,
    _dead,
    _saturated,
    _vanishing,
    _exploding,
    _linear,
    _plateau,
)
"""The rules, headline first."""
