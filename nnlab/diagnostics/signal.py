"""Signal: how much of the output's error reaches each layer, and how far it moves the weights."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from nnlab.diagnostics.probe import Measurement
from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["backpropagated_signal", "gradients", "norm", "ratio", "updates"]


def backpropagated_signal(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `signal/rms_dZ` by layer, `signal/gain` by hidden layer and `signal/ratio`: the back-propagated signal.

    - rms_dZ: the root mean square of dZ (without 1/m) over the units and examples of a layer
    - gain: rms_dZ of layer l over rms_dZ of layer l + 1; NaN if the latter is exactly 0
    - ratio: rms_dZ of layer 1 over rms_dZ of the output, the product of all gains; 1 at depth 0, NaN if the output's
      signal is exactly 0

    How to read it: a ratio near 1 is healthy. Below 1e-3 hardly any error reaches the first layer (vanishing); above
    1e3 the error is amplified on its way (exploding). Exactly 0 is a different state: there is no signal at all, as in
    a zero-initialized network. At initialization the gain of a wide layer is sqrt(chi_1), see `network.theory`. Gains
    below 1 multiply to a vanished signal, gains above 1 to an exploded one.
    Sources: Glorot & Bengio 2010, section 4.2; Schoenholz et al. 2017.
    """
    with np.errstate(all="ignore"):
        rms = [np.sqrt(np.mean(np.square(dZ, dtype=np.float64), axis=(-2, -1))) for dZ in snapshot.dZ]
        gains = [ratio(below, above) for below, above in pairwise(rms)]
        whole = ratio(rms[0], rms[-1])
    for layer, values in enumerate(rms, start=1):
        yield "signal/rms_dZ", layer, values
    for layer, values in enumerate(gains, start=1):
        yield "signal/gain", layer, values
    yield "signal/ratio", 0, whole


def ratio(a: Array, b: Array) -> Array:
    """Return a / b, NaN where b is 0."""
    return np.divide(a, b, out=np.full_like(a, np.nan), where=b != 0)


def gradients(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `signal/norm_dW` and `signal/norm_db` by layer: Frobenius norms of the gradient, with 1/m.

    How to read it: together with `signal/rms_dZ`, never instead of it. With small weights the forward and backward
    signals shrink together, and ||dW|| stays flat across the layers of a network whose signal vanishes (Glorot & Bengio
    2010, Fig. 8). Exactly 0 in every layer means that only rounding can move the weights: the network is frozen.
    """
    with np.errstate(all="ignore"):
        for layer, (dW, db) in enumerate(zip(snapshot.gradient.W, snapshot.gradient.b, strict=True), start=1):
            yield "signal/norm_dW", layer, norm(dW)
            yield "signal/norm_db", layer, norm(db)


def updates(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `update` by layer: ||W after - W before|| / ||W before|| of the last iteration before the checkpoint.

    It compares weights, so it is the step that was taken, whatever the optimizer and the mini-batch.

    How to read it: small full-batch networks that learn have 1e-2 to 1e-1 early and 3e-4 to 7e-2 late; the steps of
    mini-batches are larger than the full batch's. Below 1e-4 from the start, the layer does not learn. Exactly 0: no
    weight moved by as much as its rounding. Near 1, every iteration replaces the weights. NaN at iteration 0, and if W
    was 0.
    """
    if snapshot.previous is None:
        for layer, W in enumerate(snapshot.parameters.W, start=1):
            yield "update", layer, np.full(len(W), np.nan)
        return
    layers = zip(snapshot.parameters.W, snapshot.previous.W, strict=True)
    with np.errstate(all="ignore"):
        for layer, (after, before) in enumerate(layers, start=1):
            yield "update", layer, ratio(norm(after.astype(np.float64) - before), norm(before))


def norm(values: Array) -> Array:
    """Return the Frobenius norms (R,) of matrices (R, n_out, n_in)."""
    return np.asarray(np.sqrt(np.square(values, dtype=np.float64).sum(axis=(-2, -1))))
