"""A film of one network while it learns. The frames are drawn here; training is the caller's job."""

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from nnlab.datasets import Dataset
from nnlab.findings.portraits import boundary, decision_boundary, plane
from nnlab.findings.style import COLOURS, ink

__all__ = ["Scene", "film"]


class Scene(NamedTuple):
    """One frame of a film: the iteration, cost and accuracy there, and the parameters as in a `Run`."""

    iteration: int
    cost: float
    accuracy: float
    parameters: dict[str, np.ndarray]


def film(scenes: Iterable[Scene], activation: str, data: Dataset, title: str) -> bytes:
    """Return a GIF of a network while it learns: its boundary, and the lines and weights of its units.

    The left panel shows the decision boundary and, for each unit of layer 1, the line on which its logit is 0. The
    right panel shows each unit as the point (w1, w2) with its path so far. The axes are the same in every frame. Raises
    ValueError unless there are two inputs and two classes, as `boundary` does.
    """
    scenes = list(scenes)
    weights = np.stack([scene.parameters["W1"] for scene in scenes])
    finite = weights[np.isfinite(weights).all(axis=(1, 2))]
    reach = 1.1 * max(float(np.abs(finite).max(initial=0)), 1e-3)
    images = [
        _image(_scene_figure(scene, weights[: number + 1], reach, activation, data, title))
        for number, scene in enumerate(scenes)
    ]
    return _gif(images)


def _scene_figure(
    scene: Scene, weights: np.ndarray, reach: float, activation: str, data: Dataset, title: str
) -> Figure:
    """Return one frame, given the weights of layer 1 in all scenes up to this one (scenes, units, 2)."""
    figure = Figure(figsize=(7.2, 3.9), dpi=72)
    left, right = figure.subplots(1, 2)
    figure.subplots_adjust(0.07, 0.13, 0.98, 0.84, 0.24)
    note = f"accuracy {scene.accuracy:.2f}"
    decision_boundary(boundary(scene.parameters, activation, data, 70), left, data, note)
    _draw_unit_lines(scene.parameters, left, data)
    _draw_unit_points(weights, right, reach)
    figure.suptitle(f"{title}\niteration {scene.iteration}, cost {scene.cost:.3f}", fontsize=10)
    return figure


def _image(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)


def _gif(images: Sequence[Image.Image]) -> bytes:
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


def _draw_unit_lines(parameters: dict[str, np.ndarray], ax: Axes, data: Dataset) -> None:
    middle, reach = plane(data.X)
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


def _draw_unit_points(weights: np.ndarray, ax: Axes, reach: float) -> None:
    for unit in range(weights.shape[1]):
        colour = COLOURS[unit % len(COLOURS)]
        ax.plot(*weights[:, unit].T, color=to_rgba(colour, 0.5), linewidth=1)
        ax.plot(*weights[-1, unit], "o", color=colour, markersize=7, markeredgecolor=ink(colour), markeredgewidth=0.5)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="w1: weight from x1", ylabel="w2: weight from x2")
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.set_aspect("equal")
