"""Draws of each scheme: their moments, their scale, and the course's published numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import generator

from nnlab import config
from nnlab.network.initializers import INITIALIZERS, initialize
from nnlab.seeding import legacy_stream, stream

N_OUT, N_IN, SCALE = 150, 400, 0.3
STANDARD_DEVIATION = {
    "normal": SCALE,
    "uniform": SCALE / np.sqrt(3),
    "xavier": SCALE * np.sqrt(2 / (N_IN + N_OUT)),
    "he": SCALE * np.sqrt(2 / N_IN),
    "orthogonal": SCALE / np.sqrt(N_IN),
}
each_scheme = pytest.mark.parametrize("scheme", list(INITIALIZERS))


def test_the_config_lists_every_scheme() -> None:
    assert set(config.SCHEMES) == set(INITIALIZERS)


@pytest.mark.parametrize("scheme", list(STANDARD_DEVIATION))
def test_mean_and_standard_deviation(scheme: str) -> None:
    """Within 4 standard errors. The standard error of s is s sqrt((kurtosis - 1) / 4n), at most s / sqrt(2n) here."""
    W = INITIALIZERS[scheme](stream(7, "init"), N_OUT, N_IN, SCALE)
    s, n = STANDARD_DEVIATION[scheme], N_OUT * N_IN
    assert W.shape == (N_OUT, N_IN)
    assert abs(W.mean()) < 4 * s / np.sqrt(n)
    assert abs(W.std() - s) < 4 * s / np.sqrt(2 * n)


def test_uniform_weights_are_the_quantiles_of_the_normal_draws() -> None:
    """The probability integral transform: the schemes are paired, and 2 Phi(z) - 1 is uniform on [-1, 1]."""
    W = INITIALIZERS["uniform"](stream(7, "init"), N_OUT, N_IN, SCALE)
    draws = stream(7, "init").standard_normal((N_OUT, N_IN))
    np.testing.assert_allclose(W, SCALE * (2 * stats.norm.cdf(draws) - 1), atol=1e-15)
    assert stats.kstest(W.ravel(), stats.uniform(-SCALE, 2 * SCALE).cdf).pvalue > 1e-3
    assert -SCALE <= W.min() < -0.999 * SCALE
    assert 0.999 * SCALE < W.max() <= SCALE


@pytest.mark.parametrize(("scheme", "factor"), [("xavier", np.sqrt(2 / 12)), ("he", np.sqrt(2 / 5)), ("normal", 1.0)])
def test_gaussian_schemes_are_one_draw_times_a_factor(scheme: str, factor: float) -> None:
    W = INITIALIZERS[scheme](generator(3), 7, 5, SCALE)
    np.testing.assert_allclose(W, generator(3).standard_normal((7, 5)) * factor * SCALE, rtol=1e-14)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9), (1, 5), (5, 1)])
def test_orthogonal_is_orthonormal_on_its_short_side(shape: tuple[int, int]) -> None:
    W = INITIALIZERS["orthogonal"](generator(3), *shape, SCALE)
    gram = W @ W.T if shape[0] <= shape[1] else W.T @ W
    assert W.shape == shape
    np.testing.assert_allclose(gram, SCALE**2 * np.eye(min(shape)), atol=1e-15)


def test_orthogonal_prefers_no_direction() -> None:
    """Without the sign of the triangle the diagonal of Q leans to one side (Mezzadri 2007)."""
    rng = generator(5)
    diagonals = np.array([np.diag(INITIALIZERS["orthogonal"](rng, 3, 3, 1.0)) for _ in range(1000)])
    assert np.all(abs(diagonals.mean(axis=0)) < 4 * diagonals.std(axis=0) / np.sqrt(1000))


def test_zeros_and_constant() -> None:
    sizes = (3, 5, 2)
    assert not initialize(sizes, "zeros", 0.7, generator(0)).flat.any()
    for W in initialize(sizes, "constant", 0.7, generator(0)).W:
        np.testing.assert_array_equal(W, 0.7)


@each_scheme
def test_a_network_is_a_stack_of_one_with_zero_biases(scheme: str) -> None:
    parameters = initialize((3, 5, 4, 2), scheme, 0.7, generator(0))
    assert [W.shape for W in parameters.W] == [(1, 5, 3), (1, 4, 5), (1, 2, 4)]
    assert parameters.flat.dtype == np.float64
    assert not any(b.any() for b in parameters.b)


@given(st.sampled_from(list(INITIALIZERS)), st.integers(0, 2**32 - 1), st.floats(1e-6, 1e3))
def test_draws_of_one_seed_are_proportional_to_the_scale(scheme: str, seed: int, scale: float) -> None:
    unit, scaled = (initialize((2, 6, 3), scheme, s, stream(seed, "init")).flat for s in (1.0, scale))
    np.testing.assert_allclose(scaled, scale * unit, rtol=1e-14)


@each_scheme
def test_the_seed_determines_the_network(scheme: str) -> None:
    first, again, other = (initialize((2, 6, 3), scheme, 1.0, stream(seed, "init")).flat for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (scheme in ("zeros", "constant"))


def test_streams_of_one_seed_are_independent() -> None:
    assert not np.array_equal(stream(3, "init").random(4), stream(3, "batches").random(4))


def test_the_legacy_stream_reproduces_the_weights_of_the_course() -> None:
    network = initialize((2, 4, 1), "normal", 0.01, legacy_stream(2)).as_dict()
    W1 = [[-0.00416758, -0.00056267], [-0.02136196, 0.01640271], [-0.01793436, -0.00841747], [0.00502881, -0.01245288]]
    np.testing.assert_allclose(network["W1"], W1, rtol=0, atol=5.1e-9)
    np.testing.assert_allclose(network["W2"], [[-0.01057952, -0.00909008, 0.00551454, 0.02292208]], rtol=0, atol=5.1e-9)
    assert not network["b1"].any()
    assert not network["b2"].any()


def test_the_global_stream_does_not_change() -> None:
    np.random.seed(11)
    expected = np.random.random_sample()
    np.random.seed(11)
    for scheme in INITIALIZERS:
        initialize((2, 4, 1), scheme, 1.0, legacy_stream(2))
        initialize((2, 4, 1), scheme, 1.0, stream(2, "init"))
    assert np.random.random_sample() == expected
