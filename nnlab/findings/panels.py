"""Several figures side by side, and what is pooled in them."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab.findings.intervals import interval_name
from nnlab.findings.style import has_value, labels, values_of
from nnlab.settings import varied

__all__ = ["count", "panels", "pooled", "spread_name"]

_PANELS: "WeakKeyDictionary[object, pd.DataFrame]" = WeakKeyDictionary()
"""The runs of all panels of a figure of `panels`."""


def whole_frame(frame: pd.DataFrame, ax: Axes, among: pd.DataFrame | None) -> pd.DataFrame:
    """Return the runs whose values have the same places and colours."""
    return among if among is not None else _PANELS.get(ax.figure, frame)


def pooled(frame: pd.DataFrame, shown: Sequence[str], whole: pd.DataFrame | None = None) -> str:
    """Return what one point of a figure or one cell of a table is of: `5 seeds and 7 values of model.hidden_size`.

    `shown` are the keys by which the runs are told apart; what else was varied is pooled. `whole` are the runs of all
    panels, where `frame` is one. Empty if nothing is pooled.
    """
    words = []
    for key, counts in _pooled(frame, shown, whole).items():
        most = ("up to " if counts.min() < counts.max() else "") + f"{counts.max()}"
        words.append(f"{most} seeds" if key == "seed" else f"{most} values of {key}")
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), *words[-1:]])


def _pooled(frame: pd.DataFrame, shown: Sequence[str], whole: pd.DataFrame | None) -> dict[str, NDArray[Any]]:
    """Return the keys that are pooled, each with how many of its values the points of a figure are of."""
    whole = (frame if whole is None else whole).drop_duplicates("fingerprint") if "fingerprint" in frame else frame
    keys = [key for key in varied(whole) if key not in shown and frame[key].nunique(dropna=False) > 1]
    apart = list(dict.fromkeys([*shown, *(key for key in varied(whole) if key not in keys)]))
    if not apart:
        return {key: np.array([whole[key].nunique(dropna=False)]) for key in keys}
    cells = whole.groupby(apart, dropna=False)
    return {key: cells[key].nunique(dropna=False).to_numpy() for key in keys}


def caption(statistic: str, frame: pd.DataFrame, shown: Sequence[str], whole: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return what is drawn of which runs: a statistic over what is pooled, and what its interval is called."""
    over = pooled(frame, shown, whole)
    if not over:
        return "one run each"
    kind = "mean" if statistic in ("mean", "root mean square") else "iqm"
    ends = f"\nand its {spread_name(frame, shown, whole, kind)}" if table["low"].notna().any() else ""
    return f"{statistic} over\n{broken(over)}{ends}"


def spread_name(
    frame: pd.DataFrame, shown: Sequence[str], whole: pd.DataFrame | None = None, statistic: str = "iqm"
) -> str:
    """Return what the intervals of a figure's points are called, given the keys that tell the points apart."""
    counts = _pooled(frame, shown, whole)
    seeds = int(counts["seed"].max()) if "seed" in counts else 1
    return interval_name(seeds, statistic, pooled=list(counts) != ["seed"])


def broken(words: str) -> str:
    return words.replace(", ", ",\n").replace(" and ", "\nand ")


def panels(
    frame: pd.DataFrame,
    by: str | None,
    draw: Callable[[pd.DataFrame, Axes], object],
    title: str,
    size: tuple[float, float] = (4.2, 4.2),
    rows: str | None = None,
) -> Figure:
    """Return a figure with one panel for each value of `by` (None: one panel), all with the same limits and one legend.

    `rows` is a second key, with a row of panels for each of its values. `frame` has the columns fingerprint and seed:
    the title says of how many runs and seeds the figure is. The figures of this module that `draw` calls give every
    value the place and colour that it has in the whole of `frame`.
    """
    across, down = _parts(frame, by), _parts(frame, rows)
    shape = (len(down), len(across))
    figure = Figure(figsize=(max(7.0, size[0] * shape[1] + 1), size[1] * shape[0]), layout="constrained")
    _PANELS[figure] = frame
    axes = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for (row, column), ax in np.ndenumerate(axes):
        (low, its_row), (value, its_column) = down[row], across[column]
        inside = its_row & its_column
        if inside.any():
            draw(frame[inside], ax)
        else:
            ax.text(0.5, 0.5, "no runs", transform=ax.transAxes, ha="center", color="0.4")
        if by and row == 0:
            ax.set_title(f"{by} = {value}", fontsize=10)
        if rows:
            ax.set_ylabel(f"{rows} = {low}\n{ax.get_ylabel()}".rstrip(), fontsize=8)
        if column:
            ax.set_ylabel("")
        if row < shape[0] - 1:
            ax.set_xlabel("")
    _share_legend(figure, axes.ravel().tolist())
    if shape[1] == 1:  # no wider than a panel, or it would run into the legend beside it
        title = title.replace(" by ", "\nby ", 1)
    figure.suptitle(f"{title}\n{count(frame)}", fontsize=11)
    return figure


def _parts(frame: pd.DataFrame, key: str | None) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the values of a key and which rows have them; all rows for no key."""
    if key is None:
        return [("", np.ones(len(frame), bool))]
    values = values_of(frame, key)
    return [(name, has_value(frame[key], value)) for value, name in zip(values, labels(values), strict=True)]


def count(frame: pd.DataFrame) -> str:
    """Return `420 runs, 5 seeds`: of how many a figure is."""
    runs, seeds = frame["fingerprint"].nunique(), frame["seed"].nunique()
    return f"{runs} run{'s' * (runs != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def _share_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend beside the panels, with all that any of them shows."""
    legends = [legend for ax in axes if (legend := ax.get_legend()) is not None]
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    title = max(
        (legend.get_title().get_text() for legend in legends), key=len, default=""
    )  # of the panel with most to say
    for legend in legends:
        legend.remove()
    if entries:
        figure.legend(
            entries.values(),
            entries.keys(),
            title=title,
            loc="outside right upper",
            frameon=False,
            fontsize=8,
            title_fontsize=8,
        )
