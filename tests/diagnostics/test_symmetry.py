"""Equal units are found in every form that computes the same function."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from snapshots import random_stack, snapshot, values
from strategies import flower

from nnlab.diagnostics.curvature import transverse
from nnlab.diagnostics.equality import NEAR, classes, classify_units
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import product_in_order
from nnlab.network.training import train

FACTORS = {"tanh": -1.0, "sigmoid": -1.0, "relu": 3.5, "leaky_relu": 3.5, "gelu": 1.0}
"""A factor on a unit's incoming weights that can be undone in its outgoing weights."""


def add_equivalent_unit(parameters: Parameters, activation: str, layer: int, source: int, copy: int) -> None:
    """Make one unit a copy of another, in another form of the same function."""
    factor = FACTORS[activation]
    parameters.theta[layer - 1][:, copy] = factor * parameters.theta[layer - 1][:, source]
    parameters.W[layer][:, :, copy] = parameters.W[layer][:, :, source] / factor


@pytest.mark.parametrize("activation", FACTORS)
def test_equivalent_units_count_as_one(activation: str) -> None:
    parameters = random_stack()
    add_equivalent_unit(parameters, activation, 1, 2, 4)
    measured = values(snapshot(parameters, activation))
    assert measured["symmetry/near_units", 1].tolist() == [5, 5, 5]
    assert measured["symmetry/functions", 1].tolist() == [5, 5, 5]
    assert measured["symmetry/near_units", 2].tolist() == [5, 5, 5]


@pytest.mark.parametrize("activation", FACTORS)
def test_units_that_read_the_same_from_different_copies_count_as_one(activation: str) -> None:
    """Unit 3 of layer 2 reads from a copy what unit 1 reads from the original: same function, different row of W."""
    parameters = random_stack()
    factor = FACTORS[activation]
    parameters.theta[0][:, 4] = factor * parameters.theta[0][:, 2]
    W, b = parameters.W[1], parameters.b[1]
    W[:, 3], b[:, 3] = W[:, 1], b[:, 1]
    W[:, 3, 4] += W[:, 3, 2] / factor
    if activation == "sigmoid":  # sigmoid(-z) = 1 - sigmoid(z)
        b[:, 3, 0] += W[:, 3, 2]
    W[:, 3, 2] = 0.0
    state = snapshot(parameters, activation)
    np.testing.assert_allclose(state.Z[1][:, 3], state.Z[1][:, 1], rtol=1e-12, atol=1e-12)
    measured = values(state)
    assert measured["symmetry/functions", 1].tolist() == [5, 5, 5]
    assert measured["symmetry/functions", 2].tolist() == [4, 4, 4]
    assert measured["symmetry/near_units", 2].tolist() == [5, 5, 5]  # their outgoing weights differ


@pytest.mark.parametrize("activation", FACTORS)
@pytest.mark.parametrize(("difference", "count"), [(1e-8, 1), (1e-4, 4)])
def test_near_is_a_millionth_of_the_largest_number(activation: str, difference: float, count: int) -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.flat[...] = 0.5
    parameters.W[0][0, :, 0] += difference * np.arange(4)
    measured = values(snapshot(parameters, activation))
    assert measured["symmetry/near_units", 1].tolist() == [count]
    assert measured["symmetry/distinct_units", 1].tolist() == [4]


def test_layers_of_zeros_are_one_unit_and_layers_of_nan_are_not_counted() -> None:
    parameters = random_stack((2, 3, 1))
    parameters.flat[1], parameters.flat[2] = 0.0, np.nan
    assert values(snapshot(parameters))["symmetry/near_units", 1].tolist() == pytest.approx([3, 1, np.nan], nan_ok=True)


@pytest.mark.parametrize("outgoing", [[0.0, 0.0, 0.0], [1.0, 1e-13, -2e-13]], ids=["zero", "tiny"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_small_outgoing_weights_do_not_make_units_equal(activation: str, outgoing: list[float]) -> None:
    parameters = Parameters.zeros((2, 3, 1), 1)
    parameters.W[0][0] = [[1, 0], [0, 1], [1, 1]]
    parameters.W[1][0, 0] = outgoing
    measured = values(snapshot(parameters, activation))
    assert measured["symmetry/functions", 1] == 3
    assert measured["symmetry/near_units", 1] == 3


@st.composite
def degenerate_networks(draw: st.DrawFn) -> tuple[Parameters, str]:
    """Networks of few distinct numbers, many of them 0 or tiny, with copied units."""
    activation = draw(st.sampled_from(list(FACTORS)))
    depth = draw(st.integers(1, 3))
    sizes = (2, *(draw(st.integers(1, 6)) for _ in range(depth)), draw(st.integers(1, 3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parameters = Parameters.zeros(sizes, 3)
    palette = np.array([0.0, 0.0, 1.0, -1.0, 1e-7, 1e-13, -2e-13, 1e150, rng.standard_normal()])
    parameters.flat[...] = rng.choice(palette[: draw(st.integers(2, len(palette)))], parameters.flat.shape)
    for layer, n in enumerate(sizes[1:-1], start=1):
        add_equivalent_unit(parameters, activation, layer, *rng.integers(0, n, 2).tolist())
    return parameters, activation


@settings(max_examples=300)
@given(degenerate_networks())
def test_exchangeable_units_compute_the_same(network: tuple[Parameters, str]) -> None:
    parameters, activation = network
    for unit_classes in classify_units(parameters, ACTIVATIONS[activation]):
        for functions, units in zip(unit_classes.functions, unit_classes.units, strict=True):
            assert (functions[units] == functions).all()  # a unit and the first of its class
            assert (units[units] == units).all()
            assert (units <= np.arange(len(units))).all()
    measured = values(snapshot(parameters, activation, "multiclass" if parameters.sizes[-1] > 1 else "binary"))
    for layer in range(1, len(parameters.W)):
        assert (measured["symmetry/near_units", layer] >= measured["symmetry/functions", layer]).all()


def test_identity_layers_have_a_rank_instead_of_classes() -> None:
    parameters = random_stack((3, 6, 4, 2))
    parameters.W[0][1] = np.outer(np.arange(6), [1, 2, 3])
    parameters.flat[2] = 0.0
    measured = values(snapshot(parameters, "identity", "multiclass"))
    assert measured["symmetry/rank", 1].tolist() == [3, 1, 0]
    assert ("symmetry/near_units", 1) not in measured


def naive_classes(points: Array) -> list[int]:
    limit = NEAR * np.abs(points).max()
    labels = list(range(len(points)))
    for _ in points:
        for i, a in enumerate(points):
            for j, b in enumerate(points):
                if np.abs(a - b).max() <= limit:
                    labels[i] = min(labels[i], labels[j])
    return labels


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4), st.sampled_from([3e-8, 3e-7, 8e-7, 2e-6]))
def test_classes_match_a_plain_loop(seed: int, n: int, k: int, noise: float) -> None:
    """The clusters are about as wide as the limit, so that they form chains and splits."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-1, 1, (3, 3, k))
    points = centres[np.arange(3)[:, None], rng.integers(0, 3, (3, n))] + noise * rng.uniform(-1, 1, (3, n, k))
    labels = classes(points, np.ones(3, dtype=bool))
    assert [row.tolist() for row in labels] == [naive_classes(row) for row in points]


@pytest.mark.parametrize("n", [3, 60])
def test_ranks_and_cosine_match_the_singular_values(n: int) -> None:
    state = snapshot(random_stack((2, n, 1)))
    measured = values(state)
    for run in range(3):
        A = state.A[0][run] - state.A[0][run].mean(axis=1, keepdims=True)
        singular = np.linalg.svd(A, compute_uv=False)
        shares = singular[singular > 1e-7 * singular[0]] / singular[singular > 1e-7 * singular[0]].sum()
        expected = np.exp(-np.sum(shares * np.log(shares)))
        assert measured["symmetry/effective_rank", 1][run] == pytest.approx(expected, rel=1e-6)
        assert measured["symmetry/stable_rank", 1][run] == pytest.approx(
            np.sum(singular**2) / singular[0] ** 2, rel=1e-9
        )
        pairs = np.abs(np.corrcoef(A)[np.triu_indices(n, 1)])
        assert measured["symmetry/cosine", 1][run] == pytest.approx(pairs.mean(), rel=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equal_units_have_rank_one_and_constant_ones_rank_zero(activation: str) -> None:
    parameters = Parameters.zeros((2, 7, 1), 2)
    parameters.flat[0] = 0.3
    measured = values(snapshot(parameters, activation))
    for name, expected in (("effective_rank", [1, 0]), ("stable_rank", [1, 0]), ("cosine", [1, np.nan])):
        np.testing.assert_allclose(measured[f"symmetry/{name}", 1], expected, rtol=1e-7)


@pytest.mark.parametrize("h", [5, 8, 17])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_transverse_curvature_predicts_how_fast_units_separate(activation: str, h: int) -> None:
    """Two equal units are moved apart by 1e-9; each iteration multiplies the difference by `curvature/growth`.

    The first iterations are ignored, while the difference still turns into the fastest growing direction.
    """
    X, Y = flower()
    start = initialize((2, h, 1), "constant", 0.5, np.random.default_rng(0))
    push = 1e-9 * np.random.default_rng(1).standard_normal(3)
    start.theta[0][0, 0] += push
    start.theta[0][0, 1] -= push
    distance, growth = [], []
    for state in train(
        start,
        X,
        Y,
        activation=ACTIVATIONS[activation],
        cost=COSTS["binary"],
        learning_rate=0.5,
        schedule=range(801),
        product=product_in_order,
    ):
        _, (_, _, factor) = transverse(state)
        growth.append(factor[0])
        F = np.concatenate([state.parameters.theta[0][0], state.parameters.W[1][0].T], axis=1)
        distance.append(np.linalg.norm(F[0] - F[1]))
    measured = np.log(distance[800] / distance[400]) / 400
    predicted = np.mean(np.log(growth[400:800]))
    assert predicted > 1e-3, "the symmetric state must be unstable for the test to say anything"
    assert measured == pytest.approx(predicted, rel=0.01)


def test_variation_by_rounding_is_ignored_but_small_variation_counts() -> None:
    """Beside a unit of size 1, another varies by 2 and by 100 times the spacing of float64."""
    parameters = Parameters.zeros((1, 2, 1), 2)
    parameters.W[0][:, 0] = 1.0
    parameters.W[0][0, 1], parameters.W[0][1, 1] = 2 * np.finfo(float).eps, 100 * np.finfo(float).eps
    measured = values(snapshot(parameters, "identity"))["symmetry/cosine", 1]
    assert np.isnan(measured[0])
    assert measured[1] == pytest.approx(1.0)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_units_that_differ_by_rounding_around_a_weight_of_0_are_equal(activation: str) -> None:
    parameters = random_stack((2, 4, 1))
    parameters.theta[0][:, 1], parameters.W[1][:, :, 1] = parameters.theta[0][:, 0], parameters.W[1][:, :, 0]
    parameters.theta[0][:, 0, 0], parameters.theta[0][:, 1, 0] = 1e-17, -1e-17
    assert values(snapshot(parameters, activation))["symmetry/near_units", 1].tolist() == [3, 3, 3]
