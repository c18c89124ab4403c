"""Exact arithmetic: units that start equal stay bitwise equal. With BLAS some of them separate."""

from functools import cache

import numpy as np
import pytest
from strategies import Array, constant_network, flower, trained

from nnlab.network.parameters import Parameters
from nnlab.network.propagation import ARITHMETICS

WIDTHS = range(2, 70)
SOME_WIDTHS = [2, 3, 5, 7, 9, 17, 33, 50, 69]
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def distinct_units(parameters: Parameters) -> list[tuple[int, int]]:
    """Return, for each hidden layer, the numbers of bitwise distinct rows [W_i, b_i] and outgoing columns V_i."""
    pairs = zip(parameters.theta[:-1], parameters.W[1:], strict=True)
    return [(len({row.tobytes() for row in t[0]}), len({column.tobytes() for column in V[0].T})) for t, V in pairs]


def three_classes(m: int) -> Array:
    return np.eye(3)[:, np.arange(m) % 3]


@cache
def after_training(h: int, dtype: str, arithmetic: str) -> tuple[int, int]:
    X, Y = flower()
    network = constant_network((2, h, 1), 0.5, dtype)
    choices = {"activation": "tanh", "cost": "binary", "learning_rate": 1.2, "product": ARITHMETICS[arithmetic]}
    last = trained(network, X, Y, 200, **choices)
    assert not np.array_equal(last.parameters.flat, network.flat)
    return distinct_units(last.parameters)[0]


@each_dtype
@pytest.mark.parametrize("h", WIDTHS)
def test_equal_units_stay_bitwise_equal(h: int, dtype: str) -> None:
    assert after_training(h, dtype, "exact") == (1, 1)


@each_dtype
def test_blas_separates_equal_units_at_some_width(dtype: str) -> None:
    """If this fails, this machine's BLAS sums all rows alike, and the tests of `exact` prove nothing here."""
    assert any(after_training(h, dtype, "blas") != (1, 1) for h in WIDTHS)


@pytest.mark.parametrize("batch_size", [None, 64])
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "leaky_relu", "gelu", "identity"])
@pytest.mark.parametrize("h", SOME_WIDTHS)
def test_equal_units_stay_equal_with_other_activations_and_mini_batches(
    h: int, activation: str, batch_size: int | None
) -> None:
    X, Y = flower()
    choices = {"activation": activation, "cost": "binary", "learning_rate": 0.1, "batch_size": batch_size}
    choices |= {"rngs": [np.random.default_rng(0)], "product": ARITHMETICS["exact"]}
    last = trained(constant_network((2, h, 1), 0.1), X, Y, 200, **choices)
    assert np.isfinite(last.parameters.flat).all()
    assert distinct_units(last.parameters) == [(1, 1)]


@each_dtype
@pytest.mark.parametrize("n_y", [1, 3])
@pytest.mark.parametrize("hidden", [(5, 5), (7, 3), (17, 9), (33, 50), (6, 6, 6), (9, 5, 7), (18, 33, 10)])
def test_equal_units_stay_equal_in_deep_and_multiclass_networks(hidden: tuple[int, ...], n_y: int, dtype: str) -> None:
    X, Y = flower()
    network = constant_network((2, *hidden, n_y), 0.1, dtype)
    network.W[-1][...] = np.linspace(0.5, -0.3, n_y)[:, None]
    task = "binary" if n_y == 1 else "multiclass"
    labels = Y if n_y == 1 else three_classes(Y.shape[1])
    choices = {"activation": "tanh", "cost": task, "learning_rate": 0.5, "product": ARITHMETICS["exact"]}
    last = trained(network, X, labels, 100, **choices)
    assert distinct_units(last.parameters) == [(1, 1)] * len(hidden)


@pytest.mark.parametrize("h", [6, 10, 34])
def test_only_the_units_that_start_equal_stay_equal(h: int) -> None:
    """Half of the units start at one point, half at another: two classes remain, not one and not h."""
    X, Y = flower()
    network = constant_network((2, h, 1), 0.5)
    network.theta[0][0, ::2, 0] = -0.2
    choices = {"activation": "tanh", "cost": "binary", "learning_rate": 1.2, "product": ARITHMETICS["exact"]}
    last = trained(network, X, Y, 200, **choices)
    assert distinct_units(last.parameters) == [(2, 2)]


def test_exact_and_blas_agree_to_rounding() -> None:
    rng = np.random.default_rng(0)
    for shape in [(1, 1, 1), (3, 4, 5), (17, 3, 9), (64, 50, 1), (1, 400, 65)]:
        a, b = rng.standard_normal((3, *shape[:2])), rng.standard_normal((3, *shape[1:]))
        out = np.empty((3, shape[0], shape[2]))
        result = ARITHMETICS["exact"](a, b, out=out)
        np.testing.assert_allclose(out, a @ b, rtol=0, atol=1e-13)
        np.testing.assert_array_equal(result, out)
        np.testing.assert_array_equal(ARITHMETICS["exact"](a, b), out)
