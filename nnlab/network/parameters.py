"""The weights and biases of a stack of networks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nnlab.network.activations import Array

__all__ = ["Parameters", "parameter_count"]


def parameter_count(sizes: Sequence[int]) -> int:
    """Return the number of weights and biases of a network with layer sizes (n_x, n_1, ..., n_y)."""
    return sum(n_out * (n_in + 1) for n_in, n_out in pairwise(sizes))


class Parameters:
    """Weights and biases of a stack of R networks of layer sizes (n_x, n_1, ..., n_y).

    All P numbers of a network are one row of `flat` (R, P), so that an update is one subtraction. The other attributes
    are views into it, one for each layer; index l - 1 belongs to layer l:

    - `theta[l-1]` (R, n_out, n_in + 1): the weights, with the bias as last column
    - `W[l-1]` (R, n_out, n_in) and `b[l-1]` (R, n_out, 1)

    Raises ValueError if `flat` is not (R, P).
    """

    def __init__(self, sizes: Sequence[int], flat: Array) -> None:
        self.sizes = tuple(sizes)
        if flat.ndim != 2 or flat.shape[1] != parameter_count(self.sizes):
            raise ValueError(
                f"flat must have shape (R, {parameter_count(self.sizes)}) for layer sizes {self.sizes}, "
                f"got {flat.shape}"
            )
        self.flat = flat
        self.theta: list[Array] = []
        start = 0
        for n_in, n_out in pairwise(self.sizes):
            stop = start + n_out * (n_in + 1)
            self.theta.append(flat[:, start:stop].reshape(-1, n_out, n_in + 1))
            start = stop
        self.W = [theta[:, :, :-1] for theta in self.theta]
        self.b = [theta[:, :, -1:] for theta in self.theta]

    @classmethod
    def zeros(cls, sizes: Sequence[int], R: int = 1, dtype: np.typing.DTypeLike = np.float64) -> "Parameters":
        """Return R networks with every weight and bias zero."""
        return cls(sizes, np.zeros((R, parameter_count(sizes)), dtype))

    @classmethod
    def from_dict(cls, named: dict[str, Array]) -> "Parameters":
        """Return a stack of one network, given `{"W1": (n_1, n_x), "b1": (n_1, 1), "W2": ...}`."""
        depth = sum(name.startswith("W") for name in named)
        weights = [named[f"W{layer}"] for layer in range(1, depth + 1)]
        sizes = [weights[0].shape[1], *(W.shape[0] for W in weights)]
        parameters = cls.zeros(sizes, 1, np.result_type(*weights))
        for layer, W in enumerate(weights, start=1):
            parameters.W[layer - 1][0] = W
            parameters.b[layer - 1][0] = named[f"b{layer}"]
        return parameters

    def as_dict(self, run: int = 0) -> dict[str, Array]:
        """Return a copy of one network as `{"W1": (n_1, n_x), "b1": (n_1, 1), "W2": ...}`."""
        named: dict[str, Array] = {}
        for layer, (W, b) in enumerate(zip(self.W, self.b, strict=True), start=1):
            named[f"W{layer}"] = W[run].copy()
            named[f"b{layer}"] = b[run].copy()
        return named

    def copy(self) -> "Parameters":
        """Return a copy that shares no memory."""
        return Parameters(self.sizes, self.flat.copy())
