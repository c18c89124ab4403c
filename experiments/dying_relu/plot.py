"""How often is a deep, narrow relu network born dead, and does leaky relu cure it?"""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, count_of, difference, share
from nnlab.findings.intervals import SHARE_INTERVAL, share_interval
from nnlab.findings.style import COLOURS, MARKERS
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.initializers import initialize
from nnlab.network.propagation import forward
from nnlab.network.theory import born_dead

__all__ = ["dead_at_birth", "dead_layers", "figures", "findings"]

WIDTH = 4
SIZES = (2, 4, 8)
LEARNING = ("learned", "partly")
"""The outcomes of networks that learned at least a part; few learn more in so short a training."""
DRAWS = 2000
"""Draws of each setting, for the shares before training. They need no training, and so many cost a few seconds."""


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the networks with a dead layer before and after training, the verdicts and outcomes, and the gain."""
    four = runs[runs["model.hidden_size"] == WIDTH]
    return [*_dead(runs), *_outcomes(four), *_gains(four)]


def _dead(runs: pd.DataFrame) -> list[Finding]:
    """Return the shares of fresh draws with a dead layer beside their bounds, and the counts among the runs."""
    marked = dead_layers(runs)
    relu = marked[marked["model.activation"] == "relu"]
    depths = [int(depth) for depth in sorted(runs["model.depth"].unique())]
    deep = [(depth, WIDTH) for depth in depths if depth >= 10]
    rows = [
        share(
            f"a dead layer at the start: relu, {depth} layer{'s' * (depth > 1)} of {size}",
            dead_at_birth(depth, size, DRAWS),
            "draws",
            expected=born_dead([size] * depth),
        )._replace(bound=True)
        for depth, size in dict.fromkeys([*deep, *product(depths, SIZES)])
    ]
    settings = relu.groupby(["model.depth", "model.hidden_size"]).ngroups
    of = f"{settings} settings x {relu['seed'].nunique()} seeds"
    return rows + [
        count_of(f"relu networks with a dead layer at the {when}", relu[f"dead at {when}"], of)
        for when in ("start", "end")
    ]


def _outcomes(runs: pd.DataFrame) -> list[Finding]:
    """Return the shares of deep networks that learn at least a part, and of the verdicts, with and without the leak."""
    rows = []
    for depth, activation in product((10, 20), ("relu", "leaky_relu")):
        ours = runs[(runs["model.depth"] == depth) & (runs["model.activation"] == activation)]
        what = f"{activation}, {depth} layers of {WIDTH}"
        rows.append(share(f"learned at least partly: {what}", ours["outcome"].isin(LEARNING)))
        rows += [
            share(f"verdict {name}: {what}", ours["verdict"] == name)
            for name in (("dead",) if activation == "relu" else ("vanishing", "plateau"))
        ]
    return rows


def _gains(runs: pd.DataFrame) -> list[Finding]:
    """Return the gain in test accuracy from the leak, by depth."""
    return [
        difference(
            f"mean accuracy/test, leaky relu minus relu, {depth} layers of {WIDTH}",
            runs[runs["model.depth"] == depth],
            "accuracy/test",
            {"model.activation": "leaky_relu"},
            {"model.activation": "relu"},
            "mean",
        )
        for depth in (5, 10, 20)
    ]


def dead_layers(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with `dead at start` and `dead at end`: True if a layer has no unit that is ever positive."""
    curves = nnlab.load_curves(runs, ["activity/dead"])
    marks = {}
    for when, iteration in (("start", 0), ("end", curves["iteration"].max())):
        worst = curves[curves["iteration"] == iteration].groupby("fingerprint", observed=True)["value"].max()
        marks[f"dead at {when}"] = runs["fingerprint"].map(worst).astype(float) == 1.0
    return runs.assign(**marks)


@cache
def dead_at_birth(depth: int, size: int, draws: int) -> list[bool]:
    """Return True for each He draw in which no unit of some layer is positive on any example of the data set.

    Each setting has a random stream of its own. With common seeds a deeper network would begin with the layers of the
    shallower one, and all depths would share their luck.
    """
    data = nnlab.load_dataset(nnlab.DataConfig())
    rng = np.random.default_rng([depth, size])
    sizes = [len(data.X), *[size] * depth, len(data.Y)]
    answers = (forward(initialize(sizes, "he", 1.0, rng), data.X, ACTIVATIONS["relu"])[1] for _ in range(draws))
    return [any(not layer.any() for layer in hidden) for hidden in answers]


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the share of networks with a dead layer, measured and expected, and the share that learns a part."""
    depths = [int(depth) for depth in sorted(runs["model.depth"].unique())]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, size in enumerate(SIZES):
        _shares(left, {depth: dead_at_birth(depth, size, DRAWS) for depth in depths}, number, f"{size} units")
        colour = COLOURS[number]
        left.plot(depths, [born_dead([size] * depth) for depth in depths], "--", color=colour, linewidth=1)
    left.plot(
        [], [], "--", color="0.25", linewidth=1, label="closed form for one input: over\na data set the most to expect"
    )
    left.set_ylabel("share of networks with a dead layer")
    left.set_title(
        f"relu, before training: in some layer no unit is\npositive on any example, {DRAWS:,} draws of each", fontsize=9
    )
    four = runs[runs["model.hidden_size"] == WIDTH]
    for number, (activation, group) in enumerate(four.groupby("model.activation")):
        learns = group["outcome"].isin(LEARNING).groupby(group["model.depth"])
        _shares(right, {int(depth): some.tolist() for depth, some in learns}, 3 + number, str(activation))
    right.set_ylabel("share that learned at least partly")
    iterations, seeds = runs["training.iterations"].max(), runs["seed"].nunique()
    right.set_title(
        f"{WIDTH} units per layer, after {iterations} iterations:\n{seeds} seeds, the same at every depth", fontsize=9
    )
    for ax in (left, right):
        ax.set_xlabel("hidden layers")
        ax.set_ylim(-0.03, 1.03)
        ax.set_xscale("log")
        ax.set_xticks(depths, [f"{depth}" for depth in depths])
        ax.minorticks_off()
        ax.legend(frameon=False, fontsize=8)
    figure.suptitle(
        f"relu networks, He initialization, the flower\npoints: share of networks and its {SHARE_INTERVAL}",
        fontsize=11,
    )
    return {"born_dead.png": figure}


def _shares(ax: Axes, hits: Mapping[int, Sequence[bool]], number: int, label: str) -> None:
    """Draw the share of hits by depth, each with its score interval."""
    shares = np.array([share_interval(float(np.mean(some)), len(some)) for some in hits.values()])
    reach = np.abs(shares[:, 1:] - shares[:, :1]).T
    depths = np.array([*hits]) * 1.03 ** (number % 3 - 1)  # side by side
    ax.errorbar(depths, shares[:, 0], reach, color=COLOURS[number], marker=MARKERS[number], capsize=3, label=label)
