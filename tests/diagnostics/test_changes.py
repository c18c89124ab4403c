"""The table of changes: which apply to a config, and that each makes a legal config that differs from it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab.config import fingerprint, flatten, resolve, with_values
from nnlab.diagnostics.changes import CHANGES, applicable
from nnlab.validation import validate


def names(**changes: Any) -> list[str]:
    config = resolve(nnlab.RunConfig(**changes))
    return [change.name for change, _ in applicable(flatten(config), 400)]


def test_changes_that_come_to_nothing_do_not_apply() -> None:
    assert {"tanh", "full batch", "float64"}.isdisjoint(names())
    assert "standardized data" not in names(data=nnlab.DataConfig(standardize=True))
    assert "he" not in names(init=nnlab.InitConfig("he", 1.0))
    assert "he" in names(init=nnlab.InitConfig("he", 0.5))
    assert {"scale x 10", "scale x 0.1"}.isdisjoint(names(init=nnlab.InitConfig("zeros")))
    assert {"tanh", "relu", "width x 4", "depth - 1"}.isdisjoint(names(model=nnlab.ModelConfig(depth=0)))
    assert "one hidden layer" in names(model=nnlab.ModelConfig(depth=0))


def test_changes_that_come_to_the_same_are_tried_once() -> None:
    assert names(model=nnlab.ModelConfig(depth=2)).count("one hidden layer") == 0
    assert names(model=nnlab.ModelConfig(depth=2)).count("depth - 1") == 1
    assert {"depth - 1", "one hidden layer"} <= set(names(model=nnlab.ModelConfig(depth=3)))


def test_batches_larger_than_the_data_are_not_tried() -> None:
    config = flatten(resolve(nnlab.RunConfig()))
    assert "batches of 32" not in [change.name for change, _ in applicable(config, 32)]
    assert "batches of 32" in [change.name for change, _ in applicable(config, 33)]


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("learning rate x 3", "training.learning_rate", 3.6),
        ("learning rate x 0.1", "training.learning_rate", 0.12),
        ("iterations x 10", "training.iterations", 100_000),
        ("scale x 10", "init.scale", 0.1),
        ("width x 4", "model.hidden_size", 16),
    ],
)
def test_values_are_written_as_a_person_would(change: str, key: str, value: float) -> None:
    (values,) = (values for one, values in applicable(flatten(resolve(nnlab.RunConfig())), 400) if one.name == change)
    assert values == {key: value}


configs = st.builds(
    nnlab.RunConfig,
    model=st.builds(
        nnlab.ModelConfig,
        hidden_size=st.integers(1, 50),
        depth=st.integers(0, 6),
        layers=st.one_of(st.none(), st.lists(st.integers(1, 20), max_size=4)),
        activation=st.sampled_from(["tanh", "relu", "identity"]),
    ),
    init=st.builds(
        nnlab.InitConfig, st.sampled_from(["normal", "zeros", "he", "constant"]), st.sampled_from([0.0, 0.01, 1.0])
    ),
    training=st.builds(
        nnlab.TrainingConfig,
        iterations=st.integers(0, 5000),
        learning_rate=st.floats(1e-6, 10),
        batch_size=st.sampled_from([None, 1, 32, 100]),
        dtype=st.sampled_from(["float64", "float32"]),
    ),
)


@settings(max_examples=50, deadline=None)
@given(configs)
def test_every_change_makes_another_legal_config(config: nnlab.RunConfig) -> None:
    config = resolve(config)
    prints = {fingerprint(config)}
    for change, values in applicable(flatten(config), 400):
        changed = with_values(config, values)
        validate(changed)
        assert fingerprint(changed) not in prints, change.name
        prints.add(fingerprint(changed))
    assert len({change.name for change in CHANGES}) == len(CHANGES)
