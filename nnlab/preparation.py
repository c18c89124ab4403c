"""How the rows of a data set become the inputs of a network, and its answers become labels.

A `Preparation` is fitted to the training part and belongs to the run, which asks it about new rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnlab.columns import Column, Label, UnusableColumnError, read_column, texts_of
from nnlab.config import ConfigError, DataConfig
from nnlab.tables import Table, leave_out

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCALING", "Preparation", "fit"]

Array = NDArray[np.float64]
SCALING = ("x_mean", "x_scale", "y_mean", "y_scale")


@dataclass(frozen=True, eq=False)
class Preparation:
    """Fitted numbers that turn rows into inputs.

    Attributes
    ----------
    columns : the input columns, in the order of the file; empty for runs that earlier versions recorded
    fills : what replaces a missing value of each column: a median, or the place of the most frequent category; empty if
        missing values are refused
    labels : the classes as the data set writes them, in the order of the network's outputs; empty for real targets
    target : the name of the target
    decimal : the decimal sign of numbers that are given as texts
    x_mean, x_scale : (n_x, 1), an input is (value - mean) / scale
    y_mean, y_scale : (n_y, 1), the same for real targets; 0 and 1 for classes
    """

    columns: tuple[Column, ...]
    fills: tuple[float, ...]
    labels: tuple[Label, ...]
    target: str
    decimal: str
    x_mean: Array
    x_scale: Array
    y_mean: Array
    y_scale: Array

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the inputs: a column, or `colour=red`."""
        return tuple(feature for column in self.columns for feature in column.features)

    @property
    def scaling(self) -> dict[str, Array]:
        """The means and scales by name."""
        return {name: getattr(self, name) for name in SCALING}

    def inputs(self, values: Array) -> Array:
        """Return the inputs (n_x, m), before they are scaled, of a table's values (n, m): filled, texts as 0 and 1."""
        return _expanded(self.columns, _filled(values, self.fills))

    def scaled(self, X: Array) -> Array:
        """Return inputs X (n_x, m) as the network takes them."""
        scaled = X - self.x_mean
        scaled /= self.x_scale
        return np.ascontiguousarray(scaled)

    def read(self, rows: "pd.DataFrame | Sequence[Mapping[str, Any]]") -> Array:
        """Return the inputs X (n_x, m) of rows as they come from the file; other columns are not read.

        Raises ValueError for missing columns, and for values that cannot be inputs.
        """
        frame = _frame(rows)
        if not self.columns:
            raise ValueError("the run was recorded without the names of its columns: give its inputs as an array")
        absent = [column.name for column in self.columns if column.name not in frame]
        if absent:
            names = ", ".join(repr(column.name) for column in self.columns[:10])
            rest = ", ..." * (len(self.columns) > 10)
            raise ValueError(f"rows must have the columns {names}{rest}; {absent[0]!r} is missing")
        values = np.stack([self._values(frame[column.name], column) for column in self.columns])
        illegal = np.isnan(values)
        if illegal.any() and not self.fills:
            place, row = (int(index[0]) for index in np.nonzero(illegal))
            name = self.columns[place].name
            raise ValueError(f"column {name!r} must have a value in every row, got none in row {row + 1}")
        return self.inputs(values)

    def answers(self, Y: Array) -> NDArray[Any]:
        """Return the labels (m,) of predicted class numbers Y (1, m), or real answers in the units of the target."""
        if not self.labels:
            return np.asarray((Y * self.y_scale + self.y_mean)[0])
        return np.array(self.labels)[Y[0].astype(np.intp)]

    def _values(self, column: "pd.Series[Any]", expected: Column) -> Array:
        """Return the values (m,) of one column of new rows."""
        if expected.categories:
            return _places(column, expected)
        try:
            found, values = read_column(column, ",", self.decimal)
        except UnusableColumnError as error:
            raise ValueError(f"column {expected.name!r} must hold finite numbers: {error}") from None
        if found.categories:
            raise ValueError(f"column {expected.name!r} must hold numbers, got {found.categories[-1]!r}")
        return values

    def to_json(self) -> dict[str, Any]:
        """Return the preparation as JSON can hold it."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        scaling = {name: values[name][:, 0].tolist() for name in SCALING}
        return {**values, "columns": [column._asdict() for column in self.columns], **scaling}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Preparation":
        """Return the preparation that `to_json` wrote."""
        columns = tuple(Column(column["name"], tuple(column["categories"])) for column in values["columns"])
        scaling = {name: np.array(values[name], float)[:, np.newaxis] for name in SCALING}
        words = {"fills": tuple(values["fills"]), "labels": tuple(values["labels"])}
        return Preparation(**{**values, "columns": columns, **words, **scaling})


def fit(train: Table, Y: Array, data: DataConfig) -> Preparation:
    """Return the preparation of a config's data, fitted to the training part and its labels Y (n_y, m).

    Raises ConfigError if values are to be imputed in a column that has none in the training part.
    """
    fills = _fills(train, data) if data.missing == "impute" else ()
    values = _filled(train.values, fills)
    x_mean, x_scale = _standardization(_expanded(train.columns, values), bool(data.standardize))
    y_mean, y_scale = _standardization(Y, bool(data.standardize) and not train.labels)
    return Preparation(
        columns=train.columns,
        fills=fills,
        labels=train.labels,
        target=train.target,
        decimal=data.decimal or ".",
        x_mean=x_mean,
        x_scale=x_scale,
        y_mean=y_mean,
        y_scale=y_scale,
    )


def _fills(train: Table, data: DataConfig) -> tuple[float, ...]:
    """Return the replacement for missing values of each column."""
    empty = [column.name for column, row in zip(train.columns, train.values, strict=True) if np.isnan(row).all()]
    if empty:
        problem = f"data.missing=impute needs a value of each column in the training part, got none of {empty[0]!r}"
        raise ConfigError(f"{problem}; {leave_out(empty, data)}")
    return tuple(
        _fill(row[~np.isnan(row)], bool(column.categories))
        for column, row in zip(train.columns, train.values, strict=True)
    )


def _fill(known: Array, is_text: bool) -> float:
    """Return the median of numbers and booleans (1 and 0), or the most frequent text; the first of several."""
    if is_text:
        return float(np.bincount(known.astype(np.intp)).argmax())
    return float(np.median(known))


def _filled(values: Array, fills: Sequence[float]) -> Array:
    """Return values (n, m) with the fill of its column (n) instead of each missing one; all stay if there are none."""
    return np.where(np.isnan(values), np.reshape(fills, (-1, 1)), values) if fills else values


def _expanded(columns: Sequence[Column], values: Array) -> Array:
    """Return values (n, m) with every column of texts as one row of 0 and 1 for each category."""
    if not any(column.categories for column in columns):
        return values
    X = np.zeros((sum(len(column.features) for column in columns), values.shape[1]))
    row, examples = 0, np.arange(values.shape[1])
    for column, places in zip(columns, values, strict=True):
        if column.categories:
            X[row + places.astype(np.intp), examples] = 1.0
        else:
            X[row] = places
        row += len(column.categories) or 1
    return X


def _standardization(values: Array, enabled: bool) -> tuple[Array, Array]:
    """Return the mean and the scale (n, 1) of the rows of values (n, m), or 0 and 1 if not enabled."""
    if not enabled:
        return np.zeros((len(values), 1)), np.ones((len(values), 1))
    # A constant row is found by equality, not by a zero deviation: the mean of many 0.1 is not exactly 0.1, and scaling
    # would magnify the rounding to 1.
    constant = (values == values[:, :1]).all(axis=1, keepdims=True)
    mean = np.where(constant, values[:, :1], values.mean(axis=1, keepdims=True))
    scale = values.std(axis=1, keepdims=True)
    return mean, np.where(constant | (scale == 0.0), 1.0, scale)


def _frame(rows: "pd.DataFrame | Sequence[Mapping[str, Any]]") -> "pd.DataFrame":
    """Return rows as a frame whose rows are numbered from 0 and whose columns are named as in `nnlab.tables`."""
    import pandas as pd

    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    frame = frame.reset_index(drop=True)
    # A file without a header, as pandas reads it, has numbers as names.
    names = [f"x{name + 1}" if isinstance(name, int) else str(name).strip() for name in frame.columns]
    return frame.set_axis(names, axis=1)


def _places(column: "pd.Series[Any]", expected: Column) -> Array:
    """Return the place of each text among the categories, NaN if missing."""
    texts = texts_of(column)
    place = {category: float(index) for index, category in enumerate(expected.categories)}
    unknown = [row for row, text in enumerate(texts, start=1) if text is not None and text not in place]
    if unknown:
        legal = ", ".join(map(repr, expected.categories))
        raise ValueError(
            f"column {expected.name!r} must be one of {legal}, got {texts[unknown[0] - 1]!r} in row {unknown[0]}"
        )
    return np.array([np.nan if text is None else place[text] for text in texts])
