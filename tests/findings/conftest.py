"""Recorded runs to analyse."""

import dataclasses
from pathlib import Path

import pytest

import nnlab


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve runs that MLflow was told of: three widths, two activations, two seeds."""
    folder = tmp_path_factory.mktemp("results")
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=30), results_dir=str(folder))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, model=nnlab.ModelConfig(hidden_size=size, activation=activation))
            for size in (1, 2, 3)
            for activation in ("tanh", "relu")
            for seed in range(2)
        ],
        n_jobs=1,
        tracking=True,
    )
    return folder
