"""Data sets drawn from a formula: points in the plane, and the class of each.

Every function draws m examples with a given noise and seed: points (2, m) and class indices (m,). To add a data set,
add a function, a line in `DRAWN`, and a line in `nnlab.config.DATA`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.seeding import legacy_stream, stream

__all__ = ["DRAWN", "Drawing"]

Points = NDArray[np.float64]
Classes = NDArray[np.integer]


class Drawing(NamedTuple):
    """`draw(m, noise, seed)` returns points (2, m) and class indices (m,)."""

    draw: Callable[[int, float, int], tuple[Points, Classes]]
    n_classes: int = 2


def _class_sizes(m: int, n_classes: int) -> list[int]:
    """Return sizes that add up to m and differ by at most one, the larger first."""
    return [m // n_classes + (index < m % n_classes) for index in range(n_classes)]


def _flower(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw the flower of the course, r = 4 sin(4 t); every second petal belongs to one class (planar_utils.py)."""
    rng = legacy_stream(seed)
    sizes = _class_sizes(m, 2)
    parts = []
    for index, size in enumerate(sizes):
        t = np.linspace(index * 3.12, (index + 1) * 3.12, size) + noise * rng.randn(size)
        r = 4 * np.sin(4 * t) + noise * rng.randn(size)
        parts.append(np.stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(parts, axis=1), np.repeat(np.arange(2), sizes)


def _spiral(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw three spiral arms with noise in the angle (Stanford CS231n, where the noise is 0.2)."""
    rng = legacy_stream(seed)
    sizes = _class_sizes(m, 3)
    parts = []
    for index, size in enumerate(sizes):
        r = np.linspace(0.0, 1.0, size)
        t = np.linspace(index * 4, (index + 1) * 4, size) + noise * rng.randn(size)
        parts.append(np.stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(parts, axis=1), np.repeat(np.arange(3), sizes)


def _xor(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw points on [-1, 1]^2, class 1 where the signs differ; noise then moves the points."""
    rng = stream(seed, "xor")
    # Quadrants in turn instead of at random, so that two points already belong to both classes.
    signs = np.array([[1, -1, -1, 1], [1, 1, -1, -1]])[:, np.arange(m) % 4]
    points = signs * rng.uniform(size=(2, m)) + noise * rng.standard_normal((2, m))
    return points, np.arange(m) % 2


def _circles(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw two circles, one inside the other, as the course does after ``np.random.seed(seed)``."""
    from sklearn.datasets import make_circles

    points, labels = make_circles(m, noise=noise, random_state=seed)
    return points.T, labels


def _moons(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw two interleaving half circles."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(m, noise=noise, random_state=seed)
    return points.T, labels


def _blobs(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw the course's six blobs, whose classes alternate; `noise` is their standard deviation."""
    from sklearn.datasets import make_blobs

    # The centres are the course's (random_state=5) for every seed: the test part must come from the same blobs.
    centers = legacy_stream(5).uniform(-10.0, 10.0, size=(6, 2))
    points, labels = make_blobs(m, centers=centers, cluster_std=noise, random_state=seed)
    return points.T, labels % 2


def _quantiles(m: int, noise: float, seed: int) -> tuple[Points, Classes]:
    """Draw a Gaussian of variance 0.5; the inner half is class 0, the outer half class 1. `noise` is ignored."""
    from sklearn.datasets import make_gaussian_quantiles

    points, labels = make_gaussian_quantiles(cov=0.5, n_samples=m, n_features=2, n_classes=2, random_state=seed)
    return points.T, labels


DRAWN: dict[str, Drawing] = {
    "flower": Drawing(_flower),
    "circles": Drawing(_circles),
    "moons": Drawing(_moons),
    "blobs": Drawing(_blobs),
    "quantiles": Drawing(_quantiles),
    "xor": Drawing(_xor),
    "spiral": Drawing(_spiral, n_classes=3),
}
"""Every drawn data set by its name in `data.name`."""
