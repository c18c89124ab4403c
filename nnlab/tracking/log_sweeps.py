"""Logging sweeps, and the runs that raised, to MLflow."""

import contextlib
from datetime import datetime
from typing import Any

from nnlab.config import SWEEPS, ConfigError, RunConfig, from_dict
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.log_runs import RunTracker
from nnlab.tracking.tracker import DESCRIPTION, Tracker, metric_entities, param_entities, run_id_of
from nnlab.tracking.ui_views import sweeps_view

__all__ = ["SweepTracker"]


class SweepTracker(Tracker):
    """Logs one entry for each sweep, in the experiment `sweeps`, and one for each run that raised, among the runs."""

    key_tag = "sweep"

    def __init__(self, config: RunConfig, runs: RunTracker, sweeps: SweepLog) -> None:
        super().__init__(config, SWEEPS)
        self.runs, self.sweeps = runs, sweeps

    def _is_complete(self, entry: Any) -> bool:
        return bool(entry.info.status != "RUNNING")

    def _close_partial(self, run_id: str) -> None:
        self.client.delete_run(run_id)

    def catch_up(self) -> None:
        """Log all sweeps of the runs' experiment that have ended and that MLflow lacks."""
        if not self.described:
            self._tag_experiment(sweeps_view())
            self.describe(
                "What was launched: one entry for each sweep, with the command that was typed and how it ended."
            )
        logged = self.logged()
        for summary in self.sweeps:
            has_ended = summary.status != "RUNNING" and summary.experiment == self.runs.experiment
            if has_ended and summary.sweep not in logged:
                self.log(summary)

    def log(self, summary: SweepSummary) -> None:
        """Log one sweep. If MLflow has an earlier batch of it, its entry is updated."""
        logged = self.ledger.run_id(summary.sweep)
        if not (self.ledger.reclaim(summary.sweep, logged) if logged else self.ledger.claim(summary.sweep)):
            return
        with self._abandon_on_error(summary.sweep):
            self._log_failures(summary)
            end = _milliseconds(summary.ended)
            run_id = logged or self._create_entry(summary)
            self.client.log_batch(run_id, metrics=metric_entities(_counts(summary), end))
            self.client.set_tag(run_id, DESCRIPTION, _sweep_note(summary))
            self.client.log_artifacts(run_id, str(self.sweeps.path(summary.sweep)))
            self.client.set_terminated(run_id, summary.status, end)
            self.ledger.settle(summary.sweep, run_id)
        self.close_orphans()

    def _create_entry(self, summary: SweepSummary) -> str:
        """Create the entry of a sweep and return its run id."""
        tags = {"sweep": summary.sweep, "mlflow.source.name": "nnlab", **summary.versions}
        name = f"{summary.experiment} {summary.sweep}"
        run_id = run_id_of(self.client.create_run(self.experiment_id, _milliseconds(summary.started), tags, name))
        params = {"experiment": summary.experiment, "command": summary.command, "swept": " ".join(summary.swept)}
        mlflow = import_mlflow()
        self.client.log_batch(run_id, params=[mlflow.entities.Param(*param) for param in params.items()])
        return run_id

    def _log_failures(self, summary: SweepSummary) -> None:
        """Log an entry of status FAILED for each run that raised. If the run succeeds later, it gets its own entry."""
        if not summary.failures:
            return
        entries = self.runs.search(f"tags.sweep = '{summary.sweep}' and tags.verdict = 'failed'")
        for entry in entries:
            if entry.info.status == "RUNNING":  # the process that logged it was killed
                self.client.set_terminated(run_id_of(entry), "KILLED")
        logged = {entry.data.tags.get("fingerprint") for entry in entries if entry.info.status == "FAILED"}
        for failure in summary.failures:
            if failure["fingerprint"] not in logged:
                self._log_failure(summary.sweep, failure)

    def _log_failure(self, sweep: str, failure: dict[str, Any]) -> None:
        last_line = failure["traceback"].rstrip().splitlines()[-1]
        note = f"**failed**: {last_line}\n\nTo repeat this one run:\n\n    {failure['command']}"
        tags = {
            "sweep": sweep,
            "fingerprint": failure["fingerprint"],
            "verdict": "failed",
            "mlflow.source.name": "nnlab",
            DESCRIPTION: note,
        }
        run_id = run_id_of(self.client.create_run(self.runs.experiment_id, tags=tags, run_name=failure["name"]))
        with contextlib.suppress(ConfigError):  # written by a version of nnlab with other keys
            self.client.log_batch(run_id, params=param_entities(from_dict(failure["config"])))
        self.client.log_text(run_id, failure["traceback"], "traceback.txt")
        self.client.set_terminated(run_id, "FAILED")


def _counts(summary: SweepSummary) -> list[tuple[str, float, int]]:
    """Return the metrics of a sweep as points (name, value, step)."""
    counts = {
        "runs": len(summary.runs),
        "done_before": summary.done,
        "made": summary.made,
        "failed": len(summary.failures),
        "seconds": summary.seconds,
    }
    return [(name, float(value), 0) for name, value in counts.items()]


def _milliseconds(moment: str) -> int:
    """Return an ISO date and time as milliseconds since 1970."""
    return int(1000 * datetime.fromisoformat(moment).timestamp())


def _sweep_note(summary: SweepSummary) -> str:
    lines = [f"{len(summary.runs)} runs of {summary.experiment}; {summary.made} made, {summary.done} done before."]
    if summary.command:
        lines.append(f"    {summary.command}")
    lines += [f"**{failure['name']}** failed: {failure['command']}" for failure in summary.failures]
    return "\n\n".join(lines)
