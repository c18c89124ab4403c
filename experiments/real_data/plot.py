"""Does a hidden layer gain anything over a line on small real data?"""

import pandas as pd
from matplotlib.figure import Figure

from experiments.findings import Finding, difference, over_seeds
from nnlab.findings.plots import COLOURS, MARKERS

__all__ = ["figures", "findings"]

SCORES = {"digits": "accuracy/test", "breast_cancer": "accuracy/test", "diabetes": "r2/test"}


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return what the hidden layer gains on each data set, and the scores."""
    gains, scores = [], []
    for name, metric in SCORES.items():
        ours = runs[runs["data.name"] == name]
        gains.append(
            difference(
                f"{name}: {metric}, 20 hidden units minus none",
                ours,
                metric,
                {"model.depth": 1},
                {"model.depth": 0},
            )
        )
        scores += [
            over_seeds(f"{name}: {metric}, {20 * depth} hidden units", ours[ours["model.depth"] == depth], metric)
            for depth in (0, 1)
        ]
    return gains + scores


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the scores with and without a hidden layer."""
    figure = Figure(figsize=(10, 4.0), layout="constrained")
    for ax, (name, metric) in zip(figure.subplots(1, len(SCORES)), SCORES.items(), strict=True):
        ours = runs[runs["data.name"] == name].sort_values("seed")
        pairs = [group[metric].to_numpy() for _, group in ours.groupby("model.depth")]
        ax.plot([0, 1], pairs, color="0.75", linewidth=0.8, zorder=0)
        for depth in (0, 1):
            found = over_seeds("", ours[ours["model.depth"] == depth], metric)
            reach = [[found.value - found.low], [found.high - found.value]]
            colour, marker = COLOURS[depth], MARKERS[depth]
            ax.errorbar(
                [depth], [found.value], reach, color=colour, marker=marker, capsize=4, markersize=7, linewidth=2
            )
        ax.set_xticks([0, 1], ["none", "20"])
        ax.set_xlim(-0.4, 1.4)
        ax.set_xlabel("hidden units")
        ax.set_ylabel(f"{metric} ({'share of right answers' if 'acc' in metric else 'share of variance explained'})")
        ax.set_title(name, fontsize=10)
    figure.suptitle(
        f"Interquartile mean and its 95 % interval over {runs['seed'].nunique()} seeds, each with a split of its own\n"
        "grey: one seed",
        fontsize=10,
    )
    return {"scores.png": figure}
