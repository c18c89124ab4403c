"""Closed forms against published numbers, Monte Carlo with its standard error, and networks of nnlab."""

import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import erfc
from scipy.stats import norm
from strategies import flower

from nnlab.network import theory
from nnlab.network.activations import ACTIVATIONS, LEAK, Array
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward, product_in_order
from nnlab.network.training import train


def stack(sizes: tuple[int, ...], scheme: str, scale: float, R: int, seed: int = 0) -> Parameters:
    """Return R networks drawn one after the other from one stream."""
    rng = np.random.default_rng(seed)
    return Parameters(sizes, np.concatenate([initialize(sizes, scheme, scale, rng).flat for _ in range(R)]))


def assert_within(measured: Array, expected: float, errors: float = 3.0) -> None:
    """Assert that the mean of independent draws lies within `errors` standard errors of the expected value."""
    standard_error = np.std(measured, ddof=1) / np.sqrt(len(measured))
    assert abs(np.mean(measured) - expected) <= errors * standard_error, (np.mean(measured), expected, standard_error)


@pytest.mark.parametrize("scheme", ["normal", "uniform", "xavier", "he", "orthogonal"])
@pytest.mark.parametrize(("n_in", "n_out"), [(40, 40), (20, 60)])
def test_weight_variance_matches_the_draws(scheme: str, n_in: int, n_out: int) -> None:
    W = stack((n_in, n_out), scheme, 0.7, 400).W[0]
    expected = theory.weight_variance(scheme, 0.7, n_in, n_out)
    if scheme == "orthogonal":  # Frobenius norms are exact
        np.testing.assert_allclose(n_in * np.square(W).mean(axis=(1, 2)), expected, rtol=1e-12)
    else:
        assert_within(n_in * np.square(W).mean(axis=(1, 2)), expected)


def test_standard_uniform_weights_leave_a_third_of_the_variance() -> None:
    assert theory.weight_variance("uniform", 1 / np.sqrt(250), 250, 250) == pytest.approx(1 / 3, rel=1e-12)


def test_square_layers_have_exactly_the_variance_of_their_scheme_at_every_width() -> None:
    for n in range(1, 2001):
        assert theory.weight_variance("he", 1.0, n, 3) == 2
        assert theory.weight_variance("xavier", 1.0, n, n) == theory.weight_variance("orthogonal", 1.0, n, n) == 1


def test_mean_singular_values_match_published_numbers_and_wide_layers() -> None:
    assert theory.mean_singular_value(1 / 3) == pytest.approx(0.4901, abs=5e-5)
    assert theory.mean_singular_value(1.0) == pytest.approx(0.8488, abs=5e-5)
    W = stack((300, 300), "uniform", 1 / np.sqrt(300), 5).W[0]
    measured = np.linalg.svd(W, compute_uv=False).mean(axis=1)
    np.testing.assert_allclose(measured, theory.mean_singular_value(1 / 3), rtol=0.01)  # finite width


def test_rectifiers_preserve_signals_as_in_he_et_al() -> None:
    assert theory.rectifier_gain(2.0) == 1
    assert theory.rectifier_gain(2 / (1 + LEAK**2), LEAK) == pytest.approx(1)
    for activation, slope in (("relu", 0.0), ("leaky_relu", LEAK)):
        expected = theory.rectifier_gain(1.7, slope)
        assert theory.next_variance(activation, 1.7, 0.0, 1.0) == pytest.approx(expected, rel=1e-12)
        assert theory.chi(activation, 1.7, 3.0) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("q", [1e-6, 0.3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_expectations_match_adaptive_integration(activation: str, q: float) -> None:
    chosen = ACTIVATIONS[activation]

    def integrate(function: object) -> float:
        scale = np.sqrt(q)
        breaks = [0.0, *(sign * step / scale for sign in (-1, 1) for step in (1, 5, 20) if step / scale < 12)]
        return quad(
            lambda z: float(np.square(function(np.array([scale * z]))[0]) * norm.pdf(z)),  # type: ignore[operator]
            *(-12, 12),
            points=sorted(breaks),
            limit=400,
            epsabs=0,
            epsrel=1e-10,
        )[0]

    assert theory.next_variance(activation, 1.3, 0.2, q) == pytest.approx(1.3 * integrate(chosen.value) + 0.2, rel=1e-8)
    assert theory.chi(activation, 1.3, q) == pytest.approx(1.3 * integrate(chosen.derivative), rel=1e-8)


@pytest.mark.parametrize("weights", [0.3, 1.5, 4.0, 30.0])
@pytest.mark.parametrize("biases", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "gelu", "relu", "identity"])
def test_fixed_points_are_stable(activation: str, weights: float, biases: float) -> None:
    q = theory.fixed_point(activation, weights, biases)
    if np.isfinite(q):
        assert theory.next_variance(activation, weights, biases, q) == pytest.approx(q, rel=1e-9, abs=1e-12)
        assert theory.variances(activation, weights, biases, 1.0, 400)[-1] == pytest.approx(q, rel=1e-3, abs=1e-3)
    else:
        assert theory.variances(activation, weights, biases, 1.0, 100)[-1] > 10


def test_the_edge_between_vanishing_and_exploding_matches_published_numbers() -> None:
    assert theory.fixed_point("tanh", 1.0) == 0
    assert theory.signal_gain("tanh", 1.0) == pytest.approx(1, rel=1e-12)
    assert theory.depth_scale("tanh", 1.0) == theory.depth_scale("relu", 2.0) == np.inf
    assert theory.signal_gain("relu", 2.0) == pytest.approx(1, rel=1e-12)
    assert np.isnan(theory.fixed_point("relu", 2.0))
    assert theory.fixed_point("relu", 2.5) == np.inf
    assert theory.signal_gain("tanh", 0.5) < 1 < theory.signal_gain("tanh", 1.5)
    # chi_1 = 1 at (sigma_w^2, sigma_b^2) = (1.7603, 0.05): Schoenholz et al. 2017 put their networks near it.
    assert theory.chi("tanh", 1.7603, theory.fixed_point("tanh", 1.7603, 0.05)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("activation", "weights", "expected"),
    [
        ("relu", 1.0, 0.5),
        ("relu", 2.0, 1.0),
        ("relu", 3.0, 1.5),
        ("leaky_relu", 1.0, 0.5 * (1 + LEAK**2)),
        ("identity", 0.5, 0.5),
        ("tanh", 0.5, 0.5),
        ("gelu", 1.0, 0.25),
        ("gelu", 3.0, 1.5),
    ],
)
def test_chi_holds_where_signals_die_out_or_grow_without_bound(
    activation: str, weights: float, expected: float
) -> None:
    """q* is 0, inf or NaN here. At 0 only g'(0) counts, except at kinks. For large logits gelu equals relu."""
    chi_1 = theory.chi(activation, weights, theory.fixed_point(activation, weights))
    assert chi_1 == pytest.approx(expected, rel=1e-12)
    assert theory.signal_gain(activation, weights) == pytest.approx(np.sqrt(expected), rel=1e-12)


CRITICAL = [
    ("relu", "he", lambda n: 1.0),
    ("relu", "normal", lambda n: np.sqrt(2 / n)),
    ("relu", "uniform", lambda n: np.sqrt(6 / n)),
    ("leaky_relu", "he", lambda n: 1 / np.sqrt(1 + LEAK**2)),
    ("leaky_relu", "normal", lambda n: np.sqrt(2 / (1 + LEAK**2)) / np.sqrt(n)),
    ("identity", "xavier", lambda n: 1.0),
    ("identity", "orthogonal", lambda n: 1.0),
    ("identity", "uniform", lambda n: np.sqrt(3) / np.sqrt(n)),
]


@pytest.mark.parametrize(("activation", "scheme", "scale"), CRITICAL)
def test_rounded_scales_are_critical_at_every_width(
    activation: str, scheme: str, scale: Callable[[int], float]
) -> None:
    """The scale is right up to rounding: every variance is preserved, so no depth is too deep."""
    for n in range(1, 501):
        weights = theory.weight_variance(scheme, float(scale(n)), n, n)
        assert np.isnan(theory.fixed_point(activation, weights)), n
        assert theory.fixed_point(activation, weights, 0.1) == np.inf, n
        assert theory.depth_scale(activation, weights) == np.inf, n


@pytest.mark.parametrize("n", [7, 49, 100, 161])  # widths at which n (1 / sqrt(n))^2 is not 1
def test_tanh_is_critical_at_rounded_scales(n: int) -> None:
    weights = theory.weight_variance("normal", 1 / math.sqrt(n), n, n)
    assert weights != 1
    assert theory.fixed_point("tanh", weights) == 0
    assert theory.depth_scale("tanh", weights) == np.inf


@pytest.mark.parametrize(("activation", "critical"), [("relu", 2.0), ("identity", 1.0)])
def test_what_rounding_cannot_explain_is_not_critical(activation: str, critical: float) -> None:
    below, above = critical * (1 - 1e-13), critical * (1 + 1e-13)
    assert theory.fixed_point(activation, below) == 0
    assert theory.fixed_point(activation, above) == np.inf
    assert theory.fixed_point(activation, below, 0.5) == pytest.approx(0.5e13, rel=1e-2)
    for weights in (below, above):
        assert theory.depth_scale(activation, weights) == pytest.approx(1e13, rel=1e-2)


def mean_square(activation: str, q: float) -> float:
    """Return E[g(sqrt(q) z)^2] by the trapezoidal rule, which is exact to rounding for smooth functions like these."""
    z = np.linspace(-12, 12, 601)
    logits = np.sqrt(q) * z
    g = {
        "tanh": np.tanh,
        "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2,
        "gelu": lambda x: x * erfc(-x / np.sqrt(2)) / 2,
    }[activation](logits)
    return float(np.sum(g**2 * np.exp(-z * z / 2)) * (z[1] - z[0]) / np.sqrt(2 * np.pi))


NEAR_TWO_ROOTS = [(2.01, 0.148), (2.0, 0.155), (2.001, 0.155), (2.005, 0.149), (2.05, 0.125), (1.999, 0.155)]


@pytest.mark.parametrize(
    ("activation", "weights", "biases"),
    [("gelu", *pair) for pair in NEAR_TWO_ROOTS]
    + [(activation, w, b) for activation in ("tanh", "sigmoid", "gelu") for w in (0.5, 1.6, 9.0) for b in (0.02, 0.7)],
)
def test_fixed_points_are_where_the_iteration_ends(activation: str, weights: float, biases: float) -> None:
    """Plain iteration with other integrals, from 1 and from points between 1 and q*.

    Biased gelu networks with sigma_w^2 just above 2 have two fixed points: the iteration stops at the first.
    """
    q_star = theory.fixed_point(activation, weights, biases)
    finite = min(q_star, 1e3)
    for q in (1.0, math.sqrt(finite), 0.1 + 0.9 * finite):
        for _ in range(3000):
            q, before = weights * mean_square(activation, q) + biases, q
            if q > 1e6 or abs(q - before) < 1e-14 * q:
                break
        assert (q > 1e6) if q_star == np.inf else q == pytest.approx(q_star, rel=1e-9)


def test_a_nearly_tangent_fixed_point_is_found() -> None:
    """gelu with sigma_w^2 = 2.001 and sigma_b^2 = .155831: the two roots are 2 % apart, iteration takes 1e5 layers.

    scipy's adaptive integrals confirm that the variance stays there and grows everywhere between 1 and there.
    """
    weights, biases = 2.001, 0.155831

    def following(q: float) -> float:
        def integrand(z: float) -> float:
            x = math.sqrt(q) * z
            return (x * math.erfc(-x / math.sqrt(2)) / 2) ** 2 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        return weights * quad(integrand, -12, 12, epsabs=0, epsrel=1e-13, limit=200)[0] + biases

    q_star = theory.fixed_point("gelu", weights, biases)
    assert q_star == pytest.approx(1.612008, abs=1e-6)
    assert following(q_star) == pytest.approx(q_star, rel=1e-12)
    assert all(following(q) > q for q in np.linspace(1.0, q_star - 1e-4, 40))
    assert theory.fixed_point("gelu", weights, 0.1559) == np.inf  # no root left: the variances pass


@pytest.mark.parametrize(
    ("activation", "weights", "biases", "expected", "tolerance"),
    [
        ("tanh", 1e13, 0.0, 1e13 - np.sqrt(2e13 / np.pi), 1e-12),  # E[tanh^2] = 1 - sqrt(2 / (pi q)) for large q
        ("gelu", 2 - 1e-11, 100.0, 2e13, 1e-3),  # like relu: sigma_b^2 / (1 - sigma_w^2 / 2)
        ("tanh", 0.5, 1e-13, 2e-13, 1e-9),  # like identity: sigma_b^2 / (1 - sigma_w^2)
        ("tanh", 1 + 1e-9, 0.0, 5e-10, 1e-5),  # E[tanh^2] = q - 2 q^2 for small q
        ("sigmoid", 1e-13, 0.0, 2.5e-14, 1e-9),  # sigma_w^2 g(0)^2
        ("tanh", 0.5, 1e-30, 2e-30, 1e-9),
    ],
)
def test_fixed_points_far_from_1_match_their_asymptotes(
    activation: str, weights: float, biases: float, expected: float, tolerance: float
) -> None:
    assert theory.fixed_point(activation, weights, biases) == pytest.approx(expected, rel=tolerance, abs=0)


@given(
    st.sampled_from(list(ACTIVATIONS)), st.floats(0, 10), st.floats(0, 2), st.floats(1e-6, 1e4), st.floats(1.01, 100)
)
def test_the_next_variance_grows_with_the_variance(
    activation: str, weights: float, biases: float, q: float, factor: float
) -> None:
    below, above = (theory.next_variance(activation, weights, biases, variance) for variance in (q, factor * q))
    assert biases <= below <= above * (1 + 1e-12)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_signals_decay_by_e_over_one_depth_scale(activation: str) -> None:
    gain = theory.signal_gain(activation, 0.8)
    assert gain ** (2 * theory.depth_scale(activation, 0.8)) == pytest.approx(np.exp(-1), rel=1e-9)


GAINS = [
    ("tanh", "normal", 0.01),
    ("tanh", "xavier", 1.0),
    ("tanh", "he", 1.0),
    ("relu", "he", 1.0),
    ("sigmoid", "xavier", 1.0),
    ("leaky_relu", "he", 1.0),
    ("gelu", "he", 1.0),
    ("identity", "orthogonal", 1.0),
]


@pytest.mark.parametrize(("activation", "scheme", "scale"), GAINS)
def test_measured_gains_match_mean_field_theory(activation: str, scheme: str, scale: float) -> None:
    """Width 100, depth 10, 12 networks, inputs of one length: the mean gain over the layers within 5 %."""
    n, depth, R = 100, 10, 12
    angles = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    X = 2.0 * np.array([np.cos(angles), np.sin(angles)])
    Y = (angles > np.pi).astype(float)[None]
    networks = stack((2, *[n] * depth, 1), scheme, scale, R)
    cost = COSTS["binary"]
    Z, A = forward(networks, X, ACTIVATIONS[activation])
    dZ, _ = backward(networks, X, cost.encode(Y), Z, A, ACTIVATIONS[activation], cost)
    rms = np.array([np.sqrt(np.square(signal).mean(axis=(1, 2))) for signal in dZ[:-1]])
    measured = np.exp(np.log(rms[:-1] / rms[1:]).mean(axis=1))
    first = theory.weight_variance(scheme, scale, 2, n) * np.square(X).sum(axis=0)[0] / 2
    weights = theory.weight_variance(scheme, scale, n, n)
    q = theory.variances(activation, weights, 0.0, first, depth - 1)
    predicted = np.array([theory.signal_gain(activation, weights, q=variance) for variance in q])
    np.testing.assert_allclose(measured.mean(), predicted.mean(), rtol=0.05)


@pytest.mark.parametrize(("activation", "scheme"), [("relu", "he"), ("identity", "normal")])
@pytest.mark.parametrize("widths", [(5, 5), (10, 20, 30), (8, 8, 8, 8)])
def test_finite_networks_differ_from_each_other_as_predicted(
    activation: str, scheme: str, widths: tuple[int, ...]
) -> None:
    """20,000 networks, one input each; the mean of r is 1 and that of r^2 the closed form, within 3 standard errors."""
    rng = np.random.default_rng(4)
    R, n_in = 20_000, 3
    h = rng.standard_normal((1, n_in, 1)).repeat(R, axis=0)
    length = np.square(h[0]).sum()
    variance = 2.0 if activation == "relu" else 1.0
    for n in widths:
        W = rng.standard_normal((R, n, h.shape[1])) * np.sqrt(variance / h.shape[1])
        h = ACTIVATIONS[activation].value(W @ h)
    r = np.square(h).sum(axis=(1, 2)) * n_in / (widths[-1] * length)
    assert_within(r, 1.0)
    assert_within(r**2, theory.second_moment(activation, widths))


@pytest.mark.parametrize("width", [2, 3, 5, 10])
def test_networks_are_born_dead_as_often_as_predicted(width: int) -> None:
    """Depth 9, 2,000 draws, one input: the frequency within three standard errors of the closed form."""
    draws, widths = 2000, [width] * 9
    networks = stack((2, *widths, 1), "he", 1.0, draws)
    _, A = forward(networks, np.array([[0.7], [-1.1]]), ACTIVATIONS["relu"])
    frequency = (A[-1] == 0).all(axis=(1, 2)).mean()
    expected = theory.born_dead(widths)
    assert abs(frequency - expected) <= 3 * np.sqrt(expected * (1 - expected) / draws)


@pytest.mark.parametrize(
    "widths", [[], [1], [2, 3], [60], [60, 61, 70], [3] * 20 + [200], [1000, 1001], [2000], [2000, 5]]
)
def test_born_dead_is_exact_for_wide_layers(widths: list[int]) -> None:
    alive = math.prod(1 - Fraction(1, 2**n) for n in widths)
    probability = theory.born_dead(widths)
    assert probability == pytest.approx(float(1 - alive), rel=1e-14, abs=0)
    assert math.copysign(1, probability) == 1


@pytest.mark.parametrize("width", [2, 3])
def test_born_dead_is_an_upper_bound_over_a_data_set(width: int) -> None:
    X, _ = flower(50)
    _, A = forward(stack((2, *[width] * 9, 1), "he", 1.0, 2000), X, ACTIVATIONS["relu"])
    assert (A[-1] == 0).all(axis=(1, 2)).mean() <= theory.born_dead([width] * 9)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_linear_networks_learn_modes_as_in_saxe_et_al(outputs: int) -> None:
    """The modes of an identity network with small, balanced weights and a small learning rate.

    nnlab's cost is the mean over the outputs and has no 1/2, so tau is n_y / (2 * learning rate). The closed form holds
    for infinitely small steps, hence the tolerance of 1 %.
    """
    s, u0, rate = np.array([2.0, 0.7, 1.2])[:outputs], 1e-3, 1e-3 * outputs
    X = np.sqrt(outputs) * np.concatenate([np.eye(outputs), -np.eye(outputs)], axis=1)  # mean 0, covariance 1
    Y = np.diag(s) @ X
    start = Parameters.zeros((outputs, outputs, outputs))
    start.W[0][0] = start.W[1][0] = np.sqrt(u0) * np.eye(outputs)
    schedule = range(0, 6001, 300)
    choices = {"activation": ACTIVATIONS["identity"], "cost": COSTS["regression"], "learning_rate": rate}
    snapshots = train(start, X, Y, schedule=schedule, **choices)  # type: ignore[arg-type]
    measured = np.array([np.diag(snapshot.parameters.W[1][0] @ snapshot.parameters.W[0][0]) for snapshot in snapshots])
    for mode in range(outputs):
        predicted = theory.saxe_mode(np.array(schedule), s[mode], u0, outputs / (2 * rate))
        np.testing.assert_allclose(measured[:, mode], predicted, rtol=0.01)
    assert theory.saxe_mode(np.array([1e9]), 2.0, 1e-3, 1.0) == 2.0


@pytest.mark.parametrize("u0", [1e-300, 1e-3, 1.0, 2.0 - 1e-15, 2.0, 2.0 + 1e-15, 5.0, 100.0])
def test_modes_match_the_closed_form_at_all_times(u0: float) -> None:
    """100 digits; s = 2 and tau = 1. A mode above s has come down from infinity: it has no value before."""
    times = [-1e6, -400.0, -30.0, -0.1, -1e-13, 0.0, 1e-13, 0.1, 30.0, 400.0, 1e6]
    expected = []
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 100, -(10**8), 10**8
        for t in times:
            e = (4 * Decimal(t)).exp()
            denominator = e + (2 / Decimal(u0) - 1)
            expected.append(float(2 * e / denominator) if denominator > 0 else float("nan"))
    np.testing.assert_allclose(theory.saxe_mode(np.array(times), 2.0, u0, 1.0), expected, rtol=2e-12, atol=0)


@given(st.floats(0.1, 5), st.floats(1e-4, 10), st.floats(0, 50), st.floats(0, 50))
def test_a_mode_can_be_continued_from_any_point_of_its_curve(s: float, u0: float, first: float, second: float) -> None:
    middle = float(theory.saxe_mode(np.array(first), s, u0, 10.0))
    end = theory.saxe_mode(np.array(first + second), s, u0, 10.0)
    np.testing.assert_allclose(theory.saxe_mode(np.array(second), s, middle, 10.0), end, rtol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "gelu"])
@pytest.mark.parametrize("n", [2, 7, 50])
def test_equal_units_are_one_unit_with_other_learning_rates(activation: str, n: int) -> None:
    X, Y = flower()
    many = initialize((2, n, 1), "constant", 0.3, np.random.default_rng(0))
    one, factors = theory.equivalent_unit(many)
    cost, rate = COSTS["binary"], 0.5 / n
    choices = {"activation": ACTIVATIONS[activation], "cost": cost, "learning_rate": rate, "product": product_in_order}
    *_, last = train(many, X, Y, schedule=[300], **choices)  # type: ignore[arg-type]
    for _ in range(300):
        Z, A = forward(one, X, ACTIVATIONS[activation])
        _, gradient = backward(one, X, cost.encode(Y), Z, A, ACTIVATIONS[activation], cost)
        one.flat -= rate * factors.flat * gradient.flat
    reduced, _ = theory.equivalent_unit(last.parameters)
    assert not np.allclose(one.flat, factors.flat)
    np.testing.assert_allclose(one.flat, reduced.flat, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forward(one, X, ACTIVATIONS[activation])[0][-1], last.Z[-1], rtol=1e-9, atol=1e-9)


def test_gradient_descent_on_a_parabola_grows_as_predicted() -> None:
    curvature, rate = 3.0, 0.1
    x = np.array([1.0])
    for _ in range(20):
        x = x - rate * curvature * x
    assert x[0] == pytest.approx(theory.growth(rate, curvature) ** 20, rel=1e-12)
    assert abs(theory.growth(rate, theory.largest_stable_curvature(rate))) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: theory.weight_variance("constant", 1.0, 2, 2), "scheme"),
        (lambda: theory.weight_variance("he", 1.0, 0, 2), "n_in"),
        (lambda: theory.weight_variance("xavier", 1.0, 2, 0), "n_out"),
        (lambda: theory.mean_singular_value(-1.0), "weight_variance"),
        (lambda: theory.rectifier_gain(-1.0), "weight_variance"),
        (lambda: theory.next_variance("softplus", 1.0, 0.0, 1.0), "activation"),
        (lambda: theory.next_variance("tanh", -1.0, 0.0, 1.0), "weight_variance"),
        (lambda: theory.next_variance("tanh", 1.0, -1.0, 1.0), "bias_variance"),
        (lambda: theory.next_variance("tanh", 1.0, 0.0, -1.0), "q must"),
        (lambda: theory.variances("tanh", 1.0, 0.0, 1.0, 0), "depth"),
        (lambda: theory.chi("softplus", 1.0, 1.0), "activation"),
        (lambda: theory.chi("tanh", -1.0, 1.0), "weight_variance"),
        (lambda: theory.chi("tanh", 1.0, -1.0), "q must"),
        (lambda: theory.signal_gain("softplus", 1.0, q=1.0), "activation"),
        (lambda: theory.signal_gain("identity", -1.0), "weight_variance"),
        (lambda: theory.depth_scale("identity", -1.0), "weight_variance"),
        (lambda: theory.largest_stable_curvature(0.0), "learning_rate"),
        (lambda: theory.fixed_point("softplus", 1.0), "activation"),
        (lambda: theory.fixed_point("tanh", -1.0), "weight_variance"),
        (lambda: theory.fixed_point("tanh", 1.0, -1.0), "bias_variance"),
        (lambda: theory.second_moment("tanh", [3]), "activation"),
        (lambda: theory.born_dead([3, 0]), "widths"),
        (lambda: theory.saxe_mode(np.zeros(1), 0.0, 1.0, 1.0), "s must"),
        (lambda: theory.saxe_mode(np.zeros(1), 1.0, 0.0, 1.0), "u0"),
        (lambda: theory.saxe_mode(np.zeros(1), 1.0, 1.0, 0.0), "tau"),
        (lambda: theory.equivalent_unit(Parameters.zeros((2, 3, 3, 1))), "one hidden layer"),
        (lambda: theory.equivalent_unit(stack((2, 3, 1), "normal", 1.0, 1)), "equal"),
        (lambda: theory.equivalent_unit(Parameters((2, 3, 1), np.arange(13.0)[None] * (np.arange(13) < 9))), "equal"),
        (lambda: theory.equivalent_unit(Parameters((2, 3, 1), np.arange(13.0)[None] * (np.arange(13) >= 9))), "equal"),
    ],
)
def test_illegal_arguments_are_named(call, argument: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=argument):
        call()
