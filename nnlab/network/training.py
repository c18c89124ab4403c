"""Gradient descent as a generator of snapshots."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nnlab.network.activations import Activation, Array
from nnlab.network.costs import Cost
from nnlab.network.inplace import Workspace, iterate
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import Product, backward, forward, with_ones

__all__ = ["EARLIER_COSTS", "Snapshot", "checkpoints", "train"]

EARLIER_COSTS = 10
"""A snapshot knows the costs of this many snapshots before it."""


@dataclass(frozen=True)
class Snapshot:
    """A stack of networks after `iteration` updates, evaluated on all its training data.

    A snapshot holds copies, so it does not change while training continues:

    - `parameters`, and those of iteration 0: `initial`
    - `previous`: the parameters before the last update, None before the first
    - `batch` (R, b): the examples of the next iteration, as columns of X; None if it uses all
    - `earlier_costs`: the costs (R,) at up to `EARLIER_COSTS` snapshots before this one, in order

    The other values are computed on first access:

    - `Z`, `A`: lists by layer of (R, n_l, m), index l - 1; the last `Z` holds the logits, the output has no `A`
    - `dZ`: like `Z`, the back-propagated signal, without 1/m
    - `gradient`: [dW, db] in the layout of the parameters, with 1/m
    - `cost` (R,): the mean loss
    - `on_next_batch`: the same networks, evaluated on the examples of the next iteration
    - `after_next_step`: those networks after the next iteration, evaluated on the same examples
    """

    iteration: int
    parameters: Parameters
    initial: Parameters
    X: Array
    Y: Array
    activation: Activation
    cost_function: Cost
    learning_rate: Array
    product: Product = np.matmul
    previous: Parameters | None = None
    batch: NDArray[np.intp] | None = None
    earlier_costs: tuple[Array, ...] = ()

    @cached_property
    def T(self) -> Array:
        """The labels, encoded for the cost."""
        return self.cost_function.encode(self.Y)

    @cached_property
    def _forward(self) -> tuple[list[Array], list[Array]]:
        with np.errstate(all="ignore"):
            return forward(self.parameters, self.X, self.activation, self.product)

    @cached_property
    def _backward(self) -> tuple[list[Array], Parameters]:
        with np.errstate(all="ignore"):
            return backward(
                self.parameters, self.X, self.T, self.Z, self.A, self.activation, self.cost_function, self.product
            )

    @property
    def Z(self) -> list[Array]:
        return self._forward[0]

    @property
    def A(self) -> list[Array]:
        return self._forward[1]

    @property
    def dZ(self) -> list[Array]:
        return self._backward[0]

    @property
    def gradient(self) -> Parameters:
        return self._backward[1]

    @cached_property
    def cost(self) -> Array:
        with np.errstate(all="ignore"):
            return self.cost_function.mean(self.Z[-1], self.T)

    @cached_property
    def on_next_batch(self) -> "Snapshot":
        if self.batch is None:
            return self
        # BLAS must see one memory layout, whatever R is, or a run in a stack differs from the run alone.
        X, Y = (np.ascontiguousarray(values.T[self.batch].swapaxes(-1, -2)) for values in (self.X, self.Y))
        return replace(self, X=X, Y=Y, batch=None)

    @cached_property
    def after_next_step(self) -> "Snapshot":
        now = self.on_next_batch
        with np.errstate(all="ignore"):
            flat = self.parameters.flat - self.learning_rate[:, None] * now.gradient.flat
        return replace(now, parameters=Parameters(self.parameters.sizes, flat))


def checkpoints(iterations: int, count: int, every: int | None = None) -> list[int]:
    """Return the iterations at which to take snapshots, ascending.

    These are the first and the last, about `count` spaced evenly on a log axis, and the multiples of `every`. Most are
    early, because symmetry breaks and signals vanish early in training.
    """
    spaced = np.geomspace(1, max(iterations, 1), count - 1).round().astype(int) if count > 2 else np.empty(0, int)
    multiples = range(0, iterations + 1, every) if every else ()
    return sorted({0, iterations, *(int(t) for t in spaced if t <= iterations), *multiples})


class _FullBatch:
    """All examples in every iteration."""

    def __init__(self, X: Array, T: Array) -> None:
        self.batch = with_ones(X), T

    examples = None

    def __next__(self) -> tuple[Array, Array]:
        return self.batch


class _MiniBatches:
    """Mini-batches; every run shuffles the examples in its own order, again in each epoch."""

    def __init__(self, X: Array, T: Array, batch_size: int, rngs: Sequence[np.random.Generator]) -> None:
        self.X1, self.T, self.rngs = with_ones(X), T, rngs
        self.batch_size, self.m = batch_size, X.shape[-1]
        self.order = np.empty((len(rngs), self.m), np.intp)
        self.shuffled_X1 = np.empty((len(rngs), *self.X1.shape), X.dtype)
        self.shuffled_T = np.empty((len(rngs), *T.shape), T.dtype)
        self.start = self.m

    @property
    def examples(self) -> NDArray[np.intp]:
        """A copy of the examples (R, b) of the next batch. Looking does not change which batches follow."""
        return self.order[:, self._batch()].copy()

    def __next__(self) -> tuple[Array, Array]:
        batch = self._batch()
        self.start += self.batch_size
        return self.shuffled_X1[:, :, batch], self.shuffled_T[:, :, batch]

    def _batch(self) -> slice:
        """Return the columns of the next batch, after shuffling if it is the first of an epoch."""
        if self.start >= self.m:
            self._shuffle()
        return slice(self.start, self.start + self.batch_size)

    def _shuffle(self) -> None:
        for run, rng in enumerate(self.rngs):
            self.order[run] = rng.permutation(self.m)
            np.take(self.X1, self.order[run], axis=1, out=self.shuffled_X1[run])
            np.take(self.T, self.order[run], axis=1, out=self.shuffled_T[run])
        self.start = 0


def train(
    parameters: Parameters,
    X: Array,
    Y: Array,
    *,
    activation: Activation,
    cost: Cost,
    learning_rate: float | Array,
    schedule: Sequence[int],
    batch_size: int | None = None,
    rngs: Sequence[np.random.Generator] = (),
    product: Product = np.matmul,
) -> Iterator[Snapshot]:
    """Train a stack by gradient descent; yield a snapshot at each iteration of `schedule` and stop after the last.

    The parameters are updated in place. Between two snapshots nothing happens but iterations and the computation of the
    cost at the first, unless it was read. A network that diverges continues as inf and NaN, without a warning and
    without affecting the others.

    Parameters
    ----------
    parameters : Parameters
        R networks of one shape, float64 or float32.
    X, Y : (n_x, m), (n_y, m)
        Training data, shared by the stack; converted to the dtype of the parameters.
    learning_rate : float or (R,)
        One rate for all networks, or one for each.
    schedule : ascending iteration numbers
        0 means before the first update.
    batch_size : int or None
        None: every iteration uses all examples. Otherwise one iteration is one mini-batch; the last one of an epoch is
        smaller if the batch size does not divide m.
    rngs : R generators
        They shuffle the examples; required with `batch_size`. A snapshot at the end of an epoch draws the next order.

    Raises ValueError if `batch_size` is given without one generator for each network.
    """
    R, dtype = len(parameters.flat), parameters.flat.dtype
    with np.errstate(over="ignore"):  # a number beyond float32 becomes inf, and the run diverges
        X, Y = X.astype(dtype), Y.astype(dtype)
        T = cost.encode(Y)
        rate = np.broadcast_to(np.asarray(learning_rate).astype(dtype), (R,))
    if batch_size is not None and len(rngs) != R:
        raise ValueError(f"rngs must be one generator for each of the {R} networks, got {len(rngs)}")
    batches = _FullBatch(X, T) if batch_size is None else _MiniBatches(X, T, batch_size, rngs)
    by_batch_size: dict[int, tuple[Array, Workspace]] = {}

    initial, previous = parameters.copy(), None
    earlier_costs: tuple[Array, ...] = ()

    def snapshot(iteration: int) -> Snapshot:
        return Snapshot(
            iteration=iteration,
            parameters=parameters.copy(),
            initial=initial,
            X=X,
            Y=Y,
            activation=activation,
            cost_function=cost,
            learning_rate=rate,
            product=product,
            previous=previous,
            batch=batches.examples,
            earlier_costs=earlier_costs,
        )

    def advance() -> None:
        X1, T = next(batches)
        m = X1.shape[-1]
        if m not in by_batch_size:
            by_batch_size[m] = (rate / m)[:, None], Workspace(parameters.sizes, R, m, dtype, product)
        iterate(parameters, X1, T, activation, cost, *by_batch_size[m])

    for start, stop in pairwise([0, *schedule]):
        with np.errstate(all="ignore"):
            for _ in range(stop - start - 1):
                advance()
            if stop > start:
                previous = parameters.copy()
                advance()
        state = snapshot(stop)
        yield state
        earlier_costs = (*earlier_costs, state.cost)[-EARLIER_COSTS:]
