"""Probes must find planted defects and report nothing for healthy networks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from snapshots import random_stack, snapshot, values
from strategies import Array, flower, generator, random_networks

from nnlab.diagnostics import PRESETS, Measurement, function
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.training import Snapshot, train


def test_distinct_units_counts_classes_of_equal_units() -> None:
    parameters = random_stack()
    parameters.theta[0][1, 3] = parameters.theta[0][1, 2]  # run 1: units 2 and 3 of layer 1 are copies
    parameters.W[1][1, :, 3] = parameters.W[1][1, :, 2]
    parameters.flat[2] = 0.5  # run 2: all units alike
    measured = values(snapshot(parameters))
    assert measured["symmetry/distinct_units", 1].tolist() == [6, 5, 1]
    assert measured["symmetry/distinct_units", 2].tolist() == [5, 5, 1]


def test_units_with_different_outgoing_weights_are_distinct() -> None:
    parameters = random_stack()
    parameters.theta[0][:, 3] = parameters.theta[0][:, 2]  # same incoming, different outgoing weights
    assert values(snapshot(parameters))["symmetry/distinct_units", 1].tolist() == [6, 6, 6]


def test_units_that_differ_in_one_bit_are_distinct() -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.flat[...] = 0.5
    parameters.W[0][0, 1, 0] = np.nextafter(0.5, 1)
    assert values(snapshot(parameters))["symmetry/distinct_units", 1].tolist() == [2]


def test_minus_zero_equals_zero() -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.W[0][0, 1, 0] = -0.0
    assert values(snapshot(parameters))["symmetry/distinct_units", 1].tolist() == [1]


def test_the_signal_matches_the_formulas_of_one_run() -> None:
    parameters = random_stack()
    state = snapshot(parameters)
    measured = values(state)
    for run in range(3):
        dZ3 = 1 / (1 + np.exp(-state.Z[2][run])) - state.Y
        dZ2 = parameters.W[2][run].T @ dZ3 * (1 - np.tanh(state.Z[1][run]) ** 2)
        dZ1 = parameters.W[1][run].T @ dZ2 * (1 - np.tanh(state.Z[0][run]) ** 2)
        rms = [float(np.sqrt(np.mean(dZ**2))) for dZ in (dZ1, dZ2, dZ3)]
        for layer in (1, 2, 3):
            np.testing.assert_allclose(measured["signal/rms_dZ", layer][run], rms[layer - 1], rtol=1e-12)
        np.testing.assert_allclose(measured["signal/ratio", 0][run], rms[0] / rms[2], rtol=1e-12)
        dW1 = dZ1 @ state.X.T / state.X.shape[1]
        np.testing.assert_allclose(measured["signal/norm_dW", 1][run], np.linalg.norm(dW1), rtol=1e-12)


def test_signals_of_small_weights_vanish_in_dZ_but_not_in_dW() -> None:
    sizes = (2, *[16] * 9, 1)
    parameters = Parameters.zeros(sizes, 1)
    parameters.flat[...] = 0.01 * np.random.default_rng(2).standard_normal(parameters.flat.shape)
    for b in parameters.b:
        b[...] = 0
    measured = values(snapshot(parameters))
    assert measured["signal/ratio", 0][0] < 1e-9
    hidden = [measured["signal/norm_dW", layer][0] for layer in range(1, 10)]
    assert max(hidden) / min(hidden) < 100


def test_a_zero_network_has_no_signal() -> None:
    measured = values(snapshot(Parameters.zeros((2, 4, 1), 2)))
    assert measured["signal/rms_dZ", 1].tolist() == [0, 0]
    assert measured["signal/ratio", 0].tolist() == [0, 0]
    assert measured["signal/norm_dW", 1].tolist() == [0, 0]


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("sizes", [(2, 1), (2, 1, 1), (2, 4, 1), (2, 3, 2, 1), (3, 4, 3)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_broken_run_does_not_affect_the_others(bad: float, sizes: tuple[int, ...], activation: str) -> None:
    parameters = random_stack(sizes)
    parameters.flat[1] = bad  # one broken run among healthy ones
    state = snapshot(parameters, activation, "multiclass" if sizes[-1] > 1 else "binary")
    alone = snapshot(
        Parameters(sizes, parameters.flat[:1].copy()), activation, "multiclass" if sizes[-1] > 1 else "binary"
    )
    together, expected = values(state, "full"), values(alone, "full")
    assert together.keys() == expected.keys()
    for key, value in together.items():
        assert value.shape[0] == 3
        np.testing.assert_array_equal(value[0], expected[key][0])  # NaN is a documented value


def test_standard_probes_give_one_value_per_run_and_full_ones_also_profiles() -> None:
    assert PRESETS["none"] == ()
    assert all(value.shape == (3,) for value in values(snapshot(random_stack())).values())
    profiles = {key for key, value in values(snapshot(random_stack()), "full").items() if value.ndim == 2}
    assert {quantity for quantity, _ in profiles} == {
        *("activity/histogram", "units/silent", "units/w1", "units/w2", "units/b"),
    }


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_probes_accept_a_single_example(activation: str, dtype: str) -> None:
    parameters = random_stack((2, 3, 2, 1))
    state = snapshot(Parameters(parameters.sizes, parameters.flat.astype(dtype)), activation, m=1)
    assert all(len(value) == 3 for value in values(state, "full").values())


def performance(state: Snapshot) -> dict[str, np.ndarray]:
    def named(measurements: list[Measurement]) -> dict[str, np.ndarray]:
        return {quantity: value for quantity, _, value in measurements}

    test = function.on_test_data(state.parameters, state.X, state.Y, state.activation, state.cost_function)
    return named([*function.on_training_data(state), *test])


def test_performance_on_the_same_examples_is_the_same() -> None:
    measured = performance(snapshot(random_stack()))
    assert np.array_equal(measured["cost/train"], measured["cost/test"])
    assert np.array_equal(measured["accuracy/train"], measured["accuracy/test"])


def test_a_network_of_nan_has_accuracy_0() -> None:
    parameters = random_stack()
    parameters.flat[0] = np.nan
    assert performance(snapshot(parameters))["accuracy/train"][0] == 0


def test_r2_matches_scikit_learn() -> None:
    from sklearn.metrics import r2_score

    state = snapshot(random_stack((2, 4, 1)), task="regression")
    expected = [r2_score(state.Y[0], state.Z[-1][run, 0]) for run in range(3)]
    np.testing.assert_allclose(performance(state)["r2/train"], expected, rtol=1e-12)


def test_deviation_is_the_largest_difference_between_two_units() -> None:
    parameters = random_stack()
    F = np.concatenate([parameters.theta[0][1], parameters.W[1][1].T], axis=1)
    largest = max(np.abs(F[i] - F[j]).max() for i in range(6) for j in range(6)) / np.abs(F).max()
    np.testing.assert_allclose(values(snapshot(parameters))["symmetry/deviation", 1][1], largest, rtol=1e-12)


def test_deviation_of_equal_units_is_zero_and_of_rounding_tiny() -> None:
    parameters = Parameters.zeros((2, 4, 1), 3)
    parameters.flat[1:] = 0.5
    parameters.W[0][2, 1, 0] = np.nextafter(0.5, 1)
    measured = values(snapshot(parameters))["symmetry/deviation", 1]
    assert measured[:2].tolist() == [0, 0]
    assert 0 < measured[2] < 1e-15


@pytest.mark.parametrize(("activation", "edge"), [("tanh", 2.18), ("sigmoid", 4.36)])
def test_units_beyond_the_edge_are_saturated(activation: str, edge: float) -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.b[0][0, :, 0] = [edge - 0.01, -edge + 0.01, edge + 0.01, -edge - 0.01]
    assert values(snapshot(parameters, activation))["activity/saturated", 1].tolist() == [0.5]


def test_a_unit_that_is_flat_on_half_of_the_examples_is_not_saturated() -> None:
    parameters = Parameters.zeros((2, 1, 1), 1)
    parameters.W[0][0, 0, 0] = 1.0
    parameters.b[0][0] = 2.18
    assert values(snapshot(parameters))["activity/saturated", 1].tolist() == [0]


def test_a_unit_below_zero_on_every_example_is_dead() -> None:
    parameters = Parameters.zeros((2, 4, 1), 2)
    parameters.W[0][...] = np.random.default_rng(3).standard_normal((2, 4, 2))
    parameters.b[0][0, :3] = -100.0
    parameters.b[0][1] = 100.0
    measured = values(snapshot(parameters, "relu"))
    assert measured["activity/dead", 1].tolist() == [0.75, 0]


@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "identity"])
def test_activations_without_dead_or_saturated_units_have_no_such_quantity(activation: str) -> None:
    measured = values(snapshot(random_stack(), activation))
    assert not any(quantity in ("activity/dead", "activity/saturated") for quantity, _ in measured)


def test_moments_match_those_of_the_activations() -> None:
    state = snapshot(random_stack())
    measured = values(state)
    for layer in (1, 2):
        np.testing.assert_allclose(measured["activity/mean", layer][2], state.A[layer - 1][2].mean(), rtol=1e-12)
        np.testing.assert_allclose(measured["activity/std", layer][2], state.A[layer - 1][2].std(), rtol=1e-12)


def updates(schedule: list[int], dtype: str = "float64", **choices: Any) -> list[np.ndarray]:
    """Return `update` (2, R) of both layers at each checkpoint of a small network."""
    X, Y = flower()
    start = random_networks((2, 5, 1), 3, generator(0), dtype)
    options: dict[str, Any] = {"activation": ACTIVATIONS["tanh"], "cost": COSTS["binary"], "learning_rate": 0.3}
    states = train(start, X, Y, schedule=schedule, **(options | choices))
    return [np.array([values(state)["update", layer] for layer in (1, 2)]) for state in states]


def test_updates_of_the_full_batch_are_learning_rate_times_gradient_over_weights() -> None:
    X, Y = flower()
    start = random_networks((2, 5, 1), 3, generator(0))
    rate = np.array([0.1, 0.3, 1.2])
    choices: dict[str, Any] = {"activation": ACTIVATIONS["tanh"], "cost": COSTS["binary"], "learning_rate": rate}
    before, _ = train(start, X, Y, schedule=[6, 7], **choices)
    _, measured = updates([5, 7], learning_rate=rate)
    for layer, (dW, W) in enumerate(zip(before.gradient.W, before.parameters.W, strict=True)):
        expected = rate * np.linalg.norm(dW, axis=(1, 2)) / np.linalg.norm(W, axis=(1, 2))
        np.testing.assert_allclose(measured[layer], expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_updates_are_the_step_of_the_last_mini_batch(batch_size: int, dtype: str) -> None:
    """Plain stochastic gradient descent on one network, one example after the other, with scalar formulas."""
    X, Y = flower()
    start = random_networks((2, 5, 1), 3, generator(0), dtype)
    *_, measured = updates([0, 40, 90], dtype, batch_size=batch_size, rngs=[generator(run) for run in range(3)])
    for run in range(3):
        (W1, b1), (W2, b2) = (
            (W[run].astype(float), b[run].astype(float)) for W, b in zip(start.W, start.b, strict=True)
        )
        rng, order = generator(run), np.empty(0, int)
        for _ in range(90):
            if not len(order):
                order = rng.permutation(X.shape[1])
            batch, order = order[:batch_size], order[batch_size:]
            A1 = np.tanh(W1 @ X[:, batch] + b1)
            dZ2 = (1 / (1 + np.exp(-(W2 @ A1 + b2))) - Y[:, batch]) / len(batch)
            dZ1 = W2.T @ dZ2 * (1 - A1**2)
            steps = [0.3 * dZ1 @ X[:, batch].T, 0.3 * dZ2 @ A1.T]
            expected = [np.linalg.norm(step) / np.linalg.norm(W) for step, W in zip(steps, (W1, W2), strict=True)]
            W1, W2 = W1 - steps[0], W2 - steps[1]
            b1, b2 = b1 - 0.3 * dZ1.sum(axis=1, keepdims=True), b2 - 0.3 * dZ2.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(measured[:, run], expected, rtol=1e-9 if dtype == "float64" else 1e-2)


def test_there_is_no_update_at_iteration_0_or_of_weights_that_were_0() -> None:
    assert np.isnan(updates([0])[0]).all()
    zero = Parameters.zeros((2, 1), 1)
    options: dict[str, Any] = {"activation": ACTIVATIONS["tanh"], "cost": COSTS["binary"], "learning_rate": 0.3}
    first, second = train(zero, *flower(), schedule=[1, 2], **options)
    assert np.isnan(values(first)["update", 1][0])
    assert values(second)["update", 1][0] > 0


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_the_affine_residual_of_softmax_ignores_what_all_logits_share(task: str) -> None:
    """|x1| + |x2| is added to all three logits, which are affine otherwise."""
    parameters = Parameters.zeros((2, 4, 3), 1)
    parameters.W[0][0] = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    slopes = np.array([[1.0, 0.5], [-0.3, 1.0], [0.2, -2.0]])  # of the classes
    parameters.W[1][0] = 1.0 + np.column_stack([slopes[:, 0], -slopes[:, 0], slopes[:, 1], -slopes[:, 1]]) / 2
    parameters.b[1][0] = [[5.0], [7.0], [9.0]]
    residual = values(snapshot(parameters, "relu", task))["function/affine_residual", 0][0]
    if task == "multiclass":
        assert residual < 1e-25
    else:
        assert residual > 0.05


def test_affine_residual_matches_scikit_learn() -> None:
    from sklearn.linear_model import LinearRegression

    state = snapshot(random_stack())
    inputs, logits = state.X.T, state.Z[-1][1, 0]
    expected = 1 - LinearRegression().fit(inputs, logits).score(inputs, logits)
    np.testing.assert_allclose(values(state)["function/affine_residual", 0][1], expected, rtol=1e-9)


def test_identity_and_constant_networks_are_affine() -> None:
    assert values(snapshot(random_stack(), "identity"))["function/affine_residual", 0].max() < 1e-25
    assert values(snapshot(Parameters.zeros((2, 4, 1), 1)))["function/affine_residual", 0].tolist() == [0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_does_not_count_as_an_affine_residual(dtype: type) -> None:
    """The outputs vary around a bias by a few of its rounding errors."""
    stack = random_stack((2, 1))
    stack.W[0][...] *= 4 * np.finfo(dtype).eps
    stack.b[0][...] = 1.0
    state = snapshot(Parameters(stack.sizes, stack.flat.astype(dtype)))
    state = replace(state, X=state.X.astype(dtype), Y=state.Y.astype(dtype))
    assert np.ptp(state.Z[-1]) > 0
    assert values(state)["function/affine_residual", 0].max() < 1e-12


def test_constant_features_do_not_change_the_affine_residual() -> None:
    state = snapshot(random_stack((4, 5, 1)))
    X = state.X.copy()
    X[2:] = 0.0
    constant, reduced = replace(state, X=X), with_fewer_inputs(state, X, 2)
    np.testing.assert_allclose(
        values(constant)["function/affine_residual", 0], values(reduced)["function/affine_residual", 0], rtol=1e-9
    )


def with_fewer_inputs(state: Snapshot, X: Array, count: int) -> Snapshot:
    parameters = first_inputs(state.parameters, count)
    return replace(state, X=X[:count], parameters=parameters, initial=parameters.copy())


def first_inputs(parameters: Parameters, count: int) -> Parameters:
    fewer = Parameters.zeros((count, *parameters.sizes[1:]), len(parameters.flat))
    for W, b, old_W, old_b in zip(fewer.W, fewer.b, parameters.W, parameters.b, strict=True):
        W[...] = old_W[:, :, : W.shape[2]]
        b[...] = old_b
    return fewer


@pytest.mark.parametrize(("flat", "saturated"), [(96, 1.0), (95, 0.0)])
def test_a_unit_is_saturated_when_flat_on_more_than_95_of_100_examples(flat: int, saturated: float) -> None:
    parameters = Parameters.zeros((1, 1, 1), 1)
    parameters.W[0][...] = 1.0
    X = np.where(np.arange(100) < flat, 10.0, 0.0)[None]
    state = replace(snapshot(parameters, m=100), X=X)
    assert values(state)["activity/saturated", 1].tolist() == [saturated]


def test_dependent_features_do_not_change_the_affine_residual() -> None:
    """Its direction in the data is rounding; a small share of any output lies along it by chance."""
    state = snapshot(random_stack((3, 5, 1)), m=6)
    X = state.X.copy()
    X[2] = X[0] / 3 + X[1] / 7
    assert np.linalg.svd(X, compute_uv=False)[-1] > 0
    summed, reduced = replace(state, X=X), with_fewer_inputs(state, X, 2)
    reduced.parameters.W[0][...] += state.parameters.W[0][:, :, 2:] * np.array([1 / 3, 1 / 7])
    np.testing.assert_allclose(
        values(summed)["function/affine_residual", 0], values(reduced)["function/affine_residual", 0], rtol=1e-9
    )


def test_the_majority_is_the_share_of_the_most_frequent_answer() -> None:
    state = snapshot(random_stack((2, 4, 3)), task="multiclass")
    answers = state.Z[-1].argmax(axis=1)
    expected = [np.bincount(row, minlength=3).max() / 40 for row in answers]
    assert len(set(expected)) > 1
    assert values(state)["function/majority", 0].tolist() == expected


def test_the_majority_of_two_classes_may_be_either() -> None:
    parameters = Parameters.zeros((1, 1), 5)
    parameters.W[0][:, 0, 0] = 1.0
    parameters.b[0][:, 0, 0] = [-2.5, -7.5, 0.0, -100.0, np.nan]
    state = replace(snapshot(parameters, m=10), X=np.arange(10.0)[None])
    np.testing.assert_array_equal(values(state)["function/majority", 0], [0.7, 0.8, 0.9, 1.0, np.nan])


def test_real_numbers_have_no_majority() -> None:
    assert ("function/majority", 0) not in values(snapshot(random_stack((2, 4, 1)), task="regression"))
