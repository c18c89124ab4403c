"""How much of a data set a well-trained network learns: the judge of outcomes.

This code is independent of the probes, the verdicts and their thresholds, which it checks. Its reference is a network
of scikit-learn, its score the plain accuracy, and its pass marks are its own.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.datasets import Dataset

__all__ = [
    "BETWEEN",
    "HALF",
    "LEARNED",
    "MISSED",
    "MOST",
    "NARROWLY",
    "Reachable",
    "answers_of",
    "judged",
    "labels_of",
    "reachable",
]

Array = NDArray[np.floating]

UNITS, ITERATIONS = 32, 400
PENALTIES = (0.01, 0.3, 10.0)
STARTS = 2
FOLDS = 5
MAJORITY = 0.6
"""With a larger class than this, answering it alone looks good: the accuracies of the classes are averaged instead."""

MOST, HALF = 0.85, 0.5
"""The judge's pass marks: a network that has most of what can be reached has learned, one that has not half has not."""
NARROWLY = 0.03
"""A share that is closer than this to a pass mark is a borderline case."""
LEARNED, BETWEEN, MISSED = "learned", "in between", "did not learn"


class Reachable(NamedTuple):
    """The scores between which the judge places a network.

    Attributes
    ----------
    nothing : the score without looking at the inputs: the share of the largest class; 1 / C if classes are balanced
        by weights; 0 for real labels
    best : the score of the best reference network on examples that it was not trained on
    balanced : True if the score is the mean of the accuracies in each class
    """

    nothing: float
    best: float
    balanced: bool

    def score(self, labels: NDArray[Any], answers: NDArray[Any]) -> float:
        """Return the accuracy, the balanced accuracy, or r2 if labels are real; -inf if answers are not finite."""
        if labels.dtype.kind == "f":
            if not np.isfinite(answers).all():
                return float("-inf")
            with np.errstate(over="ignore"):
                return float(1 - np.sum((answers - labels) ** 2) / np.sum((labels - labels.mean()) ** 2))
        right = answers == labels
        if not self.balanced:
            return float(right.mean())
        return float(np.mean([right[labels == number].mean() for number in np.unique(labels)]))

    def share(self, labels: NDArray[Any], answers: NDArray[Any]) -> float:
        """Return the share of what can be reached that answers (m,) to labels (m,) reach."""
        return (self.score(labels, answers) - self.nothing) / (self.best - self.nothing)


def judged(share: float) -> tuple[str, bool]:
    """Return the judgement of a share of what can be reached, and True if it is a borderline case."""
    word = LEARNED if share >= MOST else MISSED if not share >= HALF else BETWEEN
    return word, min(abs(share - MOST), abs(share - HALF)) < NARROWLY


def answers_of(logits: Array, task: str) -> NDArray[Any]:
    """Return the answers (m,) that logits (n_y, m) give: classes, or real numbers."""
    if task == "regression":
        return logits[0]
    return logits.argmax(axis=0) if len(logits) > 1 else (logits[0] > 0).astype(int)


def labels_of(data: Dataset) -> NDArray[Any]:
    """Return the labels (m,) of the training examples: classes, or real numbers."""
    if data.task == "regression":
        return data.Y[0]
    return data.Y.argmax(axis=0) if len(data.Y) > 1 else data.Y[0].astype(int)


def reachable(data: Dataset) -> Reachable:
    """Return the score that a network of 32 tanh units reaches on the training data in 5-fold cross-validation.

    Of several penalties the best counts, and in each fold the better trained of two networks. Inputs, and real labels,
    are standardized; rare classes are repeated until all classes are equally large if the accuracies are averaged.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    labels = labels_of(data)
    real = data.task == "regression"
    shares = np.ones(1) if real else np.bincount(labels) / len(labels)
    balanced = not real and bool(shares.max() > MAJORITY)
    nothing = 0.0 if real else 1 / len(shares) if balanced else float(shares.max())
    empty = Reachable(nothing, 1.0, balanced)
    folds = (KFold if real else StratifiedKFold)(FOLDS, shuffle=True, random_state=1)
    split = list(folds.split(data.X.T, labels))
    best = -np.inf
    for penalty in PENALTIES:
        answers = np.empty(labels.shape, labels.dtype)
        for kept, held_out in split:
            answers[held_out] = _trained(data.X.T[kept], labels[kept], penalty, balanced)(data.X.T[held_out])
        best = max(best, empty.score(labels, answers))
    return Reachable(nothing, best, balanced)


def _trained(rows: Array, labels: NDArray[Any], penalty: float, balanced: bool) -> Any:
    """Return the function from rows to answers of the best trained of a few networks."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    mean, scale = rows.mean(axis=0), np.where(rows.std(axis=0) > 0, rows.std(axis=0), 1.0)
    real = labels.dtype.kind == "f"
    middle, size = (labels.mean(), labels.std()) if real else (0, 1)
    inputs, targets = (rows - mean) / scale, (labels - middle) / size if real else labels
    if balanced:
        counts = np.bincount(labels)
        chosen = [np.resize(np.flatnonzero(labels == number), counts.max()) for number in range(len(counts))]
        inputs, targets = inputs[np.concatenate(chosen)], labels[np.concatenate(chosen)]
    models = [
        (MLPRegressor if real else MLPClassifier)(
            hidden_layer_sizes=(UNITS,),
            activation="tanh",
            solver="lbfgs",
            alpha=penalty,
            max_iter=ITERATIONS,
            random_state=start,
        )
        for start in range(STARTS)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the iterations suffice for the score
        best = min((model.fit(inputs, targets) for model in models), key=lambda model: model.loss_)
    return lambda others: best.predict((others - mean) / scale) * size + middle
