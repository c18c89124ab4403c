"""Activity: which hidden units still answer to their inputs."""

from collections.abc import Iterator

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = [
    "HISTOGRAM_EDGES",
    "SATURATED_SHARE",
    "SATURATED_SLOPE",
    "dead_units",
    "histograms",
    "moments",
    "negative_logits",
    "saturated_units",
    "unit_rasters",
]

SATURATED_SLOPE = 0.05
"""A unit is saturated at an example where its slope is below this share of the largest: tanh |z| > 2.18."""
SATURATED_SHARE = 0.95
"""A unit is saturated when it is so on more than this share of the examples."""

HISTOGRAM_EDGES = np.linspace(-10.0, 10.0, 41)
"""Where the inner bins of `activity/histogram` begin and end; below and above there is one bin more."""


def saturated_units(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/saturated` by hidden layer: the share of units that are saturated. tanh and sigmoid only.

    How to read it: 0 is healthy. From 1/2 on the layer has become a set of switches whose weights hardly move, since
    their gradients carry the slope. Large initial weights do this at iteration 0, large learning rates later. A unit
    whose logits are not numbers does not count as saturated.
    """
    largest = snapshot.activation.largest_slope
    if largest is not None:
        for layer, Z in enumerate(snapshot.Z[:-1], start=1):
            flat = _flat_share(snapshot, Z, largest)
            yield "activity/saturated", layer, (flat > SATURATED_SHARE).mean(axis=-1)


def _flat_share(snapshot: Snapshot, Z: Array, largest_slope: float) -> Array:
    """Return on which share of the examples each unit (R, n) is saturated."""
    with np.errstate(all="ignore"):
        slope = snapshot.activation.derivative(Z)
    share: Array = (slope < SATURATED_SLOPE * largest_slope).mean(axis=-1)
    return share


def dead_units(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/dead` by hidden layer: the share of units that are 0 on every example. relu only.

    How to read it: 0 is healthy, a few are common. A dead unit has slope 0 everywhere, so its own weights never move
    again; only changes in the layers below can revive it. At iteration 0 it was born dead, later it died, mostly of a
    large step. Leaky relu and gelu keep a slope and are never dead. Source: Lu et al. 2019.
    """
    if not snapshot.activation.dies:
        return
    for layer, Z in enumerate(snapshot.Z[:-1], start=1):
        yield "activity/dead", layer, (Z <= 0).all(axis=-1).mean(axis=-1)


def negative_logits(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/negative` by hidden layer: the share of logits z <= 0. relu, leaky relu and gelu only.

    How to read it: about 1/2 at a random start with biases 0, and 1/2 to 0.9 in trained networks. Near 1 a relu layer
    is dying, and a leaky one works through its leak; near 0 the layer is linear. NaN counts as not negative.
    """
    if snapshot.activation.has_negative_side:
        for layer, Z in enumerate(snapshot.Z[:-1], start=1):
            yield "activity/negative", layer, (Z <= 0).mean(axis=(-2, -1))


def moments(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/mean` and `activity/std` by hidden layer: of the activations, over units and examples.

    How to read it: a std that shrinks from layer to layer is a forward signal that dies out; near 0 all examples look
    alike to the next layer. NaN or inf where the network has diverged.
    """
    with np.errstate(all="ignore"):
        for layer, A in enumerate(snapshot.A, start=1):
            yield "activity/mean", layer, A.mean(axis=(-2, -1), dtype=np.float64)
            yield "activity/std", layer, A.std(axis=(-2, -1), dtype=np.float64)


def histograms(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `activity/histogram` (R, 42) by layer: the shares of the logits Z in 40 bins from -10 to 10 and beyond.

    How to read it: for tanh and sigmoid, mass beyond 2.18 or 4.36 is saturated; for relu, mass below 0 is silent. The
    output layer is included: its mass far from 0 is confidence. A share of NaN is missing from the sum.
    """
    for layer, Z in enumerate(snapshot.Z, start=1):
        R, count = len(Z), Z[0].size
        bins = np.searchsorted(HISTOGRAM_EDGES, Z.reshape(R, -1), side="right")
        width = len(HISTOGRAM_EDGES) + 1
        offset = width * np.arange(R)[:, None]
        kept = (bins + offset)[~np.isnan(Z.reshape(R, -1))]
        yield "activity/histogram", layer, np.bincount(kept, minlength=R * width).reshape(R, width) / count


def unit_rasters(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield what each unit of a hidden layer does, (R, n): `units/silent` and, in the plane, where its line lies.

    `units/silent` is the share of examples on which the unit is flat: saturated for tanh and sigmoid, z <= 0 for the
    relu family (absent for identity). With two inputs `units/w1`, `units/w2` and `units/b` are the weights and bias of
    the units of layer 1.

    How to read it: a relu unit at 1 is dead, a tanh or sigmoid unit above 0.95 saturated; a column that goes to 1 and
    stays died there, one that comes back was revived from below. Trajectories of (w1, w2) that lie on each other are
    units that are still one.
    """
    activation = snapshot.activation
    for layer, Z in enumerate(snapshot.Z[:-1], start=1):
        if activation.largest_slope is not None:
            yield "units/silent", layer, _flat_share(snapshot, Z, activation.largest_slope)
        elif activation.has_negative_side:
            yield "units/silent", layer, (Z <= 0).mean(axis=-1)
    theta = snapshot.parameters.theta[0]
    if len(snapshot.Z) > 1 and theta.shape[-1] == 3:
        for index, quantity in enumerate(("units/w1", "units/w2", "units/b")):
            yield quantity, 1, theta[:, :, index].astype(np.float64)
