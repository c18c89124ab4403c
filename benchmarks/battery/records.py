"""What is kept of each network of the battery of cures."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from nnlab.diagnostics.outcome import average_share
from nnlab.study.explanation import SUFFICIENT

__all__ = ["MISSED_OUTCOMES", "OURS", "TORCHMORTEM", "Record", "Tried"]

OURS, TORCHMORTEM = "nnlab", "torchmortem"
MISSED_OUTCOMES = ("partly", "not learned", "diverged")
CURED = 3
"""A cure must make so many of five seeds learn, and more than learned before."""
WORSE = 0.05
"""A cure that lowers the mean share by more, while fewer seeds learn or more diverge, makes things worse."""


class Tried(NamedTuple):
    """A network with some values changed, trained with several seeds.

    Attributes
    ----------
    changes, aspects : the names and aspects of the changes of `nnlab why`, if it made them
    values : the keys that change, with their new values
    outcomes, shares : of each seed
    """

    changes: list[str]
    aspects: list[str]
    values: dict[str, Any]
    outcomes: list[str]
    shares: list[float]

    @property
    def learned(self) -> int:
        return self.outcomes.count("learned")

    @property
    def suffices(self) -> bool:
        """True if at least 4 of 5 seeds learned, as `nnlab why` demands."""
        return self.learned >= SUFFICIENT * len(self.outcomes)

    def cures(self, before: "Tried") -> bool:
        """True if at least 3 seeds learned, and more than before."""
        return self.learned >= CURED and self.learned > before.learned

    def makes_worse(self, before: "Tried") -> bool:
        """True if less was learned on average, and fewer seeds learned or more diverged."""
        drop = average_share(before.shares) - average_share(self.shares)
        bad = self.learned < before.learned or self.outcomes.count("diverged") > before.outcomes.count("diverged")
        return drop > WORSE and bad


class Record(NamedTuple):
    """One network.

    Attributes
    ----------
    outcome, learned, verdict, seconds : nnlab's, of the network's own seed
    judged : the share of what can be reached, by the independent judge
    findings : torchmortem's; None if it was not installed
    agrees : True if PyTorch's final weights equal nnlab's
    alarms : the symptoms of each rule set
    budget, why_seconds : the core seconds that `nnlab why` was allowed, and how long it took
    trials : what `nnlab why` tried, the network as it is first; empty for a network that learned
    cures : judge -> its first cure, with what came of it; `asked` names the judges, also those without a cure
    """

    number: int
    config: dict[str, Any]
    outcome: str
    learned: float
    verdict: str
    seconds: float
    judged: float
    findings: list[tuple[str, str]] | None
    agrees: bool
    alarms: dict[str, list[str]]
    budget: float = 0.0
    why_seconds: float = 0.0
    trials: list[Tried] = []  # noqa: RUF012 (never changed)
    not_tried: list[str] = []  # noqa: RUF012
    failures: list[str] = []  # noqa: RUF012
    cures: dict[str, Tried] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    @property
    def missed(self) -> bool:
        """True if the network did not learn, although there was something to learn."""
        return self.outcome in MISSED_OUTCOMES

    @property
    def before(self) -> Tried:
        """The network as it is, with five seeds."""
        return self.trials[0]

    @property
    def needs_luck_only(self) -> bool:
        """True if the network's own seed missed and at least 4 of 5 learned."""
        return self.missed and self.before.suffices

    @property
    def changes_needed(self) -> int | None:
        """The fewest changes with which at least 4 of 5 seeds learn; None if `nnlab why` found none."""
        return min((len(trial.changes) for trial in self.trials if trial.suffices), default=None)

    def to_json(self) -> str:
        values = self._asdict()
        values["trials"] = [trial._asdict() for trial in self.trials]
        values["cures"] = {judge: tried._asdict() for judge, tried in self.cures.items()}
        return json.dumps(values, indent=1) + "\n"

    @staticmethod
    def read(path: Path) -> "Record":
        values = json.loads(path.read_text(encoding="utf-8"))
        values["trials"] = [Tried(**trial) for trial in values["trials"]]
        values["cures"] = {judge: Tried(**tried) for judge, tried in values["cures"].items()}
        return Record(**values)
