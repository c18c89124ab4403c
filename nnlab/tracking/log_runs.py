"""Logging runs to MLflow."""

import contextlib
import dataclasses
import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nnlab.config import RunConfig
from nnlab.diagnostics.outcome import NOT_MEASURED
from nnlab.record.run import Run
from nnlab.tracking.connection import SQLITE, import_mlflow
from nnlab.tracking.metrics import final_points, metric_points
from nnlab.tracking.tracker import DESCRIPTION, Tracker, metric_entities, param_entities, retry_once, run_id_of
from nnlab.tracking.ui_views import links, merged_views

__all__ = ["RunTracker", "run_note"]

TRIED = "tried (`nnlab why`): "
"""The beginning of the last paragraph of the description of a run that was explained."""


class RunTracker(Tracker):
    """Logs the runs of one experiment. Only one process writes: sixteen on one SQLite file log 4 runs a second."""

    key_tag = "fingerprint"

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config, config.tracking.experiment)

    def _is_complete(self, entry: Any) -> bool:
        return bool(entry.info.status == "FINISHED")

    def _close_partial(self, run_id: str) -> None:
        self.client.set_terminated(run_id, "KILLED")

    def log(
        self,
        run: Run,
        name: str,
        folder: Path,
        swept: Iterable[str],
        tags: Mapping[str, str],
        *,
        replace: bool = False,
        figures: Mapping[str, Any] | None = None,
    ) -> bool:
        """Log one run from its folder: params, data set, curves, final metrics, artifacts, tags and figures.

        Return False if MLflow has the run or another process is logging it. With `replace`, the entry that MLflow has
        is deleted first; MLflow keeps it among the deleted ones.
        """
        old = self.ledger.run_id(run.fingerprint) if replace else None
        if not (self.ledger.reclaim(run.fingerprint, old) if old else self.ledger.claim(run.fingerprint)):
            return False
        with self._abandon_on_error(run.fingerprint):
            if old:
                self.client.delete_run(old)
            end = int(time.time() * 1000)
            start = end - int(1000 * run.facts["seconds"])
            all_tags = {**tags, **_tags(run), "mlflow.source.name": "nnlab"}
            entry = self.client.create_run(self.experiment_id, start, all_tags, name)
            run_id = run_id_of(entry)
            metrics = metric_entities(metric_points(run, swept), end)
            self.client.log_batch(run_id, metrics=metrics, params=param_entities(run.config))
            retry_once(self.client.log_inputs, run_id, [_dataset(run)])
            self._log_artifacts(entry, folder)
            for title, figure in (figures or {}).items():
                self.client.log_figure(run_id, figure, f"figures/{title}.png")
            self.client.set_terminated(run_id, "FINISHED", end)
            self.ledger.settle(run.fingerprint, run_id)
        return True

    def say_what_was_tried(self, run: Run, text: str) -> None:
        """Write a run's description again, with the answer of `nnlab why`. Does nothing if MLflow lacks the run."""
        run_id = self.ledger.run_id(run.fingerprint)
        if run_id is not None:
            self.client.set_tag(run_id, DESCRIPTION, _with_answer(run_note(run), text))

    def update(self, runs: Iterable[Run], folders: Mapping[str, Path], answers: Mapping[str, str]) -> None:
        """Update the entries of runs that were judged again, or explained, since they were logged.

        `folders` are the run folders, and `answers` what `nnlab why` answered, both by fingerprint. Where verdict,
        outcome or final metrics differ, tags, metrics and artifacts are written again. Otherwise descriptions keep what
        users wrote, and only the answer at their end is replaced.
        """
        entries = {run_id_of(entry): entry for entry in self.search("attributes.status = 'FINISHED'")}
        for run in runs:
            entry = entries.get(self.ledger.run_id(run.fingerprint) or "")
            if entry is None:  # never logged, or deleted in MLflow
                continue
            answer, note = answers.get(run.fingerprint, ""), entry.data.tags.get(DESCRIPTION, "")
            points = [point for point in final_points(run) if entry.data.metrics.get(point[0]) != point[1]]
            tags: dict[str, str] = {}
            if points or _is_outdated(entry, run):
                tags, note = _tags(run), run_note(run)
                self._log_artifacts(entry, folders[run.fingerprint])
            tags[DESCRIPTION] = _with_answer(note, answer)
            changed = {name: value for name, value in tags.items() if entry.data.tags.get(name, "") != value}
            if changed or points:
                tag = import_mlflow().entities.RunTag
                self.client.log_batch(
                    run_id_of(entry),
                    metrics=metric_entities(points, int(time.time() * 1000)),
                    tags=[tag(*one) for one in changed.items()],
                )

    def tag_causes(self, causes: Mapping[str, str]) -> None:
        """Write the tag `sweep_cause` of runs, given by fingerprint. Runs without such a cause have no such tag.

        Only tags that change are written.
        """
        entries = self.search("tags.sweep_cause != ''")
        tagged = {entry.data.tags.get(self.key_tag): entry.data.tags["sweep_cause"] for entry in entries}
        for fingerprint, cause in causes.items():
            run_id = self.ledger.run_id(fingerprint) if cause != tagged.get(fingerprint, "") else None
            if run_id is None or not self._is_active(run_id):
                continue
            if cause:
                self.client.set_tag(run_id, "sweep_cause", cause)
            else:
                self.client.delete_tag(run_id, "sweep_cause")

    def _is_active(self, run_id: str) -> bool:
        return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")

    def save_views(self, swept: Iterable[str] | None, *, has_test_part: bool = True) -> dict[str, str]:
        """Save views of what was swept and how it went; return the label of each, with its path in MLflow's UI.

        With None, views that exist are kept. `has_test_part` is False if no run has one: views then do without metrics
        of test data.
        """
        existing = {} if swept is not None else self.client.get_experiment(self.experiment_id).tags
        views = merged_views(existing, swept, has_test_part=has_test_part)
        self._tag_experiment({name: tag for name, tag in views.items() if existing.get(name) != tag})
        return links(self.experiment_id, views)

    def close(self) -> None:
        """Close orphans, delete duplicates, and update the statistics with which SQLite plans the UI's queries."""
        self.close_orphans()
        if self.shared:
            self._delete_duplicates()
        if self.uri.startswith(SQLITE):
            with contextlib.closing(sqlite3.connect(self.uri.removeprefix(SQLITE))) as database:
                database.execute("ANALYZE")
                database.commit()

    def _delete_duplicates(self) -> None:
        """Delete runs that another results folder logged at the same moment; the earliest entry stays."""
        by_fingerprint: dict[str, list[Any]] = {}
        for entry in self.search("attributes.status = 'FINISHED'"):
            by_fingerprint.setdefault(entry.data.tags.get(self.key_tag, ""), []).append(entry)
        by_fingerprint.pop("", None)
        for fingerprint, entries in by_fingerprint.items():
            if len(entries) == 1:
                continue
            first, *others = sorted(entries, key=lambda entry: (entry.info.start_time, run_id_of(entry)))
            for entry in others:
                with contextlib.suppress(import_mlflow().exceptions.MlflowException):  # already deleted
                    self.client.delete_run(run_id_of(entry))
            self.ledger.settle(fingerprint, run_id_of(first))


def _tags(run: Run) -> dict[str, str]:
    non_finite = sorted(name for name, value in run.metrics.items() if not math.isfinite(value))
    tags = {
        "fingerprint": run.fingerprint,
        "task": run.task,
        "verdict": run.verdict.name,
        "outcome": run.verdict.outcome,
        "verdicts": " ".join(run.verdict.all),
        DESCRIPTION: run_note(run),
    }
    broken = {event.cause for event in run.verdict.events if event.name == "symmetry/broken_at"}
    if broken:
        tags["symmetry_broken"] = "rounding" if "rounding" in broken else "init"
    tags |= {
        key: str(run.facts[key]) for key in ("git_commit", "git_dirty", "blas", "numpy", "measures") if key in run.facts
    }
    if non_finite:
        tags["non_finite"] = json.dumps(non_finite)
    return tags


def _is_outdated(entry: Any, run: Run) -> bool:
    """Return True if the verdict or the outcome of an entry is not that of the run."""
    tags, wanted = {"outcome": NOT_MEASURED, **entry.data.tags}, _tags(run)
    return any(tags.get(name) != wanted[name] for name in ("verdict", "verdicts", "outcome"))


def _with_answer(note: str, answer: str) -> str:
    """Return a description with the answer of `nnlab why` at its end, instead of an earlier one."""
    before = note.partition(f"\n\n{TRIED}")[0]
    return f"{before}\n\n{TRIED}{answer}" if answer else note


def run_note(run: Run) -> str:
    """Return the description of a run in markdown: its verdict with the evidence."""
    paragraphs = [f"**{finding.name}**{finding.text.removeprefix(finding.name)}" for finding in run.verdict.findings]
    return "\n\n".join([*paragraphs, *run.verdict.notes])


def _dataset(run: Run) -> Any:
    """Return the data set of a run for MLflow: its name, a digest of its config, and its size."""
    data = dataclasses.asdict(run.config.data)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]
    mlflow = import_mlflow()
    dataset = mlflow.entities.Dataset(
        *(run.config.data.name, digest),
        source_type="nnlab",
        source=json.dumps(data),
        profile=json.dumps({"task": run.task, "inputs": run.sizes[0], "m": data["m"]}),
    )
    return mlflow.entities.DatasetInput(dataset, [mlflow.entities.InputTag("mlflow.data.context", "training")])
