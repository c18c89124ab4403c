"""A naive sweep to compare nnlab with: Hydra's basic launcher, a textbook loop, `mlflow.log_metric`.

Hydra composes and launches each job separately; each job logs six metrics every 100 iterations to MLflow on SQLite.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from hydra.core.config_store import ConfigStore

from benchmarks.peers import Notes, Problem
from nnlab import DataConfig, load_dataset
from nnlab.network.initializers import initialize
from nnlab.tracking.connection import import_mlflow

__all__ = ["main"]

EVERY = 100


@dataclass
class Config:
    """The keys of the naive sweep."""

    results: str = "???"
    activation: str = "tanh"
    hidden_size: int = 4
    scale: float = 0.01
    seed: int = 0
    iterations: int = 10_000
    learning_rate: float = 1.2


ConfigStore.instance().store(name="naive", node=Config)


@hydra.main(version_base="1.3", config_path=None, config_name="naive")
def main(cfg: Any) -> None:
    """Train and log one network."""
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(f"sqlite:///{Path(cfg.results) / 'mlflow.db'}")
    mlflow.set_experiment("naive")
    data = load_dataset(DataConfig())
    start = initialize((2, cfg.hidden_size, 1), "normal", cfg.scale, np.random.default_rng(cfg.seed))
    problem = Problem(data.X, data.Y, start, cfg.activation, cfg.learning_rate, EVERY)
    network = Notes(problem)
    with mlflow.start_run():
        mlflow.log_params(dict(cfg))
        for iteration in range(0, cfg.iterations + 1, EVERY):
            for name, value in metrics(network, data).items():
                mlflow.log_metric(name, value, step=iteration)
            if iteration < cfg.iterations:
                network.advance()


def metrics(network: Notes, data: Any) -> dict[str, float]:
    """Return the six metrics of a network."""
    cache, test = network.forward(data.X), network.forward(data.X_test)
    gradients = network.backward(cache, data.Y)
    return {
        "cost": network.compute_cost(cache["A2"], data.Y),
        "test_cost": network.compute_cost(test["A2"], data.Y_test),
        "accuracy": float(np.mean((cache["A2"] > 0.5) == data.Y)),
        "test_accuracy": float(np.mean((test["A2"] > 0.5) == data.Y_test)),
        "grad_norm_1": float(np.linalg.norm(gradients["W1"])),
        "grad_norm_2": float(np.linalg.norm(gradients["W2"])),
    }


if __name__ == "__main__":
    main()
