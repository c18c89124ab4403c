"""Data sets: drawn in the plane, bundled with scikit-learn, or read from the user's file.

A data set is a function in `nnlab.planar_datasets.DRAWN`, which draws any number of examples from a formula, or in
`READ`, which returns a fixed set of examples. Its defaults are in `nnlab.config.DATA`. To add one, add a function and a
line to either table and to `DATA`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.columns import LARGEST, Column
from nnlab.config import ConfigError, DataConfig, RunConfig, resolve
from nnlab.planar_datasets import DRAWN
from nnlab.preparation import Preparation, fit
from nnlab.seeding import stream
from nnlab.table_files import file_digest
from nnlab.tables import Table, read_table
from nnlab.validation import validate_data

__all__ = ["DRAWN", "READ", "Dataset", "file_digest", "load_dataset"]

Array = NDArray[np.float64]
Draw = Callable[[int, float, int], tuple[Array, NDArray[np.integer]]]
"""Returns points (2, m) and class indices (m,), given m, the noise and the seed."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test examples as columns; all arrays are float64 and C-contiguous.

    X (n_x, m) and X_test (n_x, m_test) are the inputs. Y and Y_test are the labels: 0 and 1 (1, m) for task "binary",
    one-hot (C, m) for "multiclass", real numbers (1, m) for "regression". Without a test part m_test is 0.

    `preparation` says how the columns of the data set became inputs, and which labels Y stands for. `left_out`
    are the columns of a file that are no inputs because they number the rows; `summary` says what was made of a file.

    ``X * x_scale + x_mean`` restores the original units of the inputs; for regression, ``Y * y_scale + y_mean`` does so
    for the labels. x_mean and x_scale are (n_x, 1), y_mean and y_scale (n_y, 1); without standardization the means
    are 0 and the scales 1.
    """

    name: str
    task: str
    X: Array
    Y: Array
    X_test: Array
    Y_test: Array
    preparation: Preparation
    left_out: tuple[str, ...] = ()
    summary: str = ""

    @property
    def kind(self) -> str:
        """What the labels are: "classes" or "numbers", as in data.task."""
        return "numbers" if self.task == "regression" else "classes"

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels as text, in the order of Y; empty for regression."""
        return tuple(str(label) for label in self.preparation.labels)

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the rows of X."""
        return self.preparation.features

    @property
    def x_mean(self) -> Array:
        """The mean (n_x, 1) that was subtracted from the inputs."""
        return self.preparation.x_mean

    @property
    def x_scale(self) -> Array:
        """The scale (n_x, 1) that the inputs were divided by."""
        return self.preparation.x_scale

    @property
    def y_mean(self) -> Array:
        """The mean (n_y, 1) that was subtracted from real targets."""
        return self.preparation.y_mean

    @property
    def y_scale(self) -> Array:
        """The scale (n_y, 1) that real targets were divided by."""
        return self.preparation.y_scale

    def unstandardized(self, X: Array) -> Array:
        """Return examples X (n_x, m) of this data set in their original units, as `Run.predict` expects them."""
        return X * self.x_scale + self.x_mean


def load_dataset(data: DataConfig) -> Dataset:
    """Return the data set of a config; None selects the data set's own default.

    The parts of a drawn data set come from independent streams of data.seed. Other data sets are split class by class,
    by data.seed and data.test_fraction; both parts keep the order of the file and contain every class.

    data.standardize shifts and scales every input to mean 0 and standard deviation 1, measured on the training part
    alone; a constant input is only shifted. For regression the target is standardized too, so that the learning rate
    does not depend on its unit. data.missing=impute fills in medians and most frequent values of the training part.

    `nnlab.tables.read_table` says what becomes of the columns of a file, and when its target is classes.

    Raises ConfigError for an illegal config, a file that cannot be used, and fewer examples than classes.
    """
    validate_data(data)
    data = resolve(RunConfig(data=data)).data
    train, test = _draw(data) if data.name in DRAWN else _split(READ[data.name](data), data)
    Y, Y_test = _encode(train), _encode(test)
    preparation = fit(train, Y, data)
    return Dataset(
        name=data.name,
        task={0: "regression", 2: "binary"}.get(len(train.labels), "multiclass"),
        X=preparation.scaled(preparation.inputs(train.values)),
        Y=np.ascontiguousarray((Y - preparation.y_mean) / preparation.y_scale),
        X_test=preparation.scaled(preparation.inputs(test.values)),
        Y_test=np.ascontiguousarray((Y_test - preparation.y_mean) / preparation.y_scale),
        preparation=preparation,
        left_out=train.left_out,
        summary=train.summary,
    )


def _encode(table: Table) -> Array:
    """Return the labels Y."""
    if len(table.labels) > 2:
        return (np.arange(len(table.labels))[:, np.newaxis] == table.y).astype(np.float64)
    return table.y[np.newaxis].astype(np.float64)


def _split(table: Table, data: DataConfig) -> tuple[Table, Table]:
    """Return the training and the test part, each with at least one example of every class."""
    if data.test_fraction == 0:
        return table, table.take(np.arange(0))
    rng = stream(data.seed, "split")
    examples = np.arange(len(table.y))
    groups = [np.flatnonzero(table.y == index) for index in range(len(table.labels))] or [examples]
    fraction = data.test_fraction or 0.0
    counts = [min(max(round(fraction * len(group)), 1), len(group) - 1) for group in groups]
    test = np.concatenate([rng.permutation(group)[:count] for group, count in zip(groups, counts, strict=True)])
    is_test = np.zeros(len(examples), bool)
    is_test[test] = True
    return table.take(np.flatnonzero(~is_test)), table.take(np.flatnonzero(is_test))


def _draw(data: DataConfig) -> tuple[Table, Table]:
    """Return the training and the test part of a drawn data set."""
    drawing = DRAWN[data.name]
    return (
        _drawn_table(data, "m", data.m, drawing.training_part),
        _drawn_table(data, "test_m", data.test_m, drawing.test_part),
    )


def _drawn_table(data: DataConfig, key: str, m: int | None, draw: Draw) -> Table:
    n_classes = DRAWN[data.name].n_classes
    if m is None or m < n_classes:
        raise ConfigError(f"data.{key} must be at least {n_classes} for {data.name}, got {m}")
    with np.errstate(all="ignore"):
        points, labels = draw(m, data.noise or 0.0, data.seed)
    if not (np.abs(points) <= LARGEST).all():
        raise ConfigError(f"data.noise must keep all coordinates below {LARGEST:g}, got {data.noise}")
    return Table(points, labels.astype(np.float64), tuple(range(n_classes)), (Column("x1"), Column("x2")))


# ---- data sets that are read


def _digits(data: DataConfig) -> Table:
    """Return 1797 handwritten digits of 8 x 8 pixels (UCI, via scikit-learn)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Table(bunch.data.T, bunch.target.astype(np.float64), tuple(range(10)), _numbers(bunch.feature_names))


def _breast_cancer(data: DataConfig) -> Table:
    """Return 569 tumours, malignant or benign, with 30 measurements each (UCI, via scikit-learn)."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    labels = tuple(str(name) for name in bunch.target_names)
    return Table(bunch.data.T, bunch.target.astype(np.float64), labels, _numbers(bunch.feature_names))


def _diabetes(data: DataConfig) -> Table:
    """Return 442 patients in the original units; the target is the progression of the disease (via scikit-learn)."""
    from sklearn.datasets import load_diabetes

    # scikit-learn's scaled version was scaled over all patients, including the test part's.
    bunch = load_diabetes(scaled=False)
    return Table(bunch.data.T, bunch.target.astype(np.float64), (), _numbers(bunch.feature_names))


def _numbers(names: Iterable[object]) -> tuple[Column, ...]:
    """Return columns of numbers with these names."""
    return tuple(Column(str(name)) for name in names)


def _file(data: DataConfig) -> Table:
    """Return the user's own table."""
    return read_table(data)


READ: dict[str, Callable[[DataConfig], Table]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "diabetes": _diabetes,
    "file": _file,
}
"""Every data set that is read, by its name in `data.name`, before it is split."""
