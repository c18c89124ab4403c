"""Activity: which hidden units still respond to their inputs."""

from collections.abc import Iterator

import numpy as np

from nnlab.diagnostics.probe import Measurement
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
"""A unit is flat on an example if its slope is below this share of the largest slope (tanh: |z| > 2.18)."""
SATURATED_SHARE = 0.95
"""A unit is saturated if it is flat on more than this share of the examples."""

HISTOGRAM_EDGES = np.linspace(-10.0, 10.0, 41)
"""Edges of the inner bins of `activity/histogram`; one more bin on either side holds the rest."""


def saturated_units(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `activity/saturated` by hidden layer: the share of saturated units. tanh and sigmoid only.

    How to read it: 0 is healthy. From 1/2 on, the layer acts as a set of switches whose weights hardly move, because
    their gradients are multiplied by the slope. Large initial weights cause this at iteration 0, large learning rates
    later. A unit whose logits are NaN does not count as saturated.
    """
    largest = snapshot.activation.largest_slope
    if largest is not None:
        for layer, Z in enumerate(snapshot.Z[:-1], start=1):
            share = _flat_share(snapshot, Z, largest)
            yield "activity/saturated", layer, (share > SATURATED_SHARE).mean(axis=-1)


def _flat_share(snapshot: Snapshot, Z: Array, largest_slope: float) -> Array:
    """Return the share of examples (R, n) on which each unit is flat."""
    with np.errstate(all="ignore"):
        slope = snapshot.activation.derivative(Z)
    share: Array = (slope < SATURATED_SLOPE * largest_slope).mean(axis=-1)
    return share


def dead_units(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `activity/dead` by hidden layer: the share of units that are 0 on every example. relu only.

    How to read it: 0 is healthy, a few dead units are common. A dead unit has slope 0 on every example, so its own
    weights never change again; only changes in the layers below can revive it. A unit dead at iteration 0 was born
    dead. One that dies later was mostly killed by a large step. Leaky relu and gelu keep a slope and are never dead.
    Source: Lu et al. 2019.
    """
    if not snapshot.activation.dies:
        return
    for layer, Z in enumerate(snapshot.Z[:-1], start=1):
        yield "activity/dead", layer, (Z <= 0).all(axis=-1).mean(axis=-1)


def negative_logits(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `activity/negative` by hidden layer: the share of logits z <= 0. relu, leaky relu and gelu only.

    How to read it: about 1/2 after random initialization with zero biases, and 1/2 to 0.9 in trained networks. Near 1,
    a relu layer is dying and a leaky relu layer works through its leak. Near 0, the layer is linear. NaN counts as not
    negative.
    """
    if snapshot.activation.has_negative_side:
        for layer, Z in enumerate(snapshot.Z[:-1], start=1):
            yield "activity/negative", layer, (Z <= 0).mean(axis=(-2, -1))


def moments(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `activity/mean` and `activity/std` by hidden layer: moments of the activations over units and examples.

    How to read it: if the std shrinks from layer to layer, the forward signal dies out. Near 0, all examples look alike
    to the next layer. NaN or inf if the network has diverged.
    """
    with np.errstate(all="ignore"):
        for layer, A in enumerate(snapshot.A, start=1):
            yield "activity/mean", layer, A.mean(axis=(-2, -1), dtype=np.float64)
            yield "activity/std", layer, A.std(axis=(-2, -1), dtype=np.float64)


def histograms(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `activity/histogram` (R, 42) by layer: shares of the logits Z in 40 bins from -10 to 10 and 2 beyond.

    How to read it: mass beyond 2.18 (tanh) or 4.36 (sigmoid) is saturated; mass below 0 (relu) is silent. The output
    layer is included; its mass far from 0 is confidence. NaN logits are in no bin, so that the shares sum to less
    than 1.
    """
    for layer, Z in enumerate(snapshot.Z, start=1):
        R, count = len(Z), Z[0].size
        bins = np.searchsorted(HISTOGRAM_EDGES, Z.reshape(R, -1), side="right")
        width = len(HISTOGRAM_EDGES) + 1
        offset = width * np.arange(R)[:, None]
        counted = (bins + offset)[~np.isnan(Z.reshape(R, -1))]
        yield "activity/histogram", layer, np.bincount(counted, minlength=R * width).reshape(R, width) / count


def unit_rasters(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield one value for each unit of a hidden layer (R, n): `units/silent`, `units/w1`, `units/w2`, `units/b`.

    `units/silent` is the share of examples on which the unit is flat for tanh and sigmoid, or has z <= 0 for relu,
    leaky relu and gelu. Identity has none. With two inputs, `units/w1`, `units/w2` and `units/b` are the weights and
    biases of layer 1: they place each unit's line in the plane.

    How to read it: a relu unit at 1 is dead; a tanh or sigmoid unit above 0.95 is saturated. A unit that reaches 1 and
    stays there has died; one that comes back was revived by the layers below. Units whose trajectories of (w1, w2)
    coincide are still equal.
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
