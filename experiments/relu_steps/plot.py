"""Are relu networks on the flower held back by their initial weights, their width or their steps?"""

from functools import partial

import pandas as pd
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, count_of, difference, late_median, over_seeds
from nnlab.findings.maps import verdict_map
from nnlab.findings.panels import panels
from nnlab.findings.plots import cost_curves, metric_by_value

__all__ = ["figures", "findings"]

WIDTH, SCALE, RATE = "model.hidden_size", "init.scale", "training.learning_rate"
NAMES = {WIDTH: "{:g} units", RATE: "learning rate {:g}", SCALE: "scale {:g}"}
"""How the values of each key are named."""


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the counts of runs that learn by width, step and scale, the effects on the cost, and the efficiency."""
    return [*_learned(runs), *_costs(runs), *_efficiencies(runs)]


def _learned(runs: pd.DataFrame) -> list[Finding]:
    """Return the counts of runs that learn at each value of each key, over all values of the other two."""
    seeds = runs["seed"].nunique()
    return [
        count_of(f"{name.format(value)}: runs that learned", group["outcome"] == "learned", f"runs of {seeds} seeds")
        for key, name in NAMES.items()
        for value, group in runs.groupby(key)
    ]


def _costs(runs: pd.DataFrame) -> list[Finding]:
    """Return the effect of a key on the cost at each width, and the costs of the widest networks."""
    widths = sorted(runs[WIDTH].unique())
    widest = runs[runs[WIDTH] == widths[-1]]
    rows = [
        difference(
            f"mean cost/train, {widths[-1]} units minus {width}",
            *(runs, "cost/train", {WIDTH: widths[-1]}, {WIDTH: width}, "mean"),
        )
        for width in widths[:-1]
    ]
    rows += [
        difference(
            f"mean cost/train of {width} units, {what}",
            *(runs[runs[WIDTH] == width], "cost/train", {key: first}, {key: second}, "mean"),
        )
        for what, key, first, second in (
            ("learning rate 1.2 minus 0.1", RATE, 1.2, 0.1),
            ("scale 0.01 minus 1", SCALE, 0.01, 1.0),
        )
        for width in widths
    ]
    return rows + [
        over_seeds(f"cost/train of {widths[-1]} units, learning rate {rate:g}, scale {scale:g}", group, "cost/train")
        for (rate, scale), group in widest.groupby([RATE, SCALE])
    ]


def _efficiencies(runs: pd.DataFrame) -> list[Finding]:
    """Return the efficiency of the last steps by width and learning rate."""
    runs = runs.assign(efficiency=late_median(runs, "steps/efficiency"))
    return [
        over_seeds(
            f"efficiency of the last steps, {width} units, learning rate {rate:g}", group, "efficiency", "median"
        )._replace(digits=2)
        for (width, rate), group in runs.groupby([WIDTH, RATE])
    ]


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the map of outcomes, the final costs, and the cost curves of the widest networks."""
    widest = runs[runs[WIDTH] == runs[WIDTH].max()]
    curves = nnlab.load_curves(widest, ["cost/train"]).merge(widest[["fingerprint", "seed", SCALE, RATE]])
    references = {"best affine model": float(runs["reference/affine"].iloc[0])}
    return {
        "verdicts.png": panels(
            runs, SCALE, partial(verdict_map, x=RATE, y=WIDTH), "What relu networks learned, by learning rate and width"
        ),
        "cost.png": panels(
            runs,
            SCALE,
            partial(metric_by_value, metric="cost/train", x=RATE, by=WIDTH),
            "Final cost of relu networks by learning rate",
        ),
        "curves.png": panels(
            curves,
            SCALE,
            partial(cost_curves, by=RATE, references=references),
            f"Cost of {widest[WIDTH].iloc[0]} relu units while training",
        ),
    }
