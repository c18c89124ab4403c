"""Several figures on one page with a shared legend, and the words for what is pooled in them."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab.findings.intervals import STATISTICS, interval_name, statistic_name
from nnlab.findings.style import has_value, labels, values_of
from nnlab.settings import varied

__all__ = ["Draw", "caption", "panels", "pooled", "run_count", "spread_name", "wrapped"]


# ---- panels

FEW_ENTRIES = 12
"""With more entries, the lines of a legend are closer together."""


class Draw(Protocol):
    """A figure as `panels` calls it: `draw(part, ax, among=whole)`."""

    def __call__(self, frame: pd.DataFrame, ax: Axes, /, *, among: pd.DataFrame) -> object: ...


def panels(
    frame: pd.DataFrame,
    by: str | None,
    draw: Draw,
    title: str,
    size: tuple[float, float] = (4.2, 4.2),
    rows: str | None = None,
) -> Figure:
    """Return a figure with one panel for each value of `by`, all with the same limits and one legend.

    With `by` None there is one panel. `rows` is a second key, with a row of panels for each of its values. `frame` has
    the columns fingerprint and seed, and the title ends with the number of runs and seeds.

    Each panel is drawn by `draw(part, ax, among=frame)`, where `part` is the panel's rows of `frame`. The figures of
    `nnlab.findings.plots` and `nnlab.findings.maps` give a value the place and colour that it has among the values in
    `among`, so that panels agree:
    `panels(runs, "init.scale", partial(verdict_map, x="model.hidden_size", y="model.activation"), "Verdict")`.
    """
    across, down = _parts(frame, by), _parts(frame, rows)
    shape = (len(down), len(across))
    figure = Figure(figsize=(max(7.0, size[0] * shape[1] + 1), size[1] * shape[0]), layout="constrained")
    axes = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False)
    for (row, column), ax in np.ndenumerate(axes):
        (row_label, in_row), (column_label, in_column) = down[row], across[column]
        inside = in_row & in_column
        if inside.any():
            draw(frame[inside], ax, among=frame)
        else:
            ax.text(0.5, 0.5, "no runs", transform=ax.transAxes, ha="center", color="0.4")
        if by and row == 0:
            ax.set_title(f"{by} = {column_label}", fontsize=10)
        if rows:
            ax.set_ylabel(f"{rows} = {row_label}\n{ax.get_ylabel()}".rstrip(), fontsize=8)
        if column:
            ax.set_ylabel("")
        if row < shape[0] - 1:
            ax.set_xlabel("")
    _share_legend(figure, axes.ravel().tolist())
    if shape[1] == 1:  # no wider than a panel, so that it does not run into the legend beside it
        title = title.replace(" by ", "\nby ", 1)
    figure.suptitle(f"{title}\n{run_count(frame)}", fontsize=11)
    return figure


def _parts(frame: pd.DataFrame, key: str | None) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return each value of a key as a label, with the rows that have it; without a key one part with all rows."""
    if key is None:
        return [("", np.ones(len(frame), bool))]
    values = values_of(frame, key)
    return [(label, has_value(frame[key], value)) for value, label in zip(values, labels(values), strict=True)]


def _share_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Replace the legends of the panels by one beside them, with the entries of all and the longest title."""
    legends = [legend for ax in axes if (legend := ax.get_legend()) is not None]
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    title = max((legend.get_title().get_text() for legend in legends), key=len, default="")
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
            labelspacing=0.5 if len(entries) <= FEW_ENTRIES else 0.2,
        )


# ---- words


def run_count(frame: pd.DataFrame) -> str:
    """Return the number of runs and seeds in a frame: `420 runs, 5 seeds`."""
    runs, seeds = frame["fingerprint"].nunique(), frame["seed"].nunique()
    return f"{runs} run{'s' * (runs != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def pooled(frame: pd.DataFrame, shown: Sequence[str], among: pd.DataFrame | None = None) -> str:
    """Return the number of seeds and values in one point of a figure or one cell of a table.

    For example `5 seeds and 7 values of model.hidden_size`; empty if a point is a single run. `shown` are the keys that
    distinguish the points; all other varied keys are pooled. `among` are the runs of all panels, if `frame` is one.
    """
    words = []
    for key, counts in _pooled_counts(frame, shown, among).items():
        most = ("up to " if counts.min() < counts.max() else "") + f"{counts.max()}"
        words.append(f"{most} seeds" if key == "seed" else f"{most} values of {key}")
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), *words[-1:]])


def _pooled_counts(frame: pd.DataFrame, shown: Sequence[str], among: pd.DataFrame | None) -> dict[str, NDArray[Any]]:
    """Return the pooled keys, each with the number of its values in every point."""
    whole = (frame if among is None else among).drop_duplicates("fingerprint") if "fingerprint" in frame else frame
    keys = [key for key in varied(whole) if key not in shown and frame[key].nunique(dropna=False) > 1]
    apart = list(dict.fromkeys([*shown, *(key for key in varied(whole) if key not in keys)]))
    if not apart:
        return {key: np.array([whole[key].nunique(dropna=False)]) for key in keys}
    points = whole.groupby(apart, dropna=False)
    return {key: points[key].nunique(dropna=False).to_numpy() for key in keys}


def spread_name(
    frame: pd.DataFrame, shown: Sequence[str], among: pd.DataFrame | None = None, statistic: str = "iqm"
) -> str:
    """Return the name of the intervals of a figure's points, given the keys that distinguish the points."""
    counts = _pooled_counts(frame, shown, among)
    seeds = [int(counts[key].max()) for key in ("seed", "data.seed") if key in counts]
    pooled = len(counts) > len(seeds)
    return interval_name(min(seeds, default=1), statistic, pooled=pooled, two_way=len(seeds) > 1)


def caption(
    statistic: str, frame: pd.DataFrame, shown: Sequence[str], among: pd.DataFrame | None, table: pd.DataFrame
) -> str:
    """Return the caption of a figure's points: the statistic, what it pools, and the name of its interval in `table`.

    `statistic` is one of `intervals.STATISTICS`, or the name of another one with the interval of a mean.
    """
    over = pooled(frame, shown, among)
    if not over:
        return "one run each"
    kind, name = (
        (statistic, statistic_name(statistic, table["runs"])) if statistic in STATISTICS else ("mean", statistic)
    )
    kind = "mean" if name == "mean" else kind
    ends = f"\nand its {wrapped(spread_name(frame, shown, among, kind))}" if table["low"].notna().any() else ""
    return f"{wrapped(name)} over\n{wrapped(over)}{ends}"


def wrapped(words: str) -> str:
    """Return the words of `pooled`, or the name of a statistic or an interval, with one item a line."""
    return words.replace(", ", ",\n").replace(" and ", "\nand ").replace(" (", "\n(")
