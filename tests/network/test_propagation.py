"""Parameters as views of one row, forward propagation and predictions, on small shapes."""

import numpy as np
import pytest
from strategies import generator, random_networks

from nnlab import config
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.inplace import working_set
from nnlab.network.parameters import Parameters, parameter_count
from nnlab.network.propagation import ARITHMETICS, forward, predict, with_ones

SIZES = (3, 5, 2)


def test_the_config_lists_every_arithmetic() -> None:
    assert set(config.ARITHMETICS) == set(ARITHMETICS)


def test_views_share_the_flat_row() -> None:
    parameters = Parameters.zeros(SIZES, 4)
    assert parameter_count(SIZES) == 5 * 4 + 2 * 6 == parameters.flat.shape[1]
    for number, view in enumerate([*parameters.W, *parameters.b], start=1):
        assert np.shares_memory(view, parameters.flat)
        view[...] = number
    assert [W.shape for W in parameters.W] == [(4, 5, 3), (4, 2, 5)]
    assert [b.shape for b in parameters.b] == [(4, 5, 1), (4, 2, 1)]
    assert sorted(np.unique(parameters.flat)) == [1, 2, 3, 4]
    np.testing.assert_array_equal(parameters.theta[0][0, 0], [1, 1, 1, 3])


def test_as_dict_and_from_dict_are_inverse_and_return_copies() -> None:
    parameters = random_networks(SIZES, 3, generator(0))
    for run in range(3):
        named = parameters.as_dict(run)
        assert list(named) == ["W1", "b1", "W2", "b2"]
        np.testing.assert_array_equal(Parameters.from_dict(named).flat, parameters.flat[[run]])
        assert not any(np.shares_memory(array, parameters.flat) for array in named.values())
    copy = parameters.copy()
    assert copy.sizes == parameters.sizes
    assert not np.shares_memory(copy.flat, parameters.flat)


def test_from_dict_keeps_float32() -> None:
    named = random_networks(SIZES, 1, generator(0), "float32").as_dict()
    assert Parameters.from_dict(named).flat.dtype == np.float32


@pytest.mark.parametrize("shape", [(32,), (2, 31), (1, 2, 32)])
def test_a_flat_array_of_another_shape_is_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"flat must have shape \(R, 32\) for layer sizes \(3, 5, 2\), got"):
        Parameters(SIZES, np.zeros(shape))


@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
def test_forward_matches_the_textbook(arithmetic: str) -> None:
    networks, X = random_networks((3, 5, 4, 2), 2, generator(1)), generator(2).standard_normal((3, 7))
    Z, A = forward(networks, X, ACTIVATIONS["tanh"], ARITHMETICS[arithmetic])
    for run in range(2):
        A_in = X
        for layer, (W, b) in enumerate(zip(networks.W, networks.b, strict=True)):
            np.testing.assert_allclose(Z[layer][run], W[run] @ A_in + b[run], rtol=0, atol=1e-14)
            A_in = np.tanh(Z[layer][run])
            if layer < 2:
                np.testing.assert_array_equal(A[layer][run], A_in)
    assert len(A) == 2


def test_inputs_may_differ_within_the_stack() -> None:
    networks, X = random_networks(SIZES, 2, generator(1)), generator(2).standard_normal((2, 3, 7))
    Z, _ = forward(networks, X, ACTIVATIONS["relu"])
    for run in range(2):
        alone, _ = forward(networks, X[run], ACTIVATIONS["relu"])
        np.testing.assert_array_equal(Z[-1][run], alone[-1][run])


def test_with_ones_adds_a_row_of_the_same_dtype() -> None:
    X1 = with_ones(np.zeros((2, 3, 4), np.float32))
    assert X1.shape == (2, 4, 4)
    assert X1.dtype == np.float32
    np.testing.assert_array_equal(X1[:, -1], 1)


@pytest.mark.parametrize(("task", "n_y"), [("binary", 1), ("multiclass", 3), ("regression", 2)])
def test_predictions_follow_from_the_outputs(task: str, n_y: int) -> None:
    networks, X = random_networks((3, 5, n_y), 4, generator(1)), generator(2).standard_normal((3, 50))
    Z, _ = forward(networks, X, ACTIVATIONS["gelu"])
    output = COSTS[task].output(Z[-1])
    expected = {"binary": output > 0.5, "multiclass": output.argmax(axis=1)[:, None]}.get(task, output)
    predictions = predict(networks, X, ACTIVATIONS["gelu"], COSTS[task])
    np.testing.assert_array_equal(predictions, expected)
    assert predictions.shape == (4, 2 if task == "regression" else 1, 50)


def test_the_working_set_is_that_of_the_widest_layer() -> None:
    assert working_set((2, 4, 50, 1), 400, 8) == 151 * 400 * 8
    assert working_set((2, 1), 400, 4) == 4 * 400 * 4
