"""Which initial weights let which activation learn, at which width, and what holds the others back?"""

from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, count_of, difference, late_median, over_seeds
from nnlab.findings.maps import verdict_map
from nnlab.findings.panels import panels
from nnlab.findings.plots import metric_by_value
from nnlab.findings.portraits import boundary, decision_boundary
from nnlab.record.read_run import read_run

__all__ = ["figures", "findings"]

WIDTH = 4
WIDE = 20
SETTING = ("model.activation", "model.hidden_size")
COMPARED = ("tanh", "relu")
"""The activations that are compared in numbers."""


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the counts of what learned, the causes of the rest, the last steps' efficiency, and the scale's effect."""
    drawn = runs[runs["init.scale"] > 0]
    return [*_learned(runs), *_causes(drawn), *_efficiencies(drawn), *_by_scale(drawn)]


def _learned(runs: pd.DataFrame) -> list[Finding]:
    """Return the settings whose seeds all learn, by scale, and the runs that learn, by activation and scale."""
    seeds = runs["seed"].nunique()
    learned = runs["outcome"] == "learned"
    settings = learned.groupby([runs[key] for key in ("init.scale", *SETTING)]).all()
    rows = [
        count_of(
            f"scale {scale:g}: pairs of activation and width whose seeds all learned",
            *(group, f"settings of {seeds} seeds"),
            expected=0.0 if scale == 0 else float("nan"),
        )
        for scale, group in settings.groupby("init.scale")
    ]
    drawn = runs["init.scale"] > 0
    by_activation = learned[drawn].groupby([runs.loc[drawn, key] for key in ("model.activation", "init.scale")])
    return rows + [
        count_of(f"{activation}, scale {scale:g}: runs that learned", group, f"runs of {seeds} seeds")
        for (activation, scale), group in by_activation
    ]


def _causes(runs: pd.DataFrame) -> list[Finding]:
    """Count the runs that did not learn by cause and activation."""
    seeds = runs["seed"].nunique()
    return [
        count_of(
            f"{activation}: runs that did not learn, {what}",
            *((group["outcome"] != "learned") & (group[column] == name), f"runs of {seeds} seeds"),
        )
        for activation, group in runs.groupby("model.activation")
        for what, column, name in (
            ("too narrow", "sweep_cause", "narrow"),
            ("stuck", "sweep_cause", "stuck"),
            ("verdict overshooting", "verdict", "overshooting"),
        )
    ]


def _efficiencies(runs: pd.DataFrame) -> list[Finding]:
    """Return the efficiency of the last steps of wide networks by activation and scale."""
    wide = runs[runs["model.hidden_size"] >= WIDE]
    wide = wide.assign(efficiency=late_median(wide, "steps/efficiency"))
    return [
        over_seeds(
            f"efficiency of the last steps, {activation} with {WIDE} units or more, scale {scale:g}",
            *(group, "efficiency", "median"),
            digits=2,
        )
        for (activation, scale), group in wide.groupby(["model.activation", "init.scale"])
        if activation in COMPARED
    ]


def _by_scale(runs: pd.DataFrame) -> list[Finding]:
    """Return the effect of the scale on the accuracy of tanh and relu, and the tanh networks that did not learn."""
    rows = []
    for activation in COMPARED:
        ours = runs[runs["model.activation"] == activation]
        for scale in (0.01, 1.0):
            chosen = ours[(ours["init.scale"] == scale) & (ours["model.hidden_size"] == WIDTH)]
            rows.append(
                over_seeds(f"accuracy/test of {WIDTH} {activation} units, scale {scale:g}", chosen, "accuracy/test")
            )
        for what, chosen in (
            (f"fewer than {WIDE} units", ours[ours["model.hidden_size"] < WIDE]),
            (f"{WIDE} units or more", ours[ours["model.hidden_size"] >= WIDE]),
        ):
            rows.append(
                difference(
                    f"mean accuracy/test of {activation} with {what}, scale 0.01 minus scale 1",
                    *(chosen, "accuracy/test", {"init.scale": 0.01}, {"init.scale": 1.0}, "mean"),
                )
            )
    middle = runs[(runs["model.activation"] == "tanh") & runs["model.hidden_size"].between(3, 5)]
    return rows + [
        count_of(
            f"tanh with 3 to 5 units, scale {scale:g}: runs that did not learn",
            *(group["outcome"] != "learned", f"runs of {group['seed'].nunique()} seeds"),
        )
        for scale, group in middle.groupby("init.scale")
    ]


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the map of outcomes, the scores, and the boundaries of the median seeds."""
    width, activation = "model.hidden_size", "model.activation"
    return {
        "verdicts.png": panels(
            runs,
            "init.scale",
            partial(verdict_map, x=width, y=activation),
            "What was learned, and why not more, by width",
        ),
        "accuracy.png": panels(
            runs,
            "init.scale",
            partial(metric_by_value, metric="accuracy/test", x=width, by=activation),
            "Accuracy on test data by width",
        ),
        "boundaries.png": _boundaries(runs[runs["model.hidden_size"] == WIDTH]),
    }


def _boundaries(runs: pd.DataFrame) -> Figure:
    """Draw the boundary of the seed with the median accuracy, for each scale and activation."""
    data = nnlab.load_dataset(nnlab.DataConfig())
    rows, columns = sorted(runs["init.scale"].unique()), sorted(runs["model.activation"].unique())
    figure = Figure(figsize=(2.6 * len(columns), 2.75 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), sharex=True, sharey=True)
    for row, scale in enumerate(rows):
        for column, activation in enumerate(columns):
            group = runs[(runs["init.scale"] == scale) & (runs["model.activation"] == activation)]
            median = group.sort_values(["accuracy/train", "seed"]).iloc[len(group) // 2]
            answers = boundary(read_run(Path(median["folder"])).parameters, activation, data, 80)
            note = f"{median['accuracy/train']:.2f} {median['outcome']}"
            ax = decision_boundary(answers, axes[row, column], data, note)
            ax.set_title(f"{activation}, scale {scale:g}", fontsize=9)
            ax.label_outer()
    seeds = runs["seed"].nunique()
    figure.suptitle(
        f"Probability of class 1 with {WIDTH} units: the seed with the median training accuracy of {seeds}\n"
        "blue 0, white 0.5, red 1; black: the boundary; in the corner: training accuracy and outcome",
        fontsize=10,
    )
    return figure
