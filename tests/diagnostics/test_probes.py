"""The disease is planted, the probe has to find it; a healthy network has to be left alone."""

from dataclasses import replace

import numpy as np
import pytest
from snapshots import random_stack, snapshot, values

from nnlab.diagnostics import PRESETS, Measurement, function
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.parameters import Parameters
from nnlab.network.training import Snapshot


def test_distinct_units_counts_classes_of_equal_units() -> None:
    parameters = random_stack()
    parameters.theta[0][1, 3] = parameters.theta[0][1, 2]  # run 1: units 2 and 3 of layer 1 are copies
    parameters.W[1][1, :, 3] = parameters.W[1][1, :, 2]
    parameters.flat[2] = 0.5  # run 2: all units alike
    found = values(snapshot(parameters))
    assert found["symmetry/distinct_units", 1].tolist() == [6, 5, 1]
    assert found["symmetry/distinct_units", 2].tolist() == [5, 5, 1]


def test_units_that_only_look_alike_from_below_are_distinct() -> None:
    parameters = random_stack()
    parameters.theta[0][:, 3] = parameters.theta[0][:, 2]  # same input side, other outgoing weights
    assert values(snapshot(parameters))["symmetry/distinct_units", 1].tolist() == [6, 6, 6]


def test_one_bit_makes_a_unit_distinct() -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.flat[...] = 0.5
    parameters.W[0][0, 1, 0] = np.nextafter(0.5, 1)
    assert values(snapshot(parameters))["symmetry/distinct_units", 1].tolist() == [2]


def test_minus_zero_is_zero() -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.W[0][0, 1, 0] = -0.0
    assert values(snapshot(parameters))["symmetry/distinct_units", 1].tolist() == [1]


def test_signal_equals_a_plain_loop() -> None:
    parameters = random_stack()
    seen = snapshot(parameters)
    found = values(seen)
    for run in range(3):
        dZ3 = 1 / (1 + np.exp(-seen.Z[2][run])) - seen.Y
        dZ2 = parameters.W[2][run].T @ dZ3 * (1 - np.tanh(seen.Z[1][run]) ** 2)
        dZ1 = parameters.W[1][run].T @ dZ2 * (1 - np.tanh(seen.Z[0][run]) ** 2)
        rms = [float(np.sqrt(np.mean(dZ**2))) for dZ in (dZ1, dZ2, dZ3)]
        for layer in (1, 2, 3):
            np.testing.assert_allclose(found["signal/rms_dZ", layer][run], rms[layer - 1], rtol=1e-12)
        np.testing.assert_allclose(found["signal/ratio", 0][run], rms[0] / rms[2], rtol=1e-12)
        dW1 = dZ1 @ seen.X.T / seen.X.shape[1]
        np.testing.assert_allclose(found["signal/norm_dW", 1][run], np.linalg.norm(dW1), rtol=1e-12)


def test_small_weights_vanish_in_dZ_but_not_in_dW() -> None:
    sizes = (2, *[16] * 9, 1)
    parameters = Parameters.zeros(sizes, 1)
    parameters.flat[...] = 0.01 * np.random.default_rng(2).standard_normal(parameters.flat.shape)
    for b in parameters.b:
        b[...] = 0
    found = values(snapshot(parameters))
    assert found["signal/ratio", 0][0] < 1e-9
    hidden = [found["signal/norm_dW", layer][0] for layer in range(1, 10)]
    assert max(hidden) / min(hidden) < 100


def test_a_zero_network_has_no_signal() -> None:
    found = values(snapshot(Parameters.zeros((2, 4, 1), 2)))
    assert found["signal/rms_dZ", 1].tolist() == [0, 0]
    assert found["signal/ratio", 0].tolist() == [0, 0]
    assert found["signal/norm_dW", 1].tolist() == [0, 0]


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("sizes", [(2, 1), (2, 1, 1), (2, 4, 1), (2, 3, 2, 1), (3, 4, 3)], ids=str)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_probes_survive_what_they_may_meet(bad: float, sizes: tuple[int, ...], activation: str) -> None:
    parameters = random_stack(sizes)
    parameters.flat[1] = bad  # one sick run among healthy ones
    seen = snapshot(parameters, activation, "multiclass" if sizes[-1] > 1 else "binary")
    alone = snapshot(
        Parameters(sizes, parameters.flat[:1].copy()), activation, "multiclass" if sizes[-1] > 1 else "binary"
    )
    together, expected = values(seen, "full"), values(alone, "full")
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
def test_probes_survive_a_single_example(activation: str, dtype: str) -> None:
    parameters = random_stack((2, 3, 2, 1))
    seen = snapshot(Parameters(parameters.sizes, parameters.flat.astype(dtype)), activation, m=1)
    assert all(len(value) == 3 for value in values(seen, "full").values())


def performance(seen: Snapshot) -> dict[str, np.ndarray]:
    def named(measurements: list[Measurement]) -> dict[str, np.ndarray]:
        return {quantity: value for quantity, _, value in measurements}

    test = function.on_test_data(seen.parameters, seen.X, seen.Y, seen.activation, seen.cost_function)
    return named([*function.on_training_data(seen), *test])


def test_performance_on_the_same_examples_is_the_same() -> None:
    found = performance(snapshot(random_stack()))
    assert np.array_equal(found["cost/train"], found["cost/test"])
    assert np.array_equal(found["accuracy/train"], found["accuracy/test"])


def test_a_network_of_nan_is_right_about_nothing() -> None:
    parameters = random_stack()
    parameters.flat[0] = np.nan
    assert performance(snapshot(parameters))["accuracy/train"][0] == 0


def test_r2_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import r2_score

    seen = snapshot(random_stack((2, 4, 1)), task="regression")
    expected = [r2_score(seen.Y[0], seen.Z[-1][run, 0]) for run in range(3)]
    np.testing.assert_allclose(performance(seen)["r2/train"], expected, rtol=1e-12)


def test_deviation_is_the_largest_difference_between_two_units() -> None:
    parameters = random_stack()
    F = np.concatenate([parameters.theta[0][1], parameters.W[1][1].T], axis=1)
    largest = max(np.abs(F[i] - F[j]).max() for i in range(6) for j in range(6)) / np.abs(F).max()
    np.testing.assert_allclose(values(snapshot(parameters))["symmetry/deviation", 1][1], largest, rtol=1e-12)


def test_deviation_of_equal_units_is_zero_and_of_rounding_tiny() -> None:
    parameters = Parameters.zeros((2, 4, 1), 3)
    parameters.flat[1:] = 0.5
    parameters.W[0][2, 1, 0] = np.nextafter(0.5, 1)
    found = values(snapshot(parameters))["symmetry/deviation", 1]
    assert found[:2].tolist() == [0, 0]
    assert 0 < found[2] < 1e-15


@pytest.mark.parametrize(("activation", "edge"), [("tanh", 2.18), ("sigmoid", 4.36)])
def test_units_beyond_the_edge_are_saturated(activation: str, edge: float) -> None:
    parameters = Parameters.zeros((2, 4, 1), 1)
    parameters.b[0][0, :, 0] = [edge - 0.01, -edge + 0.01, edge + 0.01, -edge - 0.01]
    assert values(snapshot(parameters, activation))["activity/saturated", 1].tolist() == [0.5]


def test_a_unit_saturated_on_half_of_the_examples_is_not() -> None:
    parameters = Parameters.zeros((2, 1, 1), 1)
    parameters.W[0][0, 0, 0] = 1.0
    parameters.b[0][0] = 2.18
    assert values(snapshot(parameters))["activity/saturated", 1].tolist() == [0]


def test_a_unit_below_zero_on_every_example_is_dead() -> None:
    parameters = Parameters.zeros((2, 4, 1), 2)
    parameters.W[0][...] = np.random.default_rng(3).standard_normal((2, 4, 2))
    parameters.b[0][0, :3] = -100.0
    parameters.b[0][1] = 100.0
    found = values(snapshot(parameters, "relu"))
    assert found["activity/dead", 1].tolist() == [0.75, 0]


@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "identity"])
def test_what_never_dies_or_saturates_is_not_asked(activation: str) -> None:
    found = values(snapshot(random_stack(), activation))
    assert not any(quantity in ("activity/dead", "activity/saturated") for quantity, _ in found)


def test_moments_are_those_of_the_activations() -> None:
    seen = snapshot(random_stack())
    found = values(seen)
    for layer in (1, 2):
        np.testing.assert_allclose(found["activity/mean", layer][2], seen.A[layer - 1][2].mean(), rtol=1e-12)
        np.testing.assert_allclose(found["activity/std", layer][2], seen.A[layer - 1][2].std(), rtol=1e-12)


def test_updates_are_learning_rate_times_gradient_over_weights() -> None:
    seen = snapshot(random_stack())
    expected = 1.2 * np.linalg.norm(seen.gradient.W[1][2]) / np.linalg.norm(seen.parameters.W[1][2])
    np.testing.assert_allclose(values(seen)["update", 2][2], expected, rtol=1e-12)
    assert np.isnan(values(snapshot(Parameters.zeros((2, 4, 1), 1)))["update", 1][0])


def test_affine_residual_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LinearRegression

    seen = snapshot(random_stack())
    inputs, logits = seen.X.T, seen.Z[-1][1, 0]
    expected = 1 - LinearRegression().fit(inputs, logits).score(inputs, logits)
    np.testing.assert_allclose(values(seen)["function/affine_residual", 0][1], expected, rtol=1e-9)


def test_identity_networks_are_affine_and_a_constant_is_too() -> None:
    assert values(snapshot(random_stack(), "identity"))["function/affine_residual", 0].max() < 1e-25
    assert values(snapshot(Parameters.zeros((2, 4, 1), 1)))["function/affine_residual", 0].tolist() == [0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_only_rounding_is_not_called_curved(dtype: type) -> None:
    """A bias beside answers that vary by a few roundings of it."""
    stack = random_stack((2, 1))
    stack.W[0][...] *= 4 * np.finfo(dtype).eps
    stack.b[0][...] = 1.0
    seen = snapshot(Parameters(stack.sizes, stack.flat.astype(dtype)))
    seen = replace(seen, X=seen.X.astype(dtype), Y=seen.Y.astype(dtype))
    assert np.ptp(seen.Z[-1]) > 0
    assert values(seen)["function/affine_residual", 0].max() < 1e-12


def test_constant_features_span_nothing() -> None:
    seen = snapshot(random_stack((4, 5, 1)))
    X = seen.X.copy()
    X[2:] = 0.0
    dull, bare = replace(seen, X=X), replace(seen, X=X[:2], parameters=without_inputs(seen.parameters, 2))
    np.testing.assert_allclose(
        values(dull)["function/affine_residual", 0], values(bare)["function/affine_residual", 0], rtol=1e-9
    )


def without_inputs(parameters: Parameters, kept: int) -> Parameters:
    fewer = Parameters.zeros((kept, *parameters.sizes[1:]), len(parameters.flat))
    for W, b, old_W, old_b in zip(fewer.W, fewer.b, parameters.W, parameters.b, strict=True):
        W[...] = old_W[:, :, : W.shape[2]]
        b[...] = old_b
    return fewer


@pytest.mark.parametrize(("flat", "saturated"), [(96, 1.0), (95, 0.0)])
def test_a_unit_is_saturated_when_flat_on_more_than_95_of_100_examples(flat: int, saturated: float) -> None:
    parameters = Parameters.zeros((1, 1, 1), 1)
    parameters.W[0][...] = 1.0
    X = np.where(np.arange(100) < flat, 10.0, 0.0)[None]
    seen = replace(snapshot(parameters, m=100), X=X)
    assert values(seen)["activity/saturated", 1].tolist() == [saturated]


def test_a_feature_that_is_the_sum_of_others_spans_nothing() -> None:
    """Its direction in the data is rounding, along which a small share of any answer lies by chance."""
    seen = snapshot(random_stack((3, 5, 1)), m=6)
    X = seen.X.copy()
    X[2] = X[0] / 3 + X[1] / 7
    assert np.linalg.svd(X, compute_uv=False)[-1] > 0
    summed, bare = replace(seen, X=X), replace(seen, X=X[:2], parameters=without_inputs(seen.parameters, 2))
    bare.parameters.W[0][...] += seen.parameters.W[0][:, :, 2:] * np.array([1 / 3, 1 / 7])
    np.testing.assert_allclose(
        values(summed)["function/affine_residual", 0], values(bare)["function/affine_residual", 0], rtol=1e-9
    )
