"""Data sets drawn from a formula: points in the plane, and the class of each.

Every function draws m examples: points (2, m) and class indices (m,). To add a data set, add a function, a line in
`DRAWN`, and a line in `nnlab.config.DATA`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from nnlab.seeding import legacy_stream, stream

__all__ = ["DRAWN", "Drawing"]

Points = NDArray[np.float64]
Classes = NDArray[np.integer]
Random = np.random.Generator | np.random.RandomState


class Positions(Protocol):
    """Returns `size` positions on a curve: at equal distances as np.linspace does, or at random."""

    def __call__(self, low: float, high: float, size: int, *, endpoint: bool = True) -> Points: ...


class Drawing(NamedTuple):
    """How to draw a data set.

    `function(m, noise, rng, positions)` returns points (2, m) and class indices (m,). `rng(seed)` is the stream of the
    training part.
    """

    function: Callable[[int, float, Random, Positions], tuple[Points, Classes]]
    n_classes: int = 2
    rng: Callable[[int], Random] = legacy_stream

    def training_part(self, m: int, noise: float, seed: int) -> tuple[Points, Classes]:
        """Draw the training part, at equal distances along the curves of a data set that has some."""
        return self.function(m, noise, self.rng(seed), np.linspace)  # type: ignore[arg-type]

    def test_part(self, m: int, noise: float, seed: int) -> tuple[Points, Classes]:
        """Draw the test part from a stream of its own, at random along the curves.

        At equal distances, it would repeat the training part up to the noise.
        """
        rng = stream(seed, "test")

        def at_random(low: float, high: float, size: int, *, endpoint: bool = True) -> Points:
            return rng.uniform(low, high, size)

        return self.function(m, noise, rng, at_random)


def _class_sizes(m: int, n_classes: int) -> list[int]:
    """Return sizes that add up to m and differ by at most one, the larger first."""
    return [m // n_classes + (index < m % n_classes) for index in range(n_classes)]


def _flower(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw the flower of the course, r = 4 sin(4 t); every second petal belongs to one class (planar_utils.py)."""
    sizes = _class_sizes(m, 2)
    parts = []
    for index, size in enumerate(sizes):
        t = positions(index * 3.12, (index + 1) * 3.12, size) + noise * rng.standard_normal(size)
        r = 4 * np.sin(4 * t) + noise * rng.standard_normal(size)
        parts.append(np.stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(parts, axis=1), np.repeat(np.arange(2), sizes)


def _spiral(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw three spiral arms with noise in the angle (Stanford CS231n, where the noise is 0.2)."""
    sizes = _class_sizes(m, 3)
    parts = []
    for index, size in enumerate(sizes):
        r = positions(0.0, 1.0, size)
        t = 4 * (index + r) + noise * rng.standard_normal(size)
        parts.append(np.stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(parts, axis=1), np.repeat(np.arange(3), sizes)


def _xor(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw points on [-1, 1]^2, class 1 where the signs differ; noise then moves the points."""
    # Quadrants in turn instead of at random, so that two points already belong to both classes.
    signs = np.array([[1, -1, -1, 1], [1, 1, -1, -1]])[:, np.arange(m) % 4]
    points = signs * rng.uniform(size=(2, m)) + noise * rng.standard_normal((2, m))
    return points, np.arange(m) % 2


def _circles(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw two circles, the inner one of radius 0.8, as scikit-learn's make_circles does."""
    sizes = [m // 2, m - m // 2]
    outer, inner = (positions(0.0, 2 * np.pi, size, endpoint=False) for size in sizes)
    x = np.concatenate([np.cos(outer), np.cos(inner) * 0.8])
    y = np.concatenate([np.sin(outer), np.sin(inner) * 0.8])
    return _shuffled(np.stack([x, y]), np.repeat(np.arange(2), sizes), noise, rng)


def _moons(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw two interleaving half circles, as scikit-learn's make_moons does."""
    sizes = [m // 2, m - m // 2]
    upper, lower = (positions(0.0, np.pi, size) for size in sizes)
    x = np.concatenate([np.cos(upper), 1 - np.cos(lower)])
    y = np.concatenate([np.sin(upper), 1 - np.sin(lower) - 0.5])
    return _shuffled(np.stack([x, y]), np.repeat(np.arange(2), sizes), noise, rng)


def _shuffled(points: Points, labels: Classes, noise: float, rng: Random) -> tuple[Points, Classes]:
    """Return points and labels in random order, the points moved by the noise."""
    order = np.arange(len(labels))
    rng.shuffle(order)
    return points[:, order] + rng.normal(scale=noise, size=(len(labels), 2)).T, labels[order]


def _blobs(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw the course's six blobs, whose classes alternate; `noise` is their standard deviation."""
    # The centres are the course's (random_state=5) for every seed: the test part must come from the same blobs.
    centres = legacy_stream(5).uniform(-10.0, 10.0, size=(6, 2))
    sizes = _class_sizes(m, 6)
    parts = [rng.normal(centre, noise, size=(size, 2)) for centre, size in zip(centres, sizes, strict=True)]
    order = np.arange(m)
    rng.shuffle(order)
    return np.concatenate(parts)[order].T, np.repeat(np.arange(6), sizes)[order] % 2


def _quantiles(m: int, noise: float, rng: Random, positions: Positions) -> tuple[Points, Classes]:
    """Draw a Gaussian of variance 0.5; the inner half is class 0, the outer half class 1. `noise` is ignored.

    The circle between the classes has the radius sqrt(ln 2), which halves the Gaussian: radius^2 is exponential with
    mean 1. Each class is drawn from its own half of that distribution, so the classes are of equal size.
    """
    labels = np.arange(m) % 2
    u = rng.uniform(size=m)
    radius = np.sqrt(np.where(labels == 0, -np.log1p(-u / 2), np.log(2) - np.log1p(-u)))
    angle = rng.uniform(0, 2 * np.pi, size=m)
    return radius * np.stack([np.cos(angle), np.sin(angle)]), labels


DRAWN: dict[str, Drawing] = {
    "flower": Drawing(_flower),
    "circles": Drawing(_circles),
    "moons": Drawing(_moons),
    "blobs": Drawing(_blobs),
    "quantiles": Drawing(_quantiles, rng=lambda seed: stream(seed, "quantiles")),
    "xor": Drawing(_xor, rng=lambda seed: stream(seed, "xor")),
    "spiral": Drawing(_spiral, n_classes=3),
}
"""Every drawn data set by its name in `data.name`."""
