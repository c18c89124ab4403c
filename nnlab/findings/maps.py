"""Maps: a tile for each pair of values of two swept keys, with what became of its runs or what would have helped.

Each is a pure function `(frame, ax, x, y, among=None) -> ax`, like the figures of `nnlab.findings.plots`.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from nnlab.diagnostics.outcome import average_share
from nnlab.findings.load import NONE_FOUND
from nnlab.findings.panels import pooled, wrapped
from nnlab.findings.style import (
    LETTERS,
    OUTCOME_COLOURS,
    SMALL_LEGEND,
    ink,
    labels,
    name_ticks,
    places_of,
    shaded,
    values_of,
)

__all__ = ["cure_map", "verdict_map"]

LARGEST, SMALLEST = 8.0, 5.0
"""Sizes in points between which the words on a tile are fitted to it."""
MOST_LETTERS = 3
"""The most letters on a tile."""
LEAST_WITH_COUNT = 6.5
"""Where words with a count would be smaller than this, the count is left out: the stripes show it."""


class Stripe(NamedTuple):
    """A part of a tile: its share of the runs, and its colour."""

    share: float
    colour: str
    hatch: str = ""


# ---- verdicts


def verdict_map(runs: pd.DataFrame, ax: Axes, x: str, y: str, among: pd.DataFrame | None = None) -> Axes:
    """Draw a tile for each pair of values of two swept keys: its colour is the outcome, its letter the cause.

    The colour is paler where less was learned (the mean of `learned/train`). The cause is the verdict, or the sweep
    cause where there is one. If the runs of a tile have several outcomes, as seeds may, the tile is divided into
    stripes as wide as their share of the runs. It carries the letter and count of the most frequent cause, or the
    letters of causes that are equally frequent; where tiles are small, there is no count. A tile without runs is empty.
    """
    whole = runs if among is None else among
    runs = runs.assign(cause=_causes(runs))
    if "learned/train" not in runs:
        runs = runs.assign(**{"learned/train": np.nan})
    for column, row, tile in _tiles(runs, ax, x, y, whole):
        stripes = {
            outcome: Stripe(len(some) / len(tile), shaded(outcome, average_share(some["learned/train"].tolist())))
            for outcome in OUTCOME_COLOURS
            if len(some := tile[tile["outcome"] == outcome])
        }
        _draw_stripes(ax, column, row, list(stripes.values()))
        _write_causes(ax, column, row, tile, stripes)
    for outcome in [outcome for outcome in OUTCOME_COLOURS if outcome in set(whole["outcome"])]:
        ax.add_patch(Rectangle((-9, -9), 1, 1, facecolor=shaded(outcome), edgecolor="0.6", label=outcome))
    for name in [name for name in LETTERS if name in set(_causes(whole))]:
        ax.plot([], [], linestyle="none", label=f"{LETTERS[name]}  {name}")
    over = pooled(runs, [x, y], whole)
    stripe = f"of\n{wrapped(over)}\n(a stripe is as wide as\nits share of the runs)" if over else ""
    title = f"colour: outcome{stripe and ' '}{stripe},\npaler if less was learned;\nletter: cause"
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), **SMALL_LEGEND)
    return ax


def _causes(runs: pd.DataFrame) -> pd.Series:
    return runs["verdict"].where(runs["sweep_cause"] == "", runs["sweep_cause"])


def _write_causes(ax: Axes, column: float, row: float, tile: pd.DataFrame, stripes: dict[str, Stripe]) -> None:
    """Write the letters of the most frequent causes on a tile, with their count if it has several causes."""
    counts = tile["cause"].value_counts()
    first = [name for name in LETTERS if counts.get(name) == counts.max()]
    more = " \N{HORIZONTAL ELLIPSIS}" if len(first) > MOST_LETTERS else ""
    letters = " ".join(LETTERS[name] for name in first[:MOST_LETTERS]) + more
    outcome = tile.loc[tile["cause"] == first[0], "outcome"].mode().iloc[0]
    text = f"{letters} {counts.max()}/{counts.sum()}" if len(counts) > 1 else letters
    if _fitting_size(ax, [text]) < LEAST_WITH_COUNT:
        text = letters
    _write(ax, column, row, [text], stripes[outcome].colour, divided=len(stripes) > 1)


# ---- cures

ASPECTS = {
    "width": ("more units", "#0072B2"),
    "depth": ("fewer layers", "#56B4E9"),
    "activation": ("activation", "#009E73"),
    "scheme": ("initial weights", "#E69F00"),
    "larger scale": ("initial weights", "#E69F00"),
    "smaller scale": ("initial weights", "#E69F00"),
    "larger steps": ("learning rate", "#D55E00"),
    "smaller steps": ("learning rate", "#D55E00"),
    "iterations": ("more iterations", "#CC79A7"),
    "data": ("standardized data", "#F0E442"),
    "batch": ("batch size", "#999933"),
    "precision": ("precision", "#882255"),
}
"""The name and the colour of what a change changes."""
OTHER_ASPECT = ("something else", "#999999")

WITHOUT_CURE = {
    NONE_FOUND: Stripe(1.0, "#4D4D4D"),
    "not explained": Stripe(1.0, "#FFFFFF", "////"),
    "learned": Stripe(1.0, "#EAF4F0"),
    "nothing to learn": Stripe(1.0, "#E3F1FA"),
}

SHORT_WORDS = {
    "learning rate": "rate",
    "iterations": "iters",
    "standardized": "stand.",
    "one hidden layer": "one layer",
    " and ": " + ",
}
LONGEST_LINE = 8


def cure_map(runs: pd.DataFrame, ax: Axes, x: str, y: str, among: pd.DataFrame | None = None) -> Axes:
    """Draw, for each pair of values of two swept keys that did not learn, the smallest change that would have helped.

    `runs` has the columns of `nnlab.findings.load.with_cures`. A tile has the colour of what is changed, the change
    that is named as the cause, and below it the number of other changes that suffice: `+2`. If two changes are needed,
    or if a tile pools several settings, it is divided. Tiles of settings that learned are pale.
    """
    whole = runs if among is None else among
    for column, row, tile in _tiles(runs, ax, x, y, whole):
        counts = tile["cure"].value_counts()
        first = str(counts.index[0])
        stripes = []
        for cure, count in counts.items():
            parts = _parts_of(str(cure), tile.loc[tile["cure"] == cure, "aspects"].iloc[0])
            stripes += [part._replace(share=count / len(tile) / len(parts)) for part in parts.values()]
        _draw_stripes(ax, column, row, stripes)
        others = tile.loc[tile["cure"] == first, "others"].iloc[0]
        lines = [*_short(first), *([f"+{len(others)}"] if others else [])]
        if first not in ("learned", "not explained"):
            _write(ax, column, row, lines, stripes[0].colour, divided=len(stripes) > 1)
    pairs = zip(whole["cure"], whole["aspects"], strict=True)
    seen = {name: part for cure, aspects in pairs for name, part in _parts_of(cure, aspects).items()}
    order = list(dict.fromkeys([*(name for name, _ in ASPECTS.values()), OTHER_ASPECT[0], *WITHOUT_CURE]))
    for name in sorted(seen, key=order.index):
        _, colour, hatch = seen[name]
        ax.add_patch(Rectangle((-9, -9), 1, 1, facecolor=colour, hatch=hatch, edgecolor="0.6", label=name))
    title = "what to change, so that\n4 of 5 seeds learn;\n+2: two other changes\nwould do as well"
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), **SMALL_LEGEND)
    return ax


def _parts_of(cure: str, aspects: Sequence[str]) -> dict[str, Stripe]:
    """Return the names and the looks of what a cure changes."""
    if cure in WITHOUT_CURE:
        return {cure: WITHOUT_CURE[cure]}
    return {name: Stripe(1.0, colour) for name, colour in (ASPECTS.get(one, OTHER_ASPECT) for one in aspects)}


def _short(cure: str) -> list[str]:
    """Return a change in short lines: `learning rate x 10` as `rate`, `x 10`."""
    for word, short in SHORT_WORDS.items():
        cure = cure.replace(word, short)
    for sign in ("x ", "+ ", "- "):
        cure = cure.replace(f" {sign}", f" {sign[0]}\N{NO-BREAK SPACE}")
    return textwrap.wrap(cure, LONGEST_LINE, break_long_words=False)


# ---- tiles


def _tiles(
    runs: pd.DataFrame, ax: Axes, x: str, y: str, whole: pd.DataFrame
) -> Iterator[tuple[float, float, pd.DataFrame]]:
    """Prepare the axes of a map; yield the column, the row and the runs of every tile that has some."""
    columns, rows = values_of(whole, x), values_of(whole, y)
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.tick_params(length=0)
    for border in np.arange(len(columns) + 1) - 0.5:
        ax.axvline(border, color="white", linewidth=1.5)
    for border in np.arange(len(rows) + 1) - 0.5:
        ax.axhline(border, color="white", linewidth=1.5)
    name_ticks(ax, columns)
    ax.set_yticks(range(len(rows)), labels(rows))
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    for place, tile in runs.groupby([places_of(runs[x], columns), places_of(runs[y], rows)]):
        column, row = np.asarray(place, np.float64).tolist()
        yield column, row, tile


def _draw_stripes(ax: Axes, column: float, row: float, stripes: Sequence[Stripe]) -> None:
    left = column - 0.5
    for stripe in stripes:
        edge = "0.8" if stripe.hatch else "none"
        place = (left, row - 0.5)
        ax.add_patch(
            Rectangle(place, stripe.share, 1, facecolor=stripe.colour, hatch=stripe.hatch, edgecolor=edge, linewidth=0)
        )
        left += stripe.share


def _write(ax: Axes, column: float, row: float, lines: Sequence[str], colour: str, *, divided: bool) -> None:
    """Write lines on a tile of this colour; on a divided one, in a box that separates them from the stripes."""
    box = {"boxstyle": "round,pad=0.2", "facecolor": colour, "edgecolor": "white", "linewidth": 1.0}
    look = {"fontsize": _fitting_size(ax, lines), "color": ink(colour), "linespacing": 1.1}
    ax.text(column, row, "\n".join(lines), look, ha="center", va="center", bbox=box if divided else None)


def _fitting_size(ax: Axes, lines: Sequence[str]) -> float:
    """Return the size in points in which lines fit on a tile, estimated before the layout of the figure is known."""
    box = ax.get_window_extent()
    points = 72 / ax.figure.dpi
    # A legend takes about a fifth of the width, titles as much of the height; a letter is about 0.6 em wide.
    width = 0.8 * box.width * points / (ax.get_xlim()[1] + 0.5)
    height = 0.8 * box.height * points / (ax.get_ylim()[0] + 0.5)
    fitting = min(width / (0.6 * max(map(len, lines)) + 0.5), height / (1.2 * len(lines) + 0.6))
    return float(np.clip(fitting, SMALLEST, LARGEST))
