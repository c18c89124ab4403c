"""The functions of the course, on nnlab's core: same names, same signatures, same shapes.

Coursera, *Neural Networks and Deep Learning*, week 3: "Planar data classification with one hidden layer". The network
has one tanh layer and a sigmoid output, as students write it cell by cell:

    W1 (n_h, n_x)   b1 (n_h, 1)   W2 (n_y, n_h)   b2 (n_y, 1)   in a dict called parameters
    X  (n_x, m)     Y  (n_y, m)   one column for each of m examples; labels 0 or 1 of any dtype, also uint8 and bool

There is no stack axis, and everything is float64. Arrays of a wrong shape raise ValueError.
"""

from collections.abc import Mapping
from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike

from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.network.training import train

__all__ = [
    "backward_propagation",
    "compute_cost",
    "forward_propagation",
    "initialize_parameters",
    "layer_sizes",
    "nn_model",
    "predict",
    "update_parameters",
]

Named = Mapping[str, ArrayLike]

TANH, BINARY = ACTIVATIONS["tanh"], COSTS["binary"]
LEARNING_RATE = 1.2
NAMES = ("W1", "b1", "W2", "b2")


def layer_sizes(X: ArrayLike, Y: ArrayLike) -> tuple[int, int, int]:
    """Return (n_x, n_h, n_y), the numbers of inputs, hidden units and outputs for these data.

    X is (n_x, m), Y is (n_y, m). n_h is always 4, as in the course; `nn_model` has its own argument for it.
    """
    X, Y = _examples(X=X, Y=Y)
    return X.shape[0], 4, Y.shape[0]


def initialize_parameters(n_x: int, n_h: int, n_y: int) -> dict[str, Array]:
    """Return small random weights, randn * 0.01, W1 drawn before W2, and zero biases.

    The weights must differ, because equal units would stay equal; the biases need not. The draws come from NumPy's
    global stream: call ``np.random.seed`` first (the course uses 2 here and 3 in `nn_model`). Older notebooks call it
    inside this function, newer ones outside, as here.
    """
    for name, size in (("n_x", n_x), ("n_h", n_h), ("n_y", n_y)):
        _check_integer(name, size, 1)
    return {
        "W1": np.random.randn(n_h, n_x) * 0.01,
        "b1": np.zeros((n_h, 1)),
        "W2": np.random.randn(n_y, n_h) * 0.01,
        "b2": np.zeros((n_y, 1)),
    }


def forward_propagation(X: ArrayLike, parameters: Named) -> tuple[Array, dict[str, Array]]:
    """Return (A2, cache): the probability of class 1 for each example, and all intermediate values.

        Z1 = W1 X + b1    A1 = tanh(Z1)    Z2 = W2 A1 + b2    A2 = sigmoid(Z2)

    X is (n_x, m). The cache holds Z1, A1 (n_h, m) and Z2, A2 (n_y, m).
    """
    (X,) = _examples(X=X)
    network = _network(parameters)
    _check_shape("X", X.shape, (network.sizes[0], X.shape[1]))
    Z, A = forward(network, X, TANH)
    A2 = BINARY.output(Z[1])[0]
    return A2, {"Z1": Z[0][0], "A1": A[0][0], "Z2": Z[1][0], "A2": A2}


def compute_cost(A2: ArrayLike, Y: ArrayLike, parameters: Named | None = None) -> float:
    """Return the cross-entropy of the probabilities A2 and the labels Y, a mean over the examples.

        J = -1/m sum(Y log(A2) + (1 - Y) log(1 - A2))

    A2 and Y are (n_y, m); several outputs are summed. A certain and correct prediction costs 0, because 0 log 0 counts
    as 0 (the formula as written gives NaN); a certain and wrong one costs inf. Near certainty A2 has already lost
    digits, so training computes the cost from Z2 instead. `parameters` is ignored; older notebooks pass it.
    """
    from scipy.special import xlog1py, xlogy

    A2, Y = _examples(A2=A2, Y=Y)
    _check_shape("Y", Y.shape, A2.shape)
    return float(-np.sum(xlogy(Y, A2) + xlog1py(1.0 - Y, -A2)) / Y.shape[1])


def backward_propagation(parameters: Named, cache: Named, X: ArrayLike, Y: ArrayLike) -> dict[str, Array]:
    """Return the gradient of the cost: dW1, db1, dW2, db2, each with the shape of its parameter.

        dZ2 = A2 - Y                    dW2 = 1/m dZ2 A1'    db2 = 1/m sum(dZ2)
        dZ1 = W2' dZ2 * (1 - A1^2)      dW1 = 1/m dZ1 X'     db1 = 1/m sum(dZ1)

    X is (n_x, m), Y is (n_y, m). A1 and A2 are taken from the cache, without checking them against the parameters.
    """
    X, Y = _examples(X=X, Y=Y)
    n_x, n_h, n_y = _network(parameters).sizes
    m = X.shape[1]
    W2, A1, A2 = (np.asarray(array, np.float64) for array in (parameters["W2"], cache["A1"], cache["A2"]))
    _check_shape("X", X.shape, (n_x, m))
    _check_shape("Y", Y.shape, (n_y, m))
    _check_shape("cache['A1']", A1.shape, (n_h, m))
    _check_shape("cache['A2']", A2.shape, (n_y, m))
    dZ2 = A2 - Y
    dZ1 = (W2.T @ dZ2) * (1.0 - A1**2)
    return {
        "dW1": dZ1 @ X.T / m,
        "db1": dZ1.sum(axis=1, keepdims=True) / m,
        "dW2": dZ2 @ A1.T / m,
        "db2": dZ2.sum(axis=1, keepdims=True) / m,
    }


def update_parameters(parameters: Named, grads: Named, learning_rate: float = LEARNING_RATE) -> dict[str, Array]:
    """Return the parameters after one step of gradient descent: W1 - learning_rate * dW1, and so on.

    The arguments are not modified.
    """
    shapes = {name: np.shape(value) for name, value in _network(parameters).as_dict().items()}
    for name in NAMES:
        _check_shape(f"grads['d{name}']", np.shape(grads[f"d{name}"]), shapes[name])
    return {
        name: np.asarray(parameters[name], np.float64) - learning_rate * np.asarray(grads[f"d{name}"], np.float64)
        for name in NAMES
    }


def nn_model(
    X: ArrayLike, Y: ArrayLike, n_h: int, num_iterations: int = 10000, print_cost: bool = False, *, seed: int = 3
) -> dict[str, Array]:
    """Train a network of n_h hidden units on X (n_x, m) and Y (n_y, m); return its parameters.

    Each iteration is a forward pass, a backward pass and one step with learning rate 1.2. `print_cost` prints the cost
    before iterations 0, 1000, 2000, ... Several outputs (n_y > 1) are independent yes-or-no questions.

    The function calls ``np.random.seed(seed)``, as the course does with 3, so every call returns the same network. The
    course reports the accuracies of one seed. Labels other than 0 and 1 raise ValueError.
    """
    X, Y = _examples(X=X, Y=Y)
    _check_integer("n_h", n_h, 1)
    _check_integer("num_iterations", num_iterations, 0)
    if not np.isin(Y, (0.0, 1.0)).all():
        raise ValueError(f"Y must hold only the labels 0 and 1, got {Y[~np.isin(Y, (0.0, 1.0))][0]}")
    np.random.seed(seed)
    network = Parameters.from_dict(initialize_parameters(X.shape[0], n_h, Y.shape[0]))
    printed = range(0, num_iterations, 1000) if print_cost else range(0)
    schedule = [*printed, num_iterations]
    snapshots = train(network, X, Y, activation=TANH, cost=BINARY, learning_rate=LEARNING_RATE, schedule=schedule)
    for snapshot in snapshots:
        if snapshot.iteration in printed:
            print(f"Cost after iteration {snapshot.iteration}: {snapshot.cost[0]:f}")
    return network.as_dict()


def predict(parameters: Named, X: ArrayLike, threshold: float = 0.5) -> Array:
    """Return the class of each example of X (n_x, m): 1 where A2 exceeds the threshold, else 0, as (n_y, m) integers.

    They are int64 and not bool, so that the course's accuracy formula is right for uint8 labels: in 8 bits,
    ``np.dot(Y, predictions.T)`` would wrap to 0 at 256 correct predictions.
    """
    probability, _ = forward_propagation(X, parameters)
    return (probability > threshold).astype(np.int64)


def _examples(**arrays: ArrayLike) -> list[Array]:
    """Return the arrays in float64, after checking that they are 2-D with the same number of columns (examples)."""
    checked = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    (first, reference), *_ = checked.items()
    for name, array in checked.items():
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"{name} must be a 2-D array with one column for each example, got shape {array.shape}")
        if array.shape[1] != reference.shape[1]:
            raise ValueError(
                f"{name} must have as many columns (examples) as {first}, {reference.shape[1]}, got shape {array.shape}"
            )
    return list(checked.values())


def _network(parameters: Named) -> Parameters:
    """Return W1, b1, W2, b2 as a stack of one network, after checking the shapes against W1 and W2."""
    arrays: dict[str, Array] = {name: np.asarray(parameters[name], np.float64) for name in NAMES}
    W1, W2 = arrays["W1"], arrays["W2"]
    for name, W in (("W1", W1), ("W2", W2)):
        if W.ndim != 2 or 0 in W.shape:
            raise ValueError(f"parameters['{name}'] must be 2-D, (n_out, n_in), got shape {W.shape}")
    n_h, n_y = W1.shape[0], W2.shape[0]
    for name, shape in (("W2", (n_y, n_h)), ("b1", (n_h, 1)), ("b2", (n_y, 1))):
        _check_shape(f"parameters['{name}']", arrays[name].shape, shape)
    return Parameters.from_dict(arrays)


def _check_shape(name: str, shape: tuple[int, ...], legal: tuple[int, ...]) -> None:
    if shape != legal:
        raise ValueError(f"{name} must have shape {legal}, got {shape}")


def _check_integer(name: str, number: int, smallest: int) -> None:
    if not isinstance(number, Integral) or number < smallest:
        raise ValueError(f"{name} must be an integer >= {smallest}, got {number!r}")
