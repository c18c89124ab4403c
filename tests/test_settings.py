"""Tests of what was swept and of the names of runs and settings."""

import dataclasses

import numpy as np
import pandas as pd

import nnlab
from nnlab.config import flatten, resolve
from nnlab.settings import (
    by_architecture,
    constant,
    run_name,
    setting_keys,
    setting_name,
    settings_of,
    swept_keys,
    varied,
)

BASE = nnlab.RunConfig()


def frame(configs: list[nnlab.RunConfig]) -> pd.DataFrame:
    """Return the config columns of runs, as `load_runs` does for these keys."""
    return pd.DataFrame(
        [
            {key: value if not isinstance(value, list) else str(value) for key, value in flatten(config).items()}
            for config in configs
        ]
    )


def test_a_frame_and_its_configs_have_the_same_swept_keys() -> None:
    models = [nnlab.ModelConfig(hidden_size=size, activation=name) for size in (2, 3) for name in ("tanh", "relu")]
    configs = [resolve(dataclasses.replace(BASE, seed=seed, model=model)) for model in models for seed in range(2)]
    runs = frame(configs)
    assert varied(runs) == swept_keys(configs) == ["seed", "model.hidden_size", "model.activation"]
    assert setting_keys(runs) == ["model.hidden_size", "model.activation"]
    known = constant(runs)
    assert known["init.scale"] == BASE.init.scale
    assert not {"seed", "model.hidden_size", "results_dir"} & known.keys()


def test_keys_that_follow_from_another_are_not_swept() -> None:
    configs = [resolve(dataclasses.replace(BASE, data=nnlab.DataConfig(name))) for name in ("moons", "spiral")]
    assert swept_keys(configs) == ["data.name"]


def test_an_architecture_is_named_by_its_layers_if_any_has_unequal_widths() -> None:
    models = [nnlab.ModelConfig(layers=layers) for layers in ([3], [3, 3], [3, 2])]
    runs = frame([resolve(dataclasses.replace(BASE, model=model)) for model in models])
    assert by_architecture(runs)["model.layers"].tolist() == ["[3]", "[3, 3]", "[3, 2]"]
    assert not {"model.hidden_size", "model.depth"} & set(by_architecture(runs))
    pd.testing.assert_frame_equal(by_architecture(runs[:2]), runs[:2])


def test_a_setting_is_everything_but_the_seed_and_the_data_that_come_with_it() -> None:
    seeds = [(0, 0), (1, 1), (2, 2)]
    configs = [
        resolve(dataclasses.replace(BASE, seed=seed, data=nnlab.DataConfig("moons", seed=own), results_dir=str(seed)))
        for seed, own in seeds
    ]
    paired = settings_of([flatten(config) for config in configs])
    assert paired[0] == paired[1] == paired[2]
    assert not {"seed", "data.seed", "results_dir"} & paired[0].keys()
    crossed = settings_of([flatten(config) for config in (*configs, dataclasses.replace(configs[0], seed=1))])
    assert [setting["data.seed"] for setting in crossed] == [0, 1, 2, 0]


def test_keys_that_are_newer_than_a_run_have_their_default() -> None:
    new = flatten(resolve(BASE))
    old = {key: value for key, value in new.items() if key != "training.dtype"}
    first, second = settings_of([new, old])
    assert first == second


def test_names_begin_with_the_activation_and_end_with_the_seed() -> None:
    config = dataclasses.replace(BASE, seed=3)
    values = {"seed": 3, "training.batch_size": None, "init.scale": 0.01, "model.hidden_size": 4, "data.name": "moons"}
    assert setting_name(values) == "h4 scale 0.01 batch_size null moons seed 3"
    assert run_name(config, ["seed"]) == "seed 3"
    assert run_name(config, []) == "tanh h4 scale 0.01 seed 3"


def test_missing_values_of_a_frame_are_named_like_none() -> None:
    names = {setting_name({"training.batch_size": missing}) for missing in (None, pd.NA, np.nan)}
    assert names == {"batch_size null"}
    assert setting_name({"model.layers": [3, 2]}) == "layers [3, 2]"
