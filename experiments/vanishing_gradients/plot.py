"""Which initial weights let the error signal reach the first layer of a deep network?"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, over_seeds, share
from nnlab.config import RunConfig
from nnlab.findings.expected import signal_by_layer
from nnlab.findings.plots import panels, verdict_map
from nnlab.findings.plots import signal_by_layer as draw_signal
from nnlab.record.store import read_run

__all__ = ["figures", "findings"]

DEEPEST = 10
VANISHED = 1e-3
"""Below this ratio of signals the verdict is vanishing, if layer 1 moves as little."""


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the signal ratios of deep networks beside theory, and whether theory knew who would not learn."""
    first = _ratios(runs)
    deep = first[first["model.depth"] == DEEPEST]
    found = [
        share(
            "theory sees less than 1e-3 arrive: verdict vanishing or dead",
            _hits(first[first["theory"] < VANISHED]),
        ),
        share(
            "theory sees more than 1e-3 arrive: verdict vanishing or dead", _hits(first[first["theory"] >= VANISHED])
        ),
    ]
    for (activation, scheme), group in deep.groupby(["model.activation", "init.scheme"]):
        what = f"log10 of layer 1's share of the signal, {activation}, {scheme}, {DEEPEST} layers, median"
        theory = float(np.log10(group["theory"].iloc[0]))
        found.append(over_seeds(what, group, "log10 ratio", "median", theory, 2))
    return found


def _hits(runs: pd.DataFrame) -> pd.Series:
    return runs["verdict"].isin(["vanishing", "dead"])


def _ratios(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the ratio at the start, measured and expected."""
    curves = nnlab.load_curves(runs, ["signal/ratio"])
    start = curves[curves["iteration"] == 0].set_index("fingerprint")["value"]
    measured = np.log10(runs["fingerprint"].map(start).astype(float).where(lambda ratio: ratio > 0))
    keys = ["model.activation", "init.scheme", "model.depth"]
    expected = {setting: _expected(group)[0] for setting, group in runs.groupby(keys)}
    theory = [expected[setting] for setting in runs[keys].itertuples(index=False, name=None)]
    return runs.assign(theory=theory).assign(**{"log10 ratio": measured})


def _expected(runs: pd.DataFrame) -> list[float]:
    config: RunConfig = read_run(Path(runs["folder"].iloc[0])).config
    return signal_by_layer(config)


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the signal by layer beside theory in the deepest networks, and the verdicts."""
    deep = runs[runs["model.depth"] == DEEPEST]
    curves = nnlab.load_curves(deep, ["signal/rms_dZ"])
    keys = ["fingerprint", "seed", "model.activation", "init.scheme"]
    curves = curves[(curves["iteration"] == 0) & (curves["value"] > 0)].merge(deep[keys], on="fingerprint")
    expected = {
        activation: {scheme: _expected(some) for scheme, some in group.groupby("init.scheme")}
        for activation, group in deep.groupby("model.activation")
    }

    def draw(frame: pd.DataFrame, ax: object) -> None:
        draw_signal(frame, ax, "init.scheme", expected[frame["model.activation"].iloc[0]])  # type: ignore[arg-type]

    title = f"How much of the output's error reaches each of {DEEPEST} hidden layers before training"
    return {
        "signal.png": panels(curves, "model.activation", draw, title),
        "verdicts.png": panels(
            runs,
            "model.activation",
            lambda frame, ax: verdict_map(frame, ax, "model.depth", "init.scheme"),
            "What becomes of them",
        ),
    }
