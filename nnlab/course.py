"""The functions of the course, on the core of nnlab: same names, same signatures, same shapes.

Coursera, *Neural Networks and Deep Learning*, week 3: "Planar data classification with one hidden layer". A network
with one tanh layer and a sigmoid output, as its students write it, cell by cell:

    W1 (n_h, n_x)   b1 (n_h, 1)   W2 (n_y, n_h)   b2 (n_y, 1)   in a dict called parameters
    X  (n_x, m)     Y  (n_y, m)   one column for each of m examples; labels 0 or 1 of any dtype, also uint8 and bool

There is no stack axis here and everything is float64. Arrays of a wrong shape raise ValueError.
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
    """Return (n_x, n_h, n_y): how many inputs, hidden units and outputs the data ask for.

    X is (n_x, m), Y is (n_y, m). n_h is 4 whatever the data: the course fixes it here, and `nn_model` takes its own.
    """
    X, Y = _examples(X=X, Y=Y)
    return X.shape[0], 4, Y.shape[0]


def initialize_parameters(n_x: int, n_h: int, n_y: int) -> dict[str, Array]:
    """Draw small random weights, W1 before W2, as randn * 0.01; biases are zero.

    Equal units would stay equal, so the weights have to differ; the biases need not. The draws come from NumPy's
    global stream: call ``np.random.seed`` first (the course uses 2 here and 3 in `nn_model`). Older notebooks do so
    inside this function, newer ones outside, as here.
    """
    for name, size in (("n_x", n_x), ("n_h", n_h), ("n_y", n_y)):
        _at_least(name, size, 1)
    return {
        "W1": np.random.randn(n_h, n_x) * 0.01,
        "b1": np.zeros((n_h, 1)),
        "W2": np.random.randn(n_y, n_h) * 0.01,
        "b2": np.zeros((n_y, 1)),
    }


def forward_propagation(X: ArrayLike, parameters: Named) -> tuple[Array, dict[str, Array]]:
    """Return (A2, cache): the probability of class 1 for each example, and every step on the way to it.

        Z1 = W1 X + b1    A1 = tanh(Z1)    Z2 = W2 A1 + b2    A2 = sigmoid(Z2)

    X is (n_x, m). The cache holds Z1, A1 (n_h, m) and Z2, A2 (n_y, m).
    """
    (X,) = _examples(X=X)
    network = _network(parameters)
    _expect("X", X.shape, (network.sizes[0], X.shape[1]))
    Z, A = forward(network, X, TANH)
    A2 = BINARY.output(Z[1])[0]
    return A2, {"Z1": Z[0][0], "A1": A[0][0], "Z2": Z[1][0], "A2": A2}


def compute_cost(A2: ArrayLike, Y: ArrayLike, parameters: Named | None = None) -> float:
    """Return how badly the probabilities A2 fit the labels Y: the cross-entropy, a mean over the examples.

        J = -1/m sum(Y log(A2) + (1 - Y) log(1 - A2))

    A2 and Y are (n_y, m); several outputs are summed. A certain and right answer costs 0 (0 log 0 counts as 0, where
    the formula as written gives NaN), a certain and wrong one inf. Near certainty A2 has already lost digits, so
    training computes the cost from Z2 instead. `parameters` is not used; older notebooks pass it.
    """
    from scipy.special import xlog1py, xlogy

    A2, Y = _examples(A2=A2, Y=Y)
    _expect("Y", Y.shape, A2.shape)
    return float(-np.sum(xlogy(Y, A2) + xlog1py(1.0 - Y, -A2)) / Y.shape[1])


def backward_propagation(parameters: Named, cache: Named, X: ArrayLike, Y: ArrayLike) -> dict[str, Array]:
    """Return the gradient of the cost: dW1, db1, dW2, db2, each of the shape of what it belongs to.

        dZ2 = A2 - Y                    dW2 = 1/m dZ2 A1'    db2 = 1/m sum(dZ2)
        dZ1 = W2' dZ2 * (1 - A1^2)      dW1 = 1/m dZ1 X'     db1 = 1/m sum(dZ1)

    X is (n_x, m), Y (n_y, m); of the cache it needs A1 and A2, and it believes them, whatever the parameters say.
    """
    X, Y = _examples(X=X, Y=Y)
    n_x, n_h, n_y = _network(parameters).sizes
    m = X.shape[1]
    W2, A1, A2 = (np.asarray(of[name], np.float64) for of, name in ((parameters, "W2"), (cache, "A1"), (cache, "A2")))
    _expect("X", X.shape, (n_x, m))
    _expect("Y", Y.shape, (n_y, m))
    _expect("cache['A1']", A1.shape, (n_h, m))
    _expect("cache['A2']", A2.shape, (n_y, m))
    dZ2 = A2 - Y
    dZ1 = (W2.T @ dZ2) * (1.0 - A1**2)
    return {
        "dW1": dZ1 @ X.T / m,
        "db1": dZ1.sum(axis=1, keepdims=True) / m,
        "dW2": dZ2 @ A1.T / m,
        "db2": dZ2.sum(axis=1, keepdims=True) / m,
    }


def update_parameters(parameters: Named, grads: Named, learning_rate: float = LEARNING_RATE) -> dict[str, Array]:
    """Return the parameters one step of gradient descent later: W1 - learning_rate * dW1, and so on.

    The arrays passed in stay as they are.
    """
    shapes = {name: np.shape(value) for name, value in _network(parameters).as_dict().items()}
    for name in NAMES:
        _expect(f"grads['d{name}']", np.shape(grads[f"d{name}"]), shapes[name])
    return {
        name: np.asarray(parameters[name], np.float64) - learning_rate * np.asarray(grads[f"d{name}"], np.float64)
        for name in NAMES
    }


def nn_model(
    X: ArrayLike, Y: ArrayLike, n_h: int, num_iterations: int = 10000, print_cost: bool = False, *, seed: int = 3
) -> dict[str, Array]:
    """Train a network of n_h hidden units on X (n_x, m) and Y (n_y, m); return its parameters.

    Each iteration goes forward, backward and one step of learning rate 1.2. With `print_cost` the cost before
    iterations 0, 1000, 2000, ... is printed. Several outputs (n_y > 1) are independent yes-or-no questions.

    It calls ``np.random.seed(seed)``, as the course does with 3, so that every call gives the same network; the
    accuracies that the course reports are those of one seed. Labels other than 0 and 1 raise ValueError.
    """
    X, Y = _examples(X=X, Y=Y)
    _at_least("n_h", n_h, 1)
    _at_least("num_iterations", num_iterations, 0)
    if not np.isin(Y, (0.0, 1.0)).all():
        raise ValueError(f"Y must hold only the labels 0 and 1, got {Y[~np.isin(Y, (0.0, 1.0))][0]}")
    np.random.seed(seed)
    network = Parameters.from_dict(initialize_parameters(X.shape[0], n_h, Y.shape[0]))
    printed = range(0, num_iterations, 1000) if print_cost else range(0)
    schedule = [*printed, num_iterations]
    for seen in train(network, X, Y, activation=TANH, cost=BINARY, learning_rate=LEARNING_RATE, schedule=schedule):
        if seen.iteration in printed:
            print(f"Cost after iteration {seen.iteration}: {seen.cost[0]:f}")
    return network.as_dict()


def predict(parameters: Named, X: ArrayLike, threshold: float = 0.5) -> Array:
    """Return the class of each example of X (n_x, m): 1 where A2 exceeds the threshold, else 0, as (n_y, m) integers.

    They are int64 and not bool, so that the course's accuracy formula counts right with uint8 labels:
    ``np.dot(Y, predictions.T)`` in 8 bits starts again from 0 at 256 correct answers.
    """
    probability, _ = forward_propagation(X, parameters)
    return (probability > threshold).astype(np.int64)


def _examples(**arrays: ArrayLike) -> list[Array]:
    """Return each array in float64, checked to be 2-D with the examples as columns, equally many in all."""
    checked = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    (first, leader), *_ = checked.items()
    for name, array in checked.items():
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"{name} must be a 2-D array with one column for each example, got shape {array.shape}")
        if array.shape[1] != leader.shape[1]:
            raise ValueError(
                f"{name} must have as many columns (examples) as {first}, {leader.shape[1]}, got shape {array.shape}"
            )
    return list(checked.values())


def _network(parameters: Named) -> Parameters:
    """Return the dict of W1, b1, W2, b2 as a stack of one network, its shapes checked against W1 and W2."""
    arrays: dict[str, Array] = {name: np.asarray(parameters[name], np.float64) for name in NAMES}
    W1, W2 = arrays["W1"], arrays["W2"]
    for name, W in (("W1", W1), ("W2", W2)):
        if W.ndim != 2 or 0 in W.shape:
            raise ValueError(f"parameters['{name}'] must be 2-D, (n_out, n_in), got shape {W.shape}")
    n_h, n_y = W1.shape[0], W2.shape[0]
    for name, shape in (("W2", (n_y, n_h)), ("b1", (n_h, 1)), ("b2", (n_y, 1))):
        _expect(f"parameters['{name}']", arrays[name].shape, shape)
    return Parameters.from_dict(arrays)


def _expect(name: str, shape: tuple[int, ...], legal: tuple[int, ...]) -> None:
    if shape != legal:
        raise ValueError(f"{name} must have shape {legal}, got {shape}")


def _at_least(name: str, number: int, least: int) -> None:
    if not isinstance(number, Integral) or number < least:
        raise ValueError(f"{name} must be an integer >= {least}, got {number!r}")
