"""Events: what happened during training that the final state no longer shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nnlab.network.activations import Array

__all__ = ["BROKEN", "Event", "find_events"]

BROKEN = 1e-3
"""Symmetry is broken where `symmetry/deviation` is above this."""


class Event(NamedTuple):
    """What happened to one hidden layer, the first checkpoint at which it shows, and its cause.

    `name` is `symmetry/broken_at`, `activity/born_dead` or `activity/died_at`. `value` is what the metric of that name
    reports: the iteration, or for `activity/born_dead`, which is always at iteration 0, the share of units.
    """

    name: str
    layer: int
    iteration: int
    cause: str
    value: float
    text: str


def find_events(
    iterations: Sequence[int], curves: Mapping[tuple[str, int], Array], widths: Sequence[int]
) -> tuple[Event, ...]:
    """Return the events of one run: when and why symmetry broke, which units were born dead or died later."""
    return tuple(
        event
        for layer, width in enumerate(widths, start=1)
        for events in (_symmetry_broken, _dead)
        for event in events(iterations, curves, layer, width)
    )


def _symmetry_broken(
    iterations: Sequence[int], curves: Mapping[tuple[str, int], Array], layer: int, width: int
) -> Iterator[Event]:
    """Gradient descent cannot separate bitwise equal units: if they separate, rounding is the cause."""
    deviation, distinct = curves.get(("symmetry/deviation", layer)), curves.get(("symmetry/distinct_units", layer))
    near = curves.get(("symmetry/near_units", layer))
    if deviation is None or distinct is None or near is None or width == 1:
        return
    first_difference = int((distinct > distinct[0]).argmax())
    copies = distinct[0] < width and first_difference > 0
    # With copies beside other units the deviation is large from the start; the number of classes shows the break.
    broken = near > near[0] if copies and distinct[0] > 1 else deviation > BROKEN
    if not broken.any():
        return
    at = iterations[int(broken.argmax())]
    if not copies:
        yield Event("symmetry/broken_at", layer, at, "init", at, f"layer {layer}'s units were drawn different")
        return
    start, size = f"{distinct[0]:.0f} distinct", ""
    if distinct[0] == 1:
        start, size = "all equal", f" of {deviation[first_difference]:.1g}"
    yield Event(
        "symmetry/broken_at",
        layer,
        at,
        "rounding",
        at,
        f"the {width} units of layer {layer}, {start} at the start, were separated by rounding, not "
        f"by learning: a difference{size} at iteration {iterations[first_difference]} had become visible by "
        f"iteration {at} (training.arithmetic=exact keeps them equal)",
    )


def _dead(
    iterations: Sequence[int], curves: Mapping[tuple[str, int], Array], layer: int, width: int
) -> Iterator[Event]:
    share = curves.get(("activity/dead", layer))
    if share is None:
        return
    if share[0] > 0:
        text = f"{share[0] * width:.0f} of {width} units of layer {layer} were born dead"
        yield Event("activity/born_dead", layer, 0, "init", float(share[0]), text)
    more = share > share[0]
    if more.any():
        first = int(more.argmax())
        at = iterations[first]
        text = f"{(share[first] - share[0]) * width:.0f} of {width} units of layer {layer} had died by iteration {at}"
        yield Event("activity/died_at", layer, at, "training", at, text)
