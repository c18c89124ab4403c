"""The outcome: how much of what can be learned from a data set a network has learned.

A score alone says little: an accuracy of 0.8 is everything on noisy data and little on clean data. The outcome places
the score between a model that knows nothing and the best of a few strong models.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from nnlab.network.activations import Array
from nnlab.network.costs import Cost

__all__ = [
    "LEARNED",
    "NOT_MEASURED",
    "OUTCOMES",
    "PARTLY",
    "Ceiling",
    "average_share",
    "balanced_score",
    "learned_share",
    "outcome_of",
]

LEARNED, PARTLY = 0.9, 0.25
"""From which share of what can be learned the outcome is `learned`, and `partly`."""
SMALLEST_GAP = 0.05
"""A ceiling that is closer to knowing nothing means that there is nothing to learn."""

NOT_MEASURED = "not measured"
"""Instead of an outcome, for runs of versions that did not measure it."""
OUTCOMES = ("learned", "partly", "not learned", "diverged", "nothing to learn")


class Ceiling(NamedTuple):
    """The scores between which a network's score is placed: balanced accuracy, or r2 for real labels.

    Attributes
    ----------
    nothing : the score of a model that knows nothing: 1 / C for C classes, 0 for real labels
    ceiling : the score of the best of a few strong models, on examples that they were not fitted to; where there are
        too few examples for that, the score of knowing them all by heart
    error : how far chance alone lifts the best of the strong models above `nothing`, at most, in 97.7 % of data sets
        whose labels do not depend on the inputs; 0 where no model was fitted
    affine : the score of the affine one of the strong models; NaN where no model was fitted
    """

    nothing: float
    ceiling: float
    error: float
    affine: float = float("nan")

    @property
    def nothing_to_learn(self) -> bool:
        """True if the strong models find no more than chance."""
        return not self.ceiling - self.nothing > max(SMALLEST_GAP, self.error)


def balanced_score(logits: Array, Y: Array, cost: Cost) -> Array:
    """Return the score (R,) of logits (R, n_y, m) for labels Y (n_y, m): balanced accuracy, or r2 for real labels.

    Balanced accuracy is the mean of the accuracies in each class, so answering the largest class alone is worth 1 / C
    (Brodersen et al. 2010).
    """
    if cost.score_name == "r2":
        return cost.score(logits, Y)
    classes = Y.argmax(axis=0) if len(Y) > 1 else Y[0]
    parts = (classes == number for number in np.unique(classes))
    return np.stack([cost.score(logits[..., part], Y[:, part]) for part in parts]).mean(axis=0)


def learned_share(score: float, ceiling: Ceiling) -> float:
    """Return (score - nothing) / (ceiling - nothing): how much of what can be learned was learned.

    How to read it: 0 is knowing nothing, 1 is what the best of a few strong models reaches on examples that it has not
    seen. Training scores pass 1 where a network memorizes; bad regressions are far below 0. NaN if there is nothing to
    learn.
    """
    return float("nan") if ceiling.nothing_to_learn else (score - ceiling.nothing) / (ceiling.ceiling - ceiling.nothing)


def average_share(shares: Sequence[float]) -> float:
    """Return the mean of shares of what can be learned; a regression worse than -1, or NaN, counts as -1."""
    values = np.asarray(shares, dtype=float)
    return float(np.where(values > -1, values, -1.0).mean())


def outcome_of(share: float, *, diverged: bool, ceiling: Ceiling) -> str:
    """Return the outcome, one of `OUTCOMES`, of a network that has learned this share.

    If there is nothing to learn, nothing else is said: the labels, not the network, are to be looked at.
    """
    if ceiling.nothing_to_learn:
        return "nothing to learn"
    if diverged:
        return "diverged"
    return "learned" if share >= LEARNED else "partly" if share >= PARTLY else "not learned"
