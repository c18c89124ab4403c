"""What an experiment with changes found out about a network that did not learn."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from nnlab.config import RunConfig, hidden_sizes
from nnlab.diagnostics.changes import Change, words
from nnlab.diagnostics.outcome import average_share
from nnlab.diagnostics.sweep_cause import SUFFICIENT
from nnlab.findings.intervals import share_interval

__all__ = ["SUFFICIENT", "Explanation", "Trial"]

MOVED = 0.05
"""A change makes no difference if the mean share that was learned moves by less than this."""
LEADING = (
    *("smaller steps", "iterations", "larger steps", "width", "depth", "data"),
    *("smaller scale", "larger scale", "scheme", "activation", "batch", "precision"),
)
"""The aspects in the order in which one is named as the cause if several changes suffice."""


class Trial(NamedTuple):
    """The network with some changes, trained with several seeds.

    Attributes
    ----------
    changes : the changes, up to three; none for the network as it is
    values : the keys that change, with their new values
    outcomes, shares, fingerprints : for each seed the outcome, how much was learned, and the run; the outcome of a run
        that raised is "failed", its share NaN
    """

    changes: tuple[Change, ...]
    values: Mapping[str, Any]
    outcomes: tuple[str, ...]
    shares: tuple[float, ...]
    fingerprints: tuple[str, ...]

    @property
    def name(self) -> str:
        """What was changed: `width x 4`, or `he and tanh`."""
        return " and ".join(change.name for change in self.changes) or "as it is"

    @property
    def learned(self) -> int:
        """The number of seeds that learned."""
        return self.outcomes.count("learned")

    @property
    def seeds(self) -> str:
        """The number of seeds that learned, of all: `4 of 5 seeds`."""
        return f"{self.learned} of {len(self.outcomes)} seeds"

    @property
    def words(self) -> str:
        """The new values as they are typed: `init.scheme=he init.scale=1.0`."""
        return words(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of the share of seeds that learn."""
        share = share_interval(self.learned / len(self.outcomes), len(self.outcomes))
        return float(share.low), float(share.high)

    @property
    def suffices(self) -> bool:
        """True if at least 4 of 5 seeds learned."""
        return self.learned >= math.ceil(SUFFICIENT * len(self.outcomes))

    @property
    def mean(self) -> float:
        """The mean share of what can be learned that was learned; a bad regression counts as -1."""
        return average_share(self.shares)


@dataclass(frozen=True)
class Explanation:
    """What made a network learn, and what did not.

    Attributes
    ----------
    config : the network, resolved, with the first of its seeds
    trials : the network as it is, then every change that was tried, in the order of the table of changes, then pairs
        and triples
    not_tried : the names of the changes for which the budget did not suffice
    failures : the names of the runs that raised, with the last line of the traceback
    """

    config: RunConfig
    trials: tuple[Trial, ...]
    not_tried: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def baseline(self) -> Trial:
        """The network as it is."""
        return self.trials[0]

    @property
    def nothing_to_learn(self) -> bool:
        """True if strong models find nothing in the data either."""
        return "nothing to learn" in self.baseline.outcomes

    @property
    def causes(self) -> tuple[Trial, ...]:
        """The smallest changes that suffice: of each aspect the one that goes least far; pairs, or triples, if no
        single one, or pair, does.

        Those that make most seeds learn come first.
        """
        sufficient = [trial for trial in self.trials[1:] if trial.suffices]
        fewest = min((len(trial.changes) for trial in sufficient), default=0)
        sizes: dict[tuple[str, ...], float] = {}
        for trial in sufficient:
            aspects = tuple(change.aspect for change in trial.changes)
            sizes[aspects] = min(sizes.get(aspects, math.inf), _size(trial))
        smallest = (
            trial
            for trial in sufficient
            if len(trial.changes) == fewest and _size(trial) == sizes[tuple(change.aspect for change in trial.changes)]
        )
        return tuple(sorted(smallest, key=lambda trial: (-trial.learned, -trial.mean)))

    @property
    def named_cause(self) -> Trial | None:
        """The change that says most about the network among those that suffice; None if none does."""
        causes = self.causes
        if not causes or len(causes[0].changes) > 1:
            return causes[0] if causes else None
        return min(causes, key=lambda trial: LEADING.index(trial.changes[0].aspect))

    @property
    def without_effect(self) -> tuple[Trial, ...]:
        """The single changes that moved neither the number of seeds that learned nor the share that was learned."""
        before = self.baseline
        return tuple(
            trial
            for trial in self.trials[1:]
            if len(trial.changes) == 1 and trial.learned <= before.learned and abs(trial.mean - before.mean) < MOVED
        )

    @property
    def best_first(self) -> tuple[Trial, ...]:
        """The network as it is, then the other trials, the best first."""
        return (self.baseline, *sorted(self.trials[1:], key=lambda trial: (-trial.learned, -trial.mean)))

    @property
    def table(self) -> pd.DataFrame:
        """One row for each trial, the best first: change, values, learned, seeds, low, high, mean learned.

        low and high are the 95 % score interval of the share of seeds that learned.
        """
        rows = [
            (trial.name, trial.words, trial.learned, len(trial.outcomes), *trial.interval, trial.mean)
            for trial in self.best_first
        ]
        return pd.DataFrame(rows, columns=["change", "values", "learned", "seeds", "low", "high", "mean learned"])

    @property
    def text(self) -> str:
        """The answer in one sentence."""
        before = self.baseline
        if self.nothing_to_learn:
            return "nothing to learn: models that are not networks find nothing in these data either"
        if before.suffices:
            return f"learned in {before.seeds}"
        parts = [f"did not learn ({before.seeds})"]
        causes, named = self.causes, self.named_cause
        if named is None and len(self.trials) > 1:
            best = max(self.trials, key=lambda trial: trial.mean)
            parts.append(f"none of the {len(self.trials) - 1} changes sufficed")
            if best is not before:
                parts.append(f"{best.name} came furthest ({best.seeds}, mean learned {best.mean:.2f})")
        elif named and len(named.changes) > 1:
            fewer = "single change" if len(named.changes) == 2 else "pair of changes"
            parts.append(f"no {fewer} sufficed, {_listed(causes[:3])}")
        elif named:
            parts += [_cause(self.config, named.changes[0].aspect), _listed(causes)]
        helped = [trial for trial in self.trials[1:] if len(trial.changes) == 1 and before.learned < trial.learned]
        if some := [trial for trial in helped if not trial.suffices]:
            parts.append(f"not enough: {_listed(some)}")
        if no_effect := self.without_effect:
            parts.append(f"no difference: {', '.join(_summarized(no_effect))}")
        if self.not_tried:
            parts.append(f"not tried within the budget: {', '.join(self.not_tried)}")
        return f"{parts[0]}: {'; '.join(parts[1:])}" if len(parts) > 1 else parts[0]


def _size(trial: Trial) -> float:
    return sum(change.size for change in trial.changes)


def _listed(trials: Iterable[Trial]) -> str:
    return ", ".join(f"{_described(trial)} learned in {trial.seeds}" for trial in trials)


def _described(trial: Trial) -> str:
    """Return the name of a trial, with the new width where that is clearer."""
    width = trial.values.get("model.hidden_size")
    return f"{width} units" if len(trial.changes) == 1 and trial.changes[0].aspect == "width" and width else trial.name


def _cause(config: RunConfig, aspect: str) -> str:
    """Return the cause in words: what the change that is named as the cause says about the network."""
    widths, activation = hidden_sizes(config.model), config.model.activation.replace("_", " ")
    units = f"{widths[0]} {activation} unit{'s' * (widths[0] > 1)}" if len(set(widths)) == 1 else f"{activation} layers"
    return {
        "data": "the inputs are not standardized",
        "smaller steps": "the steps are too large",
        "larger steps": "the steps are too small",
        "iterations": "the training is too short",
        "width": f"{units} {'are' if units.endswith('s') else 'is'} too few here",
        "depth": f"these initial weights and {activation} cannot train {len(widths)} hidden layers"
        if widths
        else "a line cannot fit these data",
        "smaller scale": "the initial weights are too large",
        "larger scale": "the initial weights are too small",
        "scheme": "the initial weights hold it back",
        "activation": f"the activation {activation} holds it back",
        "batch": "the batch size holds it back",
        "precision": "float32 is too coarse",
    }[aspect]


def _summarized(trials: Sequence[Trial]) -> list[str]:
    """Return names, those of one kind together: `learning rate x 0.1 to x 10`."""
    rates = [trial for trial in trials if "training.learning_rate" in trial.values and len(trial.changes) == 1]
    names = [trial.name for trial in trials if trial not in rates]
    if len(rates) > 1:
        factors = sorted(float(trial.name.rpartition(" ")[2]) for trial in rates)
        return [f"learning rate x {factors[0]:g} to x {factors[-1]:g}", *names]
    return [*(trial.name for trial in rates), *names]
