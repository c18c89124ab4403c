"""Colours, labels and axes that all figures share."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

__all__ = ["COLOURS", "MARKERS", "VERDICT_STYLES", "ink", "labels", "log_scale", "name_ends", "values_of"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's colours, told apart by colour-blind readers too."""

MARKERS = "osD^vPX"
"""Beside the colours: who cannot tell those, or prints in grey, reads the shapes."""

VERDICT_STYLES = {
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

MOST_TICKS = 16
"""So many values are named along an axis."""


Array = NDArray[np.float64]


def values_of(frame: pd.DataFrame, key: str) -> list[object]:
    """Return the values of a key, sorted, and None last where it is missing."""
    return [*sorted(frame[key].dropna().unique()), *([None] if frame[key].isna().any() else [])]


def has_value(column: pd.Series, value: object) -> NDArray[np.bool_]:
    same = column.isna() if value is None else column == value
    return same.to_numpy(dtype=bool, na_value=False)


def places_of(column: pd.Series, values: Sequence[object]) -> Array:
    """Return for each run which of the values it has."""
    places = np.full(len(column), np.nan)
    for place, value in enumerate(values):
        places[has_value(column, value)] = place
    return places


def log_scale(ax: Axes) -> None:
    """Make the upright axis logarithmic, with plain numbers at 1, 2 and 5 where it spans little."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 300:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter("")


def draw_reference(ax: Axes, level: float, name: str) -> None:
    """Draw a dashed line across, named in the legend; its level stands outside, where it covers nothing."""
    ax.axhline(level, color="0.25", linestyle="--", linewidth=1, label=literal(name))
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


def with_unit(metric: str) -> str:
    units = {"accuracy": "share of right answers", "r2": "share of variance explained", "cost": "mean loss"}
    kind = metric.split("/")[0]
    return f"{metric} ({units[kind]})" if kind in units else metric


def _label(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else literal(f"{value}")


def labels(values: Sequence[object]) -> list[str]:
    """Return the names of values: numbers as short as they can be told apart."""
    short = [_label(value) for value in values]
    return short if len(set(short)) == len(short) else [_label(str(value)) for value in values]


def series_styles(values: Sequence[object]) -> list[tuple[object, str, str, str, str]]:
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


def legend_heading(key: str, values: Sequence[object]) -> str:
    """Return how a legend is headed: not all of many values stand in it."""
    return key if len(values) <= len(COLOURS) else f"{key}, {len(COLOURS)} of {len(values)} values"


def name_ticks(ax: Axes, values: Sequence[object]) -> None:
    """Name the places 0, 1, ... of the axis; of many values as many as have room."""
    step = -(-len(values) // MOST_TICKS)
    ax.set_xticks(range(0, len(values), step), labels(values)[::step])


def literal(text: str) -> str:
    """Return text from data as matplotlib must be told it, which reads formulas between dollar signs."""
    return text.replace("$", r"\$")
