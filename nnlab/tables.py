"""A user's file as a table: its columns become inputs and a target, or it is rejected with one clear message.

Messages count rows from 1 below the header. `nnlab.table_files` opens the files, `nnlab.columns` reads the columns.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.columns import (
    MAX_CLASSES,
    MAX_INTEGER_CLASSES,
    Column,
    Label,
    UnusableColumnError,
    missing_targets,
    read_column,
    read_target,
)
from nnlab.config import ConfigError, DataConfig, shell_word, to_word
from nnlab.table_files import UNNAMED, Sheet, file_error, local_file, quoted, read_sheet

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "leave_out", "read_table"]

SHOWN = 10
"""The number of names that a message lists."""
INDEX_NAMES = ("rownames", "row.names", "row_names", "index")
IDENTIFIER_NAMES = ("id", "case", "patient", "subject")


class Table(NamedTuple):
    """Examples as columns.

    Attributes
    ----------
    values : (n, m), the numbers of each column, or the places of its texts among the categories; NaN if missing
    y : (m,), the places among the labels or, if there are none, real numbers
    labels : the classes, as the file writes them
    columns : the n input columns
    target : the name of the target
    left_out : the columns that are no inputs because they number the rows
    summary : what was made of a file, in words
    """

    values: NDArray[np.float64]
    y: NDArray[np.float64]
    labels: tuple[Label, ...]
    columns: tuple[Column, ...]
    target: str = "y"
    left_out: tuple[str, ...] = ()
    summary: str = ""

    def take(self, examples: NDArray[np.intp]) -> "Table":
        """Return the table of these examples."""
        return self._replace(values=self.values.take(examples, axis=1), y=self.y.take(examples))


def read_table(data: DataConfig) -> Table:
    """Return the table in the local file of a config (`data.path`), with the column `data.target` as the target.

    A relative path starts at the working folder, ~ is the home folder. Numbers, booleans (1 and 0) and texts of at most
    50 different values are inputs. Columns that number the rows are left out: those without a name, those named like an
    index or an identifier, and a first column of 0, 1, 2, ... or 1, 2, 3, ...; but never the only inputs. The values of
    the target decide the task, unless data.task does:

    - Texts, booleans, categories, and whole numbers (1.0 is one) with at most 20 different values, some of them twice,
      are classes. Classes are sorted; categories keep the order of the file.
    - All other numbers are real targets, for regression.

    Empty values and the words in `table_files.WORDS` are missing; `columns.missing_targets` says when such a word is a
    class.

    Raises ConfigError, naming the key, the file, what is legal, what was received and the remedy.
    """
    file = local_file(data.path or "")
    sheet = read_sheet(
        file,
        header=data.header,
        decimal=data.decimal,
        place_of=lambda names: _place_of_target(file, names, data),
    )
    frame = sheet.frame
    target = str(frame.columns[_place_of_target(file, list(frame.columns), data)])
    names, index = _inputs(file, frame, target, data)
    if len(frame) < 2:
        raise file_error(file, f"must have at least two rows, got {len(frame)}")
    reading = (data.task, sheet.separator, data.decimal)
    with _target_errors(file, target):
        without_target = missing_targets(frame[target], *reading, lambda: sheet.written_in_quotes(target))
    columns, values = _read_inputs(file, sheet, names, data)
    present = _present(file, columns, values, without_target, target, data)
    with _target_errors(file, target):
        y, labels = read_target(frame[target].iloc[present], *reading)
    if len(present) < len(frame):
        values = values.take(present, axis=1)
    table = Table(values, y, labels, tuple(columns), target, index)
    table = _with_split_classes(file, table, data)
    return table._replace(summary=_summary(file, sheet, table, len(frame), data))


@contextmanager
def _target_errors(file: Path, target: str) -> Iterator[None]:
    """Say of errors in reading a column that it is the target."""
    try:
        yield
    except UnusableColumnError as error:
        remedy = f"; {error.remedy}" if error.remedy else ""
        raise ConfigError(f"{_owner(file, target)} cannot be the target: {error}{remedy}") from None


# ---- columns


def _place_of_target(file: Path, names: Sequence[str], data: DataConfig) -> int:
    """Return the place of the target. Without a header it may be a number: from 1, or from -1 for the last."""
    target, count = (data.target or "").strip(), len(names)
    if target in names:
        return [*names].index(target)
    legal = f"a column of {quoted(file)}, {_one_of(names)}"
    if data.header is False:
        if UNNAMED.fullmatch(names[-1]):  # the rows end with a separator
            count -= 1
        number = int(target) if re.fullmatch(r"-?\d{1,9}", target) else 0
        if 1 <= abs(number) <= count:
            return number - 1 if number > 0 else count + number
        legal = f"the number of a column of {quoted(file)}, 1 to {count} or -1 for the last"
    raise ConfigError(f"data.target must be {legal}, got {quoted(data.target)}")


def _inputs(file: Path, frame: "pd.DataFrame", target: str, data: DataConfig) -> tuple[list[str], tuple[str, ...]]:
    """Return the names of the input columns, and of the columns that are left out because they number the rows."""
    ignored = [name.strip() for name in data.ignore or ()]
    for name in ignored:
        if name == target:
            raise ConfigError(f"data.ignore must not hold data.target, got {quoted(name)}")
        if name not in frame.columns:
            legal = f"columns of {quoted(file)}, {_one_of(list(frame.columns))}"
            raise ConfigError(f"data.ignore must hold {legal}, got {quoted(name)}")
    names = [str(name) for name in frame.columns if name != target and name not in ignored]
    if not names:
        raise file_error(file, f"must have at least one column besides the target, got only {quoted(target)}")
    if data.ignore == []:
        return names, ()
    index = tuple(name for name in names if _numbers_rows(frame[name], is_first=name == frame.columns[0]))
    if len(index) == len(names):
        return names, ()
    return [name for name in names if name not in index], index


def _numbers_rows(column: "pd.Series[Any]", is_first: bool) -> bool:
    """Return True if a column only says which row this is: by its name or, if it is the first one, by its values."""
    import pandas as pd

    name = str(column.name)
    if UNNAMED.fullmatch(name):
        return True
    if name.casefold() in INDEX_NAMES or (name.casefold() in IDENTIFIER_NAMES and column.astype(str).nunique() > 2):
        return True
    if not (is_first and pd.api.types.is_integer_dtype(column.dtype)) or column.isna().any():
        return False
    return any(bool((column.to_numpy() == np.arange(start, start + len(column))).all()) for start in (0, 1))


def _read_inputs(
    file: Path, sheet: Sheet, names: Sequence[str], data: DataConfig
) -> tuple[list[Column], NDArray[np.float64]]:
    """Return the input columns and their values (n, m)."""
    columns: list[Column] = []
    values = np.empty((len(names), len(sheet.frame)))
    unusable: dict[str, UnusableColumnError] = {}
    for name in names:
        try:
            column, values[len(columns)] = read_column(sheet.frame[name], sheet.separator, data.decimal)
        except UnusableColumnError as error:
            unusable[name] = error
            continue
        columns.append(column)
    values = values[: len(columns)]
    if data.missing != "refuse":
        without = [column.name for column, row in zip(columns, values, strict=True) if np.isnan(row).all()]
        unusable |= {name: UnusableColumnError("it has no values") for name in without}
    if unusable:
        raise _unusable(file, unusable, len(names), data)
    return columns, values


def _unusable(file: Path, problems: dict[str, UnusableColumnError], inputs: int, data: DataConfig) -> ConfigError:
    """Return the error for columns that cannot be inputs."""
    for name, problem in problems.items():
        if problem.remedy:
            return ConfigError(f"data.decimal: {_column(file, name)} cannot be an input: {problem}; {problem.remedy}")
    (first, problem), *others = problems.items()
    message = f"data.path: {_column(file, first)} cannot be an input: {problem}"
    if others:
        message += f"; nor can {_listed([quoted(name) for name, _ in others])}"
    if len(problems) == inputs:
        return ConfigError(f"{message}; so the file has no input")
    return ConfigError(f"{message}; {leave_out([*problems], data)}")


def leave_out(names: Sequence[str], data: DataConfig) -> str:
    """Return the advice to leave out columns, besides those that a config leaves out already."""
    word = shell_word(f"data.ignore={to_word([*(data.ignore or ()), *names])}")
    what = "it" if len(names) == 1 else "them"
    return f"to leave {what} out: {word}" if word.isprintable() else f"data.ignore leaves {what} out"


# ---- missing values


def _present(
    file: Path,
    columns: Sequence[Column],
    values: NDArray[np.float64],
    without_target: NDArray[np.bool_],
    target: str,
    data: DataConfig,
) -> NDArray[np.intp]:
    """Return the places of the rows that are kept. Raises ConfigError for missing values if data.missing is refuse."""
    missing = np.isnan(values)
    without_input = np.asarray(missing.any(axis=0), bool)
    if data.missing == "refuse" and without_target.any():
        raise ConfigError(
            f"{_owner(file, target)} must have a value in every row, got none in {_rows(without_target)}: "
            "data.missing=drop leaves these rows out"
        )
    if data.missing == "refuse" and without_input.any():
        names = [quoted(column.name) for column, row in zip(columns, missing, strict=True) if row.any()]
        raise file_error(
            file,
            f"must have a value in every row of its inputs, got none in {_rows(without_input)} and {len(names)} of "
            f"{len(columns)} columns, {_listed(names)}: data.missing=drop leaves these rows out, data.missing=impute "
            "fills them in",
        )
    present = np.flatnonzero(~(without_target | without_input) if data.missing == "drop" else ~without_target)
    if len(present) < 2:
        rows = f"at least two rows of {quoted(file)}"
        raise ConfigError(f"data.missing={data.missing} must leave {rows}, got {len(present)} of {len(missing[0])}")
    return present


def _rows(illegal: NDArray[np.bool_]) -> str:
    return f"{illegal.sum()} of {len(illegal)} rows (row {illegal.argmax() + 1} is the first)"


# ---- classes


def _with_split_classes(file: Path, table: Table, data: DataConfig) -> Table:
    """Return the table with classes that can be divided into two parts, or raise ConfigError."""
    owner, labels = _owner(file, table.target), table.labels
    if not labels:
        if (table.y == table.y[0]).all():
            raise ConfigError(f"{owner} must have at least two different values, got only {quoted(table.y[0])}")
        return table
    counts = np.bincount(table.y.astype(np.intp), minlength=len(labels))
    rare = counts < 2
    if rare.any() and data.test_fraction != 0 and len(labels) > 1:
        if data.rare == "refuse":
            raise _rare_error(owner, labels, counts, data)
        place = np.cumsum(~rare) - 1
        table = table.take(np.flatnonzero(~rare[table.y.astype(np.intp)]))
        labels = tuple(label for label, is_rare in zip(labels, rare, strict=True) if not is_rare)
        table = table._replace(y=place[table.y.astype(np.intp)].astype(np.float64), labels=labels)
    if len(labels) < 2:
        only = f"only {quoted(labels[0])}" if labels else "none that two rows have"
        raise ConfigError(f"{owner} must have at least two different values, got {only}")
    if len(labels) > MAX_CLASSES:
        raise ConfigError(f"{owner} must have at most {MAX_CLASSES} classes, got {len(labels)}")
    return table


def _rare_error(owner: str, labels: Sequence[Label], counts: NDArray[np.integer], data: DataConfig) -> ConfigError:
    number, label = int((counts == 1).sum()), labels[int(counts.argmin())]
    got = f"one of class {quoted(label)}" + f" and of {number - 1} more" * (number > 1)
    remedies = ["data.rare=drop leaves them out"] * (number < len(labels) - 1)
    if data.task is None and all(isinstance(label, int | float) for label in labels):
        # Named first where most values occur once: they are amounts.
        remedies.insert(
            0 if 2 * number > len(labels) else 1,
            f"data.task=numbers takes them as amounts (else at most {MAX_INTEGER_CLASSES} whole numbers are classes)",
        )
    remedy = f": {'; '.join(remedies)}" if remedies else ""
    return ConfigError(f"{owner} must have at least two rows of every class, got {got}{remedy}")


# ---- words


def _summary(file: Path, sheet: Sheet, table: Table, rows: int, data: DataConfig) -> str:
    """Return the summary of a file: `8 columns: 3 numbers, 2 texts -> 9 inputs, index 'rownames' left out`."""
    texts = sum(bool(column.categories) for column in table.columns)
    inputs = sum(len(column.features) for column in table.columns)
    kinds = [(len(table.columns) - texts, "number"), (texts, "text")]
    parts = [
        f"{file.name}: {_count(len(sheet.frame.columns), 'column')}: {_counts(kinds)} -> {_count(inputs, 'input')}",
        f"target {quoted(table.target)} of " + (f"{len(table.labels)} classes" if table.labels else "real numbers"),
    ]
    if table.left_out:
        parts.append(f"index {_listed([quoted(name) for name in table.left_out])} left out")
    if data.ignore:
        parts.append(f"{_listed([quoted(name) for name in data.ignore])} ignored")
    imputed = int(np.isnan(table.values).sum())
    if imputed:
        parts.append(f"{_count(imputed, 'missing value')} imputed")
    if rows > len(table.y):
        parts.append(f"{rows - len(table.y)} of {rows} rows left out")
    return ", ".join([*parts, *sheet.notes])


def _counts(kinds: Sequence[tuple[int, str]]) -> str:
    return ", ".join(_count(number, kind) for number, kind in kinds if number)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _owner(file: Path, target: str) -> str:
    return f"data.target: {_column(file, target)}"


def _column(file: Path, name: str) -> str:
    return f"column {quoted(name)} of {quoted(file)}"


def _one_of(names: Sequence[str]) -> str:
    return f"one of {_listed([quoted(name) for name in names])}"


def _listed(names: Sequence[str]) -> str:
    rest = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest
