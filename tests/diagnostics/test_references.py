"""Reference models against closed forms, Newton's method, linear programs and scikit-learn."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import nnlab
from nnlab.config import flatten, resolve
from nnlab.datasets import Dataset
from nnlab.diagnostics import references
from nnlab.diagnostics.references import fit_references
from nnlab.diagnostics.verdict import judge
from nnlab.network.activations import Array
from nnlab.network.costs import COSTS
from nnlab.record.run_json import references_of


def test_reference_costs_match_closed_forms_and_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 300))
    Y = (X[:1] + rng.standard_normal((1, 300)) > 0.7).astype(float)
    models = fit_references(X, Y, X, Y, COSTS["binary"])
    share = Y.mean()
    assert models.nothing == pytest.approx(np.log(2), rel=1e-12)
    assert models.prior == pytest.approx(-share * np.log(share) - (1 - share) * np.log(1 - share), rel=1e-12)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(X.T, Y[0])
    assert models.affine == pytest.approx(log_loss(Y[0], model.predict_proba(X.T)), rel=1e-8)


@pytest.mark.parametrize("unit", [1e-6, 1e3, 1e6, 1e200])
def test_the_affine_reference_does_not_depend_on_the_units_of_the_inputs(unit: float) -> None:
    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((2, 3, 200))
    Y, Y_test = ((inputs.sum(axis=0) + rng.standard_normal(200) > 0)[None].astype(float) for inputs in (X, X_test))
    scale, shift = np.array([[unit], [1.0], [1.0]]), np.array([[0.0], [0.0], [100.0]])
    plain = fit_references(X, Y, X_test, Y_test, COSTS["binary"])
    other = fit_references(X * scale + shift, Y, X_test * scale + shift, Y_test, COSTS["binary"])
    np.testing.assert_allclose(other, plain, rtol=1e-9)


def test_test_data_may_be_larger_than_training_data_by_any_factor() -> None:
    """In units of a training feature of 1e-320, a test value of 1e70 overflows."""
    X, Y = np.array([[1e-320, 0.0, 1e-320, 0.0], [0.0, 0.0, 0.0, 0.0]]), np.array([[1.0, 0.0, 1.0, 0.0]])
    models = fit_references(X, Y, np.array([[1e70, -1e70], [1e70, 1.0]]), np.array([[1.0, 0.0]]), COSTS["binary"])
    assert models.affine < 1e-3
    assert (models.score_train, models.score_test) == (1.0, 1.0)


def test_the_affine_reference_reaches_the_optimum() -> None:
    """The features are collinear up to a thousandth, so descent is slow."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(0)
    X = rng.standard_normal((4, 300))
    X[1:] = X[0] + 1e-3 * X[1:]
    Y = (1000 * (X[1] - X[0]) + rng.standard_normal(300) > 0)[None].astype(float)
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(X.T, Y[0])
    models = fit_references(X, Y, X, Y, COSTS["binary"])
    assert models.affine == pytest.approx(log_loss(Y[0], fitted.predict_proba(X.T)), rel=1e-6)


def test_reference_costs_of_regression_are_variance_and_least_squares() -> None:
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((3, 50)), rng.standard_normal((1, 50)) + 2
    models = fit_references(X, Y, X, Y, COSTS["regression"])
    design = np.vstack([X, np.ones(50)]).T
    residual = Y[0] - design @ np.linalg.lstsq(design, Y[0])[0]
    assert models.prior == pytest.approx(Y.var(), rel=1e-12)
    assert models.affine == pytest.approx(np.mean(residual**2), rel=1e-8)


def test_the_prior_of_three_balanced_classes_costs_ln_3() -> None:
    Y = np.eye(3)[np.arange(30) % 3].T
    X = np.random.default_rng(2).standard_normal((2, 30))
    models = fit_references(X, Y, X, Y, COSTS["multiclass"])
    assert models.nothing == pytest.approx(np.log(3), rel=1e-12)
    assert models.prior == pytest.approx(np.log(3), rel=1e-12)
    assert models.affine < models.prior


def newton_logistic_cost(design: Array, y: Array) -> float:
    """Return the smallest mean cross-entropy of a logistic model on the columns of `design` (m, k)."""
    w = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ w))
        w += np.linalg.solve((design.T * (p * (1 - p))) @ design, design.T @ (y - p))
    z = design @ w
    return float(np.mean(np.logaddexp(0, z) - y * z))


@pytest.mark.parametrize("difference", [1e-2, 1e-5, 1e-8])
def test_collinear_inputs_do_not_stop_the_affine_fit_early(difference: float) -> None:
    """Newton's method sees the two inputs and their difference, which are not collinear."""
    rng = np.random.default_rng(0)
    x, e = rng.standard_normal((2, 400))
    y = (1.5 * e + rng.logistic(size=400) > 0).astype(float)
    X = np.array([x, x + difference * e])
    models = fit_references(X, y[None], X, y[None], COSTS["binary"])
    e = (X[1] - X[0]) / difference  # as rounded
    assert models.affine == pytest.approx(newton_logistic_cost(np.column_stack([x, e, np.ones(400)]), y), rel=1e-8)
    assert models.score_test == models.score_train > 0.7  # no penalty: the difference needs large weights


def test_dependent_inputs_add_nothing_to_the_affine_model() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, 100))
    Y = (X[:1] + rng.standard_normal((1, 100)) > 0).astype(float)
    dependent = np.vstack([X, X[0] / 3 + X[1] / 7, np.full(100, 0.1)])
    plain, more = (fit_references(inputs, Y, inputs, Y, COSTS["binary"]) for inputs in (X, dependent))
    assert more.affine == pytest.approx(plain.affine, rel=1e-9)


def is_separable(X: Array, classes: Array) -> bool:
    """Return True if a linear program finds affine functions, one for each class, whose margins are at least 1."""
    m, count = len(classes), int(classes.max()) + 1
    X1 = np.vstack([X, np.ones(m)])
    rows = []
    for example, own in enumerate(classes):
        for other in set(range(count)) - {int(own)}:
            row = np.zeros((count, len(X1)))
            row[own], row[other] = -X1[:, example], X1[:, example]
            rows.append(row.ravel())
    found = linprog(np.zeros(len(rows[0])), np.array(rows), -np.ones(len(rows)), bounds=(None, None))
    return bool(found.status == 0)


@pytest.mark.parametrize(("task", "count"), [("binary", 2), ("multiclass", 3)])
def test_classes_are_separable_where_a_linear_program_says_so(task: str, count: int) -> None:
    rng = np.random.default_rng(0)
    outcomes = []
    for draw in range(60):
        n_x, m = rng.integers(1, 6), rng.integers(8, 30)
        X = rng.standard_normal((n_x, m))
        if draw % 3 == 0:
            X = X.round()  # equal inputs, and examples on the boundary
        noise = rng.choice([0.0, 0.05, 0.5]) * rng.standard_normal((count, m))
        classes = (rng.standard_normal((count, n_x)) @ X + noise).argmax(axis=0)
        classes[:count] = np.arange(count)
        Y = np.eye(count)[:, classes] if count > 2 else classes[None].astype(float)
        models = fit_references(X, Y, X, Y, COSTS[task])
        assert models.separable == is_separable(X, classes)
        outcomes.append(models.separable)
    assert 10 < sum(outcomes) < 50


def part(data: Dataset) -> tuple[Array, Array, Array, Array]:
    """Return (inputs, labels) of both parts in scikit-learn's layout."""
    Y, Y_test = (Y.argmax(axis=0) if len(Y) > 1 else Y[0] for Y in (data.Y, data.Y_test))
    return data.X.T, Y, data.X_test.T, Y_test


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "diabetes"])
def test_the_regularized_model_is_scikit_learns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.preprocessing import StandardScaler

    monkeypatch.setattr(references, "PENALTIES", (3.0,))
    data = nnlab.load_dataset(nnlab.DataConfig(name))
    inputs, labels, test_inputs, test_labels = part(data)
    model: Any = Ridge(3.0 / 2) if name == "diabetes" else LogisticRegression(C=1 / 3.0, tol=1e-6, max_iter=1000)
    scaler = StandardScaler().fit(inputs)
    model.fit(scaler.transform(inputs), labels)
    models = fit_references(data.X, data.Y, data.X_test, data.Y_test, COSTS[data.task])
    # An example whose probabilities nearly tie may fall on either side.
    tolerance = 1e-5 if name == "diabetes" else 1.5 / len(test_labels)
    assert models.regularized_train == pytest.approx(model.score(scaler.transform(inputs), labels), abs=tolerance)
    assert models.score_test == pytest.approx(model.score(scaler.transform(test_inputs), test_labels), abs=tolerance)


@pytest.mark.parametrize("name", ["breast_cancer", "digits", "diabetes", "moons"])
def test_the_score_on_test_data_is_that_of_cross_validated_models(name: str) -> None:
    """Scikit-learn draws other folds, so it may choose a neighbouring penalty."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV

    data = nnlab.load_dataset(nnlab.DataConfig(name))
    inputs, labels, test_inputs, test_labels = part(data)
    grid = 10.0 ** np.arange(-3, 4)
    choices: dict[str, Any] = {"l1_ratios": (0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
    model: Any = RidgeCV(grid)
    if data.task != "regression":
        model = LogisticRegressionCV(Cs=grid, max_iter=2000, tol=1e-3, **choices)
    model.fit(inputs, labels)
    expected = model.score(test_inputs, test_labels)
    if data.task != "regression":
        expected = np.mean(model.predict(test_inputs) == test_labels)
    models = fit_references(data.X, data.Y, data.X_test, data.Y_test, COSTS[data.task])
    assert models.score_test == pytest.approx(expected, abs=0.01)


def test_the_penalty_does_not_depend_on_the_test_data() -> None:
    data = nnlab.load_dataset(nnlab.DataConfig("breast_cancer"))
    one, other = (
        fit_references(data.X, data.Y, data.X_test[:, part], data.Y_test[:, part], COSTS["binary"])
        for part in (slice(None, 60), slice(60, None))
    )
    assert one.regularized_train == other.regularized_train


@pytest.mark.parametrize("m", [1, 2, 3, 7])
@pytest.mark.parametrize(("task", "n_y"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_a_few_examples_suffice(task: str, n_y: int, m: int) -> None:
    """Folds are impossible where a class has a single example."""
    X = np.random.default_rng(0).standard_normal((2, m))
    classes = np.arange(m) % max(2, n_y)
    Y = np.eye(n_y)[:, classes] if task == "multiclass" else classes[None].astype(float)
    models = fit_references(X, Y, X, Y, COSTS[task])
    assert np.isfinite([models.affine, models.separable]).all()
    separable = len(np.unique(classes)) == 1 or is_separable(X, classes)
    assert models.separable == (task != "regression" and separable)


def test_references_of_earlier_versions_are_read_and_raise_no_warning_of_overfitting() -> None:
    written = {"nothing": 0.69, "prior": 0.69, "affine": 1e-9, "score_train": 1.0, "score_test": 0.7}
    models = references_of({"references": written})
    assert models[:5] == tuple(written.values())
    assert np.isnan([models.separable, models.regularized_train]).all()
    curves = {("cost/train", 0): [0.7, 0.01], ("accuracy/train", 0): [0.5, 1.0], ("accuracy/test", 0): [0.5, 0.5]}
    measured = {key: np.array(curve) for key, curve in curves.items()}
    assert not judge([0, 1], measured, flatten(resolve(nnlab.RunConfig())), models).warning
