"""How often is a deep, narrow relu network born dead, and does leaky relu cure it?"""

from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, difference, share
from nnlab.findings.plots import COLOURS, MARKERS
from nnlab.findings.statistics import share_interval
from nnlab.network.theory import born_dead

__all__ = ["figures", "findings"]


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return how many networks are born dead beside the closed form, and what the leak gains."""
    relu = _born(runs)
    ten = runs[(runs["model.depth"] == 10) & (runs["model.hidden_size"] == 4)]
    found = [
        share(f"dead after training: {name}, 10 layers of 4", ten[ten["model.activation"] == name]["verdict"] == "dead")
        for name in ("relu", "leaky_relu")
    ]
    found += [
        share(
            f"born dead: {depth} layers of {size}",
            relu[(relu["model.depth"] == depth) & (relu["model.hidden_size"] == size)]["born dead"],
            "seeds",
            expected=born_dead([size] * depth),
        )
        for depth, size in product((5, 10, 20), (2, 4, 8))
    ]
    for depth in (5, 10):
        chosen = runs[(runs["model.depth"] == depth) & (runs["model.hidden_size"] == 4)]
        found.append(
            difference(
                f"mean accuracy/test, leaky relu minus relu, {depth} layers of 4",
                chosen,
                "accuracy/test",
                {"model.activation": "leaky_relu"},
                {"model.activation": "relu"},
                "mean",
            )
        )
    return found


def _born(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the relu runs and whether in any layer all units were dead before training."""
    relu = runs[runs["model.activation"] == "relu"]
    curves = nnlab.load_curves(relu, ["activity/dead"])
    worst = curves[curves["iteration"] == 0].groupby("fingerprint", observed=True)["value"].max()
    return relu.assign(**{"born dead": relu["fingerprint"].map(worst).astype(float) == 1.0})


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the share of networks that are born dead, measured and expected, and the scores beside leaky relu's."""
    relu = _born(runs)
    depths = sorted(runs["model.depth"].unique())
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, size in enumerate((2, 4, 8)):
        group = relu[relu["model.hidden_size"] == size]
        colour, marker = COLOURS[number], MARKERS[number]
        shares = np.array(
            [share_interval(float(some["born dead"].mean()), len(some)) for _, some in group.groupby("model.depth")]
        )
        reach = np.abs(shares[:, 1:] - shares[:, :1]).T
        left.errorbar(depths, shares[:, 0], reach, color=colour, marker=marker, capsize=3, label=f"{size} units")
        left.plot(depths, [born_dead([size] * depth) for depth in depths], "--", color=colour, linewidth=1)
    left.plot([], [], "--", color="0.25", linewidth=1, label="closed form, one input:\nan upper bound")
    left.set_ylabel("share of networks born dead")
    left.set_title("points: share of networks, 95 % score interval", fontsize=9)
    for number, (activation, group) in enumerate(runs[runs["model.hidden_size"] == 4].groupby("model.activation")):
        colour, marker = COLOURS[3 + number], MARKERS[3 + number]
        shares = np.array(
            [
                share_interval(float((some["accuracy/train"] > 0.6).mean()), len(some))
                for _, some in group.groupby("model.depth")
            ]
        )
        reach = np.abs(shares[:, 1:] - shares[:, :1]).T
        right.errorbar(depths, shares[:, 0], reach, color=colour, marker=marker, capsize=3, label=str(activation))
    right.set_ylabel("share with training accuracy above 0.6")
    right.set_title("4 units per layer, after 200 iterations, 95 % score interval", fontsize=9)
    for ax in (left, right):
        ax.set_xlabel("hidden layers")
        ax.set_ylim(-0.03, 1.03)
        ax.set_xscale("log")
        ax.set_xticks(depths, [f"{depth}" for depth in depths])
        ax.minorticks_off()
        ax.legend(frameon=False, fontsize=8)
    figure.suptitle(
        f"relu networks, He initialization, the flower: {runs['seed'].nunique()} seeds a point", fontsize=11
    )
    return {"born_dead.png": figure}
