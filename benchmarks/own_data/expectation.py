"""The files that a person expects to work, and their target: a rule written with pandas alone.

It shares no code with nnlab, so that nnlab's reading of a file is compared with a second one. A file is expected to
work if it has 20 rows or more, a usable target, and one usable input besides it:

- The target is the last usable column: text or true/false with 2 to 50 values, of which those seen twice or more hold
  80 % of the rows; whole numbers of up to 20 values, as classes; other numbers, as numbers. It has two different
  values at least, and 20 rows have one.
- An input is usable if it has two different values at least, and is numeric or has at most 50.

Columns that number or identify the rows are neither.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Expected", "expected", "read", "row_names", "traits"]

FEWEST_ROWS = 20
MOST_CATEGORIES = 50
MOST_INTEGER_CLASSES = 20
SEEN_TWICE = 0.8
INDEX_NAMES = ("", "rownames", "row.names", "index")
DATE = r"(?:\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/]\d{1,2}[-/]\d{2,4})(?:[T ][\d:.]+Z?)?"
IDENTIFIERS = ("id", "case", "patient", "subject", "rownames", "index")


class Expected(NamedTuple):
    """A file that should work: its target, "classes" or "numbers", and its number of rows."""

    target: str
    task: str
    rows: int


def read(path: Path) -> "pd.DataFrame":
    """Return a file as pandas reads it. Columns keep their names: an unnamed one is `Unnamed: 0`."""
    import pandas as pd

    return pd.read_csv(path, low_memory=False)


def expected(frame: "pd.DataFrame") -> Expected | None:
    """Return the target of a file that should work, None for any other file."""
    if len(frame) < FEWEST_ROWS:
        return None
    out = row_names(frame)
    usable = [name for name in frame.columns if name not in out]
    for target in reversed(usable):
        task = _task(frame[target])
        if task is not None:
            inputs = [name for name in usable if name != target and _usable_input(frame[name])]
            return Expected(str(target), task, len(frame)) if inputs else None
    return None


def row_names(frame: "pd.DataFrame") -> set[str]:
    """Return the columns that number or identify the rows, by their name, or as the first column by its values."""
    found = {name for name in frame.columns if _numbers_rows_by_name(name) or _identifies(frame[name])}
    first = frame.columns[0]
    return found | ({first} if _numbers_rows(frame[first]) else set())


def _numbers_rows(column: "pd.Series[Any]") -> bool:
    """Return True if a column is exactly 0, 1, ..., m - 1 or 1, 2, ..., m."""
    import pandas as pd

    if not pd.api.types.is_integer_dtype(column):
        return False
    start = int(column.iloc[0]) if len(column) else -1
    return start in (0, 1) and bool((column == list(range(start, start + len(column)))).all())


def _numbers_rows_by_name(name: str) -> bool:
    return name.strip().lower() in INDEX_NAMES or name.startswith("Unnamed: ")


def _identifies(column: "pd.Series[Any]") -> bool:
    return str(column.name).strip().lower() in IDENTIFIERS and column.nunique() > 2


def _task(column: "pd.Series[Any]") -> str | None:
    """Return "classes" or "numbers", or None if the column is no target."""
    values = column.dropna()
    distinct = values.nunique()
    if len(values) < FEWEST_ROWS or distinct < 2:
        return None
    if _numeric(values):
        whole = bool((values % 1 == 0).all())
        return "classes" if whole and distinct <= MOST_INTEGER_CLASSES else "numbers"
    counts = values.value_counts()
    repeated = int(counts[counts >= 2].sum())
    return "classes" if distinct <= MOST_CATEGORIES and repeated >= SEEN_TWICE * len(values) else None


def _usable_input(column: "pd.Series[Any]") -> bool:
    return column.nunique() >= 2 and (_numeric(column) or column.nunique() <= MOST_CATEGORIES)


def _numeric(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


# ---- what is odd about a file


def traits(frame: "pd.DataFrame", target: str) -> set[str]:
    """Return the traits of a file that a reader must decide about."""
    out = row_names(frame)
    inputs = [frame[name] for name in frame.columns if name not in out and name != target]
    counts = frame[target].value_counts()
    task = _task(frame[target])
    found = {
        "the first column numbers the rows": _numbers_rows(frame.iloc[:, 0]),
        "other names or identifiers of rows": bool(out - {frame.columns[0]}),
        "missing targets": bool(frame[target].isna().any()),
        "missing inputs": any(column.isna().any() for column in inputs),
        "an input without any value": any(column.isna().all() for column in inputs),
        "dates": any(_dates(column) for column in inputs),
        "free text (more than 50 texts)": any(_free_text(column) for column in inputs),
        "classes of whole numbers, one with a single row": task == "classes"
        and _numeric(frame[target])
        and 1 in counts.values,
        "classes of text, one with a single row": task == "classes"
        and not _numeric(frame[target])
        and 1 in counts.values,
    }
    return {name for name, has in found.items() if has}


def _free_text(column: "pd.Series[Any]") -> bool:
    return not _numeric(column) and not _dates(column) and column.nunique() > MOST_CATEGORIES


def _dates(column: "pd.Series[Any]") -> bool:
    """Return True for text in which every value is a date, such as 2020-01-31 or 31/01/2020 12:30."""
    if _numeric(column):
        return False
    values = column.dropna().astype(str)
    return len(values) > 0 and bool(values.str.fullmatch(DATE).all())
