"""Does a hidden layer gain anything over a line on small real data?"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import t

from experiments.findings import Finding, over_seeds
from nnlab.findings.style import COLOURS, MARKERS

__all__ = ["figures", "findings"]

SCORES = {"digits": "accuracy/test", "breast_cancer": "accuracy/test", "diabetes": "r2/test"}


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the gain from the hidden layer on each data set, and the scores."""
    gains, scores = [], []
    for name, metric in SCORES.items():
        ours = runs[runs["data.name"] == name]
        gains.append(_gain(f"{name}: mean {metric}, 20 hidden units minus none", ours, metric))
        scores += [
            over_seeds(f"{name}: {metric}, {20 * depth} hidden units", ours[ours["model.depth"] == depth], metric)
            for depth in (0, 1)
        ]
    return gains + scores


def _gain(what: str, runs: pd.DataFrame, metric: str) -> Finding:
    """Return the mean difference of two models on the same random splits, with the corrected resampled t interval.

    The splits come from one sample and overlap, so their scores are correlated. The variance of the mean is therefore
    not 1/n times the variance of the differences, but 1/n + (test examples / training examples) times it (Nadeau &
    Bengio 2003, "Inference for the generalization error").
    """
    deep, flat = (
        runs[runs["model.depth"] == depth].set_index("seed")[metric].sort_index().to_numpy() for depth in (1, 0)
    )
    differences, fraction = deep - flat, float(runs["data.test_fraction"].iloc[0])
    count = len(differences)
    error = np.sqrt((1 / count + fraction / (1 - fraction)) * differences.var(ddof=1))
    middle, reach = float(differences.mean()), float(t.isf(0.025, count - 1) * error)
    return Finding(
        *(what, middle, middle - reach, middle + reach, f"{count} splits of one sample"),
        statistic="mean",
        interval="95 % t interval, corrected for overlap",
    )


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the scores with and without a hidden layer."""
    figure = Figure(figsize=(10, 4.0), layout="constrained")
    for ax, (name, metric) in zip(figure.subplots(1, len(SCORES)), SCORES.items(), strict=True):
        ours = runs[runs["data.name"] == name].sort_values("seed")
        pairs = [group[metric].to_numpy() for _, group in ours.groupby("model.depth")]
        ax.plot([0, 1], pairs, color="0.75", linewidth=0.8, zorder=0)
        for depth in (0, 1):
            score = over_seeds("", ours[ours["model.depth"] == depth], metric)
            reach = [[score.value - score.low], [score.high - score.value]]
            colour, marker = COLOURS[depth], MARKERS[depth]
            ax.errorbar(
                [depth], [score.value], reach, color=colour, marker=marker, capsize=4, markersize=7, linewidth=2
            )
        ax.set_xticks([0, 1], ["none", "20"])
        ax.set_xlim(-0.4, 1.4)
        ax.set_xlabel("hidden units")
        ax.set_ylabel(f"{metric} ({'share of right answers' if 'acc' in metric else 'share of variance explained'})")
        ax.set_title(name, fontsize=10)
    figure.suptitle(
        f"{score.statistic.capitalize()} and its {score.interval} over {runs['seed'].nunique()} seeds\n"
        "grey: one seed, with a split of its own of the one sample",
        fontsize=10,
    )
    return {"scores.png": figure}
