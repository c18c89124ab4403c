"""Runs that a comparison needs and that are missing or doubled."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnlab.settings import setting_keys, setting_name

__all__ = ["IncompleteError", "holes", "numbered", "refuse_duplicates", "refuse_holes", "refuse_missing", "seeds_text"]


class IncompleteError(ValueError):
    """Runs are missing that a comparison needs. The message names them."""


def holes(
    runs: pd.DataFrame, swept: Sequence[str], by: Sequence[str] | None = None, replicate: str = "seed"
) -> list[str]:
    """Return the settings that lack seeds that others have: `["tanh h4 scale 0.01: seeds 3, 4"]`.

    Only combinations of swept values that occur are settings. With `by`, each combination of its values is a row of a
    table, and every row must have the same settings. Those that a row lacks come first: `["relu h8: every seed"]`.
    `replicate` is the key of the seeds.
    """
    keys = [key for key in swept if key != replicate]
    if not keys or replicate not in runs:
        return []
    everywhere = set(runs[replicate])
    return [f"{name}: every {replicate}" for name in _missing_settings(runs, keys, [] if by is None else by)] + [
        f"{setting_name(dict(zip(keys, setting, strict=True)))}: {seeds_text(missing, replicate)}"
        for setting, seeds in runs.groupby(keys, dropna=False)[replicate]
        if (missing := everywhere.difference(seeds))
    ]


def _missing_settings(runs: pd.DataFrame, keys: Sequence[str], by: Sequence[str]) -> list[str]:
    """Return the names of settings that some rows of `by` have and others lack."""
    dependent = [key for key in by if key not in setting_keys(runs)]
    # A data set determines its task, so rows by task have no data set in common; likewise layers and hidden size.
    left = [key for key in keys if key not in by and not any(_follows(runs, other, key) for other in dependent)]
    if not left or not by:
        return []
    row, cell = numbered(runs, by), numbered(runs, left)
    present = np.zeros((row.max() + 1, cell.max() + 1), dtype=bool)
    present[row, cell] = True
    rows, cells = (
        runs[some].iloc[np.unique(numbers, return_index=True)[1]] for some, numbers in ((by, row), (left, cell))
    )
    return [
        setting_name({**rows.iloc[r].to_dict(), **cells.iloc[c].to_dict()})
        for r, c in zip(*np.nonzero(~present), strict=True)
    ]


def _follows(runs: pd.DataFrame, key: str, other: str) -> bool:
    """Return True if the key varies and each value of the other key determines its value."""
    one, two = numbered(runs, [key]), numbered(runs, [other])
    return len(np.unique(one)) > 1 and len(np.unique([one, two], axis=1).T) == len(np.unique(two))


def seeds_text(seeds: set[int], key: str = "seed") -> str:
    """Return `seed 3`, or `seeds 3, 4`."""
    return f"{key}{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}"


def refuse_holes(
    runs: pd.DataFrame, swept: Sequence[str], by: Sequence[str] | None = None, replicate: str = "seed"
) -> None:
    """Raise IncompleteError if there are `holes`."""
    refuse_missing(holes(runs, swept, by, replicate))


def refuse_missing(missing: Sequence[str]) -> None:
    """Raise IncompleteError, naming the first five, if there are missing runs."""
    if missing:
        more = f"; and {len(missing) - 5} more settings" if len(missing) > 5 else ""
        raise IncompleteError(
            "every setting must have the same seeds to be compared (or pass allow_incomplete=True), missing: "
            f"{'; '.join(missing[:5])}{more}"
        )


def refuse_duplicates(runs: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raise ValueError if a setting of these keys has a seed twice.

    Two runs of one seed are not two independent results: pooled, they would make an interval too narrow.
    """
    columns = [key for key in keys if key != "seed"]
    doubled = runs[runs.duplicated([*columns, "seed"])]
    if len(doubled):
        first = doubled.iloc[0]
        name = setting_name({key: first[key] for key in [*columns, "seed"]})
        raise ValueError(f"every setting must have one run of each seed, got several of {name}: leave out all but one")


def numbered(runs: pd.DataFrame, keys: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each run's combination of keys; combinations are numbered in the order of their values."""
    if not keys:
        return np.zeros(len(runs), dtype=np.int64)
    return np.asarray(runs.groupby(list(keys), dropna=False).ngroup(), dtype=np.int64)
