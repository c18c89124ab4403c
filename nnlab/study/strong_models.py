"""How much can be learned from a data set: the score of strong models that are not neural networks.

A network's score is placed between knowing nothing and what these models reach, so that it means the same on easy and
on hard data.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.outcome import Ceiling
from nnlab.network.activations import Array

__all__ = ["fit_ceiling"]

FOLDS = 5
FEWEST_EXAMPLES, FEWEST_OF_A_CLASS = 40, 5
"""With fewer examples, or fewer of a class, no folds are made."""
MOST_EXAMPLES = 2_000
NEIGHBOURS = 10
BEST_OF_THREE = 2.43
"""The largest of three standard normal numbers is below this as often (97.7 %) as one is below 2."""
CHANCE_R2 = 4.0
"""The best r2 of three models that find nothing is below this over m in 97.7 % of data sets; measured."""


def fit_ceiling(X: Array, Y: Array, *, regression: bool) -> Ceiling:
    """Return the best score of a few strong models, given training data X (n_x, m), Y (n_y, m).

    The models are an affine one, 10 nearest neighbours, and support vectors with a Gaussian kernel, on standardized
    inputs and with equal weight for every class. The best of their scores in 5-fold cross-validation counts, so
    memorizing is not asked for. Of more than 2,000 examples, 2,000 are drawn. Below 40 examples, or 5 of a class, folds
    are impossible; then the ceiling is what memorizing reaches: 1, unless equal inputs have different labels. Such a
    table is often all there is to know: whoever answers the four rows of XOR right has learned XOR, although each row
    alone says nothing about the other three.
    """
    m = Y.shape[1]
    if m > MOST_EXAMPLES:
        chosen = np.sort(np.random.default_rng(0).choice(m, MOST_EXAMPLES, replace=False))
        return fit_ceiling(X[:, chosen], Y[:, chosen], regression=regression)
    if regression and np.ptp(Y) == 0:
        return Ceiling(0.0, 0.0, 0.0)
    if regression:
        labels, nothing, error, smallest = Y[0], 0.0, CHANCE_R2 / m, m
    else:
        labels = Y.argmax(axis=0) if len(Y) > 1 else Y[0].astype(int)
        counts = np.bincount(labels, minlength=max(len(Y), 2))
        nothing, smallest = 1 / len(counts), int(counts.min())
        error = BEST_OF_THREE * float(np.sqrt((nothing * (1 - nothing) / np.maximum(counts, 1)).sum())) / len(counts)
    if m < FEWEST_EXAMPLES or smallest < FEWEST_OF_A_CLASS:
        return Ceiling(nothing, _score(labels, _memorized(X, labels, regression), regression), 0.0)
    scores = [_score(labels, answers, regression) for answers in _predictions(X.T, labels, regression)]
    return Ceiling(nothing, max(scores), error, affine=scores[0])


def _score(labels: NDArray[Any], answers: NDArray[Any], regression: bool) -> float:
    from sklearn.metrics import balanced_accuracy_score, r2_score

    return float((r2_score if regression else balanced_accuracy_score)(labels, answers))


def _memorized(X: Array, labels: NDArray[Any], regression: bool) -> NDArray[Any]:
    """Return the answers (m,) of a model that knows the labels of all examples, with equal weight for every class."""
    group = np.unique(X, axis=1, return_inverse=True)[1].ravel()
    if regression:
        return (np.bincount(group, labels) / np.bincount(group))[group]
    votes = np.zeros((group.max() + 1, labels.max() + 1))
    np.add.at(votes, (group, labels), 1 / np.bincount(labels)[labels])
    return votes.argmax(axis=1)[group]


def _predictions(rows: Array, labels: NDArray[Any], regression: bool) -> Iterator[NDArray[Any]]:
    """Yield the answers (m,) of each model for examples that it was not fitted to."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = (KFold if regression else StratifiedKFold)(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the other models remain
        for model, method in _regressors() if regression else _classifiers():
            answers = cross_val_predict(make_pipeline(StandardScaler(), model), rows, labels, cv=folds, method=method)
            if method == "predict_proba":
                answers = (answers / np.bincount(labels)).argmax(axis=1)
            yield answers


def _regressors() -> list[tuple[Any, str]]:
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.svm import SVR

    return [(Ridge(), "predict"), (KNeighborsRegressor(NEIGHBOURS), "predict"), (SVR(), "predict")]


def _classifiers() -> list[tuple[Any, str]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    return [
        (LogisticRegression(class_weight="balanced", max_iter=1000), "predict"),
        (KNeighborsClassifier(NEIGHBOURS), "predict_proba"),  # it takes no weights, so its votes are divided
        (SVC(C=10, class_weight="balanced"), "predict"),
    ]
