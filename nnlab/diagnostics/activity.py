"""Activity: which hidden units still answer to their inputs."""

from collections.abc import Iterator

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["SATURATED_SHARE", "SATURATED_SLOPE", "dead_units", "moments", "saturated_units"]

SATURATED_SLOPE = 0.05
"""A unit is saturated at an example where its slope is below this share of the largest: tanh |z| > 2.18."""
SATURATED_SHARE = 0.95
"""A unit is saturated when it is so on more than this share of the examples."""

_LARGEST_SLOPE = {"tanh": 1.0, "sigmoid": 0.25}
_CAN_DIE = ("relu",)


def saturated_units(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/saturated` by hidden layer: the share of units that are saturated. tanh and sigmoid only.

    How to read it: 0 is healthy. From 1/2 on the layer has become a set of switches whose weights hardly move, since
    their gradients carry the slope. Large initial weights do this at iteration 0, large learning rates later. A unit
    whose logits are not numbers does not count as saturated.
    """
    largest = _LARGEST_SLOPE.get(snapshot.activation.name)
    if largest is None:
        return
    for layer, Z in enumerate(snapshot.Z[:-1], start=1):
        with np.errstate(all="ignore"):
            flat = snapshot.activation.derivative(Z) < SATURATED_SLOPE * largest
        yield "activity/saturated", layer, (flat.mean(axis=-1) > SATURATED_SHARE).mean(axis=-1)


def dead_units(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/dead` by hidden layer: the share of units that are 0 on every example. relu only.

    How to read it: 0 is healthy, a few are common. A dead unit has slope 0 everywhere, so its own weights never move
    again; only changes in the layers below can revive it. At iteration 0 it was born dead, later it died, mostly of a
    large step. Leaky relu and gelu keep a slope and are never dead. Source: Lu et al. 2019.
    """
    if snapshot.activation.name not in _CAN_DIE:
        return
    for layer, Z in enumerate(snapshot.Z[:-1], start=1):
        yield "activity/dead", layer, (Z <= 0).all(axis=-1).mean(axis=-1)


def moments(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/mean` and `activity/std` by hidden layer: of the activations, over units and examples.

    How to read it: a std that shrinks from layer to layer is a forward signal that dies out; near 0 all examples look
    alike to the next layer. NaN or inf where the network has diverged.
    """
    with np.errstate(all="ignore"):
        for layer, A in enumerate(snapshot.A, start=1):
            yield "activity/mean", layer, A.mean(axis=(-2, -1), dtype=np.float64)
            yield "activity/std", layer, A.std(axis=(-2, -1), dtype=np.float64)
