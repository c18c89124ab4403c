"""Runs in MLflow."""

import contextlib
import dataclasses
import hashlib
import json
import math
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nnlab.config import RunConfig
from nnlab.record.run import Run
from nnlab.tracking.connection import SQLITE, import_mlflow
from nnlab.tracking.metrics import points
from nnlab.tracking.register import save_model
from nnlab.tracking.tracker import DESCRIPTION, Tracker, metric_entities, param_entities, retry_once, run_id_of
from nnlab.tracking.ui_views import links, views_beside

__all__ = ["MODEL_TAG", "RunTracker"]

MODEL_TAG = "registered_model"
"""The tag of a run whose network is in MLflow's registry: which version of which model."""


class RunTracker(Tracker):
    """Writes the runs of one experiment. One process writes: sixteen on one SQLite file get 4 runs a second."""

    identifier = "fingerprint"

    def __init__(self, config: RunConfig) -> None:
        super().__init__(config, config.tracking.experiment)

    def _whole(self, entry: Any) -> bool:
        return bool(entry.info.status == "FINISHED")

    def _end_half(self, run_id: str) -> None:
        self.client.set_terminated(run_id, "KILLED")

    def log(
        self,
        run: Run,
        name: str,
        folder: Path,
        swept: Iterable[str],
        tags: Mapping[str, str],
        *,
        anew: bool = False,
        figures: Mapping[str, Any] | None = None,
    ) -> bool:
        """Mirror one run from its folder: params, data set, curves, final metrics, artifacts, tags; and figures of it.

        Return whether it was told: not if the store knows the run, or another process is telling it. With `anew` it
        takes the place of the one that the store knows, which MLflow keeps among the deleted ones.
        """
        known = self.ledger.run_id(run.fingerprint) if anew else None
        if not (self.ledger.reclaim(run.fingerprint, known) if known else self.ledger.claim(run.fingerprint)):
            return False
        with self._released(run.fingerprint):
            if known:
                self.client.delete_run(known)
            end = int(time.time() * 1000)
            start = end - int(1000 * run.facts["seconds"])
            created = self.client.create_run(
                self.experiment_id, start, {**tags, **_tags(run), "mlflow.source.name": "nnlab"}, name
            )
            self.client.log_batch(
                run_id_of(created), metrics=metric_entities(points(run, swept), end), params=param_entities(run.config)
            )
            retry_once(self.client.log_inputs, run_id_of(created), [_dataset(run)])
            self._log_artifacts(created, folder)
            for title, figure in (figures or {}).items():
                self.client.log_figure(run_id_of(created), figure, f"figures/{title}.png")
            self.client.set_terminated(run_id_of(created), "FINISHED", end)
            self.ledger.settle(run.fingerprint, run_id_of(created))
        return True

    def log_model(self, run: Run, folder: Path) -> None:
        """Put a run's network into MLflow's registry, under the experiment's name, unless it is there already.

        Models cost half a second each: this is for the best run of a sweep. One that somebody deleted in MLflow has
        none.
        """
        run_id = self.ledger.run_id(run.fingerprint)
        if run_id is not None:
            with self.ledger.locked():  # two sweeps may end at once
                self._log_model(run, folder, run_id)

    def _log_model(self, run: Run, folder: Path, run_id: str) -> None:
        entry = self.client.get_run(run_id)
        if MODEL_TAG in entry.data.tags or entry.info.lifecycle_stage != "active":
            return
        # There is one without the tag if the process that registered it was killed in between.
        for version in self.client.search_model_versions(f"run_id = '{run_id}'"):
            self.client.set_tag(run_id, MODEL_TAG, f"{version.name} version {version.version}")
            return
        with tempfile.TemporaryDirectory() as name:
            save_model(run, folder, Path(name) / "model")
            self.client.log_artifacts(run_id, name)
        with contextlib.suppress(import_mlflow().exceptions.MlflowException):  # there is one of that name
            self.client.create_registered_model(
                self.experiment,
                description="The best run of each sweep, by test cost. It takes examples as rows, in the units of the "
                'data: `{"inputs": [[...], ...]}`.',
            )
        source = f"{entry.info.artifact_uri}/model"
        created = self.client.create_model_version(
            self.experiment, source, run_id, description=f"{entry.info.run_name}\n\n{_note(run)}"
        )
        self.client.set_tag(run_id, MODEL_TAG, f"{self.experiment} version {created.version}")

    def share_views(self, swept: Iterable[str] | None) -> dict[str, str]:
        """Make views that show what was swept and how it went; return what each shows with its path in MLflow's UI.

        None leaves views that are there as they are.
        """
        there = {} if swept is not None else self.client.get_experiment(self.experiment_id).tags
        made = views_beside(there, swept)
        self._tag_experiment({name: tag for name, tag in made.items() if there.get(name) != tag})
        return links(self.experiment_id, made)

    def close(self) -> None:
        """Leave the store in order, and fast to read: SQLite plans the UI's queries badly until it has statistics."""
        self.end_doubles()
        if self.shared:
            self._drop_doubles()
        if self.uri.startswith(SQLITE):
            with contextlib.closing(sqlite3.connect(self.uri.removeprefix(SQLITE))) as database:
                database.execute("ANALYZE")
                database.commit()

    def _drop_doubles(self) -> None:
        """Delete runs that another results folder told the store of at the same moment: the first one stays."""
        told: dict[str, list[Any]] = {}
        for entry in self.search("attributes.status = 'FINISHED'"):
            told.setdefault(entry.data.tags.get(self.identifier, ""), []).append(entry)
        told.pop("", None)
        for name, entries in told.items():
            if len(entries) == 1:
                continue
            first, *others = sorted(entries, key=lambda entry: (entry.info.start_time, run_id_of(entry)))
            for entry in others:
                with contextlib.suppress(import_mlflow().exceptions.MlflowException):  # the other one deletes it too
                    self.client.delete_run(run_id_of(entry))
            self.ledger.settle(name, run_id_of(first))


def _tags(run: Run) -> dict[str, str]:
    non_finite = sorted(name for name, value in run.metrics.items() if not math.isfinite(value))
    tags = {
        "fingerprint": run.fingerprint,
        "task": run.task,
        "verdict": run.verdict.name,
        "verdicts": " ".join(run.verdict.all),
        DESCRIPTION: _note(run),
    }
    broken = {event.cause for event in run.verdict.events if event.name == "symmetry/broken_at"}
    if broken:
        tags["symmetry_broken"] = "rounding" if "rounding" in broken else "init"
    tags |= {key: str(run.facts[key]) for key in ("git_commit", "git_dirty", "blas", "numpy") if key in run.facts}
    if non_finite:
        tags["non_finite"] = json.dumps(non_finite)
    return tags


def _note(run: Run) -> str:
    """Return the run's description, which the UI shows as markdown."""
    paragraphs = [f"**{finding.name}**{finding.text.removeprefix(finding.name)}" for finding in run.verdict.findings]
    return "\n\n".join([*paragraphs, *run.verdict.notes])


def _dataset(run: Run) -> Any:
    """Return what the run was trained on, as MLflow shows it: its name and a digest of its config."""
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
