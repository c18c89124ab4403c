"""Figures: each a pure function (frame, ax) -> ax. None loads, saves or trains."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.patches import Rectangle

__all__ = ["COLOURS", "VERDICTS", "cost_curves", "gradient_flow", "metric_by_value", "verdict_map"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's colours, told apart by colour-blind readers too."""

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


def cost_curves(curves: pd.DataFrame, ax: Axes, by: str, reference: float | None = None) -> Axes:
    """Draw cost against iteration: a thin line per run, the median over the runs of each value of `by` thick.

    `curves` has the columns iteration, value, fingerprint and `by`. `reference` is drawn dashed: the cost of a
    network that knows nothing. The iteration axis is logarithmic from 1 on, since most happens early.
    """
    for colour, (name, group) in zip(_cycle(curves[by].nunique()), curves.groupby(by, sort=True), strict=True):
        for _, run in group.groupby("fingerprint"):
            ax.plot(run["iteration"], run["value"], color=colour, alpha=0.2, linewidth=0.6)
        median = group.groupby("iteration")["value"].median()
        ax.plot(median.index, median, color=colour, linewidth=2.2, label=f"{name}")
    if reference is not None:
        ax.axhline(reference, color="0.3", linestyle="--", linewidth=1, label=f"knows nothing, {reference:.3f}")
    ax.set_xscale("symlog", linthresh=1)
    ax.set_yscale("log")
    ax.set_xlim(0, curves["iteration"].max())
    ax.set_xlabel("iteration")
    ax.set_ylabel("cost on the training data")
    ax.legend(title=f"{by} (median)", frameon=False, fontsize=8)
    return ax


def metric_by_value(runs: pd.DataFrame, ax: Axes, metric: str, x: str, by: str) -> Axes:
    """Draw a final metric against a swept value: every run a dot, the mean over runs a line, a colour per `by`."""
    values = sorted(runs[x].unique())
    positions = {value: place for place, value in enumerate(values)}
    groups = list(runs.groupby(by, sort=True))
    for shift, (colour, (name, group)) in enumerate(zip(_cycle(len(groups)), groups, strict=True)):
        # Side by side, or the dots of one group would hide those of another.
        offset = (shift - (len(groups) - 1) / 2) * 0.12
        places = group[x].map(positions).astype(float) + offset
        ax.plot(places, group[metric].astype(float), ".", color=colour, alpha=0.4, markersize=5)
        means = group.groupby(x)[metric].mean()
        ax.plot([positions[value] + offset for value in means.index], means, color=colour, linewidth=1.5, label=name)
    ax.set_xticks(range(len(values)), [_label(value) for value in values])
    ax.set_xlabel(x)
    ax.set_ylabel(metric)
    ax.legend(title=f"{by} (mean)", frameon=False, fontsize=8)
    return ax


def verdict_map(runs: pd.DataFrame, ax: Axes, x: str, y: str) -> Axes:
    """Draw a tile for each pair of values of two swept keys, in the colour and with the letter of its verdict.

    Where runs of one tile differ, as seeds do, the tile is divided in proportion and carries the letter and share of
    the most frequent verdict. A tile without runs stays empty.
    """
    columns, rows = (sorted(runs[key].unique()) for key in (x, y))
    for name in [name for name in VERDICTS if name in set(runs["verdict"])]:
        letter, colour = VERDICTS[name]
        ax.add_patch(Rectangle((-9, -9), 1, 1, facecolor=colour, edgecolor="0.6", label=f"{letter}  {name}"))
    for row, down in enumerate(rows):
        for column, across in enumerate(columns):
            counts = runs.loc[(runs[x] == across) & (runs[y] == down), "verdict"].value_counts()
            left = column - 0.5
            for name in [name for name in VERDICTS if name in counts]:
                width = counts[name] / counts.sum()
                ax.add_patch(Rectangle((left, row - 0.5), width, 1, facecolor=VERDICTS[name][1], edgecolor="none"))
                left += width
            if len(counts):
                letter, colour = VERDICTS[counts.index[0]]
                share = "" if len(counts) == 1 else f" {counts.iloc[0]}/{counts.sum()}"
                box = {"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "none"}
                ax.text(column, row, letter + share, ha="center", va="center", fontsize=8, color=_ink(colour), bbox=box)
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=1.5))
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xticks(range(len(columns)), [_label(value) for value in columns])
    ax.set_yticks(range(len(rows)), [_label(value) for value in rows])
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
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
    ax.set_ylabel("layer")
    ax.figure.colorbar(mesh, ax=ax, label="rms dZ (hatched: exactly 0)")
    return ax


def _ink(colour: str) -> str:
    """Return black or white, whichever is easier to read on a colour."""
    red, green, blue = to_rgb(colour)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "black"


def _label(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _cycle(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]
