"""Figures of many runs: each a pure function (frame, ax) -> ax. None loads, saves or trains.

Figures of a single network are in `nnlab.findings.portraits`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from nnlab.findings.statistics import aggregate

__all__ = [
    "COLOURS",
    "MARKERS",
    "VERDICTS",
    "cost_curves",
    "count",
    "gradient_flow",
    "ink",
    "log_scale",
    "metric_by_value",
    "panels",
    "signal_by_layer",
    "verdict_map",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's colours, told apart by colour-blind readers too."""

MARKERS = "osD^vPX"
"""Beside the colours: who cannot tell those, or prints in grey, reads the shapes."""

VERDICTS = {
    "healthy": ("H", "#009E73"),
    "unfinished": ("U", "#B9E3D3"),
    "plateau": ("P", "#F0E442"),
    "linear": ("L", "#56B4E9"),
    "symmetric": ("S", "#E69F00"),
    "vanishing": ("V", "#0072B2"),
    "exploding": ("E", "#D55E00"),
    "saturated": ("T", "#CC79A7"),
    "dead": ("D", "#5A5A5A"),
    "frozen": ("F", "#A6A6A6"),
    "diverged": ("X", "#000000"),
    "failed": ("!", "#FFFFFF"),
}
"""Letter and colour of every verdict: who cannot tell the colours reads the letters."""

BAND_RESAMPLES = 200
"""Of a band's bootstrap: its edge is drawn a pixel wide, and there are dozens of checkpoints."""


def cost_curves(curves: pd.DataFrame, ax: Axes, by: str, references: Mapping[str, float] | None = None) -> Axes:
    """Draw cost against iteration: a thin line per run; for each value of `by` the median over its runs, thick, with
    its 95 % interval over seeds.

    `curves` has the columns iteration, value, fingerprint, seed, and every config key that varies between the runs:
    they are the strata of the interval (`statistics.aggregate`). `references` are costs to compare with by name, drawn
    dashed. The iteration axis is logarithmic from 1 on, since most happens early.
    """
    bands = aggregate(curves, "value", [by, "iteration"], "median", resamples=BAND_RESAMPLES, allow_incomplete=True)
    for number, (name, band) in enumerate(bands.groupby(by, sort=True)):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        chosen = curves[(curves[by] == name).to_numpy()]
        lines = [run[["iteration", "value"]].to_numpy() for _, run in chosen.groupby("fingerprint", observed=True)]
        ax.add_collection(LineCollection(lines, colors=colour, alpha=0.25, linewidths=0.5), autolim=True)
        ax.fill_between(band["iteration"], band["low"], band["high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(
            *(band["iteration"], band["estimate"]),
            color=colour,
            linewidth=2,
            marker=marker,
            markevery=(number, 7),
            markersize=4.5,
            label=_label(name),
        )
    highest_first = sorted((references or {}).items(), key=lambda reference: -reference[1])
    for number, (name, cost) in enumerate(highest_first):
        _reference(ax, cost, f"{name}, {cost:.3f}", below=number > 0)
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.set_xlim(0, curves["iteration"].max())
    ax.set_xlabel("iteration")
    ax.set_ylabel("cost on the training data (nats)")
    ax.legend(title=f"{by}:\nmedian and its\n95 % interval", frameon=False, fontsize=8, title_fontsize=8)
    return ax


def metric_by_value(
    runs: pd.DataFrame, ax: Axes, metric: str, x: str, by: str | None = None, statistic: str = "iqm"
) -> Axes:
    """Draw a final metric against a swept value: every run a dot, and over seeds the statistic with its 95 % interval.

    One colour and shape for each value of `by`. Where the runs have what an affine model reaches on the same data
    (`reference/affine_...`), it is drawn dashed: a network that is not above it has gained nothing from being one.
    """
    values = sorted(runs[x].unique())
    positions = {value: place for place, value in enumerate(values)}
    keys = [x] if by is None else [by, x]
    table = aggregate(runs, metric, keys, statistic, allow_incomplete=True)
    groups: list[object] = [None] if by is None else sorted(runs[by].unique())
    width = min(0.12, 0.7 / len(groups))
    for number, group in enumerate(groups):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        ours, its = (runs, table) if by is None else (runs[runs[by] == group], table[table[by] == group])
        # Side by side, or the dots of one group would hide those of another.
        offset = (number - (len(groups) - 1) / 2) * width
        ax.plot(ours[x].map(positions).astype(float) + offset, ours[metric].astype(float), ".", color=colour, alpha=0.3)
        places = its[x].map(positions).astype(float) + offset
        reach = np.abs(its[["low", "high"]].sub(its["estimate"], axis=0).to_numpy().T)
        ax.errorbar(
            places.to_numpy(),
            its["estimate"].to_numpy(),
            np.nan_to_num(reach, posinf=0),
            color=colour,
            marker=marker,
            markersize=4.5,
            linewidth=1.5,
            capsize=2.5,
            label=None if by is None else _label(group),
        )
    baseline = f"reference/affine_{metric}"
    if baseline in runs:
        level = runs[baseline].median()
        _reference(ax, level, f"best affine model, {level:.3f}")
    ax.set_xticks(range(len(values)), [_label(value) for value in values])
    ax.set_xlabel(x)
    ax.set_ylabel(_unit(metric))
    title = f"{_NAMES[statistic]} over seeds\nand its 95 % interval"
    if by is None:
        ax.set_title(title.replace("\n", " "), fontsize=8)
    else:
        ax.legend(title=f"{by}:\n{title}", frameon=False, fontsize=8, title_fontsize=8)
    return ax


_NAMES = {"iqm": "interquartile mean", "median": "median", "mean": "mean"}


def verdict_map(runs: pd.DataFrame, ax: Axes, x: str, y: str) -> Axes:
    """Draw a tile for each pair of values of two swept keys, in the colour and with the letter of its verdict.

    Where runs of one tile differ, as seeds do, the tile is divided in proportion and carries the letter and share of
    the most frequent verdict. A tile without runs stays empty.
    """
    columns, rows = (sorted(runs[key].unique()) for key in (x, y))
    counts = runs.groupby([y, x])["verdict"].value_counts()
    by_tile: dict[Any, pd.Series] = {
        place: tile.droplevel([0, 1]) for place, tile in counts.groupby(level=[0, 1], sort=False)
    }
    for name in [name for name in VERDICTS if name in set(runs["verdict"])]:
        letter, colour = VERDICTS[name]
        ax.add_patch(Rectangle((-9, -9), 1, 1, facecolor=colour, edgecolor="0.6", label=f"{letter}  {name}"))
    tiles, colours = [], []
    for row, down in enumerate(rows):
        for column, across in enumerate(columns):
            if (down, across) not in by_tile:
                continue
            tile = by_tile[down, across]
            left = column - 0.5
            for name in [name for name in VERDICTS if name in tile]:
                share = tile[name] / tile.sum()
                tiles.append(Rectangle((left, row - 0.5), share, 1))
                colours.append(VERDICTS[name][1])
                left += share
            letter, colour = VERDICTS[tile.index[0]]
            text = letter if len(tile) == 1 else f"{letter} {tile.iloc[0]}/{tile.sum()}"
            box = {"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "none"}
            ax.text(column, row, text, ha="center", va="center", fontsize=8, color=ink(colour), bbox=box)
    ax.add_collection(PatchCollection(tiles, facecolors=colours, edgecolors="none"))
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for edge in np.arange(len(columns) + 1) - 0.5:
        ax.axvline(edge, color="white", linewidth=1.5)
    for edge in np.arange(len(rows) + 1) - 0.5:
        ax.axhline(edge, color="white", linewidth=1.5)
    ax.set_xticks(range(len(columns)), [_label(value) for value in columns])
    ax.set_yticks(range(len(rows)), [_label(value) for value in rows])
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.legend(title="verdict", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8, title_fontsize=8)
    return ax


def gradient_flow(curves: pd.DataFrame, ax: Axes, limits: tuple[float, float] | None = None) -> Axes:
    """Draw the size of the back-propagated signal, rms dZ, by layer and iteration, as a heat map in log colours.

    `curves` holds the quantity signal/rms_dZ of one run, or several, whose median is drawn. `limits` are the ends of
    the colour scale, to be shared between panels. Exact zeros, which a log scale cannot show, are hatched.
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
    mesh = ax.pcolormesh(edges, layers, shown, norm=LogNorm(low, high), cmap="viridis", rasterized=True)
    zeros = np.ma.masked_where(values != 0, np.ones_like(values))
    grey = ListedColormap(["#EEEEEE"])
    ax.pcolor(edges, layers, zeros, cmap=grey, hatch="///", edgecolor="0.6", linewidth=0)
    ax.set_xscale("symlog", linthresh=1)
    ax.set_yticks(range(1, len(table) + 1), [f"{layer}" for layer in table.index])
    ax.set_xlabel("iteration")
    ax.set_ylabel("layer (1: next to the inputs)")
    ax.figure.colorbar(mesh, ax=ax, label="rms dZ (hatched: exactly 0)")
    return ax


def signal_by_layer(
    curves: pd.DataFrame, ax: Axes, by: str, theory: Mapping[object, Sequence[float]] | None = None
) -> Axes:
    """Draw how much of the output's error signal arrives at each layer: rms dZ over that of the output.

    `curves` holds signal/rms_dZ of one iteration with the columns fingerprint, seed, layer, value and every config key
    that varies. Solid: the median over runs of each value of `by`, with its 95 % interval over seeds; a run whose
    output has no error at all is left out. Dashed: `theory`, for each value of `by` the ratios of layers 1, 2, ..., as
    `nnlab.findings.expected.signal_by_layer` gives them. A straight line falls by the same factor in every layer.
    """
    top = curves.loc[curves.groupby("fingerprint", observed=True)["layer"].idxmax()].set_index("fingerprint")["value"]
    above = curves["fingerprint"].map(top).astype(float)
    ratio = curves.assign(value=curves["value"] / above.where(above > 0)).dropna(subset=["value"])
    table = aggregate(ratio, "value", [by, "layer"], "median", resamples=BAND_RESAMPLES, allow_incomplete=True)
    for number, (name, line) in enumerate(table.groupby(by, sort=True)):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        ax.fill_between(line["layer"], line["low"], line["high"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(line["layer"], line["estimate"], color=colour, marker=marker, markersize=4.5, label=_label(name))
        if theory and name in theory:
            expected = theory[name]
            ax.plot(range(1, len(expected) + 1), expected, color=colour, linestyle="--", linewidth=1)
    ax.plot([], [], color="0.25", linestyle="--", linewidth=1, label="theory, wide layers")
    log_scale(ax)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layer (1: next to the inputs)")
    ax.set_ylabel("rms dZ / rms dZ of the output")
    ax.legend(title=f"{by}:\nmedian and its\n95 % interval", frameon=False, fontsize=8, title_fontsize=8)
    return ax


# ---- several of them on a page


def panels(
    frame: pd.DataFrame,
    by: str | None,
    draw: Callable[[pd.DataFrame, Axes], object],
    title: str,
    size: tuple[float, float] = (4.2, 4.2),
) -> Figure:
    """Return a figure with one panel for each value of `by` (None: one panel), all with the same limits and one legend.

    `frame` has the columns fingerprint and seed: the title says of how many runs and seeds the figure is.
    """
    groups = list(frame.groupby(by, sort=True)) if by else [("", frame)]
    figure = Figure(figsize=(max(7.0, size[0] * len(groups) + 1), size[1]), layout="constrained")
    axes = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    for place, (ax, (value, group)) in enumerate(zip(axes, groups, strict=True)):
        draw(group, ax)
        if by:
            ax.set_title(f"{by} = {_label(value)}", fontsize=10)
        if place:
            ax.set_ylabel("")
    _share_legend(figure, axes)
    figure.suptitle(f"{title}\n{count(frame)}", fontsize=11)
    return figure


def count(frame: pd.DataFrame) -> str:
    """Return `420 runs, 5 seeds`: of how many a figure is."""
    runs, seeds = frame["fingerprint"].nunique(), frame["seed"].nunique()
    return f"{runs} run{'s' * (runs != 1)}, {seeds} seed{'s' * (seeds != 1)}"


def _share_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Put one legend beside the panels, with all that any of them shows."""
    legends = [legend for ax in axes if (legend := ax.get_legend()) is not None]
    entries = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    title = legends[0].get_title().get_text() if legends else ""
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


def log_scale(ax: Axes) -> None:
    """Make the upright axis logarithmic, with plain numbers at 1, 2 and 5 where it spans little."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 300:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter("")


def _reference(ax: Axes, level: float, text: str, *, below: bool = False) -> None:
    """Draw a dashed line across, with its name above or below the right end."""
    ax.axhline(level, color="0.25", linestyle="--", linewidth=1)
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    ax.text(
        *(0.99, level, text),
        transform=ax.get_yaxis_transform() + ScaledTranslation(0, (-3 if below else 3) / 72, ax.figure.dpi_scale_trans),
        ha="right",
        va="top" if below else "bottom",
        fontsize=7,
        bbox=box,
    )


def ink(colour: str) -> str:
    """Return black or white, whichever has more contrast with a colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


def _unit(metric: str) -> str:
    units = {"accuracy": "share of right answers", "r2": "share of variance explained", "cost": "mean loss"}
    kind = metric.split("/")[0]
    return f"{metric} ({units[kind]})" if kind in units else metric


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"
