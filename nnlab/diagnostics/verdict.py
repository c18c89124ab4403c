"""The verdict: what the probes of one run add up to, in one word, with its evidence.

All findings of the rules are kept, in the order of `RULES`; the first is the headline. A run without findings is
healthy if it fits the training data better than the best affine model, and unfinished otherwise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nnlab.diagnostics.events import Event, find_events
from nnlab.diagnostics.outcome import NOT_MEASURED, learned_share, outcome_of
from nnlab.diagnostics.references import References
from nnlab.diagnostics.rules import RULES, Case, Curves, Finding, diverged, healthy, unfinished
from nnlab.diagnostics.thresholds import OVERFITTED_GAIN, OVERFITTED_SHARE

__all__ = ["RULES", "Finding", "Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """What one run has learned, the findings about it, headline first, and the events of its training.

    Attributes
    ----------
    outcome : one of `outcome.OUTCOMES`, or "not measured"
    learned : the share of what can be learned that was learned, on the training data (see `outcome.learned_share`)
    learned_test : the same on test data
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
        return (
            f"outcome: {self.outcome} ({self.learned:.2f} on the training data, {self.learned_test:.2f} on test data; "
            "0 is knowing nothing, 1 what strong models reach)"
        )


def judge(
    iterations: Sequence[int],
    curves: Curves,
    config: Mapping[str, Any],
    references: References,
    scores: tuple[float, float] | None = None,
) -> Verdict:
    """Return the verdict on one run.

    `curves` are the measurements of the standard preset at the checkpoints `iterations`; `config` maps every key to its
    value, with all defaults written out; `scores` are the final scores on training and test data (see
    `balanced_score`), None if they are not known. A rule whose quantities were not measured does not object.
    """
    case = Case(iterations, curves, config, references)
    # For a network with NaN, the other rules would report side effects, such as equal units.
    rules = RULES if np.isfinite(case.cost[-1]) else (diverged,)
    findings = tuple(finding for rule in rules if (finding := rule(case)) is not None)
    final = unfinished(case) if case.misses_goal else healthy(case)
    events, warning = find_events(iterations, curves, case.widths), _overfitting_warning(case)
    verdict = Verdict(findings or (final,), events, warning)
    ceiling = references.learnable
    if scores is None or ceiling is None:
        return verdict
    train, test = (learned_share(score, ceiling) for score in scores)
    outcome = outcome_of(train, diverged=verdict.name == "diverged", ceiling=ceiling)
    return replace(verdict, outcome=outcome, learned=train, learned_test=test)


def _overfitting_warning(case: Case) -> str:
    """Return a warning if the gain in training does not carry over to test data, else an empty string.

    The verdict itself judges training, where fitting noise counts as learning.
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
