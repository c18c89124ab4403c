"""What was launched: one small folder for each sweep, beside the runs.

    sweeps/<sweep>/
        summary.json    command, runs, failures with their tracebacks, how it ended
        tables.txt      what the terminal showed at the end, and <experiment>.html the report; of sweeps that ended

The summary is written when a sweep begins and again when it ends. One that says RUNNING and whose process is gone was
killed; the next sweep into the same results says so.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nnlab.config import ConfigError
from nnlab.record.files import is_left_over, partial_path, write_whole
from nnlab.record.processes import is_gone, this_process
from nnlab.results import Results

__all__ = ["RESERVED_NAMES", "SweepLog", "SweepSummary"]

FILE = "summary.json"
RESERVED_NAMES = ("experiment",)
"""Names that mean something else in the ledger, which has a file for each sweep too."""
STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED")


@dataclass
class SweepSummary:
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

    @property
    def idle(self) -> bool:
        """Whether it has ended and changed nothing: all its runs were there."""
        return self.status == "FINISHED" and not self.made

    def close(self, status: str) -> None:
        """Note how it ended, now."""
        self.status, self.ended = status, _now()


class SweepLog:
    """The summaries of all sweeps into a results folder."""

    def __init__(self, results: Results) -> None:
        self.folder = results.sweeps

    def path(self, sweep: str) -> Path:
        """Return the folder of a sweep. Raises ConfigError if its name cannot be that of one folder in `sweeps`."""
        if not sweep or sweep.startswith(".") or "/" in sweep or "\0" in sweep or sweep in RESERVED_NAMES:
            raise ConfigError(
                f"a sweep must have the name of a folder that does not begin with a dot, and is not one of "
                f"{', '.join(RESERVED_NAMES)}, got {sweep!r}"
            )
        return self.folder / sweep

    def open(self, summary: SweepSummary) -> SweepSummary:
        """Begin a sweep; return its summary, with what earlier batches of the same sweep have brought.

        Where another launch has the name already, as with one hydra.sweep.dir for two, this one gets a number.
        """
        name, numbers = summary.sweep, itertools.count(2)
        while not self._begin(summary):
            earlier = _read(self.path(summary.sweep) / FILE)
            if earlier and (earlier.process, earlier.experiment) == (summary.process, summary.experiment):
                summary = _continued(earlier, summary)
                self.write(summary)
                break
            summary.sweep = f"{name}-{next(numbers)}"
        return summary

    def _begin(self, summary: SweepSummary) -> bool:
        """Write a summary in a folder of its own; return False if that is somebody's.

        The folder gets its name when it is whole: of two launches at once one is the first, and one that is killed
        in between leaves no half summary.
        """
        folder, begun = self.path(summary.sweep), partial_path(self.folder / FILE)
        begun.mkdir(parents=True)
        try:
            write_whole(begun / FILE, _text(summary))
            begun.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            return False
        finally:
            shutil.rmtree(begun, ignore_errors=True)
        return True

    def write(self, summary: SweepSummary) -> None:
        """Write a summary, whole or not at all."""
        write_whole(self.path(summary.sweep) / FILE, _text(summary))

    def __iter__(self) -> Iterator[SweepSummary]:
        """Yield all summaries that can be read, the oldest first."""
        found = (_read(path) for path in self._paths())
        return iter(sorted((summary for summary in found if summary), key=lambda one: (one.started, one.sweep)))

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"[!.]*/{FILE}"))

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
        """Close what killed processes left open, and remove what they had not written to its end."""
        for left in [*self.folder.glob(f".{FILE}-*"), *self.folder.glob(f"[!.]*/.{FILE}-*")]:
            with contextlib.suppress(OSError):  # another process removes it too, or has written it to its end
                if is_left_over(left):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        for path in self._paths():
            summary = _read(path)
            if not summary or summary.status != "RUNNING":
                continue
            if not is_gone(summary.process, time.time() - path.stat().st_mtime):
                continue
            last = _read(path)  # it may have ended by itself between the first look and its process's end
            if last and last.status == "RUNNING":
                last.close("KILLED")
                self.write(last)


def _text(summary: SweepSummary) -> str:
    return json.dumps(dataclasses.asdict(summary), indent=1) + "\n"


def _read(path: Path) -> SweepSummary | None:
    """Return a summary, None if it is not there, not whole, or not one of this folder.

    What a later version adds is passed over.
    """
    names = {field.name for field in dataclasses.fields(SweepSummary)}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        summary = SweepSummary(**{name: value for name, value in content.items() if name in names})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return summary if summary.sweep == path.parent.name and _is_sound(summary) else None


def _continued(earlier: SweepSummary, batch: SweepSummary) -> SweepSummary:
    """Return the summary of a sweep when another batch of it begins."""
    return dataclasses.replace(
        batch,
        runs={**earlier.runs, **batch.runs},
        swept=[*earlier.swept, *(key for key in batch.swept if key not in earlier.swept)],
        done=earlier.done + batch.done,
        made=earlier.made,
        failures=earlier.failures,
        started=earlier.started,
    )


def _is_sound(summary: SweepSummary) -> bool:
    """Return whether a summary holds what its readers count on: JSON may hold anything."""
    kinds = {field.name: field.type for field in dataclasses.fields(SweepSummary)}
    return (
        all(type(getattr(summary, name)) is kind for name, kind in kinds.items() if kind in (str, int))
        and _are_texts(summary.swept, list)
        and _are_texts(summary.runs, dict)
        and _are_texts(summary.versions, dict)
        and isinstance(summary.failures, list)
        and all(_is_failure(failure) for failure in summary.failures)
        and summary.status in STATUSES
        and _is_moment(summary.started)
        and (_is_moment(summary.ended) or (summary.ended == "" and summary.status == "RUNNING"))
    )


def _are_texts(values: object, kind: type[list[str]] | type[dict[str, str]]) -> bool:
    if not isinstance(values, kind):
        return False
    return all(isinstance(text, str) for text in (values.values() if isinstance(values, dict) else values))


def _is_failure(failure: object) -> bool:
    if not isinstance(failure, dict) or not isinstance(failure.get("config"), dict):
        return False
    texts = [failure.get(name) for name in ("name", "fingerprint", "command", "traceback")]
    return all(isinstance(text, str) for text in texts) and bool(failure["traceback"].strip())


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
