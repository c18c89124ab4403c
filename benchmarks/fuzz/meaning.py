"""Compare what nnlab read from a data file with what the file means."""

import csv
import gzip
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fuzz.files import DataFile
from benchmarks.fuzz.own_files import MISSING_WORDS, Meant
from nnlab.config import DataConfig
from nnlab.datasets import Dataset

__all__ = ["check_meaning", "check_plainly"]

INDEX_NAMES = ("rownames", "row.names", "index")
IDENTIFIERS = ("id", "case", "patient", "subject")


def check_meaning(loaded: Dataset, data: DataConfig, meant: Meant) -> None:
    """Raise AssertionError unless examples, inputs and values are those of the file. Nothing is standardized."""
    X = np.hstack([loaded.X, loaded.X_test])
    _check_examples(X.shape[1], data, meant)
    taken = {_column_of(feature, meant) for feature in loaded.features}
    assert meant.target not in taken, "the target is an input"
    ignored = {meant.names.index(name) for name in data.ignore or () if name in meant.names}
    assert not taken & ignored, f"ignored columns are inputs: {taken & ignored}"
    index = {place for place in range(len(meant.names)) if _numbers_rows(place, meant)}
    assert data.ignore == [] or taken <= index or not taken & index, f"columns {taken & index} number the rows"
    for feature, values in zip(loaded.features, X, strict=True):
        _check_values(feature, values, meant)


def _check_examples(m: int, data: DataConfig, meant: Meant) -> None:
    """Raise AssertionError if examples are lost, or kept without a target."""
    target = meant.cells[meant.target]
    assert m <= len(target), f"{m} examples from {len(target)} rows"
    surely = sum(cell is not None and cell.strip() not in MISSING_WORDS for cell in target)
    if data.rare == "refuse" and data.missing == "refuse":
        assert m == len(target), f"{m} examples from {len(target)} rows, though missing values are refused"
    if data.rare == "refuse" and data.missing == "impute":
        assert m >= surely, f"{m} examples from {surely} rows with a target"
        if meant.kinds[meant.target] != "text":
            assert m == surely, f"{m} examples, but {surely} rows have a target"


def _column_of(feature: str, meant: Meant) -> int:
    """Return the place of the column of an input."""
    if feature in meant.names:
        return meant.names.index(feature)
    for place, name in enumerate(meant.names):
        if feature.startswith(f"{name}=") and feature.removeprefix(f"{name}=") in _categories(meant.cells[place]):
            return place
    raise AssertionError(f"input {feature!r} is no column of the file, nor a category of one")


def _categories(cells: Sequence[str | None]) -> set[str]:
    return {cell.strip() for cell in cells if cell is not None}


def _numbers_rows(place: int, meant: Meant) -> bool:
    name, cells = meant.names[place], meant.cells[place]
    if place == meant.target:
        return False
    if name.startswith("Unnamed: ") or name in INDEX_NAMES or (name.casefold() in IDENTIFIERS and len(set(cells)) > 2):
        return True
    return place == 0 and any([*map(str, range(start, start + len(cells)))] == [*cells] for start in (0, 1))


def _check_values(feature: str, values: NDArray[np.float64], meant: Meant) -> None:
    """Raise AssertionError unless the values (m,) of an input are those of its column, besides one that is imputed."""
    if feature in meant.names:
        place = meant.names.index(feature)
        cells = meant.cells[place]
        if meant.kinds[place] not in ("number", "index"):
            legal = {0.0, 1.0} if None not in cells else {0.0, 0.5, 1.0}  # the median of booleans
            assert {*values} <= legal or meant.kinds[place] == "odd", f"{feature!r} holds {sorted({*values})}"
            return
        numbers = np.array([float(cell) for cell in cells if cell is not None])
        if len(numbers) == len(values) == len(cells):
            np.testing.assert_allclose(np.sort(values), np.sort(numbers), rtol=1e-12, err_msg=feature)
        foreign = {float(value) for value in values if not np.isclose(numbers, value, rtol=1e-12, atol=0).any()}
        assert len(foreign) <= (1 if len(numbers) < len(cells) else 0), f"{feature!r} holds {sorted(foreign)}"
        return
    assert {*values} <= {0.0, 1.0}, f"{feature!r} holds {sorted({*values})}"
    place = _column_of(feature, meant)
    cells = meant.cells[place]
    if None not in cells and len(values) == len(cells):
        category = feature.removeprefix(f"{meant.names[place]}=")
        count = sum(cell is not None and cell.strip() == category for cell in cells)
        assert values.sum() == count, f"{feature!r} is 1 in {values.sum():.0f} rows of {count}"


def check_plainly(loaded: Dataset, file: DataFile) -> None:
    """Raise AssertionError unless columns of numbers are as Python's csv module and float() read them.

    Files with other separators, comments or rows of different lengths are left to `check_meaning`.
    """
    content = gzip.decompress(file.content) if file.name.lower().endswith(".gz") else file.content
    text = content.decode("utf-8-sig")
    if any(mark in text for mark in "#;\t|"):
        return
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if any(cell.strip() for cell in row)]
    header, body = [name.strip() for name in rows[0]], rows[1:]
    if any(len(row) != len(header) for row in body) or len({*header}) < len(header):
        return
    X = np.hstack([loaded.X, loaded.X_test])
    assert X.shape[1] == len(body), f"{X.shape[1]} examples from {len(body)} rows"
    for feature, values in zip(loaded.features, X, strict=True):
        if feature in header:
            numbers = _numbers([row[header.index(feature)] for row in body])
            if numbers is not None:
                np.testing.assert_allclose(np.sort(values), np.sort(numbers), rtol=1e-12, err_msg=feature)


def _numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Return cells as numbers (m,); None if some are none or missing."""
    words: dict[str, Any] = {"true": 1.0, "false": 0.0}
    try:
        numbers = np.array([float(words.get(cell.strip().lower(), cell)) for cell in cells])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
