"""Both backward passes, textbook and in place, against central differences of the cost."""

from itertools import product

import numpy as np
import pytest
from strategies import TASKS, Array, generator, labelled, random_networks, trained

from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.inplace import Workspace, iterate
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward, with_ones

N_X, M, R = 3, 9, 2
WIDTHS = {"level": [5, 5, 5, 5], "narrowing": [7, 6, 5, 1]}  # the sizes before the output decide whether it is factored
FACTORED = {(shape, depth): depth > 0 and shape == "level" for shape, depth in product(WIDTHS, range(5))}

each_case = pytest.mark.parametrize(
    ("activation", "task", "n_y", "depth", "shape"),
    [
        pytest.param(activation, task, n_y, depth, shape, id=f"{activation}-{task}{n_y}-{depth}-{shape}")
        for activation, (task, n_y), depth, shape in product(ACTIVATIONS, TASKS, range(5), WIDTHS)
        if depth or shape == "level"
    ],
)


def layer_sizes(n_y: int, depth: int, shape: str) -> tuple[int, ...]:
    return (N_X, *(WIDTHS[shape][4 - depth :]), n_y)


def problem(task: str, n_y: int, depth: int, shape: str) -> tuple[Parameters, Array, Array]:
    rng = generator(depth)
    networks = random_networks(layer_sizes(n_y, depth, shape), R, rng)
    return networks, rng.standard_normal((N_X, M)), labelled(task, n_y, M, rng)


def textbook(networks: Parameters, X: Array, Y: Array, activation: str, task: str) -> Array:
    Z, A = forward(networks, X, ACTIVATIONS[activation])
    cost = COSTS[task]
    return backward(networks, X, cost.encode(Y), Z, A, ACTIVATIONS[activation], cost)[1].flat


def in_place(networks: Parameters, X: Array, Y: Array, activation: str, task: str) -> tuple[Array, bool]:
    """Return the gradient of one iteration with learning rate 1, and True if its backward pass was factored."""
    dtype, m = networks.flat.dtype, X.shape[-1]
    updated, work = networks.copy(), Workspace(networks.sizes, len(networks.flat), m, dtype)
    step = np.full((len(networks.flat), 1), 1 / m, dtype)
    cost = COSTS[task]
    iterate(updated, with_ones(X), cost.encode(Y), ACTIVATIONS[activation], cost, step, work)
    np.testing.assert_array_equal(updated.flat, networks.flat - work.gradient.flat)
    return work.gradient.flat, work.factored


def central_differences(networks: Parameters, X: Array, Y: Array, activation: str, task: str) -> Array:
    """Return the gradients by central differences; each parameter moves in its own network, 2 P networks in a stack."""
    step, count = 1e-5, networks.flat.shape[1]
    moves = step * np.concatenate([np.eye(count), -np.eye(count)])
    rows = []
    for flat in networks.flat:
        Z, _ = forward(Parameters(networks.sizes, flat + moves), X, ACTIVATIONS[activation])
        costs = COSTS[task].loss(Z[-1], COSTS[task].encode(Y)).mean(axis=-1)
        rows.append((costs[:count] - costs[count:]) / (2 * step))
    return np.array(rows)


def relative_error(g: Array, reference: Array) -> float:
    return float(np.linalg.norm(g - reference) / (np.linalg.norm(g) + np.linalg.norm(reference)))


@each_case
def test_float64_gradients_match_central_differences(
    activation: str, task: str, n_y: int, depth: int, shape: str
) -> None:
    case = problem(task, n_y, depth, shape)
    reference = central_differences(*case, activation, task)
    gradient, factored = in_place(*case, activation, task)
    assert factored == (n_y == 1 and FACTORED[shape, depth])
    for run in range(R):
        assert np.linalg.norm(reference[run]) > 1e-3
        assert relative_error(textbook(*case, activation, task)[run], reference[run]) < 1e-6
        assert relative_error(gradient[run], reference[run]) < 1e-6


@each_case
def test_float32_gradients_match_float64_gradients(
    activation: str, task: str, n_y: int, depth: int, shape: str
) -> None:
    """The reference is analytic, because a central difference in float32 has too few digits."""
    networks, X, Y = problem(task, n_y, depth, shape)
    coarse = Parameters(networks.sizes, networks.flat.astype(np.float32))
    X32, Y32 = X.astype(np.float32), Y.astype(np.float32)
    fine = Parameters(networks.sizes, coarse.flat.astype(np.float64))
    reference = textbook(fine, X32.astype(np.float64), Y32.astype(np.float64), activation, task)
    for gradient in (textbook(coarse, X32, Y32, activation, task), in_place(coarse, X32, Y32, activation, task)[0]):
        assert gradient.dtype == np.float32
        for run in range(R):
            assert relative_error(gradient[run], reference[run]) < 1e-4


@each_case
def test_both_backward_passes_agree_to_rounding(activation: str, task: str, n_y: int, depth: int, shape: str) -> None:
    case = problem(task, n_y, depth, shape)
    gradient, _ = in_place(*case, activation, task)
    assert relative_error(gradient, textbook(*case, activation, task)) < 1e-14


def test_the_cases_cover_factored_and_unfactored_backward_passes() -> None:
    for depth in range(1, 5):
        used = {Workspace(layer_sizes(1, depth, shape), 1, M, float).factored for shape in WIDTHS}
        assert used == {True, False}


@pytest.mark.parametrize(("task", "n_y"), TASKS)
def test_train_takes_the_gradient_step(task: str, n_y: int) -> None:
    networks, X, Y = problem(task, n_y, 2, "level")
    rates = np.array([0.5, 2.0])
    after = trained(networks, X, Y, 1, activation="tanh", cost=task, learning_rate=rates).parameters.flat
    step = rates[:, None] * textbook(networks, X, Y, "tanh", task)
    np.testing.assert_allclose(networks.flat - after, step, rtol=0, atol=1e-14)


def test_textbook_gradients_of_saturated_units_are_not_rounded_to_0() -> None:
    """The textbook pass keeps slopes that the in-place one may round to 0: g'(40) of tanh is 7e-35."""
    networks = Parameters.from_dict({"W1": np.ones((1, 1)), "b1": np.zeros((1, 1)), "W2": np.ones((1, 1)), "b2": [[0]]})
    gradient = textbook(networks, np.full((1, 1), 40.0), np.zeros((1, 1)), "tanh", "regression")
    assert gradient[0, 0] == pytest.approx(2 * 4 * np.exp(-80) * 40, rel=1e-12)
