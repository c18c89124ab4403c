"""Failures that people asked about in forums, with their numbers: the answer is the verdict, or its first cure.

The data are made anew. Where a case asks for an option that nnlab does not have, such as class weights, the test says
so.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import nnlab
from nnlab import DataConfig, InitConfig, ModelConfig, RunConfig, TrainingConfig
from nnlab.config import flatten
from nnlab.diagnostics.sweep_cause import Trained, sweep_causes
from nnlab.record.run import Run
from nnlab.settings import settings_of

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=float)
HE, XAVIER = InitConfig("he", 1.0), InitConfig("xavier", 1.0)
Table = tuple[np.ndarray, np.ndarray]


def line_of_positive_inputs() -> Table:
    x = np.random.default_rng(0).uniform(0, 10, 200)
    return x, 2 * x + 1


def quartic() -> Table:
    x = np.linspace(-10, 10, 400)
    return x, x**4


def slow_sine() -> Table:
    x = np.linspace(0, 1000, 500)
    return x, np.sin(x / 100)


def corners_of_xor() -> Table:
    return np.tile(CORNERS, (25, 1)), np.tile([0, 1, 1, 0], 25)


def grid_of_xor() -> Table:
    axis = np.linspace(0, 1, 20)
    X = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return X, (X[:, 0] > 0.5) ^ (X[:, 1] > 0.5)


def pixels() -> Table:
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X * 255 / 16, y


def prices() -> Table:
    X = np.random.default_rng(1).uniform(0, 100, (300, 3))
    return X, X @ [30, 5, -8] + 100


def weighted_sum() -> Table:
    X = np.random.default_rng(2).uniform(0, 1, (300, 2))
    return X, 0.5 * (3 * X[:, 0] + 5 * X[:, 1])


def square() -> Table:
    x = np.linspace(-10, 10, 200)
    return x, x**2 + 3


def rare_class() -> Table:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((500, 4))
    score = X[:, 0] * X[:, 1] + 0.4 * X[:, 2] + 0.3 * rng.standard_normal(500)
    return X, score > np.quantile(score, 0.88)


def shuffled_flower() -> Table:
    data = nnlab.load_dataset(DataConfig("flower"))
    return data.X.T[np.random.default_rng(3).permutation(data.X.shape[1])], data.Y[0]


class Known(NamedTuple):
    """A case: its table (None for a built-in data set), its network, and the accepted answer."""

    table: Callable[[], Table] | None
    config: RunConfig
    names: tuple[str, ...]
    cured: dict[str, Any]


def network(width: int, activation: str, depth: int = 1) -> ModelConfig:
    return ModelConfig(hidden_size=width, activation=activation, depth=depth)


def case(
    table: Callable[[], Table] | None,
    model: ModelConfig,
    init: InitConfig,
    training: TrainingConfig,
    names: tuple[str, ...] = (),
    cured: dict[str, Any] | None = None,
    **more: Any,
) -> Known:
    data = DataConfig("file", target="y", standardize=False) if table else DataConfig("flower")
    more = {"data": data, **more}
    return Known(table, RunConfig(model=model, init=init, training=training, **more), names, cured or {})


STANDARDIZED = {"data.standardize": True}
KNOWN = {
    "one relu unit that is dead from birth": case(
        line_of_positive_inputs,
        network(1, "relu"),
        InitConfig("uniform", 0.05),
        TrainingConfig(1000, 0.01),
        ("dead",),
        seed=1,
    ),
    "x^4 without scaling": case(
        quartic,
        network(50, "sigmoid", 2),
        XAVIER,
        TrainingConfig(1000, 0.01),
        ("unscaled",),
        STANDARDIZED,
    ),
    "x^4 with a learning rate of 1e-12": case(
        quartic, network(50, "sigmoid", 2), XAVIER, TrainingConfig(1000, 1e-12), ("slow",)
    ),
    "a sine on 0 to 1000": case(
        slow_sine, network(10, "tanh", 3), XAVIER, TrainingConfig(2000, 0.01), ("unscaled",), STANDARDIZED
    ),
    "digits with a learning rate of 30": case(
        None,
        network(30, "sigmoid"),
        InitConfig("normal", 1.0),
        TrainingConfig(1000, 30.0, batch_size=10),
        ("overshooting", "diverged"),
        {"training.learning_rate": 3.0},
        data=DataConfig("digits"),
    ),
    "XOR with identity": case(
        None,
        network(8, "identity", 3),
        XAVIER,
        TrainingConfig(2000, 0.1),
        ("linear",),
        data=DataConfig("xor"),
    ),
    "zeros": case(None, network(4, "tanh"), InitConfig("zeros"), TrainingConfig(1000, 1.2), ("frozen",)),
    "XOR with tiny steps and weights": case(
        corners_of_xor,
        network(2, "sigmoid"),
        InitConfig("uniform", 0.01),
        TrainingConfig(5000, 1e-4),
        ("slow",),
        {"training.learning_rate": 0.01},
    ),
    "a grid of XOR on 0 to 1": case(
        grid_of_xor, network(4, "sigmoid"), XAVIER, TrainingConfig(3000, 0.5), ("unscaled",), STANDARDIZED
    ),
    "pixels from 0 to 255": case(
        pixels, network(64, "relu", 2), HE, TrainingConfig(300, 0.1), ("unscaled",), STANDARDIZED
    ),
    "a regression on raw prices": case(
        prices,
        network(8, "relu", 2),
        HE,
        TrainingConfig(1000, 0.001),
        ("unscaled", "overshooting", "diverged"),
        STANDARDIZED,
    ),
    "a line is all there is": case(
        weighted_sum, network(8, "leaky_relu"), HE, TrainingConfig(20_000, 0.001), ("healthy",)
    ),
    "a linear unit on x^2 + 3": case(
        square, ModelConfig(depth=0), InitConfig("normal", 0.01), TrainingConfig(2000, 0.001), ("unscaled", "linear")
    ),
    "all weights 1": case(
        None,
        network(4, "sigmoid"),
        InitConfig("constant", 1.0),
        TrainingConfig(2000, 1.2, arithmetic="exact"),
        ("symmetric",),
    ),
    "shuffled rows": case(
        shuffled_flower, network(4, "tanh"), XAVIER, TrainingConfig(2000, 1.2), ("nothing to learn",)
    ),
}


def trained(known: Known, folder: Path) -> Run:
    config = replace(known.config, results_dir=str(folder))
    if known.table:
        X, y = known.table()
        columns = np.column_stack([X, y])
        header = ",".join([*(f"x{number}" for number in range(columns.shape[1] - 1)), "y"])
        target = "%.12g" if y.dtype.kind == "f" else "%d"
        np.savetxt(
            folder / "t.csv", columns, ["%.12g"] * (columns.shape[1] - 1) + [target], ",", header=header, comments=""
        )
        config = replace(config, data=replace(config.data, path=str(folder / "t.csv")))
    return nnlab.run(config)


@pytest.mark.parametrize("name", KNOWN)
def test_the_accepted_answer_is_the_verdict_or_its_first_cure(name: str, tmp_path: Path) -> None:
    known = KNOWN[name]
    verdict = trained(known, tmp_path).verdict
    is_named = verdict.name in known.names
    is_cured = bool(known.cured) and known.cured.items() <= verdict.cure.items()
    assert is_named or is_cured, verdict.text


def test_tiny_steps_are_not_answered_by_fewer_layers_or_the_same_steps(tmp_path: Path) -> None:
    for name in ("XOR with tiny steps and weights", "x^4 with a learning rate of 1e-12"):
        folder = tmp_path / name.split()[0]
        folder.mkdir()
        cure = trained(KNOWN[name], folder).verdict.cure
        assert "training.learning_rate" in cure
        assert "model.depth" not in cure


def test_the_unit_that_was_born_dead_is_told_to_standardize_or_to_leak(tmp_path: Path) -> None:
    cure = trained(KNOWN["one relu unit that is dead from birth"], tmp_path).verdict.cure
    assert cure.get("data.standardize") or cure.get("model.activation") == "leaky_relu"


def test_a_network_that_answers_one_class_only_is_told_so(tmp_path: Path) -> None:
    """Class weights, which nnlab does not have, would help; longer steps do, too."""
    rare = case(rare_class, network(8, "relu", 3), HE, TrainingConfig(1000, 0.001), seed=0)
    verdict = trained(rare, tmp_path).verdict
    assert verdict.outcome == "not learned"
    assert "one class is answered for" in verdict.text
    assert verdict.cure["training.learning_rate"] > 0.001


def test_four_rows_are_learned(tmp_path: Path) -> None:
    data = DataConfig("file", target="y", test_fraction=0)
    table = CORNERS, np.array([0, 1, 1, 0])
    run = trained(case(lambda: table, network(4, "tanh"), XAVIER, TrainingConfig(2000, 0.5), data=data), tmp_path)
    assert (run.verdict.outcome, run.metrics["accuracy/train"]) == ("learned", 1.0)


def test_xor_in_a_local_minimum_is_stuck_because_other_seeds_learn(tmp_path: Path) -> None:
    xor = case(corners_of_xor, network(2, "tanh"), InitConfig("uniform", 1.0), TrainingConfig(3000, 0.5))
    runs = [trained(xor._replace(config=replace(xor.config, seed=seed)), tmp_path) for seed in range(6)]
    stuck = [run for run in runs if run.verdict.outcome != "learned"]
    assert [run.config.seed for run in stuck] == [3, 4]
    assert {run.verdict.name for run in stuck} <= {"unexplained", "unfinished"}
    settings = settings_of([flatten(run.config) for run in runs])
    trained_runs = zip(runs, settings, strict=True)
    causes = sweep_causes({run.fingerprint: Trained(setting, run.verdict.outcome) for run, setting in trained_runs})
    assert [causes[run.fingerprint] for run in runs] == ["", "", "", "stuck", "stuck", ""]


def test_one_tanh_unit_on_the_flower_learns_partly_and_is_too_narrow(tmp_path: Path) -> None:
    narrow = case(None, network(1, "tanh"), XAVIER, TrainingConfig(1000, 1.2))
    run = trained(narrow, tmp_path)
    assert run.verdict.outcome == "partly"
    explanation = nnlab.why(run.config, seeds=2, n_jobs=1)
    assert explanation.named_cause is not None
    assert explanation.named_cause.changes[0].aspect == "width"
    assert "1 tanh unit is too few here" in explanation.text
