"""Draw the pictures of docs/diagnostics.md: every diagnostic on a healthy and on a sick network.

Run it with `python -m benchmarks.atlas`.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

import nnlab
from nnlab import DataConfig, DiagnosticsConfig, InitConfig, ModelConfig, RunConfig, TrainingConfig
from nnlab.diagnostics.activity import HISTOGRAM_EDGES
from nnlab.diagnostics.events import BROKEN
from nnlab.diagnostics.thresholds import THRESHOLDS
from nnlab.findings.style import name_ends
from nnlab.network import theory
from nnlab.record.run import Run

__all__ = ["PICTURES", "main"]

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images" / "diagnostics"
BLUE, ORANGE, GREEN, GREY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#777777", "#CC79A7"
"""Okabe & Ito's colours, which colour-blind readers can distinguish: healthy is blue, sick is vermilion."""

SMALL, XAVIER, HE = InitConfig("normal", 0.01), InitConfig("xavier", 1.0), InitConfig("he", 1.0)


def trained(preset: str = "standard", every: int | None = None, **parts: object) -> Run:
    """Return one trained network; its results folder is deleted."""
    with tempfile.TemporaryDirectory() as folder:
        diagnostics = DiagnosticsConfig(preset, every=every)
        return nnlab.run(RunConfig(results_dir=folder, diagnostics=diagnostics, **parts))  # type: ignore[arg-type]


def curve(run: Run, quantity: str, layer: int = 1) -> pd.Series:
    """Return one quantity by iteration."""
    rows = run.history[(run.history["quantity"] == quantity) & (run.history["layer"] == layer)]
    return rows.set_index("iteration")["value"]


def values_by_layer(run: Run, quantity: str, iteration: int = 0) -> pd.Series:
    """Return one quantity at one iteration by layer."""
    rows = run.history[(run.history["quantity"] == quantity) & (run.history["iteration"] == iteration)]
    return rows.set_index("layer")["value"]


def draw_line(ax: Axes, series: pd.Series, colour: str, label: str, style: str = "-") -> None:
    """Draw a line; `name_lines` writes its name at its end."""
    ax.plot(series.index, series.to_numpy(), style, color=colour, linewidth=1.8, label=label)


def draw_threshold(ax: Axes, value: float, text: str) -> None:
    """Draw a threshold as a dotted line."""
    ax.axhline(value, color=GREY, linestyle=":", linewidth=1)
    ax.annotate(
        *(text, (0.01, value)),
        xycoords=("axes fraction", "data"),
        xytext=(0, 1),
        textcoords="offset points",
        color="#555555",
        fontsize=7,
        va="bottom",
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )


def panels(titles: Mapping[str, str]) -> tuple[Figure, list[Axes]]:
    """Return a row of panels, given their titles and the labels of their vertical axes."""
    figure, row = plt.subplots(1, len(titles), figsize=(4.4 * len(titles), 3.2), layout="constrained", squeeze=False)
    for ax, (title, unit) in zip(row[0], titles.items(), strict=True):
        ax.set_title(title, fontsize=10, loc="left")
        ax.set_ylabel(unit, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    return figure, list(row[0])


def name_lines(ax: Axes) -> None:
    """Write the names of the lines beside their ends."""
    ends = []
    for line in (line for line in ax.lines if not str(line.get_label()).startswith("_")):
        heights = np.asarray(line.get_ydata(), np.float64)
        ends += [
            (height, str(line.get_label()), to_hex(line.get_color())) for height in heights[np.isfinite(heights)][-1:]
        ]
    name_ends(ax, ends)


def label_iterations(ax: Axes) -> None:
    """Label the horizontal axis with iterations, on a scale that shows 0 and the early ones."""
    ax.set_xscale("symlog", linthresh=1)
    last = max(float(np.asarray(line.get_xdata(), np.float64)[-1]) for line in ax.lines)
    ax.set_xlim(-0.1, last)
    ax.set_xticks([0, *(10**power for power in range(int(np.log10(last)) + 1))])
    ax.set_xlabel("iteration", fontsize=8)
    name_lines(ax)


def symmetry() -> Figure:
    """Equal units, kept equal by exact arithmetic or separated by rounding at the predicted rate, and random ones."""
    constant, nine = InitConfig("constant", 0.5), ModelConfig(hidden_size=9)
    exact = trained(model=nine, init=constant, training=TrainingConfig(arithmetic="exact"))
    blas = trained("full", model=nine, init=constant)
    drawn = trained(model=nine, init=SMALL)
    figure, (left, right) = panels(
        {"symmetry/near_units (of 9)": "units", "symmetry/deviation (exact: 0)": "difference / largest weight"}
    )
    for run, colour, label in (
        (drawn, BLUE, "normal 0.01"),
        (exact, GREEN, "constant, exact"),
        (blas, ORANGE, "constant, blas"),
    ):
        draw_line(left, curve(run, "symmetry/near_units"), colour, label)
        draw_line(right, curve(run, "symmetry/deviation").replace(0, np.nan), colour, label)
    deviation, growth = curve(blas, "symmetry/deviation"), curve(blas, "curvature/growth")
    start = deviation[deviation > 0].index[0]
    visible = deviation.index[deviation > BROKEN][0]
    steps = growth[growth.notna() & (growth.index >= start) & (growth.index <= visible)]
    rate = np.log(steps.to_numpy())
    gaps = np.diff(steps.index)
    predicted = deviation[start] * np.exp(np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2 * gaps)]))
    draw_line(right, pd.Series(predicted, steps.index), PURPLE, "predicted growth", "--")
    right.set_yscale("log")
    draw_threshold(right, BROKEN, "broken")
    for ax in (left, right):
        label_iterations(ax)
    return figure


def ranks() -> Figure:
    """The number of directions that the activations of a layer use."""
    wide = ModelConfig(hidden_size=20)
    runs = [
        (trained(model=wide, init=XAVIER), BLUE, "xavier"),
        (trained(model=wide, init=SMALL), GREEN, "normal 0.01"),
        (
            trained(model=wide, init=InitConfig("constant", 0.5), training=TrainingConfig(arithmetic="exact")),
            ORANGE,
            "constant",
        ),
    ]
    names = {
        "symmetry/effective_rank": "directions",
        "symmetry/stable_rank": "directions",
        "symmetry/cosine": "mean |cosine| of two units",
    }
    figure, axes = panels(names)
    for ax, name in zip(axes, names, strict=True):
        for run, colour, label in runs:
            draw_line(ax, curve(run, name), colour, label)
        label_iterations(ax)
    return figure


DEEP = ModelConfig(hidden_size=100, depth=10)


def deep(activation: str, init: InitConfig) -> Run:
    """Return a network with ten layers of 100 units after one iteration."""
    model = ModelConfig(DEEP.hidden_size, DEEP.depth, activation=activation)
    return trained(model=model, init=init, data=DataConfig(m=200), training=TrainingConfig(1))


def signal() -> Figure:
    """The error that reaches each of ten layers, beside the theory, and ||dW||, which hardly shows it."""
    figure, (left, middle, right) = panels(
        {
            "signal/rms_dZ at iteration 0 (dashed: theory)": "rms dZ",
            "signal/gain at iteration 0 (dashed: theory)": "rms dZ of a layer / of the next",
            "signal/norm_dW: sees little": "norm of dW",
        }
    )
    cases = (
        ("tanh", XAVIER, BLUE, "tanh xavier", 1.0),
        ("tanh", SMALL, ORANGE, "tanh 0.01", 100 * 1e-4),
        ("relu", HE, GREEN, "relu he", 2.0),
    )
    for activation, init, colour, label, weight_variance in cases:
        run = deep(activation, init)
        rms = values_by_layer(run, "signal/rms_dZ")
        draw_line(left, rms.iloc[::-1], colour, label)
        gain = theory.signal_gain(activation, weight_variance)
        top = rms.loc[10]
        draw_line(
            left,
            pd.Series([top * gain ** (10 - layer) for layer in range(10, 0, -1)], range(10, 0, -1)),
            colour,
            "_theory",
            "--",
        )
        draw_line(middle, values_by_layer(run, "signal/gain").iloc[:-1].iloc[::-1], colour, label)
        middle.axhline(gain, color=colour, linestyle="--", linewidth=1)
        draw_line(right, values_by_layer(run, "signal/norm_dW").iloc[::-1], colour, label)
    for ax in (left, middle, right):
        ax.set_yscale("log")
        ax.set_xlabel("layer", fontsize=8)
        ax.set_xlim(11.3, 0.7)
        ax.set_xticks(range(1, 12, 2))
        name_lines(ax)
    return figure


def ratio_and_update() -> Figure:
    """The two numbers by which the verdict recognizes a vanished signal."""
    figure, (left, right) = panels(
        {"signal/ratio": "rms dZ of layer 1 / of the output", "update (layer 1)": "norm of a step / of W"}
    )
    for activation, init, colour, label in (
        ("tanh", XAVIER, BLUE, "tanh xavier"),
        ("sigmoid", InitConfig("normal", 0.1), ORANGE, "sigmoid 0.1"),
    ):
        model = ModelConfig(16, 10, activation=activation)
        run = trained(model=model, init=init, training=TrainingConfig(1000, 0.1))
        draw_line(left, curve(run, "signal/ratio", 0), colour, label)
        draw_line(right, curve(run, "update"), colour, label)
    draw_threshold(left, THRESHOLDS["vanishing: signal ratio"], "vanishing")
    draw_threshold(right, THRESHOLDS["vanishing: update ratio of layer 1"], "vanishing")
    for ax in (left, right):
        ax.set_yscale("log")
        label_iterations(ax)
    return figure


def activity() -> Figure:
    """Saturated and dead units, and the moments of the activations."""
    figure, axes = panels(
        {
            "activity/saturated (layer 2)": "share of units",
            "activity/dead": "share of units",
            "activity/negative": "share of logits",
            "activity/std (layer 2)": "standard deviation of A",
        }
    )
    two = ModelConfig(20, 2)
    for init, colour, label in ((XAVIER, BLUE, "xavier"), (InitConfig("normal", 10.0), ORANGE, "normal 10")):
        run = trained(model=two, init=init, training=TrainingConfig(2000, 0.1))
        draw_line(axes[0], curve(run, "activity/saturated", 2), colour, label)
        draw_line(axes[3], curve(run, "activity/std", 2), colour, label)
    for rate, colour, label in ((0.1, BLUE, "rate 0.1"), (8.0, ORANGE, "rate 8")):
        run = trained(model=ModelConfig(20, activation="relu"), init=HE, training=TrainingConfig(2000, rate), seed=1)
        draw_line(axes[1], curve(run, "activity/dead"), colour, label)
        draw_line(axes[2], curve(run, "activity/negative"), colour, label)
    draw_threshold(axes[0], THRESHOLDS["saturated: share of a layer's units"], "saturated")
    draw_threshold(axes[1], THRESHOLDS["dead: share of a layer's units"], "dead")
    for ax in axes:
        ax.set_ylim(-0.05, 1.05)
        label_iterations(ax)
    return figure


def function() -> Figure:
    """The distance of the network from an affine function, and its cost beside the costs of simpler models."""
    figure, (left, right) = panels(
        {"function/affine_residual": "share of variance", "cost/train and the reference costs": "mean loss"}
    )
    for activation, colour, label in (("tanh", BLUE, "tanh"), ("identity", ORANGE, "identity")):
        run = trained(
            model=ModelConfig(activation=activation), data=DataConfig("moons"), training=TrainingConfig(10_000, 0.3)
        )
        draw_line(left, curve(run, "function/affine_residual", 0).clip(lower=1e-33), colour, label)
        draw_line(right, curve(run, "cost/train", 0), colour, label)
    draw_threshold(left, THRESHOLDS["linear: affine residual"], "linear")
    left.set_yscale("log")
    draw_threshold(right, run.references.prior, "reference/nothing = reference/prior: ln 2")
    draw_threshold(right, run.references.affine, "reference/affine")
    right.set_ylim(0, 0.75)
    for ax in (left, right):
        label_iterations(ax)
    return figure


def curvature() -> Figure:
    """The edge of stability, the way out of a symmetric state, and the predicted growth."""
    figure, axes = panels(
        {
            "curvature/sharpness": "largest eigenvalue * learning rate / 2",
            "curvature/smallest": "smallest eigenvalue of the Hessian",
            "curvature/growth (constant init)": "factor per iteration",
        }
    )
    for rate, colour, label in ((0.3, BLUE, "rate 0.3"), (1.2, ORANGE, "rate 1.2")):
        run = trained("full", model=ModelConfig(8), init=XAVIER, training=TrainingConfig(10_000, rate))
        draw_line(axes[0], curve(run, "curvature/sharpness", 0), colour, label)
        draw_line(axes[1], curve(run, "curvature/smallest", 0), colour, label)
        constant = InitConfig("constant", 0.5)
        training = TrainingConfig(10_000, rate, arithmetic="exact")
        symmetric = trained("full", model=ModelConfig(8), init=constant, training=training)
        draw_line(axes[2], curve(symmetric, "curvature/growth"), colour, label)
    draw_threshold(axes[0], 1.0, "edge of stability: eigenvalue 2 / learning rate")
    draw_threshold(axes[2], 1.0, "above: units drift apart")
    for ax in axes:
        label_iterations(ax)
    return figure


def profiles() -> Figure:
    """Profiles of the full preset, with one value for each unit or bin: histograms, rasters and trajectories."""
    run = trained("full", model=ModelConfig(12, activation="relu"), init=HE, training=TrainingConfig(3000, 6.0), seed=2)
    figure, (left, middle, right) = panels(
        {"activity/histogram (layer 1)": "logit z", "units/silent: dark is dead": "unit", "units/w1, units/w2": "w2"}
    )
    for ax, quantity in ((left, "activity/histogram"), (middle, "units/silent")):
        rows = run.profiles[(run.profiles["quantity"] == quantity) & (run.profiles["layer"] == 1)]
        table = rows.pivot_table(index="index", columns="iteration", values="value")
        image = ax.pcolormesh(
            range(table.shape[1] + 1),
            range(len(table) + 1),
            table.to_numpy(),
            cmap="Blues" if ax is left else "Greys",
        )
        figure.colorbar(image, ax=ax, label="share of examples")
        ticks = np.linspace(0, table.shape[1] - 1, 5).astype(int)
        ax.set_xticks(ticks + 0.5, [str(table.columns[tick]) for tick in ticks], fontsize=7)
        ax.set_xlabel("iteration of the checkpoint", fontsize=8)
    edges = [*range(1, len(HISTOGRAM_EDGES) + 1, 10)]
    left.set_yticks(edges, [f"{HISTOGRAM_EDGES[edge - 1]:g}" for edge in edges], fontsize=7)
    paths = run.profiles[run.profiles["quantity"].isin(["units/w1", "units/w2"])]
    table = paths.pivot_table(index="iteration", columns=["quantity", "index"], values="value")
    for unit in range(12):
        w1, w2 = table["units/w1"][unit], table["units/w2"][unit]
        right.plot(w1, w2, linewidth=1, color=BLUE, alpha=0.6)
        right.plot(w1.iloc[-1], w2.iloc[-1], "o", color=BLUE, markersize=4)
    right.set_xlabel("w1", fontsize=8)
    return figure


PICTURES: dict[str, Callable[[], Figure]] = {
    "symmetry": symmetry,
    "ranks": ranks,
    "signal": signal,
    "ratio_and_update": ratio_and_update,
    "activity": activity,
    "function": function,
    "curvature": curvature,
    "profiles": profiles,
}


def main() -> None:
    """Draw and write every picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, picture in PICTURES.items():
        figure = picture()
        figure.savefig(FOLDER / f"{name}.png", dpi=110)
        plt.close(figure)
        print(FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
