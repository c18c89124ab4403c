import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnlab
from nnlab import config as declarations
from nnlab.config import DATA, KEYS, RunConfig, fingerprint, flatten, from_dict, hidden_sizes, resolve
from nnlab.config_field import declared
from nnlab.datasets import READ
from nnlab.diagnostics import PRESETS
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.initializers import INITIALIZERS
from nnlab.network.propagation import ARITHMETICS
from nnlab.planar_datasets import DRAWN
from nnlab.seeding import GENERATORS
from nnlab.validation import validate, wrong_value


def changed(**parts: object) -> RunConfig:
    return dataclasses.replace(RunConfig(), **parts)  # type: ignore[arg-type]


def test_the_declared_names_match_the_registries() -> None:
    assert set(declarations.ACTIVATIONS) == set(ACTIVATIONS)
    assert set(declarations.SCHEMES) == set(INITIALIZERS)
    assert set(declarations.ARITHMETICS) == set(ARITHMETICS)
    assert set(declarations.GENERATORS) == set(GENERATORS)
    assert set(declarations.PRESETS) == set(PRESETS)
    assert set(DATA) == set(DRAWN) | set(READ)
    assert {name for name, traits in DATA.items() if traits.drawn} == set(DRAWN)


@pytest.mark.parametrize("name", KEYS)
def test_every_key_declares_a_meaning_and_a_legal_example(name: str) -> None:
    key = KEYS[name]
    assert key.meaning[0].isupper()
    assert not key.meaning.endswith(".")
    assert key.example != key.default
    assert [*wrong_value(key, key.example)] == []
    assert [*wrong_value(key, key.default)] == []


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if key.type is int])
def test_the_declared_bounds_of_an_integer_are_its_bounds(name: str) -> None:
    key = KEYS[name]
    assert [*wrong_value(key, key.low), *wrong_value(key, key.high)] == []
    for value in (key.low - 1, key.high + 1):
        assert [*wrong_value(key, value)] == [f"{name} must be {key.legal}, got {value}"]


@pytest.mark.parametrize("name", [name for name, key in KEYS.items() if not key.optional])
def test_null_is_legal_only_where_the_type_allows_none(name: str) -> None:
    assert [*wrong_value(KEYS[name], None)] != []
    assert "null" not in KEYS[name].legal


def test_a_field_without_a_declaration_is_refused() -> None:
    with pytest.raises(TypeError, match="meaning"):
        list(declared(dataclasses.make_dataclass("Undeclared", [("m", int, 3)])))


def test_unknown_keys_are_named_with_their_section() -> None:
    with pytest.raises(nnlab.ConfigError) as caught:
        from_dict({"sed": 3, "model": {"dropout": 0.5, "depth": 2}})
    assert str(caught.value).startswith("sed, model.dropout: there is no such key")


def test_the_defaults_are_legal_and_those_of_the_course() -> None:
    config = RunConfig()
    validate(config)
    assert (config.model.hidden_size, config.model.activation, config.init.scale) == (4, "tanh", 0.01)
    assert (resolve(config).training.learning_rate, config.training.iterations, config.seed) == (1.2, 10_000, 3)


def test_one_error_names_every_wrong_key() -> None:
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


@pytest.mark.parametrize(
    ("config", "published"),
    [
        (changed(), "55e113dfc6c37ac2"),
        (changed(data=nnlab.DataConfig(name="digits")), "a755044921a72d23"),
        (
            changed(
                data=nnlab.DataConfig(name="moons", seed=9, m=77), model=nnlab.ModelConfig(activation="relu", depth=3)
            ),
            "6ad0177e7e609e3a",
        ),
    ],
)
def test_runs_whose_bits_did_not_change_keep_their_fingerprints(config: RunConfig, published: str) -> None:
    assert fingerprint(config) == published


def test_runs_whose_bits_changed_have_new_fingerprints() -> None:
    # Until numerical version 4, quantiles divided its classes by each sample's own median, and uniform weights had
    # draws of their own.
    assert fingerprint(changed(data=nnlab.DataConfig(name="quantiles"))) != "c96717b9719d3e56"
    assert fingerprint(changed(init=nnlab.InitConfig("uniform"))) != "61295838e85de139"


def test_the_fingerprint_of_a_file_is_of_its_content_not_its_path() -> None:
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
    assert list(flat) == list(KEYS)
    assert not any(isinstance(value, dict) for value in flat.values())
