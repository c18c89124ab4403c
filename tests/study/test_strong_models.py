"""What strong models reach on every data set, and on labels that hold nothing."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import nnlab
from nnlab.diagnostics.outcome import Ceiling
from nnlab.study import strong_models
from nnlab.study.strong_models import fit_ceiling


def ceiling_of(data: nnlab.DataConfig) -> Ceiling:
    loaded = nnlab.load_dataset(data)
    return fit_ceiling(loaded.X, loaded.Y, regression=loaded.task == "regression")


@pytest.mark.parametrize(
    ("name", "nothing", "expected"),
    [
        # Measured by other code, with the same kinds of models.
        ("flower", 0.5, 0.805),
        ("circles", 0.5, 0.982),
        ("moons", 0.5, 0.965),
        ("blobs", 0.5, 0.880),
        ("xor", 0.5, 0.823),
        ("spiral", 1 / 3, 0.992),
        ("digits", 0.1, 0.974),
        ("breast_cancer", 0.5, 0.972),
        ("diabetes", 0.0, 0.469),
    ],
)
def test_ceilings_of_the_data_sets(name: str, nothing: float, expected: float) -> None:
    ceiling = ceiling_of(nnlab.DataConfig(name))
    assert ceiling.nothing == pytest.approx(nothing)
    assert ceiling.ceiling == pytest.approx(expected, abs=0.02)
    assert not ceiling.nothing_to_learn


@pytest.mark.parametrize("m", [60, 200])
def test_shuffled_labels_hold_nothing(m: int) -> None:
    """Of 20 data sets whose labels were shuffled, chance lifts about one in forty above the limit."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, Y = rng.standard_normal((2, m)), rng.permutation(np.arange(m) % 2)[None].astype(float)
        found += not fit_ceiling(X, Y, regression=False).nothing_to_learn
    assert found <= 3


def test_unequal_classes_count_alike() -> None:
    """Of 12 % positives inside a circle, unweighted models find hardly any."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2, 600))
    Y = (np.hypot(*X) < 0.39)[None].astype(float)
    assert fit_ceiling(X, Y, regression=False).ceiling > 0.95


@pytest.mark.parametrize(("labels", "best"), [([0, 1, 1, 0], 1.0), ([0, 1, 1, 1], 1.0)])
def test_few_examples_can_be_memorized(labels: list[int], best: float) -> None:
    X, Y = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0]]), np.array([labels], dtype=float)
    assert fit_ceiling(X, Y, regression=False) == Ceiling(0.5, best, 0.0)


def test_equal_inputs_with_different_labels_cannot_be_memorized() -> None:
    X = np.array([[0.0, 0.0, 1.0, 2.0]])
    assert fit_ceiling(X, np.array([[0.0, 1.0, 1.0, 0.0]]), regression=False).ceiling == pytest.approx(0.75)
    assert fit_ceiling(X, np.array([[0.0, 2.0, 5.0, 7.0]]), regression=True).ceiling == pytest.approx(1 - 2 / 29)


def test_a_large_data_set_is_sampled() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3, 30_000))
    Y = (X[:1] > 0).astype(float)
    assert fit_ceiling(X, Y, regression=False).ceiling > 0.97


def test_constant_labels_hold_nothing() -> None:
    X = np.random.default_rng(0).standard_normal((2, 50))
    assert fit_ceiling(X, np.full((1, 50), 3.0), regression=True).nothing_to_learn
    assert fit_ceiling(X[:, :1], np.array([[2.0]]), regression=True).nothing_to_learn


def test_every_model_weights_the_classes_equally() -> None:
    """With 12 % positives that overlap with the rest, a model that counts errors alone hardly ever answers 1."""
    rng = np.random.default_rng(0)
    labels = (np.arange(800) % 8 == 0).astype(int)
    X = rng.standard_normal((2, 800)) + 0.9 * labels
    for answers in strong_models._predictions(X.T, labels, False):
        assert balanced_accuracy_score(labels, answers) > 0.66
