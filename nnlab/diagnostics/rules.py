"""The rules of the verdict: each examines the curves of one run and returns a finding, or None if all is well."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.changes import widths_of
from nnlab.diagnostics.references import References
from nnlab.diagnostics.thresholds import THRESHOLDS
from nnlab.network.activations import Array

__all__ = ["RULES", "Case", "Curves", "Finding", "diverged", "healthy", "unfinished"]

Curves = Mapping[tuple[str, int], Array]
"""(quantity, layer) -> one value for each checkpoint. All curves share checkpoints; layer 0 is the whole network."""


class Finding(NamedTuple):
    """An objection of one rule: the numbers that decided it, its cause, its cure and its source."""

    name: str
    evidence: str
    cause: str
    cure: str
    source: str

    @property
    def text(self) -> str:
        """One line: `symmetric: layer 1 started with ... Units with equal weights get ... Draw ... (Goodfellow ...)`"""
        return f"{self.name}: {self.evidence}. {self.cause} {self.cure} ({self.source})"


class Case(NamedTuple):
    """What the rules use to judge one run.

    `config` is a plain mapping from keys to values, with every default written out.
    """

    iterations: Sequence[int]
    curves: Curves
    config: Mapping[str, Any]
    references: References

    @property
    def widths(self) -> list[int]:
        """The numbers of units of the hidden layers."""
        return widths_of(self.config)

    def layers(self, quantity: str) -> list[tuple[int, Array]]:
        """Return (layer, curve) for every layer with this quantity."""
        return [(layer, curve) for (name, layer), curve in self.curves.items() if name == quantity]

    def first(self, condition: NDArray[np.bool_]) -> int:
        """Return the first iteration from which a condition holds to the end."""
        lasting = np.logical_and.accumulate(condition[::-1])[::-1]
        return int(self.iterations[int(lasting.argmax())])

    @property
    def cost(self) -> Array:
        return self.curves["cost/train", 0]

    @property
    def goal(self) -> float:
        """The cost below which a run has learned more than any affine model.

        On separable classes the affine cost tends to 0 as the weights grow, and no run can be below it. There, and
        where an affine model fits nearly as well, the goal is a share of the prior's cost.
        """
        return max(self.references.affine, THRESHOLDS["healthy: share of the prior's cost"] * self.references.prior)

    @property
    def misses_goal(self) -> bool:
        """True if the final cost is not below the goal, or NaN."""
        return not self.cost[-1] < self.goal


def diverged(case: Case) -> Finding | None:
    finite = np.isfinite(case.cost)
    limit = THRESHOLDS["diverged: final cost over initial cost"]
    if finite.all() and case.cost[-1] / limit <= case.cost[0]:  # a product could overflow
        return None
    if finite.all():
        evidence = f"the cost rose from {case.cost[0]:.4g} to {case.cost[-1]:.4g}, more than {limit:g} times as much"
    else:
        evidence = f"the cost was {case.cost[~finite][0]} from iteration {case.iterations[int((~finite).argmax())]} on"
    if not finite[0]:
        cause, cure = "The initial weights are too large for floating point.", "Lower init.scale."
    else:
        cause = "Steps that overshoot grow instead of shrinking."
        cure = "Lower training.learning_rate, or the initial scale."
    return Finding("diverged", evidence, cause, cure, "LeCun et al. 1998, Efficient BackProp")


def frozen(case: Case) -> Finding | None:
    norms = [curve for _, curve in case.layers("signal/norm_dW")]
    if not norms or any((curve != 0).any() for curve in norms):
        return None
    # `update` is NaN where the weights before the step were 0, and at iteration 0.
    weights_are_nonzero = np.isfinite(case.curves.get(("update", 1), np.array([np.nan, np.nan]))[1:]).all()
    if weights_are_nonzero and any(share[0] == 1 for _, share in case.layers("activity/dead")):
        return None  # the gradient is 0 because the network was born dead
    return Finding(
        "frozen",
        "the gradient of every weight was exactly 0 at every checkpoint",
        "With zero weights no error passes back from the output and no input reaches it: only a bias can change.",
        "Draw the weights at random (init.scheme=normal, init.scale=0.01).",
        "Goodfellow et al. 2016, section 8.4",
    )


def symmetric(case: Case) -> Finding | None:
    for layer, classes in case.layers("symmetry/near_units"):
        width, distinct = case.widths[layer - 1], classes[-1]
        if distinct < width and classes[0] < width:
            deviation = case.curves["symmetry/deviation", layer][-1]
            return Finding(
                "symmetric",
                f"layer {layer} started with {classes[0]:.0f} and ended with {distinct:.0f} distinct of {width} units "
                + (f"(all alike, deviation {deviation:.1g})" if distinct == 1 else "(partial)"),
                "Units with equal weights get equal gradients: the layer computes with fewer units than it has.",
                "Draw the weights at random (init.scheme=normal).",
                "Goodfellow et al. 2016, section 8.4",
            )
    return None


def dead(case: Case) -> Finding | None:
    limit = THRESHOLDS["dead: share of a layer's units"]
    for layer, share in case.layers("activity/dead"):
        if share[-1] >= limit:
            start = case.first(share >= limit)
            return Finding(
                "dead",
                f"{share[-1]:.0%} of layer {layer}'s units were 0 on every example, "
                + ("from the start" if start == 0 else f"since iteration {start}"),
                "A relu that is 0 on every example has slope 0 there, so its own weights never change again.",
                "Use model.activation=leaky_relu or init=he, or lower training.learning_rate.",
                "Lu et al. 2019, Dying ReLU and initialization",
            )
    return None


def saturated(case: Case) -> Finding | None:
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


def vanishing(case: Case) -> Finding | None:
    ratio, update = case.curves.get(("signal/ratio", 0)), case.curves.get(("update", 1))
    if ratio is None or update is None or not case.misses_goal:
        return None
    limit = THRESHOLDS["vanishing: signal ratio"]
    # An exact 0 means no signal at all, which other rules explain, unless the signal shrank layer by layer until it
    # underflowed.
    underflowed = (ratio == 0) & (_smallest_signal(case) < limit)
    weak = ((ratio > 0) & (ratio < limit)) | underflowed
    if not weak[-1] or not update[-1] < THRESHOLDS["vanishing: update ratio of layer 1"]:
        return None
    share = f"{ratio[-1]:.2g} of the output's error"
    if underflowed[-1]:
        share = "0 (it shrank layer by layer until it underflowed)"
    return Finding(
        "vanishing",
        f"the error that reached layer 1 was {share}, since iteration {case.first(weak)}; "
        f"one iteration changed layer 1 by {update[-1]:.2g} of its size",
        "Each layer multiplies the error by weights and slopes below 1.",
        "Use init=xavier (tanh) or init=he (relu), another activation, or fewer layers.",
        "Glorot & Bengio 2010; Schoenholz et al. 2017",
    )


def _smallest_signal(case: Case) -> Array:
    """Return, for each checkpoint, the smallest nonzero signal of a layer as a share of the output's signal."""
    signal = np.array([curve for _, curve in sorted(case.layers("signal/rms_dZ"), key=itemgetter(0))])
    if not len(signal):
        return np.full(len(case.iterations), np.inf)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(signal > 0, signal, np.inf).min(axis=0) / signal[-1])


def exploding(case: Case) -> Finding | None:
    ratio = case.curves.get(("signal/ratio", 0))
    if ratio is None or not ratio[-1] > THRESHOLDS["exploding: signal ratio"] or not case.misses_goal:
        return None
    return Finding(
        "exploding",
        f"the error that reached layer 1 was {ratio[-1]:.2g} times the output's error",
        "Each layer multiplies the error by weights and slopes above 1.",
        "Lower init.scale, or use init=xavier or init=he.",
        "Pascanu et al. 2013",
    )


def linear(case: Case) -> Finding | None:
    residual = case.curves.get(("function/affine_residual", 0))
    if residual is None or not residual[-1] < THRESHOLDS["linear: affine residual"]:
        return None
    note = "" if case.widths else " (the network has no hidden layer)"
    return Finding(
        "linear",
        f"an affine function of the inputs explains all but {residual[-1]:.2g} of the output's variance{note}",
        "With identity activations, or weights so small that tanh is a straight line, depth adds nothing.",
        "Use another activation, larger weights or more iterations.",
        "Saxe et al. 2013",
    )


def plateau(case: Case) -> Finding | None:
    final = case.cost[-1]
    limit = THRESHOLDS["plateau: distance to a reference cost"]
    for meaning, reference in (
        ("a model that ignores the inputs", case.references.prior),
        ("a model that gives every class the same probability", case.references.nothing),
        ("the best affine model", case.references.affine),
    ):
        if abs(final - reference) <= limit * reference:
            return Finding(
                "plateau",
                f"the cost ended at {final:.4g}, within {limit:.0%} of the cost of {meaning} ({reference:.4g})",
                "The iterations were spent where the cost is nearly flat.",
                "Train longer, raise training.learning_rate, or start from larger weights.",
                "Saad & Solla 1995",
            )
    return None


def healthy(case: Case) -> Finding:
    return Finding(
        "healthy",
        f"the cost fell from {case.cost[0]:.4g} to {case.cost[-1]:.4g}, below {_goal_text(case)}",
        "No rule objects.",
        "Compare seeds before believing a difference.",
        "nnlab",
    )


def _goal_text(case: Case) -> str:
    owner = "the best affine model's cost" if case.goal == case.references.affine else "a twentieth of the prior's cost"
    return f"{case.goal:.4g} ({owner})"


def unfinished(case: Case) -> Finding:
    return Finding(
        "unfinished",
        f"the cost ended at {case.cost[-1]:.4g}, above {_goal_text(case)}",
        "No rule objects, but the network could learn more.",
        "Train longer, or look at the curves for steps that are too large.",
        "nnlab",
    )


RULES: tuple[Callable[[Case], Finding | None], ...] = (
    diverged,
    frozen,
    symmetric,
    dead,
    saturated,
    vanishing,
    exploding,
    linear,
    plateau,
)
"""The rules; the first that objects gives the headline."""
