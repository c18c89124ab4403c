"""Time the loading of a large file beside `pandas.read_csv`, and of one with 20,000 columns."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import nnlab
from nnlab.config import DataConfig

__all__ = ["MOST", "Timed", "time_loading"]

MOST = 2.0
"""The largest ratio to pandas."""
COLUMNS = 5


class Timed(NamedTuple):
    """Seconds of nnlab and of pandas in each round, and nnlab's seconds for the wide file, with its inputs."""

    rows: int
    ours: list[float]
    pandas: list[float]
    wide: float
    inputs: int

    @property
    def ratio(self) -> float:
        """The median over the rounds."""
        return median(ours / theirs for ours, theirs in zip(self.ours, self.pandas, strict=True))


def time_loading(rows: int = 1_000_000, columns: int = 20_000, rounds: int = 5) -> Timed:
    """Load a file of five columns with nnlab and with pandas in turn, in this process; then a wide one."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as name:
        long, wide = Path(name) / "long.csv", Path(name) / "wide.csv"
        _write(long, rows, COLUMNS)
        _write(wide, 60, columns)
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(_seconds(lambda: nnlab.load_dataset(_data(long)))[0])
            theirs.append(_seconds(lambda: pd.read_csv(long))[0])
        seconds, loaded = _seconds(lambda: nnlab.load_dataset(_data(wide)))
    return Timed(rows, ours, theirs, seconds, len(loaded.features))


def _data(path: Path) -> DataConfig:
    return DataConfig("file", path=str(path), target="y")


def _write(path: Path, rows: int, columns: int) -> None:
    """Write a table of numbers with six digits; the last column is the target y."""
    names = [*(f"x{column}" for column in range(1, columns)), "y"]
    values = np.random.default_rng(0).standard_normal((rows, columns))
    np.savetxt(path, values, fmt="%.6g", delimiter=",", header=",".join(names), comments="")


def _seconds(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result
