"""Is a deep network without a nonlinear activation ever more than logistic regression?"""

import math
from functools import partial

import pandas as pd
from matplotlib.figure import Figure

from experiments.findings import Finding, over_seeds
from nnlab.findings.panels import panels
from nnlab.findings.plots import metric_by_value

__all__ = ["figures", "findings"]


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the distance of identity networks from the best affine model, and the lead of tanh networks over it."""
    identity = runs[runs["model.activation"] == "identity"]
    count = f"{len(identity)} runs"
    gap = (identity["cost/train"] - identity["reference/affine"]).abs().max()
    scores = identity["accuracy/over_affine/train"].abs().max()
    residual = identity["function/affine_residual"].max()
    rows = [
        Finding(f"identity: largest {what}", value, math.nan, math.nan, count, 0.0, digits, statistic="maximum")
        for what, value, digits in (
            ("distance of the cost from logistic regression's", gap, 6),
            ("difference of the training accuracy", scores, 3),
            ("share of the answer that no line gives", residual, 3),
        )
    ]
    for name, group in runs[runs["model.activation"] == "tanh"].groupby("data.name"):
        two = group[group["model.depth"] == 2]
        rows.append(
            over_seeds(f"tanh, 2 layers, {name}: accuracy/test above the line", two, "accuracy/over_affine/test")
        )
    for name, group in runs.groupby("data.name"):
        line = group["reference/affine_accuracy/test"].median()  # one number: the data set is the same in all runs
        what, nothing = f"{name}: accuracy/test of the line", math.nan
        rows.append(Finding(what, line, nothing, nothing, "1 data set", digits=4, statistic="single value"))
    return rows


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the scores by depth beside an affine model."""
    return {
        "accuracy.png": panels(
            runs,
            "data.name",
            partial(metric_by_value, metric="accuracy/test", x="model.depth", by="model.activation"),
            "Accuracy on test data by depth",
        )
    }
