"""The contestants of `speed.py`: the same gradient descent in other libraries, in the course's code and in nnlab."""

import copy
import importlib.util
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.network.training import train

__all__ = [
    "ALONE",
    "FLOOR",
    "JAX",
    "JAX_VMAP",
    "NOTES",
    "OPTIONAL",
    "ROWS",
    "STACKED",
    "TOLERANCE",
    "Contestant",
    "DisagreementError",
    "Jax",
    "Nnlab",
    "Problem",
    "check_agreement",
    "contestants",
    "installed",
]

NOTES, SKLEARN, TORCH = "the notes' code, re-implemented", "scikit-learn MLPClassifier", "PyTorch, eager"
JAX, JAX_VMAP = "JAX, jit + scan, one run", "JAX, jit + scan + vmap of 16"
ALONE, STACKED, FLOOR = "nnlab, one run", "nnlab, stacked", "one np.tanh pass, same arrays"
ROWS = (NOTES, SKLEARN, TORCH, JAX, JAX_VMAP, ALONE, STACKED, FLOOR)
OPTIONAL = {"jax": (JAX, JAX_VMAP), "torch": (TORCH,)}
TOLERANCE = {"float64": 1e-6, "float32": 1e-3}

Weights = dict[str, Array]
Layers = list[tuple[Any, Any]]


class DisagreementError(Exception):
    """Two contestants compute different things, so their times cannot be compared."""


@dataclass(frozen=True)
class Problem:
    """The input of every contestant: X (n_x, m), Y (1, m) of 0 and 1, and initial networks, all of one dtype.

    A contestant that trains R networks takes the first R of `start`. One `advance` takes `iterations` iterations.
    """

    X: Array
    Y: Array
    start: Parameters
    activation: str
    learning_rate: float
    iterations: int


def installed(package: str) -> bool:
    """Return True if a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


class Contestant(ABC):
    """Trains the first `runs` networks of a problem by full-batch gradient descent."""

    def __init__(self, problem: Problem, runs: int = 1) -> None:
        self.problem, self.runs = problem, runs

    @abstractmethod
    def advance(self) -> None:
        """Train for `problem.iterations` more iterations."""

    def weights(self) -> Weights | None:
        """Return the first network as `{"W1": (n_1, n_x), "b1": (n_1, 1), ...}`; None if it is not comparable."""
        return None


def _relu(Z: Array) -> Array:
    return np.maximum(0, Z)


def _leaky_relu(Z: Array) -> Array:
    return np.where(Z > 0, Z, 0.01 * Z)


def _sigmoid(Z: Array) -> Array:
    return 1 / (1 + np.exp(-Z))


NOTES_ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], NDArray[Any]]]] = {
    "tanh": (np.tanh, lambda A: 1 - np.power(A, 2)),
    "relu": (_relu, lambda A: A > 0),
    "leaky_relu": (_leaky_relu, lambda A: np.where(A > 0, 1.0, 0.01)),
    "sigmoid": (_sigmoid, lambda A: A * (1 - A)),
}
"""g(Z), and g' as a function of A."""


class Notes(Contestant):
    """The loop of the course's notes: forward, cost, backward, update of a copy; every line allocates new arrays."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.parameters = problem.start.as_dict()
        self.depth = len(self.parameters) // 2
        self.g, self.g_prime = NOTES_ACTIVATIONS[problem.activation]

    def advance(self) -> None:
        X, Y = self.problem.X, self.problem.Y
        for _ in range(self.problem.iterations):
            cache = self.forward(X)
            self.cost = self.compute_cost(cache[f"A{self.depth}"], Y)
            self.update(self.backward(cache, Y))

    def forward(self, X: Array) -> Weights:
        cache = {"A0": X}
        for layer in range(1, self.depth + 1):
            Z = np.dot(self.parameters[f"W{layer}"], cache[f"A{layer - 1}"]) + self.parameters[f"b{layer}"]
            cache[f"A{layer}"] = self.g(Z) if layer < self.depth else _sigmoid(Z)
        return cache

    def compute_cost(self, A: Array, Y: Array) -> float:
        log_probabilities = np.multiply(np.log(A), Y) + np.multiply(np.log(1 - A), 1 - Y)
        return float(-np.sum(log_probabilities) / Y.shape[1])

    def backward(self, cache: Weights, Y: Array) -> Weights:
        m, gradients = Y.shape[1], {}
        dZ = cache[f"A{self.depth}"] - Y
        for layer in range(self.depth, 0, -1):
            A = cache[f"A{layer - 1}"]
            gradients[f"W{layer}"] = 1 / m * np.dot(dZ, A.T)
            gradients[f"b{layer}"] = 1 / m * np.sum(dZ, axis=1, keepdims=True)
            if layer > 1:
                dZ = np.multiply(np.dot(self.parameters[f"W{layer}"].T, dZ), self.g_prime(A))
        return gradients

    def update(self, gradients: Weights) -> None:
        parameters = copy.deepcopy(self.parameters)
        for name, gradient in gradients.items():
            parameters[name] = parameters[name] - self.problem.learning_rate * gradient
        self.parameters = parameters

    def weights(self) -> Weights:
        return self.parameters


class ScikitLearn(Contestant):
    """MLPClassifier with plain gradient descent. Every `advance` restarts from weights that it draws itself."""

    def __init__(self, problem: Problem) -> None:
        from sklearn.neural_network import MLPClassifier

        super().__init__(problem)
        self.inputs, self.labels = np.ascontiguousarray(problem.X.T), problem.Y[0].astype(int)
        self.model = MLPClassifier(
            hidden_layer_sizes=problem.start.sizes[1:-1],
            activation={"sigmoid": "logistic"}.get(problem.activation, problem.activation),
            solver="sgd",
            alpha=0.0,
            batch_size=len(self.labels),
            learning_rate_init=problem.learning_rate,
            momentum=0.0,
            max_iter=problem.iterations,
            n_iter_no_change=problem.iterations + 1,
            shuffle=False,
            random_state=1,
        )

    def advance(self) -> None:
        from sklearn.exceptions import ConvergenceWarning

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.inputs, self.labels)


class Torch(Contestant):
    """PyTorch as in its tutorials: nn.Sequential, BCEWithLogitsLoss, optim.SGD, no compilation."""

    def __init__(self, problem: Problem) -> None:
        import torch

        torch.set_num_threads(1)
        super().__init__(problem)
        self.inputs, self.labels = torch.tensor(problem.X.T.copy()), torch.tensor(problem.Y.T.copy())
        self.linear = [self._linear(theta[0]) for theta in problem.start.theta]
        g = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid}[problem.activation]
        hidden = [module for linear in self.linear[:-1] for module in (linear, g())]
        self.model = torch.nn.Sequential(*hidden, self.linear[-1])
        self.loss = torch.nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=problem.learning_rate)

    @staticmethod
    def _linear(theta: Array) -> Any:
        import torch

        n_out, n_in = theta[:, :-1].shape
        linear = torch.nn.Linear(n_in, n_out, dtype=torch.tensor(theta).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(theta[:, :-1]))
            linear.bias.copy_(torch.tensor(theta[:, -1]))
        return linear

    def advance(self) -> None:
        for _ in range(self.problem.iterations):
            self.optimizer.zero_grad()
            self.loss(self.model(self.inputs), self.labels).backward()
            self.optimizer.step()

    def weights(self) -> Weights:
        named = {}
        for layer, linear in enumerate(self.linear, start=1):
            named[f"W{layer}"] = linear.weight.detach().numpy()
            named[f"b{layer}"] = linear.bias.detach().numpy()[:, None]
        return named


class Jax(Contestant):
    """JAX: all iterations of an `advance` in one compiled scan; several runs by vmap over that scan."""

    def __init__(self, problem: Problem, runs: int = 1) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        super().__init__(problem, runs)
        start, stacked = problem.start, runs > 1
        networks = slice(runs) if stacked else 0
        self.layers = [(W[networks], b[networks]) for W, b in zip(start.W, start.b, strict=True)]
        scan = self._scan()
        self.train = jax.jit(jax.vmap(scan) if stacked else scan)

    def _scan(self) -> Callable[[Layers], Layers]:
        import jax
        import jax.numpy as jnp

        problem = self.problem
        g = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[problem.activation]
        sign = 1 - 2 * problem.Y

        def loss(layers: Layers) -> Any:
            A = problem.X
            for W, b in layers[:-1]:
                A = g(W @ A + b)
            W, b = layers[-1]
            return jnp.mean(jnp.logaddexp(0, sign * (W @ A + b)))

        def iterate(layers: Layers, _: None) -> tuple[Layers, None]:
            gradients = jax.grad(loss)(layers)
            return jax.tree.map(lambda p, d: p - problem.learning_rate * d, layers, gradients), None

        return lambda layers: jax.lax.scan(iterate, layers, None, length=problem.iterations)[0]

    def advance(self) -> None:
        import jax

        self.layers = jax.block_until_ready(self.train(self.layers))

    def weights(self) -> Weights:
        first = 0 if self.runs > 1 else ...
        named = {}
        for layer, (W, b) in enumerate(self.layers, start=1):
            named[f"W{layer}"], named[f"b{layer}"] = np.asarray(W)[first], np.asarray(b)[first]
        return named


class Nnlab(Contestant):
    """`nnlab.network.training.train` on a stack, with a checkpoint only at the end of each `advance`."""

    LONGEST = 1000
    """The largest number of calls of `advance`."""

    def __init__(self, problem: Problem, runs: int = 1) -> None:
        super().__init__(problem, runs)
        self.parameters = Parameters(problem.start.sizes, problem.start.flat[:runs].copy())
        stops = range(problem.iterations, problem.iterations * self.LONGEST + 1, problem.iterations)
        self.snapshots = train(
            self.parameters,
            problem.X,
            problem.Y,
            activation=ACTIVATIONS[problem.activation],
            cost=COSTS["binary"],
            learning_rate=problem.learning_rate,
            schedule=stops,
        )

    def advance(self) -> None:
        next(self.snapshots)

    def weights(self) -> Weights:
        return self.parameters.as_dict()


class TanhPass(Contestant):
    """No training, only one `np.tanh` over the hidden layers of a stack: a lower bound."""

    def __init__(self, problem: Problem, runs: int = 1) -> None:
        super().__init__(problem, runs)
        m, rng = problem.X.shape[1], np.random.default_rng(1)
        self.Z = [rng.standard_normal((runs, n, m)).astype(problem.X.dtype) for n in problem.start.sizes[1:-1]]

    def advance(self) -> None:
        for _ in range(self.problem.iterations):
            for Z in self.Z:
                np.tanh(Z, out=Z)


def contestants(problem: Problem, R: int) -> dict[str, Contestant]:
    """Return the contestants whose libraries are installed; `R` is the size of nnlab's stack."""
    peers: dict[str, Contestant] = {NOTES: Notes(problem), SKLEARN: ScikitLearn(problem)}
    if installed("torch"):
        peers[TORCH] = Torch(problem)
    if installed("jax"):
        peers |= {JAX: Jax(problem), JAX_VMAP: Jax(problem, 16)}
    return peers | {ALONE: Nnlab(problem), STACKED: Nnlab(problem, R), FLOOR: TanhPass(problem, R)}


def check_agreement(problem: Problem, peers: Mapping[str, Contestant]) -> None:
    """Raise DisagreementError unless all contestants that started from the same weights have the same cost."""
    networks = {name: weights for name, peer in peers.items() if (weights := peer.weights()) is not None}
    costs = {name: _cost(problem, weights) for name, weights in networks.items()}
    reference, expected = next(iter(costs.items()))
    tolerance = TOLERANCE[problem.X.dtype.name]
    for name, cost in costs.items():
        if not abs(cost - expected) <= tolerance * expected:
            raise DisagreementError(
                f"after {problem.iterations} iterations with {problem.activation}, layer sizes "
                f"{problem.start.sizes}, the cost must be the same to {tolerance:g}, "
                f"got {expected:.9g} from {reference} and {cost:.9g} from {name}"
            )


def _cost(problem: Problem, weights: Weights) -> float:
    Z, _ = forward(Parameters.from_dict(weights), problem.X, ACTIVATIONS[problem.activation])
    binary = COSTS["binary"]
    return float(binary.loss(Z[-1], binary.encode(problem.Y)).mean())
