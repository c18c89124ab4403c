"""First cures: one or two rows of the table of changes, legal, and never what the config has already."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnlab
from nnlab.config import flatten, resolve, with_values
from nnlab.diagnostics import cures
from nnlab.diagnostics.case import Case
from nnlab.diagnostics.changes import values_of
from nnlab.diagnostics.references import References
from nnlab.diagnostics.rules import RULES
from nnlab.diagnostics.verdict import judge
from nnlab.network.activations import ACTIVATIONS

LN2 = math.log(2)
REFERENCES = References(
    *(LN2, LN2, 0.6, 0.72, 0.7),
    regularized_train=0.7,
    score_nothing=0.5,
    ceiling=0.95,
    ceiling_error=0.05,
    ceiling_affine=0.72,
)


def case(config: nnlab.RunConfig, learned: float = 0.1, **final: float) -> Case:
    """Return a run that ended with these measurements; `dead_0` is the share of dead units of layer 1 at the start."""
    values = {"cost_train": LN2, "steps_efficiency": 1.0, "signal_ratio": 1.0, **final}
    curves = {(name.replace("_", "/", 1), 0): np.array([value] * 4) for name, value in values.items()}
    return Case([0, 10, 50, 100], curves, flatten(resolve(config)), REFERENCES, learned)


def keys(case: Case, *first: str) -> dict[str, Any]:
    return values_of(cures.cure(case, *first), case.config)


def network(activation: str = "tanh", width: int = 8, depth: int = 1, **parts: Any) -> nnlab.RunConfig:
    model = nnlab.ModelConfig(hidden_size=width, depth=depth, activation=activation)
    parts = {"init": nnlab.InitConfig("xavier", 1.0), "training": nnlab.TrainingConfig(1000, 0.5), **parts}
    return nnlab.RunConfig(model=model, **parts)


def test_a_network_that_lacks_nothing_gets_no_cure() -> None:
    assert keys(case(network())) == {}


def test_short_time_is_made_up_by_longer_steps_first() -> None:
    def training(iterations: int, rate: float) -> dict[str, Any]:
        return keys(case(network(training=nnlab.TrainingConfig(iterations, rate))))

    assert training(500, 0.1) == {"training.learning_rate": 1.0}
    assert training(500, 0.002) == {"training.learning_rate": 0.2}
    assert training(50, 0.02) == {"training.learning_rate": 0.2, "training.iterations": 500}
    assert training(50, 0.002) == {"training.learning_rate": 0.2, "training.iterations": 500}
    assert training(50, 1.2) == {"training.iterations": 500}


def test_steps_grow_only_as_far_as_their_efficiency_allows() -> None:
    config = network(training=nnlab.TrainingConfig(200, 0.1))
    assert keys(case(config, steps_efficiency=0.96)) == {"training.learning_rate": 1.0}
    assert keys(case(config, steps_efficiency=0.9)) == {"training.learning_rate": 0.3, "training.iterations": 2000}
    assert keys(case(config, steps_efficiency=0.5)) == {"training.iterations": 2000}


def test_steps_grow_less_on_inputs_with_a_large_norm_and_in_deep_networks() -> None:
    config = network(training=nnlab.TrainingConfig(500, 0.1))
    assert keys(case(config, data_input_norm=8.0)) == {"training.iterations": 5000}
    deep = network(depth=5, training=nnlab.TrainingConfig(200, 0.1))
    assert keys(case(deep)) == {"training.learning_rate": 0.3, "training.iterations": 2000}


def test_small_initial_weights_need_another_scheme() -> None:
    small = network(init=nnlab.InitConfig("normal", 0.01))
    assert keys(case(small, signal_ratio=1e-3)) == {"init.scheme": "xavier", "init.scale": 1.0}
    assert keys(case(small, signal_ratio=0.5)) == {}
    leaky = network("leaky_relu", init=nnlab.InitConfig("normal", 0.01))
    assert keys(case(leaky, signal_ratio=1e-3)) == {"init.scheme": "he", "init.scale": 1.0}


def test_a_line_is_bent_and_few_units_become_more() -> None:
    assert keys(case(network("identity"))) == {"model.activation": "tanh"}
    assert keys(case(network(width=2))) == {"model.hidden_size": 8}
    line = case(network("identity"))
    enough = Case(line.iterations, line.curves, line.config, line.references._replace(ceiling_affine=0.94), 0.1)
    assert keys(enough) == {}


def test_deep_sigmoid_networks_get_another_activation_or_one_layer() -> None:
    config = network("sigmoid", depth=8, training=nnlab.TrainingConfig(400, 0.1))
    assert values_of(cures.against_vanishing(case(config)), flatten(resolve(config))) == {
        "model.activation": "relu",
        "init.scheme": "he",
    }
    long = network("sigmoid", depth=8, training=nnlab.TrainingConfig(5000, 1.0))
    (change,) = cures.against_vanishing(case(long))
    assert change.name == "one hidden layer"


def test_the_first_cure_of_units_that_died_later_are_smaller_steps() -> None:
    config = network("relu", init=nnlab.InitConfig("he", 1.0))
    assert [change.name for change in cures.against_dying(case(config), 0)] == ["leaky relu"]
    assert [change.name for change in cures.against_dying(case(config), 50)] == ["learning rate x 0.1"]
    raw = case(config, data_input_scale=100.0, steps_distance=1.0)
    assert [change.name for change in cures.against_dying(raw, 50)] == ["standardized data"]


MEASURED = st.fixed_dictionaries(
    {
        "cost_train": st.sampled_from([0.3, 0.6, LN2, 5.0, np.inf, np.nan]),
        "steps_efficiency": st.sampled_from([-2.0, 0.1, 0.5, 0.9, 0.999, 1.01, np.nan]),
        "steps_rises": st.sampled_from([0.0, 0.5]),
        "signal_ratio": st.sampled_from([0.0, 1e-9, 0.01, 1.0, 1e5, np.nan]),
        "function_affine/residual": st.sampled_from([1e-9, 0.5]),
        "data_input_scale": st.sampled_from([0.5, 5.0, 100.0]),
        "data_input_offset": st.sampled_from([0.0, 2.0]),
        "data_input_norm": st.sampled_from([1.0, 8.0]),
    }
)
CONFIGS = st.builds(
    network,
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    width=st.sampled_from([1, 3, 20]),
    depth=st.sampled_from([0, 1, 2, 4]),
    init=st.builds(
        nnlab.InitConfig,
        st.sampled_from(["normal", "uniform", "zeros", "constant", "xavier", "he", "orthogonal"]),
        st.sampled_from([0.01, 1.0, 3.0]),
    ),
    training=st.builds(
        nnlab.TrainingConfig,
        st.sampled_from([10, 1000]),
        st.sampled_from([1e-4, 0.1, 2.0]),
        batch_size=st.sampled_from([None, 1, 32]),
    ),
    data=st.builds(nnlab.DataConfig, st.sampled_from(["flower", "digits"])),
)


@given(config=CONFIGS, measured=MEASURED, learned=st.sampled_from([0.0, 0.5, 0.95]))
def test_a_cure_is_one_or_two_changes_that_can_be_trained_and_are_new(
    config: nnlab.RunConfig, measured: dict[str, float], learned: float
) -> None:
    run = case(config, learned, **measured)
    for rule in RULES:
        objection = rule(run)
        if objection is not None:
            assert len(objection.changes) <= 2
            values = values_of(objection.changes, run.config)
            assert all(run.config[key] != value for key, value in values.items())
            assert len({change.aspect for change in objection.changes}) == len(objection.changes)
            resolve(with_values(resolve(config), values))


def test_what_has_learned_or_cannot_be_learned_gets_no_cure() -> None:
    config = flatten(resolve(network(init=nnlab.InitConfig("constant", 1.0))))
    cost = np.array([0.7, 0.5])
    alike = {("symmetry/near_units", 1): np.ones(2), ("symmetry/deviation", 1): np.zeros(2)}
    curves = {("cost/train", 0): cost, **alike}
    symmetric = judge([0, 1], curves, config, REFERENCES, (0.93, 0.9))
    assert (symmetric.name, symmetric.outcome, symmetric.cure) == ("symmetric", "learned", {})
    assert "Try" not in symmetric.text
    missed = judge([0, 1], curves, config, REFERENCES, (0.6, 0.6))
    assert (missed.outcome, missed.cure["init.scheme"]) == ("not learned", "xavier")
    assert "Try xavier: init.scheme=xavier" in missed.text
    hopeless = judge([0, 1], curves, config, REFERENCES._replace(ceiling=0.52), (0.6, 0.6))
    assert (hopeless.name, hopeless.all[1:], hopeless.cure) == ("nothing to learn", ("symmetric",), {})


@pytest.mark.parametrize("fingerprint", ["", "3f2a"])
def test_a_run_that_nothing_explains_is_told_what_to_type(fingerprint: str) -> None:
    curves = {("cost/train", 0): np.array([0.7, 0.5, 0.5, 0.5])}
    config = flatten(resolve(network()))
    verdict = judge([0, 1, 50, 100], curves, config, REFERENCES, (0.6, 0.6), fingerprint)
    assert verdict.name == "unexplained"
    assert f"`nnlab why{' ' + fingerprint if fingerprint else ''}`" in verdict.text
