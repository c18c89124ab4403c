"""What a network learns from: drawn in the plane, brought by scikit-learn, or read from the user's file.

A data set is a function in `DRAWN` (examples from a formula, as many as wanted) or in `READ` (examples that exist);
what it brings by default stands in `nnlab.config.DATA`. To add one, add a function, a line here and a line there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.config import ConfigError, DataConfig, RunConfig, resolve
from nnlab.seeding import legacy_stream, stream
from nnlab.tables import LARGEST, Table, file_digest, read_table
from nnlab.validation import validate_data

__all__ = ["DRAWN", "READ", "Dataset", "file_digest", "load_dataset"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples to train on and to test on, as columns; all arrays float64 and C-contiguous.

    X (n_x, m) and X_test (n_x, m_test) are the inputs. Y and Y_test are the labels: (1, m) of 0 and 1 for task
    "binary", one-hot (C, m) for "multiclass", (1, m) real numbers for "regression". `classes` are the labels as
    text, in the order of Y (none for regression); `features` name the rows of X.

    Where standardized, ``X * x_scale + x_mean`` gives the original units back, and for regression
    ``Y * y_scale + y_mean``: (n_x, 1) and (n_y, 1). Where not, the means are 0 and the scales 1.
    """

    name: str
    task: str
    X: Array
    Y: Array
    X_test: Array
    Y_test: Array
    classes: tuple[str, ...]
    features: tuple[str, ...]
    x_mean: Array
    x_scale: Array
    y_mean: Array
    y_scale: Array

    def unstandardized(self, X: Array) -> Array:
        """Return examples X (n_x, m) of this data set in its original units, which `Run.predict` takes."""
        return X * self.x_scale + self.x_mean


def load_dataset(data: DataConfig) -> Dataset:
    """Return the data set of a config; None in it stands for what the data set brings.

    The test part of a drawn set is drawn the same way with seed + 1. Read ones are split, class by class, by
    data.seed and data.test_fraction; both parts keep the order of the file and have every class.

    data.standardize shifts and scales every feature to mean 0 and standard deviation 1, measured on the training
    part alone; a constant feature is only shifted. Regression does the same to the target, so that the learning
    rate does not depend on its unit.

    What makes a file's target classes or real numbers: see `nnlab.tables.read_table`.

    Raises ConfigError for an illegal config, a file that cannot be used, and fewer examples than classes.
    """
    validate_data(data)
    data = resolve(RunConfig(data=data)).data
    train, test = _drawn(data) if data.name in DRAWN else _split(READ[data.name](data), data)
    Y, Y_test = _encoded(train), _encoded(test)
    x_mean, x_scale = _standardization(train.X, bool(data.standardize))
    y_mean, y_scale = _standardization(Y, bool(data.standardize) and not train.classes)
    return Dataset(
        name=data.name,
        task={0: "regression", 2: "binary"}.get(len(train.classes), "multiclass"),
        X=np.ascontiguousarray((train.X - x_mean) / x_scale),
        Y=np.ascontiguousarray((Y - y_mean) / y_scale),
        X_test=np.ascontiguousarray((test.X - x_mean) / x_scale),
        Y_test=np.ascontiguousarray((Y_test - y_mean) / y_scale),
        classes=train.classes,
        features=train.features,
        x_mean=x_mean,
        x_scale=x_scale,
        y_mean=y_mean,
        y_scale=y_scale,
    )


def _encoded(table: Table) -> Array:
    if len(table.classes) > 2:
        return (np.arange(len(table.classes))[:, np.newaxis] == table.y).astype(np.float64)
    return table.y[np.newaxis].astype(np.float64)


def _standardization(values: Array, wanted: bool) -> tuple[Array, Array]:
    """Return the mean and the scale (n, 1) of the rows of values (n, m); 0 and 1 if not wanted."""
    if not wanted:
        return np.zeros((len(values), 1)), np.ones((len(values), 1))
    # Equality, not a zero deviation, tells a constant: the mean of many 0.1 is not 0.1, and what rounding leaves
    # over would be blown up to 1.
    constant = (values == values[:, :1]).all(axis=1, keepdims=True)
    mean = np.where(constant, values[:, :1], values.mean(axis=1, keepdims=True))
    scale = values.std(axis=1, keepdims=True)
    return mean, np.where(constant | (scale == 0.0), 1.0, scale)


def _split(table: Table, data: DataConfig) -> tuple[Table, Table]:
    """Return the training and the test part; each has at least one example of every class."""
    rng = stream(data.seed, "split")
    everyone = np.arange(len(table.y))
    groups = [np.flatnonzero(table.y == index) for index in range(len(table.classes))] or [everyone]
    fraction = data.test_fraction or 0.0
    counts = [min(max(round(fraction * len(group)), 1), len(group) - 1) for group in groups]
    test = np.concatenate([rng.permutation(group)[:count] for group, count in zip(groups, counts, strict=True)])
    return table.take(np.setdiff1d(everyone, test)), table.take(np.sort(test))


# ---- drawn


class Drawing(NamedTuple):
    """How to draw: `draw(m, noise, seed)` returns points (2, m) and the index of each one's class (m,)."""

    draw: Callable[[int, float, int], tuple[Array, NDArray[np.integer]]]
    n_classes: int = 2


def _drawn(data: DataConfig) -> tuple[Table, Table]:
    return _drawn_part(data, "m", data.m, data.seed), _drawn_part(data, "test_m", data.test_m, data.seed + 1)


def _drawn_part(data: DataConfig, key: str, m: int | None, seed: int) -> Table:
    draw, n_classes = DRAWN[data.name]
    if m is None or m < n_classes:
        raise ConfigError(f"data.{key} must be at least {n_classes} for {data.name}, got {m}")
    with np.errstate(all="ignore"):
        points, labels = draw(m, data.noise or 0.0, seed)
    if not (np.abs(points) <= LARGEST).all():
        raise ConfigError(f"data.noise must leave the points below {LARGEST:g}, got {data.noise}")
    return Table(points, labels.astype(np.float64), tuple(str(index) for index in range(n_classes)), ("x1", "x2"))


def _class_sizes(m: int, n_classes: int) -> list[int]:
    """Return sizes that differ by at most one and add up to m, the larger first."""
    return [m // n_classes + (index < m % n_classes) for index in range(n_classes)]


def _flower(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw the flower of the course: r = 4 sin(4 t), each class every second petal (planar_utils.py)."""
    rng = legacy_stream(seed)
    sizes = _class_sizes(m, 2)
    parts = []
    for index, size in enumerate(sizes):
        t = np.linspace(index * 3.12, (index + 1) * 3.12, size) + noise * rng.randn(size)
        r = 4 * np.sin(4 * t) + noise * rng.randn(size)
        parts.append(np.stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(parts, axis=1), np.repeat(np.arange(2), sizes)


def _spiral(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw three spiral arms with noise in the angle (Stanford CS231n; its own noise is 0.2)."""
    rng = legacy_stream(seed)
    sizes = _class_sizes(m, 3)
    parts = []
    for index, size in enumerate(sizes):
        r = np.linspace(0.0, 1.0, size)
        t = np.linspace(index * 4, (index + 1) * 4, size) + noise * rng.randn(size)
        parts.append(np.stack([r * np.sin(t), r * np.cos(t)]))
    return np.concatenate(parts, axis=1), np.repeat(np.arange(3), sizes)


def _xor(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw points on [-1, 1]^2, class 1 where the signs differ; noise moves the points after that."""
    rng = stream(seed, "xor")
    # The quadrants in turn instead of at random: both classes are there from two points on.
    signs = np.array([[1, -1, -1, 1], [1, 1, -1, -1]])[:, np.arange(m) % 4]
    points = signs * rng.uniform(size=(2, m)) + noise * rng.standard_normal((2, m))
    return points, np.arange(m) % 2


def _circles(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw two circles, one in the other; what the course gets after ``np.random.seed(seed)``."""
    from sklearn.datasets import make_circles

    points, labels = make_circles(m, noise=noise, random_state=seed)
    return points.T, labels


def _moons(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw two half circles that reach into each other."""
    from sklearn.datasets import make_moons

    points, labels = make_moons(m, noise=noise, random_state=seed)
    return points.T, labels


def _blobs(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw the course's six blobs, odd against even; `noise` is their standard deviation."""
    from sklearn.datasets import make_blobs

    # The centres are the course's (random_state=5) whatever the seed: the test part must come from the same blobs.
    centers = legacy_stream(5).uniform(-10.0, 10.0, size=(6, 2))
    points, labels = make_blobs(m, centers=centers, cluster_std=noise, random_state=seed)
    return points.T, labels % 2


def _quantiles(m: int, noise: float, seed: int) -> tuple[Array, NDArray[np.integer]]:
    """Draw a Gaussian of variance 0.5, the inner half against the outer half; `noise` has no meaning here."""
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
"""The data sets that are drawn."""


# ---- read


def _digits(data: DataConfig) -> Table:
    """Return 1797 handwritten digits of 8 x 8 pixels (UCI, by scikit-learn)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    classes = tuple(str(name) for name in bunch.target_names)
    return Table(bunch.data.T, bunch.target.astype(np.float64), classes, tuple(bunch.feature_names))


def _breast_cancer(data: DataConfig) -> Table:
    """Return 569 tumours, 30 measurements each, malignant or benign (UCI, by scikit-learn)."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    classes = tuple(str(name) for name in bunch.target_names)
    features = tuple(str(name) for name in bunch.feature_names)
    return Table(bunch.data.T, bunch.target.astype(np.float64), classes, features)


def _diabetes(data: DataConfig) -> Table:
    """Return 442 patients in the original units; the target is how the disease went on (by scikit-learn)."""
    from sklearn.datasets import load_diabetes

    # scikit-learn's scaled version was scaled over all patients, those of the test part included.
    bunch = load_diabetes(scaled=False)
    return Table(bunch.data.T, bunch.target.astype(np.float64), (), tuple(bunch.feature_names))


def _file(data: DataConfig) -> Table:
    """Return the user's own table."""
    return read_table(data.path or "", data.target or "")


READ: dict[str, Callable[[DataConfig], Table]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "diabetes": _diabetes,
    "file": _file,
}
"""The data sets that are read, before they are split."""
