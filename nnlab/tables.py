"""A user's table, CSV or Parquet, read into numbers or refused with one clear message.

Rows are counted from 1 below the header, in messages too. Only local files are opened, never a URL, and nothing in
a file is executed or unpickled.
"""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from nnlab.config import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LARGEST", "Table", "file_digest", "read_table"]

LARGEST = 1e100
"""Numbers beyond this are refused: their squares would overflow in standardization and cost."""
MAX_COLUMNS = 10_000
MAX_LINE = 2**20
MAX_CLASSES = 1_000
MAX_INTEGER_CLASSES = 20

NUMERIC = ("integer", "floating", "mixed-integer-float", "boolean", "decimal")
"""What pandas calls the columns that can be features."""


class Table(NamedTuple):
    """Examples as columns: X (n_x, m); y (m,), the index of the class or, where `classes` is empty, a real number."""

    X: NDArray[np.float64]
    y: NDArray[np.float64]
    classes: tuple[str, ...]
    features: tuple[str, ...]

    def take(self, examples: NDArray[np.intp]) -> "Table":
        """Return the table of these examples only."""
        return self._replace(X=self.X[:, examples], y=self.y[examples])


def read_table(path: str, target: str) -> Table:
    """Return the table in a local file (.csv, .csv.gz, .parquet, .pq); its column `target` is what is learned.

    A relative path starts at the working folder, ~ is the home folder. Every other column is a feature and holds
    finite numbers or true/false (1/0). The target decides the task:

    - text, true/false or categories are classes, and so are whole numbers (1.0 is one) with at most 20 distinct
      values; classes are sorted, categories keep the order of the file;
    - all other numbers are real targets, for regression.

    Raises ConfigError, naming data.path or data.target, the file, what is legal and what came.
    """
    file = _local_file(path)
    read = _reader(file)
    with _readable(file):
        frame = read(file)
    names = [str(name) for name in frame.columns]
    _check_columns(file, names)
    frame.columns = names
    if target not in names:
        raise ConfigError(f"data.target must be a column of {_show(file)}, {_listed(names)}, got {_show(target)}")
    features = [name for name in names if name != target]
    if not features:
        raise _wrong(file, f"must have at least one column besides the target, got only {_show(target)}")
    if len(frame) < 2:
        raise _wrong(file, f"must have at least two rows (to train and to test on), got {len(frame)}")
    y, classes = _labels(file, frame[target])
    X = np.stack([_numbers("data.path", file, frame[name]) for name in features])
    return Table(X, y, classes, tuple(features))


def file_digest(path: str) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content. Raises ConfigError if it cannot be read."""
    file = _local_file(path)
    with _readable(file), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:16]


# ---- the file


def _local_file(path: str) -> Path:
    try:
        file = Path(path).expanduser()
        what = "" if file.is_file() else "a folder" if file.is_dir() else "no regular file there"
        if what and not file.is_absolute():
            what += f" (relative paths start at {Path.cwd()})"
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ConfigError(f"data.path must be an existing local file, got {_show(path)}: {reason}") from None
    if what:
        raise ConfigError(f"data.path must be an existing local file, got {_show(path)}: {what}")
    return file


def _reader(file: Path) -> Callable[[Path], "pd.DataFrame"]:
    for suffix, read in READERS.items():
        if file.name.lower().endswith(suffix):
            return read
    raise ConfigError(f"data.path must end in {', '.join(READERS)}, got {_show(file)}")


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise _wrong(file, f"must be readable: {reason}") from None


def _read_csv(file: Path) -> "pd.DataFrame":
    import pandas as pd

    _inspect_csv(file)
    try:
        with _text(file) as text:
            # index_col: no column is an index. low_memory: a column is looked at as a whole, not in pieces.
            return pd.read_csv(text, index_col=False, low_memory=False)
    except (ValueError, OverflowError):
        raise _wrong(file, "must be a CSV file, separated by commas: it cannot be parsed") from None


def _inspect_csv(file: Path) -> None:
    """Refuse what pandas would repair silently: short rows, columns with no name or with the same name."""
    row = 0
    try:
        with _text(file) as text:
            reader = csv.reader(_lines(file, text), strict=True)
            rows = (fields for fields in reader if fields)
            header = next(rows, None)
            if header is None:
                raise _wrong(file, "must have a header and at least two rows, got an empty file")
            if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
                came = _show(header[0])
                raise _wrong(file, f"must be separated by commas, with points in numbers, got the header {came}")
            _check_columns(file, header)
            for row, fields in enumerate(rows, start=1):
                if len(fields) != len(header):
                    raise _wrong(
                        file,
                        f"must have {len(header)} values in every row, got {len(fields)} in row {row} "
                        f"(line {reader.line_num})",
                    )
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise _wrong(file, f"must be UTF-8 text, got byte {byte:#04x} after row {row}: save it as UTF-8") from None
    except csv.Error:
        raise _wrong(file, f"must be a CSV file, got a broken quotation or an endless value after row {row}") from None


def _text(file: Path) -> IO[str]:
    open_file = gzip.open if file.name.lower().endswith(".gz") else Path.open
    return cast("IO[str]", open_file(file, "rt", encoding="utf-8-sig", newline=""))


def _lines(file: Path, text: IO[str]) -> Iterator[str]:
    # Reading up to a limit, so that gigabytes without a newline do not fill the memory.
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise _wrong(file, f"must have lines shorter than {MAX_LINE} characters, got a longer one")
        yield line


def _read_parquet(file: Path) -> "pd.DataFrame":
    import pyarrow.parquet

    try:
        with file.open("rb") as content:
            parquet = pyarrow.parquet.ParquetFile(content)
            _check_columns(file, parquet.schema_arrow.names)
            return parquet.read().to_pandas()
    except (ConfigError, PermissionError):
        raise
    except Exception:
        # Damage surfaces as ArrowInvalid, OSError, KeyError, MemoryError or others, depending on where it sits.
        raise _wrong(file, "must be a Parquet file that fits in memory: it is damaged, too large or not one") from None


READERS: dict[str, Callable[[Path], "pd.DataFrame"]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}


# ---- the columns


def _check_columns(file: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise _wrong(file, f"must have at most {MAX_COLUMNS} columns, got {len(names)}")
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise _wrong(file, f"must name every column, got none for column {position} (a saved index?)")
        if name in seen:
            raise _wrong(file, f"must have different column names, got {_show(name)} twice")
        seen.add(name)


def _numbers(key: str, file: Path, column: "pd.Series[Any]") -> NDArray[np.float64]:
    """Return a column as finite numbers (m,), or raise."""
    import pandas as pd

    _check_present(key, file, column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    kind = pd.api.types.infer_dtype(column, skipna=False)
    numbers = pd.to_numeric(column, errors="coerce") if kind == "string" else column
    if kind == "string":
        _refuse(key, file, column, numbers.isna().to_numpy(bool), "finite numbers")
    elif kind not in NUMERIC:
        raise ConfigError(f"{key}: column {_show(column.name)} of {_show(file)} must hold numbers, got {kind} values")
    legal = f"finite numbers (magnitude up to {LARGEST:g})"
    try:
        values = numbers.to_numpy(np.float64)
    except OverflowError:
        # Whole numbers of hundreds of digits arrive as Python's own.
        raise ConfigError(
            f"{key}: column {_show(column.name)} of {_show(file)} must hold {legal}, got a larger one"
        ) from None
    _refuse(key, file, column, ~(np.abs(values) <= LARGEST), legal)
    return values


def _labels(file: Path, column: "pd.Series[Any]") -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the target (m,) and its classes: see `read_table`."""
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
        whole = pd.api.types.infer_dtype(column, skipna=False) == "integer"
        # Whole numbers as they are: beyond 2^53 two classes could be one float.
        levels, codes = np.unique(column.to_numpy() if whole else numbers, return_inverse=True)
        if len(levels) > 1 and (len(levels) > MAX_INTEGER_CLASSES or not (whole or (levels == np.rint(levels)).all())):
            return numbers, ()
        names = [str(int(level)) if whole or level.is_integer() else str(level) for level in levels]
        hint = f" (whole numbers with at most {MAX_INTEGER_CLASSES} distinct values are classes)"
    _check_classes(file, str(column.name), codes, names, hint)
    return codes.astype(np.float64), tuple(names)


def _check_classes(file: Path, target: str, codes: NDArray[np.integer], names: list[str], hint: str) -> None:
    owner = f"data.target: column {_show(target)} of {_show(file)}"
    if len(names) < 2:
        raise ConfigError(f"{owner} must have at least two different values, got only {_show(names[0])}")
    if len(names) > MAX_CLASSES:
        raise ConfigError(f"{owner} must have at most {MAX_CLASSES} classes, got {len(names)}")
    counts = np.bincount(codes)
    if counts.min() < 2:
        name = names[int(counts.argmin())]
        raise ConfigError(f"{owner} must have two rows or more of every class{hint}, got one of class {_show(name)}")


def _check_present(key: str, file: Path, column: "pd.Series[Any]") -> None:
    missing = column.isna().to_numpy(bool)
    if missing.any():
        raise ConfigError(
            f"{key}: column {_show(column.name)} of {_show(file)} must have a value in every row, got a missing one "
            f"(empty, NA, nan or null) in row {int(missing.argmax()) + 1}"
        )


def _refuse(key: str, file: Path, column: "pd.Series[Any]", wrong: NDArray[np.bool_], legal: str) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        value = column.iloc[row]
        shown = _show(value) if isinstance(value, str) else str(value)
        hint = "; every column but data.target is an input, so leave out those that are none" * (key == "data.path")
        raise ConfigError(
            f"{key}: column {_show(column.name)} of {_show(file)} must hold {legal}, got {shown} in row {row + 1}{hint}"
        )


# ---- the messages


def _wrong(file: Path, what: str) -> ConfigError:
    return ConfigError(f"data.path: {_show(file)} {what}")


def _show(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 200 else f"{text[:100]}...{text[-100:]}")


def _listed(names: list[str]) -> str:
    rest = f", ... ({len(names)} in all)" if len(names) > 10 else ""
    return "one of " + ", ".join(_show(name) for name in names[:10]) + rest
