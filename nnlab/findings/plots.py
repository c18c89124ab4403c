"""Figures of many runs.

Each figure is a pure function `(frame, ax, ..., among=None) -> ax` that neither loads, saves nor trains. `among` are
the runs of all panels if `frame` is one of several: a value then has the same place and colour in every panel (see
`nnlab.findings.panels`). Maps are in `nnlab.findings.maps`, figures of a single network in `nnlab.findings.portraits`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from nnlab.findings.panels import caption
from nnlab.findings.statistics import aggregate
from nnlab.findings.style import (
    SMALL_LEGEND,
    SeriesStyle,
    draw_reference,
    has_value,
    legend_title,
    literal,
    log_scale,
    metric_label,
    name_ends,
    name_ticks,
    places_of,
    series_styles,
    values_of,
)

__all__ = ["clipped_runs", "cost_curves", "gradient_flow", "metric_by_value", "signal_by_layer"]

Array = NDArray[np.float64]

BAND_RESAMPLES = 200
"""Bootstrap samples of a band: its edge is drawn one pixel wide, and a band has dozens of checkpoints."""


# ---- cost while training

MOST_LABELS = 6
"""The most lines that are named at their ends too."""

FAR_BELOW = 30
"""References below all runs by more than this factor are named and not drawn."""

MOST_COST = 1e3
"""Costs above this multiple of their median are drawn at the upper edge: a scale up to 1e300 would show nothing."""


def cost_curves(
    curves: pd.DataFrame,
    ax: Axes,
    by: str,
    references: Mapping[str, float] | None = None,
    among: pd.DataFrame | None = None,
) -> Axes:
    """Draw the cost of each run against the iteration, and for each value of `by` the median with its interval.

    Runs are thin lines, medians thick lines, and intervals over seeds bands around them.

    `curves` has the columns iteration, value, fingerprint, seed, and every config key that varies between the runs;
    these keys are the strata of the interval (`statistics.aggregate`). `references` are costs to compare with by name.
    They are dashed; those far below all runs are only named in the legend.

    The iteration axis is logarithmic from 1 on, since most happens early. A cost that is not finite counts as infinite
    in the median. Costs far above the others are drawn at the upper edge, and the legend says how many runs have one.
    """
    whole = curves if among is None else among
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
    values, ends = values_of(whole, by), []
    for number, style in enumerate(series_styles(values)):
        runs, band = (frame[has_value(frame[by], style.value)] for frame in (curves, bands))
        if not band.empty:
            last = _draw_band(ax, runs, band, style, (low, high), marked_from=number)
            ends.append((last, style.name, style.colour))
    if len(values) > MOST_LABELS:
        ends.clear()
    ends += _draw_references(ax, references or {}, lowest=low / FAR_BELOW)
    ax.update_datalim([(0, low), (0, high)])
    ax.autoscale_view()
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.set_xlim(0, whole["iteration"].max())
    ax.set_xlabel("iteration")
    ax.set_ylabel("cost on the training data (mean loss)")
    name_ends(ax, ends)
    title = f"{legend_title(by, values)}:\n{caption('median', curves, [by], whole, bands)}{_clipping(whole)}"
    ax.legend(title=title, **SMALL_LEGEND)
    return ax


def clipped_runs(curves: pd.DataFrame) -> int:
    """Return the number of runs with a cost that is not finite or lies above the upper edge of `cost_curves`."""
    values = curves["value"].to_numpy(np.float64)
    _, high = _drawable(values)
    return int(curves.loc[~(values <= high), "fingerprint"].nunique())


def _clipping(curves: pd.DataFrame) -> str:
    """Return the number of clipped runs as the end of a legend's title, empty if there are none."""
    count, runs = clipped_runs(curves), curves["fingerprint"].nunique()
    return f"\n({count} of {runs} runs leave at the\nupper edge and lie on it)" if count else ""


def _drawable(costs: Array) -> tuple[float, float]:
    """Return the lowest and the highest cost to draw on a log axis."""
    positive = costs[np.isfinite(costs) & (costs > 0)]
    if not positive.size:
        return 0.1, 1.0
    return float(positive.min()), float(min(positive.max(), MOST_COST * np.median(positive)))


def _draw_band(
    ax: Axes,
    runs: pd.DataFrame,
    band: pd.DataFrame,
    style: SeriesStyle,
    limits: tuple[float, float],
    marked_from: int,
) -> float:
    """Draw the curves of the runs with one value, their median and its band; return the median at the end."""
    colour = style.colour
    lines = LineCollection(_run_lines(runs, *limits), colors=colour, alpha=0.25, linewidths=0.5)
    ax.add_collection(lines, autolim=True)
    middle, bottom, top = (band[name].clip(*limits) for name in ("estimate", "low", "high"))
    ax.fill_between(band["iteration"], bottom, top, color=colour, alpha=0.25, linewidth=0)
    ax.plot(
        *(band["iteration"], middle),
        color=colour,
        linewidth=2,
        marker=style.marker,
        markevery=(marked_from, 7),
        markersize=4.5,
        label=style.legend,
    )
    return float(middle.iloc[-1])


def _run_lines(curves: pd.DataFrame, low: float, high: float) -> list[Array]:
    """Return the points (iteration, value) of every run, sorted once: grouping thousands of runs is slow."""
    run = pd.factorize(curves["fingerprint"])[0]
    value = np.nan_to_num(curves["value"].to_numpy(np.float64), nan=np.inf)
    points = np.column_stack([curves["iteration"].to_numpy(np.float64), value.clip(low, high)])
    order = np.lexsort((points[:, 0], run))
    return np.split(points[order], np.flatnonzero(np.diff(run[order])) + 1)


def _draw_references(ax: Axes, references: Mapping[str, float], lowest: float) -> list[tuple[float, str, str]]:
    """Draw costs to compare with, the highest first; return the names at the ends of their lines."""
    ends = []
    highest_first = sorted(references.items(), key=lambda reference: -reference[1])
    for (name, cost), style in zip(highest_first, ("--", ":", "-.") * len(highest_first), strict=False):
        look: dict[str, Any] = {"color": "0.25", "linestyle": style, "linewidth": 1}
        if cost < lowest:  # its line would press all others flat
            ax.plot([], [], **look, label=f"{literal(name)}:\n{cost:.2g}, far below")
            continue
        ax.axhline(cost, **look, label=literal(name))
        ends.append((cost, f"{cost:.3g}", "#404040"))
    return ends


# ---- a final metric


def metric_by_value(
    runs: pd.DataFrame,
    ax: Axes,
    metric: str,
    x: str,
    by: str | None = None,
    statistic: str = "iqm",
    among: pd.DataFrame | None = None,
) -> Axes:
    """Draw a final metric against a swept value: each run as a dot, and the statistic over seeds with its interval.

    Each value of `by` has a colour and a marker. If `runs` has the metric of an affine model on the same data
    (`reference/affine_...`) and it is the same for all of them, it is a dashed line: a network that is not above it has
    gained nothing from being one.
    """
    whole = runs if among is None else among
    values = values_of(whole, x)
    keys = [x] if by is None else [by, x]
    table = aggregate(runs, metric, keys, statistic, allow_incomplete=True)
    groups: list[object] = [None] if by is None else values_of(whole, by)
    width = min(0.12, 0.7 / len(groups))
    for number, style in enumerate(series_styles(groups)):
        dots, points = (frame if by is None else frame[has_value(frame[by], style.value)] for frame in (runs, table))
        if points.empty:
            continue
        # Side by side, so that no group hides the dots of another.
        offset = (number - (len(groups) - 1) / 2) * width
        dots_at, points_at = (places_of(frame[x], values) + offset for frame in (dots, points))
        ax.plot(dots_at, dots[metric].astype(float), ".", color=style.colour, alpha=0.3)
        _draw_points(ax, points_at, points, style, None if by is None else style.legend)
    _draw_baseline(ax, runs, f"reference/affine_{metric}")
    name_ticks(ax, values)
    ax.set_xlim(-0.5, len(values) - 0.5)
    ax.set_xlabel(x)
    ax.set_ylabel(metric_label(metric))
    title = caption(statistic, runs, keys, whole, table)
    if by is None:
        ax.set_title(title.replace("\n", " "), fontsize=8)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(title=f"{legend_title(by, groups)}:\n{title}" if by else "", **SMALL_LEGEND)
    return ax


def _draw_points(ax: Axes, places: Array, points: pd.DataFrame, style: SeriesStyle, legend: str | None) -> None:
    """Draw estimates with their intervals; an end at infinity is left out."""
    reach = np.abs(points[["low", "high"]].sub(points["estimate"], axis=0).to_numpy().T)
    ax.errorbar(
        places,
        points["estimate"].to_numpy(),
        np.nan_to_num(reach, posinf=0),
        color=style.colour,
        marker=style.marker,
        markersize=4.5,
        linewidth=1.5,
        capsize=2.5,
        label=legend,
    )


def _draw_baseline(ax: Axes, runs: pd.DataFrame, key: str) -> None:
    if key in runs and runs[key].nunique(dropna=False) == 1 and np.isfinite(level := runs[key].iloc[0]):
        draw_reference(ax, level, "affine model")


# ---- the back-propagated signal


def gradient_flow(
    curves: pd.DataFrame,
    ax: Axes,
    limits: tuple[float, float] | None = None,
    theory: Sequence[float] | None = None,
) -> Axes:
    """Draw the size of the back-propagated signal, rms dZ, by layer and iteration, as a heat map in log colours.

    `curves` has the quantity signal/rms_dZ of one run, or of several, whose median is drawn. `limits` are the ends of
    the colour scale, for panels that share it; the colour bar has an arrow if values lie beyond. Exact zeros, which a
    log scale cannot show, are hatched. `theory` has the ratios of layers 1, 2, ... to the output before training, from
    `nnlab.findings.expected.signal_by_layer`. It is a column to the left of iteration 0 in the same colours, scaled by
    what was measured at the output.
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
    colours: dict[str, Any] = {"norm": LogNorm(low, high), "cmap": "viridis", "rasterized": True}
    mesh = ax.pcolormesh(edges, layers, np.ma.masked_where(~(values > 0), values), **colours)
    zeros = np.ma.masked_where(values != 0, np.ones_like(values))
    ax.pcolor(edges, layers, zeros, cmap=ListedColormap(["#EEEEEE"]), hatch="///", edgecolor="0.6", linewidth=0)
    ax.set_xscale("symlog", linthresh=1)
    if theory is not None:
        expected = np.asarray(theory, np.float64)[:, None] * values[-1, 0]
        _draw_theory(ax, layers, expected, edges[-1], colours)
        positive = np.append(positive, expected)
    ax.set_yticks(range(1, len(table) + 1), [f"{layer}" for layer in table.index])
    ax.set_xlabel("iteration")
    ax.set_ylabel("layer (1: next to the inputs)")
    beyond = (bool((positive < low).any()), bool((positive > high).any()))
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond, "neither")
    ax.figure.colorbar(mesh, ax=ax, label="rms dZ (hatched: exactly 0)", extend=extend)
    return ax


def _draw_theory(ax: Axes, layers: NDArray[np.floating], expected: Array, last: float, colours: dict[str, Any]) -> None:
    """Draw the expected signal (layers, 1) as a column to the left of iteration 0; `last` ends the iteration axis."""
    ax.pcolormesh([-1.1, -0.65], layers, expected, **colours)
    halo = withStroke(linewidth=2, foreground="white")
    ax.text(-0.87, layers.mean(), "theory", fontsize=7, rotation=90, ha="center", va="center", path_effects=[halo])
    ax.set_xticks([tick for tick in ax.get_xticks() if 0 <= tick <= last])
    ax.set_xlim(-1.1, last)


def signal_by_layer(
    curves: pd.DataFrame,
    ax: Axes,
    by: str,
    theory: Mapping[Any, Sequence[float]] | None = None,
    among: pd.DataFrame | None = None,
) -> Axes:
    """Draw how much of the output's error signal reaches each layer: rms dZ of the layer over rms dZ of the output.

    `curves` has signal/rms_dZ at one iteration, with the columns fingerprint, seed, layer, value and every config key
    that varies. Solid lines show, for each value of `by`, the root of the mean over runs of the squared ratio, with its
    interval over seeds; theory predicts this mean square. Runs whose output has no error at all are left out. Dashed
    lines show `theory`: for each value of `by` the ratios of layers 1, 2, ..., from
    `nnlab.findings.expected.signal_by_layer`. On a straight line the signal falls by the same factor in every layer.
    """
    whole = curves if among is None else among
    ratios = _squared_ratios(curves)
    table = aggregate(ratios, "value", [by, "layer"], "mean", resamples=BAND_RESAMPLES, allow_incomplete=True)
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
    title = f"{legend_title(by, values)}:\n{caption('root mean square', curves, [by], whole, table)}"
    ax.legend(title=title, **SMALL_LEGEND)
    return ax


def _squared_ratios(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves with the square of each layer's signal over the output's as value, where the output has any."""
    top = curves.loc[curves.groupby("fingerprint", observed=True)["layer"].idxmax()].set_index("fingerprint")["value"]
    output = curves["fingerprint"].map(top).astype(float)
    with np.errstate(over="ignore"):
        squares = np.square(curves["value"] / output.where(output > 0))
    return curves.assign(value=squares).dropna(subset=["value"])
