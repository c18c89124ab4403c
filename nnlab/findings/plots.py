"""Figures of many runs: each a pure function (frame, ax) -> ax. None loads, saves or trains.

A value of a swept key has the same place and colour in every panel: those of `panels` know each other, others are given
the runs of all of them as `among`. Figures of a single network are in `nnlab.findings.portraits`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import ListedColormap, LogNorm, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from nnlab.findings.intervals import interval_name
from nnlab.findings.settings import varied
from nnlab.findings.statistics import aggregate

__all__ = [
    "COLOURS",
    "MARKERS",
    "VERDICTS",
    "clipped",
    "cost_curves",
    "count",
    "gradient_flow",
    "ink",
    "labels",
    "log_scale",
    "metric_by_value",
    "name_ends",
    "panels",
    "pooled",
    "signal_by_layer",
    "spread_name",
    "values_of",
    "verdict_map",
]

Array = NDArray[np.float64]

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


MOST_TICKS = 16
"""So many values are named along an axis."""

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
    whole = _whole(curves, ax, among)
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
    for number, (value, name, colour, marker, legend) in enumerate(_series(values)):
        band = bands[_is(bands[by], value)]
        if band.empty:
            continue
        lines = _lines(curves[_is(curves[by], value)], low, high)
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
            ax.plot([], [], **look, label=f"{_literal(name)}:\n{cost:.2g}, far below")
            continue
        ax.axhline(cost, **look, label=_literal(name))
        ends.append((cost, f"{cost:.3g}", "#404040"))
    ax.update_datalim([(0, low), (0, high)])
    ax.autoscale_view()
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.set_xlim(0, whole["iteration"].max())
    ax.set_xlabel("iteration")
    ax.set_ylabel("cost on the training data (mean loss)")
    name_ends(ax, ends)
    title = f"{_some(by, values)}:\n{_caption('median', curves, [by], whole, bands)}"
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
    whole = _whole(runs, ax, among)
    values = values_of(whole, x)
    keys = [x] if by is None else [by, x]
    table = aggregate(runs, metric, keys, statistic, allow_incomplete=True)
    groups: list[object] = [None] if by is None else values_of(whole, by)
    width = min(0.12, 0.7 / len(groups))
    for number, (group, _, colour, marker, legend) in enumerate(_series(groups)):
        ours, its = (runs, table) if by is None else (runs[_is(runs[by], group)], table[_is(table[by], group)])
        if its.empty:
            continue
        # Side by side, or the dots of one group would hide those of another.
        offset = (number - (len(groups) - 1) / 2) * width
        ax.plot(_places(ours[x], values) + offset, ours[metric].astype(float), ".", color=colour, alpha=0.3)
        reach = np.abs(its[["low", "high"]].sub(its["estimate"], axis=0).to_numpy().T)
        ax.errorbar(
            _places(its[x], values) + offset,
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
        _reference(ax, level, "best affine model")
    _name_ticks(ax, values)
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xlabel(x)
    ax.set_ylabel(_unit(metric))
    title = _caption(_NAMES[statistic], runs, keys, whole, table)
    if by is None:
        ax.set_title(title.replace("\n", " "), fontsize=8)
        title = ""
    if ax.get_legend_handles_labels()[1]:
        shown = f"{_some(by, groups)}:\n{title}" if by and title else ""
        ax.legend(title=shown, frameon=False, fontsize=8, title_fontsize=8)
    return ax


_NAMES = {"iqm": "interquartile mean", "median": "median", "mean": "mean"}


def verdict_map(runs: pd.DataFrame, ax: Axes, x: str, y: str, among: pd.DataFrame | None = None) -> Axes:
    """Draw a tile for each pair of values of two swept keys, in the colour and with the letter of its verdict.

    Where runs of one tile differ, as seeds do, the tile is divided into stripes as wide as their share of the runs, and
    carries the letter and count of the most frequent verdict, or the letters of all that are. A tile without runs stays
    empty.
    """
    whole = _whole(runs, ax, among)
    columns, rows = values_of(whole, x), values_of(whole, y)
    for name in [name for name in VERDICTS if name in set(runs["verdict"])]:
        letter, colour = VERDICTS[name]
        ax.add_patch(Rectangle((-9, -9), 1, 1, facecolor=colour, edgecolor="0.6", label=f"{letter}  {name}"))
    tiles, colours = [], []
    by_tile = pd.DataFrame(
        {"row": _places(runs[y], rows), "column": _places(runs[x], columns), "verdict": runs["verdict"].to_numpy()}
    ).groupby(["row", "column"])["verdict"]
    for place, verdicts in by_tile:
        row, column = np.asarray(place, np.float64).tolist()
        tile = verdicts.value_counts()
        left = column - 0.5
        for name in [name for name in VERDICTS if name in tile]:
            share = tile[name] / tile.sum()
            tiles.append(Rectangle((left, row - 0.5), share, 1))
            colours.append(VERDICTS[name][1])
            left += share
        first = [name for name in VERDICTS if tile.get(name) == tile.max()]
        letters, colour = " ".join(VERDICTS[name][0] for name in first), VERDICTS[first[0]][1]
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
    _name_ticks(ax, columns)
    ax.set_yticks(range(len(rows)), labels(rows))
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    over = pooled(runs, [x, y], whole)
    title = f"verdict of\n{_broken(over)};\na stripe is as wide as\nits share of the runs" if over else "verdict"
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
    whole = _whole(curves, ax, among)
    top = curves.loc[curves.groupby("fingerprint", observed=True)["layer"].idxmax()].set_index("fingerprint")["value"]
    above = curves["fingerprint"].map(top).astype(float)
    with np.errstate(over="ignore"):
        squares = np.square(curves["value"] / above.where(above > 0))
    ratio = curves.assign(value=squares).dropna(subset=["value"])
    table = aggregate(ratio, "value", [by, "layer"], "mean", resamples=BAND_RESAMPLES, allow_incomplete=True)
    table[["estimate", "low", "high"]] = np.sqrt(table[["estimate", "low", "high"]])
    values = values_of(whole, by)
    for value, _, colour, marker, legend in _series(values):
        line = table[_is(table[by], value)]
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
    title = f"{_some(by, values)}:\n{_caption('root mean square', curves, [by], whole, table)}"
    ax.legend(title=title, frameon=False, fontsize=8, title_fontsize=8)
    return ax


# ---- what runs have in common


_PANELS: "WeakKeyDictionary[object, pd.DataFrame]" = WeakKeyDictionary()
"""The runs of all panels of a figure of `panels`."""


def _whole(frame: pd.DataFrame, ax: Axes, among: pd.DataFrame | None) -> pd.DataFrame:
    """Return the runs whose values have the same places and colours."""
    return among if among is not None else _PANELS.get(ax.figure, frame)


def values_of(frame: pd.DataFrame, key: str) -> list[object]:
    """Return the values of a key, sorted, and None last where it is missing."""
    return [*sorted(frame[key].dropna().unique()), *([None] if frame[key].isna().any() else [])]


def _is(column: pd.Series, value: object) -> NDArray[np.bool_]:
    same = column.isna() if value is None else column == value
    return same.to_numpy(dtype=bool, na_value=False)


def _places(column: pd.Series, values: Sequence[object]) -> Array:
    """Return for each run which of the values it has."""
    places = np.full(len(column), np.nan)
    for place, value in enumerate(values):
        places[_is(column, value)] = place
    return places


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


def _caption(
    statistic: str, frame: pd.DataFrame, shown: Sequence[str], whole: pd.DataFrame, table: pd.DataFrame
) -> str:
    """Return what is drawn of which runs: a statistic over what is pooled, and what its interval is called."""
    over = pooled(frame, shown, whole)
    if not over:
        return "one run each"
    kind = "mean" if statistic in ("mean", "root mean square") else "iqm"
    ends = f"\nand its {spread_name(frame, shown, whole, kind)}" if table["low"].notna().any() else ""
    return f"{statistic} over\n{_broken(over)}{ends}"


def spread_name(
    frame: pd.DataFrame, shown: Sequence[str], whole: pd.DataFrame | None = None, statistic: str = "iqm"
) -> str:
    """Return what the intervals of a figure's points are called, given the keys that tell the points apart."""
    counts = _pooled(frame, shown, whole)
    seeds = int(counts["seed"].max()) if "seed" in counts else 1
    return interval_name(seeds, statistic, pooled=list(counts) != ["seed"])


def _broken(words: str) -> str:
    return words.replace(", ", ",\n").replace(" and ", "\nand ")


# ---- several of them on a page


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
    return [(name, _is(frame[key], value)) for value, name in zip(values, labels(values), strict=True)]


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


def log_scale(ax: Axes) -> None:
    """Make the upright axis logarithmic, with plain numbers at 1, 2 and 5 where it spans little."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 300:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter("")


def _reference(ax: Axes, level: float, name: str) -> None:
    """Draw a dashed line across, named in the legend; its level stands outside, where it covers nothing."""
    ax.axhline(level, color="0.25", linestyle="--", linewidth=1, label=_literal(name))
    ax.text(1.01, level, f"{level:.3g}", transform=ax.get_yaxis_transform(), va="center", fontsize=7, color="0.25")


def name_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write names at the heights where lines end, outside to the right, as far apart as they are high.

    `ends` are (height in data units, name, colour), of which not finite ones are left out. Names stay beside their
    lines when the limits change later, as those of panels that share an axis do.
    """
    ends = sorted(end for end in ends if np.isfinite(end[0]))
    side = ax.get_xlim()[1]
    wanted = np.array([72 * ax.transData.transform((side, level))[1] / ax.figure.dpi for level, _, _ in ends])  # points
    apart = 8.0 * np.arange(len(ends))
    # Pushed up from below, and down from above: halfway between both is as far apart as either.
    up = np.maximum.accumulate(wanted - apart) + apart
    down = np.minimum.accumulate((wanted - apart)[::-1])[::-1] + apart
    for shift, (level, name, colour) in zip((up + down) / 2 - wanted, ends, strict=True):
        ax.annotate(
            *(name, (1.01, level)),
            xycoords=ax.get_yaxis_transform(),
            xytext=(0, shift),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color=tuple(0.7 * part for part in to_rgb(colour)),
            annotation_clip=False,
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
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else _literal(f"{value}")


def labels(values: Sequence[object]) -> list[str]:
    """Return the names of values: numbers as short as they can be told apart."""
    short = [_label(value) for value in values]
    return short if len(set(short)) == len(short) else [_label(str(value)) for value in values]


def _series(values: Sequence[object]) -> list[tuple[object, str, str, str, str]]:
    """Return each value with its name, colour, marker and legend entry, which starts with _ where it has none.

    More values than there are colours take those of a scale, in their order, and a few of them stand in the legend.
    """
    count, names = len(values), labels(values)
    scale = [to_hex(colormaps["viridis"](place)) for place in np.linspace(0, 0.9, count)]
    colours = COLOURS if count <= len(COLOURS) else scale
    named = set(np.linspace(0, count - 1, min(count, len(COLOURS))).round().astype(int).tolist())
    return [
        (value, name, colours[place], MARKERS[place % len(MARKERS)], name if place in named else f"_{name}")
        for place, (value, name) in enumerate(zip(values, names, strict=True))
    ]


def _some(key: str, values: Sequence[object]) -> str:
    """Return how a legend is headed: not all of many values stand in it."""
    return key if len(values) <= len(COLOURS) else f"{key}, {len(COLOURS)} of {len(values)} values"


def _name_ticks(ax: Axes, values: Sequence[object]) -> None:
    """Name the places 0, 1, ... of the axis; of many values as many as have room."""
    step = -(-len(values) // MOST_TICKS)
    ax.set_xticks(range(0, len(values), step), labels(values)[::step])


def _literal(text: str) -> str:
    """Return text from data as matplotlib must be told it, which reads formulas between dollar signs."""
    return text.replace("$", r"\$")
