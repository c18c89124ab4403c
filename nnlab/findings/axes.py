"""The choice of swept keys for panels, colours and axes, so that a figure shows as much as can be distinguished."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from nnlab.findings.style import COLOURS

__all__ = ["CurveKeys", "MapKeys", "curve_keys", "map_keys"]

MOST_PANELS = 4


class MapKeys(NamedTuple):
    """The keys for panels, colours or rows, and the horizontal axis, from few values to many."""

    panel: str | None
    by: str
    x: str


class CurveKeys(NamedTuple):
    """The keys for rows of panels, columns of panels, and colours."""

    rows: str | None
    columns: str | None
    colours: str


def map_keys(runs: pd.DataFrame, swept: Sequence[str]) -> MapKeys:
    """Return the keys of a figure with an axis for swept values; a single key is both `by` and `x`."""
    keys = _by_number_of_values(runs, swept)
    panel = keys.pop(0) if len(keys) > 2 and runs[keys[0]].nunique() <= MOST_PANELS else None
    return MapKeys(panel, keys[0], keys[-1])


def curve_keys(runs: pd.DataFrame, swept: Sequence[str]) -> CurveKeys:
    """Return the keys of a figure of curves; keys with more values than can be shown are pooled."""
    keys = _by_number_of_values(runs, swept)
    while len(keys) > 3 or (len(keys) > 1 and runs[keys[-1]].nunique() > len(COLOURS)):
        keys.pop()
    few = [key for key in keys[:-1] if runs[key].nunique() <= MOST_PANELS]
    rows, columns = [None, None, *few][-2:]
    return CurveKeys(rows, columns, keys[-1])


def _by_number_of_values(runs: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Return the swept keys other than the seed, those with few values first, or the seed if there are none."""
    return sorted((key for key in swept if key != "seed"), key=lambda key: runs[key].nunique()) or ["seed"]
