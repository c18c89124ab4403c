"""Data files: as people have them, odd tables, wrong tables, and damaged bytes."""

import datetime
import gzip
import io
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.fuzz.own_files import Meant, own_file

__all__ = ["DataFile", "file_case"]


class DataFile(NamedTuple):
    """A data file with the config values that read it.

    `keys` belong to `data`. `meant` is its meaning, if the file is as it is meant and the keys are right.
    """

    name: str
    content: bytes
    keys: dict[str, Any]
    dtype: str
    activation: str
    meant: Meant | None = None

    def values(self, path: Path, results: Path) -> dict[str, Any]:
        """Return the config that trains on the file, for `from_dict`."""
        return {
            "results_dir": str(results),
            "data": {"name": "file", "path": str(path), **self.keys},
            "model": {"activation": self.activation},
            "training": {"iterations": 3, "dtype": self.dtype},
            "diagnostics": {"checkpoints": 3},
            "tracking": {"enabled": False},
        }


def file_case(chance: random.Random) -> DataFile:
    """Return a data file: half of them as people have them, half of them odd or damaged."""
    return _own(chance) if chance.random() < 0.5 else _odd(chance)


def _own(chance: random.Random) -> DataFile:
    file = own_file(chance)
    content, meant = file.text.encode(), file.meant
    if chance.random() < 0.1:
        content, meant = _damaged(chance, content), None
    suffix = file.suffix
    if chance.random() < 0.2:
        content, suffix = gzip.compress(content, mtime=0), suffix + ".gz"
    return _with_odd_values(chance, suffix, content, file.keys, meant)


def _odd(chance: random.Random) -> DataFile:
    """Return a CSV or Parquet file; about half of them are legal."""
    make, suffixes = chance.choice(
        ((_csv, (".csv", ".csv", ".CSV", ".csv.gz")), (_parquet, (".parquet", ".pq", ".parquet.gz")))
    )
    content, suffix = make(chance), chance.choice(suffixes)
    damage = chance.random()
    if damage < 0.25:
        content = _damaged(chance, content)
    if suffix.endswith(".gz"):
        content = _compressed(chance, content)
    if damage > 0.98:
        suffix = chance.choice((".csv", ".csv.gz", ".parquet", ".txt", "", ".pkl", ".csv.zip", ".gz"))
    target = "y" if chance.random() < 0.93 else chance.choice(("Y", " y", "x0", "nope", "", "\0", "\n", "\ud800"))
    return _with_odd_values(chance, suffix, content, {"target": target}, None)


def _with_odd_values(
    chance: random.Random, suffix: str, content: bytes, keys: dict[str, Any], meant: Meant | None
) -> DataFile:
    odd = ("a b", "é💥", "$(touch x)", "'\"", "a\nb", "\x1b[31m", "\udcff", "x" * 200, "iris (1)", "y=1", "~")
    stem = "table" if chance.random() < 0.8 else chance.choice(odd)
    more = {
        "standardize": chance.choice((None, True, False)),
        "test_fraction": chance.choice((None, None, 0.5, 1e-9, 0.999, 0, 0.0)),
    }
    return DataFile(
        name=stem + suffix,
        content=content,
        keys={**keys, **more},
        dtype=chance.choice(("float64", "float32")),
        activation=chance.choice(("tanh", "relu", "identity", "gelu")),
        meant=meant,
    )


# ---- CSV

Cells = Callable[[random.Random, int], list[str]]


def _picked(*cells: str) -> Cells:
    return lambda chance, n: [chance.choice(cells) for _ in range(n)]


# fmt: off
ODD_NUMBERS = (
    "1e400", "-1e400", "inf", "-inf", "Infinity", "nan", "NaN", "NA", "N/A", "null", "None", "", " ", "1e100", "1e101",
    "-1e101", "5e-324", "1e-400", "1e308", "9" * 19, "9" * 25, "9" * 400, "-" + "9" * 400, "0x10", "1_000", "１２",
    "1,5", "1.5.2", "--1", "+1", ".5", "1.", "1e", "1e5.5", "1d5", "00012", " 1", "1 ", "\t1", "-0", "-0.0", "1+2j",
    "$5", "5%", "1\0", "=1+1", "١", "1e99999999999", "1" + "0" * 99, "true", "False", "TRUE", "t", "yes", "2020-01-01",
    "12:30", "2020-01-01T00:00:00Z", "red", "é💥", "x" * 300, '"', "'", "#", "\\N",
)
# fmt: on
FEATURES: tuple[Cells, ...] = (
    lambda chance, n: [str(chance.randrange(-9, 99)) for _ in range(n)],
    lambda chance, n: [repr(chance.gauss(0, 1)) for _ in range(n)],
    lambda chance, n: [repr(chance.gauss(0, 1) * 10.0 ** chance.randrange(-300, 99)) for _ in range(n)],
    lambda chance, n: [repr(chance.gauss(0, 1) * 10.0 ** chance.randrange(30, 100)) for _ in range(n)],
    lambda chance, n: [repr(chance.random() * 1e-310) for _ in range(n)],
    lambda chance, n: [repr(1e8 + chance.random() * 1e-7) for _ in range(n)],
    lambda chance, n: [str(row) for row in range(n)],
    lambda chance, n: [str(2**63 + row) for row in range(n)],
    _picked("true", "false"),
    _picked("True", "FALSE", "true"),
    _picked("0", "1"),
    _picked("0", "0.0", "-0.0", "1e-320"),
    _picked("0.1"),
    _picked("1e100", "-1e100", "1e99"),
)
TARGETS: tuple[Cells, ...] = (
    *FEATURES,
    _picked("u", "v"),
    _picked("u", "v", "w"),
    _picked("yes", "no", "Yes"),
    _picked("1.0", "2"),
    _picked("a,b", "a\nb", 'a"b'),
    _picked("true", "false"),
    _picked("only"),
    _picked("é", "é", "💥"),
    lambda chance, n: [f"class {row // 2}" for row in range(n)],
    _picked("x" * 70_000, "y" * 70_000),
)
PLAIN_TARGETS: tuple[Cells, ...] = (
    _picked("u", "v"),
    _picked("0", "1"),
    _picked("true", "false"),
    lambda chance, n: [repr(chance.gauss(0, 1)) for _ in range(n)],
)
ENDS = ("\n", "\n", "\r\n", "\r")
# fmt: off
SPICE = (
    "\0", '"', '""', "'", "\n", "\r", "\n\n", "\n \n", "\r\r\n", ",", ",,", ";", "\t", "\ufeff", "\u2028", "\x1a",
    "\x0b", "\x0c", "\x85", "\\", "💥", "\ud800", "#", "-", "e", ".", "9" * 2_000, "x" * 140_000,
    '"' + "x" * 140_000 + '"', '"a\nb"', "1e999", "\x1b[31m", "%s", "=cmd|' /C calc'!A0",
)
# fmt: on


def _csv(chance: random.Random) -> bytes:
    n = chance.choice((8, 16, 30, 60)) if chance.random() < 0.9 else chance.randrange(4)
    names = [f"x{column}" for column in range(chance.choice((1, 2, 3, 5)) if chance.random() < 0.97 else 0)]
    columns = [_column(chance, FEATURES, n) for _ in names]
    place = chance.randrange(len(names) + 1)
    names.insert(place, "y")
    columns.insert(place, _column(chance, TARGETS if chance.random() < 0.3 else PLAIN_TARGETS, n))
    rows = [names, *(list(row) for row in zip(*columns, strict=True))]
    if chance.random() < 0.15:
        _misshape(chance, rows)
    end, separator = chance.choice(ENDS), "," if chance.random() < 0.95 else chance.choice(";\t| ")
    always = chance.random() < 0.2
    text = end.join(separator.join(_cell(cell, always) for cell in row) for row in rows)
    text += chance.choice(("", end, end, end, end * 3))
    for _ in range(chance.choice((0,) * 12 + (1, 1, 2))):
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.choice(SPICE) + text[place + chance.randrange(2) :]
    encoding = (
        "utf-8" if chance.random() < 0.93 else chance.choice(("utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-7"))
    )
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf-8") else "replace")


def _column(chance: random.Random, kinds: Sequence[Cells], n: int) -> list[str]:
    cells = chance.choice(kinds)(chance, n)
    if cells and chance.random() < 0.06:
        odd = chance.choice(ODD_NUMBERS)
        for _ in range(chance.choice((1, 1, n))):
            cells[chance.randrange(n)] = odd
    return cells


def _cell(cell: str, always: bool) -> str:
    return '"' + cell.replace('"', '""') + '"' if always or any(mark in cell for mark in ',"\n\r') else cell


def _misshape(chance: random.Random, rows: list[list[str]]) -> None:
    """Break the shape of a table: one header over rows of equal length."""
    row, column = chance.choice(rows), chance.randrange(len(rows[0]))
    way = chance.randrange(9)
    if way == 0:
        del row[-1]
    elif way == 1:
        row.append("1")
    elif way == 2:
        rows[0][column] = chance.choice(
            ("", " ", "x0", "y", "Y", '"', "x\n0", "💥", "1", "Unnamed: 0", "x" * 5_000, "\x1b[31m")
        )
    elif way == 3:
        del rows[0]
    elif way == 4:
        rows.insert(chance.randrange(len(rows) + 1), chance.choice(([], [""], [" "], ["# comment"], rows[0])))
    elif way == 5:
        for index, each in enumerate(rows):
            each.insert(0, str(index - 1) if index else "")  # a saved index
    elif way == 6:
        for each in rows:
            each.append("")  # a comma at the end of each row
    elif way == 7:
        for index, each in enumerate(rows):
            each[:0] = [f"c{number}" if index == 0 else "1" for number in range(chance.choice((500, 2_000)))]
    else:
        rows[:] = [list(each) for each in zip(*rows, strict=True)]


# ---- Parquet


def _array(chance: random.Random, n: int) -> Any:
    """Return an Arrow array of any type, mostly numbers."""
    import pyarrow as pa

    numbers = [chance.gauss(0, 1) * 10.0 ** chance.choice((0, 0, 0, 0, 30, 90, -300)) for _ in range(n)]
    small = [chance.randrange(3) for _ in range(n)]
    moment = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    kinds: tuple[Callable[[], Any], ...] = (
        *[lambda: pa.array(numbers)] * 20,
        *[lambda: pa.array(small)] * 20,
        lambda: pa.array([value * 1e30 for value in numbers]),
        lambda: pa.array(small, pa.uint8()),
        lambda: pa.array([2**64 - 1 - value for value in small], pa.uint64()),
        lambda: pa.array([float(value) for value in small], pa.float16()),
        lambda: pa.array([value % 1e30 for value in numbers], pa.float32()),
        lambda: pa.array([value > 0 for value in small]),
        lambda: pa.array([Decimal(value) / 8 for value in small], pa.decimal128(38, 20)),
        lambda: pa.array([Decimal(10) ** (70 + value) for value in small], pa.decimal256(76, 0)),
        lambda: pa.array([str(value) for value in numbers], pa.large_string()),
        lambda: pa.array([str(value) for value in small]).dictionary_encode(),
        lambda: pa.array(small).dictionary_encode(),
        lambda: pa.array([chance.choice((None, 1.0, float("nan"), float("inf"))) for _ in range(n)], pa.float64()),
        lambda: pa.array([chance.choice((None, value)) for value in small], pa.int64()),
        lambda: pa.array([chance.choice((None, True)) for _ in range(n)], pa.bool_()),
        lambda: pa.nulls(n),
        lambda: pa.array([b"\xff\0"] * n),
        lambda: pa.array([moment] * n),
        lambda: pa.array([2**40] * n, pa.timestamp("s")),
        lambda: pa.array([moment.date()] * n),
        lambda: pa.array([moment.time()] * n),
        lambda: pa.array(small, pa.duration("s")),
        lambda: pa.array([[value] for value in small]),
        lambda: pa.array([{"a": value} for value in small]),
        lambda: pa.array([[("k", value)] for value in small], pa.map_(pa.string(), pa.int64())),
        lambda: pa.array(["\0" * value for value in small]),
        lambda: pa.array(["x" * 70_000] * n),
    )
    return chance.choice(kinds)()


def _from_pandas(chance: random.Random, n: int) -> Any:
    """Return an Arrow table with pandas metadata: an index, categories, types that only pandas has."""
    import pandas as pd
    import pyarrow as pa

    small = [chance.randrange(3) for _ in range(n)]
    columns = (
        pd.Series(small),
        pd.Series(small, dtype="Int8"),
        pd.Series([bool(value) for value in small], dtype="boolean"),
        pd.Series([None if value else 1.5 for value in small], dtype="Float64"),
        pd.Series(pd.Categorical(["uvw"[value] for value in small], categories=["w", "v", "u", "never"], ordered=True)),
        pd.Series(pd.Categorical(small)),
        pd.Series(pd.Categorical([value / 2 if value else None for value in small])),
        pd.Series(pd.period_range("2020", periods=n, freq="D")),
        pd.Series(pd.interval_range(0, n, n) if n else small),
        pd.Series(pd.date_range("2020", periods=n)),
    )
    frame = pd.DataFrame({name: chance.choice((columns[0], chance.choice(columns))) for name in ("x0", "x1", "y")})
    index = chance.choice((None, ["x0"], ["x0", "x1"], ["y"]))
    return pa.Table.from_pandas(
        frame.set_index(index) if index else frame, preserve_index=chance.choice((None, True, False))
    )


def _parquet(chance: random.Random) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    n = chance.choice((8, 16, 30)) if chance.random() < 0.9 else chance.randrange(4)
    odd = ("", " ", "x0", "index", "__index_level_0__", "a.b", "💥", "\0", "\x1b[31m", "x" * 5_000)
    names = [
        f"x{column}" if chance.random() < 0.95 else chance.choice(odd)
        for column in range(chance.choice((1, 2, 3)) if chance.random() < 0.97 else 0)
    ]
    plain = pa.array([row % 2 for row in range(n)]) if chance.random() < 0.7 else _array(chance, n)
    table = pa.Table.from_arrays([*(_array(chance, n) for _ in names), plain], names=[*names, "y"])
    if chance.random() < 0.2:
        table = _from_pandas(chance, n)
    file = io.BytesIO()
    pq.write_table(
        table,
        file,
        compression=chance.choice(("none", "none", "snappy", "gzip", "zstd")),
        use_dictionary=chance.choice((True, False)),
        row_group_size=chance.choice((None, 1, 7)),
        version=chance.choice(("1.0", "2.6")),
        data_page_version=chance.choice(("1.0", "2.0")),
        store_schema=chance.choice((True, False)),
        write_page_checksum=chance.choice((True, False)),
    )
    return file.getvalue()


# ---- bytes


def _damaged(chance: random.Random, content: bytes) -> bytes:
    """Flip, set, delete, copy, cut or insert bytes, as bad disks, broken downloads and concurrent writers do."""
    damaged = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        if not damaged:
            break
        # Half of the damage hits the end, where Parquet and gzip keep their metadata.
        first = 0 if chance.random() < 0.5 else max(0, len(damaged) - 600)
        start = chance.randrange(first, len(damaged))
        length = chance.choice((1, 2, 4, 8, 64, 1_000))
        way = chance.randrange(7)
        if way <= 2:
            damaged[start] ^= 1 << chance.randrange(8)
        elif way == 3:
            damaged[start] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x2C, 0x0A))
        elif way == 4:
            del damaged[start : start + length]
        elif way == 5:
            other = chance.randrange(len(damaged))
            damaged[start:start] = damaged[other : other + length]
        elif chance.random() < 0.5:
            del damaged[start:]
        else:
            damaged[start:start] = bytes(chance.randrange(256) for _ in range(length))
    return bytes(damaged)


def _compressed(chance: random.Random, content: bytes) -> bytes:
    way = chance.random()
    if way < 0.05:
        return content  # compressed by name only
    compressed = gzip.compress(content, mtime=0)
    if way < 0.1:
        half = len(content) // 2
        return gzip.compress(content[:half], mtime=0) + gzip.compress(content[half:], mtime=0)
    if way < 0.15:
        return compressed + chance.choice((b"\0" * 9, b"rubbish", compressed))
    return _damaged(chance, compressed) if way < 0.4 else compressed
