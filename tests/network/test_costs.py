"""Each cost against scikit-learn and scipy, its gradient, and its values where activations saturate."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score
from strategies import TASKS, Array, generator, labelled, seeds

from nnlab.network.costs import COSTS

LOGITS = [-800.0, -40.0, 40.0, 800.0]
each_task = pytest.mark.parametrize(("task", "n_y"), TASKS)


def random_case(task: str, n_y: int, seed: int, m: int = 30, R: int = 3) -> tuple[Array, Array]:
    rng = generator(seed)
    return 3 * rng.standard_normal((R, n_y, m)), labelled(task, n_y, m, rng)


def gradient(task: str, Z: Array, Y: Array) -> Array:
    dZ = Z.copy()
    with np.errstate(all="ignore"):  # as in training
        COSTS[task].differentiate(dZ, COSTS[task].encode(Y))
    return dZ


def loss(task: str, Z: Array, Y: Array) -> Array:
    return COSTS[task].loss(Z, COSTS[task].encode(Y))


@given(seeds)
def test_binary_cost_matches_scikit_learn(seed: int) -> None:
    Z, Y = random_case("binary", 1, seed)
    for run, cost in enumerate(loss("binary", Z, Y).mean(axis=-1)):
        assert cost == pytest.approx(log_loss(Y[0], expit(Z[run, 0]), labels=[0, 1]), rel=1e-12)


@given(seeds, st.integers(2, 5))
def test_multiclass_cost_matches_scikit_learn_and_scipy(seed: int, n_y: int) -> None:
    Z, Y = random_case("multiclass", n_y, seed)
    losses = loss("multiclass", Z, Y)
    np.testing.assert_allclose(losses, -(log_softmax(Z, axis=1) * Y).sum(axis=1), rtol=1e-11, atol=1e-15)
    for run, cost in enumerate(losses.mean(axis=-1)):
        probabilities = softmax(Z[run], axis=0).T
        assert cost == pytest.approx(log_loss(Y.argmax(axis=0), probabilities, labels=range(n_y)), rel=1e-11)


@given(seeds, st.integers(1, 3))
def test_regression_cost_matches_scikit_learn(seed: int, n_y: int) -> None:
    Z, Y = random_case("regression", n_y, seed)
    for run, cost in enumerate(loss("regression", Z, Y).mean(axis=-1)):
        assert cost == pytest.approx(mean_squared_error(Y.T, Z[run].T), rel=1e-12)


@each_task
def test_output_is_a_probability_or_the_prediction(task: str, n_y: int) -> None:
    Z, _ = random_case(task, n_y, 0)
    by_hand = {"binary": 1 / (1 + np.exp(-Z)), "multiclass": np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)}
    np.testing.assert_allclose(COSTS[task].output(Z), by_hand.get(task, Z), rtol=1e-13)


@pytest.mark.parametrize("y", [0.0, 1.0])
@pytest.mark.parametrize("z", LOGITS)
def test_binary_loss_of_saturated_outputs(z: float, y: float) -> None:
    right = (z > 0) == (y == 1)
    exact = math.log1p(math.exp(-abs(z))) + (0 if right else abs(z))
    assert loss("binary", np.full((1, 1, 1), z), np.full((1, 1), y)).item() == pytest.approx(exact, rel=1e-12, abs=0)


@pytest.mark.parametrize("true", [0, 1, 2])
@pytest.mark.parametrize("top", [0, 1, 2])
@pytest.mark.parametrize("z", [40.0, 800.0])
def test_multiclass_loss_of_saturated_outputs(z: float, top: int, true: int) -> None:
    Z = z * np.eye(3)[None, :, [top]]
    exact = math.log1p(2 * math.exp(-z)) + (0 if top == true else z)
    assert loss("multiclass", Z, np.eye(3)[:, [true]]).item() == pytest.approx(exact, rel=1e-12, abs=0)


@pytest.mark.parametrize("y", [0.0, 1.0])
@pytest.mark.parametrize("z", LOGITS)
def test_binary_gradient_does_not_underflow(z: float, y: float) -> None:
    """At z = 40, y = 1 the gradient is -4.2e-18, but a - y is exactly 0."""
    right, e = (z > 0) == (y == 1), math.exp(-abs(z))
    size = (e if right else 1) / (1 + e)
    dz = gradient("binary", np.full((1, 1, 1), z), np.full((1, 1), y)).item()
    assert dz == pytest.approx(math.copysign(size, 0.5 - y), rel=1e-10, abs=0)


@pytest.mark.parametrize("true", [0, 1, 2])
@pytest.mark.parametrize("top", [0, 1, 2])
@pytest.mark.parametrize("z", [40.0, 800.0])
def test_multiclass_gradient_does_not_underflow(z: float, top: int, true: int) -> None:
    e = math.exp(-z)
    dz = np.array([1 if k == top else e for k in range(3)]) / (1 + 2 * e)
    dz[true] = -(2 * e if true == top else 1 + e) / (1 + 2 * e)
    result = gradient("multiclass", z * np.eye(3)[None, :, [top]], np.eye(3)[:, [true]])[0, :, 0]
    np.testing.assert_allclose(result, dz, rtol=1e-10, atol=0)


@each_task
@given(seed=seeds)
def test_gradient_is_the_central_difference(task: str, n_y: int, seed: int) -> None:
    Z, Y = random_case(task, n_y, seed)
    step = 1e-5
    for k in range(n_y):
        e = step * np.eye(n_y)[:, [k]]
        difference = (loss(task, Z + e, Y) - loss(task, Z - e, Y)) / (2 * step)
        np.testing.assert_allclose(gradient(task, Z, Y)[:, k], difference, rtol=1e-6, atol=1e-8)


@each_task
@given(seed=seeds)
def test_gradient_is_output_minus_label(task: str, n_y: int, seed: int) -> None:
    Z, Y = random_case(task, n_y, seed)
    factor = 2 / n_y if task == "regression" else 1
    np.testing.assert_allclose(gradient(task, Z, Y), factor * (COSTS[task].output(Z) - Y), rtol=0, atol=1e-14)


@given(seeds)
def test_softmax_of_two_classes_is_the_sigmoid(seed: int) -> None:
    Z, Y = random_case("binary", 1, seed)
    pair, one_hot = np.concatenate([np.zeros_like(Z), Z], axis=1), np.concatenate([1 - Y, Y])
    np.testing.assert_allclose(loss("multiclass", pair, one_hot), loss("binary", Z, Y), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(gradient("multiclass", pair, one_hot)[:, 1:], gradient("binary", Z, Y), rtol=1e-12)
    np.testing.assert_allclose(COSTS["multiclass"].output(pair)[:, 1:], expit(Z), rtol=1e-13)


@given(seeds, st.floats(-500, 500))
def test_softmax_ignores_a_common_shift(seed: int, shift: float) -> None:
    Z, Y = random_case("multiclass", 3, seed)
    np.testing.assert_allclose(loss("multiclass", Z + shift, Y), loss("multiclass", Z, Y), rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(gradient("multiclass", Z + shift, Y), gradient("multiclass", Z, Y), atol=1e-11)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@each_task
def test_dtype_and_shapes_are_preserved_and_labels_are_not_modified(task: str, n_y: int, dtype: str) -> None:
    cost = COSTS[task]
    Z, Y = (array.astype(dtype) for array in random_case(task, n_y, 1))
    T = cost.encode(Y)
    before = T.copy()
    dZ = Z.copy()
    cost.differentiate(dZ, T)
    losses = cost.loss(Z, T)
    assert losses.shape == (3, 30)
    assert cost.output(Z).shape == Z.shape
    assert {array.dtype for array in (T, dZ, losses, cost.output(Z))} == {np.dtype(dtype)}
    np.testing.assert_array_equal(T, before)
    assert not np.shares_memory(T, Y)


@each_task
def test_a_nan_logit_has_a_nan_loss(task: str, n_y: int) -> None:
    Z, Y = random_case(task, n_y, 2)
    Z[0, 0, 0] = np.nan
    with np.errstate(all="ignore"):  # as in a snapshot
        losses = loss(task, Z, Y)
    np.testing.assert_array_equal(np.argwhere(np.isnan(losses)), [[0, 0]])


@given(seeds)
def test_accuracy_matches_scikit_learn(seed: int) -> None:
    for task, n_y in (("binary", 1), ("multiclass", 3)):
        Z, Y = random_case(task, n_y, seed, m=300)
        classes = Y[0] if n_y == 1 else Y.argmax(axis=0)
        predictions = COSTS[task].decide(Z)
        assert predictions.shape == (3, 1, 300)
        # In the course's formula uint8 labels wrap at 256 correct predictions.
        for labels in (Y, Y.astype(np.uint8)):
            expected = [accuracy_score(classes, prediction[0]) for prediction in predictions]
            np.testing.assert_allclose(COSTS[task].score(Z, labels), expected, rtol=1e-14)


@given(seeds, st.integers(1, 3))
def test_r2_matches_scikit_learn(seed: int, n_y: int) -> None:
    Z, Y = random_case("regression", n_y, seed)
    expected = [r2_score(Y.T, z.T, multioutput="variance_weighted") for z in Z]
    np.testing.assert_allclose(COSTS["regression"].score(Z, Y), expected, rtol=1e-12)
    np.testing.assert_array_equal(COSTS["regression"].decide(Z), Z)


@pytest.mark.parametrize("first", [200.0, np.inf])
def test_small_losses_are_not_lost_beside_a_large_first_one(first: float) -> None:
    Z = np.full((1, 1, 100_000), -8.0, np.float32)
    Z[0, 0, 0] = first
    cost = COSTS["binary"].mean(Z, COSTS["binary"].encode(np.zeros((1, 100_000), np.float32)))
    assert cost.dtype == np.float32
    np.testing.assert_allclose(cost[0], np.logaddexp(0.0, Z[0, 0].astype(float)).mean(), rtol=1e-6)


def test_scores_of_edge_cases() -> None:
    """A logit of exactly 0 is class 0, as in the notes (a > 0.5). NaN is never correct. Constant labels have no r2."""
    Z = np.array([[[0.0, np.nan, np.nan, 2.0]]])
    Y = np.array([[0.0, 0.0, 1.0, 1.0]])
    assert COSTS["binary"].score(Z, Y).item() == 0.5
    assert COSTS["multiclass"].score(np.full((1, 3, 4), np.nan), np.eye(3)[:, [0, 0, 1, 2]]).item() == 0.0
    assert np.isnan(COSTS["regression"].score(np.ones((1, 1, 4)), np.ones((1, 4)))).all()


def test_a_class_with_logit_minus_inf_has_probability_0() -> None:
    from scipy.special import log_softmax

    Z = np.array([[[0.5, -np.inf, 1.0], [2.0, 1.0, -np.inf], [-np.inf, 0.0, -3.0]]])
    T = np.eye(3)[:, [0, 1, 2]]
    cost = COSTS["multiclass"]
    expected = [-log_softmax(Z[0], axis=0)[example, example] for example in range(3)]
    np.testing.assert_allclose(cost.loss(Z, T)[0], expected, rtol=1e-14)
    assert np.isfinite(cost.mean(Z, T)).all()
