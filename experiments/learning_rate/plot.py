"""Does training settle where the curvature is 2 / learning rate?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, difference, over_seeds
from nnlab.findings.panels import panels
from nnlab.findings.statistics import aggregate
from nnlab.findings.style import COLOURS, MARKERS

__all__ = ["figures", "findings"]


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the final product of learning rate and curvature, and the scores."""
    ends = _product(runs)
    last = ends[ends["iteration"] == ends["iteration"].max()]
    rows = [
        over_seeds(
            f"learning rate {rate:g}: learning rate x largest curvature at the end, median",
            last[last["training.learning_rate"] == rate],
            "value",
            "median",
            expected=2.0 if rate >= 1 else float("nan"),
            digits=2,
        )
        for rate in (1.0, 3.0, 10.0, 0.3, 0.1)
    ]
    rows.append(_lowest(ends, 3.0))
    for metric in ("accuracy/test", "cost/train"):
        rows += [
            difference(
                f"{metric}, learning rate {rate:g} minus 1",
                runs,
                metric,
                {"training.learning_rate": rate},
                {"training.learning_rate": 1.0},
            )
            for rate in (3.0, 10.0)
        ]
    return rows + [
        over_seeds(f"learning rate {rate:g}: accuracy/test", group, "accuracy/test")
        for rate, group in runs.groupby("training.learning_rate")
    ]


def _lowest(ends: pd.DataFrame, rate: float) -> Finding:
    """Return the lowest product after the start."""
    ours = ends[(ends["training.learning_rate"] == rate)]
    lowest = ours.groupby("seed")["value"].min().reset_index()
    what = f"learning rate {rate:g}: the lowest value on the way, median"
    return over_seeds(what, lowest, "value", "median", digits=2)


def _product(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of learning rate x sharpness; the probe gives sharpness in units of 2 / learning rate."""
    curves = nnlab.load_curves(runs, ["curvature/sharpness"])
    keys = ["fingerprint", "seed", "training.learning_rate"]
    return curves.merge(runs[keys], on="fingerprint").assign(value=lambda frame: 2 * frame["value"])


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the product while training, by learning rate."""
    title = "Learning rate x largest curvature while training: the flower, 8 tanh units"
    return {"edge.png": panels(_product(runs), None, _draw, title, (8.2, 4.8))}


def _draw(curves: pd.DataFrame, ax: Axes, *, among: pd.DataFrame) -> None:
    bands = aggregate(curves, "value", ["training.learning_rate", "iteration"], "median", resamples=400)
    for number, (rate, band) in enumerate(bands.groupby("training.learning_rate")):
        colour = COLOURS[number]
        ax.fill_between(band["iteration"], band["low"], band["high"], color=colour, alpha=0.2, linewidth=0)
        ax.plot(
            band["iteration"],
            band["estimate"],
            color=colour,
            marker=MARKERS[number],
            markevery=(number, 6),
            label=f"{rate:g}",
        )
    ax.axhline(2, color="0.25", linestyle="--", linewidth=1)
    ax.plot([], [], color="0.25", linestyle="--", linewidth=1, label="2: beyond,\ngradient descent\novershoots")
    ax.set_xscale("symlog", linthresh=1)
    ax.set_yscale("log")
    ax.set_ylim(0.04, 30)
    ax.set_yticks([0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20], ["0.05", "0.1", "0.2", "0.5", "1", "2", "5", "10", "20"])
    ax.minorticks_off()
    ax.set_xlim(0, among["iteration"].max())
    ax.set_xlabel("iteration (linear up to 1, then logarithmic)")
    ax.set_ylabel("learning rate x largest eigenvalue of the Hessian (no unit)")
    interval = bands["interval"].iloc[0].replace(" bootstrap", "\nbootstrap")
    ax.legend(
        title=f"learning rate:\nmedian over seeds\nand its {interval}",
        frameon=False,
        fontsize=8,
        title_fontsize=8,
    )
