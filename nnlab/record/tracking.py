"""The mirror of runs and sweeps in MLflow."""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import shutil
import sqlite3
import tempfile
import time
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from nnlab.config import SWEEPS, ConfigError, RunConfig, flatten, from_dict, results_path
from nnlab.record.history import Run
from nnlab.record.ledger import Ledger
from nnlab.record.logbook import Logbook, Summary
from nnlab.record.mlflow_store import SQLITE, connect, import_mlflow, store_uri, told_plainly
from nnlab.record.model import save_model
from nnlab.record.points import points
from nnlab.record.views import links, sweeps_view, views_beside

__all__ = ["DESCRIPTION", "MODEL_TAG", "SweepTracker", "Tracker"]

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without it the UI opens the experiment in its view for language models."""

MODEL_TAG = "registered_model"
"""The tag of a run whose network is in MLflow's registry: which version of which model."""

DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow's UI shows as the description of a run or an experiment."""


class _Mirror(ABC):
    """One experiment in MLflow, and the ledger of what it was told.

    Raises ConfigError if the store cannot be opened, UnreachableError if it is a server that does not answer.
    """

    identifier: str
    """The tag that says which run, or sweep, an entry is about."""
    shared: bool
    """Whether other results folders may tell this store of the same: all but the database in our own folder."""

    def __init__(self, config: RunConfig, experiment: str) -> None:
        self.uri, self.experiment = store_uri(config), experiment
        results = results_path(config.results_dir)
        with told_plainly(self.uri):
            self.client = connect(config)
            self.experiment_id = self._open_experiment(results, local=self.uri.startswith(SQLITE))
            found = self.client.get_experiment(self.experiment_id)
        self.identity = f"{self.experiment_id} {found.creation_time}"
        self.shared = config.tracking.uri is not None
        self.described = DESCRIPTION in found.tags
        self.ledger = Ledger(results, self.experiment, self.uri)

    def _open_experiment(self, results: Path, *, local: bool) -> str:
        mlflow = import_mlflow()
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            location = (results / "artifacts" / self.experiment).as_uri() if local else None
            try:
                return self.client.create_experiment(self.experiment, location, EXPERIMENT_TAGS)
            except mlflow.exceptions.MlflowException:
                found = self.client.get_experiment_by_name(self.experiment)  # another process was first
        if found is None or found.lifecycle_stage != "active":
            raise ConfigError(
                f"tracking.experiment must not be a deleted experiment: restore {self.experiment!r} in MLflow "
                "or choose another name"
            )
        return str(found.experiment_id)

    def logged(self) -> set[str]:
        """Return what the store knows, by its identifiers, after putting in order what was cut off."""
        with self.ledger.locked():
            ours = self.ledger.belongs_to(self.identity)
            if self.shared or not ours:
                known = {
                    entry.data.tags.get(self.identifier): _id(entry) for entry in self.search("") if self._whole(entry)
                }
                known.pop(None, None)
                if ours:
                    self.ledger.learn(known)
                else:
                    self.ledger.start_anew(self.identity, known)
            for name in self.ledger.abandoned():
                self._put_in_order(name)
            self.end_doubles()
        return self.ledger.settled()

    def end_doubles(self) -> None:
        """End entries that nobody knows of: the server made one, its answer was lost, the request was repeated."""
        if self.uri.startswith(SQLITE):
            return
        for entry in self.search("attributes.status = 'RUNNING'"):
            known = self.ledger.run_id(entry.data.tags.get(self.identifier, ""))
            if known not in (None, _id(entry)):
                self._end_half(_id(entry))

    def _put_in_order(self, name: str) -> None:
        """Find out what became of an entry that somebody was writing who was killed, or could not go on."""
        entries = self.search(f"tags.{self.identifier} = '{name}'")
        whole = [entry for entry in entries if self._whole(entry)]
        for entry in entries:
            if entry.info.status == "RUNNING":
                self._end_half(_id(entry))
        if whole:
            self.ledger.settle(name, _id(whole[0]))
        else:
            self.ledger.release(name)

    @abstractmethod
    def _whole(self, entry: Any) -> bool:
        """Return whether all was told."""

    @abstractmethod
    def _end_half(self, run_id: str) -> None:
        """Do with an entry what its writer, who is gone, cannot do any more."""

    def search(self, condition: str) -> list[Any]:
        """Return all entries that MLflow finds."""
        found: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], condition, max_results=10_000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def describe(self, text: str) -> None:
        """Say what the experiment is about, where nobody has."""
        if text and not self.described:
            self._tag_experiment({DESCRIPTION: text})
            self.described = True

    def _tag_experiment(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            _twice(self.client.set_experiment_tag, self.experiment_id, name, value)

    @contextlib.contextmanager
    def _released(self, name: str) -> Iterator[None]:
        """Give the claim up if telling fails: this process goes on, and would seem to be telling for ever."""
        try:
            yield
        except BaseException:
            self.ledger.abandon(name)
            raise

    def _log_artifacts(self, created: Any, folder: Path) -> None:
        """Put the run's files among MLflow's artifacts: as links where both are on one disk, which costs nothing."""
        location = urllib.parse.urlparse(created.info.artifact_uri)
        if location.scheme != "file":
            self.client.log_artifacts(_id(created), str(folder))
            return
        target = Path(urllib.request.url2pathname(location.path))
        target.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            try:
                os.link(path, target / path.name)
            except OSError:  # another disk, or one without links
                shutil.copy(path, target / path.name)


class Tracker(_Mirror):
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
            self.client.log_batch(_id(created), metrics=_metrics(points(run, swept), end), params=_params(run.config))
            _twice(self.client.log_inputs, _id(created), [_dataset(run)])
            self._log_artifacts(created, folder)
            for title, figure in (figures or {}).items():
                self.client.log_figure(_id(created), figure, f"figures/{title}.png")
            self.client.set_terminated(_id(created), "FINISHED", end)
            self.ledger.settle(run.fingerprint, _id(created))
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
            first, *others = sorted(entries, key=lambda entry: (entry.info.start_time, _id(entry)))
            for entry in others:
                with contextlib.suppress(import_mlflow().exceptions.MlflowException):  # the other one deletes it too
                    self.client.delete_run(_id(entry))
            self.ledger.settle(name, _id(first))


class SweepTracker(_Mirror):
    """Writes an entry for each sweep, in an experiment of its own, and one for each run that raised, among the runs."""

    identifier = "sweep"

    def __init__(self, config: RunConfig, runs: Tracker, logbook: Logbook) -> None:
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

    def log(self, summary: Summary) -> None:
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
                run_id = _id(self.client.create_run(self.experiment_id, started, tags, name))
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
            self.client.log_batch(run_id, metrics=_metrics(metrics, ended))
            self.client.set_tag(run_id, DESCRIPTION, _sweep_note(summary))
            self.client.log_artifacts(run_id, str(self.logbook.path(summary.sweep)))
            self.client.set_terminated(run_id, summary.status, ended)
            self.ledger.settle(summary.sweep, run_id)
        self.end_doubles()

    def _log_failures(self, summary: Summary) -> None:
        """Make an entry with status FAILED for each run that raised; a run that is made later gets one of its own."""
        if not summary.failures:
            return
        told = self.runs.search(f"tags.sweep = '{summary.sweep}' and tags.verdict = 'failed'")
        for entry in told:
            if entry.info.status == "RUNNING":  # whoever told of it was killed
                self.client.set_terminated(_id(entry), "KILLED")
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
            run_id = _id(self.client.create_run(self.runs.experiment_id, tags=tags, run_name=failure["name"]))
            with contextlib.suppress(ConfigError):  # of another version of nnlab, with other keys
                self.client.log_batch(run_id, params=_params(from_dict(failure["config"])))
            self.client.log_text(run_id, failure["traceback"], "traceback.txt")
            self.client.set_terminated(run_id, "FAILED")


def _twice(tell: Callable[..., None], *what: object) -> None:
    """Tell the store something that other processes tell it too, as an experiment's tags and data sets.

    Between its look and its insert another one may have made the same: the second time it is there.
    """
    try:
        tell(*what)
    except import_mlflow().exceptions.MlflowException:
        tell(*what)


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


def _sweep_note(summary: Summary) -> str:
    lines = [f"{len(summary.runs)} runs of {summary.experiment}; {summary.made} made, {summary.done} done before."]
    if summary.command:
        lines.append(f"    {summary.command}")
    lines += [f"**{failure['name']}** failed: {failure['command']}" for failure in summary.failures]
    return "\n\n".join(lines)


def _params(config: RunConfig) -> list[Any]:
    mlflow = import_mlflow()
    return [
        mlflow.entities.Param(key, "null" if value is None else str(value)) for key, value in flatten(config).items()
    ]


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


def _metrics(values: Iterable[tuple[str, float, int]], timestamp: int) -> list[Any]:
    mlflow = import_mlflow()
    return [mlflow.entities.Metric(key, value, timestamp, step) for key, value, step in values]


def _id(run: Any) -> str:
    return str(run.info.run_id)
