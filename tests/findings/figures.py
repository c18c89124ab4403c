"""The figures that are compared with stored pictures; `python tests/findings/figures.py` draws the pictures again.

Look at the pictures before committing them: the comparison finds changes, not mistakes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import nnlab
from nnlab.findings import maps, plots, portraits
from nnlab.findings.panels import panels

FOLDER = Path(__file__).with_name("pictures")


def runs() -> pd.DataFrame:
    """Sixty runs, as `load_runs` would return them."""
    rng = np.random.default_rng(0)
    rows = []
    for scale in (0.01, 1.0):
        for activation in ("relu", "tanh"):
            for size in (1, 2, 4):
                for seed in range(5):
                    good = size > 1 or rng.random() < 0.5
                    score = 0.6 + 0.3 * good + 0.05 * rng.random()
                    rows.append((scale, activation, size, seed, "healthy" if good else "linear", score, 0.55))
    columns = ["init.scale", "model.activation", "model.hidden_size", "seed", "verdict", "accuracy/test"]
    frame = pd.DataFrame(rows, columns=[*columns, "reference/affine_accuracy/test"])
    good = frame["verdict"] == "healthy"
    return frame.assign(
        fingerprint=[f"{number:016x}" for number in range(len(frame))],
        outcome=np.where(good, "learned", "partly"),
        sweep_cause=np.where(good | (frame["model.activation"] == "tanh"), "", "stuck"),
        **{"learned/train": np.where(good, 1.0, 0.3 + 0.1 * frame["seed"])},
    )


def cures() -> pd.DataFrame:
    """The same settings, as `with_cures` would return them, with every kind of cure."""
    found: dict[tuple[str, int], tuple[str, tuple[str, ...], tuple[str, ...]]] = {
        ("relu", 1): ("learning rate x 0.1", ("smaller steps",), ("he", "tanh")),
        ("relu", 2): ("he and width x 4", ("scheme", "width"), ()),
        ("relu", 4): ("none found", (), ()),
        ("tanh", 1): ("width x 4", ("width",), ()),
        ("tanh", 2): ("not explained", (), ()),
        ("tanh", 4): ("learned", (), ()),
    }
    some = runs()
    each = [found[pair] for pair in zip(some["model.activation"], some["model.hidden_size"], strict=True)]
    return some.assign(cure=[one[0] for one in each], aspects=[one[1] for one in each], others=[one[2] for one in each])


def cost() -> pd.DataFrame:
    """Their costs, as `load_curves` would return them, with the swept keys."""
    some = runs()
    iterations = np.array([0, 1, 10, 100, 1000])
    frame = some.loc[some.index.repeat(len(iterations))].reset_index(drop=True)
    frame["iteration"] = np.tile(iterations, len(some))
    slow = np.where(frame["model.activation"] == "relu", 0.3, 0.6) + 0.02 * frame["seed"]
    return frame.assign(value=np.log(2) * (1 + frame["iteration"]) ** (-slow / 2))


def signal() -> pd.DataFrame:
    """Their signals in four layers, falling by a half or by a fifth."""
    some = runs().query("`model.hidden_size` == 4")
    frame = some.loc[some.index.repeat(4)].reset_index(drop=True)
    frame["layer"] = np.tile([1, 2, 3, 4], len(some))
    fall = np.where(frame["model.activation"] == "relu", 0.5, 0.2) * (1 + 0.02 * frame["seed"])
    return frame.assign(value=0.5 * fall ** (4 - frame["layer"]), quantity="signal/rms_dZ", iteration=0)


def flow() -> pd.DataFrame:
    """One network's signal in three layers, with none in the first layer before iteration 10."""
    rows = [
        ("signal/rms_dZ", layer, t, 0.0 if layer == 1 and t < 10 else 0.5 * 0.1 ** (3 - layer) / (1 + t / 100))
        for layer in (1, 2, 3)
        for t in (0, 1, 10, 100, 1000)
    ]
    return pd.DataFrame(rows, columns=["quantity", "layer", "iteration", "value"])


def profiles() -> pd.DataFrame:
    """Four units: two are equal, and the last becomes silent."""
    rows = []
    for step, t in enumerate((0, 1, 10, 100)):
        for unit, angle in enumerate((0.3, 0.3, 2.0, 4.0)):
            rows += [
                (t, 1, "units/w1", unit, (1 + step) * np.cos(angle)),
                (t, 1, "units/w2", unit, (1 + step) * np.sin(angle)),
                (t, 1, "units/b", unit, 0.1 * step),
                (t, 1, "units/silent", unit, min(1.0, step * unit / 8)),
            ]
    return pd.DataFrame(rows, columns=["iteration", "layer", "quantity", "index", "value"])


def alone(draw: Callable[..., object], *frames: object, **words: object) -> Figure:
    """A figure with a single panel."""
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    draw(frames[0], figure.subplots(), *frames[1:], **words)
    return figure


def boundary() -> Figure:
    data = nnlab.load_dataset(nnlab.DataConfig("moons", m=60))
    parameters = {
        "W1": np.array([[2.0, -1.0], [-1.0, 3.0]]),
        "b1": np.array([[0.5], [-1.0]]),
        "W2": np.array([[3.0, -2.0]]),
        "b2": np.array([[-0.5]]),
    }
    answers = portraits.boundary(parameters, "tanh", data, steps=60)
    return alone(portraits.decision_boundary, answers, data, "accuracy 0.80\nhealthy")


FIGURES: dict[str, Callable[[], Figure]] = {
    "verdict_map": lambda: panels(
        runs(), "init.scale", partial(maps.verdict_map, x="model.hidden_size", y="model.activation"), "Verdict"
    ),
    "cure_map": lambda: alone(maps.cure_map, cures(), "model.hidden_size", "model.activation"),
    "cost_curves": lambda: panels(
        cost(),
        "init.scale",
        partial(plots.cost_curves, by="model.activation", references={"nothing": 0.693}),
        "Cost",
    ),
    "metric_by_value": lambda: alone(
        plots.metric_by_value, runs(), "accuracy/test", "model.hidden_size", "model.activation"
    ),
    "signal_by_layer": lambda: alone(
        plots.signal_by_layer, signal(), "model.activation", {"relu": [0.125, 0.25, 0.5, 1.0]}
    ),
    "gradient_flow": lambda: alone(plots.gradient_flow, flow()),
    "unit_paths": lambda: alone(portraits.unit_paths, profiles()),
    "unit_raster": lambda: alone(portraits.unit_raster, profiles()),
    "decision_boundary": boundary,
}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        draw().savefig(FOLDER / f"{name}.png", dpi=60, metadata={"Software": None})
