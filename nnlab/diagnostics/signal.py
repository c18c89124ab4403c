"""Signal: how strongly the output's error arrives at each layer."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["backpropagated", "gradients", "updates"]


def backpropagated(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `signal/rms_dZ` by layer, `signal/gain` by hidden layer and `signal/ratio`: the back-propagated signal.

    rms_dZ is the root mean square of dZ (without 1/m) over the units and examples of a layer; the gain is that of
    layer l to that of layer l + 1, the ratio that of layer 1 to that of the output: the product of all gains. NaN
    where the signal above is exactly 0; the ratio is 1 at depth 0.

    How to read it: a ratio near 1 is healthy; below 1e-3 the first layer hardly hears of the error (vanishing), above
    1e3 it is shouted at (exploding). Exactly 0 is a state of its own: no signal at all, as in a zero-initialized
    network. At initialization the gain of a wide layer is sqrt(chi_1), see `network.theory`; gains below 1 multiply to
    a vanished signal, gains above 1 to an exploded one. Sources: Glorot & Bengio 2010, section 4.2; Schoenholz et al.
    2017.
    """
    with np.errstate(all="ignore"):
        rms = [np.sqrt(np.mean(np.square(dZ, dtype=np.float64), axis=(-2, -1))) for dZ in snapshot.dZ]
        gains = [_over(below, above) for below, above in pairwise(rms)]
        ratio = _over(rms[0], rms[-1])
    for layer, values in enumerate(rms, start=1):
        yield "signal/rms_dZ", layer, values
    for layer, values in enumerate(gains, start=1):
        yield "signal/gain", layer, values
    yield "signal/ratio", 0, ratio


def _over(a: Array, b: Array) -> Array:
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)


def gradients(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `signal/norm_dW` and `signal/norm_db` by layer: Frobenius norms of the gradient, with 1/m.

    How to read it: beside `signal/rms_dZ`, never instead of it. With small weights the forward and backward signals
    shrink together, and ||dW|| stays flat across the layers of a network whose signal vanishes (Glorot & Bengio
    2010, Fig. 8). Exactly 0 in every layer means that nothing but rounding can move the weights: a frozen network.
    """
    with np.errstate(all="ignore"):
        for layer, (dW, db) in enumerate(zip(snapshot.gradient.W, snapshot.gradient.b, strict=True), start=1):
            yield "signal/norm_dW", layer, np.sqrt(np.square(dW, dtype=np.float64).sum(axis=(-2, -1)))
            yield "signal/norm_db", layer, np.sqrt(np.square(db, dtype=np.float64).sum(axis=(-2, -1)))


def updates(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `update` by layer: ||learning rate * dW|| / ||W||, how far one iteration moves the weights.

    How to read it: small full-batch networks that learn have 1e-2 to 1e-1 early and 3e-4 to 7e-2 late. Below 1e-4 from
    the start a layer stands still; near 1 every iteration replaces the weights. NaN where W is 0.
    """
    rate = snapshot.learning_rate.astype(np.float64)
    layers = zip(snapshot.gradient.W, snapshot.parameters.W, strict=True)
    with np.errstate(all="ignore"):
        for layer, (dW, W) in enumerate(layers, start=1):
            moved = rate * np.sqrt(np.square(dW, dtype=np.float64).sum(axis=(-2, -1)))
            size = np.sqrt(np.square(W, dtype=np.float64).sum(axis=(-2, -1)))
            yield "update", layer, _over(moved, size)
