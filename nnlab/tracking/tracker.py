"""One experiment in MLflow, and the ledger of what was logged to it."""

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

__all__ = ["DESCRIPTION"]

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without it the UI opens the experiment in its view for language models."""

DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow's UI shows as the description of a run or an experiment."""


class Tracker(ABC):
    """One experiment in MLflow, and the ledger of what it was told.

    Raises ConfigError if the store cannot be opened, UnreachableError if it is a server that does not answer.
    """

    identifier: str
    """The tag that says which run, or sweep, an entry is about."""
    shared: bool
    """Whether other results folders may tell this store of the same: all but the database in our own folder."""

    def __init__(self, config: RunConfig, experiment: str) -> None:
        self.uri, self.experiment = tracking_uri(config), experiment
        results = Results.at(config.results_dir)
        with plain_errors(self.uri):
            self.client = connect(config)
            self.experiment_id = self._open_experiment(results, local=self.uri.startswith(SQLITE))
            found = self.client.get_experiment(self.experiment_id)
        self.identity = f"{self.experiment_id} {found.creation_time}"
        self.shared = config.tracking.uri is not None
        self.described = DESCRIPTION in found.tags
        self.ledger = Ledger(results, self.experiment, self.uri)

    def _open_experiment(self, results: Results, *, local: bool) -> str:
        mlflow = import_mlflow()
        found = self.client.get_experiment_by_name(self.experiment)
        if found is None:
            location = (results.artifacts / self.experiment).as_uri() if local else None
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
                    entry.data.tags.get(self.identifier): run_id_of(entry)
                    for entry in self.search("")
                    if self._whole(entry)
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
            if known not in (None, run_id_of(entry)):
                self._end_half(run_id_of(entry))

    def _put_in_order(self, name: str) -> None:
        """Find out what became of an entry that somebody was writing who was killed, or could not go on."""
        entries = self.search(f"tags.{self.identifier} = '{name}'")
        whole = [entry for entry in entries if self._whole(entry)]
        for entry in entries:
            if entry.info.status == "RUNNING":
                self._end_half(run_id_of(entry))
        if whole:
            self.ledger.settle(name, run_id_of(whole[0]))
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
            retry_once(self.client.set_experiment_tag, self.experiment_id, name, value)

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
            self.client.log_artifacts(run_id_of(created), str(folder))
            return
        target = Path(urllib.request.url2pathname(location.path))
        target.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            try:
                os.link(path, target / path.name)
            except OSError:  # another disk, or one without links
                shutil.copy(path, target / path.name)


def retry_once(tell: Callable[..., None], *what: object) -> None:
    """Tell the store something that other processes tell it too, as an experiment's tags and data sets.

    Between its look and its insert another one may have made the same: the second time it is there.
    """
    try:
        tell(*what)
    except import_mlflow().exceptions.MlflowException:
        tell(*what)


def param_entities(config: RunConfig) -> list[Any]:
    mlflow = import_mlflow()
    return [
        mlflow.entities.Param(key, "null" if value is None else str(value)) for key, value in flatten(config).items()
    ]


def metric_entities(values: Iterable[tuple[str, float, int]], timestamp: int) -> list[Any]:
    mlflow = import_mlflow()
    return [mlflow.entities.Metric(key, value, timestamp, step) for key, value, step in values]


def run_id_of(run: Any) -> str:
    return str(run.info.run_id)
