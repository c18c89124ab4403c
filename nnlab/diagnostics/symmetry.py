"""Symmetry: how many hidden units of a layer differ, and by how much."""

from collections.abc import Iterator

import numpy as np

from nnlab.diagnostics.equality import classify_units, count_classes, unit_parameters
from nnlab.diagnostics.probe import Measurement
from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["deviation", "distinct_units", "near_units", "ranks"]


def distinct_units(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `symmetry/distinct_units` by hidden layer: the number of classes of bitwise equal units.

    How to read it: n (the width) is healthy. 1 means that the layer computes with a single unit, whatever its width, as
    after zero or constant initialization. Between 1 and n some units are copies. If units started equal and the count
    rises above 1, rounding broke the symmetry, not learning (see `training.arithmetic`). -0.0 and 0.0 count as equal,
    and so do NaNs with equal bits.
    """
    for layer in range(1, len(snapshot.parameters.W)):
        F = unit_parameters(snapshot.parameters, layer) + 0.0  # turns -0.0 into 0.0
        R, n, owned = F.shape
        bits = F.view(np.uint32 if F.itemsize == 4 else np.uint64).reshape(R * n, owned).astype(np.uint64)
        run = np.repeat(np.arange(R, dtype=np.uint64), n)
        classes = np.unique(np.column_stack([run, bits]), axis=0)
        yield "symmetry/distinct_units", layer, np.bincount(classes[:, 0].astype(np.int64), minlength=R).astype(float)


def near_units(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `symmetry/near_units` and `symmetry/functions` by hidden layer: the number of distinct units, up to 1e-6.

    Both count classes by single linkage within 1e-6 of the layer's largest number, after removing differences that do
    not change the network's function (signs for tanh and sigmoid, rescaling for relu and leaky relu). `functions`
    compares what units compute from the inputs. `near_units` also compares their outgoing weights, so its classes are
    exchangeable units, and there are never fewer than `functions`. For identity, whose units can be mixed freely, the
    probe yields `symmetry/rank` instead, the rank of W[l+1] W[l].

    How to read it: n (the width) is healthy. Gradient descent never separates units whose numbers are equal (for tanh:
    equal or opposite); only rounding does. Units that differ in sign or size compute the same function but receive
    different gradients: rescaled relu units separate at the first iteration. The same holds for units with the same
    function but different outgoing weights. `near_units` below n with `distinct_units` at n means that rounding has
    started to break the symmetry. NaN if the layer holds inf or NaN.
    """
    if snapshot.activation.name == "identity":
        yield from _ranks_of_products(snapshot)
        return
    for layer, unit_classes in enumerate(classify_units(snapshot.parameters, snapshot.activation), start=1):
        for name, labels in (("near_units", unit_classes.units), ("functions", unit_classes.functions)):
            yield f"symmetry/{name}", layer, np.where(unit_classes.finite, count_classes(labels), np.nan)


def _ranks_of_products(snapshot: Snapshot) -> Iterator[Measurement]:
    W = snapshot.parameters.W
    for layer in range(1, len(W)):
        with np.errstate(all="ignore"):
            product = W[layer].astype(np.float64) @ W[layer - 1]
        finite = np.isfinite(product).all(axis=(1, 2))
        product[~finite] = 0.0
        yield "symmetry/rank", layer, np.where(finite, np.linalg.matrix_rank(product), np.nan)


def deviation(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `symmetry/deviation` by hidden layer: the largest difference between two units, as a share of max |F|.

    How to read it: 0 is exact symmetry. 1e-17 to 1e-12 is rounding, which may or may not grow. Above 1e-3 the symmetry
    is broken. F are the units' parameters (`equality.unit_parameters`). 0 for a layer of zeros or of a single unit. NaN
    if the network has diverged.
    """
    for layer in range(1, len(snapshot.parameters.W)):
        F = unit_parameters(snapshot.parameters, layer).astype(np.float64)
        with np.errstate(all="ignore"):
            spread = (F.max(axis=1) - F.min(axis=1)).max(axis=-1)
            largest = np.abs(F).max(axis=(1, 2))
            yield "symmetry/deviation", layer, np.divide(spread, largest, out=np.zeros_like(spread), where=largest != 0)


def ranks(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `symmetry/effective_rank`, `symmetry/stable_rank` and `symmetry/cosine` by hidden layer.

    All three describe the layer's centred activations (n, m). The effective rank is exp(entropy) of the normalised
    singular values. The stable rank is the sum of their squares over the largest square. The cosine is the mean of
    |cos| between the activations of two units.

    How to read it: ranks go from 1 (all units move together, so the layer is worth one unit) to n. Two inputs and small
    weights give an effective rank near 2 at any width: the layer is still linear. A cosine near 1 means that pairs of
    units move together. Ranks are 0 if no activation varies. The cosine leaves out units that do not vary and is NaN if
    fewer than two vary. NaN if the network has diverged.
    Sources: Roy & Vetterli 2007 (effective rank), Rudelson & Vershynin 2007 (stable rank).
    """
    for layer, A in enumerate(snapshot.A, start=1):
        with np.errstate(all="ignore"):
            centred = A.astype(np.float64)
            centred -= centred.mean(axis=-1, keepdims=True)
            finite = np.asarray(np.isfinite(centred).all(axis=(1, 2)))
            largest = np.abs(np.where(finite[:, None, None], centred, 0.0)).max(axis=(1, 2))
            # In units of the largest activation, the squares below neither overflow nor underflow.
            centred /= np.where(largest > 0, largest, 1.0)[:, None, None]
            centred[~finite] = 0.0
            # A unit that varies only by rounding does not vary.
            centred[np.abs(centred).max(axis=-1) <= 8 * np.finfo(A.dtype).eps] = 0.0
            gram = centred @ centred.swapaxes(-1, -2)
        effective, stable = _spectral_ranks(centred, gram)
        for name, value in (("effective_rank", effective), ("stable_rank", stable), ("cosine", _mean_cosine(gram))):
            yield f"symmetry/{name}", layer, np.where(finite, value, np.nan)


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
