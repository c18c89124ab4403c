"""The law of the stack: a run trained in a stack equals the same run trained alone, bit for bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import Array, Stack, flower, generator, random_networks, single, stacks, trained

from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import ARITHMETICS
from nnlab.network.training import Snapshot, train


def same_bits(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def read_everything(snapshot: Snapshot) -> None:
    assert len(snapshot.Z) == len(snapshot.A) + 1 == len(snapshot.dZ)
    assert snapshot.gradient.flat.shape == snapshot.parameters.flat.shape
    assert snapshot.cost.shape == (len(snapshot.parameters.flat),)
    assert snapshot.T.shape == snapshot.Y.shape
    assert snapshot.after_next_step.cost.shape == snapshot.on_next_batch.cost.shape == snapshot.cost.shape


@settings(max_examples=300)
@given(stacks())
def test_a_run_in_a_stack_equals_the_run_alone(stack: Stack) -> None:
    together = stack.final()
    assert np.isfinite(together).all()
    assert not np.array_equal(together, stack.parameters.flat)
    for run in range(len(together)):
        assert same_bits(stack.final([run]), together[[run]])


@given(stacks(), st.data())
def test_the_order_and_the_other_runs_of_the_stack_do_not_matter(stack: Stack, data: st.DataObject) -> None:
    R = len(stack.parameters.flat)
    runs = data.draw(st.lists(st.integers(0, R - 1), min_size=1, max_size=6))
    assert same_bits(stack.final(runs), stack.final()[runs])


@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("h", [1, 2, 3, 4, 5, 7, 8, 16, 17, 20, 33, 50, 64])
def test_runs_on_the_flower_equal_the_runs_alone(h: int, dtype: str, arithmetic: str) -> None:
    """These widths include those at which folding the stack into one product breaks the law."""
    X, Y = flower()
    networks = random_networks((2, h, 1), 4, generator(h), dtype)
    choices = {"activation": "tanh", "cost": "binary", "learning_rate": 1.2, "product": ARITHMETICS[arithmetic]}
    together = trained(networks, X, Y, 30, **choices)
    for run in range(4):
        alone = trained(single(networks, run), X, Y, 30, **choices)
        assert same_bits(alone.parameters.flat[0], together.parameters.flat[run])
        assert same_bits(alone.cost[0], together.cost[run])


@given(stacks(max_depth=2))
def test_reading_snapshots_does_not_change_training(stack: Stack) -> None:
    choices = stack.choices | {
        "activation": ACTIVATIONS[stack.choices["activation"]],
        "cost": COSTS[stack.choices["cost"]],
    }

    def run(schedule: list[int], *, read: bool) -> tuple[Array, list[Any]]:
        parameters = stack.parameters.copy()
        rngs = [generator(seed) for seed in stack.batch_seeds]
        for snapshot in train(parameters, stack.X, stack.Y, schedule=schedule, rngs=rngs, **choices):
            if read:
                read_everything(snapshot)
        return parameters.flat, [rng.bit_generator.state for rng in rngs]

    (watched, drawn), (unwatched, drawn_unwatched) = run(list(range(12)), read=True), run([11], read=False)
    assert same_bits(watched, unwatched)
    assert drawn == drawn_unwatched


@given(stacks())
def test_equal_runs_stay_equal(stack: Stack) -> None:
    """Runs with equal weights and learning rates may differ only by the order of their examples."""
    R = len(stack.parameters.flat)
    copies = Parameters(stack.parameters.sizes, np.repeat(stack.parameters.flat[:1], R, axis=0))
    rates = np.full(R, stack.choices["learning_rate"][0])
    equal = stack._replace(parameters=copies, choices=stack.choices | {"learning_rate": rates})
    one_order = equal._replace(batch_seeds=[5] * R).final()
    assert all(same_bits(row, one_order[0]) for row in one_order)
    full_batch = equal.final(batch_size=None)
    assert all(same_bits(row, full_batch[0]) for row in full_batch)


def test_equal_runs_with_different_orders_separate() -> None:
    X, Y = flower()
    stack = Stack(
        random_networks((2, 4, 1), 1, generator(0)),
        X,
        Y,
        {"activation": "tanh", "cost": "binary", "learning_rate": np.full(2, 0.5), "batch_size": 32},
        [1, 2],
    )
    stack = stack._replace(parameters=Parameters((2, 4, 1), np.repeat(stack.parameters.flat, 2, axis=0)))
    first, second = stack.final()
    assert not np.array_equal(first, second)


@given(stacks(dtypes=("float64",)))
def test_each_run_has_its_own_learning_rate(stack: Stack) -> None:
    """After one iteration from the same weights on the same batch, changes are proportional to the rates."""
    R = len(stack.parameters.flat)
    assume(R > 1)
    copies = Parameters(stack.parameters.sizes, np.repeat(stack.parameters.flat[:1], R, axis=0))
    equal = stack._replace(parameters=copies, batch_seeds=[5] * R)
    rates = np.asarray(stack.choices["learning_rate"])
    per_rate = (equal.final(iterations=1) - copies.flat) / rates[:, None]
    np.testing.assert_allclose(per_rate, np.repeat(per_rate[:1], R, axis=0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize(("task", "n_y"), [("binary", 1), ("multiclass", 3), ("regression", 2)])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_a_diverging_run_does_not_affect_the_others_or_warn(
    activation: str, task: str, n_y: int, batch_size: int | None, dtype: str
) -> None:
    X, _ = flower(40)
    Y = {"binary": np.arange(40)[None] % 2.0, "multiclass": np.eye(3)[:, np.arange(40) % 3], "regression": X}[task]
    huge = 1e300 if dtype == "float64" else 1e38
    stack = Stack(
        random_networks((2, 5, 5, n_y), 3, generator(4), dtype),
        X,
        Y,
        {"activation": activation, "cost": task, "batch_size": batch_size, "learning_rate": [0.01, huge, 0.02]},
        [1, 2, 3],
    )
    together = stack.final(iterations=20)
    assert not (np.abs(together[1]) < 1e30).all()
    for run in (0, 2):
        assert np.isfinite(together[run]).all()
        assert same_bits(stack.final([run], iterations=20), together[[run]])


def test_snapshots_of_a_diverged_run_do_not_warn() -> None:
    X, Y = flower(40)
    networks = random_networks((2, 5, 1), 2, generator(4))
    last = trained(networks, X, Y, 20, activation="relu", cost="binary", learning_rate=np.array([0.1, 1e300]))
    read_everything(last)
    assert np.isfinite(last.cost[0])
    assert not np.isfinite(last.cost[1])


def test_a_learning_rate_beyond_float32_is_infinite_without_a_warning() -> None:
    """1e300 is a legal training.learning_rate, and float32 a legal dtype."""
    X, Y = flower(40)
    networks = random_networks((2, 5, 1), 1, generator(4), "float32")
    last = trained(networks, X, Y, 3, activation="tanh", cost="binary", learning_rate=1e300)
    assert not np.isfinite(last.parameters.flat).all()
