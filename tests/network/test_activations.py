"""Each activation against its closed form, its derivative and its in-place form."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from nnlab import config
from nnlab.network.activations import ACTIVATIONS, LEAK, Activation

Z = np.concatenate([np.linspace(-30, 30, 241), [-1e-9, 1e-9, 0.0, -37.5, 37.5]])
SMOOTH_POINTS = np.array([-6.1, -2.3, -0.7, -0.01, 0.02, 0.4, 1.9, 5.3])  # far from the kink, compared with a step
BY_HAND = {
    "tanh": lambda z: math.tanh(z),
    "sigmoid": lambda z: 1 / (1 + math.exp(-z)),
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "gelu": lambda z: 0.5 * z * math.erfc(-z / math.sqrt(2)),
    "identity": lambda z: z,
}
SLOPE_BY_HAND = {
    "tanh": lambda z: 1 / math.cosh(z) ** 2,
    "sigmoid": lambda z: 1 / (4 * math.cosh(z / 2) ** 2),
    "relu": lambda z: float(z > 0),
    "leaky_relu": lambda z: 1.0 if z > 0 else 0.01,
    "gelu": lambda z: 0.5 * math.erfc(-z / math.sqrt(2)) + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    "identity": lambda z: 1.0,
}

each = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=list(ACTIVATIONS))
each_dtype = pytest.mark.parametrize("dtype", ["float64", "float32"])


def test_the_config_lists_every_activation() -> None:
    assert set(config.ACTIVATIONS) == set(ACTIVATIONS)
    assert all(name == activation.name for name, activation in ACTIVATIONS.items())


@each
def test_value_is_the_closed_form(activation: Activation) -> None:
    by_hand = [BY_HAND[activation.name](z) for z in Z]
    np.testing.assert_allclose(activation.value(Z), by_hand, rtol=2e-13, atol=0)


@each
def test_derivative_is_the_closed_form(activation: Activation) -> None:
    by_hand = [SLOPE_BY_HAND[activation.name](z) for z in Z]
    np.testing.assert_allclose(activation.derivative(Z), by_hand, rtol=1e-12, atol=0)


@each
def test_derivative_is_the_central_difference(activation: Activation) -> None:
    step = 1e-6
    difference = (activation.value(SMOOTH_POINTS + step) - activation.value(SMOOTH_POINTS - step)) / (2 * step)
    np.testing.assert_allclose(activation.derivative(SMOOTH_POINTS), difference, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("z", [25.0, 40.0, 300.0, -25.0, -40.0, -300.0])
@pytest.mark.parametrize(("name", "factor"), [("sigmoid", 1), ("tanh", 2)])
def test_derivative_of_a_saturated_unit_is_small_but_accurate(name: str, factor: int, z: float) -> None:
    """Both derivatives are factor^2 e / (1 + e)^2 with e = exp(-factor |z|), computed here to 50 digits."""
    with localcontext() as context:
        context.prec = 50
        e = (-factor * abs(Decimal(z))).exp()
        exact = float(factor**2 * e / (1 + e) ** 2)
    slope = ACTIVATIONS[name].derivative(np.array([z]))[0]
    assert slope > 0
    assert slope == pytest.approx(exact, rel=1e-12, abs=0)


@each_dtype
@each
def test_in_place_equals_value_and_derivative_to_rounding(activation: Activation, dtype: str) -> None:
    logits = Z.astype(dtype)
    A, D = logits.copy(), np.full_like(logits, np.nan)
    activation.activate(A, D)
    np.testing.assert_allclose(A, activation.value(logits), rtol=4 * np.finfo(dtype).eps, atol=0)
    activation.slope(A, D)
    np.testing.assert_allclose(D, activation.derivative(logits), rtol=0, atol=4 * np.finfo(dtype).eps)


def exact_gelu_slope(z: float) -> Decimal:
    """Return gelu'(z) to about 40 digits, with the distribution function as 1/2 + density * sum z^(2k+1) / (2k+1)!!."""
    with localcontext() as context:
        context.prec = 60
        x, pi = Decimal(z), Decimal("3.14159265358979323846264338327950288419716939937510582097494")
        density, term, series, k = (-x * x / 2).exp() / (2 * pi).sqrt(), x, x, 1
        while abs(term) > Decimal("1e-50"):
            term *= x * x / (2 * k + 1)
            series += term
            k += 1
        return Decimal("0.5") + density * series + x * density


def test_the_slope_of_gelu_is_accurate_but_beside_its_zero() -> None:
    """At the float nearest to the zero, rounding errors of 1e-17 are 8e-6 of the slope."""
    zero, eps = -0.7517915246935645, np.finfo(float).eps
    assert exact_gelu_slope(zero - 1e-15) < 0 < exact_gelu_slope(zero + 1e-15)
    beside = zero + np.concatenate([np.linspace(-0.01, 0.01, 41), np.linspace(-1e-9, 1e-9, 41)])
    elsewhere = np.array([z for z in np.linspace(-6, 6, 241) if abs(z - zero) > 0.01])
    for logits, tolerance in ((beside, {"rtol": 0, "atol": eps}), (elsewhere, {"rtol": 1e-13, "atol": 0})):
        exact = [float(exact_gelu_slope(float(z))) for z in logits]
        np.testing.assert_allclose(ACTIVATIONS["gelu"].derivative(logits), exact, **tolerance)


@pytest.mark.parametrize(
    ("name", "z", "slope"),
    [
        ("sigmoid", 0.0, 0.25),
        ("tanh", 0.0, 1.0),
        ("relu", 0.0, 0.0),
        ("relu", -3.0, 0.0),
        ("relu", 3.0, 1.0),
        ("leaky_relu", 0.0, 0.01),
        ("leaky_relu", -3.0, 0.01),
        ("leaky_relu", 3.0, 1.0),
        ("identity", 7.0, 1.0),
        ("gelu", 0.0, 0.5),
    ],
)
def test_derivatives_named_in_the_notes(name: str, z: float, slope: float) -> None:
    assert ACTIVATIONS[name].derivative(np.array([z]))[0] == pytest.approx(slope, abs=1e-16)
    assert LEAK == 0.01


@pytest.mark.parametrize("z", [-10.0, 10.0])
@pytest.mark.parametrize(("name", "bound"), [("sigmoid", 1e-4), ("tanh", 1e-8)])
def test_derivatives_are_about_zero_at_ten(name: str, bound: float, z: float) -> None:
    assert 0 < ACTIVATIONS[name].derivative(np.array([z]))[0] < bound


@each_dtype
@each
def test_dtype_and_shape_are_preserved(activation: Activation, dtype: str) -> None:
    logits = np.linspace(-3, 3, 24, dtype=dtype).reshape(2, 3, 4)
    for result in (activation.value(logits), activation.derivative(logits)):
        assert result.dtype == dtype
        assert result.shape == logits.shape


@each
def test_value_and_derivative_are_new_arrays(activation: Activation) -> None:
    logits = Z.copy()
    assert not np.shares_memory(activation.value(logits), logits)
    assert not np.shares_memory(activation.derivative(logits), logits)
    np.testing.assert_array_equal(logits, Z)


@each_dtype
@each
def test_nan_logits_give_nan(activation: Activation, dtype: str) -> None:
    logits = np.array([np.nan, 1.0], dtype)
    A, D = logits.copy(), np.empty_like(logits)
    activation.activate(A, D)
    np.testing.assert_array_equal(np.isnan(A), [True, False])
    np.testing.assert_array_equal(np.isnan(activation.value(logits)), [True, False])
    if activation.name != "identity":  # its slope is 1 for every logit
        np.testing.assert_array_equal(np.isnan(activation.derivative(logits)), [True, False])


@each_dtype
@each
def test_huge_logits_give_finite_numbers_and_no_warning(activation: Activation, dtype: str) -> None:
    logits = np.array([-1000.0, 1000.0], dtype)
    limits = {"tanh": [-1, 1], "sigmoid": [0, 1], "relu": [0, 1000], "gelu": [0, 1000], "identity": [-1000, 1000]}
    expected = np.array(limits.get(activation.name, [-10, 1000]), dtype)
    np.testing.assert_allclose(activation.value(logits), expected, rtol=1e-6, atol=0)
    assert np.isfinite(activation.derivative(logits)).all()


LIMITS = {  # of g and g' at -inf and inf
    "tanh": ([-1, 1], [0, 0]),
    "sigmoid": ([0, 1], [0, 0]),
    "relu": ([0, np.inf], [0, 1]),
    "leaky_relu": ([-np.inf, np.inf], [0.01, 1]),
    "gelu": ([0, np.inf], [0, 1]),
    "identity": ([-np.inf, np.inf], [1, 1]),
}


@each_dtype
@each
def test_infinite_logits_give_the_limits_in_either_form(activation: Activation, dtype: str) -> None:
    logits = np.array([-np.inf, np.inf], dtype)
    value, slope = LIMITS[activation.name]
    np.testing.assert_allclose(activation.value(logits), value, rtol=1e-7)
    np.testing.assert_allclose(activation.derivative(logits), slope, rtol=1e-7)
    A, D = logits.copy(), np.empty_like(logits)
    with np.errstate(over="ignore"):  # as in training
        activation.activate(A, D)
        activation.slope(A, D)
    np.testing.assert_allclose(A, value, rtol=1e-7)
    np.testing.assert_allclose(D, slope, rtol=1e-7)


@each_dtype
def test_relu_in_place_is_a_product_with_0_or_1_to_the_last_bit(dtype: str) -> None:
    """Also for both zeros: the sign of a zero must not depend on the form."""
    tiny = np.finfo(dtype).smallest_subnormal
    logits = np.tile(np.array([0.0, -0.0, tiny, -tiny, 3.5, -3.5, 1e30, -1e30], dtype), 9)[:67]
    A, D = logits.copy(), np.empty_like(logits)
    ACTIVATIONS["relu"].activate(A, D)
    assert A.tobytes() == (logits * (logits > 0)).astype(dtype).tobytes()
    assert D.tobytes() == (logits > 0).astype(dtype).tobytes()
