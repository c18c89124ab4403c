"""Symmetry: which hidden units are equal, and whether they stay so."""

from collections.abc import Iterator

import numpy as np

from nnlab.diagnostics.equality import canonical_layers, count_classes, owned_by_units
from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["deviation", "distinct_units", "near_units", "ranks"]


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


def near_units(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `symmetry/near_units` and `symmetry/functions` by hidden layer: how many units there are up to 1e-6.

    Both count classes by single linkage within 1e-6 of the layer's largest number, after removing what the activation
    cannot see (signs for tanh and sigmoid, rescaling for relu and leaky relu). `functions` compares what units
    compute of the inputs; `near_units` also where they send it, so that its classes are exchangeable units.
    For identity, where units mix freely, `symmetry/rank` is the rank of W[l+1] W[l] instead.

    How to read it: n (the width) is healthy. Exchangeable units stay so for ever but for rounding if they are equal, or
    for tanh opposite, number by number. Other signs and sizes are the same function but get other gradients (rescaled
    relu units part at the first iteration), and so do functional duplicates with different outgoing weights.
    `near_units` below n with `distinct_units` at n: rounding has begun to break the symmetry. NaN where the layer holds
    inf or NaN.
    """
    if snapshot.activation.name == "identity":
        yield from _ranks_of_products(snapshot)
        return
    for layer, found in enumerate(canonical_layers(snapshot.parameters, snapshot.activation), start=1):
        for quantity, labels in (("symmetry/near_units", found.units), ("symmetry/functions", found.functions)):
            yield quantity, layer, np.where(found.known, count_classes(labels), np.nan)


def _ranks_of_products(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    W = snapshot.parameters.W
    for layer in range(1, len(W)):
        with np.errstate(all="ignore"):
            product = W[layer].astype(np.float64) @ W[layer - 1]
        known = np.isfinite(product).all(axis=(1, 2))
        product[~known] = 0.0
        yield "symmetry/rank", layer, np.where(known, np.linalg.matrix_rank(product), np.nan)


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


def ranks(snapshot: Snapshot) -> Iterator[tuple[str, int, Array]]:
    """Yield `symmetry/effective_rank`, `symmetry/stable_rank` and `symmetry/cosine` of each hidden layer's activations.

    All three look at the centred activations (n, m): the effective rank is exp(entropy) of the normalised singular
    values, the stable rank their sum of squares over the largest square, the cosine the mean of |cos| between the
    activations of two units.

    How to read it: ranks go from 1 (all units move together: the layer is worth one unit) to n. Two inputs and small
    weights give an effective rank near 2 at any width: the layer is still linear. A cosine near 1 says the same of
    pairs. Ranks are 0 where no activation varies; the cosine leaves out units that do not vary, and is NaN when fewer
    than two do. NaN where the network has diverged.
    Sources: Roy & Vetterli 2007 (effective rank), Rudelson & Vershynin 2007 (stable rank).
    """
    for layer, A in enumerate(snapshot.A, start=1):
        with np.errstate(all="ignore"):
            centred = A.astype(np.float64)
            centred -= centred.mean(axis=-1, keepdims=True)
            known = np.asarray(np.isfinite(centred).all(axis=(1, 2)))
            largest = np.abs(np.where(known[:, None, None], centred, 0.0)).max(axis=(1, 2))
            # In units of the largest activation the squares below neither overflow nor underflow.
            centred /= np.where(largest > 0, largest, 1.0)[:, None, None]
            centred[~known] = 0.0
            # A unit that only rounds does not vary.
            centred[np.abs(centred).max(axis=-1) <= 8 * np.finfo(A.dtype).eps] = 0.0
            gram = centred @ centred.swapaxes(-1, -2)
        effective, stable = _spectral_ranks(centred, gram)
        for name, value in (("effective_rank", effective), ("stable_rank", stable), ("cosine", _mean_cosine(gram))):
            yield f"symmetry/{name}", layer, np.where(known, value, np.nan)


def _spectral_ranks(centred: Array, gram: Array) -> tuple[Array, Array]:
    n, m = centred.shape[-2:]
    squares = np.linalg.eigvalsh(gram if n <= m else centred.swapaxes(-1, -2) @ centred)
    largest = squares[:, -1:]
    squares = np.where(squares > largest * n * np.finfo(np.float64).eps, squares, 0.0)
    singular = np.sqrt(squares)
    total = singular.sum(axis=-1, keepdims=True)
    shares = np.divide(singular, total, out=np.zeros_like(singular), where=total > 0)
    entropy = -(shares * np.log(shares, out=np.zeros_like(shares), where=shares > 0)).sum(axis=-1)
    varies = largest[:, 0] > 0
    stable = np.divide(squares.sum(axis=-1), largest[:, 0], out=np.zeros_like(entropy), where=varies)
    return np.where(varies, np.exp(entropy), 0.0), stable


def _mean_cosine(gram: Array) -> Array:
    size = np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1))
    product = size[:, :, None] * size[:, None, :]
    cosine = np.abs(np.divide(gram, product, out=np.zeros_like(gram), where=product > 0))
    varying = (size > 0).sum(axis=-1)
    pairs = varying * (varying - 1.0)
    return np.divide(cosine.sum(axis=(1, 2)) - varying, pairs, out=np.full(len(gram), np.nan), where=pairs > 0)
