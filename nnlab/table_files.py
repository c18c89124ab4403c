"""Files that hold a user's table: CSV or Parquet, read into a data frame or rejected with one clear message.

Messages count rows from 1 below the header. Only local files are opened, never a URL, and nothing in a file is executed
or unpickled.
"""

import csv
import gzip
import hashlib
import io
import itertools
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nnlab.config import ConfigError, to_word

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UNNAMED", "WORDS", "Sheet", "file_digest", "file_error", "local_file", "quoted", "read_sheet"]

Place = Callable[[Sequence[str]], int]
"""Returns the place of the target, given the names of the columns."""

MAX_COLUMNS = 100_000
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
PARQUET_SUFFIXES = (".parquet", ".pq")
SEPARATORS = (";", "\t", "|", ",")
BLANKS = " "
"""Any number of blanks or tabs, which separate values if nothing else does."""
UNNAMED = re.compile(r"Unnamed: ?\d+(\.\d+)?")
"""The name that pandas gives to a column without one."""
SAMPLED_ROWS = 100
"""Rows from which the separator of a CSV file is found."""

# fmt: off
WORDS = frozenset((
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null", "?",
))
# fmt: on
"""The words for a missing value: those of `pandas.read_csv`, and ? as in the files of UCI."""


class Sheet(NamedTuple):
    """The content of a file.

    Attributes
    ----------
    frame : the columns, with distinct names; a column that has no name is `Unnamed: 0`, by its place
    separator : what separates the values of a CSV file; empty for Parquet, where every value has a type
    written_in_quotes : returns the words that a column of a CSV file holds in quotation marks, given its name
    notes : what was left out, in words
    """

    frame: "pd.DataFrame"
    separator: str
    written_in_quotes: Callable[[str], set[str]]
    notes: tuple[str, ...] = ()


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


def read_sheet(file: Path, *, header: bool | None, decimal: str | None, place_of: Place) -> Sheet:
    """Return the table in a file, read by its suffix.

    `header` and `decimal` are data.header and data.decimal, for CSV files. `place_of` returns the place of the target
    among the names; all words of that column stay as they are, since they may be classes.

    Raises ConfigError, naming the key, the file, what is legal and what was received.
    """
    read = _reader(file)
    with _readable(file):
        return read(file, header, decimal, place_of)


def file_error(file: Path, problem: str) -> ConfigError:
    """Return the error for a file that cannot be used."""
    return ConfigError(f"data.path: {quoted(file)} {problem}")


def quoted(value: object) -> str:
    """Return a value as quoted text for a message; long text loses its middle."""
    text = str(value)
    return repr(text if len(text) <= 200 else f"{text[:100]}...{text[-100:]}")


def _reader(file: Path) -> Callable[[Path, bool | None, str | None, Place], Sheet]:
    name = file.name.lower()
    if name.removesuffix(".gz").endswith(TEXT_SUFFIXES):
        return _read_csv
    if name.removesuffix(".gz").endswith(PARQUET_SUFFIXES):
        return _read_parquet
    legal = ", ".join((*TEXT_SUFFIXES, *PARQUET_SUFFIXES))
    raise ConfigError(f"data.path must end in {legal}, or in one of them and .gz, got {quoted(file)}")


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn errors in reading a file into a ConfigError."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or "damaged"
        raise file_error(file, f"must be readable: {reason}") from None


def _content(file: Path) -> bytes:
    with file.open("rb") as raw:
        content = raw.read()
    return gzip.decompress(content) if file.name.lower().endswith(".gz") else content


def _check_column_names(file: Path, names: Sequence[str]) -> None:
    if len(names) > MAX_COLUMNS:
        raise file_error(file, f"must have at most {MAX_COLUMNS} columns, got {len(names)}")
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            raise file_error(file, f"must have distinct column names, got {quoted(name)} twice")
        earlier.add(name)


# ---- CSV


def _read_csv(file: Path, header: bool | None, decimal: str | None, place_of: Place) -> Sheet:
    content = _without_comments(_as_utf8(file, _content(file)))
    separator = _separator(content, decimal)
    names, start = _names(file, content, separator, header)
    place, last = place_of(names), len(names) - 1
    frame = _parsed(content, start, separator, decimal, len(names), place)
    # A short row ends with missing values.
    if frame is None or frame[last].isna().any():
        _check_rows(file, content[start:], separator, len(names))
    if frame is None:
        raise file_error(file, f"must be a CSV file, separated by {separator!r}, got one that cannot be parsed")
    notes: tuple[str, ...] = ()
    if UNNAMED.fullmatch(names[last]) and place != last and frame[last].isna().all():
        frame = frame.drop(columns=last)
        notes = ("the separator at the end of each row means no column",)
    frame.columns = names[: len(frame.columns)]

    def written_in_quotes(name: str) -> set[str]:
        return _quoted_words(content[start:], separator, names.index(name))

    return Sheet(frame, separator, written_in_quotes, notes)


def _parsed(
    content: bytes, start: int, separator: str, decimal: str | None, width: int, place: int
) -> "pd.DataFrame | None":
    """Return the rows below the header, with numbered columns and the target at `place`; None if they have errors."""
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    def read(**options: Any) -> "pd.DataFrame":
        below = io.BytesIO(content)
        below.seek(start)
        marks = r"\s+" if separator == BLANKS else separator
        dialect: dict[str, Any] = {"sep": marks, "decimal": decimal or ".", "skipinitialspace": b" " in content}
        return pd.read_csv(below, header=None, names=range(width), index_col=False, **dialect, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.DtypeWarning)
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            try:
                frame = read(na_values=["?"])
            except pd.errors.DtypeWarning:  # a part of a column looks like numbers, another does not
                frame = read(na_values=["?"], low_memory=False)
            target = frame[place]
            if target.isna().any() or not (is_numeric_dtype(target.dtype) or is_bool_dtype(target.dtype)):
                # Words for missing values may be classes.
                words = read(usecols=[place], dtype=str, keep_default_na=False, na_values=[""])
                frame[place] = words[place]
        except pd.errors.EmptyDataError:
            return pd.DataFrame(columns=range(width))
        except (ValueError, OverflowError, pd.errors.ParserWarning):
            return None
    return frame


def _as_utf8(file: Path, content: bytes) -> bytes:
    """Return the content without byte order mark, with line feeds as its ends of lines."""
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            byte, row = content[error.start], content.count(b"\n", 0, error.start)
            problem = f"must be UTF-8 text, got byte {byte:#04x} after row {max(row - 1, 0)}: save it as UTF-8"
            raise file_error(file, problem) from None
    return content


def _without_comments(content: bytes) -> bytes:
    """Return the content without the lines that begin with #, unless such a line is the header."""
    if b"#" not in content or not (content.startswith(b"#") or b"\n#" in content):
        return content
    lines = content.split(b"\n")
    is_comment = [line.startswith(b"#") for line in lines]
    if is_comment[0] and len(lines) > 1:
        # A first column named # numbers the rows: then the next row is a row of values.
        is_comment[0] = not any(
            lines[0].count(mark) == lines[1].count(mark) > 0 and re.match(rb"\s*\d", lines[1])
            for mark in (separator.encode() for separator in SEPARATORS)
        )
    return b"\n".join(line for line, comment in zip(lines, is_comment, strict=True) if not comment)


def _rows(content: bytes, separator: str, *, strict: bool = False) -> Iterator[tuple[list[str], int]]:
    """Yield the rows that are not blank, each with the number of bytes up to its end."""
    lines = io.BytesIO(content)

    def decoded() -> Iterator[str]:
        for line in lines:
            yield line.decode(errors="replace")  # a sample may end within a character

    reader = csv.reader(decoded(), delimiter=separator, skipinitialspace=True, strict=strict)
    while True:
        try:
            fields = next(reader, None)
        except csv.Error:
            if strict:
                raise
            fields = [""]
        if fields is None:
            return
        if separator == BLANKS and fields and not fields[-1]:
            fields.pop()
        if any(field.strip() for field in fields) or len(fields) > 1:
            yield fields, lines.tell()


def _separator(content: bytes, decimal: str | None) -> str:
    """Return the separator that divides the first rows into the same number of values, the most if several do.

    A comma that is a decimal sign divides rows into as many values or more: it is taken only if no other separator is
    there.
    """
    best, rank = ",", (False, 1)
    sample = content[: 2**20]
    for separator in SEPARATORS:
        widths = [len(fields) for fields, _ in itertools.islice(_rows(sample, separator), SAMPLED_ROWS)]
        widths = widths[: -1 if len(sample) < len(content) and len(widths) < SAMPLED_ROWS else None]
        if not widths:
            continue
        found = (widths[0] > 1 and max(widths[1:] or widths) - min(widths[1:] or widths) <= 1, widths[0])
        if found > rank and not (separator == decimal and rank[0]):
            best, rank = separator, found
    if rank[1] == 1 and all(len(fields) > 1 for fields, _ in itertools.islice(_rows(sample, BLANKS), SAMPLED_ROWS)):
        return BLANKS
    return best


def _names(file: Path, content: bytes, separator: str, header: bool | None) -> tuple[list[str], int]:
    """Return the names of the columns, and where the content below the header starts."""
    rows: list[tuple[list[str], int]] = []
    try:
        rows.extend(itertools.islice(_rows(content, separator, strict=True), SAMPLED_ROWS))
    except csv.Error:
        raise _malformed(file, max(len(rows) - 1, 0)) from None
    if not rows:
        raise file_error(file, "must have a header and at least two rows, got an empty file")
    cells, end = [cell.strip() for cell in rows[0][0]], rows[0][1]
    if header is False:
        names = [f"x{place}" for place in range(1, len(cells) + 1)]
        if len(cells) > 1 and not cells[-1]:
            names[-1] = f"Unnamed: {len(cells) - 1}"
        return names, 0
    numbers = [cell for cell in cells if _is_number(cell)]
    if header is None and 2 * len(numbers) > len([cell for cell in cells if cell]):
        shown = ", ".join(quoted(cell) for cell in cells[:4])
        raise ConfigError(
            f"data.header: the first row of {quoted(file)} must hold the names of the columns, got {shown}"
            f"{', ...' * (len(cells) > 4)}: if it has no header, set data.header=false and data.target=-1 (the last "
            "column); if these are names, set data.header=true"
        )
    below = [fields for fields, _ in rows[1:]]
    if below and all(len(fields) == len(cells) + 1 for fields in below):
        # As pandas reads it: a separator at the end of the rows, or the names of the rows, which R writes without a
        # name of their own.
        if not any(fields[-1].strip() for fields in below):
            cells = [*cells, ""]
        elif len({fields[0] for fields in below}) == len(below):
            cells = ["", *cells]
    names = [cell or f"Unnamed: {place}" for place, cell in enumerate(cells)]
    _check_column_names(file, names)
    return names, end


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True


_CLOSED = re.compile(rb'"(?:[^"]|"")*"')


def _check_rows(file: Path, content: bytes, separator: str, width: int) -> None:
    """Reject rows with too few values, which pandas would fill with missing ones, or too many."""
    row = separator.encode() * (width - 1) + b"\n"
    plain = _CLOSED.sub(b"", content) if b'"' in content else content
    marks = plain.translate(None, bytes(set(range(256)) - set(row) - {ord('"')}))
    marks += b"" if content.endswith(b"\n") or not content else b"\n"
    if len(marks) % len(row) == 0 and marks == row * (len(marks) // len(row)):
        return
    # Blank lines, open quotation marks, or rows of another length: only a parser can tell.
    number = 0
    try:
        for number, (fields, _) in enumerate(_rows(content, separator, strict=True), start=1):
            if len(fields) != width and not (width == 1 and not fields):
                raise file_error(file, f"must have {width} values in every row, got {len(fields)} in row {number}")
    except csv.Error:
        raise _malformed(file, number) from None


def _malformed(file: Path, row: int) -> ConfigError:
    return file_error(file, f"must be a CSV file, got malformed quotes or an overlong value after row {row}")


def _quoted_words(content: bytes, separator: str, place: int) -> set[str]:
    """Return the words for a missing value that a column holds in quotation marks."""
    mark = re.escape(separator)
    cell = rf'[ ]*(?:"(?:[^"]|"")*"|[^"{mark}\n]*)[ ]*'
    inner = "|".join(re.escape(word) for word in sorted(WORDS))
    pattern = re.compile(rf'^(?:{cell}{mark}){{{place}}}[ ]*"[ ]*({inner})[ ]*"[ ]*(?={mark}|$)', re.MULTILINE)
    return set(pattern.findall(content.decode()))


# ---- Parquet


def _read_parquet(file: Path, header: bool | None, decimal: str | None, place_of: Place) -> Sheet:
    import pyarrow.parquet

    for key, value in (("data.header", header), ("data.decimal", decimal)):
        if value not in (None, True):
            raise ConfigError(f"{key} applies to CSV files: leave it out for {quoted(file)}, got {to_word(value)}")
    try:
        parquet = pyarrow.parquet.ParquetFile(io.BytesIO(_content(file)))
        _check_column_names(file, parquet.schema_arrow.names)
        table = parquet.read()
        table.validate(full=True)  # texts are decoded when they are used
        frame = table.to_pandas()
    except (ConfigError, PermissionError, EOFError, zlib.error, gzip.BadGzipFile):
        raise
    except Exception:
        # Damage raises ArrowInvalid, OSError, KeyError, MemoryError or others, depending on its place in the file.
        actual = "got one that is damaged, too large or of another format"
        raise file_error(file, f"must be a Parquet file that fits in memory, {actual}") from None
    names = [str(name).strip() or f"Unnamed: {place}" for place, name in enumerate(frame.columns)]
    _check_column_names(file, names)
    frame.columns = names
    place_of(names)
    return Sheet(frame, "", lambda name: set(WORDS))
