"""One column of a user's table as numbers: an input, or the target.

Both are read alike from a file and from the rows that a trained network is asked about.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.config import ConfigError, shell_word
from nnlab.table_files import WORDS, quoted

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LARGEST",
    "MAX_CATEGORIES",
    "MAX_CLASSES",
    "MAX_INTEGER_CLASSES",
    "Column",
    "Label",
    "UnusableColumnError",
    "missing_targets",
    "read_column",
    "read_target",
    "texts_of",
]

LARGEST = 1e100
"""Larger numbers are rejected, because their squares would overflow in standardization and cost."""
MAX_CATEGORIES = 50
MAX_CLASSES = 1_000
MAX_INTEGER_CLASSES = 20

Array = NDArray[np.float64]
Label = str | int | float | bool
"""A class as the file writes it."""

NUMERIC = ("integer", "floating", "mixed-integer-float", "boolean", "decimal")
"""The types of columns, as pandas infers them, that hold numbers."""
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.](\d{2}|\d{4})([T ].*)?")
_SIGN = r"[+-]?"
_COMMA_NUMBER = re.compile(_SIGN + r"\d*,\d+([eE][+-]?\d+)?")
_COMMA_THOUSANDS = re.compile(_SIGN + r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
_POINT_THOUSANDS = re.compile(_SIGN + r"[1-9]\d{0,2}(\.\d{3})+(,\d*)?")


class Column(NamedTuple):
    """An input column: its name and, if it holds texts, its different values, sorted."""

    name: str
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> list[str]:
        """The names of the inputs that the column becomes: itself, or `colour=red`, one for each category."""
        return [f"{self.name}={category}" for category in self.categories] or [self.name]


class UnusableColumnError(ConfigError):
    """A column that cannot be an input. `remedy` is a way to make it one; empty if there is none."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.remedy = remedy


def read_column(column: "pd.Series[Any]", separator: str, decimal: str | None) -> tuple[Column, Array]:
    """Return an input column and its values (m,): numbers, or places among the categories; NaN if missing.

    Raises UnusableColumnError for dates, more than 50 different texts, and values that are neither numbers nor texts.
    """
    import pandas as pd

    name = str(column.name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if not _is_text(column):
        return Column(name), _finite(column, _typed_numbers(column))
    codes, texts, present = _factorize(column)
    known = [text for text, is_present in zip(texts, present, strict=True) if is_present]
    numbers = _parse(known, separator, decimal)
    if numbers is None:
        categories = _categories(column, known)
        place = {category: float(index) for index, category in enumerate(categories)}
        numbers = np.array([place[text] for text in known])
    else:
        categories = ()
    values = np.full(len(texts) + 1, np.nan)  # the last one is for values that pandas knows to be missing, code -1
    values[:-1][present] = numbers
    return Column(name, categories), _finite(column, values[codes])


def _is_text(column: "pd.Series[Any]") -> bool:
    """Return True if a column holds texts. Raises UnusableColumnError if it holds neither texts nor numbers."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("string", "empty") or (kind in ("mixed", "mixed-integer") and _are_scalars(column)):
        return kind != "empty"
    if kind not in NUMERIC:
        raise UnusableColumnError(f"it holds {kind} values")
    return False


def _are_scalars(column: "pd.Series[Any]") -> bool:
    """Return True if a column of several types holds nothing but texts, numbers and booleans, as frames may."""
    return all(isinstance(value, str | int | float | bool) for value in column.dropna())


def _typed_numbers(column: "pd.Series[Any]") -> Array:
    """Return the values of a column of numbers or booleans (m,), NaN if missing."""
    import pandas as pd

    try:
        if column.dtype == object:
            return np.array([np.nan if pd.isna(value) else float(value) for value in column], np.float64)
        numbers: Array = column.to_numpy(np.float64, na_value=np.nan)
        return numbers
    except OverflowError:
        # Whole numbers of hundreds of digits arrive as Python integers.
        raise UnusableColumnError(f"it must hold numbers of magnitude up to {LARGEST:g}, got a larger one") from None


def _finite(column: "pd.Series[Any]", values: Array) -> Array:
    illegal = np.abs(values) > LARGEST
    if illegal.any():
        legal = f"finite numbers (magnitude up to {LARGEST:g})"
        raise UnusableColumnError(f"it must hold {legal}, got {_found(column, int(illegal.argmax()))}")
    return values


def _factorize(column: "pd.Series[Any]") -> tuple[NDArray[np.intp], list[str], NDArray[np.bool_]]:
    """Return the place of each value among the different texts, the texts, and True for each that is not missing."""
    import pandas as pd

    codes, values = pd.factorize(column)
    texts = [_text(value) for value in values]
    return np.asarray(codes, np.intp), texts, np.array([text != "" and text not in WORDS for text in texts], bool)


def texts_of(column: "pd.Series[Any]") -> list[str | None]:
    """Return the values of a column as texts, None if missing."""
    codes, texts, present = _factorize(column)
    known = [text if is_present else None for text, is_present in zip(texts, present, strict=True)]
    return [known[code] if code >= 0 else None for code in codes]


def _text(value: object) -> str:
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def _parse(texts: Sequence[str], separator: str, decimal: str | None) -> Array | None:
    """Return texts as numbers, true and false as 1 and 0, or None if some are neither."""
    if {text.casefold() for text in texts} <= {"true", "false"}:
        return np.array([text.casefold() == "true" for text in texts], float)
    if decimal == ",":
        texts = [text.replace(".", "") if _POINT_THOUSANDS.fullmatch(text) else text for text in texts]
        if any("." in text for text in texts):
            return None
        texts = [text.replace(",", ".") for text in texts]
    numbers = _numbers(texts)
    if not np.isnan(numbers).any():
        return numbers
    commas = [text for text, number in zip(texts, numbers, strict=True) if np.isnan(number)]
    are_thousands = all(map(_COMMA_THOUSANDS.fullmatch, commas))
    if are_thousands and (decimal == "." or separator == ","):
        return _numbers([text.replace(",", "") for text in texts])
    if are_thousands or all(map(_COMMA_NUMBER.fullmatch, commas)):
        raise UnusableColumnError(
            f"it holds numbers with commas, such as {quoted(commas[0])}",
            "if the comma is the decimal sign: "
            + shell_word("data.decimal=','")
            + "; if it separates thousands: data.decimal=." * are_thousands,
        )
    return None


def _numbers(texts: Sequence[str]) -> Array:
    """Return the numbers that texts are, NaN for those that are none."""
    import pandas as pd

    # A number of hundreds of digits would arrive as a Python integer.
    series = pd.Series([f"{text}.0" if len(text) > 300 and text.isdigit() else text for text in texts], dtype=object)
    return np.asarray(pd.to_numeric(series, errors="coerce"), np.float64)


def _categories(column: "pd.Series[Any]", texts: Sequence[str]) -> tuple[str, ...]:
    different = sorted(set(texts))
    odd = [text for text, number in zip(different, _numbers(different), strict=True) if np.isnan(number)]
    if len(different) - len(odd) > MAX_INTEGER_CLASSES:
        raise UnusableColumnError(f"it holds numbers, but {_found(column, _place(column, odd))}")
    if all(map(_DATE.fullmatch, different)):
        raise UnusableColumnError(f"it holds dates, such as {quoted(different[0])}")
    if len(different) > MAX_CATEGORIES:
        problem = f"it holds {len(different)} different texts, such as {quoted(different[0])}"
        raise UnusableColumnError(f"{problem}; at most {MAX_CATEGORIES} become inputs")
    return tuple(different)


def _place(column: "pd.Series[Any]", texts: Sequence[str]) -> int:
    """Return the place of the first value that is one of these texts."""
    return int(column.map(_text).isin(texts).to_numpy(bool).argmax())


def _found(column: "pd.Series[Any]", place: int) -> str:
    """Return the value at a place as a message shows it, with its row: frames are numbered from 0."""
    value = column.iloc[place]
    return f"{quoted(value.strip()) if isinstance(value, str) else str(value)} in row {int(column.index[place]) + 1}"


# ---- the target


def missing_targets(
    column: "pd.Series[Any]",
    task: str | None,
    separator: str,
    decimal: str | None,
    words_in_quotes: Callable[[], set[str]],
) -> NDArray[np.bool_]:
    """Return True for each row (m,) without a target.

    Empty values are missing, and so are the words in `table_files.WORDS`. A target of texts has two exceptions: a word
    in quotation marks is a class, and so is every word of a column that writes missing values in two ways, such as None
    and an empty cell.
    """
    missing = column.isna().to_numpy(bool)
    if not _is_untyped_text(column):
        return missing
    codes, texts, present = _factorize(column)
    known = [text for text, is_present in zip(texts, present, strict=True) if is_present]
    words = {text for text, is_present in zip(texts, present, strict=True) if text and not is_present}
    if task == "numbers" or (known and _parse(known, separator, decimal) is not None):
        words = set()
    elif len(words) + ("" in texts or missing.any()) < 2:
        words &= words_in_quotes()
    is_missing = [not (is_present or text in words) for text, is_present in zip(texts, present, strict=True)]
    return missing | np.array([*is_missing, True])[codes]


def _is_untyped_text(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    return (
        not isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.infer_dtype(column, skipna=True) == "string"
    )


def read_target(
    column: "pd.Series[Any]", task: str | None, separator: str, decimal: str | None
) -> tuple[Array, tuple[Label, ...]]:
    """Return the target without missing values: numbers (m,) and no labels, or places (m,) among the labels.

    Labels are sorted; categories keep their order. Raises UnusableColumnError for values that the task does not allow.
    """
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        if task != "numbers":
            return np.asarray(column.cat.codes, np.float64), tuple(map(_label, column.cat.categories))
        column = column.astype(column.cat.categories.dtype)
    if _is_text(column):
        codes, texts, _ = _factorize(column)
        # A Parquet file (it has no separator) that meant numbers would hold numbers.
        numbers = _parse(texts, separator, decimal) if separator or task == "numbers" else None
        if numbers is None and task == "numbers":
            odd = [text for text, number in zip(texts, _numbers(texts), strict=True) if np.isnan(number)]
            found = _found(column, _place(column, odd))
            raise UnusableColumnError(f"it must hold numbers (data.task=numbers), got {found}")
        if numbers is None:
            labels = sorted(set(texts))
            place = {label: float(index) for index, label in enumerate(labels)}
            return np.array([place[text] for text in texts])[codes], tuple(labels)
        are_booleans = {text.casefold() for text in texts} <= {"true", "false"}
        values, whole = numbers[codes], False
    else:
        are_booleans = pd.api.types.infer_dtype(column, skipna=True) == "boolean"
        values, whole = _typed_numbers(column), pd.api.types.is_integer_dtype(column.dtype)
    values = _finite(column, values)
    if are_booleans and task != "numbers":
        levels, places = np.unique(values, return_inverse=True)
        return np.asarray(places, np.float64), tuple(bool(level) for level in levels)
    # Integers stay integers, because beyond 2^53 two classes could be the same float.
    numbers = column.to_numpy() if whole else values
    if task is None and not whole and (values != np.rint(values)).any() and (values != values[0]).any():
        return values, ()
    levels, places = np.unique(numbers, return_inverse=True)
    if not _are_classes(levels, len(values), task):
        return values, ()
    return np.asarray(places, np.float64), tuple(map(_label, levels.tolist()))


def _are_classes(levels: NDArray[Any], m: int, task: str | None) -> bool:
    """Return True if the different values of m whole numbers are classes: by the task, or few, some of them twice."""
    if task is not None or len(levels) == 1:
        return task != "numbers"
    return len(levels) <= MAX_INTEGER_CLASSES and len(levels) < m


def _label(value: object) -> Label:
    """Return a class as JSON can hold it: numbers as numbers, all else as text."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float) else str(value).strip()
