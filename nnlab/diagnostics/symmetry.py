"""Symmetry: which hidden units are equal, and whether they stay so."""

from collections.abc import Iterator

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.parameters import Parameters
from nnlab.network.training import Snapshot

__all__ = ["deviation", "distinct_units", "owned_by_units"]


def owned_by_units(parameters: Parameters, layer: int) -> Array:
    """Return F (R, n_l, n_in + 1 + n_out): all that each unit of hidden layer `layer` owns.

    Row i holds its incoming weights, bias and outgoing weights. Units with equal rows are exchangeable: they compute
    the same and receive the same gradient, so gradient descent cannot tell them apart.
    """
    return np.concatenate([parameters.theta[layer - 1], parameters.W[layer].swapaxes(-1, -2)], axis=-1)


def distinct_units(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `symmetry/distinct_units`: how many classes of bitwise equal units each hidden layer has.

    How to read it: n (the width) is healthy. 1 means that the layer computes with a single unit, whatever its width:
    zero or constant initialization. Between 1 and n some units are copies. A count that leaves 1 although the units
    started equal was broken by rounding, not by learning (see `training.arithmetic`). -0.0 and 0.0 count as equal;
    NaNs with equal bits too.
    """
    for layer in range(1, len(snapshot.parameters.W)):
        F = owned_by_units(snapshot.parameters, layer) + 0.0  # turns -0.0 into 0.0
        R, n, owned = F.shape
        bits = F.view(np.uint32 if F.itemsize == 4 else np.uint64).reshape(R * n, owned).astype(np.uint64)
        run = np.repeat(np.arange(R, dtype=np.uint64), n)
        classes = np.unique(np.column_stack([run, bits]), axis=0)
        yield "symmetry/distinct_units", layer, np.bincount(classes[:, 0].astype(np.int64), minlength=R).astype(float)


def deviation(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `symmetry/deviation` by hidden layer: the largest difference between two units, as a share of s = max |F|.

    How to read it: 0 is exact symmetry; 1e-17 to 1e-12 is rounding, growing or not; above 1e-3 the units go their own
    ways. 0 for a layer of zeros or of a single unit. NaN where the network has diverged.
    """
    for layer in range(1, len(snapshot.parameters.W)):
        F = owned_by_units(snapshot.parameters, layer).astype(np.float64)
        with np.errstate(all="ignore"):
            spread = (F.max(axis=1) - F.min(axis=1)).max(axis=-1)
            largest = np.abs(F).max(axis=(1, 2))
            yield "symmetry/deviation", layer, np.divide(spread, largest, out=np.zeros_like(spread), where=largest != 0)
