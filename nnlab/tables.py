"""A user's table as numbers: columns become features and a target, or are rejected with one clear message.

Messages count rows from 1 below the header. `nnlab.table_files` opens the files.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.config import ConfigError
from nnlab.table_files import file_error, local_file, quoted, read_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LARGEST", "Table", "read_table"]

LARGEST = 1e100
"""Larger numbers are rejected, because their squares would overflow in standardization and cost."""
MAX_CLASSES = 1_000
MAX_INTEGER_CLASSES = 20

NUMERIC = ("integer", "floating", "mixed-integer-float", "boolean", "decimal")
"""The types of columns, as pandas infers them, that can be features."""


class Table(NamedTuple):
    """Examples as columns: X (n_x, m), and y (m,): class indices or, if `classes` is empty, real numbers."""

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    classes: tuple[str, ...]
    features: tuple[str, ...]

    def take(self, examples: NDArray[np.intp]) -> "Table":
        """Return the table of these examples."""
        return self._replace(X=self.X[:, examples], y=self.y[examples])


def read_table(path: str, target: str) -> Table:
    """Return the table in a local file (.csv, .csv.gz, .parquet, .pq), with the column `target` as the target.

    A relative path starts at the working folder, ~ is the home folder. Every other column is a feature and must hold
    finite numbers or true/false (1/0). The values of the target decide the task:

    - Text, true/false, categories, and whole numbers (1.0 is one) with at most 20 distinct values are classes. Classes
      are sorted; categories keep the order of the file.
    - All other numbers are real targets, for regression.

    Raises ConfigError, naming data.path or data.target, the file, what is legal and what was received.
    """
    file = local_file(path)
    frame = read_frame(file)
    names = list(frame.columns)
    if target not in names:
        raise ConfigError(f"data.target must be a column of {quoted(file)}, {_one_of(names)}, got {quoted(target)}")
    features = [name for name in names if name != target]
    if not features:
        raise file_error(file, f"must have at least one column besides the target, got only {quoted(target)}")
    if len(frame) < 2:
        raise file_error(file, f"must have at least two rows (to train and to test on), got {len(frame)}")
    y, classes = _labels(file, frame[target])
    X = np.stack([_numbers("data.path", file, frame[name]) for name in features])
    return Table(X, y, classes, tuple(features))


def _numbers(key: str, file: Path, column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return a column as finite numbers (m,), or raise ConfigError, naming `key`."""
    import pandas as pd

    _check_present(key, file, column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    kind = pd.api.types.infer_dtype(column, skipna=False)
    numbers = pd.to_numeric(column, errors="coerce") if kind == "string" else column
    owner = _owner(key, file, column)
    if kind == "string":
        _check_values(key, file, column, numbers.isna().to_numpy(bool), "finite numbers")
    elif kind not in NUMERIC:
        raise ConfigError(f"{owner} must hold numbers, got {kind} values")
    legal = f"finite numbers (magnitude up to {LARGEST:g})"
    try:
        values = numbers.to_numpy(np.float64)
    except OverflowError:
        # Whole numbers of hundreds of digits arrive as Python integers.
        raise ConfigError(f"{owner} must hold {legal}, got a larger one") from None
    _check_values(key, file, column, ~(np.abs(values) <= LARGEST), legal)
    return values


def _labels(file: Path, column: "pd.Series[Any]") -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the target (m,) and its classes, as described in `read_table`."""
    import pandas as pd

    _check_present("data.target", file, column)
    hint = ""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        codes, names = column.cat.codes.to_numpy(), [str(value) for value in column.cat.categories]
    elif pd.api.types.infer_dtype(column, skipna=False) in ("string", "boolean"):
        codes, values = pd.factorize(column, sort=True)
        names = [str(value) for value in values]
    else:
        numbers = _numbers("data.target", file, column)
        classes = _numeric_classes(column, numbers)
        if classes is None:
            return numbers, ()
        codes, names = classes
        hint = f" (whole numbers with at most {MAX_INTEGER_CLASSES} distinct values are classes)"
    _check_classes(_owner("data.target", file, column), codes, names, hint)
    return codes.astype(np.float64), tuple(names)


def _numeric_classes(
    column: "pd.Series[Any]", numbers: NDArray[np.float64]
) -> tuple[NDArray[np.integer], list[str]] | None:
    """Return the class index of each row and the names of the classes, or None if the numbers are real targets."""
    import pandas as pd

    whole = pd.api.types.infer_dtype(column, skipna=False) == "integer"
    # Integers stay integers, because beyond 2^53 two classes could be the same float.
    levels, codes = np.unique(column.to_numpy() if whole else numbers, return_inverse=True)
    if len(levels) > 1 and (len(levels) > MAX_INTEGER_CLASSES or not (whole or (levels == np.rint(levels)).all())):
        return None
    return codes, [str(int(level)) if whole or level.is_integer() else str(level) for level in levels]


# ---- checks and messages


def _check_classes(owner: str, codes: NDArray[np.integer], names: list[str], hint: str) -> None:
    if len(names) < 2:
        raise ConfigError(f"{owner} must have at least two different values, got only {quoted(names[0])}")
    if len(names) > MAX_CLASSES:
        raise ConfigError(f"{owner} must have at most {MAX_CLASSES} classes, got {len(names)}")
    counts = np.bincount(codes)
    if counts.min() < 2:
        name = names[int(counts.argmin())]
        raise ConfigError(f"{owner} must have at least two rows of every class{hint}, got one of class {quoted(name)}")


def _check_present(key: str, file: Path, column: "pd.Series[Any]") -> None:
    missing = column.isna().to_numpy(bool)
    if missing.any():
        row = int(missing.argmax()) + 1
        actual = f"got a missing one (empty, NA, nan or null) in row {row}: fill it in or remove the row"
        raise ConfigError(f"{_owner(key, file, column)} must have a value in every row, {actual}")


def _check_values(key: str, file: Path, column: "pd.Series[Any]", illegal: NDArray[np.bool_], legal: str) -> None:
    if illegal.any():
        row = int(illegal.argmax())
        value = column.iloc[row]
        actual = quoted(value) if isinstance(value, str) else str(value)
        hint = "; every column but data.target is an input, so remove columns that are not" * (key == "data.path")
        raise ConfigError(f"{_owner(key, file, column)} must hold {legal}, got {actual} in row {row + 1}{hint}")


def _owner(key: str, file: Path, column: "pd.Series[Any]") -> str:
    return f"{key}: column {quoted(column.name)} of {quoted(file)}"


def _one_of(names: list[str]) -> str:
    rest = f", ... ({len(names)} in all)" if len(names) > 10 else ""
    return "one of " + ", ".join(quoted(name) for name in names[:10]) + rest
