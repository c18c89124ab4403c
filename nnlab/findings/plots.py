"""Figures: each a pure function (frame, ax) -> ax. None loads, saves or trains."""

import pandas as pd
from matplotlib.axes import Axes

__all__ = ["COLOURS", "cost_curves", "metric_by_value"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe & Ito's colours, told apart by colour-blind readers too."""


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
    ax.set_xticks(range(len(values)), [f"{value:g}" if isinstance(value, float) else f"{value}" for value in values])
    ax.set_xlabel(x)
    ax.set_ylabel(metric)
    ax.legend(title=f"{by} (mean)", frameon=False, fontsize=8)
    return ax


def _cycle(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]
