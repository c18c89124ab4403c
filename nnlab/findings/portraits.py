"""Figures of one network: its boundary, its units, and a film of both while it learns.

Each figure is a pure function (frame, ax) -> ax; none loads, saves or trains. `boundary` makes the frame of a network's
answers; that of its units is `Run.profiles`, with diagnostics.preset=full.
"""

import io
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from nnlab.datasets import Dataset
from nnlab.diagnostics.activity import SATURATED_SHARE
from nnlab.diagnostics.equality import classes
from nnlab.findings.plots import COLOURS, gradient_flow, ink, log_scale
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.record.history import Run

__all__ = ["Scene", "boundary", "decision_boundary", "film", "portrait", "unit_paths", "unit_raster"]


# ---- what a network answers


def boundary(parameters: dict[str, np.ndarray], activation: str, data: Dataset, steps: int = 120) -> pd.DataFrame:
    """Return a network's answers on a square grid over its data: x1, x2, probability (of class 1).

    `parameters` are those of a `Run`. Raises ValueError unless there are two inputs and two classes.
    """
    if len(data.X) != 2 or data.task != "binary":
        raise ValueError(f"a boundary needs two inputs and two classes, got {len(data.X)} inputs and {data.task}")
    middle, reach = _window(data.X)
    x1, x2 = (np.linspace(centre - reach, centre + reach, steps) for centre in middle)
    points = np.stack([axis.ravel() for axis in np.meshgrid(x1, x2)])
    with np.errstate(all="ignore"):
        Z, _ = forward(Parameters.from_dict(parameters), points, ACTIVATIONS[activation])
        probability = COSTS[data.task].output(Z[-1])[0, 0]
    return pd.DataFrame({"x1": points[0], "x2": points[1], "probability": probability})


def _window(X: np.ndarray) -> tuple[np.ndarray, float]:
    low, high = X.min(axis=1), X.max(axis=1)
    return (low + high) / 2, float(0.55 * (high - low).max())


def decision_boundary(answers: pd.DataFrame, ax: Axes, data: Dataset, note: str = "") -> Axes:
    """Draw the probability of class 1 over the plane, the boundary at 0.5, and the training examples.

    `answers` is a frame of `boundary`. Colours run from 0 (blue) over 0.5 (white) to 1 (red), the same in every
    panel; examples of class 1 are triangles. `note` stands in the corner: accuracy and verdict.
    """
    table = answers.pivot(index="x2", columns="x1", values="probability")
    x1, x2, values = table.columns.to_numpy(), table.index.to_numpy(), table.to_numpy()
    ax.pcolormesh(x1, x2, values, cmap="RdBu_r", vmin=0, vmax=1, shading="nearest", rasterized=True, alpha=0.6)
    if np.nanmin(values) < 0.5 < np.nanmax(values):
        ax.contour(x1, x2, values, levels=[0.5], colors="black", linewidths=1.2)
    for label, (marker, colour) in enumerate((("o", "#053061"), ("^", "#67001f"))):
        chosen = data.X[:, data.Y[0] == label]
        ax.plot(*chosen, marker, color=colour, markersize=3.2, markeredgecolor="white", markeredgewidth=0.3)
    if note:
        box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        ax.text(0.03, 0.97, note, transform=ax.transAxes, ha="left", va="top", fontsize=8, bbox=box)
    ax.set_aspect("equal")
    ax.set_xlabel("x1")
    ax.set_ylabel("x2")
    return ax


# ---- what its units do


def unit_paths(profiles: pd.DataFrame, ax: Axes) -> Axes:
    """Draw how the units of layer 1 move in the plane of their incoming weights (w1, w2): start hollow, end filled.

    `profiles` has the quantities units/w1, units/w2 and units/b of one run. Units that end as one, as equal
    initialization makes them, have one colour, and the legend counts the classes.
    """
    tables = [
        profiles[profiles["quantity"] == f"units/{name}"].pivot(index="iteration", columns="index", values="value")
        for name in ("w1", "w2", "b")
    ]
    w1, w2, b = (table.to_numpy() for table in tables)
    last = np.stack([w1[-1], w2[-1], b[-1]], axis=-1)[None]
    (labels,) = classes(last, np.isfinite(last).all(axis=(1, 2)))
    known = np.unique(labels)
    for number, label in enumerate(known):
        colour = COLOURS[number % len(COLOURS)]
        for unit in np.flatnonzero(labels == label):
            ax.plot(w1[:, unit], w2[:, unit], color=colour, linewidth=1, alpha=0.8)
            ax.plot(w1[0, unit], w2[0, unit], "o", color=colour, markerfacecolor="white", markersize=5)
            ax.plot(w1[-1, unit], w2[-1, unit], "o", color=colour, markersize=6)
    many = len(known)
    ax.set_title(f"{w1.shape[1]} units, {many} distinct at the end" if many > 1 else "all units are one", fontsize=9)
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set_xlabel("w1: weight from x1")
    ax.set_ylabel("w2: weight from x2")
    return ax


def unit_raster(profiles: pd.DataFrame, ax: Axes, layer: int = 1) -> Axes:
    """Draw on which share of the examples each unit of a layer is flat, by iteration: dark units are silent.

    `profiles` has the quantity units/silent of one run: saturated for tanh and sigmoid, z <= 0 for relu and its
    relatives. The label of a unit that is silent on more than 95 % of the examples at the end is bold.
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


# ---- the figures of a single run


def portrait(run: Run, data: Dataset) -> dict[str, Figure]:
    """Return the figures of one run by name.

    `cost` and `gradient_flow`; `boundary` for two inputs and two classes; with diagnostics.preset=full `units` for two
    inputs and `silent` for activations that can be.
    """
    who = f"{run.config.model.activation}, {run.config.init.scheme} {run.config.init.scale:g}, seed {run.config.seed}"
    figures = {}

    def start(name: str, title: str, width: float = 6.0) -> Axes:
        figures[name] = Figure(figsize=(width, 4.2), layout="constrained")
        figures[name].suptitle(f"{title}\n{who}; one run: nothing is known of its spread", fontsize=9)
        return figures[name].subplots()

    ax = start("cost", "Cost")
    for part, style in (("train", "-"), ("test", "--")):
        curve = run.history[run.history["quantity"] == f"cost/{part}"]
        finite = curve[np.isfinite(curve["value"]) & (curve["value"] > 0)]
        ax.plot(finite["iteration"], finite["value"], style, color=COLOURS[0], label=part)
    for reference in ("nothing", "affine"):
        ax.axhline(getattr(run.references, reference), color="0.4", linestyle=":", linewidth=1, label=reference)
    ax.set(xlabel="iteration", ylabel="cost (mean loss)", xlim=(0, run.config.training.iterations))
    ax.set_xscale("symlog", linthresh=1)
    log_scale(ax)
    ax.legend(frameon=False, fontsize=8)
    if "signal/rms_dZ" in set(run.history["quantity"]):
        gradient_flow(run.history, start("gradient_flow", "Back-propagated signal"))
    if len(data.X) == 2 and data.task == "binary":
        answers = boundary(run.parameters, run.config.model.activation, data)
        score = run.metrics["accuracy/train"]
        note = f"accuracy {score:.3f}\n{run.verdict.name}"
        decision_boundary(answers, start("boundary", "Probability of class 1, training examples", 5.0), data, note)
    quantities = set(run.profiles["quantity"])
    if "units/w1" in quantities:
        unit_paths(run.profiles, start("units", "Units of layer 1", 5.0))
        figures["units"].axes[0].set_title("")
    if "units/silent" in quantities:
        unit_raster(run.profiles, start("silent", "Silent units of layer 1"))
    return figures


# ---- a film


class Scene(NamedTuple):
    """One frame of a film: after how many iterations, cost and accuracy there, and the parameters as in a `Run`."""

    iteration: int
    cost: float
    accuracy: float
    parameters: dict[str, np.ndarray]


def film(scenes: Iterable[Scene], activation: str, data: Dataset, title: str) -> bytes:
    """Return a GIF of a network while it learns: its boundary, and the lines and weights of its units.

    Two inputs and two classes only, as in `boundary`. In the left panel each unit of layer 1 is the line on which its
    logit is 0; on the right it is the point (w1, w2) with the way it came. The axes are the same in every frame.
    """
    from PIL import Image

    scenes = list(scenes)
    ways = np.stack([scene.parameters["W1"] for scene in scenes])
    finite = ways[np.isfinite(ways).all(axis=(1, 2))]
    reach = 1.1 * max(float(np.abs(finite).max(initial=0)), 1e-3)
    images = []
    for number, scene in enumerate(scenes):
        figure = Figure(figsize=(7.2, 3.9), dpi=72)
        left, right = figure.subplots(1, 2)
        figure.subplots_adjust(0.07, 0.13, 0.98, 0.84, 0.24)
        note = f"accuracy {scene.accuracy:.2f}"
        decision_boundary(boundary(scene.parameters, activation, data, 70), left, data, note)
        _unit_lines(scene.parameters, left, data)
        _unit_points(ways[: number + 1], right, reach)
        figure.suptitle(f"{title}\niteration {scene.iteration}, cost {scene.cost:.3f}", fontsize=10)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        images.append(Image.open(buffer).convert("P", palette=Image.Palette.ADAPTIVE, colors=64))
    output = io.BytesIO()
    images[0].save(
        output,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=[160] * (len(images) - 1) + [2500],
        loop=0,
        optimize=True,
    )
    return output.getvalue()


def _unit_lines(parameters: dict[str, np.ndarray], ax: Axes, data: Dataset) -> None:
    middle, reach = _window(data.X)
    for number, (weights, bias) in enumerate(zip(parameters["W1"], parameters["b1"][:, 0], strict=True)):
        length = np.hypot(*weights)
        if not np.isfinite(length) or length == 0:
            continue
        foot = -bias * weights / length**2
        along = np.array([-weights[1], weights[0]]) / length * 4 * reach
        ends = np.stack([foot - along, foot + along], axis=1)
        ax.plot(*ends, color=COLOURS[number % len(COLOURS)], linewidth=1, alpha=0.9)
    ax.set_xlim(middle[0] - reach, middle[0] + reach)
    ax.set_ylim(middle[1] - reach, middle[1] + reach)


def _unit_points(ways: np.ndarray, ax: Axes, reach: float) -> None:
    for unit in range(ways.shape[1]):
        colour = COLOURS[unit % len(COLOURS)]
        ax.plot(*ways[:, unit].T, color=to_rgba(colour, 0.5), linewidth=1)
        ax.plot(*ways[-1, unit], "o", color=colour, markersize=7, markeredgecolor=ink(colour), markeredgewidth=0.5)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="w1: weight from x1", ylabel="w2: weight from x2")
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set_aspect("equal")
