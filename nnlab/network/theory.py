"""Closed forms to compare measurements with.

A random layer is described by two variances: its *weight variance* sigma_w^2 = n_in Var(W), which is the variance that
the weights give to a logit per unit of mean squared input, and the variance sigma_b^2 of its biases.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from nnlab.network.activations import ACTIVATIONS, LEAK, Array
from nnlab.network.parameters import Parameters

__all__ = [
    "born_dead",
    "chi",
    "depth_scale",
    "equivalent_unit",
    "fixed_point",
    "growth",
    "largest_stable_curvature",
    "mean_singular_value",
    "next_variance",
    "rectifier_gain",
    "saxe_mode",
    "second_moment",
    "signal_gain",
    "variances",
    "weight_variance",
]


def weight_variance(scheme: str, scale: float, n_in: int, n_out: int) -> float:
    """Return n_in Var(W) of a layer drawn by one of `nnlab.network.initializers`.

    A linear layer multiplies the variance of a signal by this factor (Glorot & Bengio 2010, eq. 5). Uniform weights in
    +-1 / sqrt(n_in) give 1/3: each layer keeps a third of the variance. Raises ValueError for schemes that are
    not random and for layers without units.
    """
    for name, n in (("n_in", n_in), ("n_out", n_out)):
        if n < 1:
            raise ValueError(f"{name} must be at least 1, got {n}")
    factors = {  # widths that cancel do so before anything is rounded: square layers keep the variance exactly
        "normal": n_in,
        "uniform": n_in / 3,
        "xavier": 2 * n_in / (n_in + n_out),
        "he": 2,
        "orthogonal": n_in / max(n_in, n_out),
    }
    if scheme not in factors:
        raise ValueError(f"scheme must be one of {', '.join(factors)}, got {scheme!r}")
    return scale**2 * factors[scheme]


def mean_singular_value(weight_variance: float) -> float:
    """Return the mean singular value of a wide, square, linear layer: 8 / (3 pi) sigma_w.

    0.4901 for uniform weights in +-1 / sqrt(n), 0.8488 for normalised initialization. Glorot & Bengio 2010, section
    4.2.2, measure about 0.5 and 0.8 with tanh.
    """
    return 8 / (3 * np.pi) * float(np.sqrt(_check_at_least_0("weight_variance", weight_variance)))


def rectifier_gain(weight_variance: float, slope: float = 0.0) -> float:
    """Return the factor by which a relu layer multiplies the variance of a signal, forwards and backwards.

    1/2 (1 + slope^2) sigma_w^2, where `slope` is the slope of leaky relu below 0 (He et al. 2015, eq. 15). A factor of
    1 preserves signals.
    """
    return 0.5 * (1 + slope**2) * _check_at_least_0("weight_variance", weight_variance)


# ---- mean field: wide layers (Poole et al. 2016, Schoenholz et al. 2017)


def next_variance(activation: str, weight_variance: float, bias_variance: float, q: float) -> float:
    """Return the variance of a layer's logits, given the variance q of the logits in the layer below.

    sigma_w^2 E[g(sqrt(q) z)^2] + sigma_b^2 with z standard normal (the length map of Poole et al. 2016). Raises
    ValueError for an unknown activation or a negative variance.
    """
    _check_activation(activation)
    _check_at_least_0("weight_variance", weight_variance)
    _check_at_least_0("bias_variance", bias_variance)
    _check_at_least_0("q", q)
    value = ACTIVATIONS[activation].value
    return weight_variance * _expectation(lambda z: np.square(value(z)), q) + bias_variance


def variances(activation: str, weight_variance: float, bias_variance: float, q: float, depth: int) -> list[float]:
    """Return the variances of the logits in `depth` layers; the first layer has variance q.

    Raises ValueError for a depth below 1 and for what `next_variance` rejects.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    by_layer = [q]
    while len(by_layer) < depth:
        by_layer.append(next_variance(activation, weight_variance, bias_variance, by_layer[-1]))
    return by_layer


def fixed_point(activation: str, weight_variance: float, bias_variance: float = 0.0) -> float:
    """Return q*, the limit of the variance of the logits deep in a wide network, starting from variance 1.

    0 if signals die out, inf if they grow without bound. NaN if every variance is preserved, as for relu with
    sigma_w^2 = 2 and no biases. A factor on the variance within rounding errors of 1 counts as 1. Raises ValueError for
    an unknown activation or a negative variance.
    """
    _check_activation(activation)
    _check_at_least_0("weight_variance", weight_variance)
    _check_at_least_0("bias_variance", bias_variance)
    gain = _homogeneous_gain(activation, weight_variance)
    if gain is not None:
        if gain < 1 and not _is_1(gain):
            return bias_variance / (1 - gain)
        return float("nan") if _is_1(gain) and bias_variance == 0 else float("inf")

    def excess(q: float) -> float:
        return next_variance(activation, weight_variance, bias_variance, q) - q

    # The next variance grows with q, so the variances rise or fall steadily, to the first root on their way.
    if excess(1.0) <= 0:
        return _first_root(excess, excess(0.0) / 2 or 1e-14) or 0.0
    far, very_far = 1e12, 1e100  # beyond far, an activation is a step or consists of two straight lines
    root = _first_root(excess, far)
    if root is not None:
        return root
    gain = next_variance(activation, weight_variance, 0.0, very_far) / very_far
    if gain > 1 or _is_1(gain):
        return float("inf")
    return _root(excess, far, 2 * (excess(far) + far) / (1 - gain))


def chi(activation: str, weight_variance: float, q: float) -> float:
    """Return the factor by which a layer multiplies the variance of the back-propagated signal.

    sigma_w^2 E[g'(sqrt(q) z)^2], with z standard normal and q the variance of the layer's logits. At q = q* it is
    chi_1: below 1 signals vanish, above 1 they explode (Schoenholz et al. 2017). For relu, leaky relu and identity it
    does not depend on q, so it is defined even if q* is NaN. Raises ValueError for an unknown activation or a negative
    variance.
    """
    _check_activation(activation)
    _check_at_least_0("weight_variance", weight_variance)
    gain = _homogeneous_gain(activation, weight_variance)
    if gain is not None:
        return gain
    derivative = ACTIVATIONS[activation].derivative
    finite = min(_check_at_least_0("q", q), 1e200)  # slopes no longer change beyond this, and gelu' is undefined at inf
    return weight_variance * _expectation(lambda z: np.square(derivative(z)), finite)


def signal_gain(activation: str, weight_variance: float, bias_variance: float = 0.0, q: float | None = None) -> float:
    """Return sqrt(chi), the `signal/gain` expected at initialization if the logits have variance q (None: q*)."""
    if q is None:
        q = fixed_point(activation, weight_variance, bias_variance)
    return float(np.sqrt(chi(activation, weight_variance, q)))


def depth_scale(activation: str, weight_variance: float, bias_variance: float = 0.0) -> float:
    """Return 1 / |ln chi_1|: the number of layers over which the back-propagated variance changes by a factor e.

    Networks much deeper than a few times this cannot be trained. inf at the edge, where chi_1 is 1 within rounding
    errors. Source: Schoenholz et al. 2017.
    """
    chi_1 = chi(activation, weight_variance, fixed_point(activation, weight_variance, bias_variance))
    if _is_1(chi_1):
        return float("inf")
    with np.errstate(divide="ignore"):
        return float(1 / np.abs(np.log(np.float64(chi_1))))


# ---- finite width


def second_moment(activation: str, widths: Sequence[int]) -> float:
    """Return E[r^2] of r = ||h_L||^2 n_0 / (n_L ||x||^2), whose mean is 1, over random networks without biases.

    prod (1 + 5 / n_l) for relu with He weights, prod (1 + 2 / n_l) for identity with sigma_w^2 = 1, over layers of the
    widths n_1, ..., n_L. It measures how much random networks differ from each other: less with width, more with depth
    (Hanin & Rolnick 2018). Raises ValueError for other activations and for widths below 1.
    """
    excess = {"relu": 5.0, "identity": 2.0}
    if activation not in excess:
        raise ValueError(f"activation must be relu or identity, got {activation!r}")
    return float(np.prod([1 + excess[activation] / n for n in _check_widths(widths)]))


def born_dead(widths: Sequence[int]) -> float:
    """Return the probability that a relu network with zero biases maps one input to 0: 1 - prod (1 - 2^-n_l).

    This happens if some layer is dead, that is if none of its n_l units is positive. Over a data set it is an upper
    bound, because a dead layer must be dead for every example (Lu et al. 2019; Rister & Rubin 2020). Raises ValueError
    for widths below 1.
    """
    return abs(float(np.expm1(np.sum(np.log1p([-(2.0**-n) for n in _check_widths(widths)])))))  # abs: 0, never -0


# ---- training


def saxe_mode(t: Array, s: float, u0: float, tau: float) -> Array:
    """Return the strength u(t) of one mode of a linear network of depth 1 that learns from whitened inputs.

    u = s e^{2st/tau} / (e^{2st/tau} - 1 + s / u0) rises from u0 to s, the mode's strength in the data, in a time of
    about tau / (2s) ln(s / u0) (Saxe et al. 2013, eq. 12). Their cost is half the sum of the squared errors; tau in
    iterations is then 1 / learning rate. The regression cost here is the mean over n_y outputs; tau is then
    n_y / (2 * learning rate).

    Times before 0 are those at which u was on its way to u0. A mode with u0 > s has come down from infinity in a finite
    time: NaN for earlier times. Raises ValueError unless s, u0 and tau are positive.
    """
    for name, value in (("s", s), ("u0", u0), ("tau", tau)):
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")
    exponent = 2 * s * np.asarray(t, dtype=float) / tau
    past, future = np.minimum(exponent, 0), np.maximum(exponent, 0)
    # The fraction times u0, divided by the exponential if that is above 1: nothing overflows and little cancels.
    numerator = u0 * np.exp(past)
    denominator = np.where(exponent < 0, numerator + (s - u0), s * np.exp(-future) - u0 * np.expm1(-future))
    share = np.full_like(denominator, 1.0 if u0 == s else np.nan)
    return np.asarray(s * np.divide(numerator, denominator, out=share, where=denominator > 0))


def equivalent_unit(parameters: Parameters) -> tuple[Parameters, Parameters]:
    """Return the network with one hidden unit that is equivalent to n equal units, and factors on its learning rate.

    n units with the same w, b and v behave exactly like one unit with w, b and n v that trains w and b with 1/n of the
    learning rate and the outgoing weights with n times the learning rate. Constant initialization therefore buys no
    width, only steps of another size. Raises ValueError unless there is one hidden layer of bitwise equal units.
    """
    if len(parameters.sizes) != 3:
        raise ValueError(f"parameters must have one hidden layer, got layer sizes {parameters.sizes}")
    theta, V = parameters.theta[0], parameters.W[1]
    if (theta != theta[:, :1]).any() or (V != V[:, :, :1]).any():
        raise ValueError("parameters must have hidden units that are all equal, got different ones")
    n_x, n, n_y = parameters.sizes
    one = Parameters.zeros((n_x, 1, n_y), len(parameters.flat), parameters.flat.dtype)
    one.theta[0][...] = theta[:, :1]
    one.W[1][...] = n * V[:, :, :1]
    one.b[1][...] = parameters.b[1]
    factors = Parameters(one.sizes, np.ones_like(one.flat))
    factors.theta[0][...] = 1 / n
    factors.W[1][...] = n
    return one, factors


def growth(learning_rate: float, curvature: float) -> float:
    """Return 1 - learning rate * curvature, the growth of a deviation in one iteration of gradient descent."""
    return 1 - learning_rate * curvature


def largest_stable_curvature(learning_rate: float) -> float:
    """Return 2 / learning rate: along directions of larger curvature, gradient descent overshoots ever further.

    Raises ValueError unless the learning rate is positive.
    """
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, got {learning_rate}")
    return 2 / learning_rate


def _expectation(function: Callable[[Array], Array], q: float) -> float:
    """Return E[function(sqrt(q) z)] for standard normal z, by Gauss-Legendre quadrature between breaks.

    One break is at 0, where activations have their kinks. The others are spaced on the scale of z and on the scale of
    the activation, which resembles a step for large q.
    """
    width = np.sqrt(q)
    steps = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    reach = 13.0  # beyond, the density is below 1e-37
    breaks = np.unique(np.concatenate([[0.0, reach], steps[steps < reach], steps / max(width, 1e-300)]))
    breaks = breaks[breaks <= reach]
    nodes, weights = _legendre()
    half = np.diff(breaks)[:, None] / 2
    z = breaks[:-1, None] + half * (nodes + 1)
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return float((half * weights * density * (function(width * z) + function(-width * z))).sum())


def _first_root(excess: Callable[[float], float], far: float) -> float | None:
    """Return the first root on the way from 1 to `far`, None if there is none.

    Averages over a normal distribution vary slowly with the logarithm of the variance: the steps are short compared to
    that, and between them two roots can hide only beside a minimum, which is searched.
    """
    from scipy.optimize import minimize_scalar

    def height(log_q: float) -> float:  # positive until the first root
        return sign * excess(np.exp(log_q)) * np.exp(-log_q)

    sign = np.sign(np.log(far))
    path = np.linspace(0.0, np.log(far), 2 + int(5 * abs(np.log(far))))
    heights = [height(log_q) for log_q in path]
    for i in range(1, len(path)):
        end, lowest = path[i], heights[i]
        if i + 1 < len(path) and 0 < lowest < heights[i - 1] and lowest <= heights[i + 1]:
            bounds = sorted((path[i - 1], path[i + 1]))
            minimum = minimize_scalar(height, bounds=bounds, method="bounded", options={"xatol": 1e-9})
            end, lowest = minimum.x, minimum.fun
        if lowest <= 0:
            return _root(excess, np.exp(path[i - 1]), np.exp(end))
    return None


def _root(function: Callable[[float], float], a: float, b: float) -> float:
    """Return the root between a and b to full relative precision."""
    from scipy.optimize import brentq

    return float(brentq(function, a, b, xtol=np.finfo(float).tiny))


def _is_1(gain: float) -> bool:
    """Return True if rounding errors alone can explain the distance to 1: a scale such as sqrt(2 / n) is rounded."""
    return bool(abs(gain - 1) <= 8 * np.finfo(float).eps)


@cache
def _legendre() -> tuple[Array, Array]:
    """Return the nodes and weights, cached because computing them costs more than an integral."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    return nodes, weights


def _homogeneous_gain(activation: str, weight_variance: float) -> float | None:
    """Return the factor on the variance if it is the same for all variances, else None."""
    if activation == "identity":
        return weight_variance
    slopes = {"relu": 0.0, "leaky_relu": LEAK}
    return rectifier_gain(weight_variance, slopes[activation]) if activation in slopes else None


def _check_activation(activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")


def _check_at_least_0(name: str, value: float) -> float:
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return value


def _check_widths(widths: Sequence[int]) -> Sequence[int]:
    if any(n < 1 for n in widths):
        raise ValueError(f"widths must be at least 1, got {list(widths)}")
    return widths
