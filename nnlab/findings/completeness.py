"""Which runs are missing that a comparison needs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnlab.settings import name_of, setting_keys

__all__ = ["IncompleteError", "holes", "seeds_text", "numbered", "refuse_duplicates", "refuse_holes", "refuse_missing"]


class IncompleteError(ValueError):
    """Runs are missing that a comparison needs. The message names them."""


def holes(runs: pd.DataFrame, swept: Sequence[str], by: Sequence[str] | None = None) -> list[str]:
    """Return which settings lack seeds that others have: `["tanh h4 scale 0.01: seeds 3, 4"]`.

    A setting is a combination of swept values other than the seed that occurs at all. If rows are to be made of the
    values of `by` alone, every row must have the same settings, and those that a row lacks come first:
    `["relu h8: every seed"]`.
    """
    keys = [key for key in swept if key != "seed"]
    if not keys or "seed" not in runs:
        return []
    everywhere = set(runs["seed"])
    return [f"{name}: every seed" for name in _missing(runs, keys, [] if by is None else by)] + [
        f"{name_of(dict(zip(keys, setting, strict=True)))}: {seeds_text(missing)}"
        for setting, seeds in runs.groupby(keys, dropna=False)["seed"]
        if (missing := everywhere.difference(seeds))
    ]


def _missing(runs: pd.DataFrame, keys: Sequence[str], by: Sequence[str]) -> list[str]:
    """Return the settings that some rows of `by` have and others have not, under the names they would have there."""
    follow = [key for key in by if key not in setting_keys(runs)]
    # The layers bring their hidden size, a data set its task: rows by what follows never have what brings it in common.
    left = [key for key in keys if key not in by and not any(_follows(runs, other, key) for other in follow)]
    if not left or not by:
        return []
    row, cell = numbered(runs, by), numbered(runs, left)
    present = np.zeros((row.max() + 1, cell.max() + 1), dtype=bool)
    present[row, cell] = True
    rows, cells = (
        runs[keys].iloc[np.unique(numbers, return_index=True)[1]] for keys, numbers in ((by, row), (left, cell))
    )
    return [
        name_of({**rows.iloc[r].to_dict(), **cells.iloc[c].to_dict()})
        for r, c in zip(*np.nonzero(~present), strict=True)
    ]


def _follows(runs: pd.DataFrame, key: str, other: str) -> bool:
    """Return whether each value of the other key goes with one value of this key, which varies."""
    one, two = numbered(runs, [key]), numbered(runs, [other])
    return len(np.unique(one)) > 1 and len(np.unique([one, two], axis=1).T) == len(np.unique(two))


def seeds_text(seeds: set[int]) -> str:
    """Return `seed 3`, or `seeds 3, 4`."""
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}"


def refuse_holes(runs: pd.DataFrame, swept: Sequence[str], by: Sequence[str] | None = None) -> None:
    """Raise IncompleteError if there are `holes`."""
    refuse_missing(holes(runs, swept, by))


def refuse_missing(missing: Sequence[str]) -> None:
    """Raise IncompleteError, naming them, if runs are missing."""
    if missing:
        more = f"; and {len(missing) - 5} settings more" if len(missing) > 5 else ""
        raise IncompleteError(
            "every setting must have the same seeds to be compared (or allow_incomplete=True), missing: "
            f"{'; '.join(missing[:5])}{more}"
        )


def refuse_duplicates(runs: pd.DataFrame, keys: Sequence[str]) -> None:
    """Raise ValueError if a setting of these keys has a seed twice.

    Two runs of one seed are not two results: pooled, they would make an interval too narrow.
    """
    columns = [key for key in keys if key != "seed"]
    double = runs[runs.duplicated([*columns, "seed"])]
    if len(double):
        first = double.iloc[0]
        name = name_of({key: first[key] for key in [*columns, "seed"]})
        raise ValueError(f"every setting must have one run of each seed, got several of {name}: leave all but one out")


def numbered(runs: pd.DataFrame, keys: Sequence[str]) -> NDArray[np.int64]:
    """Return for each run the number of its combination of keys, in the order of the values."""
    if not keys:
        return np.zeros(len(runs), dtype=np.int64)
    return np.asarray(runs.groupby(list(keys), dropna=False).ngroup(), dtype=np.int64)
