"""Figures of one network: its boundary and its units.

Each figure is a pure function `(frame, ax) -> ax` that neither loads, saves nor trains. `decision_boundary` draws the
frame of `boundary`; the units' figures draw `Run.profiles`, which a run has with diagnostics.preset=full. `portrait`
returns all figures of a run.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nnlab.datasets import Dataset
from nnlab.diagnostics.activity import SATURATED_SHARE
from nnlab.diagnostics.equality import classes
from nnlab.findings.plots import gradient_flow
from nnlab.findings.style import COLOURS, log_scale
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.record.run import Run

__all__ = ["boundary", "decision_boundary", "plane", "portrait", "unit_paths", "unit_raster"]

FEW_EXAMPLES = 20
"""At most so many examples are drawn large."""


def boundary(parameters: dict[str, np.ndarray], activation: str, data: Dataset, steps: int = 120) -> pd.DataFrame:
    """Return a network's answers on a square grid over its data, with the columns x1, x2, probability (of class 1).

    `parameters` are a run's; `steps` is the number of points along each side. Raises ValueError unless there are two
    inputs and two classes.
    """
    if len(data.X) != 2 or data.task != "binary":
        raise ValueError(f"a boundary needs two inputs and two classes, got {len(data.X)} inputs and {data.task}")
    middle, reach = plane(data.X)
    x1, x2 = (np.linspace(centre - reach, centre + reach, steps) for centre in middle)
    points = np.stack([axis.ravel() for axis in np.meshgrid(x1, x2)])
    with np.errstate(all="ignore"):
        Z, _ = forward(Parameters.from_dict(parameters), points, ACTIVATIONS[activation])
        probability = COSTS[data.task].output(Z[-1])[0, 0]
    return pd.DataFrame({"x1": points[0], "x2": points[1], "probability": probability})


def plane(X: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the middle (2,) and half the side of the square in which inputs X (2, m) are drawn."""
    low, high = X.min(axis=1), X.max(axis=1)
    return (low + high) / 2, float(0.55 * (high - low).max())


def decision_boundary(answers: pd.DataFrame, ax: Axes, data: Dataset, note: str = "") -> Axes:
    """Draw the probability of class 1 over the plane, the boundary at 0.5, and the training examples.

    `answers` is a frame of `boundary`. Colours run from 0 (blue) over 0.5 (white) to 1 (red) in every panel. Examples
    of class 1 are triangles. `note`, such as accuracy and verdict, is written in the corner.
    """
    table = answers.pivot(index="x2", columns="x1", values="probability")
    x1, x2, values = table.columns.to_numpy(), table.index.to_numpy(), table.to_numpy()
    ax.pcolormesh(x1, x2, values, cmap="RdBu_r", vmin=0, vmax=1, shading="nearest", rasterized=True, alpha=0.6)
    if np.nanmin(values) < 0.5 < np.nanmax(values):
        ax.contour(x1, x2, values, levels=[0.5], colors="black", linewidths=1.2)
    size = 3.2 if data.X.shape[1] > FEW_EXAMPLES else 8.0
    for label, (marker, colour) in enumerate((("o", "#053061"), ("^", "#67001f"))):
        chosen = data.X[:, data.Y[0] == label]
        ax.plot(*chosen, marker, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=size / 10)
    if note:
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        ax.text(0.03, 0.97, note, transform=ax.transAxes, ha="left", va="top", fontsize=8, bbox=box)
    ax.set_aspect("equal")
    ax.set_xlabel("x1")
    ax.set_ylabel("x2")
    return ax


def unit_paths(profiles: pd.DataFrame, ax: Axes) -> Axes:
    """Draw how the units of layer 1 move in the plane of their incoming weights (w1, w2): start hollow, end filled.

    `profiles` has the quantities units/w1, units/w2 and units/b of one run. Units that are equal at the end, as they
    are after equal initialization, have the same colour, and the title counts the distinct ones.
    """
    tables = [
        profiles[profiles["quantity"] == f"units/{name}"].pivot(index="iteration", columns="index", values="value")
        for name in ("w1", "w2", "b")
    ]
    w1, w2, b = (table.to_numpy() for table in tables)
    last = np.stack([w1[-1], w2[-1], b[-1]], axis=-1)[None]
    (labels,) = classes(last, np.isfinite(last).all(axis=(1, 2)))
    distinct = np.unique(labels)
    for number, label in enumerate(distinct):
        colour = COLOURS[number % len(COLOURS)]
        for unit in np.flatnonzero(labels == label):
            ax.plot(w1[:, unit], w2[:, unit], color=colour, linewidth=1, alpha=0.8)
            ax.plot(w1[0, unit], w2[0, unit], "o", color=colour, markerfacecolor="white", markersize=5)
            ax.plot(w1[-1, unit], w2[-1, unit], "o", color=colour, markersize=6)
    count = len(distinct)
    ax.set_title(f"{w1.shape[1]} units, {count} distinct at the end" if count > 1 else "all units are one", fontsize=9)
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set_xlabel("w1: weight from x1")
    ax.set_ylabel("w2: weight from x2")
    return ax


def unit_raster(profiles: pd.DataFrame, ax: Axes, layer: int = 1) -> Axes:
    """Draw the share of the examples on which each unit of a layer is flat, by iteration: dark units are silent.

    `profiles` has the quantity units/silent of one run. Flat means saturated for tanh and sigmoid, and z <= 0 for relu
    and its variants. A unit that is silent on more than 95 % of the examples at the end has a bold label.
    """
    chosen = profiles[(profiles["quantity"] == "units/silent") & (profiles["layer"] == layer)]
    table = chosen.pivot(index="index", columns="iteration", values="value")
    rows, columns = table.shape
    mesh = ax.pcolormesh(
        *(np.arange(columns + 1), np.arange(rows + 1) + 0.5, table.to_numpy()),
        cmap="Greys",
        vmin=0,
        vmax=1,
        rasterized=True,
    )
    ticks = np.unique(np.linspace(0, columns - 1, 6).astype(int))
    ax.set_xticks(ticks + 0.5, [f"{table.columns[tick]}" for tick in ticks])
    step = max(1, rows // 12)
    ax.set_yticks(range(1, rows + 1, step))
    silent = table.to_numpy()[::step, -1] > SATURATED_SHARE
    for tick, bold in zip(ax.get_yticklabels(), silent, strict=True):
        if bold:
            tick.set_fontweight("bold")
    ax.set_xlabel("iteration of the checkpoint")
    ax.set_ylabel(f"unit of layer {layer}")
    ax.figure.colorbar(mesh, ax=ax, label="share of examples where it is flat")
    return ax


def portrait(run: Run, data: Dataset) -> dict[str, Figure]:
    """Return the figures of one run by name.

    Every run has `cost`; `gradient_flow` needs the signal in its history. Two inputs and two classes give `boundary`.
    With diagnostics.preset=full there are `units`, for two inputs, and `silent`, for activations that can be.
    """
    figures: dict[str, Figure] = {}

    def start(name: str, title: str, width: float = 6.0) -> Axes:
        figures[name] = Figure(figsize=(width, 4.2), layout="constrained")
        figures[name].suptitle(f"{title}\n{_subtitle(run)}", fontsize=9)
        return figures[name].subplots()

    _draw_cost(run, start("cost", "Cost"))
    if "signal/rms_dZ" in set(run.history["quantity"]):
        gradient_flow(run.history, start("gradient_flow", "Back-propagated signal"))
    if len(data.X) == 2 and data.task == "binary":
        answers = boundary(run.parameters, run.config.model.activation, data)
        note = f"accuracy {run.metrics['accuracy/train']:.3f}\n{run.verdict.name}"
        decision_boundary(answers, start("boundary", "Probability of class 1, training examples", 5.0), data, note)
    quantities = set(run.profiles["quantity"])
    if "units/w1" in quantities:
        ax = unit_paths(run.profiles, start("units", "Units of layer 1", 5.0))
        ax.set_title("")
    if "units/silent" in quantities:
        unit_raster(run.profiles, start("silent", "Silent units of layer 1"))
    return figures


def _subtitle(run: Run) -> str:
    model, init = run.config.model, run.config.init
    setting = f"{model.activation}, {init.scheme} {init.scale:g}, seed {run.config.seed}"
    return f"{setting}; one run, so its spread is unknown"


def _draw_cost(run: Run, ax: Axes) -> None:
    for part, style in (("train", "-"), ("test", "--")):
        curve = run.history[run.history["quantity"] == f"cost/{part}"]
        if curve.empty:  # there is no test part
            continue
        finite = curve[np.isfinite(curve["value"]) & (curve["value"] > 0)]
        ax.plot(finite["iteration"], finite["value"], style, color=COLOURS[0], label=part)
    for reference in ("nothing", "affine"):
        ax.axhline(getattr(run.references, reference), color="0.4", linestyle=":", linewidth=1, label=reference)
    ax.set(xlabel="iteration", ylabel="cost (mean loss)", xlim=(0, run.config.training.iterations))
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.legend(frameon=False, fontsize=8)
