"""What `nnlab why` found out, as it is written below a results folder: one file for each setting.

text                    the answer in one sentence
cause, aspects          the changes that are named as the cause, one or two, and what they change; empty if none
other_causes            the names of the other smallest changes that suffice
trials                  changes, values, outcomes, learned and fingerprints of every network that was trained; the
                        first is the network as it is
not_tried, failures     the changes for which the budget did not suffice, and the runs that raised
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from nnlab.diagnostics.sweep_cause import SUFFICIENT, Explained
from nnlab.results import Results

__all__ = ["WrittenExplanation", "read_explanations"]


class WrittenExplanation(NamedTuple):
    """What made the networks of one setting learn.

    Attributes
    ----------
    text : the answer in one sentence
    cause : the change that is named as the cause; two if no single one suffices, none if nothing that was tried does
    aspects : what they change, such as "width"
    others : the names of the other smallest changes that suffice
    outcomes : for each run of the network as it is, by fingerprint, its outcome
    """

    text: str
    cause: tuple[str, ...]
    aspects: tuple[str, ...]
    others: tuple[str, ...]
    outcomes: dict[str, str]

    @property
    def learned(self) -> bool:
        """True if the network learned as it is, or if there was nothing to learn."""
        outcomes = list(self.outcomes.values())
        return "nothing to learn" in outcomes or outcomes.count("learned") >= SUFFICIENT * len(outcomes)

    @property
    def evidence(self) -> Explained:
        """What the explanation says about the cause that only other runs can show."""
        return Explained(self.outcomes, self.aspects[0] if len(self.aspects) == 1 else "")


def read_explanations(results: Results, experiment: str) -> list[WrittenExplanation]:
    """Return the explanations of an experiment's settings, sorted by file; files that cannot be read are left out."""
    found = (_read(path) for path in sorted(results.explanations(experiment).glob("[!.]*.json")))
    return [explanation for explanation in found if explanation is not None]


def _read(path: Path) -> WrittenExplanation | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        before = content["trials"][0]
        cause, aspects, others = (tuple(map(str, content[name])) for name in ("cause", "aspects", "other_causes"))
        outcomes = dict(zip(before["fingerprints"], before["outcomes"], strict=True))
        return WrittenExplanation(str(content["text"]), cause, aspects, others, outcomes)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
