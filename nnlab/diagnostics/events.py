"""Events: when something happened in training that the final state no longer shows."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nnlab.network.activations import Array

__all__ = ["BROKEN", "Event", "find_events"]

BROKEN = 1e-3
"""Units whose `symmetry/deviation` is above this go their own ways."""


class Event(NamedTuple):
    """What happened to one hidden layer, at which checkpoint first, and why.

    `name` is `symmetry/broken_at`, `activity/born_dead` or `activity/died_at`. As a metric an event is its iteration;
    `activity/born_dead`, which always is at iteration 0, is the share of units.
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
    """Return what happened in one run: when symmetry broke and why, which units were born dead or died."""
    return tuple(
        event
        for layer, width in enumerate(widths, start=1)
        for found in (_symmetry_broken, _dead)
        for event in found(iterations, curves, layer, width)
    )


def _symmetry_broken(
    iterations: Sequence[int], curves: Mapping[tuple[str, int], Array], layer: int, width: int
) -> Iterator[Event]:
    """Gradient descent cannot part units that are bitwise equal: if they part, rounding did it."""
    deviation, distinct = curves.get(("symmetry/deviation", layer)), curves.get(("symmetry/distinct_units", layer))
    near = curves.get(("symmetry/near_units", layer))
    if deviation is None or distinct is None or near is None or width == 1:
        return
    noticed = int((distinct > distinct[0]).argmax())
    copies = distinct[0] < width and noticed > 0
    # Of copies beside other units the largest deviation says nothing; there the classes tell.
    parted = near > near[0] if copies and distinct[0] > 1 else deviation > BROKEN
    if not parted.any():
        return
    at = iterations[int(parted.argmax())]
    if not copies:
        yield Event("symmetry/broken_at", layer, at, "init", at, f"layer {layer}'s units were drawn different")
        return
    first_seen = f" a difference of {deviation[noticed]:.1g}" if distinct[0] == 1 else " a difference"
    yield Event(
        "symmetry/broken_at",
        layer,
        at,
        "rounding",
        at,
        f"the {width} units of layer {layer} started as {distinct[0]:.0f} and were parted by rounding, not by learning:"
        f"{first_seen} at iteration {iterations[noticed]} had grown visible by iteration {at} "
        "(training.arithmetic=exact keeps them equal)",
    )


def _dead(
    iterations: Sequence[int], curves: Mapping[tuple[str, int], Array], layer: int, width: int
) -> Iterator[Event]:
    share = curves.get(("activity/dead", layer))
    if share is None:
        return
    if share[0] > 0:
        born = f"{share[0] * width:.0f} of {width} units of layer {layer} were born dead"
        yield Event("activity/born_dead", layer, 0, "init", float(share[0]), born)
    more = share > share[0]
    if more.any():
        first = int(more.argmax())
        died = f"{(share[first] - share[0]) * width:.0f} of {width} units of layer {layer} had died by iteration "
        at = iterations[first]
        yield Event("activity/died_at", layer, at, "training", at, f"{died}{at}")
