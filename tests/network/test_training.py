"""The generator of snapshots: its schedule, its values, and that it trains the network of the notes."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TASKS, Array, Stack, flower, generator, labelled, random_networks, stacks, trained

from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.training import EARLIER_COSTS, Snapshot, checkpoints, train
from nnlab.seeding import legacy_stream


def notes_network(**changes: Any) -> Iterator[Snapshot]:
    X, Y = flower()
    choices = {"activation": ACTIVATIONS["tanh"], "cost": COSTS["binary"], "learning_rate": 1.2, "schedule": [0, 3, 5]}
    start = changes.pop("parameters", None) or initialize((2, 4, 1), "normal", 0.01, legacy_stream(3))
    return train(start, X, Y, **(choices | changes))


@given(st.integers(0, 10**6), st.integers(2, 300), st.none() | st.integers(1, 10**6))
def test_checkpoints_are_sorted_unique_within_bounds_and_few(iterations: int, count: int, every: int | None) -> None:
    every = every and max(every, iterations // 1000, 1)
    schedule = checkpoints(iterations, count, every)
    assert schedule == sorted(set(schedule))
    assert (schedule[0], schedule[-1]) == (0, iterations)
    assert all(type(t) is int for t in schedule)
    multiples = list(range(0, iterations + 1, every)) if every else []
    assert set(multiples) <= set(schedule)
    assert len(schedule) <= count + len(multiples)


@given(st.integers(1, 10**6), st.integers(3, 300))
def test_checkpoints_are_evenly_spaced_on_a_log_axis(iterations: int, count: int) -> None:
    """No gap is wider than one step of the log axis, or one iteration."""
    schedule = checkpoints(iterations, count)[1:]
    step = iterations ** (1 / (count - 2))
    assert schedule[0] == 1
    assert all(
        after <= step * (before + 0.5) + 0.5 or after == before + 1 for before, after in itertools.pairwise(schedule)
    )


@pytest.mark.parametrize(
    ("arguments", "schedule"),
    [
        ((0, 40), [0]),
        ((0, 2, 5), [0]),
        ((1, 2), [0, 1]),
        ((100, 2), [0, 100]),
        ((100, 4), [0, 1, 10, 100]),
        ((10, 2, 4), [0, 4, 8, 10]),
        ((3, 1000), [0, 1, 2, 3]),
    ],
)
def test_checkpoints_of_small_cases(arguments: tuple[int, ...], schedule: list[int]) -> None:
    assert checkpoints(*arguments) == schedule


@given(st.sets(st.integers(0, 40)).map(sorted))
def test_train_yields_exactly_at_the_schedule(schedule: list[int]) -> None:
    assert [snapshot.iteration for snapshot in notes_network(schedule=schedule)] == schedule


def test_a_snapshot_does_not_depend_on_the_schedule() -> None:
    often = {s.iteration: s.parameters.flat for s in notes_network(schedule=range(20))}
    for snapshot in notes_network(schedule=[4, 11, 19]):
        np.testing.assert_array_equal(snapshot.parameters.flat, often[snapshot.iteration])


def test_snapshots_are_copies_and_parameters_are_updated_in_place() -> None:
    start = initialize((2, 4, 1), "normal", 0.01, legacy_stream(3))
    before = start.flat.copy()
    snapshots = list(notes_network(parameters=start))
    np.testing.assert_array_equal(snapshots[0].parameters.flat, before)
    np.testing.assert_array_equal(snapshots[-1].parameters.flat, start.flat)
    assert not np.array_equal(start.flat, before)
    assert not any(np.shares_memory(s.parameters.flat, start.flat) for s in snapshots)
    assert len({s.cost.item() for s in snapshots}) == 3  # computed now, from the parameters of each snapshot


def test_changing_a_snapshot_does_not_affect_training() -> None:
    *_, undisturbed = notes_network()
    for snapshot in notes_network():
        final = snapshot.parameters.flat.copy()
        for array in (snapshot.parameters.flat, *snapshot.Z, *snapshot.A, *snapshot.dZ, snapshot.gradient.flat):
            array[...] = np.nan
    np.testing.assert_array_equal(final, undisturbed.parameters.flat)


@pytest.mark.parametrize(("task", "n_y"), TASKS)
def test_a_snapshot_matches_the_formulas_of_the_notes(task: str, n_y: int) -> None:
    """Cost, signals and gradient as in the notes, for one relu layer and one run after the other."""
    rng = generator(8)
    networks, X, Y = random_networks((3, 5, n_y), 2, rng), rng.standard_normal((3, 12)), labelled(task, n_y, 12, rng)
    choices: dict[str, Any] = {"activation": ACTIVATIONS["relu"], "cost": COSTS[task], "learning_rate": 0.1}
    (snapshot,) = train(networks, X, Y, schedule=[4], **choices)
    for run in range(2):
        p = snapshot.parameters.as_dict(run)
        Z1 = p["W1"] @ X + p["b1"]
        A1 = np.maximum(Z1, 0)
        Z2 = p["W2"] @ A1 + p["b2"]
        A2 = {"binary": 1 / (1 + np.exp(-Z2)), "multiclass": np.exp(Z2) / np.exp(Z2).sum(axis=0)}.get(task, Z2)
        cost = {
            "binary": lambda A: -(Y * np.log(A) + (1 - Y) * np.log(1 - A)).sum() / 12,
            "multiclass": lambda A: -(Y * np.log(A)).sum() / 12,
            "regression": lambda A: ((A - Y) ** 2).mean(),
        }[task](A2)
        dZ2 = (A2 - Y) * (2 / n_y if task == "regression" else 1)
        dZ1 = p["W2"].T @ dZ2 * (Z1 > 0)
        gradient = {"W1": dZ1 @ X.T / 12, "b1": dZ1.sum(axis=1, keepdims=True) / 12}
        gradient |= {"W2": dZ2 @ A1.T / 12, "b2": dZ2.sum(axis=1, keepdims=True) / 12}
        assert snapshot.cost[run] == pytest.approx(cost, rel=1e-13)
        arrays = [*snapshot.Z, *snapshot.A, *snapshot.dZ]
        for array, by_hand in zip(arrays, [Z1, Z2, A1, dZ1, dZ2], strict=True):
            np.testing.assert_allclose(array[run], by_hand, rtol=1e-12, atol=1e-14)
        for name, array in snapshot.gradient.as_dict(run).items():
            np.testing.assert_allclose(array, gradient[name], rtol=1e-12, atol=1e-14)


@given(stacks())
def test_a_snapshot_has_the_dtype_and_the_learning_rates_of_its_stack(stack: Stack) -> None:
    names = {"activation": ACTIVATIONS[stack.choices["activation"]], "cost": COSTS[stack.choices["cost"]]}
    rngs = [generator(seed) for seed in stack.batch_seeds]
    (snapshot,) = train(stack.parameters, stack.X, stack.Y, schedule=[2], rngs=rngs, **(stack.choices | names))
    dtype = stack.parameters.flat.dtype
    arrays = [snapshot.X, snapshot.Y, snapshot.T, snapshot.cost, *snapshot.Z, *snapshot.A, *snapshot.dZ]
    assert {array.dtype for array in [*arrays, snapshot.gradient.flat, snapshot.parameters.flat]} == {dtype}
    np.testing.assert_array_equal(snapshot.learning_rate, np.asarray(stack.choices["learning_rate"], dtype))


def test_training_does_not_modify_the_data() -> None:
    X, Y = flower(50)
    before = X.copy(), Y.copy()
    choices = {"activation": "tanh", "cost": "binary", "learning_rate": 1.2, "batch_size": 7, "rngs": [generator(0)]}
    trained(initialize((2, 4, 1), "normal", 1.0, generator(0)), X, Y, 20, **choices)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_mini_batches_need_one_generator_for_each_run(count: int) -> None:
    networks = random_networks((2, 4, 1), 2, generator(0))
    with pytest.raises(ValueError, match=f"rngs must be one generator for each of the 2 networks, got {count}"):
        list(notes_network(parameters=networks, batch_size=8, rngs=[generator(0)] * count))


def slow_and_obvious(network: dict[str, Array], X: Array, Y: Array, rate: float, iterations: int) -> dict[str, Array]:
    """Train the notes' two-layer network, one number at a time."""
    W1, b1, W2, b2 = (network[name].tolist() for name in ("W1", "b1", "W2", "b2"))
    units, m = range(len(W1)), X.shape[1]
    examples = list(zip(*X.tolist(), Y[0].tolist(), strict=True))
    for _ in range(iterations):
        dW1, db1 = [[0.0, 0.0] for _ in units], [0.0 for _ in units]
        dW2, db2 = [0.0 for _ in units], 0.0
        for x1, x2, y in examples:
            a1 = [math.tanh(W1[j][0] * x1 + W1[j][1] * x2 + b1[j][0]) for j in units]
            a2 = 1 / (1 + math.exp(-sum(W2[0][j] * a1[j] for j in units) - b2[0][0]))
            dz2 = a2 - y
            db2 += dz2 / m
            for j in units:
                dz1 = W2[0][j] * dz2 * (1 - a1[j] ** 2)
                dW2[j] += dz2 * a1[j] / m
                dW1[j][0] += dz1 * x1 / m
                dW1[j][1] += dz1 * x2 / m
                db1[j] += dz1 / m
        for j in units:
            W1[j] = [W1[j][0] - rate * dW1[j][0], W1[j][1] - rate * dW1[j][1]]
            b1[j][0] -= rate * db1[j]
            W2[0][j] -= rate * dW2[j]
        b2[0][0] -= rate * db2
    return {"W1": np.array(W1), "b1": np.array(b1), "W2": np.array(W2), "b2": np.array(b2)}


def test_train_matches_the_slow_obvious_network() -> None:
    X, Y = flower(60)
    start = initialize((2, 4, 1), "normal", 0.01, legacy_stream(3))
    slow = slow_and_obvious(start.as_dict(), X, Y, 1.2, 500)
    fast = trained(start, X, Y, 500, activation="tanh", cost="binary", learning_rate=1.2)
    for name, array in fast.parameters.as_dict().items():
        np.testing.assert_allclose(array, slow[name], rtol=0, atol=1e-10)
    assert np.abs(slow["W1"]).max() > 0.1  # it has learned


def test_costs_match_those_of_the_course() -> None:
    """Both published versions, seeds 3 and 2, in one stack."""
    X, Y = flower()
    networks = [initialize((2, 4, 1), "normal", 0.01, legacy_stream(seed)).flat for seed in (3, 2)]
    stack = Parameters((2, 4, 1), np.concatenate(networks))
    choices: dict[str, Any] = {"activation": ACTIVATIONS["tanh"], "cost": COSTS["binary"], "learning_rate": 1.2}
    costs = [s.cost for s in train(stack, X, Y, schedule=range(0, 4000, 1000), **choices)]
    published = [[0.693162, 0.693048], [0.258625, 0.288083], [0.239334, 0.254385], [0.230802, 0.233864]]
    np.testing.assert_allclose(costs, published, rtol=0, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_unit_that_overflows_on_its_quiet_side_does_not_affect_the_network(activation: str) -> None:
    """The first unit's logit is -1e40, which is -inf in float32: the unit is 0."""
    network = Parameters.zeros((1, 2, 1), 1, np.float32)
    network.W[0][0] = [[-1e30], [1e-10]]
    network.W[1][0] = [[1.0, 1.0]]
    X, Y = np.array([[1e10]]), np.array([[1.0]])
    choices: dict[str, Any] = {"activation": activation, "cost": "binary", "learning_rate": 0.0}
    last = trained(network, X, Y, 1, **choices)
    np.testing.assert_array_equal(last.parameters.flat, network.flat)
    second = {"relu": 1.0, "gelu": 0.5 * math.erfc(-1 / math.sqrt(2))}[activation]
    assert last.cost.item() == pytest.approx(math.log1p(math.exp(-second)), rel=1e-6)


def test_a_snapshot_knows_the_parameters_before_its_last_update() -> None:
    often = {s.iteration: s.parameters.flat for s in notes_network(schedule=range(20))}
    for snapshot in notes_network(schedule=[0, 1, 4, 5, 19]):
        if snapshot.iteration == 0:
            assert snapshot.previous is None
        else:
            assert snapshot.previous is not None
            np.testing.assert_array_equal(snapshot.previous.flat, often[snapshot.iteration - 1])


def test_a_snapshot_knows_the_parameters_of_iteration_0() -> None:
    start = initialize((2, 4, 1), "normal", 0.01, legacy_stream(3))
    before = start.flat.copy()
    for snapshot in list(notes_network(parameters=start, schedule=[2, 5])):
        np.testing.assert_array_equal(snapshot.initial.flat, before)


def test_a_snapshot_knows_the_costs_of_those_before() -> None:
    snapshots = list(notes_network(schedule=range(0, 30, 2)))
    costs = [snapshot.cost.item() for snapshot in snapshots]
    for place, snapshot in enumerate(snapshots):
        earlier = [cost.item() for cost in snapshot.earlier_costs]
        assert earlier == costs[max(place - EARLIER_COSTS, 0) : place]


def test_the_next_batch_of_full_batches_is_all_examples() -> None:
    for snapshot in notes_network():
        assert snapshot.batch is None
        assert snapshot.on_next_batch is snapshot


@pytest.mark.parametrize("batch_size", [1, 7, 20, 60, 100])
def test_a_snapshot_knows_the_examples_of_the_next_iteration(batch_size: int) -> None:
    """Inside an epoch, at its end, and after the last iteration, while training goes on."""
    X, Y = flower(60)
    per_epoch = -(-60 // batch_size)
    networks = random_networks((2, 4, 1), 2, generator(0))
    choices: dict[str, Any] = {"activation": ACTIVATIONS["tanh"], "cost": COSTS["binary"], "learning_rate": 0.3}
    rngs = [generator(run) for run in range(2)]
    snapshots = list(
        train(networks, X, Y, schedule=range(2 * per_epoch + 1), batch_size=batch_size, rngs=rngs, **choices)
    )
    for run in range(2):
        rng = generator(run)
        batches = [
            order[i : i + batch_size]
            for order in (rng.permutation(60) for _ in range(3))
            for i in range(0, 60, batch_size)
        ]
        for snapshot, batch, after in itertools.zip_longest(snapshots, batches[: len(snapshots)], snapshots[1:]):
            assert snapshot.batch[run].tolist() == batch.tolist()
            np.testing.assert_array_equal(snapshot.on_next_batch.X[run], X[:, batch])
            np.testing.assert_array_equal(snapshot.on_next_batch.Y[run], Y[:, batch])
            if after:
                taken = snapshot.after_next_step.parameters.flat[run]
                np.testing.assert_allclose(taken, after.parameters.flat[run], rtol=1e-12, atol=1e-14)
