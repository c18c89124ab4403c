"""Are about five hidden units really best?"""

import json

import pandas as pd
from matplotlib.figure import Figure

from experiments.findings import HERE, Finding, difference, over_seeds, share
from nnlab.findings.plots import count, metric_by_value

__all__ = ["figures", "findings"]

PUBLISHED: dict[str, float] = json.loads((HERE / "hidden_size" / "published.json").read_text(encoding="utf-8"))


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the course's table over seeds, and how often five units win."""
    sizes = sorted(runs["model.hidden_size"].unique())
    scores = runs.pivot_table(values="accuracy/train", index="seed", columns="model.hidden_size")
    best = scores.ge(scores.max(axis=1), axis=0)[5]
    return [
        share("seeds in which 5 units have the best training accuracy (or share it)", best, "seeds"),
        difference(
            "accuracy/train, 20 units minus 5",
            runs,
            "accuracy/train",
            {"model.hidden_size": 20},
            {"model.hidden_size": 5},
        ),
        difference(
            "accuracy/test, 20 units minus 5",
            runs,
            "accuracy/test",
            {"model.hidden_size": 20},
            {"model.hidden_size": 5},
        ),
        *(
            over_seeds(
                f"accuracy/train with {size} unit{'s' * (int(size) > 1)}, median",
                *(runs[runs["model.hidden_size"] == size], "accuracy/train", "median"),
                expected=PUBLISHED.get(str(size), float("nan")),
                digits=4,
            )
            for size in sizes
        ),
    ]


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return training and test accuracy by width, with the published values of one seed."""
    long = pd.concat(
        runs.assign(part=part, accuracy=runs[f"accuracy/{part}"]) for part in ("train", "test")
    ).reset_index(drop=True)
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    ax = metric_by_value(long, figure.subplots(), "accuracy", "model.hidden_size", "part", "median")
    figure.suptitle(f"Accuracy on the flower by hidden size, 5,000 iterations\n{count(runs)}", fontsize=11)
    sizes = sorted(runs["model.hidden_size"].unique())
    places = [place for place, size in enumerate(sizes) if str(size) in PUBLISHED]
    values = [PUBLISHED[str(size)] for size in sizes if str(size) in PUBLISHED]
    ax.plot(places, values, "x", color="black", markersize=8, label="published: one seed, training")
    ax.axhline(runs["reference/affine_accuracy/train"].iloc[0], color="0.25", linestyle="--", linewidth=1)
    ax.text(
        0.99,
        runs["reference/affine_accuracy/train"].iloc[0],
        "logistic regression",
        fontsize=7,
        ha="right",
        va="bottom",
        transform=ax.get_yaxis_transform(),
    )
    ax.legend(title="median and its 95 % interval", frameon=False, fontsize=8, title_fontsize=8, loc="center right")
    ax.set_ylabel("accuracy (share of right answers)")
    ax.set_xlabel("hidden units")
    return {"accuracy.png": figure}
