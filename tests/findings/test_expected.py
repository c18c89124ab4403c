"""Tests of theory against measurements of wide networks, for which it holds."""

import dataclasses

import numpy as np
import pytest

import nnlab
from experiments.vanishing_gradients.plot import log_ratios
from nnlab.config import resolve
from nnlab.findings.expected import signal_by_layer
from nnlab.study.run_stack import run_stack

WIDE = nnlab.RunConfig(
    model=nnlab.ModelConfig(hidden_size=200, depth=4),
    training=nnlab.TrainingConfig(iterations=1),
    diagnostics=nnlab.DiagnosticsConfig(checkpoints=2),
)


@pytest.mark.parametrize(
    ("activation", "scheme", "scale"),
    [("tanh", "xavier", 1.0), ("relu", "he", 1.0), ("sigmoid", "normal", 0.1), ("identity", "normal", 0.05)],
)
def test_the_signal_of_wide_layers_agrees_with_theory(activation: str, scheme: str, scale: float) -> None:
    config = dataclasses.replace(
        WIDE,
        data=nnlab.DataConfig("breast_cancer"),
        model=dataclasses.replace(WIDE.model, activation=activation),
        init=nnlab.InitConfig(scheme, scale=scale),
    )
    configs = [resolve(dataclasses.replace(config, seed=seed)) for seed in range(20)]
    runs = run_stack(configs, nnlab.load_dataset(config.data), [f"{seed:016x}" for seed in range(20)])
    squares = []
    for run in runs:
        first = run.history[(run.history["iteration"] == 0) & (run.history["quantity"] == "signal/rms_dZ")]
        squares.append(np.square(first.sort_values("layer")["value"].to_numpy()))
    squares = np.array(squares)
    measured = np.sqrt((squares / squares[:, -1:]).mean(axis=0))
    # The mean of 20 networks scatters by a few per cent.
    np.testing.assert_allclose(measured, signal_by_layer(config), rtol=0.12)


def test_theory_averages_over_inputs_of_different_lengths() -> None:
    """The flower has points near the origin: theory for the mean length of its inputs is wrong by a factor of 1.4."""
    config = dataclasses.replace(
        WIDE, model=nnlab.ModelConfig(300, 4, activation="tanh"), init=nnlab.InitConfig("xavier", scale=2.0)
    )
    X = nnlab.load_dataset(config.data).X
    measured = np.mean([np.power(100, ratio) for ratio in log_ratios(config, X, 20)]) ** 0.5
    mean_length = np.full_like(X, np.sqrt(np.mean(np.square(X))))
    assert measured == pytest.approx(signal_by_layer(config)[0], rel=0.08)
    assert measured > 1.2 * signal_by_layer(config, mean_length)[0]
    few, many = X[:, :64], np.repeat(X[:, :64], 3, axis=1)
    np.testing.assert_allclose(signal_by_layer(config, many), signal_by_layer(config, few), rtol=1e-3)


def test_signals_are_relative_to_the_output() -> None:
    assert signal_by_layer(WIDE)[-1] == 1.0
    assert len(signal_by_layer(WIDE)) == 5
    with pytest.raises(ValueError, match="scheme must be one of"):
        signal_by_layer(dataclasses.replace(WIDE, init=nnlab.InitConfig("zeros")))
