"""Figures of many runs: each a pure function (frame, ax) -> ax. None loads, saves or trains.

A value of a swept key has the same place and colour in every panel: those of `panels` know each other, others are given
the runs of all of them as `among`. Figures of a single network are in `nnlab.findings.portraits`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nnlab.findings.panels import broken, caption, pooled, whole_frame
from nnlab.findings.statistics import aggregate
from nnlab.findings.style import (
    VERDICT_STYLES,
    draw_reference,
    has_value,
    ink,
    labels,
    legend_heading,
    literal,
    log_scale,
    name_ends,
    name_ticks,
    places_of,
    series_styles,
    values_of,
    with_unit,
)

__all__ = ["clipped", "cost_curves", "gradient_flow", "metric_by_value", "signal_by_layer", "verdict_map"]

Array = NDArray[np.float64]

BAND_RESAMPLES = 200
"""Of a band's bootstrap: its edge is drawn a pixel wide, and there are dozens of checkpoints."""

MOST_LABELS = 6
"""So many lines are named at their ends too."""

FAR_BELOW = 30
"""References below all runs by more than this factor are named and not drawn."""

MOST_COST = 1e3
"""Costs are drawn up to this multiple of their median, higher ones at the upper edge: 1e300 would press all flat."""


def cost_curves(
    curves: pd.DataFrame,
    ax: Axes,
    by: str,
    references: Mapping[str, float] | None = None,
    among: pd.DataFrame | None = None,
) -> Axes:
    """Draw cost against iteration: a thin line per run; for each value of `by` the median over its runs, thick, with
    its interval over seeds.

    `curves` has the columns iteration, value, fingerprint, seed, and every config key that varies between the runs:
    they are the strata of the interval (`statistics.aggregate`). `references` are costs to compare with by name, drawn
    dashed; those far below all runs stand in the legend alone. The iteration axis is logarithmic from 1 on, since most
    happens early. A cost that is not finite counts as infinite in the median; what is far above the others is drawn at
    the upper edge, and the legend says of how many runs. More values than there are colours have those of a scale.
    """
    whole = whole_frame(curves, ax, among)
    low, high = _drawable(whole["value"].to_numpy(np.float64))
    bands = aggregate(
        curves,
        "value",
        [by, "iteration"],
        "median",
        resamples=BAND_RESAMPLES,
        lower_is_better=True,
        allow_incomplete=True,
    )
    values = values_of(whole, by)
    names, ends = labels(values), []
    for number, (value, name, colour, marker, legend) in enumerate(series_styles(values)):
        band = bands[has_value(bands[by], value)]
        if band.empty:
            continue
        lines = _lines(curves[has_value(curves[by], value)], low, high)
        ax.add_collection(LineCollection(lines, colors=colour, alpha=0.25, linewidths=0.5), autolim=True)
        middle, bottom, top = (band[name].clip(low, high) for name in ("estimate", "low", "high"))
        ax.fill_between(band["iteration"], bottom, top, color=colour, alpha=0.25, linewidth=0)
        ax.plot(
            *(band["iteration"], middle),
            color=colour,
            linewidth=2,
            marker=marker,
            markevery=(number, 7),
            markersize=4.5,
            label=legend,
        )
        ends.append((float(middle.iloc[-1]), name, colour))
    if len(names) > MOST_LABELS:
        ends.clear()
    highest_first = sorted((references or {}).items(), key=lambda reference: -reference[1])
    for (name, cost), style in zip(highest_first, ("--", ":", "-.") * len(highest_first), strict=False):
        look: dict[str, Any] = {"color": "0.25", "linestyle": style, "linewidth": 1}
        if cost < low / FAR_BELOW:  # its line would press all others flat
            ax.plot([], [], **look, label=f"{literal(name)}:\n{cost:.2g}, far below")
            continue
        ax.axhline(cost, **look, label=literal(name))
        ends.append((cost, f"{cost:.3g}", "#404040"))
    ax.update_datalim([(0, low), (0, high)])
    ax.autoscale_view()
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.set_xlim(0, whole["iteration"].max())
    ax.set_xlabel("iteration")
    ax.set_ylabel("cost on the training data (mean loss)")
    name_ends(ax, ends)
    title = f"{legend_heading(by, values)}:\n{caption('median', curves, [by], whole, bands)}"
    above = clipped(whole)
    if above:
        title += f"\n({above} of {whole['fingerprint'].nunique()} runs leave at the\nupper edge and lie on it)"
    ax.legend(title=title, frameon=False, fontsize=8, title_fontsize=8)
    return ax


def clipped(curves: pd.DataFrame) -> int:
    """Return how many runs have a cost above what `cost_curves` draws, or one that is not finite."""
    values = curves["value"].to_numpy(np.float64)
    _, high = _drawable(values)
    return int(curves.loc[~(values <= high), "fingerprint"].nunique())


def _drawable(costs: Array) -> tuple[float, float]:
    """Return the lowest and the highest cost to draw on a log axis."""
    positive = costs[np.isfinite(costs) & (costs > 0)]
    if not positive.size:
        return 0.1, 1.0
    return float(positive.min()), float(min(positive.max(), MOST_COST * np.median(positive)))


def _lines(curves: pd.DataFrame, low: float, high: float) -> list[Array]:
    """Return the points (iteration, value) of every run, sorted once: a group for each of thousands is slow."""
    run = pd.factorize(curves["fingerprint"])[0]
    value = np.nan_to_num(curves["value"].to_numpy(np.float64), nan=np.inf)
    points = np.column_stack([curves["iteration"].to_numpy(np.float64), value.clip(low, high)])
    order = np.lexsort((points[:, 0], run))
    return np.split(points[order], np.flatnonzero(np.diff(run[order])) + 1)


def metric_by_value(
    runs: pd.DataFrame,
    ax: Axes,
    metric: str,
    x: str,
    by: str | None = None,
    statistic: str = "iqm",
    among: pd.DataFrame | None = None,
) -> Axes:
    """Draw a final metric against a swept value: every run a dot, and over seeds the statistic with its interval.

    One colour and shape for each value of `by`. Where the runs have what an affine model reaches on the same data
    (`reference/affine_...`), and all the same, it is drawn dashed: a network that is not above it has gained nothing
    from being one.
    """
    whole = whole_frame(runs, ax, among)
    values = values_of(whole, x)
    keys = [x] if by is None else [by, x]
    table = aggregate(runs, metric, keys, statistic, allow_incomplete=True)
    groups: list[object] = [None] if by is None else values_of(whole, by)
    width = min(0.12, 0.7 / len(groups))
    for number, (group, _, colour, marker, legend) in enumerate(series_styles(groups)):
        ours, its = (
            (runs, table) if by is None else (runs[has_value(runs[by], group)], table[has_value(table[by], group)])
        )
        if its.empty:
            continue
        # Side by side, or the dots of one group would hide those of another.
        offset = (number - (len(groups) - 1) / 2) * width
        ax.plot(places_of(ours[x], values) + offset, ours[metric].astype(float), ".", color=colour, alpha=0.3)
        reach = np.abs(its[["low", "high"]].sub(its["estimate"], axis=0).to_numpy().T)
        ax.errorbar(
            places_of(its[x], values) + offset,
            its["estimate"].to_numpy(),
            np.nan_to_num(reach, posinf=0),
            color=colour,
            marker=marker,
            markersize=4.5,
            linewidth=1.5,
            capsize=2.5,
            label=None if by is None else legend,
        )
    baseline = f"reference/affine_{metric}"
    if baseline in runs and runs[baseline].nunique(dropna=False) == 1 and np.isfinite(level := runs[baseline].iloc[0]):
        draw_reference(ax, level, "best affine model")
    name_ticks(ax, values)
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xlabel(x)
    ax.set_ylabel(with_unit(metric))
    title = caption(_NAMES[statistic], runs, keys, whole, table)
    if by is None:
        ax.set_title(title.replace("\n", " "), fontsize=8)
        title = ""
    if ax.get_legend_handles_labels()[1]:
        shown = f"{legend_heading(by, groups)}:\n{title}" if by and title else ""
        ax.legend(title=shown, frameon=False, fontsize=8, title_fontsize=8)
    return ax


_NAMES = {"iqm": "interquartile mean", "median": "median", "mean": "mean"}


def verdict_map(runs: pd.DataFrame, ax: Axes, x: str, y: str, among: pd.DataFrame | None = None) -> Axes:
    """Draw a tile for each pair of values of two swept keys, in the colour and with the letter of its verdict.

    Where runs of one tile differ, as seeds do, the tile is divided into stripes as wide as their share of the runs, and
    carries the letter and count of the most frequent verdict, or the letters of all that are. A tile without runs stays
    empty.
    """
    whole = whole_frame(runs, ax, among)
    columns, rows = values_of(whole, x), values_of(whole, y)
    for name in [name for name in VERDICT_STYLES if name in set(runs["verdict"])]:
        letter, colour = VERDICT_STYLES[name]
        ax.add_patch(Rectangle((-9, -9), 1, 1, facecolor=colour, edgecolor="0.6", label=f"{letter}  {name}"))
    tiles, colours = [], []
    by_tile = pd.DataFrame(
        {"row": places_of(runs[y], rows), "column": places_of(runs[x], columns), "verdict": runs["verdict"].to_numpy()}
    ).groupby(["row", "column"])["verdict"]
    for place, verdicts in by_tile:
        row, column = np.asarray(place, np.float64).tolist()
        tile = verdicts.value_counts()
        left = column - 0.5
        for name in [name for name in VERDICT_STYLES if name in tile]:
            share = tile[name] / tile.sum()
            tiles.append(Rectangle((left, row - 0.5), share, 1))
            colours.append(VERDICT_STYLES[name][1])
            left += share
        first = [name for name in VERDICT_STYLES if tile.get(name) == tile.max()]
        letters, colour = " ".join(VERDICT_STYLES[name][0] for name in first), VERDICT_STYLES[first[0]][1]
        divided = len(tile) > 1
        text = f"{letters} {tile.max()}/{tile.sum()}" if divided else letters
        # The white edge parts the words from the stripes that they stand on.
        edge = "white" if divided else "none"
        box = {"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": edge, "linewidth": 1.2}
        ax.text(column, row, text, ha="center", va="center", fontsize=8, color=ink(colour), bbox=box)
    ax.add_collection(PatchCollection(tiles, facecolors=colours, edgecolors="none"))
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for border in np.arange(len(columns) + 1) - 0.5:
        ax.axvline(border, color="white", linewidth=1.5)
    for border in np.arange(len(rows) + 1) - 0.5:
        ax.axhline(border, color="white", linewidth=1.5)
    name_ticks(ax, columns)
    ax.set_yticks(range(len(rows)), labels(rows))
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    over = pooled(runs, [x, y], whole)
    title = f"verdict of\n{broken(over)};\na stripe is as wide as\nits share of the runs" if over else "verdict"
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8, title_fontsize=8)
    return ax


def gradient_flow(
    curves: pd.DataFrame,
    ax: Axes,
    limits: tuple[float, float] | None = None,
    theory: Sequence[float] | None = None,
) -> Axes:
    """Draw the size of the back-propagated signal, rms dZ, by layer and iteration, as a heat map in log colours.

    `curves` holds the quantity signal/rms_dZ of one run, or several, whose median is drawn. `limits` are the ends of
    the colour scale, to be shared between panels; the colour bar has an arrow where values lie beyond. Exact zeros,
    which a log scale cannot show, are hatched. `theory` has the ratios of layers 1, 2, ... to the output before
    training, as `nnlab.findings.expected.signal_by_layer` gives them: a column to the left of iteration 0, in the same
    colours, from what was measured at the output.
    """
    table = curves[curves["quantity"] == "signal/rms_dZ"].pivot_table("value", "layer", "iteration", aggfunc="median")
    values, positive = table.to_numpy(), table.to_numpy()[table.to_numpy() > 0]
    low, high = limits or ((positive.min(), positive.max()) if positive.size else (1e-3, 1.0))
    if low == high:
        low, high = low / 10, high * 10
    edges = np.concatenate(
        [[-0.5], np.sqrt(np.maximum(table.columns[:-1], 0.5) * table.columns[1:]), table.columns[-1:]]
    )
    layers = np.arange(len(table) + 1) + 0.5
    shown = np.ma.masked_where(~(values > 0), values)
    norm = LogNorm(low, high)
    mesh = ax.pcolormesh(edges, layers, shown, norm=norm, cmap="viridis", rasterized=True)
    zeros = np.ma.masked_where(values != 0, np.ones_like(values))
    grey = ListedColormap(["#EEEEEE"])
    ax.pcolor(edges, layers, zeros, cmap=grey, hatch="///", edgecolor="0.6", linewidth=0)
    ax.set_xscale("symlog", linthresh=1)
    if theory is not None:
        expected = np.asarray(theory, np.float64)[:, None] * values[-1, 0]
        ax.pcolormesh([-1.1, -0.65], layers, expected, norm=norm, cmap="viridis", rasterized=True)
        halo = withStroke(linewidth=2, foreground="white")
        ax.text(-0.87, layers.mean(), "theory", fontsize=7, rotation=90, ha="center", va="center", path_effects=[halo])
        ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= edges[-1]])
        ax.set_xlim(-1.1, edges[-1])
        positive = np.append(positive, expected)
    ax.set_yticks(range(1, len(table) + 1), [f"{layer}" for layer in table.index])
    ax.set_xlabel("iteration")
    ax.set_ylabel("layer (1: next to the inputs)")
    beyond = (bool((positive < low).any()), bool((positive > high).any()))
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    ax.figure.colorbar(mesh, ax=ax, label="rms dZ (hatched: exactly 0)", extend=extend)
    return ax


def signal_by_layer(
    curves: pd.DataFrame,
    ax: Axes,
    by: str,
    theory: Mapping[object, Sequence[float]] | None = None,
    among: pd.DataFrame | None = None,
) -> Axes:
    """Draw how much of the output's error signal arrives at each layer: rms dZ over that of the output.

    `curves` holds signal/rms_dZ of one iteration with the columns fingerprint, seed, layer, value and every config key
    that varies. Solid: for each value of `by` the root of the mean over runs of the squared ratio, which is what theory
    speaks of, with its interval over seeds; a run whose output has no error at all is left out. Dashed: `theory`, for
    each value of `by` the ratios of layers 1, 2, ..., as `nnlab.findings.expected.signal_by_layer` gives them. A
    straight line falls by the same factor in every layer.
    """
    whole = whole_frame(curves, ax, among)
    top = curves.loc[curves.groupby("fingerprint", observed=True)["layer"].idxmax()].set_index("fingerprint")["value"]
    above = curves["fingerprint"].map(top).astype(float)
    with np.errstate(over="ignore"):
        squares = np.square(curves["value"] / above.where(above > 0))
    ratio = curves.assign(value=squares).dropna(subset=["value"])
    table = aggregate(ratio, "value", [by, "layer"], "mean", resamples=BAND_RESAMPLES, allow_incomplete=True)
    table[["estimate", "low", "high"]] = np.sqrt(table[["estimate", "low", "high"]])
    values = values_of(whole, by)
    for value, _, colour, marker, legend in series_styles(values):
        line = table[has_value(table[by], value)]
        if line.empty:
            continue
        ax.fill_between(line["layer"], line["low"], line["high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(line["layer"], line["estimate"], color=colour, marker=marker, markersize=4.5, label=legend)
        if theory and value in theory:
            expected = theory[value]
            ax.plot(range(1, len(expected) + 1), expected, color=colour, linestyle="--", linewidth=1)
    if theory:
        ax.plot([], [], color="0.25", linestyle="--", linewidth=1, label="theory, wide layers")
    log_scale(ax)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layer (1: next to the inputs)")
    ax.set_ylabel("rms dZ / rms dZ of the output")
    title = f"{legend_heading(by, values)}:\n{caption('root mean square', curves, [by], whole, table)}"
    ax.legend(title=title, frameon=False, fontsize=8, title_fontsize=8)
    return ax
