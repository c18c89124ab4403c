"""One stack of networks, from configs to runs: data, initialization, training, probes, verdict."""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from nnlab.config import MEASURES, RunConfig, flatten, hidden_sizes
from nnlab.datasets import Dataset
from nnlab.diagnostics import Measurement, function, measure
from nnlab.diagnostics.outcome import balanced_score
from nnlab.diagnostics.verdict import judge
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import ARITHMETICS, forward
from nnlab.network.training import Snapshot, checkpoints, train
from nnlab.record.history import History
from nnlab.record.run import Run
from nnlab.results import Results
from nnlab.seeding import legacy_stream, stream
from nnlab.study.references import references_of, scikit_learn

__all__ = ["final_scores", "layer_sizes", "run_stack", "snapshots"]


def run_stack(configs: Sequence[RunConfig], data: Dataset, fingerprints: Sequence[str]) -> list[Run]:
    """Train a stack of networks and return a Run for each, in order.

    The resolved configs may differ in seed, initialization and learning rate; the rest must agree.
    """
    started = time.perf_counter()
    history = History()
    with threadpool_limits(limits=1):  # two BLAS threads make products as small as these 1.5 to 2 times slower
        for snapshot in snapshots(configs, data, _schedule(configs[0])):
            history.add(snapshot.iteration, _measurements(snapshot, data, configs[0].diagnostics.preset))
        facts = _facts(len(configs), time.perf_counter() - started)
        references = references_of(data, Results.at(configs[0].results_dir))
        scores = final_scores(snapshot, data)
    frames, profiles = history.frames(), history.profiles()
    return [
        Run(
            config=config,
            task=data.task,
            history=frames[index],
            profiles=profiles[index],
            parameters=snapshot.parameters.as_dict(index),
            preparation=data.preparation,
            verdict=judge(*history.curves(index), flatten(config), references, scores[index], fingerprints[index]),
            references=references,
            fingerprint=fingerprints[index],
            facts=facts,
        )
        for index, config in enumerate(configs)
    ]


def snapshots(configs: Sequence[RunConfig], data: Dataset, schedule: Sequence[int]) -> Iterator[Snapshot]:
    """Initialize and train a stack; yield a snapshot at each iteration of `schedule`, and stop after its last."""
    training = configs[0].training
    return train(
        _initial_parameters(configs, data),
        data.X,
        data.Y,
        activation=ACTIVATIONS[configs[0].model.activation],
        cost=COSTS[data.task],
        learning_rate=np.array([config.training.learning_rate for config in configs]),
        schedule=schedule,
        batch_size=training.batch_size,
        rngs=[stream(config.seed, "batches") for config in configs],
        product=ARITHMETICS[training.arithmetic],
    )


def layer_sizes(config: RunConfig, data: Dataset) -> list[int]:
    """Return the layer sizes (n_x, n_1, ..., n_y) of a config's network on a data set."""
    return [len(data.X), *hidden_sizes(config.model), len(data.Y)]


def _schedule(config: RunConfig) -> list[int]:
    return checkpoints(config.training.iterations, config.diagnostics.checkpoints, config.diagnostics.every)


def _initial_parameters(configs: Sequence[RunConfig], data: Dataset) -> Parameters:
    sizes = layer_sizes(configs[0], data)
    weights = []
    with np.errstate(over="ignore"):  # a weight too large for its dtype becomes inf, and the run diverges
        for config in configs:
            rng = legacy_stream(config.seed) if config.init.generator == "legacy" else stream(config.seed, "init")
            weights.append(initialize(sizes, config.init.scheme, config.init.scale, rng).flat)
        return Parameters(sizes, np.concatenate(weights).astype(configs[0].training.dtype))


def _measurements(snapshot: Snapshot, data: Dataset, preset: str) -> Iterator[Measurement]:
    yield from function.on_training_data(snapshot)
    yield from function.on_test_data(
        snapshot.parameters, data.X_test, data.Y_test, snapshot.activation, snapshot.cost_function
    )
    yield from measure(snapshot, preset)


def final_scores(snapshot: Snapshot, data: Dataset) -> list[tuple[float, float]]:
    """Return the score of each network on the training and on the test data, as `balanced_score` measures it.

    The score on test data is NaN if there are none.
    """
    cost, parameters = snapshot.cost_function, snapshot.parameters
    with np.errstate(all="ignore"):
        train = balanced_score(snapshot.Z[-1], data.Y, cost)
        test = np.full(len(train), np.nan)
        if data.Y_test.size:
            logits = forward(parameters, data.X_test.astype(parameters.flat.dtype), snapshot.activation)[0][-1]
            test = balanced_score(logits, data.Y_test, cost)
    return list(zip(train.tolist(), test.tolist(), strict=True))


def _facts(R: int, seconds: float) -> dict[str, Any]:
    """Return machine, versions and speed. BLAS and its kernel determine the last bits of every product."""
    blas = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "seconds": seconds / R,
        "stack": R,
        "measures": MEASURES,
        "scikit_learn": scikit_learn(),
        "process": os.getpid(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(sorted({f"{p['internal_api']} {p['version']} {p.get('architecture', '')}" for p in blas})),
        "machine": platform.machine(),
    }
