"""Colours, labels and axes that all figures share."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from nnlab.diagnostics.outcome import NOT_MEASURED

__all__ = [
    "COLOURS",
    "LETTERS",
    "MARKERS",
    "OUTCOME_COLOURS",
    "SMALL_LEGEND",
    "SeriesStyle",
    "draw_reference",
    "has_value",
    "ink",
    "labels",
    "legend_title",
    "literal",
    "log_scale",
    "metric_label",
    "name_ends",
    "name_ticks",
    "places_of",
    "series_styles",
    "shaded",
    "values_of",
]

Array = NDArray[np.float64]


# ---- colours

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe & Ito, which colour-blind readers can distinguish too."""

MARKERS = "osD^vPX"
"""One shape beside each colour, for readers who cannot distinguish the colours or print in grey."""

OUTCOME_COLOURS = {
    "learned": "#009E73",
    "partly": "#F0E442",
    "not learned": "#D55E00",
    "diverged": "#000000",
    "nothing to learn": "#56B4E9",
    NOT_MEASURED: "#BBBBBB",
}
"""The colour of every outcome; the first three are paler where less was learned."""

PALEST = 0.55
"""The part of its colour that an outcome keeps where nothing was learned."""

TYPICAL_SHARES = {"learned": 1.0, "partly": 0.6, "not learned": 0.1}
"""What was learned with these outcomes in the middle of their range, for the colours of legends."""

LETTERS = {
    "healthy": "H",
    "diverged": "X",
    "frozen": "F",
    "symmetric": "S",
    "dead": "D",
    "saturated": "T",
    "vanishing": "V",
    "exploding": "E",
    "overshooting": "O",
    "unscaled": "C",
    "linear": "L",
    "plateau": "P",
    "slow": "W",
    "unfinished": "U",
    "unexplained": "?",
    "stuck": "K",
    "narrow": "N",
    "nothing to learn": "\N{EMPTY SET}",
    "failed": "!",
}
"""The letter of every verdict and of every cause that only other runs can show."""


def shaded(outcome: str, learned: float | None = None) -> str:
    """Return the colour of an outcome, paler if only a part of what can be learned was learned.

    Without `learned`, return the colour for a legend.
    """
    if outcome not in TYPICAL_SHARES:
        return OUTCOME_COLOURS[outcome]
    share = TYPICAL_SHARES[outcome] if learned is None else learned
    strength = PALEST + (1 - PALEST) * min(max(share, 0.0), 1.0)
    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(OUTCOME_COLOURS[outcome]))
    return to_hex((red, green, blue))


class SeriesStyle(NamedTuple):
    """A value with its name, colour and marker, and its legend entry, which starts with _ if it has none."""

    value: object
    name: str
    colour: str
    marker: str
    legend: str


def series_styles(values: Sequence[object]) -> list[SeriesStyle]:
    """Return the style of each value.

    If there are more values than colours, they get the colours of a scale in their order, and a few of them get a
    legend entry.
    """
    count, names = len(values), labels(values)
    scale = [to_hex(colormaps["viridis"](place)) for place in np.linspace(0, 0.9, count)]
    colours = COLOURS if count <= len(COLOURS) else scale
    named = set(np.linspace(0, count - 1, min(count, len(COLOURS))).round().astype(int).tolist())
    return [
        SeriesStyle(value, name, colours[place], MARKERS[place % len(MARKERS)], name if place in named else f"_{name}")
        for place, (value, name) in enumerate(zip(values, names, strict=True))
    ]


def ink(colour: str) -> str:
    """Return black or white, whichever has more contrast with a colour (WCAG 2, relative luminance)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    luminance = float(np.dot([0.2126, 0.7152, 0.0722], linear))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "black"


# ---- values of a key, and their labels


def values_of(frame: pd.DataFrame, key: str) -> list[object]:
    """Return the sorted values of a key, with None last if any row has none."""
    return [*sorted(frame[key].dropna().unique()), *([None] if frame[key].isna().any() else [])]


def has_value(column: pd.Series, value: object) -> NDArray[np.bool_]:
    """Return True for each row that has a value; None stands for a missing one."""
    same = column.isna() if value is None else column == value
    return same.to_numpy(dtype=bool, na_value=False)


def places_of(column: pd.Series, values: Sequence[object]) -> Array:
    """Return the place of each row's value among the values, NaN for rows with another value."""
    places = np.full(len(column), np.nan)
    for place, value in enumerate(values):
        places[has_value(column, value)] = place
    return places


def labels(values: Sequence[object]) -> list[str]:
    """Return the labels of values, with numbers as short as they can be while all labels differ."""
    short = [_label(value) for value in values]
    return short if len(set(short)) == len(short) else [_label(str(value)) for value in values]


def _label(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else literal(f"{value}")


def literal(text: str) -> str:
    """Return text from data with its dollar signs escaped, since matplotlib reads formulas between them."""
    return text.replace("$", r"\$")


def metric_label(metric: str) -> str:
    """Return the name of a metric with its unit: `accuracy/test (share of right answers)`."""
    units = {"accuracy": "share of right answers", "r2": "share of variance explained", "cost": "mean loss"}
    kind = metric.split("/")[0]
    return f"{metric} ({units[kind]})" if kind in units else metric


def legend_title(key: str, values: Sequence[object]) -> str:
    """Return the title of a legend for a key, which says how many of the values it lists if it cannot list all."""
    return key if len(values) <= len(COLOURS) else f"{key}, {len(COLOURS)} of {len(values)} values"


# ---- axes and legends

SMALL_LEGEND: dict[str, Any] = {"frameon": False, "fontsize": 8, "title_fontsize": 8}

MOST_TICKS = 16
"""The most values that are named along an axis."""

NAME_HEIGHT = 8.0
"""The least distance in points between names at the ends of lines."""


def name_ticks(ax: Axes, values: Sequence[object]) -> None:
    """Name the places 0, 1, ... of the horizontal axis; if there are many, only as many as there is room for."""
    step = -(-len(values) // MOST_TICKS)
    ax.set_xticks(range(0, len(values), step), labels(values)[::step])


def log_scale(ax: Axes) -> None:
    """Make the vertical axis logarithmic, with plain numbers at 1, 2 and 5 if it covers a small range."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 300:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.yaxis.set_minor_formatter("")


def draw_reference(ax: Axes, level: float, name: str) -> None:
    """Draw a dashed horizontal line with its name in the legend and its level to the right of the axes."""
    ax.axhline(level, color="0.25", linestyle="--", linewidth=1, label=literal(name))
    ax.text(1.01, level, f"{level:.3g}", transform=ax.get_yaxis_transform(), va="center", fontsize=7, color="0.25")


def name_ends(ax: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Write names to the right of the axes at the heights where lines end, moved apart where they would overlap.

    `ends` are (height in data units, name, colour); those with a height that is not finite are left out. Names stay
    beside their lines when the limits change later, as they do in panels that share an axis.
    """
    ends = sorted(end for end in ends if np.isfinite(end[0]))
    side = ax.get_xlim()[1]
    # In points.
    heights = np.array([72 * ax.transData.transform((side, level))[1] / ax.figure.dpi for level, _, _ in ends])
    apart = NAME_HEIGHT * np.arange(len(ends))
    # Pushed up from below, and down from above: the average of both keeps the same distances.
    up = np.maximum.accumulate(heights - apart) + apart
    down = np.minimum.accumulate((heights - apart)[::-1])[::-1] + apart
    for shift, (level, name, colour) in zip((up + down) / 2 - heights, ends, strict=True):
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
