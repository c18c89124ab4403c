"""Do hidden units that start equal stay equal for ever?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, count_of
from nnlab.cli.film import film_of
from nnlab.findings.style import COLOURS, MARKERS, log_scale

__all__ = ["figures", "findings"]

BROKEN = 1e-3
"""Units with a larger deviation have separated; `symmetry/broken_at` uses the same threshold."""


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the counts of widths whose units separate, by initial weights and arithmetic."""
    deviation = "symmetry/deviation/layer1"
    constant = runs[runs["init.scheme"] == "constant"]
    blas = constant[constant["training.arithmetic"] == "blas"]
    exact = constant[constant["training.arithmetic"] == "exact"]
    zeros, normal = runs[runs["init.scheme"] == "zeros"], runs[runs["init.scheme"] == "normal"]
    sets = f"data set{'s' * (runs['data.seed'].nunique() > 1)}"
    distinct = normal["symmetry/near_units/layer1"] == normal["model.hidden_size"]
    return [
        count_of(
            "constant start, BLAS: widths whose equal units separate on every data set",
            (blas[deviation] > BROKEN).groupby(blas["model.hidden_size"]).all(),
            "widths",
        ),
        *(
            count_of(f"constant start, BLAS, {size} units: separated", group[deviation] > BROKEN, sets)
            for size, group in blas.groupby("model.hidden_size")
        ),
        count_of(
            "constant start, exact arithmetic: widths whose equal units separate on any data set",
            (exact[deviation] > BROKEN).groupby(exact["model.hidden_size"]).any(),
            "widths",
            expected=0.0,
        ),
        count_of(
            "zero start: widths that are frozen",
            (zeros["verdict"] == "frozen").groupby(zeros["model.hidden_size"]).all(),
            "widths, one answer each",
            expected=float(zeros["model.hidden_size"].nunique()),
        ),
        count_of(
            "random start: widths whose units are all distinct at the end",
            distinct.groupby(normal["model.hidden_size"]).all(),
            "widths, one seed",
            expected=float(normal["model.hidden_size"].nunique()),
        ),
    ]


def figures(runs: pd.DataFrame) -> dict[str, Figure | bytes]:
    """Return the growth of the deviation, and a film of units that separate by rounding alone."""
    constant = runs[runs["init.scheme"] == "constant"]
    curves = nnlab.load_curves(constant, ["symmetry/deviation"]).merge(
        constant[["fingerprint", "training.arithmetic", "model.hidden_size", "data.seed"]], on="fingerprint"
    )
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for ax, (arithmetic, group) in zip(axes, curves.groupby("training.arithmetic"), strict=True):
        _growth(group, ax)
        ax.set_title(f"training.arithmetic = {arithmetic}", fontsize=10)
    axes[1].set_ylabel("")
    axes[1].legend(title="hidden units", frameon=False, fontsize=8, loc="center")  # where nothing is drawn
    sets = constant["data.seed"].nunique()
    figure.suptitle(
        f"How far units that start equal move apart: {constant['fingerprint'].nunique()} runs, one line a data set, "
        f"{sets} of them\n(a constant start has no seed); on the lower edge: exactly equal",
        fontsize=10,
    )
    five = nnlab.RunConfig(
        data=nnlab.DataConfig(seed=1),
        model=nnlab.ModelConfig(hidden_size=5),
        init=nnlab.InitConfig("constant", scale=0.1),
    )
    return {"deviation.png": figure, "units.gif": film_of(five, "5 tanh units that start equal, BLAS")}


def _growth(curves: pd.DataFrame, ax: Axes) -> None:
    smallest = 1e-18
    for number, (size, group) in enumerate(curves.groupby("model.hidden_size")):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for place, (_, run) in enumerate(group.groupby("data.seed")):
            shown = np.maximum(run["value"], smallest)
            (line,) = ax.plot(
                run["iteration"], shown, color=colour, label=f"{size}" if place == 0 else None, linewidth=1
            )
            line.set(marker=marker, markevery=(number, 8), markersize=4)
    ax.axhline(BROKEN, color="0.25", linestyle="--", linewidth=1)
    ax.text(1, BROKEN * 1.5, "broken", fontsize=7)
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.set_xlim(0, 10_000)
    ax.set_xlabel("iteration")
    ax.set_ylabel("largest difference of two units / largest weight")
