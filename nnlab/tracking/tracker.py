"""One experiment in MLflow: what the trackers of runs and of sweeps share."""

import contextlib
import os
import shutil
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nnlab.config import ConfigError, RunConfig, flatten
from nnlab.results import Results
from nnlab.tracking.connection import SQLITE, connect, import_mlflow, plain_errors, tracking_uri
from nnlab.tracking.ledger import Ledger

__all__ = ["DESCRIPTION", "Tracker", "metric_entities", "param_entities", "retry_once", "run_id_of"]

DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow's UI shows as the description of a run or an experiment."""

_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Marks the experiment as one of model training, not of language models."""


class Tracker(ABC):
    """Logs the entries of one experiment to MLflow, each once.

    The ledger holds the key of every entry: the fingerprint of a run, or the name of a sweep. An entry is claimed in
    the ledger, logged, and settled. Raises ConfigError if the database cannot be opened, UnreachableError if the
    tracking server does not answer.
    """

    key_tag: str
    """The tag of an entry that holds its key."""
    shared: bool
    """True if other results folders may log to this MLflow; False for the database in this results folder."""

    def __init__(self, config: RunConfig, experiment: str) -> None:
        self.uri, self.experiment = tracking_uri(config), experiment
        results = Results.at(config.results_dir)
        with plain_errors(self.uri):
            self.client = connect(config)
            self.experiment_id = self._open_experiment(results)
            entity = self.client.get_experiment(self.experiment_id)
        self.identity = f"{self.experiment_id} {entity.creation_time}"
        self.shared = config.tracking.uri is not None
        self.described = DESCRIPTION in entity.tags
        self.ledger = Ledger(results, self.experiment, self.uri)

    def _open_experiment(self, results: Results) -> str:
        """Return the id of the experiment, which is created if it does not exist."""
        mlflow = import_mlflow()
        entity = self.client.get_experiment_by_name(self.experiment)
        if entity is None:
            location = (results.artifacts / self.experiment).as_uri() if self.uri.startswith(SQLITE) else None
            try:
                return self.client.create_experiment(self.experiment, location, _EXPERIMENT_TAGS)
            except mlflow.exceptions.MlflowException:
                entity = self.client.get_experiment_by_name(self.experiment)  # another process was first
        if entity is None or entity.lifecycle_stage != "active":
            raise ConfigError(
                f"tracking.experiment must not be a deleted experiment: restore {self.experiment!r} in MLflow "
                "or choose another name"
            )
        return str(entity.experiment_id)

    # ---- which entries MLflow has

    def logged(self) -> set[str]:
        """Return the keys of the entries that MLflow has, once abandoned claims and partial entries are resolved."""
        with self.ledger.locked():
            is_current = self.ledger.belongs_to(self.identity)
            if self.shared or not is_current:
                run_ids = {
                    entry.data.tags.get(self.key_tag): run_id_of(entry)
                    for entry in self.search("")
                    if self._is_complete(entry)
                }
                run_ids.pop(None, None)
                if is_current:
                    self.ledger.add(run_ids)
                else:
                    self.ledger.reset(self.identity, run_ids)
            for key in self.ledger.abandoned():
                self._resolve_claim(key)
            self.close_orphans()
        return self.ledger.settled()

    def close_orphans(self) -> None:
        """Close running entries whose key is settled under another run id.

        They arise if a server creates an entry, its answer is lost, and MLflow's client repeats the request.
        """
        if self.uri.startswith(SQLITE):
            return
        for entry in self.search("attributes.status = 'RUNNING'"):
            settled = self.ledger.run_id(entry.data.tags.get(self.key_tag, ""))
            if settled not in (None, run_id_of(entry)):
                self._close_partial(run_id_of(entry))

    def _resolve_claim(self, key: str) -> None:
        """Settle or release a claim whose process was killed or gave up, and close what it left partial."""
        entries = self.search(f"tags.{self.key_tag} = '{key}'")
        complete = [entry for entry in entries if self._is_complete(entry)]
        for entry in entries:
            if entry.info.status == "RUNNING":
                self._close_partial(run_id_of(entry))
        if complete:
            self.ledger.settle(key, run_id_of(complete[0]))
        else:
            self.ledger.release(key)

    @abstractmethod
    def _is_complete(self, entry: Any) -> bool:
        """Return True if everything of an entry was logged."""

    @abstractmethod
    def _close_partial(self, run_id: str) -> None:
        """Close an entry that was left partial by a process that will not complete it."""

    def search(self, condition: str) -> list[Any]:
        """Return all entries of the experiment that meet a condition, in MLflow's filter language."""
        entries: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], condition, max_results=10_000, page_token=token)
            entries += page
            token = page.token
            if not token:
                return entries

    # ---- writing

    def describe(self, text: str) -> None:
        """Write the description of the experiment, unless it has one."""
        if text and not self.described:
            self._tag_experiment({DESCRIPTION: text})
            self.described = True

    def _tag_experiment(self, tags: Mapping[str, str]) -> None:
        for name, value in tags.items():
            retry_once(self.client.set_experiment_tag, self.experiment_id, name, value)

    @contextlib.contextmanager
    def _abandon_on_error(self, key: str) -> Iterator[None]:
        """Abandon a claim if logging fails. This process keeps running, so its claim would look active."""
        try:
            yield
        except BaseException:
            self.ledger.abandon(key)
            raise

    def _log_artifacts(self, entry: Any, folder: Path) -> None:
        """Log the files of a run folder: as hard links where both are on one disk, which takes no time or space.

        Files that were logged before are replaced.
        """
        location = urllib.parse.urlparse(entry.info.artifact_uri)
        if location.scheme != "file":
            self.client.log_artifacts(run_id_of(entry), str(folder))
            return
        target = Path(urllib.request.url2pathname(location.path))
        target.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            (target / path.name).unlink(missing_ok=True)
            try:
                os.link(path, target / path.name)
            except OSError:  # another disk, or a file system without links
                shutil.copy(path, target / path.name)


def retry_once(action: Callable[..., None], *arguments: object) -> None:
    """Call a function of MLflow's client, and once more if it fails.

    Needed for what other processes write as well, such as tags and data sets of an experiment: MLflow checks if a row
    exists and then inserts it. If another process inserts it in between, the second call finds it.
    """
    try:
        action(*arguments)
    except import_mlflow().exceptions.MlflowException:
        action(*arguments)


def param_entities(config: RunConfig) -> list[Any]:
    """Return every config key as a param, with its value as text."""
    mlflow = import_mlflow()
    return [
        mlflow.entities.Param(key, "null" if value is None else str(value)) for key, value in flatten(config).items()
    ]


def metric_entities(values: Iterable[tuple[str, float, int]], timestamp: int) -> list[Any]:
    """Return metrics, given as (name, value, step), with one timestamp in milliseconds."""
    mlflow = import_mlflow()
    return [mlflow.entities.Metric(name, value, timestamp, step) for name, value, step in values]


def run_id_of(entry: Any) -> str:
    """Return the run id of an entry."""
    return str(entry.info.run_id)
