"""Files that hold a user's table: CSV or Parquet, read into a data frame or rejected with one clear message.

Messages count rows from 1 below the header. Only local files are opened, never a URL, and nothing in a file is executed
or unpickled.
"""

import csv
import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from nnlab.config import ConfigError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["file_digest", "file_error", "local_file", "quoted", "read_frame"]

MAX_COLUMNS = 10_000
MAX_LINE = 2**20


def local_file(path: str) -> Path:
    """Return the file at a path: a relative path starts at the working folder, ~ is the home folder.

    Raises ConfigError, naming data.path, unless it is a regular local file.
    """
    try:
        file = Path(path).expanduser()
        problem = "" if file.is_file() else "a folder" if file.is_dir() else "no regular file there"
        if problem and not file.is_absolute():
            problem += f" (relative paths start at {Path.cwd()})"
    except (OSError, RuntimeError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "not a path"
    if problem:
        raise ConfigError(f"data.path must be an existing local file, got {quoted(path)}: {problem}")
    return file


def file_digest(path: str) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content. Raises ConfigError if it cannot be read."""
    file = local_file(path)
    with _readable(file), file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def read_frame(file: Path) -> "pd.DataFrame":
    """Return the table in a file, read by its suffix (.csv, .csv.gz, .parquet, .pq), with distinct column names.

    Raises ConfigError, naming data.path, the file, what is legal and what was received.
    """
    read = _reader(file)
    with _readable(file):
        frame = read(file)
    names = [str(name) for name in frame.columns]
    _check_column_names(file, names)
    frame.columns = names
    return frame


def file_error(file: Path, problem: str) -> ConfigError:
    """Return the error for a file that cannot be used."""
    return ConfigError(f"data.path: {quoted(file)} {problem}")


def quoted(value: object) -> str:
    """Return a value as quoted text for a message; long text loses its middle."""
    text = str(value)
    return repr(text if len(text) <= 200 else f"{text[:100]}...{text[-100:]}")


def _reader(file: Path) -> Callable[[Path], "pd.DataFrame"]:
    for suffix, read in READERS.items():
        if file.name.lower().endswith(suffix):
            return read
    raise ConfigError(f"data.path must end in {', '.join(READERS)}, got {quoted(file)}")


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn errors in reading a file into a ConfigError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise file_error(file, f"must be readable: {reason}") from None


def _check_column_names(file: Path, names: list[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise file_error(file, f"must have at most {MAX_COLUMNS} columns, got {len(names)}")
    earlier: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip():
            problem = f"got no name for column {position} (if it is a saved index, remove it)"
            raise file_error(file, f"must name every column, {problem}")
        if name in earlier:
            raise file_error(file, f"must have distinct column names, got {quoted(name)} twice")
        earlier.add(name)


# ---- CSV


def _read_csv(file: Path) -> "pd.DataFrame":
    import pandas as pd

    _check_csv(file)
    try:
        with _open_text(file) as text:
            # index_col=False: no column is an index. low_memory=False: infer the type of a column from all its rows.
            return pd.read_csv(text, index_col=False, low_memory=False)
    except (ValueError, OverflowError):
        raise file_error(file, "must be a CSV file, separated by commas, got one that cannot be parsed") from None


def _check_csv(file: Path) -> None:
    """Reject what pandas would repair silently: short rows, columns without a name or with the same name."""
    row = 0
    try:
        with _open_text(file) as text:
            reader = csv.reader(_lines(file, text), strict=True)
            rows = (fields for fields in reader if fields)
            width = _check_header(file, next(rows, None))
            for row, fields in enumerate(rows, start=1):
                if len(fields) != width:
                    actual = f"got {len(fields)} in row {row} (line {reader.line_num})"
                    raise file_error(file, f"must have {width} values in every row, {actual}")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise file_error(file, f"must be UTF-8 text, got byte {byte:#04x} after row {row}: save it as UTF-8") from None
    except csv.Error:
        actual = f"got malformed quotes or an overlong value after row {row}"
        raise file_error(file, f"must be a CSV file, {actual}") from None


def _check_header(file: Path, header: list[str] | None) -> int:
    """Return the number of columns."""
    if header is None:
        raise file_error(file, "must have a header and at least two rows, got an empty file")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        actual = f"got the header {quoted(header[0])}: export it again with commas and decimal points"
        raise file_error(file, f"must be separated by commas and use decimal points, {actual}")
    _check_column_names(file, header)
    return len(header)


def _open_text(file: Path) -> IO[str]:
    open_file = gzip.open if file.name.lower().endswith(".gz") else Path.open
    return cast("IO[str]", open_file(file, "rt", encoding="utf-8-sig", newline=""))


def _lines(file: Path, text: IO[str]) -> Iterator[str]:
    # The limit prevents gigabytes without a newline from filling the memory.
    while line := text.readline(MAX_LINE):
        if len(line) == MAX_LINE:
            raise file_error(file, f"must have lines shorter than {MAX_LINE} characters, got a longer one")
        yield line


# ---- Parquet


def _read_parquet(file: Path) -> "pd.DataFrame":
    import pyarrow.parquet

    try:
        with file.open("rb") as content:
            parquet = pyarrow.parquet.ParquetFile(content)
            _check_column_names(file, parquet.schema_arrow.names)
            return parquet.read().to_pandas()
    except (ConfigError, PermissionError):
        raise
    except Exception:
        # Damage raises ArrowInvalid, OSError, KeyError, MemoryError or others, depending on its place in the file.
        actual = "got one that is damaged, too large or of another format"
        raise file_error(file, f"must be a Parquet file that fits in memory, {actual}") from None


READERS: dict[str, Callable[[Path], "pd.DataFrame"]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
