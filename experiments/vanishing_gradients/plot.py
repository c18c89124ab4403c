"""Which initial weights let the error signal reach the first layer of a deep network?"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import nnlab
from experiments.findings import Finding, count_of, over_seeds
from nnlab.config import RunConfig, hidden_sizes
from nnlab.findings.expected import signal_by_layer
from nnlab.findings.maps import verdict_map
from nnlab.findings.panels import panels
from nnlab.findings.plots import signal_by_layer as draw_signal
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.propagation import backward, forward
from nnlab.record.read_run import read_run

__all__ = ["figures", "findings", "log_ratios", "one_length"]

SETTING = ["model.activation", "init.scheme", "model.depth"]
DEEPEST = 10
VANISHED = 1e-3
"""Below this ratio of signals the verdict is vanishing, if layer 1 of three or more hardly moves."""
WIDER = 100
DRAWS = 20


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return the signal ratios of deep networks beside theory, and the predictions of what does not learn."""
    first = _ratios(runs)
    rows = _predictions(first)
    deep = first[first["model.depth"] == DEEPEST]
    for (activation, scheme), group in deep.groupby(["model.activation", "init.scheme"]):
        what = f"log10 of layer 1's share of the signal, {activation}, {scheme}, {DEEPEST} layers, median"
        theory = float(np.log10(group["theory"].iloc[0]))
        rows.append(over_seeds(what, group, "log10 ratio", "median", theory, 2))
    return rows + _by_length()


def _predictions(runs: pd.DataFrame) -> list[Finding]:
    """Count settings that learn, vanish or die, apart by whether theory lets a thousandth of the signal through."""
    marked = runs.assign(learned=runs["outcome"] == "learned", sick=runs["verdict"].isin(["vanishing", "dead"]))
    settings = marked.groupby(SETTING).agg(
        theory=("theory", "first"),
        all_learned=("learned", "all"),
        any_learned=("learned", "any"),
        all_sick=("sick", "all"),
        any_sick=("sick", "any"),
    )
    is_weak = settings["theory"] < VANISHED
    weak, strong = settings[is_weak], settings[~is_weak]
    return [
        count_of(f"theory lets {what} through: {name}", hits, f"settings of {runs['seed'].nunique()} seeds")
        for what, name, hits in (
            ("less than 1e-3", "no seed learned", ~weak["any_learned"]),
            ("more than 1e-3", "all seeds learned", strong["all_learned"]),
            ("less than 1e-3", "all seeds vanish or die", weak["all_sick"]),
            ("more than 1e-3", "any seed vanishes or dies", strong["any_sick"]),
        )
    ]


def _by_length() -> list[Finding]:
    """Return the effect of input lengths: fresh draws, two widths, inputs as they are and scaled to one length."""
    rows = []
    for activation, width in (("tanh", 30), ("tanh", WIDER), ("relu", WIDER)):
        config = RunConfig(
            model=nnlab.ModelConfig(activation=activation, depth=DEEPEST, hidden_size=width),
            init=nnlab.InitConfig("he", scale=1.0),
        )
        X = nnlab.load_dataset(config.data).X
        for what, inputs in (("as they are", X), ("of one length", one_length(X))):
            theory = float(np.log10(signal_by_layer(config, inputs)[0]))
            runs = pd.DataFrame({"seed": range(DRAWS), "log10 ratio": log_ratios(config, inputs, DRAWS)})
            name = f"the same, {activation}, he, {width} units a layer, inputs {what}"
            rows.append(over_seeds(name, runs, "log10 ratio", "median", theory, 2)._replace(n=f"{DRAWS} draws"))
    return rows


def one_length(X: Array) -> Array:
    """Return the examples X (n_x, m) scaled to one length, with the same mean square."""
    return X / np.linalg.norm(X, axis=0) * np.sqrt(len(X) * np.mean(np.square(X)))


def log_ratios(config: RunConfig, X: Array, draws: int) -> list[float]:
    """Return log10(rms dZ of layer 1 / rms dZ of the output) for fresh draws of the weights on inputs X (n_x, m)."""
    data = nnlab.load_dataset(config.data)
    activation, cost = ACTIVATIONS[config.model.activation], COSTS["binary"]
    sizes = [len(X), *hidden_sizes(config.model), len(data.Y)]
    ratios = []
    for seed in range(draws):
        network = initialize(sizes, config.init.scheme, config.init.scale, np.random.default_rng(seed))
        Z, A = forward(network, X, activation)
        dZ, _ = backward(network, X, cost.encode(data.Y), Z, A, activation, cost)
        ratios.append(float(np.log10(np.sqrt(np.mean(np.square(dZ[0])) / np.mean(np.square(dZ[-1]))))))
    return ratios


def _ratios(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with the ratio at the start, measured and expected."""
    curves = nnlab.load_curves(runs, ["signal/ratio"])
    start = curves[curves["iteration"] == 0].set_index("fingerprint")["value"]
    measured = np.log10(runs["fingerprint"].map(start).astype(float).where(lambda ratio: ratio > 0))
    expected = {setting: _expected(group)[0] for setting, group in runs.groupby(SETTING)}
    theory = [expected[setting] for setting in runs[SETTING].itertuples(index=False, name=None)]
    return runs.assign(theory=theory).assign(**{"log10 ratio": measured})


def _expected(runs: pd.DataFrame) -> list[float]:
    config: RunConfig = read_run(Path(runs["folder"].iloc[0])).config
    return signal_by_layer(config)


def figures(runs: pd.DataFrame) -> dict[str, Figure]:
    """Return the signal by layer beside theory in the deepest networks, and what was learned."""
    deep = runs[runs["model.depth"] == DEEPEST]
    curves = nnlab.load_curves(deep, ["signal/rms_dZ"])
    keys = ["fingerprint", "seed", "model.activation", "init.scheme"]
    curves = curves[(curves["iteration"] == 0) & (curves["value"] > 0)].merge(deep[keys], on="fingerprint")
    expected = {
        activation: {scheme: _expected(some) for scheme, some in group.groupby("init.scheme")}
        for activation, group in deep.groupby("model.activation")
    }

    def draw(frame: pd.DataFrame, ax: Axes, *, among: pd.DataFrame) -> None:
        draw_signal(frame, ax, "init.scheme", expected[frame["model.activation"].iloc[0]], among)

    title = f"How much of the output's error reaches each of {DEEPEST} hidden layers before training"
    return {
        "signal.png": panels(curves, "model.activation", draw, title),
        "verdicts.png": panels(
            runs,
            "model.activation",
            partial(verdict_map, x="model.depth", y="init.scheme"),
            f"What each network learned in {runs['training.iterations'].max()} iterations, and why not more, "
            "by depth and initial weights",
        ),
    }
