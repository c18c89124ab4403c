"""The outcome: scores against scikit-learn, and how much of what can be learned was learned."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, r2_score

from nnlab.diagnostics.outcome import Ceiling, balanced_score, learned_share, outcome_of
from nnlab.network.costs import COSTS


@pytest.mark.parametrize("task", COSTS)
def test_the_score_is_that_of_scikit_learn(task: str) -> None:
    rng = np.random.default_rng(1)
    n_y, m = (4 if task == "multiclass" else 1), 60
    logits = rng.standard_normal((3, n_y, m))
    if task == "regression":
        Y = rng.standard_normal((1, m))
        expected = [r2_score(Y[0], each[0]) for each in logits]
    else:
        labels = rng.choice(max(n_y, 2), m, p=[0.6, 0.2, 0.1, 0.1] if n_y > 1 else [0.9, 0.1])
        Y = (np.arange(n_y)[:, None] == labels).astype(float) if n_y > 1 else labels[None].astype(float)
        answers = logits.argmax(axis=1) if n_y > 1 else logits[:, 0] > 0
        expected = [balanced_accuracy_score(labels, each) for each in answers]
    np.testing.assert_allclose(balanced_score(logits, Y, COSTS[task]), expected)


def test_answering_the_largest_class_alone_is_worth_nothing() -> None:
    Y = np.array([[0.0] * 95 + [1.0] * 5])
    score = balanced_score(np.full((1, 1, 100), -3.0), Y, COSTS["binary"])
    assert learned_share(float(score[0]), Ceiling(0.5, 0.9, 0.05)) == 0.0


@pytest.mark.parametrize(
    ("score", "diverged", "outcome"),
    [
        (0.95, False, "learned"),
        (0.861, False, "learned"),
        (0.859, False, "partly"),
        (0.601, False, "partly"),
        (0.599, False, "not learned"),
        (0.2, False, "not learned"),
        (0.95, True, "diverged"),
        (np.nan, False, "not learned"),
    ],
)
def test_the_outcome_follows_from_the_share(score: float, diverged: bool, outcome: str) -> None:
    ceiling = Ceiling(0.5, 0.9, 0.03)
    assert outcome_of(learned_share(score, ceiling), diverged=diverged, ceiling=ceiling) == outcome


def test_nothing_to_learn_outranks_all_others() -> None:
    chance = Ceiling(0.5, 0.6, 0.11)
    assert chance.nothing_to_learn
    assert np.isnan(learned_share(1.0, chance))
    assert outcome_of(np.nan, diverged=True, ceiling=chance) == "nothing to learn"
    assert not Ceiling(0.5, 0.6, 0.09).nothing_to_learn
