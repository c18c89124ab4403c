"""What was launched: one small folder for each sweep, beside the runs.

    sweeps/<sweep>/
        summary.json    command, runs, failures with their tracebacks, how it ended

The summary is written when a sweep begins and again when it ends. One that says RUNNING and whose process is gone was
killed; the next sweep into the same results says so.
"""

import dataclasses
import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nnlab.record.processes import is_gone, this_process

__all__ = ["Logbook", "Summary"]

FILE = "summary.json"


@dataclass
class Summary:
    """What is known of one sweep.

    Attributes
    ----------
    sweep, experiment : its name, day and time; the experiment of its runs
    command : what was typed; empty for a sweep from Python
    question : what the sweep is to answer, if it said so
    swept : the keys that vary
    runs : the names of all its runs by fingerprint
    done : how many of them were there already
    made : how many were trained and kept
    failures : name, fingerprint, config, command to repeat it, and traceback of each run that raised
    status : RUNNING, FINISHED, FAILED (some runs raised, or the disk was full), KILLED (it was stopped)
    versions : of nnlab's surroundings: commit, Python, NumPy
    process : who writes
    started, ended : UTC, ISO 8601; `ended` is empty while it runs
    """

    sweep: str
    experiment: str
    command: str = ""
    question: str = ""
    swept: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    done: int = 0
    made: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    status: str = "RUNNING"
    versions: dict[str, str] = field(default_factory=dict)
    process: str = field(default_factory=this_process)
    started: str = field(default_factory=lambda: _now())
    ended: str = ""

    @property
    def seconds(self) -> float:
        """How long it took, 0 while it runs."""
        if not self.ended:
            return 0.0
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()

    def close(self, status: str) -> None:
        """Note how it ended, now."""
        self.status, self.ended = status, _now()


class Logbook:
    """The summaries of all sweeps into a results folder."""

    def __init__(self, results: Path) -> None:
        self.folder = results / "sweeps"

    def path(self, sweep: str) -> Path:
        """Return the folder of a sweep."""
        return self.folder / sweep

    def open(self, summary: Summary) -> Summary:
        """Begin a sweep; return its summary, with what earlier batches of the same sweep have brought.

        Where another launch has the name already, as with one hydra.sweep.dir for two, this one gets a number.
        """
        names = (summary.sweep + (f"-{number}" if number > 1 else "") for number in itertools.count(1))
        summary.sweep = next(name for name in names if self._is_free(name, summary))
        earlier = _read(self.path(summary.sweep) / FILE)
        if earlier:
            summary = dataclasses.replace(
                summary,
                runs={**earlier.runs, **summary.runs},
                swept=[*earlier.swept, *(key for key in summary.swept if key not in earlier.swept)],
                done=earlier.done + summary.done,
                made=earlier.made,
                failures=earlier.failures,
                started=earlier.started,
            )
        self.write(summary)
        return summary

    def _is_free(self, name: str, summary: Summary) -> bool:
        path = self.path(name) / FILE
        earlier = _read(path)
        if earlier is None:
            return not path.exists()
        return (earlier.process, earlier.experiment) == (summary.process, summary.experiment)

    def write(self, summary: Summary) -> None:
        """Write a summary, whole or not at all."""
        folder = self.path(summary.sweep)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{FILE}-{os.getpid()}"
        with partial.open("w", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(summary), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(folder / FILE)

    def __iter__(self) -> Iterator[Summary]:
        """Yield all summaries that can be read, the oldest first."""
        found = (_read(path) for path in self._paths())
        return iter(sorted((summary for summary in found if summary), key=lambda one: (one.started, one.sweep)))

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*/{FILE}"))

    def problems(self) -> Iterator[tuple[Path, str]]:
        """Yield every summary that cannot be read."""
        for path in self._paths():
            if _read(path) is None:
                yield path, "is damaged: nothing but what is known of this one sweep is lost, and it can be deleted"

    def question(self, experiment: str) -> str:
        """Return what an experiment is to answer, as the last sweep of it said that said so; else nothing."""
        asked = [summary.question for summary in self if summary.experiment == experiment and summary.question]
        return asked[-1] if asked else ""

    def close_abandoned(self) -> None:
        """Close what killed processes left open."""
        for path in self._paths():
            summary = _read(path)
            if not summary or summary.status != "RUNNING":
                continue
            if is_gone(summary.process, time.time() - path.stat().st_mtime):
                summary.close("KILLED")
                self.write(summary)


def _read(path: Path) -> Summary | None:
    """Return a summary, None if it is not there or not whole; what a later version adds is passed over."""
    names = {field.name for field in dataclasses.fields(Summary)}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Summary(**{name: value for name, value in content.items() if name in names})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
