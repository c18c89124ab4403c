"""Hidden activations, each with its derivative.

Every activation has two forms:

- `value` and `derivative` are functions of the logits Z, to full relative precision wherever floats allow it:
  1 - tanh(z)^2 is exactly 0 from z = 19 on, `derivative` is not. Snapshots, probes and tests use them. The exception
  is gelu' beside its zero at z = -0.7518.
- `activate` and `slope` do the same in place, for the training loop, which cannot afford a second exponential. Here
  g' may be off by one rounding error of 1. That moves no weight that is large enough to saturate the unit.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["ACTIVATIONS", "LEAK", "Activation", "in_place", "sigmoid"]

Array = NDArray[np.floating]

LEAK = 0.01
"""Slope of leaky_relu for negative logits (course: 0.01)."""


class Activation(NamedTuple):
    """An activation g and its derivative g', element by element on arrays of any shape.

    `value(Z)` and `derivative(Z)` return new arrays. `activate(Z, D)` overwrites Z with g(Z) and may store in D what
    `slope(A, D)` needs. `slope` overwrites D with g'(Z). At the kink, g'(0) is 0 for relu and LEAK for leaky_relu.

    The other fields are traits that the diagnostics use:

    - `centre`: the c with g(-z) = 2c - g(z), if there is one. A unit and its mirror image are then the same function.
    - `homogeneous`: True if g(a z) = a g(z) for a > 0. A unit may then be rescaled.
    - `largest_slope`: the maximum of g' if both sides are flat, so that units saturate; else None
    - `dies`: True if g and g' are 0 for all z <= 0
    - `has_negative_side`: True if z <= 0 is the quieter side
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    activate: Callable[[Array, Array], None]
    slope: Callable[[Array, Array], None]
    centre: float | None = None
    homogeneous: bool = False
    largest_slope: float | None = None
    dies: bool = False
    has_negative_side: bool = False


def sigmoid(Z: Array) -> Array:
    """Return 1 / (1 + exp(-Z)), without overflow at either end."""
    from scipy.special import expit

    return expit(Z)


def _sigmoid_derivative(Z: Array) -> Array:
    return sigmoid(Z) * sigmoid(-Z)


def _sigmoid_activate(Z: Array, D: Array) -> None:
    np.negative(Z, out=Z)
    np.exp(Z, out=Z)
    np.add(Z, 1.0, out=Z)
    np.divide(1.0, Z, out=Z)  # the same bits as np.reciprocal, in half its time


def _sigmoid_slope(A: Array, D: Array) -> None:
    np.multiply(A, A, out=D)
    np.subtract(A, D, out=D)


def _tanh_derivative(Z: Array) -> Array:
    e = np.exp(-2.0 * np.abs(Z))
    return 4.0 * e / (1.0 + e) ** 2


def _tanh_activate(Z: Array, D: Array) -> None:
    np.tanh(Z, out=Z)


def _tanh_slope(A: Array, D: Array) -> None:
    np.multiply(A, A, out=D)
    np.subtract(1.0, D, out=D)


def _relu(Z: Array) -> Array:
    return np.maximum(Z, 0.0)


def _relu_derivative(Z: Array) -> Array:
    # A bare comparison would turn the slope of a NaN logit into 0.
    return np.where(np.isnan(Z), Z, Z > 0).astype(Z.dtype)


def _relu_activate(Z: Array, D: Array) -> None:
    # A comparison written into floats costs half as much as np.sign.
    np.greater(Z, 0.0, out=D, casting="unsafe")
    # The product Z * D, except that it would turn -inf into NaN. It is -0.0 where Z < 0, and so is this maximum.
    np.maximum(-0.0, Z, out=Z)


def _leaky_relu(Z: Array) -> Array:
    return np.maximum(Z, LEAK * Z)


def _leaky_relu_derivative(Z: Array) -> Array:
    return np.where(np.isnan(Z), Z, np.where(Z > 0, 1.0, LEAK)).astype(Z.dtype)


def _leaky_relu_activate(Z: Array, D: Array) -> None:
    np.greater(Z, 0.0, out=D, casting="unsafe")
    np.maximum(D, LEAK, out=D)
    np.multiply(Z, D, out=Z)


def _stored_slope(A: Array, D: Array) -> None:
    """Do nothing: `activate` has stored the slope in D."""


def _normal_density(Z: Array) -> Array:
    return np.exp(-0.5 * Z * Z) / np.sqrt(2.0 * np.pi).astype(Z.dtype)


_FAR = 1e30  # the normal density and the lower tail of its integral are 0 far below this; 0 times inf would be NaN


def _gelu(Z: Array) -> Array:
    from scipy.special import ndtr

    return np.maximum(Z, -_FAR) * ndtr(Z)


def _gelu_derivative(Z: Array) -> Array:
    """Return the normal distribution function plus z times its density.

    The two terms cancel at z = -0.7518. Beside it only the absolute error is small (below eps): in float64 the relative
    error exceeds 1e-13 within 0.01 of the zero.
    """
    from scipy.special import ndtr

    return ndtr(Z) + np.minimum(np.maximum(Z, -_FAR), _FAR) * _normal_density(Z)


def in_place(
    name: str, value: Callable[[Array], Array], derivative: Callable[[Array], Array], **traits: Any
) -> Activation:
    """Return an activation made of value and derivative alone; `traits` are the fields of `Activation` after `slope`.

    Its in-place form allocates two arrays in every iteration; a hand-written one is faster.
    """

    def activate(Z: Array, D: Array) -> None:
        D[...] = derivative(Z)
        Z[...] = value(Z)

    return Activation(name, value, derivative, activate, _stored_slope, **traits)


def _identity_activate(Z: Array, D: Array) -> None:
    D.fill(1.0)


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("tanh", np.tanh, _tanh_derivative, _tanh_activate, _tanh_slope, centre=0.0, largest_slope=1.0),
        Activation(
            *("sigmoid", sigmoid, _sigmoid_derivative, _sigmoid_activate, _sigmoid_slope),
            centre=0.5,
            largest_slope=0.25,
        ),
        Activation(
            *("relu", _relu, _relu_derivative, _relu_activate, _stored_slope),
            homogeneous=True,
            dies=True,
            has_negative_side=True,
        ),
        Activation(
            *("leaky_relu", _leaky_relu, _leaky_relu_derivative, _leaky_relu_activate, _stored_slope),
            homogeneous=True,
            has_negative_side=True,
        ),
        in_place("gelu", _gelu, _gelu_derivative, has_negative_side=True),
        Activation("identity", np.copy, np.ones_like, _identity_activate, _stored_slope),
    )
}
"""Every hidden activation by its name in `model.activation`. `nnlab.config.ACTIVATIONS` lists the same names."""
