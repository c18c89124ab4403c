"""Laws for arbitrary numbers: what a network must equal, and what must not change it."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from strategies import Stack, constant_network, flower, generator, labelled, random_networks, seeds, stacks, trained

from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.network.training import train


@given(seeds, st.lists(st.integers(1, 9), min_size=2, max_size=9), st.integers(1, 3))
def test_an_identity_network_is_one_affine_map(seed: int, sizes: list[int], R: int) -> None:
    rng = generator(seed)
    networks, X = random_networks(tuple(sizes), R, rng), rng.standard_normal((sizes[0], 20))
    Z, _ = forward(networks, X, ACTIVATIONS["identity"])
    for run in range(R):
        slope, offset, bound = np.eye(sizes[0]), np.zeros((sizes[0], 1)), np.abs(X)
        for W, b in zip(networks.W, networks.b, strict=True):
            slope, offset = W[run] @ slope, W[run] @ offset + b[run]
            bound = np.abs(W[run]) @ bound + np.abs(b[run])  # the sum without cancellation
        assert np.all(np.abs(Z[-1][run] - (slope @ X + offset)) <= 1e-12 * bound)


def test_depth_zero_classification_reaches_logistic_regression() -> None:
    rng = generator(0)
    Y = np.repeat([[0.0, 1.0]], 100, axis=1)
    X = rng.standard_normal((2, 200)) + np.array([[0.8], [-0.5]]) * (2 * Y - 1)
    reference = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(X.T, Y[0])
    start = initialize((2, 1), "normal", 0.01, rng)
    last = trained(start, X, Y, 4000, activation="tanh", cost="binary", learning_rate=1.0)
    W, b = last.parameters.W[0][0], last.parameters.b[0][0]
    np.testing.assert_allclose(W, reference.coef_, rtol=1e-6)
    np.testing.assert_allclose(b[:, 0], reference.intercept_, rtol=1e-6)
    z = reference.decision_function(X.T)
    assert last.cost[0] == pytest.approx(np.logaddexp(0, (1 - 2 * Y[0]) * z).mean(), abs=1e-12)
    assert np.abs(last.gradient.flat).max() < 1e-12


@pytest.mark.parametrize("n_y", [1, 2])
def test_depth_zero_regression_reaches_least_squares(n_y: int) -> None:
    rng = generator(1)
    X, Y = rng.standard_normal((4, 60)), rng.standard_normal((n_y, 60))
    exact, *_ = np.linalg.lstsq(np.concatenate([X, np.ones((1, 60))]).T, Y.T)
    start = random_networks((4, n_y), 1, rng)
    last = trained(start, X, Y, 1500, activation="relu", cost="regression", learning_rate=0.2)
    np.testing.assert_allclose(last.parameters.theta[0][0], exact.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "identity", "leaky_relu"])
@pytest.mark.parametrize("n", [1, 2, 5, 8, 33])
def test_equal_units_are_one_unit(n: int, name: str) -> None:
    """n equal units with outgoing weight v equal one unit with outgoing weight u = n v.

    That unit trains u with n times the learning rate. It trains the incoming w and b with 1/n of it, because u passes
    back n times the gradient that v does.
    """
    X, Y = flower(100)
    w, b, u, b2, rate, m = np.full(2, 0.3), 0.0, n * 0.3, 0.0, 0.05, 100
    value, derivative = ACTIVATIONS[name].value, ACTIVATIONS[name].derivative
    choices: dict[str, Any] = {"activation": ACTIVATIONS[name], "cost": COSTS["binary"], "learning_rate": rate}
    snapshots = train(constant_network((2, n, 1), 0.3), X, Y, schedule=range(61), **choices)
    for snapshot in snapshots:
        z1 = w @ X + b
        z2 = u * value(z1) + b2
        np.testing.assert_allclose(snapshot.Z[-1][0, 0], z2, rtol=0, atol=1e-9)
        dz2 = 1 / (1 + np.exp(-z2)) - Y[0]
        dz1 = u * dz2 * derivative(z1)
        u, b2 = u - n * rate * (dz2 @ value(z1)) / m, b2 - rate * dz2.sum() / m
        w, b = w - rate / n * (X @ dz1) / m, b - rate / n * dz1.sum() / m


@given(stacks(dtypes=("float64",)), seeds)
def test_the_order_of_the_examples_does_not_matter(stack: Stack, seed: int) -> None:
    order = generator(seed).permutation(stack.X.shape[1])
    permuted = stack._replace(X=stack.X[:, order], Y=stack.Y[:, order])
    expected = stack.final(batch_size=None)
    np.testing.assert_allclose(permuted.final(batch_size=None), expected, rtol=1e-9, atol=1e-11)


@given(stacks(dtypes=("float64",), max_depth=2), seeds)
def test_the_order_of_the_hidden_units_does_not_matter(stack: Stack, seed: int) -> None:
    parameters, rng = stack.parameters.copy(), generator(seed)
    expected = Parameters(parameters.sizes, stack.final(batch_size=None))
    for below, above in zip(range(len(parameters.W) - 1), range(1, len(parameters.W)), strict=True):
        order = rng.permutation(parameters.sizes[above])
        for networks in (parameters, expected):
            networks.theta[below][...] = networks.theta[below][:, order]
            networks.W[above][...] = networks.W[above][:, :, order]
    permuted = stack._replace(parameters=parameters)
    np.testing.assert_allclose(permuted.final(batch_size=None), expected.flat, rtol=1e-9, atol=1e-11)


@given(stacks())
def test_a_zero_learning_rate_changes_nothing(stack: Stack) -> None:
    rates = np.zeros(len(stack.parameters.flat))
    assert stack.final(learning_rate=rates).tobytes() == stack.parameters.flat.tobytes()


@given(stacks(dtypes=("float64",)))
def test_a_mini_batch_of_all_examples_is_the_full_batch(stack: Stack) -> None:
    m = stack.X.shape[1]
    for iterations in (1, 5):
        batches, full = (stack.final(iterations=iterations, batch_size=size) for size in (m, None))
        np.testing.assert_allclose(batches, full, rtol=1e-9, atol=1e-11)


@given(seeds, st.integers(1, 6), st.integers(1, 12))
def test_batches_of_one_follow_the_single_example_formulas(seed: int, h: int, m: int) -> None:
    """The reference is the notes' form, one example after the other, scalar by scalar."""
    rng = generator(seed)
    network, X, Y = random_networks((2, h, 1), 1, rng), rng.standard_normal((2, m)), labelled("binary", 1, m, rng)
    named, rate, epochs = network.as_dict(), 0.3, 3
    W1, b1, W2, b2 = (named[name] for name in ("W1", "b1", "W2", "b2"))
    orders = generator(seed)
    for i in (i for _ in range(epochs) for i in orders.permutation(m)):
        x, y = X[:, i], Y[0, i]
        a1 = [math.tanh(W1[j, 0] * x[0] + W1[j, 1] * x[1] + b1[j, 0]) for j in range(h)]
        a2 = 1 / (1 + math.exp(-(sum(W2[0, j] * a1[j] for j in range(h)) + b2[0, 0])))
        dz2 = a2 - y
        for j in range(h):
            dz1 = W2[0, j] * dz2 * (1 - a1[j] ** 2)
            W2[0, j] -= rate * dz2 * a1[j]
            W1[j, 0] -= rate * dz1 * x[0]
            W1[j, 1] -= rate * dz1 * x[1]
            b1[j, 0] -= rate * dz1
        b2[0, 0] -= rate * dz2
    choices = {"activation": "tanh", "cost": "binary", "batch_size": 1, "rngs": [generator(seed)]}
    last = trained(network, X, Y, epochs * m, learning_rate=rate, **choices)
    np.testing.assert_allclose(last.parameters.flat, Parameters.from_dict(named).flat, rtol=0, atol=1e-11)


@settings(max_examples=30)
@given(seeds, st.integers(1, 20), st.data())
def test_an_epoch_uses_every_example_once(seed: int, m: int, data: st.DataObject) -> None:
    """With one-hot inputs, column j of W moves exactly if example j is in the batch; Y is far, so it always moves."""
    batch_size = data.draw(st.integers(1, m))
    per_epoch = math.ceil(m / batch_size)
    last_size = m - batch_size * (per_epoch - 1)
    choices: dict[str, Any] = {"activation": ACTIVATIONS["identity"], "cost": COSTS["regression"]}
    choices |= {"learning_rate": 1e-3, "batch_size": batch_size, "rngs": [generator(seed), generator(seed + 1)]}
    networks, epochs = Parameters.zeros((m, 1), 2), 3
    Y = np.full((1, m), 5.0)
    flats = [
        s.parameters.W[0][:, 0]
        for s in train(networks, np.eye(m), Y, schedule=range(epochs * per_epoch + 1), **choices)
    ]
    in_batch = np.diff(flats, axis=0) != 0  # (iteration, run, example)
    for epoch in np.split(in_batch, epochs):
        np.testing.assert_array_equal(epoch.sum(axis=0), 1)
        np.testing.assert_array_equal(epoch.sum(axis=2).T, [[batch_size] * (per_epoch - 1) + [last_size]] * 2)


def test_every_epoch_and_every_run_has_its_own_order() -> None:
    m = 30
    choices: dict[str, Any] = {"activation": ACTIVATIONS["identity"], "cost": COSTS["regression"]}
    choices |= {"learning_rate": 1e-3, "batch_size": 1, "rngs": [generator(0), generator(1)]}
    snapshots = train(
        Parameters.zeros((m, 1), 2), np.eye(m), np.full((1, m), 5.0), schedule=range(2 * m + 1), **choices
    )
    order = np.argmax(np.diff([s.parameters.W[0][:, 0] for s in snapshots], axis=0) != 0, axis=2)
    orders = [order[:m, 0], order[m:, 0], order[:m, 1], order[m:, 1]]
    assert len({tuple(each) for each in orders}) == 4
    assert all(sorted(each) == list(range(m)) for each in orders)


def test_the_last_smaller_batch_is_a_mean_over_its_own_size() -> None:
    """In a linear network of depth 0, the last of three examples moves the bias by rate * 2 (y - z), not half of it."""
    choices = {"activation": "identity", "cost": "regression", "batch_size": 2, "rngs": [generator(0)]}
    last = trained(Parameters.zeros((1, 1)), np.zeros((1, 3)), np.ones((1, 3)), 2, learning_rate=0.1, **choices)
    assert last.parameters.b[0].item() == pytest.approx(0.2 + 0.2 * 0.8, rel=1e-14)
