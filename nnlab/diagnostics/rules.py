"""The rules of the verdict: each examines the curves of one run and returns an objection, or None if all is well."""

import math
from collections.abc import Callable
from operator import itemgetter

import numpy as np

from nnlab.diagnostics import cures
from nnlab.diagnostics.case import Case, Objection
from nnlab.diagnostics.outcome import Ceiling
from nnlab.diagnostics.thresholds import THRESHOLDS
from nnlab.network.activations import Array

__all__ = ["RULES", "diverged", "healthy", "nothing_to_learn", "unexplained"]


def diverged(case: Case) -> Objection | None:
    finite = np.isfinite(case.cost)
    limit = THRESHOLDS["diverged: final cost over initial cost"]
    if finite.all() and case.cost[-1] / limit <= case.cost[0]:  # a product could overflow
        return None
    if finite.all():
        evidence = f"the cost rose from {case.cost[0]:.4g} to {case.cost[-1]:.4g}, by a factor of more than {limit:g}"
    else:
        evidence = f"the cost was {case.cost[~finite][0]} from iteration {case.iterations[int((~finite).argmax())]} on"
    if finite[0]:
        cause = "Each step overshoots further than the one before."
    else:
        cause = "The initial weights are too large for floating point."
    return Objection(
        "diverged", evidence, cause, cures.against_divergence(case), "LeCun et al. 1998, Efficient BackProp"
    )


def frozen(case: Case) -> Objection | None:
    norms = [curve for _, curve in case.layers("signal/norm_dW")]
    if not norms or any((curve != 0).any() for curve in norms):
        return None
    # `update` is NaN where the weights before the step were 0, and at iteration 0.
    weights_are_nonzero = np.isfinite(case.curves.get(("update", 1), np.array([np.nan, np.nan]))[1:]).all()
    if weights_are_nonzero and any(share[0] == 1 for _, share in case.layers("activity/dead")):
        return None  # the gradient is 0 because the network was born dead
    return Objection(
        "frozen",
        "the gradient of every weight was exactly 0 at every checkpoint",
        "With zero weights no error passes back from the output and no input reaches it: only a bias can change.",
        cures.random_weights(case),
        "Goodfellow et al. 2016, section 8.4",
    )


def symmetric(case: Case) -> Objection | None:
    for layer, classes in case.layers("symmetry/near_units"):
        width, distinct = case.widths[layer - 1], classes[-1]
        if distinct < width and classes[0] < width:
            deviation = case.curves["symmetry/deviation", layer][-1]
            return Objection(
                "symmetric",
                f"layer {layer} started with {classes[0]:.0f} and ended with {distinct:.0f} distinct of {width} units "
                + (f"(all alike, deviation {deviation:.1g})" if distinct == 1 else "(partial)"),
                "Units with equal weights get equal gradients: the layer computes with fewer units than it has.",
                cures.random_weights(case),
                "Goodfellow et al. 2016, section 8.4",
            )
    return None


def slow(case: Case) -> Objection | None:
    if not case.misses_goal or not case.efficiency > THRESHOLDS["slow: efficiency"] or cures.missing_time(case) <= 1:
        return None
    rate, iterations = case.config["training.learning_rate"], case.config["training.iterations"]
    return Objection(
        "slow",
        f"learning rate x iterations is {rate * iterations:.3g}, and the last steps gained "
        f"{case.efficiency:.2f} of what their slope promised",
        f"Networks like this one take about {cures.needed_time(case):g}: larger or more steps are needed.",
        cures.cure(case),
        "LeCun et al. 1998, Efficient BackProp, section 4.3",
    )


def unscaled(case: Case) -> Objection | None:
    if not case.misses_goal or not case.is_unscaled:
        return None
    what = f"the largest root mean square is {case.input_scale:.3g} for an input"
    if not math.isnan(case.target_scale):
        what += f", {case.target_scale:.3g} for a target"
    return Objection(
        "unscaled",
        f"{what}; standardized data have 1",
        "Learning rates and initial weights suit data of scale 1: the curvature of the cost grows with the "
        "square of the inputs' scale.",
        cures.cure(case, "standardized data"),
        "LeCun et al. 1998, Efficient BackProp, section 4.3",
    )


def dead(case: Case) -> Objection | None:
    limit = THRESHOLDS["dead: share of a layer's units"]
    if not case.misses_goal or (_is_starved(case) and vanishing(case)):
        return None
    for layer, share in case.layers("activity/dead"):
        if share[-1] >= limit:
            start = case.first(share >= limit)
            return Objection(
                "dead",
                f"{share[-1]:.0%} of layer {layer}'s units were 0 on every example, "
                + ("from the start" if start == 0 else f"since iteration {start}"),
                "A relu unit that is 0 on every example has slope 0 on all of them, so its weights no longer change.",
                cures.against_dying(case, start),
                "Lu et al. 2019, Dying ReLU and initialization",
            )
    return None


def saturated(case: Case) -> Objection | None:
    limit = THRESHOLDS["saturated: share of a layer's units"]
    for layer, share in case.layers("activity/saturated"):
        if share[-1] >= limit and case.misses_goal:
            start = case.first(share >= limit)
            return Objection(
                "saturated",
                f"{share[-1]:.0%} of layer {layer}'s units were flat on more than 95 % of the examples, "
                f"since iteration {start}",
                "Far from 0 the slope of tanh and sigmoid is nearly 0, and with it the gradient.",
                cures.against_saturation(case),
                "Glorot & Bengio 2010",
            )
    return None


def _is_starved(case: Case) -> bool:
    """True if hardly any error reached layer 1 before the first step."""
    ratio = case.curves.get(("signal/ratio", 0))
    return ratio is not None and bool(ratio[0] < THRESHOLDS["vanishing: signal ratio"])


def vanishing(case: Case) -> Objection | None:
    ratio, update = case.curves.get(("signal/ratio", 0)), case.curves.get(("update", 1))
    if ratio is None or update is None or not case.misses_goal or len(case.widths) < 3:
        return None
    limit = THRESHOLDS["vanishing: signal ratio"]
    # An exact 0 means no signal at all, which other rules explain, unless the signal shrank layer by layer until it
    # underflowed.
    underflowed = (ratio == 0) & (_smallest_signal(case) < limit)
    weak = ((ratio > 0) & (ratio < limit)) | underflowed
    if not weak[-1]:
        return None
    share = f"{ratio[-1]:.2g} of the output's error"
    if underflowed[-1]:
        share = "0 (it shrank layer by layer until it underflowed)"
    if case.distances:  # relative to its initial size, over the whole training
        moved, few = case.distances[0], THRESHOLDS["vanishing: distance of layer 1"]
        text = f"layer 1 moved by {moved:.2g} of its size"
    else:  # recorded before this was measured
        moved, few = update[-1], THRESHOLDS["vanishing: update ratio of layer 1"]
        text = f"one iteration changed layer 1 by {moved:.2g} of its size"
    if not moved < few:
        return None
    return Objection(
        "vanishing",
        f"the error that reached layer 1 was {share}, since iteration {case.first(weak)}; {text}",
        "Each layer multiplies the error by weights and slopes below 1.",
        cures.against_vanishing(case),
        "Glorot & Bengio 2010; Schoenholz et al. 2017",
    )


def _smallest_signal(case: Case) -> Array:
    """Return, for each checkpoint, the smallest nonzero signal of a layer as a share of the output's signal."""
    signal = np.array([curve for _, curve in sorted(case.layers("signal/rms_dZ"), key=itemgetter(0))])
    if not len(signal):
        return np.full(len(case.iterations), np.inf)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(signal > 0, signal, np.inf).min(axis=0) / signal[-1])


def exploding(case: Case) -> Objection | None:
    ratio = case.curves.get(("signal/ratio", 0))
    if ratio is None or not ratio[-1] > THRESHOLDS["exploding: signal ratio"] or not case.misses_goal:
        return None
    return Objection(
        "exploding",
        f"the error that reached layer 1 was {ratio[-1]:.2g} times the output's error",
        "Each layer multiplies the error by weights and slopes above 1.",
        cures.against_explosion(case),
        "Pascanu et al. 2013",
    )


def linear(case: Case) -> Objection | None:
    residual = case.curves.get(("function/affine_residual", 0))
    if residual is None or not residual[-1] < THRESHOLDS["linear: affine residual"] or not case.misses_goal:
        return None
    prior, affine = case.references.prior, case.references.affine
    closed = (prior - case.cost[-1]) / (prior - affine) if prior > affine else 1.0
    if case.can_bend and not closed > THRESHOLDS["linear: share of the gap to the affine model"]:
        return None
    note = "" if case.widths else " (the network has no hidden layer)"
    return Objection(
        "linear",
        f"an affine function of the inputs explains all but {residual[-1]:.2g} of the output's variance{note}, but "
        "more than that can be learned",
        "With identity activations, or weights so small that tanh is a straight line, depth adds nothing.",
        cures.cure(case),
        "Saxe et al. 2013",
    )


def overshooting(case: Case) -> Objection | None:
    is_restless = case.rises >= THRESHOLDS["overshooting: rises"]
    limit = THRESHOLDS[f"overshooting: efficiency{' of a restless cost' if is_restless else ''}"]
    if not case.misses_goal or not case.efficiency < limit:
        return None
    return Objection(
        "overshooting",
        f"the last steps gained {case.efficiency:.2f} of what their slope promised (the best length gains 1/2; "
        f"below 0 the cost rises), and the cost rose at {case.rises:.0%} of the last checkpoints",
        "The steps are too large: they cross the valley instead of descending into it.",
        cures.against_overshooting(case),
        "LeCun et al. 1998, Efficient BackProp, section 4.3",
    )


def plateau(case: Case) -> Objection | None:
    final = case.cost[-1]
    limit = THRESHOLDS["plateau: distance to a reference cost"]
    if not case.misses_goal or case.is_motionless:
        return None
    for meaning, reference in (
        ("a model that ignores the inputs", case.references.prior),
        ("a model that gives every class the same probability", case.references.nothing),
        ("the best affine model", case.references.affine),
    ):
        if abs(final - reference) <= limit * reference:
            return Objection(
                "plateau",
                f"the cost ended at {final:.4g}, within {limit:.0%} of the cost of {meaning} ({reference:.4g})",
                "The iterations were spent where the cost is nearly flat.",
                cures.cure(case),
                "Saad & Solla 1995",
            )
    return None


def unfinished(case: Case) -> Objection | None:
    is_falling = case.decline > THRESHOLDS["unfinished: decline of the cost"]
    is_short = cures.missing_time(case) > 1
    if not case.misses_goal or slow(case) or not (is_falling or is_short):
        return None
    evidence = [f"the cost ended at {case.cost[-1]:.4g}"]
    if is_falling:
        evidence.append(f"it fell by {case.decline:.1%} in the second half of the iterations")
    if is_short:
        time, needed = cures.needed_time(case) / cures.missing_time(case), cures.needed_time(case)
        evidence.append(f"learning rate x iterations is {time:.3g}, where networks like this one take about {needed:g}")
    return Objection(
        "unfinished",
        "; ".join(evidence),
        "The training ended too early.",
        cures.cure(case) or cures.cure(case, "iterations x 10"),
        "nnlab",
    )


def nothing_to_learn(ceiling: Ceiling) -> Objection:
    if ceiling.error == 0:  # no model was fitted
        return Objection(
            "nothing to learn",
            f"knowing all examples by heart scores {ceiling.ceiling:.3g}; knowing nothing scores {ceiling.nothing:.3g}",
            "Equal inputs have different labels, or all labels are equal.",
            (),
            "nnlab",
        )
    return Objection(
        "nothing to learn",
        f"the best of three models that are not networks scores {ceiling.ceiling:.3g} on examples that it was not "
        f"fitted to; knowing nothing scores {ceiling.nothing:.3g}",
        "The labels do not depend on the inputs, as when one of them was shuffled, or there are too few examples.",
        (),
        "nnlab",
    )


def unexplained(case: Case, fingerprint: str) -> Objection:
    command = f"nnlab why {fingerprint}".strip()
    return Objection(
        "unexplained",
        f"the cost ended at {case.cost[-1]:.4g}, and no rule objects",
        f"The probes of one run do not show why it learned no more; `{command}` finds out by experiment.",
        (),
        "nnlab",
    )


def healthy(case: Case) -> Objection:
    return Objection(
        "healthy",
        f"the cost fell from {case.cost[0]:.4g} to {case.cost[-1]:.4g}",
        "No rule objects. Compare seeds before believing a difference.",
        (),
        "nnlab",
    )


RULES: tuple[Callable[[Case], Objection | None], ...] = (
    diverged,
    frozen,
    symmetric,
    unscaled,
    dead,
    saturated,
    vanishing,
    exploding,
    overshooting,
    linear,
    plateau,
    slow,
    unfinished,
)
"""The rules; the first that objects gives the headline."""
