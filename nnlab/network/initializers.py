"""Initial weights: every scheme draws W of one layer; biases start at zero.

A scheme takes the random stream, the layer's shape and `scale`. Draws fill W row by row, layer 1 first, so networks of
one seed use common random numbers, and a sweep compares like with like:

- two scales give the same draws multiplied by the scale;
- normal, xavier and he give the same normal draws with other factors, uniform their quantiles, and orthogonal
  orthonormalizes them;
- a wider network begins with the units of the narrower one in layer 1, and a deeper one with the layers of the
  shallower one, if their widths agree. Orthogonal is an exception for widths, and its last layer for depths.
"""

from collections.abc import Callable, Sequence

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.parameters import Parameters

__all__ = ["INITIALIZERS", "Stream", "initialize"]

Stream = np.random.Generator | np.random.RandomState
Initializer = Callable[[Stream, int, int, float], Array]


def _zeros(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    return np.zeros((n_out, n_in))


def _constant(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    return np.full((n_out, n_in), scale)


def _normal(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    return rng.standard_normal((n_out, n_in)) * scale


def _uniform(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    from scipy.special import erf

    # erf(z / sqrt(2)) = 2 Phi(z) - 1 is uniform on [-1, 1], and the larger the larger the normal draw z is.
    return np.asarray(erf(rng.standard_normal((n_out, n_in)) / np.sqrt(2.0)) * scale)


def _xavier(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    return _normal(rng, n_out, n_in, scale * np.sqrt(2.0 / (n_in + n_out)))


def _he(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    return _normal(rng, n_out, n_in, scale * np.sqrt(2.0 / n_in))


def _orthogonal(rng: Stream, n_out: int, n_in: int, scale: float) -> Array:
    tall = rng.standard_normal((max(n_out, n_in), min(n_out, n_in)))
    Q, triangle = np.linalg.qr(tall)
    Q = Q * np.sign(np.diag(triangle))  # uniform over the orthogonal matrices (Mezzadri 2007)
    return (Q if n_out >= n_in else Q.T) * scale


INITIALIZERS: dict[str, Initializer] = {
    "normal": _normal,
    "uniform": _uniform,
    "zeros": _zeros,
    "constant": _constant,
    "xavier": _xavier,
    "he": _he,
    "orthogonal": _orthogonal,
}
"""Every scheme by its name in `init.scheme`. The meaning of `scale` in each:

- normal: the standard deviation
- uniform: the half width of the interval around 0
- zeros: no meaning
- constant: the value of every weight
- xavier: a factor on sqrt(2 / (n_in + n_out)), the standard deviation (Glorot & Bengio 2010)
- he: a factor on sqrt(2 / n_in), the standard deviation (He et al. 2015)
- orthogonal: a factor on a random matrix with orthonormal rows or columns (Saxe et al. 2013)
"""


def initialize(sizes: Sequence[int], scheme: str, scale: float, rng: Stream) -> Parameters:
    """Return one drawn network in float64, a stack of R = 1. Layer 1 is drawn first.

    `rng` is a Generator, or a RandomState to reproduce the course's published numbers.
    """
    parameters = Parameters.zeros(sizes)
    for W in parameters.W:
        n_out, n_in = W[0].shape
        W[0] = INITIALIZERS[scheme](rng, n_out, n_in, scale)
    return parameters
