"""Step efficiency against closed forms and the steps that follow; rises, distance and scales against plain formulas."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from snapshots import random_stack, snapshot, values
from strategies import Array, Stack, flower, generator, labelled, random_networks, single, stacks

from nnlab.config import DataConfig
from nnlab.datasets import load_dataset
from nnlab.diagnostics import function, steps
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.training import EARLIER_COSTS, Snapshot, checkpoints, train

TINY = np.finfo(np.float64).eps


def states(start: Parameters, X: Array, Y: Array, schedule: Sequence[int], **choices: Any) -> list[Snapshot]:
    named = {"activation": ACTIVATIONS[choices.pop("activation")], "cost": COSTS[choices.pop("cost")]}
    return list(train(start.copy(), X, Y, schedule=schedule, **named, **choices))


def only(measurements: Any) -> Array:
    ((_, layer, value),) = measurements
    assert layer == 0
    return value


def efficiency(state: Snapshot) -> Array:
    return only(steps.efficiency(state))


def rises(state: Snapshot) -> Array:
    return only(steps.rises(state))


# ---- efficiency


@pytest.mark.parametrize("n_y", [1, 2])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_the_efficiency_of_a_quadratic_has_a_closed_form(batch_size: int | None, n_y: int) -> None:
    """1 - lr g'Hg / (2 ||g||^2): linear regression, whose Hessian is written out here."""
    rng = generator(3)
    X, Y = rng.standard_normal((3, 40)), rng.standard_normal((n_y, 40))
    rates = np.array([0.001, 0.1, 0.4, 1.0])
    choices = {"activation": "tanh", "cost": "regression", "learning_rate": rates, "batch_size": batch_size}
    start = random_networks((3, n_y), 4, rng)
    orders = [generator(seed).permutation(40) for seed in range(4)]
    (state,) = states(start, X, Y, [0], rngs=[generator(seed) for seed in range(4)], **choices)
    for run, rate in enumerate(rates):
        batch = orders[run][:batch_size]
        X1 = np.vstack([X[:, batch], np.ones(len(batch))])
        residual = start.theta[0][run] @ X1 - Y[:, batch]
        g = 2 * residual @ X1.T / residual.size  # (n_y, n_x + 1)
        H = 2 * X1 @ X1.T / residual.size  # of one output's row; outputs do not interact
        expected = 1 - rate * np.sum(g @ H * g) / (2 * np.sum(g**2))
        np.testing.assert_allclose(efficiency(state)[run], expected, rtol=1e-9, atol=1e-12)


def test_a_step_to_the_bottom_of_a_parabola_has_efficiency_one_half() -> None:
    """J = (w x)^2 with x = 1 has second derivative 2, so 1/2 is the best rate, 1 crosses the valley, 2 overshoots."""
    start = Parameters.zeros((1, 1), 4)
    X, Y = np.array([[1.0, -1.0]]), np.zeros((1, 2))
    start.W[0][...] = 3.0
    rates = np.array([0.05, 0.5, 1.0, 2.0])
    (state,) = states(start, X, Y, [0], activation="tanh", cost="regression", learning_rate=rates)
    np.testing.assert_allclose(efficiency(state), [0.95, 0.5, 0.0, -1.0], atol=1e-12)


@pytest.mark.parametrize("batch_size", [None, 1, 32, 400])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-7), ("float32", 0.05)])
def test_the_efficiency_is_that_of_the_step_that_follows(batch_size: int | None, dtype: str, tolerance: float) -> None:
    """From the parameters of two neighbouring snapshots: the gradient is their difference over the learning rate."""
    X, Y = flower()
    start, rate = random_networks((2, 6, 5, 1), 2, generator(0), dtype), 0.3
    choices = {"activation": "tanh", "cost": "binary", "learning_rate": rate, "batch_size": batch_size}
    per_epoch = -(-400 // batch_size) if batch_size else 1
    schedule = [0, 1, per_epoch, per_epoch + 1, 2 * per_epoch - 1, 2 * per_epoch]
    schedule = sorted({*schedule, *(t + 1 for t in schedule)})
    found = {s.iteration: s for s in states(start, X, Y, schedule, rngs=[generator(9), generator(4)], **choices)}
    for run, seed in enumerate([9, 4]):
        rng = generator(seed)
        order = np.concatenate([rng.permutation(400) for _ in range(4)])  # of more than two epochs
        for t in (t for t in found if t + 1 in found):
            first = (t % per_epoch) * (batch_size or 0) + t // per_epoch * 400
            last = min(first + batch_size, (t // per_epoch + 1) * 400) if batch_size else 0
            batch = order[first:last] if batch_size else np.arange(400)
            before, after = single(found[t].parameters, run), single(found[t + 1].parameters, run)
            step = (after.flat - before.flat).astype(np.float64)
            gained = mean_loss(before, X[:, batch], Y[:, batch]) - mean_loss(after, X[:, batch], Y[:, batch])
            expected = gained / ((step**2).sum() / rate)
            assert efficiency(found[t])[run] == pytest.approx(expected, rel=tolerance, abs=tolerance)


def mean_loss(network: Parameters, X: Array, Y: Array) -> float:
    A = X
    for W, b in zip(network.W[:-1], network.b[:-1], strict=True):
        A = np.tanh(W[0].astype(float) @ A + b[0])
    Z = network.W[-1][0].astype(float) @ A + network.b[-1][0]
    return float(np.mean(np.logaddexp(0, Z) - Y * Z))


def test_there_is_no_efficiency_where_the_promised_gain_drowns_in_rounding() -> None:
    """Rates around the threshold, 1e3 times the rounding of the cost."""
    state = snapshot(random_stack((2, 4, 1)))
    norm = np.square(state.gradient.flat).sum(axis=1)
    threshold = 1e3 * TINY * state.cost
    for factor, measured in ((0.99, False), (1.01, True), (0.0, False)):
        value = efficiency(replace(state, learning_rate=factor * threshold / norm))
        assert np.isfinite(value).tolist() == [measured] * 3


def test_a_regression_that_has_reached_the_precision_of_its_outputs_shows_no_noise() -> None:
    """y = 2 x + 1: cost and gradient end at 1e-31 and 1e-16, where every step only shuffles the last bits."""
    X = np.linspace(-1, 1, 50)[None]
    choices = {"activation": "identity", "cost": "regression", "learning_rate": 0.3}
    found = states(random_networks((1, 1), 3, generator(0)), X, 2 * X + 1, [0, 5, *range(2000, 2012)], **choices)
    assert found[-1].cost.max() < 1e-29
    assert (efficiency(found[1]) > 0).all()
    assert np.isnan([efficiency(state) for state in found[2:]]).all()
    assert rises(found[-1]).tolist() == [0, 0, 0]


def test_the_efficiency_of_runs_that_are_not_finite_is_nan_and_of_a_step_to_infinity_minus_infinity() -> None:
    rates = np.array([0.1, 0.1, 1e200])
    start = random_stack((2, 3, 1))
    start.flat[1, 0] = np.nan
    X = generator(0).standard_normal((2, 30))
    (state,) = states(start, X, X[:1], [0], activation="relu", cost="regression", learning_rate=rates)
    finite, nan, infinite = efficiency(state)
    assert np.isfinite(finite)
    assert np.isnan(nan)
    assert infinite == -np.inf


TABLE = {  # activation, hidden units, scale, learning rate: the ranges of median efficiency and median cost
    "learns": ("tanh", 4, 0.01, 1.2, (0.99, 1.0), (0.2, 0.3)),
    "far too slow": ("tanh", 4, 0.01, 0.001, (0.99, 1.001), (0.69, 0.694)),
    "steps too large": ("relu", 50, 1.0, 1.2, (-0.4, 0.3), (0.3, 0.5)),
    "smaller steps": ("relu", 50, 1.0, 0.1, (0.2, 0.95), (0.2, 0.3)),
    "at the edge": ("relu", 3, 0.01, 1.2, (-0.1, 0.1), (0.5, 0.7)),
    "stuck whatever the step": ("relu", 3, 0.01, 0.05, (0.9, 1.0), (0.6, 0.7)),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_efficiency_tells_steps_that_fit_from_steps_that_are_too_large(name: str) -> None:
    """On the flower, over the last decade of 5,000 iterations."""
    activation, width, scale, rate, medians, costs = TABLE[name]
    networks = [initialize((2, width, 1), "normal", scale, generator(seed)).flat for seed in range(3)]
    start = Parameters((2, width, 1), np.concatenate(networks))
    schedule = [t for t in checkpoints(5000, 40) if t >= 500]
    found = states(start, *flower(), schedule, activation=activation, cost="binary", learning_rate=rate)
    median, cost = (np.median([of(state) for state in found], axis=0) for of in (efficiency, lambda state: state.cost))
    assert medians[0] <= median.min() <= median.max() <= medians[1]
    assert costs[0] <= cost.min() <= cost.max() <= costs[1]


def test_a_network_through_which_no_signal_passes_has_no_efficiency() -> None:
    """Six sigmoid layers at scale 0.02 promise 4e-25 and gain 0: not a step that is too large."""
    start = initialize((2, *[8] * 6, 1), "normal", 0.02, generator(0))
    *_, last = states(start, *flower(), [0, 1000], activation="sigmoid", cost="binary", learning_rate=1.2)
    assert np.isnan(efficiency(last)).all()


@settings(max_examples=50)
@given(stacks())
def test_what_is_measured_of_a_run_in_a_stack_equals_that_of_the_run_alone(stack: Stack) -> None:
    probes = (steps.efficiency, steps.rises, steps.distance, steps.scales, function.majority)

    def measured(runs: list[int]) -> list[Array]:
        choices = stack.choices | {"learning_rate": np.asarray(stack.choices["learning_rate"])[runs]}
        rngs = [generator(stack.batch_seeds[run]) for run in runs]
        start = Parameters(stack.parameters.sizes, stack.parameters.flat[runs])
        found = states(start, stack.X, stack.Y, [0, 1, 3], rngs=rngs, **choices)
        return [value for state in found for probe in probes for _, _, value in probe(state)]

    runs = list(range(len(stack.parameters.flat)))
    together = np.array(measured(runs))
    for run in runs:
        np.testing.assert_array_equal(together[:, run], np.array(measured([run]))[:, 0])


# ---- rises


def test_rises_are_the_share_of_the_last_checkpoints_with_a_higher_cost() -> None:
    """A rate that jumps, beside one that descends and one that diverges."""
    X, Y = flower()
    networks = random_networks((2, 50, 1), 2, generator(1))
    choices = {"activation": "relu", "cost": "binary", "learning_rate": np.array([3.0, 0.01])}
    found = states(networks, X, Y, range(0, 300, 7), **choices)
    costs = np.array([state.cost for state in found])
    assert np.isnan(rises(found[0])).all()
    for place in range(1, len(found)):
        recent = costs[max(place - EARLIER_COSTS, 0) : place + 1]
        np.testing.assert_array_equal(rises(found[place]), (recent[1:] > recent[:-1]).mean(axis=0))
    jumping, descending = rises(found[-1])
    assert jumping >= 0.3
    assert descending == 0


def test_a_diverging_cost_rises_at_every_checkpoint_until_it_is_not_finite() -> None:
    X = generator(0).standard_normal((1, 20))
    start = random_networks((1, 1), 1, generator(0))
    choices = {"activation": "tanh", "cost": "regression", "learning_rate": 5.0}
    *_, rising, broken = states(start, X, 2 * X, [0, 5, 10, 20, 30, 2000], **choices)
    assert rises(rising).tolist() == [1]
    assert np.isnan(rises(broken)).all()


def test_noise_in_the_last_bits_of_the_cost_does_not_count_as_a_rise() -> None:
    state = snapshot(random_stack())
    wobble = tuple(state.cost * (1 + sign * 2 * TINY) for sign in (1, -1, 1, -1, 1))
    assert rises(replace(state, earlier_costs=wobble)).tolist() == [0, 0, 0]
    jumps = tuple(state.cost * (1 + sign * 1e-11) for sign in (1, -1, 1, -1, 1))
    assert rises(replace(state, earlier_costs=jumps)).tolist() == [0.4, 0.4, 0.4]


# ---- distance


def test_the_distance_is_measured_from_the_weights_of_iteration_0_relative_to_their_size() -> None:
    start = random_networks((2, 5, 4, 1), 3, generator(0))
    *_, last = states(start, *flower(), [3, 40], activation="tanh", cost="binary", learning_rate=0.5)
    for layer in (1, 2, 3):
        for run in range(3):
            W, W0 = last.parameters.W[layer - 1][run], start.W[layer - 1][run]
            expected = np.linalg.norm(W - W0) / np.linalg.norm(W0)
            np.testing.assert_allclose(values(last)["steps/distance", layer][run], expected, rtol=1e-12)


def test_the_distance_is_0_at_the_start_and_ignores_biases() -> None:
    state = snapshot(random_stack())
    moved = state.parameters.copy()
    for b in moved.b:
        b[...] += 1.0
    for changed in (state, replace(state, parameters=moved)):
        assert [values(changed)["steps/distance", layer].tolist() for layer in (1, 2, 3)] == [[0, 0, 0]] * 3


def test_weights_that_started_at_0_or_are_not_finite_have_no_distance() -> None:
    state = snapshot(random_stack())
    state.initial.W[0][0] = 0.0
    state.parameters.W[0][1, 0, 0] = np.nan
    assert np.isnan(values(state)["steps/distance", 1]).tolist() == [True, True, False]


# ---- scales


def test_scales_are_the_largest_root_mean_squares() -> None:
    state = snapshot(random_stack((2, 4, 2)), task="regression")
    X, Y = state.X * [[3.0], [1.0]] + [[0.0], [50.0]], state.Y * [[1.0], [200.0]]
    measured = values(replace(state, X=X, Y=Y))
    np.testing.assert_allclose(measured["data/input_scale", 0], [np.sqrt(np.mean(X[1] ** 2))] * 3, rtol=1e-12)
    np.testing.assert_allclose(measured["data/target_scale", 0], [np.sqrt(np.mean(Y[1] ** 2))] * 3, rtol=1e-12)


@pytest.mark.parametrize("standardize", [True, False])
def test_the_scale_of_standardized_data_is_1(standardize: bool) -> None:
    data = load_dataset(DataConfig(name="diabetes", standardize=standardize))
    start = random_networks((len(data.X), 1), 1, generator(0))
    (state,) = states(start, data.X, data.Y, [0], activation="tanh", cost="regression", learning_rate=0.1)
    for name in ("data/input_scale", "data/target_scale"):
        assert (values(state)[name, 0].item() == pytest.approx(1.0)) == standardize


@pytest.mark.parametrize(("task", "n_y"), [("binary", 1), ("multiclass", 3)])
def test_class_labels_have_no_scale(task: str, n_y: int) -> None:
    state = snapshot(random_stack((2, 4, n_y)), task=task)
    assert {("data/target_scale", 0), ("data/input_scale", 0)} & values(state).keys() == {("data/input_scale", 0)}


def test_numbers_beyond_float32_give_an_infinite_scale_without_a_warning() -> None:
    X, Y = np.full((2, 5), 1e300), labelled("binary", 1, 5, generator(0))
    start = random_networks((2, 1), 1, generator(0), np.float32)
    (state,) = states(start, X, Y, [0], activation="tanh", cost="binary", learning_rate=0.1)
    measured = values(state)
    assert measured["data/input_scale", 0].tolist() == [np.inf]
    assert np.isnan([measured[name, 0] for name in ("steps/efficiency", "function/affine_residual")]).all()
