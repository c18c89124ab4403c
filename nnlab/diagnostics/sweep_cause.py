"""What the other runs of an experiment say about one that did not learn: it is stuck, or its network is too narrow.

A run alone cannot show either. A local minimum and too few units look the same from inside: the cost no longer falls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nnlab.diagnostics.changes import widths_of
from nnlab.diagnostics.outcome import OUTCOMES

__all__ = ["SUFFICIENT", "SWEEP_CAUSES", "Explained", "Trained", "sweep_causes"]

SWEEP_CAUSES = ("stuck", "narrow")
SUFFICIENT = 0.8
"""The share of seeds that must learn for a setting to have learned: 4 of 5."""
LEAST_SEEDS = 2
"""With fewer seeds nothing is said of a setting."""
MOST_LEARN = 0.5
"""From this share of the other seeds on, a run that did not learn is stuck."""
UNLEARNED = ("partly", "not learned")
WIDTH_KEYS = ("model.hidden_size", "model.layers")


class Trained(NamedTuple):
    """A recorded run: its setting, which is every config key but those of the seeds, and its outcome."""

    setting: Mapping[str, Any]
    outcome: str


class Explained(NamedTuple):
    """What `nnlab why` found out about a setting.

    Attributes
    ----------
    outcomes : for each run of the network as it is, by fingerprint, its outcome
    aspect : what the single change that is named as the cause changes, such as "width"; empty if none sufficed
    """

    outcomes: Mapping[str, str]
    aspect: str


@dataclass
class _Setting:
    """The seeds of a setting, with their outcomes by fingerprint; `family` is shared with all its other widths."""

    widths: list[int]
    family: str
    seeds: dict[str, str] = field(default_factory=dict)
    aspect: str = ""

    @property
    def learned(self) -> bool:
        return len(self.seeds) >= LEAST_SEEDS and _count(self.seeds.values()) >= SUFFICIENT * len(self.seeds)

    def is_wider_than(self, other: "_Setting") -> bool:
        """True if no layer has fewer units than the same layer of the other, and the widths differ."""
        pairs = list(zip(self.widths, other.widths, strict=True))
        return self.widths != other.widths and all(ours >= theirs for ours, theirs in pairs)


def sweep_causes(runs: Mapping[str, Trained], explanations: Iterable[Explained] = ()) -> dict[str, str]:
    """Return for each run, by fingerprint, "stuck", "narrow", or "" if the other runs say neither.

    - `stuck`: the run did not learn, or only partly, and at least half of the other seeds of its setting, two or more,
      learned. The network can learn these data: this run ended in a local minimum, and another seed, or more units,
      would have helped.
    - `narrow`: the run did not learn, or only partly, its setting did not either (fewer than 4 of 5 seeds, of at least
      two), and the same setting with more units did, while none with fewer units did. If `nnlab why` found single
      changes that suffice, it decides instead: narrow if the change that it names as the cause is more units.

    The seeds that `nnlab why` trained count as seeds of the setting. Runs that diverged count as not learned, and have
    no cause themselves: their outcome says what happened. Runs without an outcome do not count.
    """
    settings: dict[str, _Setting] = {}
    by_run: dict[str, _Setting] = {}
    for fingerprint, run in runs.items():
        name = _name(run.setting)
        if name not in settings:
            settings[name] = _new(run.setting)
        by_run[fingerprint] = settings[name]
        _add(by_run[fingerprint], fingerprint, run.outcome)
    for outcomes, aspect in explanations:
        for setting in {id(by_run[one]): by_run[one] for one in outcomes if one in by_run}.values():
            setting.aspect = aspect
            for fingerprint, outcome in outcomes.items():
                _add(setting, fingerprint, outcome)
    families: dict[str, list[_Setting]] = {}
    for setting in settings.values():
        families.setdefault(setting.family, []).append(setting)
    narrow = {id(one): _is_narrow(one, families[one.family]) for one in settings.values()}
    return {
        fingerprint: _cause(fingerprint, run.outcome, by_run[fingerprint], narrow[id(by_run[fingerprint])])
        for fingerprint, run in runs.items()
    }


def _cause(fingerprint: str, outcome: str, setting: _Setting, is_narrow: bool) -> str:
    if outcome not in UNLEARNED:
        return ""
    others = [other for run, other in setting.seeds.items() if run != fingerprint]
    if len(others) >= LEAST_SEEDS and _count(others) >= MOST_LEARN * len(others):
        return "stuck"
    return "narrow" if is_narrow else ""


def _is_narrow(setting: _Setting, family: Iterable[_Setting]) -> bool:
    if setting.aspect:
        return setting.aspect == "width"
    learned = [other for other in family if other.learned]
    return (
        len(setting.seeds) >= LEAST_SEEDS
        and not setting.learned
        and any(other.is_wider_than(setting) for other in learned)
        and not any(setting.is_wider_than(other) for other in learned)
    )


def _new(setting: Mapping[str, Any]) -> _Setting:
    shared = {key: value for key, value in setting.items() if key not in WIDTH_KEYS}
    return _Setting(widths_of(setting), _name(shared))


def _name(values: Mapping[str, Any]) -> str:
    return repr(sorted(values.items()))


def _add(setting: _Setting, fingerprint: str, outcome: str) -> None:
    if outcome in OUTCOMES:
        setting.seeds.setdefault(fingerprint, outcome)


def _count(outcomes: Iterable[str]) -> int:
    return sum(outcome == "learned" for outcome in outcomes)
