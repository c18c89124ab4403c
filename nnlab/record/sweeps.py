"""The record of sweeps: one small folder for each, beside the run folders.

    sweeps/<sweep>/
        summary.json            command, runs, failures with their tracebacks, status
        tables.txt              the tables that the terminal showed; only of finished sweeps
        <experiment>.html       the report; only of finished sweeps

The summary is written when a sweep begins and again when it ends. If it says RUNNING and its process has exited, the
sweep was killed; the next sweep into the same results folder records that.
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
from nnlab.record.commands import current_command
from nnlab.record.files import is_stale, partial_path, write_atomically
from nnlab.record.processes import is_gone, this_process
from nnlab.results import Results

__all__ = ["RESERVED_NAMES", "SweepLog", "SweepSummary"]

FILE = "summary.json"
RESERVED_NAMES = ("experiment",)
"""Names that a sweep cannot have: its entry in the ledger would be a file with another meaning."""
STATUSES = ("RUNNING", "FINISHED", "FAILED", "KILLED")


@dataclass
class SweepSummary:
    """The content of one summary.json.

    Attributes
    ----------
    sweep : the name of the sweep, by default its date and time
    experiment : the experiment of its runs
    command : the command line; empty for a sweep from Python
    question : the question of the sweep, if its preset has one
    swept : the keys that vary
    runs : the names of all its runs by fingerprint
    done : number of runs that existed before
    made : number of runs that were trained and written
    failures : name, fingerprint, config, command to repeat it, and traceback of each run that raised
    status : RUNNING, FINISHED, FAILED (some runs raised, or the disk was full) or KILLED (it was stopped)
    versions : commit, Python, NumPy
    process : the identity of the process that runs the sweep
    started, ended : UTC, ISO 8601; `ended` is empty while the sweep runs
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
        """Duration, 0 while the sweep runs."""
        if not self.ended:
            return 0.0
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.started)).total_seconds()

    @property
    def idle(self) -> bool:
        """True if the sweep has finished without training a run, because all of them existed."""
        return self.status == "FINISHED" and not self.made

    def close(self, status: str) -> None:
        """Set the final status and the time of the end."""
        self.status, self.ended = status, _now()


class SweepLog:
    """The summaries of all sweeps of a results folder."""

    def __init__(self, results: Results) -> None:
        self.folder = results.sweeps

    def path(self, sweep: str) -> Path:
        """Return the folder of a sweep. Raises ConfigError unless its name can name a folder in `sweeps`."""
        is_name = bool(sweep) and Path(sweep).name == sweep and "\0" not in sweep
        if not is_name or sweep.startswith(".") or sweep in RESERVED_NAMES:
            raise ConfigError(
                f"a sweep's name must be the name of a folder, must not begin with a dot, and must not be one of "
                f"{', '.join(RESERVED_NAMES)}, got {sweep!r}"
            )
        return self.folder / sweep

    def open(self, summary: SweepSummary) -> SweepSummary:
        """Write the summary of a sweep that begins; return it, with the results of earlier batches of the same sweep.

        If another sweep has the same name, because it has the same hydra.sweep.dir, a number is appended.
        """
        name, numbers = summary.sweep, itertools.count(2)
        while not self._create(summary):
            earlier = _read(self.path(summary.sweep) / FILE)
            if earlier and (earlier.process, earlier.experiment) == (summary.process, summary.experiment):
                summary = _continued(earlier, summary)
                self.write(summary)
                break
            summary.sweep = f"{name}-{next(numbers)}"
        return summary

    def _create(self, summary: SweepSummary) -> bool:
        """Write a summary into a new folder; return False if a folder of that name exists.

        The complete folder is renamed to its name. So only one of two simultaneous sweeps succeeds, and a
        killed sweep leaves no partial summary under the name.
        """
        folder, partial = self.path(summary.sweep), partial_path(self.folder / FILE)
        partial.mkdir(parents=True)
        try:
            write_atomically(partial / FILE, _to_json(summary))
            partial.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            return False
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return True

    def write(self, summary: SweepSummary) -> None:
        """Write a summary atomically."""
        write_atomically(self.path(summary.sweep) / FILE, _to_json(summary))

    def __iter__(self) -> Iterator[SweepSummary]:
        """Yield all readable summaries, oldest first."""
        summaries = [summary for path in self._paths() if (summary := _read(path))]
        return iter(sorted(summaries, key=lambda summary: (summary.started, summary.sweep)))

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"[!.]*/{FILE}"))

    def verify(self) -> Iterator[tuple[Path, str]]:
        """Yield each unreadable summary with the problem."""
        for path in self._paths():
            if _read(path) is None:
                yield path, "is damaged: it can be deleted, and only the record of this one sweep is lost"

    def question(self, experiment: str) -> str:
        """Return the question of an experiment, from its latest sweep that has one; empty if none has."""
        questions = [summary.question for summary in self if summary.experiment == experiment and summary.question]
        return questions[-1] if questions else ""

    def close_killed(self) -> None:
        """Record sweeps whose process has died as KILLED; remove the partial files of killed processes."""
        for partial in [*self.folder.glob(f".{FILE}-*"), *self.folder.glob(f"[!.]*/.{FILE}-*")]:
            with contextlib.suppress(OSError):  # another process has removed or completed it
                if is_stale(partial):
                    shutil.rmtree(partial) if partial.is_dir() else partial.unlink()
        for path in self._paths():
            summary = _read(path)
            if not summary or summary.status != "RUNNING":
                continue
            if not is_gone(summary.process, time.time() - path.stat().st_mtime):
                continue
            latest = _read(path)  # it may have finished after the first reading and before its process exited
            if latest and latest.status == "RUNNING":
                latest.close("KILLED")
                self.write(latest)


def _to_json(summary: SweepSummary) -> str:
    return json.dumps(dataclasses.asdict(summary), indent=1) + "\n"


def _read(path: Path) -> SweepSummary | None:
    """Return a summary, or None if it is missing, damaged or belongs to another folder.

    Unknown keys are ignored, and commands of earlier versions are given in today's form.
    """
    names = {field.name for field in dataclasses.fields(SweepSummary)}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        summary = SweepSummary(**{name: value for name, value in content.items() if name in names})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    if summary.sweep != path.parent.name or not _is_valid(summary):
        return None
    summary.command = current_command(summary.command)
    summary.failures = [{**failure, "command": current_command(failure["command"])} for failure in summary.failures]
    return summary


def _continued(earlier: SweepSummary, batch: SweepSummary) -> SweepSummary:
    """Return the summary of a sweep whose next batch begins."""
    return dataclasses.replace(
        batch,
        runs={**earlier.runs, **batch.runs},
        swept=[*earlier.swept, *(key for key in batch.swept if key not in earlier.swept)],
        done=earlier.done + batch.done,
        made=earlier.made,
        failures=earlier.failures,
        started=earlier.started,
    )


def _is_valid(summary: SweepSummary) -> bool:
    """Return True if all values have the types and forms that readers rely on."""
    kinds = {field.name: field.type for field in dataclasses.fields(SweepSummary)}
    return (
        all(type(getattr(summary, name)) is kind for name, kind in kinds.items() if kind in (str, int))
        and _are_texts(summary.swept, list)
        and _are_texts(summary.runs, dict)
        and _are_texts(summary.versions, dict)
        and isinstance(summary.failures, list)
        and all(_is_failure(failure) for failure in summary.failures)
        and summary.status in STATUSES
        and _is_time(summary.started)
        and (_is_time(summary.ended) or (summary.ended == "" and summary.status == "RUNNING"))
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


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
