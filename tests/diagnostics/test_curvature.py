"""Curvature against closed forms and against scipy's differences; histograms and rasters."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from snapshots import random_stack, snapshot, values

from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward
from nnlab.network.training import Snapshot


def curvatures(state: Snapshot) -> dict[tuple[str, int], Array]:
    return {key: value for key, value in values(state, "full").items() if key[0].startswith("curvature/")}


def full_hessian(state: Snapshot, run: int, step: float = 1e-7) -> Array:
    """Return the Hessian of one network by scipy's forward differences of the gradient."""

    def gradient(flat: Array) -> Array:
        network = Parameters(state.parameters.sizes, flat[None])
        Z, A = forward(network, state.X, state.activation)
        return backward(network, state.X, state.T, Z, A, state.activation, state.cost_function)[1].flat[0]

    H = approx_fprime(state.parameters.flat[run], gradient, step)
    return (H + H.T) / 2


def test_hessian_of_linear_regression_matches_least_squares() -> None:
    state = snapshot(random_stack((3, 1)), task="regression")
    design = np.vstack([state.X, np.ones(state.X.shape[1])])
    expected = np.linalg.eigvalsh(2 * design @ design.T / state.X.shape[1])
    measured = curvatures(state)
    np.testing.assert_allclose(measured["curvature/largest", 0], expected[-1], rtol=1e-6)
    np.testing.assert_allclose(measured["curvature/smallest", 0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(measured["curvature/sharpness", 0], 1.2 * expected[-1] / 2, rtol=1e-6)


def test_hessian_of_logistic_regression_is_the_weighted_gram_matrix() -> None:
    state = snapshot(random_stack((3, 1)))
    design = np.vstack([state.X, np.ones(state.X.shape[1])])
    for run in range(3):
        p = 1 / (1 + np.exp(-state.Z[0][run, 0]))
        expected = np.linalg.eigvalsh((design * p * (1 - p)) @ design.T / state.X.shape[1])
        assert curvatures(state)["curvature/largest", 0][run] == pytest.approx(expected[-1], rel=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "identity"])
def test_hessian_of_deep_networks_matches_scipy(activation: str) -> None:
    state = snapshot(random_stack((2, 4, 3, 1)), activation)
    for run in range(3):
        expected = np.linalg.eigvalsh(full_hessian(state, run))
        measured = curvatures(state)
        np.testing.assert_allclose(measured["curvature/largest", 0][run], expected[-1], rtol=1e-4)
        np.testing.assert_allclose(measured["curvature/smallest", 0][run], expected[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu"])
def test_transverse_curvature_is_the_difference_of_two_blocks_of_the_hessian(activation: str) -> None:
    """Moving i by +h and j by -h changes the gradient of i by H_ii - H_ij."""
    parameters = random_stack((2, 4, 3, 1))
    parameters.theta[0][:2, 3] = parameters.theta[0][:2, 1]
    parameters.W[1][:2, :, 3] = parameters.W[1][:2, :, 1]
    state = snapshot(parameters, activation)
    measured = curvatures(state)
    positions = Parameters(parameters.sizes, np.arange(parameters.flat.shape[1], dtype=float)[None])
    owned = np.concatenate([positions.theta[0][0], positions.W[1][0].T], axis=1).astype(int)
    for run in range(2):
        H = full_hessian(state, run)
        across = H[np.ix_(owned[1], owned[1])] - H[np.ix_(owned[1], owned[3])]
        assert measured["curvature/transverse", 1][run] == pytest.approx(
            np.linalg.eigvalsh(across)[0], rel=1e-4, abs=1e-6
        )
    np.testing.assert_allclose(measured["curvature/growth", 1][:2], 1 - 1.2 * measured["curvature/transverse", 1][:2])
    assert np.isnan(measured["curvature/transverse", 1][2])  # no two units of run 2 are exchangeable
    assert np.isnan(measured["curvature/transverse", 2]).all()


def twin_units(flip: bool) -> Parameters:
    """Return networks with two equal units, or with a unit and its mirror image, which is the same for tanh."""
    parameters = random_stack((2, 4, 1))
    sign = -1.0 if flip else 1.0
    parameters.theta[0][:, 3] = sign * parameters.theta[0][:, 1]
    parameters.W[1][:, :, 3] = sign * parameters.W[1][:, :, 1]
    return parameters


def test_mirrored_tanh_units_separate_as_fast_as_equal_ones() -> None:
    equal, mirrored = (curvatures(snapshot(twin_units(flip))) for flip in (False, True))
    assert np.isfinite(equal["curvature/transverse", 1]).all()
    np.testing.assert_allclose(mirrored["curvature/transverse", 1], equal["curvature/transverse", 1], rtol=1e-6)


def test_units_with_different_gradients_have_no_growth() -> None:
    """Mirrored sigmoid units and rescaled relu units compute the same function, but receive different gradients."""
    assert np.isnan(curvatures(snapshot(twin_units(flip=True), "sigmoid"))["curvature/growth", 1]).all()
    parameters = random_stack((2, 4, 1))
    parameters.theta[0][:, 3] = 2 * parameters.theta[0][:, 1]
    parameters.W[1][:, :, 3] = parameters.W[1][:, :, 1] / 2
    measured = values(snapshot(parameters, "relu"), "full")
    assert (measured["symmetry/near_units", 1] == 3).all()
    assert np.isnan(measured["curvature/growth", 1]).all()


def test_one_huge_weight_does_not_coarsen_the_other_differences() -> None:
    """A saturated unit has a bias of 1e4; if its size set the step, the step would be 0.06 for all parameters."""
    parameters = random_stack((2, 4, 1))
    parameters.b[0][:, 0] = 1e4
    state = snapshot(parameters)
    for run in range(3):
        expected = np.linalg.eigvalsh(full_hessian(state, run))
        assert curvatures(state)["curvature/largest", 0][run] == pytest.approx(expected[-1], rel=1e-4)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "identity"])
@pytest.mark.parametrize("units", [(1e6, 1e6), (1e6, 1.0), (1e-6, 1e-3)], ids=str)
def test_curvature_follows_the_units_of_the_inputs(units: tuple[float, float], activation: str) -> None:
    """Inputs c times as large, with weights c times as small, are the same network: its Hessian is D H D."""
    parameters = random_stack((2, 4, 3, 1))
    parameters.theta[0][:, 3] = parameters.theta[0][:, 1]
    parameters.W[1][:, :, 3] = parameters.W[1][:, :, 1]
    plain = snapshot(parameters, activation)
    scaled = Parameters(parameters.sizes, parameters.flat.copy())
    scaled.W[0][...] /= units
    measured = curvatures(replace(plain, parameters=scaled, X=plain.X * np.array(units)[:, None]))
    factors = Parameters(parameters.sizes, np.ones((1, parameters.flat.shape[1])))
    factors.W[0][...] *= units
    D = factors.flat[0]
    positions = Parameters(parameters.sizes, np.arange(parameters.flat.shape[1], dtype=float)[None])
    owned = np.concatenate([positions.theta[0][0], positions.W[1][0].T], axis=1).astype(int)
    for run in range(3):
        H = full_hessian(plain, run) * np.outer(D, D)
        expected = np.linalg.eigvalsh(H)[-1]
        assert measured["curvature/largest", 0][run] == pytest.approx(expected, rel=1e-4)
        if activation != "identity":  # its units have no classes
            across = H[np.ix_(owned[1], owned[1])] - H[np.ix_(owned[1], owned[3])]
            expected = np.linalg.eigvalsh(across)
            assert measured["curvature/transverse", 1][run] == pytest.approx(
                expected[0], rel=1e-4, abs=1e-6 * np.abs(expected).max()
            )


@pytest.mark.parametrize("unit", [1e6, 1e-6])
def test_the_hessian_of_logistic_regression_is_exact_in_any_unit(unit: float) -> None:
    state = snapshot(random_stack((3, 1)))
    state.parameters.W[0][...] /= unit
    state = replace(state, X=state.X * unit)
    design = np.vstack([state.X, np.ones(state.X.shape[1])])
    for run in range(3):
        p = 1 / (1 + np.exp(-state.Z[0][run, 0]))
        expected = np.linalg.eigvalsh((design * p * (1 - p)) @ design.T / state.X.shape[1])
        assert curvatures(state)["curvature/largest", 0][run] == pytest.approx(expected[-1], rel=1e-8)


def test_large_outgoing_weights_do_not_coarsen_the_differences_of_small_inputs() -> None:
    """Inputs of 1e-6 and outgoing weights of 1e6: the step of an incoming weight must follow both."""
    parameters = random_stack((2, 4, 1))
    parameters.b[0][...] *= 1e-6
    parameters.W[1][...] *= 1e6
    state = snapshot(parameters)
    state = replace(state, X=state.X * 1e-6)
    for run in range(3):
        expected = np.linalg.eigvalsh(full_hessian(state, run, step=1e-12))
        assert curvatures(state)["curvature/largest", 0][run] == pytest.approx(expected[-1], rel=1e-3)


def test_large_networks_have_no_hessian() -> None:
    assert ("curvature/largest", 0) in curvatures(snapshot(random_stack((2, 18, 18, 1))))
    assert ("curvature/largest", 0) not in curvatures(snapshot(random_stack((2, 30, 30, 1))))


def test_float32_networks_are_differentiated_in_float64() -> None:
    double = random_stack((2, 4, 1))
    double.flat[...] = double.flat.astype(np.float32)
    single = Parameters(double.sizes, double.flat.astype(np.float32))
    one, other = curvatures(snapshot(single)), curvatures(snapshot(double))
    np.testing.assert_allclose(one["curvature/largest", 0], other["curvature/largest", 0], rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_histograms_count_every_logit_once(activation: str) -> None:
    parameters = random_stack()
    parameters.flat[2] *= 1e3
    state = snapshot(parameters, activation)
    measured = values(state, "full")
    for layer in (1, 2, 3):
        shares = measured["activity/histogram", layer]
        np.testing.assert_allclose(shares.sum(axis=1), 1.0)
        expected = np.histogram(state.Z[layer - 1][1], np.linspace(-10, 10, 41))[0] / state.Z[layer - 1][1].size
        np.testing.assert_allclose(shares[1, 1:-1], expected)


def test_rasters_have_a_value_for_every_unit() -> None:
    parameters = random_stack()
    parameters.theta[0][0, 3] = [0, 0, -1]
    state = snapshot(parameters, "relu")
    measured = values(state, "full")
    assert measured["units/silent", 1].shape == (3, 6)
    assert measured["units/silent", 1][0, 3] == 1
    np.testing.assert_array_equal(measured["units/w2", 1], parameters.theta[0][:, :, 1])
    assert measured["activity/negative", 1][1] == pytest.approx(np.mean(state.Z[0][1] <= 0))
