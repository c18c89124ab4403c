"""The verdict: what the probes of one run add up to, in one word, with its evidence.

All findings of the rules are kept, in the order of `RULES`; the first is the headline. A run without findings is
healthy if it has learned what can be learned, and unexplained otherwise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nnlab.diagnostics.case import Case, Curves, Objection
from nnlab.diagnostics.changes import values_of, words
from nnlab.diagnostics.events import Event, find_events
from nnlab.diagnostics.outcome import NOT_MEASURED, learned_share, outcome_of
from nnlab.diagnostics.references import References
from nnlab.diagnostics.rules import RULES, diverged, healthy, nothing_to_learn, unexplained
from nnlab.diagnostics.thresholds import ONE_CLASS, OVERFITTED_GAIN, OVERFITTED_SHARE

__all__ = ["VERDICTS", "Finding", "Verdict", "judge"]

VERDICTS = ("nothing to learn", *(rule.__name__ for rule in RULES), "unexplained", "healthy")
"""The names of all verdicts, in the order in which they become the headline."""


class Finding(NamedTuple):
    """An objection of one rule: the numbers that decided it, its cause, its cure in words and its source."""

    name: str
    evidence: str
    cause: str
    cure: str
    source: str

    @property
    def text(self) -> str:
        """One line: `symmetric: layer 1 started with ... Units with equal weights get ... Try xavier: ... (Good...)`"""
        parts = (f"{self.name}: {self.evidence}.", self.cause, self.cure, f"({self.source})")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Verdict:
    """What one run has learned, the findings about it, headline first, and the events of its training.

    Attributes
    ----------
    outcome : one of `outcome.OUTCOMES`, or "not measured"
    learned : the share of what can be learned that was learned, on the training data (see `outcome.learned_share`)
    learned_test : the same on test data; NaN if there are none, or if it is not known
    cure : what to try first: keys of the config with their new values; empty if nothing is to be cured
    """

    findings: tuple[Finding, ...]
    events: tuple[Event, ...] = ()
    warning: str = ""
    outcome: str = NOT_MEASURED
    learned: float = math.nan
    learned_test: float = math.nan
    cure: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the first finding."""
        return self.findings[0].name

    @property
    def all(self) -> tuple[str, ...]:
        """The names of all findings."""
        return tuple(finding.name for finding in self.findings)

    @property
    def text(self) -> str:
        """All findings with their evidence, then the notes, one paragraph each."""
        return "\n\n".join([*(finding.text for finding in self.findings), *self.notes])

    @property
    def notes(self) -> tuple[str, ...]:
        """What was learned, one sentence for each event that the final state does not show, and the warning."""
        expected = ("symmetry/broken_at", "init")
        events = [event.text for event in self.events if (event.name, event.cause) != expected]
        notes = (f"note: {text}" for text in [*events, self.warning] if text)
        return (*([] if self.outcome == NOT_MEASURED else [self._outcome_text]), *notes)

    @property
    def _outcome_text(self) -> str:
        if math.isnan(self.learned):
            return f"outcome: {self.outcome}"
        test = "" if math.isnan(self.learned_test) else f", {self.learned_test:.2f} on test data"
        return (
            f"outcome: {self.outcome} ({self.learned:.2f} on the training data{test}; 0: knows nothing, 1: as good as "
            "strong models that are not networks)"
        )


def judge(
    iterations: Sequence[int],
    curves: Curves,
    config: Mapping[str, Any],
    references: References,
    scores: tuple[float, float] | None = None,
    fingerprint: str = "",
) -> Verdict:
    """Return the verdict on one run.

    `curves` are the measurements of the standard preset at the checkpoints `iterations`; `config` maps every key to its
    value, with all defaults written out; `scores` are the final scores on training and test data (see
    `balanced_score`; NaN if there are no test data), None if they are not known; `fingerprint` is what `nnlab why`
    calls the run. A rule whose quantities were not measured does not object.
    """
    ceiling = references.learnable
    train = test = math.nan
    if scores is not None and ceiling is not None:
        train, test = (learned_share(score, ceiling) for score in scores)
    case = Case(iterations, curves, config, references, train)
    # For a network with NaN, the other rules would report side effects, such as equal units.
    rules = RULES if np.isfinite(case.cost[-1]) else (diverged,)
    objections = [objection for rule in rules if (objection := rule(case)) is not None]
    outcome = NOT_MEASURED
    if scores is not None and ceiling is not None:
        has_diverged = any(objection.name == "diverged" for objection in objections)
        outcome = outcome_of(train, diverged=has_diverged, ceiling=ceiling)
        if outcome == "nothing to learn":
            objections.insert(0, nothing_to_learn(ceiling))
    objections = objections or [unexplained(case, fingerprint) if case.misses_goal else healthy(case)]
    is_over = outcome in ("learned", "nothing to learn")
    return Verdict(
        tuple(_finding(objection, config, is_over) for objection in objections),
        find_events(iterations, curves, case.widths),
        _one_class_warning(case) or _overfitting_warning(case),
        outcome,
        train,
        test,
        {} if is_over else values_of(objections[0].changes, config),
    )


def _finding(objection: Objection, config: Mapping[str, Any], is_over: bool) -> Finding:
    """Return the finding with its cure in words. There is none if nothing, or nothing more, can be learned."""
    name, evidence, cause, changes, source = objection
    values = {} if is_over else values_of(changes, config)
    cure = f"Try {' and '.join(change.name for change in changes)}: {words(values)}." if values else ""
    return Finding(name, evidence, cause, cure, source)


def _one_class_warning(case: Case) -> str:
    """Return a warning if the network answers one class for nearly all examples, else an empty string."""
    share = case.final("function/majority")
    if not (share > ONE_CLASS and case.misses_goal):
        return ""
    return (
        f"one class is answered for {share:.0%} of the examples, so the accuracy is only that class's share (where "
        "classes are unequal, longer training or more weight for the small ones helps)"
    )


def _overfitting_warning(case: Case) -> str:
    """Return a warning if the gain in training does not carry over to test data, else an empty string.

    Without test data there is none. The verdict itself judges training, where fitting noise counts as learning.
    """
    for score in ("accuracy", "r2"):
        train, test = (case.curves.get((f"{score}/{part}", 0)) for part in ("train", "test"))
        if train is not None and test is not None:
            affine = case.references
            gain, carried_over = train[-1] - affine.regularized_train, test[-1] - affine.score_test
            large = max(gain, -carried_over) > OVERFITTED_GAIN
            if gain > 0 and large and carried_over < OVERFITTED_SHARE * gain:
                return (
                    f"{score} is {train[-1]:.3g} on the training data and {test[-1]:.3g} on test data, where a "
                    f"regularized affine model has {affine.score_test:.3g}: what was learned beyond that model holds "
                    "only for the training data (overfitting; more examples, fewer units or fewer iterations help)"
                )
    return ""
