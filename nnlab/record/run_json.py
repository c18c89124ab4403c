"""run.json: the facts about one run, signed with a checksum of the text itself.

    format, fingerprint, task, sizes, config
    preparation how the rows of the data set became inputs; missing in files of earlier versions
    metrics, verdict, events, warning, references, outcome, learned, cure
    files       the checksums of the other files of the run folder
    facts       versions and times; `measures` is the version of the measurements, 1 if it is missing; `judged` is when
                and by which versions the run was judged again, missing if it was not
    digest      the checksum of all text above it

Earlier versions wrote a checksum of the values instead of the text, or none. Their files are read as well.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.config import ConfigError, flatten
from nnlab.diagnostics.events import Event
from nnlab.diagnostics.outcome import NOT_MEASURED
from nnlab.diagnostics.references import References
from nnlab.diagnostics.verdict import Finding, Verdict
from nnlab.record.run import Run

__all__ = [
    "FILES",
    "DamagedRunError",
    "as_floats",
    "damaged",
    "finite_or_text",
    "judgement",
    "judgement_to_json",
    "measures_of",
    "read_facts",
    "references_of",
    "to_json",
    "verdict_of",
]

FILES = ("config.yaml", "history.parquet", "parameters.npz", "run.json")
"""The files of every run folder."""
FORMAT = 2
KEYS = {
    **dict.fromkeys(("fingerprint", "task"), str),
    **dict.fromkeys(("config", "metrics", "references", "files", "facts"), dict),
    **dict.fromkeys(("verdict", "events"), list),
}
"""The required keys of run.json and their types."""
DIGEST_KEY = ',\n "digest": "'
"""The text between the content of run.json and the checksum of that content."""


class DamagedRunError(ConfigError):
    """A run folder cannot be read. The message names the file and the remedy."""


def damaged(path: Path, error: Exception) -> DamagedRunError:
    """Return the error for a damaged file of a run folder."""
    return DamagedRunError(
        f"{path} is damaged ({type(error).__name__}: {error}): move its folder away and repeat the sweep to train the "
        "run again"
    )


def to_json(run: Run, checksums: dict[str, str]) -> str:
    """Return the text of run.json, given the checksums of the other files."""
    content = {
        "format": FORMAT,
        "fingerprint": run.fingerprint,
        "task": run.task,
        "sizes": run.sizes,
        "config": flatten(run.config),
        "preparation": run.preparation.to_json(),
        **judgement(run),
        "files": checksums,
        "facts": run.facts,
    }
    return _text_of(content)


def judgement_to_json(run: Run, written: dict[str, Any]) -> str:
    """Return the text of run.json with the judgement and the facts of `run`; all else is as it was `written`."""
    ends = {"files": written["files"], "facts": run.facts}
    kept = {name: value for name, value in written.items() if name not in (*ends, "digest")}
    return _text_of({**kept, **judgement(run), **ends})


def judgement(run: Run) -> dict[str, Any]:
    """Return the metrics, verdict, references and outcome of a run, as run.json holds them."""
    learned = {"train": run.verdict.learned, "test": run.verdict.learned_test}
    return {
        "metrics": finite_or_text(run.metrics),
        "verdict": [finding._asdict() for finding in run.verdict.findings],
        "events": [event._asdict() for event in run.verdict.events],
        "warning": run.verdict.warning,
        "references": finite_or_text(run.references._asdict()),
        "outcome": run.verdict.outcome,
        "learned": finite_or_text({part: share for part, share in learned.items() if f"cost/{part}" in run.metrics}),
        "cure": dict(run.verdict.cure),
    }


def read_facts(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's run.json.

    Raises DamagedRunError if it is not what was written, or was written by another version of nnlab.
    """
    path = folder / "run.json"
    try:
        text = path.read_text(encoding="utf-8")
        facts = json.loads(text)
        written = facts["format"]
        if written == FORMAT and _signed(text.rpartition(DIGEST_KEY)[0]) != text:
            _check(facts)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path, error) from None
    if written != FORMAT:
        raise DamagedRunError(
            f"{folder} was written by another version of nnlab (format {written}, this one reads {FORMAT}): "
            "move it away"
        )
    assert isinstance(facts, dict)
    return facts


def _check(facts: dict[str, Any]) -> None:
    """Raise ValueError or TypeError unless facts whose text has no valid checksum are complete.

    Files of earlier versions have none, and neither do files with the same values in another layout.
    """
    missing = [name for name in KEYS if name not in facts]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if "digest" in facts and facts["digest"] != _digest_of_values(facts):
        raise ValueError("it is not what was written")
    for name, kind in KEYS.items():
        if not isinstance(facts[name], kind):
            raise TypeError(f"{name} is not a {kind.__name__}")
    missing = [name for name in FILES if name not in facts["files"] and name != "run.json"]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    if not facts["verdict"]:
        raise ValueError("its verdict is empty")
    verdict_of(facts)
    references_of(facts)
    as_floats(facts["metrics"])


def verdict_of(facts: dict[str, Any]) -> Verdict:
    """Return the verdict in the content of run.json."""
    learned = as_floats(facts.get("learned", {}))
    return Verdict(
        tuple(Finding(**finding) for finding in facts["verdict"]),
        tuple(Event(**event) for event in facts["events"]),
        facts.get("warning", ""),
        facts.get("outcome", NOT_MEASURED),
        learned.get("train", math.nan),
        learned.get("test", math.nan),
        facts.get("cure", {}),
    )


def references_of(facts: dict[str, Any]) -> References:
    """Return the reference scores in the content of run.json."""
    return References(**as_floats(facts["references"]))


def measures_of(facts: dict[str, Any]) -> int:
    """Return the version of the measurements in the content of run.json."""
    return int(facts["facts"].get("measures", 1))


def as_floats(values: dict[str, Any]) -> dict[str, float]:
    """Return numbers as floats. JSON has no inf and no NaN; they are written as text."""
    return {name: float(value) for name, value in values.items()}


def finite_or_text(values: dict[str, float]) -> dict[str, float | str]:
    """Return numbers as JSON can hold them: the inverse of `as_floats`."""
    return {name: value if np.isfinite(value) else str(value) for name, value in values.items()}


def _text_of(content: dict[str, Any]) -> str:
    return _signed(json.dumps(content, indent=1, allow_nan=False).removesuffix("\n}"))


def _signed(text: str) -> str:
    """Return the text of run.json with its own checksum at the end. Readers pay for one hash and no second parse."""
    return f'{text}{DIGEST_KEY}{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n'


def _digest_of_values(facts: dict[str, Any]) -> str:
    """Return the checksum that earlier versions wrote."""
    content = {name: value for name, value in facts.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
