"""Expected values from theory, in the shape in which figures draw them beside measured ones."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nnlab.config import RunConfig, hidden_sizes
from nnlab.datasets import load_dataset
from nnlab.network.activations import Array
from nnlab.network.theory import chi, next_variance, weight_variance

__all__ = ["signal_by_layer"]

MOST_INPUTS = 64
"""The most inputs whose signal is followed through the layers."""


def signal_by_layer(config: RunConfig, X: Array | None = None) -> list[float]:
    """Return the expected ratio rms dZ / rms dZ of the output at initialization, by layer: layer 1 first, 1.0 last.

    The theory is for wide layers; narrow ones scatter around it. The variance of the logits is followed upwards from
    the mean square of an input (`theory.next_variance`), then the back-propagated signal downwards. Its gain in a layer
    is chi, with the number of a unit's outgoing weights in place of its incoming weights (Glorot & Bengio
    2010, eq. 6).

    A long input saturates more units than a short one, so the mean squares of dZ are averaged over the inputs X
    (n_x, m), by default those that the config trains on. More than 64 are replaced by 64 quantiles of their mean
    squares. Raises ValueError for schemes that are not random: there is no theory for them.
    """
    data = load_dataset(config.data)
    X = data.X if X is None else X
    activation = config.model.activation
    sizes = [len(X), *hidden_sizes(config.model), len(data.Y)]
    gains = [weight_variance(config.init.scheme, config.init.scale, *pair) for pair in pairwise(sizes)]
    squares = np.mean(np.square(X), axis=0)
    if len(squares) > MOST_INPUTS:
        squares = np.quantile(squares, (np.arange(MOST_INPUTS) + 0.5) / MOST_INPUTS)
    below = np.mean([_gains(activation, gains, sizes, float(square)) for square in squares], axis=0)
    return [float(ratio) for ratio in np.sqrt([*below, 1.0])]


def _gains(activation: str, gains: Sequence[float], sizes: Sequence[int], square: float) -> Array:
    """Return the mean square of dZ over the output's, by hidden layer, for an input with this mean square."""
    q, factors = gains[0] * square, []
    for gain, (n_in, n_out) in zip(gains[1:], pairwise(sizes[1:]), strict=True):
        factors.append(chi(activation, gain, q) * n_out / n_in)
        q = next_variance(activation, gain, 0.0, q)
    return np.asarray(np.cumprod(factors[::-1])[::-1])
