"""Sweeps and failed runs in MLflow."""

import contextlib
from datetime import datetime
from typing import Any

from nnlab.config import SWEEPS, ConfigError, RunConfig, from_dict
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.runs import RunTracker
from nnlab.tracking.tracker import DESCRIPTION, Tracker, metric_entities, param_entities, run_id_of
from nnlab.tracking.ui_views import sweeps_view

__all__ = ["SweepTracker"]


class SweepTracker(Tracker):
    """Writes an entry for each sweep, in an experiment of its own, and one for each run that raised, among the runs."""

    identifier = "sweep"

    def __init__(self, config: RunConfig, runs: RunTracker, logbook: SweepLog) -> None:
        super().__init__(config, SWEEPS)
        self.runs, self.logbook = runs, logbook

    def _whole(self, entry: Any) -> bool:
        return bool(entry.info.status != "RUNNING")

    def _end_half(self, run_id: str) -> None:
        self.client.delete_run(run_id)

    def catch_up(self) -> None:
        """Tell of all sweeps of the experiment that have ended and that the store does not know."""
        if not self.described:
            self._tag_experiment(sweeps_view())
            self.describe(
                "What was launched: one entry for each sweep, with the command that was typed and how it ended."
            )
        known = self.logged()
        for summary in self.logbook:
            ended = summary.status != "RUNNING" and summary.experiment == self.runs.experiment
            if ended and summary.sweep not in known:
                self.log(summary)

    def log(self, summary: SweepSummary) -> None:
        """Tell of one sweep; tell more, if the store knows an earlier batch of it."""
        known = self.ledger.run_id(summary.sweep)
        if not (self.ledger.reclaim(summary.sweep, known) if known else self.ledger.claim(summary.sweep)):
            return
        with self._released(summary.sweep):
            self._log_failures(summary)
            started, ended = (
                int(1000 * datetime.fromisoformat(moment).timestamp()) for moment in (summary.started, summary.ended)
            )
            if known:
                run_id = known
            else:
                tags = {"sweep": summary.sweep, "mlflow.source.name": "nnlab", **summary.versions}
                name = f"{summary.experiment} {summary.sweep}"
                run_id = run_id_of(self.client.create_run(self.experiment_id, started, tags, name))
                texts = {"experiment": summary.experiment, "command": summary.command, "swept": " ".join(summary.swept)}
                mlflow = import_mlflow()
                self.client.log_batch(run_id, params=[mlflow.entities.Param(*text) for text in texts.items()])
            counts = {
                "runs": len(summary.runs),
                "done_before": summary.done,
                "made": summary.made,
                "failed": len(summary.failures),
                "seconds": summary.seconds,
            }
            metrics = [(name, float(value), 0) for name, value in counts.items()]
            self.client.log_batch(run_id, metrics=metric_entities(metrics, ended))
            self.client.set_tag(run_id, DESCRIPTION, _sweep_note(summary))
            self.client.log_artifacts(run_id, str(self.logbook.path(summary.sweep)))
            self.client.set_terminated(run_id, summary.status, ended)
            self.ledger.settle(summary.sweep, run_id)
        self.end_doubles()

    def _log_failures(self, summary: SweepSummary) -> None:
        """Make an entry with status FAILED for each run that raised; a run that is made later gets one of its own."""
        if not summary.failures:
            return
        told = self.runs.search(f"tags.sweep = '{summary.sweep}' and tags.verdict = 'failed'")
        for entry in told:
            if entry.info.status == "RUNNING":  # whoever told of it was killed
                self.client.set_terminated(run_id_of(entry), "KILLED")
        names = {entry.data.tags.get("fingerprint") for entry in told if entry.info.status == "FAILED"}
        for failure in summary.failures:
            if failure["fingerprint"] in names:
                continue
            last_line = failure["traceback"].rstrip().splitlines()[-1]
            note = f"**failed**: {last_line}\n\nTo repeat this one run:\n\n    {failure['command']}"
            tags = {
                "sweep": summary.sweep,
                "fingerprint": failure["fingerprint"],
                "verdict": "failed",
                "mlflow.source.name": "nnlab",
                DESCRIPTION: note,
            }
            run_id = run_id_of(self.client.create_run(self.runs.experiment_id, tags=tags, run_name=failure["name"]))
            with contextlib.suppress(ConfigError):  # of another version of nnlab, with other keys
                self.client.log_batch(run_id, params=param_entities(from_dict(failure["config"])))
            self.client.log_text(run_id, failure["traceback"], "traceback.txt")
            self.client.set_terminated(run_id, "FAILED")


def _sweep_note(summary: SweepSummary) -> str:
    lines = [f"{len(summary.runs)} runs of {summary.experiment}; {summary.made} made, {summary.done} done before."]
    if summary.command:
        lines.append(f"    {summary.command}")
    lines += [f"**{failure['name']}** failed: {failure['command']}" for failure in summary.failures]
    return "\n\n".join(lines)
