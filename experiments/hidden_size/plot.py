"""Are about five hidden units really best?"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.findings import Finding, difference, over_seeds, share
from nnlab.findings.panels import run_count
from nnlab.findings.statistics import aggregate
from nnlab.findings.style import COLOURS, MARKERS

__all__ = ["figures", "findings"]

PUBLISHED: dict[str, float] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
ENOUGH = 3
"""From this number of units on, the accuracies are close to each other."""


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the share of seeds that each width wins, its lead over five units, and the course's table over seeds."""
    sizes = sorted(runs["model.hidden_size"].unique())
    scores = runs.pivot_table(values="accuracy/train", index="seed", columns="model.hidden_size")
    best = scores.ge(scores.max(axis=1), axis=0)
    wide = [size for size in sizes if size >= ENOUGH]
    rows = [
        share(f"seeds in which {size} units have the best training accuracy (or share it)", best[size])
        for size in sorted(wide, key=lambda size: size != 5)
    ]
    rows += [
        difference(
            f"accuracy/{part}, {size} units minus 5" + ", on the one test set" * (part == "test"),
            runs,
            f"accuracy/{part}",
            {"model.hidden_size": size},
            {"model.hidden_size": 5},
        )
        for part in ("train", "test")
        for size in wide
        if size != 5
    ]
    return rows + [
        over_seeds(
            f"accuracy/train with {size} unit{'s' * (int(size) > 1)}, median",
            *(runs[runs["model.hidden_size"] == size], "accuracy/train", "median"),
            expected=PUBLISHED.get(str(size), float("nan")),
            digits=4,
        )
        for size in sizes
    ]


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return training and test accuracy by width with the published values of one seed: all widths, and the wide."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    interval = _draw(runs, left)
    _draw(runs[runs["model.hidden_size"] >= ENOUGH], right)
    level = runs["reference/affine_accuracy/train"].iloc[0]
    left.axhline(level, color="0.25", linestyle="--", linewidth=1)
    left.text(
        0.98,
        level + 0.005,
        f"logistic regression, training: {level:.3f}",
        fontsize=8,
        ha="right",
        transform=left.get_yaxis_transform(),
    )
    left.set_title("all widths", fontsize=9)
    right.set_title(f"from {ENOUGH} units on, enlarged: seeds below are cut off", fontsize=9)
    right.set_ylim(0.88, 0.955)
    right.legend(frameon=False, fontsize=8, loc="upper left", ncols=3)
    iterations = runs["training.iterations"].max()
    figure.suptitle(
        f"Accuracy on one flower by hidden size, {iterations:,} iterations: {run_count(runs)}\n"
        f"small dots: one seed; large: the median over seeds and its {interval}",
        fontsize=11,
    )
    return {"accuracy.png": figure}


def _draw(runs: pd.DataFrame, ax: Axes) -> str:
    """Draw the accuracies by width, and return the name of their intervals."""
    sizes = sorted(runs["model.hidden_size"].unique())
    places = np.arange(len(sizes))
    for number, part in enumerate(("train", "test")):
        metric, shift = f"accuracy/{part}", 0.24 * (number - 0.5)
        colour, marker = COLOURS[number], MARKERS[number]
        own = runs["model.hidden_size"].map(dict(zip(sizes, places, strict=True))).astype(float)
        aside = np.random.default_rng(0).uniform(0.03, 0.1, len(runs)) * (2 * number - 1)
        ax.plot(own + shift + aside, runs[metric], ".", color=colour, alpha=0.35, markersize=3)
        table = aggregate(runs, metric, ["model.hidden_size"], "median")
        reach = np.abs(table[["low", "high"]].sub(table["estimate"], axis=0).to_numpy().T)
        ax.errorbar(
            places + shift,
            table["estimate"],
            reach,
            color=colour,
            marker=marker,
            markersize=3.5,
            capsize=5,
            linestyle="none",
            elinewidth=1.6,
            label={"train": "training", "test": "test"}[part],
        )
    shown = [place for place, size in enumerate(sizes) if str(size) in PUBLISHED]
    values = [PUBLISHED[str(sizes[place])] for place in shown]
    ax.plot(np.array(shown) - 0.32, values, "x", color="black", markersize=6, label="published: one seed, training")
    ax.set_xticks(places, [f"{size}" for size in sizes])
    ax.set_xlabel("hidden units")
    ax.set_ylabel("accuracy (share of right answers)")
    return str(table["interval"].iloc[0])
