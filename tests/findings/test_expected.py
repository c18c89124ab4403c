"""Theory beside measurement, on wide networks where it holds."""

import dataclasses

import numpy as np
import pytest

import nnlab
from nnlab.config import resolve
from nnlab.findings.expected import signal_by_layer
from nnlab.study.run import run_stack

WIDE = nnlab.RunConfig(
    model=nnlab.ModelConfig(hidden_size=200, depth=4),
    training=nnlab.TrainingConfig(iterations=1),
    diagnostics=nnlab.DiagnosticsConfig(checkpoints=2),
)


@pytest.mark.parametrize(
    ("activation", "scheme", "scale"),
    [("tanh", "xavier", 1.0), ("relu", "he", 1.0), ("sigmoid", "normal", 0.1), ("identity", "normal", 0.05)],
)
def test_the_signal_of_wide_layers_is_what_theory_expects(activation: str, scheme: str, scale: float) -> None:
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
    # Examples differ in length, theory follows their mean square; 20 networks scatter by a few per cent.
    np.testing.assert_allclose(measured, signal_by_layer(config), rtol=0.12)


def test_the_output_is_the_measure_of_all() -> None:
    assert signal_by_layer(WIDE)[-1] == 1.0
    assert len(signal_by_layer(WIDE)) == 5
    with pytest.raises(ValueError, match="scheme must be one of"):
        signal_by_layer(dataclasses.replace(WIDE, init=nnlab.InitConfig("zeros")))
