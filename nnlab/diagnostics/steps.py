"""Steps: what an iteration gains, how far the weights have come, and the scales that the length of a step must fit."""

from collections.abc import Iterator

import numpy as np

from nnlab.diagnostics.probe import Measurement
from nnlab.diagnostics.signal import norm, ratio
from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["distance", "efficiency", "rises", "scales"]

ROUNDING_MARGIN = 1e3
"""Changes of the cost up to this many times its rounding error are not measured."""


def efficiency(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `steps/efficiency`: what the next step gains over what the slope promises.

    (J(theta) - J(theta + d)) / (-g . d), with the step d that the next iteration takes from theta. With mini-batches, J
    and its gradient g are those of the batch that this iteration uses. For gradient descent the promise is
    learning rate * ||g||^2.

    How to read it: in a quadratic with Hessian H this is 1 - learning rate * g'Hg / (2 ||g||^2). Near 1, the step is
    not too large, and a larger one would gain more; slightly above 1, the cost is curved downwards. 1/2 is the best
    length in this direction. About 0, the step only crosses the valley. Below 0 it overshoots and the cost rises; -inf
    if it leads to an infinite cost. Steps of mini-batches are measured on their own examples, so that noise does not
    lower them. A value near 1 beside a cost that stands still says that the step is not the cause. Single values
    scatter where steps are too large: take the median of the last decade of iterations. NaN if the cost is not finite,
    or if the promised gain is not above 1e3 times the rounding error of the cost: there is nothing to measure.
    """
    now, after = snapshot.on_next_batch, snapshot.after_next_step
    with np.errstate(all="ignore"):
        promised = now.learning_rate * np.square(now.gradient.flat, dtype=np.float64).sum(axis=-1)
        gained = now.cost.astype(np.float64) - after.cost
        measurable = np.isfinite(promised) & (promised > _rounding(now.cost, now.T))
        yield "steps/efficiency", 0, np.divide(gained, promised, out=np.full_like(promised, np.nan), where=measurable)


def rises(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `steps/rises`: the share of the last ten checkpoints at which the cost was higher than at the one before.

    The cost is that of all training data. Checkpoints are evenly spaced on a log axis, so ten of 40 are about the last
    decade of the iterations.

    How to read it: 0 is healthy with full batches. About 1/2, the cost jumps up and down: the steps are too large, or
    mini-batches have reached their noise. 1: it diverges. Rises up to 1e3 times the rounding error of the cost do not
    count. NaN at the first checkpoint, and if the cost is not finite.
    """
    costs = np.array([*snapshot.earlier_costs, snapshot.cost], dtype=np.float64)
    if len(costs) == 1:
        yield "steps/rises", 0, np.full(costs.shape[1], np.nan)
        return
    with np.errstate(all="ignore"):
        before, after = costs[:-1], costs[1:]
        share = (after - before > _rounding(before, snapshot.T)).mean(axis=0)
    yield "steps/rises", 0, np.where(np.isfinite(costs[-1]), share, np.nan)


def _rounding(cost: Array, T: Array) -> Array:
    """Return the change of a cost up to which nothing is measured: `ROUNDING_MARGIN` times its rounding error.

    A squared error is at least that of the outputs' own rounding, about (eps T)^2. Where a regression has reached it,
    every step only shuffles the last bits.
    """
    share = ROUNDING_MARGIN * np.finfo(T.dtype).eps
    rounding: Array = share * (cost + share * np.square(T, dtype=np.float64).mean(axis=(-2, -1)))
    return rounding


def distance(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `steps/distance` by layer: ||W - W0|| / ||W0||, with the weights W0 of iteration 0.

    How to read it: relative to its initial size, how far a layer has moved over the whole training, whatever its steps
    were. It depends on the initial scale: on the flower, weights drawn at 0.01 move by 30 to 1000 times their size
    while a network learns, those of xavier or he by 0.3 to 30 times. A layer below 1e-2 at the end still has its
    initial weights and took no part. 0 at iteration 0. NaN if W0 was 0, or the weights are not finite.
    """
    with np.errstate(all="ignore"):
        for layer, (W, W0) in enumerate(zip(snapshot.parameters.W, snapshot.initial.W, strict=True), start=1):
            yield "steps/distance", layer, ratio(norm(W.astype(np.float64) - W0), norm(W0))


def scales(snapshot: Snapshot) -> Iterator[Measurement]:
    """Yield `data/input_scale`, `input_offset`, `input_norm`, for real labels `target_scale`: the size of the data.

    - input_scale: the largest root mean square of a feature over the training examples; target_scale, of a target
    - input_offset: the largest mean of a feature, as a share of its standard deviation; features that do not vary do
      not count
    - input_norm: the root mean square of an example's norm

    All are measured after `data.standardize`, and do not change during training.

    How to read it: standardized data have scale 1 and offset 0. The curvature of the cost grows with the square of the
    inputs' scale, so at 10 the learning rate has to be about 100 times smaller, and the first layer's units start
    saturated or with huge outputs. The largest learning rate falls with the square of input_norm; standardized data of
    n features have sqrt(n). Above offset 1, hardly any value of a feature lies on the other side of 0, so few units
    start with their boundary among the data. A large target_scale makes the first gradients as large as itself. Much
    below 1, learning is slow.
    Source: LeCun et al. 1998, Efficient BackProp, section 4.3.
    """
    X, R = snapshot.X.astype(np.float64), len(snapshot.parameters.flat)
    with np.errstate(all="ignore"):
        squares = np.square(X)
        mean, deviation = X.mean(axis=-1), X.std(axis=-1)
        varies = deviation > np.finfo(np.float64).eps * np.abs(mean)
        offset = np.max(np.abs(mean[varies]) / deviation[varies], initial=0.0)
        yield "data/input_scale", 0, np.full(R, np.sqrt(squares.mean(axis=-1).max()))
        yield "data/input_offset", 0, np.full(R, offset)
        yield "data/input_norm", 0, np.full(R, np.sqrt(squares.sum(axis=0).mean()))
        if snapshot.cost_function.score_name == "r2":
            largest = np.square(snapshot.Y, dtype=np.float64).mean(axis=-1).max()
            yield "data/target_scale", 0, np.full(R, np.sqrt(largest))
