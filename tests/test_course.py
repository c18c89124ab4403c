"""The course's functions against the course's numbers, and the core against its published training runs."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegressionCV

from nnlab import course
from nnlab.config import DataConfig
from nnlab.datasets import Dataset, load_dataset
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward
from nnlab.network.training import Snapshot, train
from nnlab.seeding import legacy_stream

Array = NDArray[Any]

NUMBERS = json.loads((Path(__file__).parent / "data" / "course_numbers.json").read_text())
BINARY = COSTS["binary"]


def arrays(named: dict[str, Any]) -> dict[str, Array]:
    return {name: np.array(value) for name, value in named.items()}


def weights() -> dict[str, Array]:
    return {**arrays(NUMBERS["weights"]), "b1": np.zeros((4, 1)), "b2": np.zeros((1, 1))}


def random_data(seed: int, n_x: int, m: int) -> tuple[Array, Array]:
    """Return X and Y as the course's tests draw them; Y is bool."""
    rng = legacy_stream(seed)
    return rng.randn(n_x, m), rng.randn(1, m) > 0


@cache
def flower() -> Dataset:
    return load_dataset(DataConfig(name="flower"))


@cache
def circles() -> Dataset:
    return load_dataset(DataConfig(name="circles", m=300, test_m=100, noise=0.05, seed=1))


def legacy(sizes: Sequence[int], seeds: Sequence[int], scheme: str = "normal", scale: float = 0.01) -> Parameters:
    return Parameters(
        sizes, np.concatenate([initialize(sizes, scheme, scale, legacy_stream(seed)).flat for seed in seeds])
    )


def trained(network: Parameters, data: Dataset, schedule: Sequence[int], **options: Any) -> list[Snapshot]:
    choices = {"activation": ACTIVATIONS["tanh"], "learning_rate": 1.2, **options}
    return list(train(network, data.X, data.Y, cost=BINARY, schedule=schedule, **choices))


def percent(snapshot: Snapshot) -> Array:
    return 100.0 * BINARY.score(snapshot.Z[-1], snapshot.Y)


# ---- the course's own tests of the single functions


@pytest.mark.parametrize("case", NUMBERS["layer_sizes"])
def test_layer_sizes(case: dict[str, Any]) -> None:
    assert course.layer_sizes(np.ones(case["X"]), np.ones(case["Y"])) == tuple(case["sizes"])


@pytest.mark.parametrize("case", NUMBERS["initialize_parameters"]["cases"], ids=str)
def test_initialize_parameters(case: dict[str, Any]) -> None:
    n_x, n_h, n_y = case["sizes"]
    np.random.seed(NUMBERS["initialize_parameters"]["seed"])
    parameters = course.initialize_parameters(n_x, n_h, n_y)
    tolerance = NUMBERS["initialize_parameters"]["tolerance"]
    assert list(parameters) == ["W1", "b1", "W2", "b2"]
    assert_allclose(parameters["W1"], case["W1"], rtol=0, atol=tolerance)
    assert_allclose(parameters["W2"], case["W2"], rtol=0, atol=tolerance)
    assert_array_equal(parameters["b1"], np.zeros((n_h, 1)), strict=True)
    assert_array_equal(parameters["b2"], np.zeros((n_y, 1)), strict=True)


def forward_case() -> tuple[Array, dict[str, Array]]:
    rng = legacy_stream(NUMBERS["forward_propagation"]["seed"])
    X = rng.randn(2, 3)
    return X, {**weights(), "b1": rng.randn(4, 1), "b2": np.array(NUMBERS["forward_propagation"]["b2"])}


@pytest.mark.parametrize("name", ["Z1", "A1", "Z2", "A2"])
def test_forward_propagation(name: str) -> None:
    numbers = NUMBERS["forward_propagation"]
    A2, cached = course.forward_propagation(*forward_case())
    assert A2 is cached["A2"]
    assert_allclose(cached[name], numbers[name], rtol=0, atol=numbers["tolerance"])
    assert cached[name].mean() == pytest.approx(numbers["means"][name], rel=0, abs=numbers["means_tolerance"])


@pytest.mark.parametrize("case", NUMBERS["compute_cost"]["cases"], ids=str)
def test_compute_cost(case: dict[str, Any]) -> None:
    A2 = np.array(case["A2"])
    Y = legacy_stream(NUMBERS["compute_cost"]["seed"]).randn(*A2.shape) > 0
    cost = course.compute_cost(A2, Y)
    assert type(cost) is float
    assert cost == pytest.approx(case["cost"], rel=0, abs=NUMBERS["compute_cost"]["tolerance"])
    assert course.compute_cost(A2, Y, weights()) == cost


def backward_case(case: dict[str, Any]) -> tuple[dict[str, Array], dict[str, Array], Array, Array]:
    rng = legacy_stream(NUMBERS["backward_propagation"]["seed"])
    n_x, m = case["shape"]
    X, Y = rng.randn(n_x, m), rng.randn(1, m) > 0
    if "cache" in case:
        return weights(), arrays(case["cache"]), X, Y
    n_h = case["n_h"]
    parameters = {"W1": rng.randn(n_h, n_x), "W2": rng.randn(1, n_h), "b1": np.zeros((n_h, 1)), "b2": np.zeros((1, 1))}
    return parameters, {"A1": rng.randn(n_h, m), "A2": rng.randn(1, m)}, X, Y


@pytest.mark.parametrize("case", NUMBERS["backward_propagation"]["cases"], ids=["its own cache", "any cache"])
@pytest.mark.parametrize("name", ["dW1", "db1", "dW2", "db2"])
def test_backward_propagation(case: dict[str, Any], name: str) -> None:
    grads = course.backward_propagation(*backward_case(case))
    tolerance = NUMBERS["backward_propagation"]["tolerance"]
    assert grads[name].shape == np.shape(case["grads"][name])
    assert_allclose(grads[name], case["grads"][name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_update_parameters(name: str) -> None:
    numbers = NUMBERS["update_parameters"]
    parameters, grads = arrays(numbers["parameters"]), arrays(numbers["grads"])
    updated = course.update_parameters(parameters, grads)[name]
    assert_allclose(updated, numbers["updated"][name], rtol=0, atol=numbers["tolerance"])
    assert_array_equal(updated, parameters[name] - numbers["learning_rate"] * grads[f"d{name}"])


def test_update_parameters_does_not_modify_its_arguments() -> None:
    numbers = NUMBERS["update_parameters"]
    parameters, grads = arrays(numbers["parameters"]), arrays(numbers["grads"])
    updated = course.update_parameters(parameters, grads, learning_rate=0.0)
    updated["W1"][...] = 7.0
    assert_array_equal(parameters["W1"], numbers["parameters"]["W1"])
    assert_array_equal(grads["dW1"], numbers["grads"]["dW1"])


@pytest.mark.parametrize("case", NUMBERS["nn_model"]["cases"], ids=lambda case: f"seed {case['seed']}")
@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_nn_model(case: dict[str, Any], name: str) -> None:
    numbers = NUMBERS["nn_model"]
    X, Y = random_data(numbers["data_seed"], 2, 3)
    seed = {} if case["seed"] == 3 else {"seed": case["seed"]}
    parameters = course.nn_model(X, Y, numbers["n_h"], **seed)
    assert parameters[name].shape == np.shape(case[name])
    assert_allclose(parameters[name], case[name], rtol=0, atol=numbers["tolerance"])


def test_nn_model_prints_costs(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = NUMBERS["nn_model"]
    X, Y = random_data(numbers["data_seed"], 2, 3)
    course.nn_model(X, Y, numbers["n_h"], print_cost=True, seed=numbers["costs"]["seed"])
    lines = [line.split(": ") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [f"Cost after iteration {i}" for i in range(0, 10000, 1000)]
    costs = [float(line[1]) for line in lines][:3]
    assert_allclose(costs, numbers["costs"]["costs"], rtol=0, atol=numbers["costs"]["tolerance"])


def test_predict() -> None:
    X = legacy_stream(NUMBERS["predict"]["seed"]).randn(2, 3)
    predictions = course.predict(arrays(NUMBERS["update_parameters"]["parameters"]), X)
    assert_array_equal(predictions, NUMBERS["predict"]["predictions"])


# ---- beyond the course's own tests


def test_a_step_of_the_course_equals_a_step_of_the_core() -> None:
    X, parameters = forward_case()
    Y = np.array([[1, 0, 1]])
    network, activation = Parameters.from_dict(parameters), ACTIVATIONS["tanh"]
    Z, A = forward(network, X, activation)
    _, gradient = backward(network, X, BINARY.encode(Y), Z, A, activation, BINARY)
    A2, cached = course.forward_propagation(X, parameters)
    grads = course.backward_propagation(parameters, cached, X, Y)
    flat = [np.ravel(grads[f"d{name}"]) for name in parameters]
    expected = [np.ravel(gradient.as_dict()[name]) for name in parameters]
    assert_allclose(np.concatenate(flat), np.concatenate(expected), rtol=1e-12)
    assert course.compute_cost(A2, Y) == pytest.approx(BINARY.loss(Z[-1], BINARY.encode(Y)).mean(), rel=1e-14)


@pytest.mark.parametrize("n_y", [1, 2])
def test_nn_model_equals_a_loop_over_the_single_functions(n_y: int) -> None:
    rng = legacy_stream(5)
    X, Y = rng.randn(3, 20), rng.randn(n_y, 20) > 0
    np.random.seed(3)
    parameters = course.initialize_parameters(3, 6, n_y)
    for _ in range(200):
        _, cached = course.forward_propagation(X, parameters)
        parameters = course.update_parameters(parameters, course.backward_propagation(parameters, cached, X, Y))
    model = course.nn_model(X, Y, 6, num_iterations=200)
    assert_allclose(model["W1"], parameters["W1"], rtol=1e-9)
    assert_allclose(model["b2"], parameters["b2"], rtol=1e-9)
    assert course.predict(model, X).shape == (n_y, 20)


def test_nn_model_without_iterations_returns_the_initial_parameters() -> None:
    np.random.seed(3)
    expected = course.initialize_parameters(2, 3, 1)
    model = course.nn_model(flower().X, flower().Y, 3, num_iterations=0)
    assert_array_equal(model["W1"], expected["W1"])
    assert_array_equal(model["W2"], expected["W2"])


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int64, np.float32])
def test_the_dtype_of_the_labels_does_not_matter(dtype: Any) -> None:
    X, Y = flower().X, flower().Y
    model = course.nn_model(X, Y.astype(dtype), 4, num_iterations=50)
    assert_array_equal(model["W1"], course.nn_model(X, Y, 4, num_iterations=50)["W1"])


def test_the_accuracy_formula_of_the_course_counts_beyond_256_with_uint8_labels() -> None:
    X, Y = flower().X, flower().Y.astype(np.uint8)
    predictions = course.predict(course.nn_model(X, Y, 4, num_iterations=5000), X)
    correct = np.dot(Y, predictions.T) + np.dot(1 - Y, 1 - predictions.T)
    assert 100.0 * float(correct.item()) / Y.size == 90.5


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_predict_compares_with_the_threshold(threshold: float) -> None:
    X, parameters = flower().X, course.nn_model(flower().X, flower().Y, 4, num_iterations=300)
    A2, _ = course.forward_propagation(X, parameters)
    assert_array_equal(course.predict(parameters, X, threshold=threshold), np.greater(A2, threshold))


@pytest.mark.parametrize(
    ("A2", "Y", "cost"),
    [
        ([[1.0, 0.0]], [[1, 0]], 0.0),
        ([[1.0, 0.0]], [[0, 0]], np.inf),
        ([[0.0, 0.5]], [[1, 0]], np.inf),
        ([[0.5, 0.5], [0.5, 0.5]], [[1, 0], [1, 0]], 2 * np.log(2)),
        ([[1e-300, 1e-20]], [[0, 0]], 0.5e-20),
    ],
)
def test_cost_of_certain_predictions_and_of_several_outputs(
    A2: list[list[float]], Y: list[list[int]], cost: float
) -> None:
    assert course.compute_cost(A2, Y) == pytest.approx(cost, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: course.layer_sizes(np.ones(3), np.ones((1, 3))), r"X must be a 2-D array .*got shape \(3,\)"),
        (lambda: course.layer_sizes(np.ones((2, 0)), np.ones((1, 0))), r"X must be a 2-D array .*got shape \(2, 0\)"),
        (lambda: course.layer_sizes(np.ones((2, 3)), np.ones((1, 4))), r"Y must have as many columns .*\(1, 4\)"),
        (lambda: course.nn_model(np.ones((2, 3)), np.ones((3, 1)), 4), r"Y must have as many columns .*\(3, 1\)"),
        (lambda: course.nn_model(np.ones((2, 3)), np.ones((1, 3)), 0), "n_h must be an integer >= 1, got 0"),
        (
            lambda: course.nn_model(np.ones((2, 3)), np.ones((1, 3)), 4, num_iterations=-1),
            "num_iterations must be an integer >= 0, got -1",
        ),
        (lambda: course.nn_model(np.ones((2, 1)), [[0.5]], 4), "Y must hold only the labels 0 and 1, got 0.5"),
        (lambda: course.initialize_parameters(2, 4.0, 1), "n_h must be an integer >= 1, got 4.0"),
        (lambda: course.forward_propagation(np.ones((3, 5)), weights()), r"X must have shape \(2, 5\), got \(3, 5\)"),
        (lambda: course.predict({**weights(), "b1": np.zeros((1, 1))}, np.ones((2, 5))), r"parameters\['b1'\] must"),
        (lambda: course.predict({**weights(), "W1": np.zeros(4)}, np.ones((2, 5))), r"parameters\['W1'\] must be 2-D"),
        (lambda: course.compute_cost(np.ones((1, 3)), np.ones((2, 3))), r"Y must have shape \(1, 3\), got \(2, 3\)"),
        (
            lambda: course.backward_propagation(
                weights(), {"A1": np.ones((4, 1)), "A2": np.ones((1, 3))}, np.ones((2, 3)), np.ones((1, 3))
            ),
            r"cache\['A1'\] must have shape \(4, 3\), got \(4, 1\)",
        ),
        (
            lambda: course.update_parameters(weights(), {**{f"d{k}": v for k, v in weights().items()}, "db1": [[0.0]]}),
            r"grads\['db1'\] must have shape \(4, 1\), got \(1, 1\)",
        ),
    ],
)
def test_illegal_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- the published training runs


def test_the_flower_matches_the_published_points() -> None:
    numbers, X = NUMBERS["flower"], flower().X
    assert X.shape == (2, 400)
    assert X.sum() == pytest.approx(numbers["sum"], rel=0, abs=numbers["sum_tolerance"])
    assert_allclose(X[:, 0], numbers["first"], rtol=0, atol=numbers["point_tolerance"])
    assert_allclose(X[:, -1], numbers["last"], rtol=0, atol=numbers["point_tolerance"])


BY_SEED = pytest.mark.parametrize("numbers", NUMBERS["training"]["seeds"], ids=lambda case: f"seed {case['seed']}")


@cache
def flower_runs() -> tuple[list[Snapshot], Array]:
    """Train both published seeds in one stack; return a snapshot every 1000 iterations, and costs (seed, snapshot)."""
    numbers = NUMBERS["training"]
    network = legacy((2, numbers["n_h"], 1), [case["seed"] for case in numbers["seeds"]])
    schedule = range(0, numbers["iterations"] + 1, 1000)
    snapshots = trained(network, flower(), schedule, learning_rate=numbers["learning_rate"])
    return snapshots, np.array([snapshot.cost for snapshot in snapshots]).T


@BY_SEED
def test_costs_on_the_flower(numbers: dict[str, Any]) -> None:
    costs = flower_runs()[1][NUMBERS["training"]["seeds"].index(numbers)]
    assert_allclose(costs[: len(numbers["costs"])], numbers["costs"], rtol=0, atol=numbers["tolerance"])
    late = [costs[int(iteration) // 1000] for iteration in numbers["late_costs"]]
    assert_allclose(late, list(numbers["late_costs"].values()), rtol=0, atol=numbers["late_tolerance"])


@BY_SEED
def test_costs_on_the_flower_in_textbook_order(numbers: dict[str, Any]) -> None:
    X, Y = flower().X, flower().Y
    np.random.seed(numbers["seed"])
    parameters = course.initialize_parameters(2, NUMBERS["training"]["n_h"], 1)
    costs = []
    for iteration in range(9001):
        A2, cached = course.forward_propagation(X, parameters)
        if iteration % 1000 == 0:
            costs.append(course.compute_cost(A2, Y))
        parameters = course.update_parameters(parameters, course.backward_propagation(parameters, cached, X, Y))
    assert_allclose(costs[: len(numbers["costs"])], numbers["costs"], rtol=0, atol=numbers["tolerance"])
    late = [costs[int(iteration) // 1000] for iteration in numbers["late_costs"]]
    assert_allclose(late, list(numbers["late_costs"].values()), rtol=0, atol=numbers["late_tolerance"])


def test_accuracy_on_the_flower() -> None:
    assert set(percent(flower_runs()[0][-1])) <= set(NUMBERS["training"]["accuracies"])


@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
def test_scikit_learns_logistic_regression_fails_on_the_flower() -> None:
    numbers, X, y = NUMBERS["logistic_regression"], flower().X.T, flower().Y[0]
    accuracy = 100.0 * LogisticRegressionCV().fit(X, y).score(X, y)
    assert accuracy == pytest.approx(numbers["accuracy"], abs=numbers["tolerance"])


def test_a_network_without_hidden_layer_is_logistic_regression() -> None:
    numbers = NUMBERS["logistic_regression"]
    accuracies = percent(trained(legacy((2, 1), [3, 2]), flower(), [2000])[-1])
    assert_allclose(accuracies, numbers["accuracy"], atol=numbers["tolerance"])


@pytest.mark.parametrize("case", NUMBERS["hidden_sizes"]["accuracies"], ids=lambda case: f"n_h {case['n_h']}")
def test_hidden_sizes(case: dict[str, Any]) -> None:
    numbers = NUMBERS["hidden_sizes"]
    network = legacy((2, case["n_h"], 1), numbers["seeds"])
    accuracies = percent(trained(network, flower(), [numbers["iterations"]])[-1])
    low, high = case["range"]
    assert low <= accuracies.min()
    assert accuracies.max() <= high


@cache
def accuracies_of_seeds(n_h: int) -> Array:
    """Return the accuracies of seeds 0 to 14."""
    return percent(trained(legacy((2, n_h, 1), range(15)), flower(), [NUMBERS["ten_seeds"]["iterations"]])[-1])


@pytest.mark.parametrize("case", NUMBERS["ten_seeds"]["measured"], ids=lambda case: f"from {case['first_seed']}")
@pytest.mark.parametrize("n_h", [5, 20])
def test_medians_of_ten_seeds(case: dict[str, Any], n_h: int) -> None:
    first = case["first_seed"]
    median = np.median(accuracies_of_seeds(n_h)[first : first + 10])
    tolerance = NUMBERS["ten_seeds"]["measured_tolerance"]
    assert median == pytest.approx(case["medians"][str(n_h)], rel=0, abs=tolerance)


# ---- the initialization assignment


@cache
def circle_runs() -> list[Snapshot]:
    """Train zeros, he and randn * 10 in one stack; return a snapshot every 1000 iterations."""
    numbers = NUMBERS["initialization"]
    schemes = [("zeros", 0.0), ("he", 1.0), ("normal", numbers["normal"]["scale"])]
    stack = [legacy(numbers["sizes"], [numbers["seed"]], *scheme).flat for scheme in schemes]
    return trained(
        Parameters(numbers["sizes"], np.concatenate(stack)),
        circles(),
        range(0, numbers["iterations"] + 1, 1000),
        activation=ACTIVATIONS["relu"],
        learning_rate=numbers["learning_rate"],
    )


def circle_costs(run: int) -> Array:
    return np.array([snapshot.cost[run] for snapshot in circle_runs()])


def circle_accuracy(run: int, X: Array, Y: Array) -> float:
    Z, _ = forward(circle_runs()[-1].parameters, X, ACTIVATIONS["relu"])
    return float(BINARY.score(Z[-1], Y)[run])


def test_zero_initialization_learns_nothing() -> None:
    numbers, data = NUMBERS["initialization"]["zeros"], circles()
    assert_allclose(circle_costs(0), numbers["cost"], rtol=0, atol=numbers["tolerance"])
    assert circle_accuracy(0, data.X, data.Y) == numbers["train_accuracy"]
    assert circle_accuracy(0, data.X_test, data.Y_test) == numbers["test_accuracy"]


def test_he_initialization_learns() -> None:
    numbers, data = NUMBERS["initialization"]["he"], circles()
    expected = numbers["costs"]
    assert_allclose(circle_costs(1)[: len(expected)], expected, rtol=0, atol=numbers["tolerance"])
    assert circle_accuracy(1, data.X, data.Y) == numbers["train_correct"] / numbers["m"]


def test_large_weights_learn_slowly() -> None:
    numbers, data = NUMBERS["initialization"]["normal"], circles()
    costs = circle_costs(2)
    assert costs[0] == pytest.approx(numbers["first_cost"], rel=0, abs=numbers["first_tolerance"])
    last = costs[numbers["last_printed"] // 1000]
    assert last == pytest.approx(numbers["last_cost"], rel=0, abs=numbers["last_tolerance"])
    accuracy = circle_accuracy(2, data.X, data.Y)
    assert accuracy == pytest.approx(numbers["train_accuracy"], rel=0, abs=numbers["accuracy_tolerance"])


def test_the_cost_from_the_activations_of_large_weights_is_infinite() -> None:
    A2 = BINARY.output(circle_runs()[0].Z[-1])[2]
    assert course.compute_cost(A2, circles().Y) == np.inf
