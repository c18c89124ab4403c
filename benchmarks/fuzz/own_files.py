"""Files as people have them: texts, dates, missing values, indices, any separator, decimal commas, no header.

Each comes with the keys that read it, right ones or wrong ones, and with its columns as they are meant, so that what
nnlab reads can be compared with them.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["MISSING_WORDS", "Meant", "OwnFile", "own_file"]

MISSING_WORDS = ("", " ", "?", "NA", "nan", "NaN", "null", "NULL", "None", "N/A")
SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".CSV")


class Meant(NamedTuple):
    """The columns of a file as they are meant.

    Attributes
    ----------
    names : of all columns, the target too; an unnamed one is `Unnamed: 0`, by its place, as pandas names it
    cells : the values of each column, numbers with a decimal point; None where one is missing
    kinds : "number", "text", "boolean", "odd" (dates, free text, numbers with a text, nothing) or "index"
    target : the place of the target
    """

    names: tuple[str, ...]
    cells: tuple[tuple[str | None, ...], ...]
    kinds: tuple[str, ...]
    target: int


class OwnFile(NamedTuple):
    """A file's text, the ending of its name, the keys of `data` that read it, and its meaning; None with wrong keys."""

    text: str
    suffix: str
    keys: dict[str, Any]
    meant: Meant | None


class Column(NamedTuple):
    """A column before it is written: its name, its kind and its values."""

    name: str
    kind: str
    cells: list[str | None]


# ---- columns


def _number(chance: random.Random, n: int) -> list[str | None]:
    way = chance.randrange(5)
    if way == 0:
        return [str(chance.randrange(-9, 99)) for _ in range(n)]
    if way == 1:
        return [f"{chance.gauss(0, 50):.2f}" for _ in range(n)]
    if way == 2:
        return [repr(chance.gauss(0, 1)) for _ in range(n)]
    if way == 3:
        return [str(chance.randrange(1_000, 9_999_999)) for _ in range(n)]
    return [f"{chance.randrange(1, 10)}e{chance.randrange(-9, 9)}" for _ in range(n)]


def _text(chance: random.Random, n: int) -> list[str | None]:
    many = chance.choice((2, 3, 7, 50))
    words = chance.choice(
        (
            [f"level {number}" for number in range(many)],
            ["yes", "no"],
            ["Yes", "yes", "NO"],
            ["ä", "ß", "💥"],
            ["<=50K", ">50K"],
            ["a=b", "a", "b=a"],
            ["1st", "2nd", "3rd"],
            ["x" * 300, "y"],
            ["low", "1 to 2", "3+"],
            ["O'Brien", "\\", "${x}"],
        )
    )
    return [chance.choice(words) for _ in range(n)]


def _odd(chance: random.Random, n: int) -> list[str | None]:
    day = chance.choice(
        ("2020-01-{:02d}", "{}/1/2020", "{:02d}.01.2020", "2020-01-{:02d} 12:30:00", "2020-01-{:02d}T00:00Z")
    )
    kinds: tuple[list[str | None], ...] = (
        [day.format(1 + row % 28) for row in range(n)],
        [f"text {row} of {chance.random()}" for row in range(n)],
        [f"{row}:{row % 60:02d}" for row in range(n)],
        [f"Größe {row}" for row in range(n)],
        [str(row) if row else "low" for row in range(n)],
        [None] * n,
    )
    return chance.choice(kinds)


def _boolean(chance: random.Random, n: int) -> list[str | None]:
    words = chance.choice((("true", "false"), ("True", "False"), ("TRUE", "FALSE"), ("T", "F")))
    return [chance.choice(words) for _ in range(n)]


def _index(chance: random.Random, n: int) -> Column:
    name = chance.choice(("", "rownames", "row.names", "Unnamed: 0", "index", "first", "id", "case", "Subject", "ID"))
    start = chance.choice((0, 1))
    cells: list[str | None] = [str(row) for row in range(start, start + n)]
    if name in ("", "rownames", "Unnamed: 0") and chance.random() < 0.3:
        cells = [f"row {row}" for row in range(n)]
    return Column(name, "index", cells)


INPUTS: tuple[tuple[str, Callable[[random.Random, int], list[str | None]]], ...] = (
    *(("number", _number),) * 6,
    *(("text", _text),) * 4,
    *(("boolean", _boolean),) * 2,
    ("odd", _odd),
)
NAMES = (
    "x{}", "x{}", "x{}", "a b{}", "Größe{}", "Body Mass (g){}", "x={}", "{}", "~{}", "[{}]", "a,{}", "a'{}", "x.{}",
)  # fmt: skip


def _target(chance: random.Random, n: int) -> tuple[str, list[str | None]]:
    way = chance.randrange(9)
    if way <= 1:
        return "text", [chance.choice(("u", "v", "w")) for _ in range(n)]
    if way == 2:
        return "text", [chance.choice(("None", "NA", "one", "nan")) for _ in range(n)]
    if way == 3:
        return "text", ["rare" if row == 0 else "uv"[row % 2] for row in range(n)]
    if way == 4:
        return "number", [str(chance.randrange(3)) for _ in range(n)]
    if way == 5:
        return "number", [str(row * row) for row in range(n)]
    if way == 6:
        return "number", [f"{1 + row % 5}.0" for row in range(n)]
    if way == 7:
        return "boolean", _boolean(chance, n)
    return "number", [repr(chance.gauss(0, 1)) for _ in range(n)]


def _columns(chance: random.Random, n: int) -> tuple[list[Column], int]:
    """Return the columns, and the place of the target."""
    columns = []
    for number in range(chance.choice((1, 2, 3, 5, 8))):
        kind, make = chance.choice(INPUTS)
        columns.append(Column(chance.choice(NAMES).format(number), kind, make(chance, n)))
    if chance.random() < 0.3:
        columns.insert(0, _index(chance, n))
        if chance.random() < 0.1:
            columns.insert(0, _index(chance, n))
    place = chance.choice((len(columns), len(columns), 0, chance.randrange(len(columns) + 1)))
    columns.insert(place, Column(chance.choice(("y", "y", "Größe y", "y=1", "true", "y (g)")), *_target(chance, n)))
    return columns, place


def _lose(chance: random.Random, columns: Sequence[Column], target: int) -> None:
    """Make values missing in some columns, seldom in the target."""
    for place, column in enumerate(columns):
        if column.kind != "index" and chance.random() < (0.15 if place == target else 0.35):
            for _ in range(chance.choice((1, 1, 2, 5, len(column.cells)))):
                column.cells[chance.randrange(len(column.cells))] = None


# ---- writing


class Style(NamedTuple):
    """How a file is written."""

    separator: str
    decimal: str
    thousands: str
    missing: str
    always_quoted: bool
    quoted_names: bool
    blanks: bool
    header: bool


def _style(chance: random.Random) -> Style:
    separator = chance.choice((",", ",", ";", "\t", "|"))
    decimal = "," if separator != "," and chance.random() < 0.3 else "."
    thousands = ("." if decimal == "," else ",") if chance.random() < 0.1 else ""
    return Style(
        separator,
        decimal,
        thousands,
        chance.choice(MISSING_WORDS),
        chance.random() < 0.1,
        chance.random() < 0.2,
        separator != "\t" and chance.random() < 0.15,
        chance.random() < 0.85,
    )


def _written(cell: str | None, kind: str, style: Style) -> str:
    """Return a value as the file holds it."""
    if cell is None:
        return style.missing
    text = cell
    if kind == "number":
        whole, point, rest = cell.partition(".")
        sign = "-" if whole.startswith("-") else ""
        digits = whole.removeprefix("-")
        if style.thousands and digits.isdigit():
            whole = sign + f"{int(digits):,}".replace(",", style.thousands)
        text = whole + point.replace(".", style.decimal) + rest
    if style.always_quoted or any(mark in text for mark in (style.separator, '"', "\n")):
        return '"' + text.replace('"', '""') + '"'
    return text


def _text_of(chance: random.Random, columns: Sequence[Column], style: Style) -> str:
    names = [_written(column.name, "name", style._replace(always_quoted=style.quoted_names)) for column in columns]
    body = [
        [_written(column.cells[row], column.kind, style) for column in columns] for row in range(len(columns[0].cells))
    ]
    rows = [names, *body] if style.header else body
    trailing = chance.random()
    if trailing < 0.05:
        rows = [[*row, ""] for row in rows]  # a separator at the end of each row
    elif trailing < 0.1:
        rows = [rows[0], *([*row, ""] for row in rows[1:])]  # not in the header
    gap = " " if style.blanks else ""
    lines = [f"{gap}{style.separator}{gap}".join(row) for row in rows]
    if chance.random() < 0.15:
        lines.insert(0, "# exported on 2020-01-01")
        lines.insert(chance.randrange(1, len(lines) + 1), "# a comment, with a comma")
    if chance.random() < 0.1:
        lines.insert(chance.randrange(len(lines) + 1), "")
    end = chance.choice(("\n", "\n", "\r\n", "\r"))
    return chance.choice(("", "", "\ufeff")) + end.join(lines) + chance.choice(("", end, end * 2))


# ---- keys


def _keys(chance: random.Random, columns: Sequence[Column], target: int, style: Style) -> dict[str, Any]:
    """Return the keys that read the file."""
    keys: dict[str, Any] = {
        "target": columns[target].name,
        "missing": chance.choice(("refuse", "drop", "impute", "impute")),
    }
    if not style.header:
        last = target == len(columns) - 1
        keys |= {"header": False, "target": "-1" if last and chance.random() < 0.5 else str(target + 1)}
    if style.decimal == ",":
        keys["decimal"] = ","
    keys["rare"] = chance.choice(("refuse", "drop"))
    keys["task"] = chance.choice((None, None, "classes", "numbers"))
    odd = [column.name for column in columns if column.kind == "odd"]
    some = [column.name for place, column in enumerate(columns) if place != target and chance.random() < 0.3]
    keys["ignore"] = chance.choice((None, None, odd or None, odd or None, some or None, []))
    if not style.header and keys["ignore"]:
        keys["ignore"] = [f"x{place + 1}" for place, column in enumerate(columns) if column.name in keys["ignore"]]
    return keys


# fmt: off
WRONG: dict[str, tuple[Any, ...]] = {
    "header": (True, False, None),
    "decimal": (".", ",", None),
    "ignore": (["nope"], ["y"], [""], ["x0", "x0"]),
    "target": ("0", "-1", "99", "nope", "-99", "1.0", "y", " y"),
    "missing": ("no", "DROP"),
    "rare": ("no", "keep"),
    "task": ("regression", "Classes"),
}
# fmt: on


def own_file(chance: random.Random) -> OwnFile:
    """Return a file with its keys; about two thirds of them can be read."""
    n = chance.choice((8, 20, 40, 70)) if chance.random() < 0.95 else chance.randrange(1, 6)
    columns, target = _columns(chance, n)
    if chance.random() < 0.5:
        _lose(chance, columns, target)
    style = _style(chance)
    keys = _keys(chance, columns, target, style)
    wrong = chance.choice([*WRONG]) if chance.random() < 0.12 else None
    if wrong:
        keys[wrong] = chance.choice(WRONG[wrong])
    meant = Meant(
        tuple(
            (column.name or f"Unnamed: {place}") if style.header else f"x{place + 1}"
            for place, column in enumerate(columns)
        ),
        tuple(tuple(column.cells) for column in columns),
        tuple(column.kind for column in columns),
        target,
    )
    text = _text_of(chance, columns, style)
    return OwnFile(text, chance.choice(SUFFIXES), keys, None if wrong else meant)
