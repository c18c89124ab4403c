import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnlab
from nnlab import validation as module
from nnlab.config import DATA, RunConfig, fingerprint, flatten, hidden_sizes, resolve
from nnlab.datasets import DRAWN, READ
from nnlab.diagnostics import PRESETS
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.initializers import INITIALIZERS
from nnlab.network.propagation import ARITHMETICS
from nnlab.seeding import GENERATORS
from nnlab.validation import validate


def changed(**parts: object) -> RunConfig:
    return dataclasses.replace(RunConfig(), **parts)  # type: ignore[arg-type]


def test_the_legal_names_are_those_that_exist() -> None:
    assert set(module.ACTIVATIONS) == set(ACTIVATIONS)
    assert set(module.SCHEMES) == set(INITIALIZERS)
    assert set(module.ARITHMETICS) == set(ARITHMETICS)
    assert set(module.GENERATORS) == set(GENERATORS)
    assert set(module.PRESETS) == set(PRESETS)
    assert set(DATA) == set(DRAWN) | set(READ)
    assert {name for name, traits in DATA.items() if traits.drawn} == set(DRAWN)


def test_the_defaults_are_legal_and_those_of_the_course() -> None:
    config = RunConfig()
    validate(config)
    assert (config.model.hidden_size, config.model.activation, config.init.scale) == (4, "tanh", 0.01)
    assert (config.training.learning_rate, config.training.iterations, config.seed) == (1.2, 10_000, 3)


def test_all_that_is_wrong_is_named_at_once() -> None:
    with pytest.raises(nnlab.ConfigError) as caught:
        validate(changed(seed=-1, init=nnlab.InitConfig(scale=-1.0)))
    assert str(caught.value).splitlines() == [
        "seed must be an integer from 0 to 4294967295, got -1",
        "init.scale must be a finite number >= 0, got -1.0",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (changed(), changed(results_dir="elsewhere", tracking=nnlab.TrackingConfig(enabled=False))),
        (changed(), changed(launcher=nnlab.LauncherConfig(n_jobs=7))),
        (changed(), changed(data=nnlab.DataConfig(m=400, noise=0.2, standardize=False))),
        (changed(model=nnlab.ModelConfig(layers=[4])), changed(model=nnlab.ModelConfig(hidden_size=4))),
        (changed(model=nnlab.ModelConfig(layers=[])), changed(model=nnlab.ModelConfig(depth=0, hidden_size=9))),
        (changed(model=nnlab.ModelConfig(layers=[8, 4])), changed(model=nnlab.ModelConfig(layers=[8, 4], depth=7))),
        (changed(init=nnlab.InitConfig("zeros", 0.5)), changed(init=nnlab.InitConfig("zeros", 0.0))),
    ],
)
def test_configs_that_mean_the_same_run_have_one_fingerprint(one: RunConfig, other: RunConfig) -> None:
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    "other",
    [
        changed(seed=4),
        changed(data=nnlab.DataConfig(name="moons")),
        changed(data=nnlab.DataConfig(seed=2)),
        changed(model=nnlab.ModelConfig(activation="relu")),
        changed(init=nnlab.InitConfig(scale=0.02)),
        changed(training=nnlab.TrainingConfig(arithmetic="exact")),
        changed(diagnostics=nnlab.DiagnosticsConfig(checkpoints=10)),
    ],
)
def test_another_run_has_another_fingerprint(other: RunConfig) -> None:
    assert fingerprint(other) != fingerprint(RunConfig())


def test_a_file_is_known_by_its_content_not_its_path() -> None:
    def of(path: str) -> RunConfig:
        return changed(data=nnlab.DataConfig(name="file", path=path, target="y"))

    assert fingerprint(of("a.csv"), "digest") == fingerprint(of("b.csv"), "digest")
    assert fingerprint(of("a.csv"), "digest") != fingerprint(of("a.csv"), "other")


@given(st.lists(st.integers(1, 50), max_size=5))
def test_resolving_twice_changes_nothing(layers: list[int]) -> None:
    once = resolve(changed(model=nnlab.ModelConfig(layers=layers)))
    assert resolve(once) == once
    assert hidden_sizes(once.model) == layers


def test_resolve_leaves_its_argument_alone() -> None:
    config = RunConfig()
    resolve(config)
    assert config == RunConfig()


def test_flatten_names_keys_as_the_command_line_does() -> None:
    flat = flatten(RunConfig())
    assert flat["model.hidden_size"] == 4
    assert flat["seed"] == 3
    assert not any(isinstance(value, dict) for value in flat.values())
