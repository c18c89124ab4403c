"""The mirror of runs in MLflow. The only module that imports mlflow, and only when it is needed."""

import contextlib
import json
import logging
import math
import os
import shutil
import sqlite3
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nnlab.config import ConfigError, RunConfig, flatten, results_path
from nnlab.record.history import Run, metric_name
from nnlab.record.ledger import Ledger

__all__ = ["Tracker", "UnreachableError", "check_store", "create_sqlite", "import_mlflow", "store_uri"]

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""Without it the UI opens the experiment in its view for language models."""


VIEW = "swept"
SHOWN_METRICS = (
    *("accuracy/test", "accuracy/train", "r2/test", "r2/train", "cost/test", "cost/train"),
    *("signal/ratio", "symmetry/distinct_units/layer1"),
)


def import_mlflow() -> Any:
    """Import mlflow as nnlab wants it: without telemetry, deaf to a run id meant for somebody else."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ASYNC_LOGGING", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # 7 are two minutes of silence
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.pop("MLFLOW_RUN_ID", None)
    import mlflow

    # It tells of every table it creates, in the middle of the progress bar.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return mlflow


SQLITE = "sqlite:///"


def store_uri(config: RunConfig) -> str:
    """Return the tracking URI: the config's, or an SQLite file in the results folder. SQLite paths are made absolute
    as the results folder is."""
    uri = config.tracking.uri
    if uri is None:
        return f"{SQLITE}{results_path(config.results_dir) / 'mlflow.db'}"
    return f"{SQLITE}{results_path(uri.removeprefix(SQLITE))}" if uri.startswith(SQLITE) else uri


def check_store(config: RunConfig) -> None:
    """Raise ConfigError if the store cannot be what the config says, as far as that can be seen from outside.

    MLflow tries a database that does not open for minutes, and then shows a traceback.
    """
    uri, own = store_uri(config), config.tracking.uri is None
    key, given = ("results_dir", config.results_dir) if own else ("tracking.uri", config.tracking.uri)
    if uri.startswith("sqlite:") and not uri.startswith(SQLITE):
        raise ConfigError(f"{key} must name a file if it is SQLite, as in sqlite:///path/mlflow.db, got {given!r}")
    if not uri.startswith(SQLITE):
        return
    path = Path(uri.removeprefix(SQLITE))
    confusing = [character for character in "%?#" if character in str(path)]
    if confusing:
        raise ConfigError(
            f"{key} must not contain {' '.join(confusing)} where runs are tracked in SQLite, since its URI gives them "
            f"another meaning (or tracking=off), got {given!r}"
        )
    if path.is_dir() or not (own or path.parent.is_dir()):
        raise ConfigError(f"{key} must name a file in a folder that exists, got {given!r}")
    if path.is_file() and path.stat().st_size and not _is_mlflow_database(path):
        raise ConfigError(f"{key} must name a database of MLflow's, got {given!r}: {path} is something else")


def _is_mlflow_database(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall())
    except sqlite3.DatabaseError:
        return False


class UnreachableError(ConfigError):
    """A tracking server does not answer. What is on disk can be told to it later (`make sync`)."""


class Tracker:
    """Writes the runs of one MLflow experiment. One process writes: sixteen on one SQLite file get 4 runs a second.

    Raises ConfigError if the store cannot be opened, UnreachableError if it is a server that does not answer.
    """

    def __init__(self, config: RunConfig) -> None:
        mlflow = import_mlflow()
        self.uri, self.experiment = store_uri(config), config.tracking.experiment
        results = results_path(config.results_dir)
        try:
            if config.tracking.uri is None:
                create_sqlite(results / "mlflow.db")
            self.client = mlflow.MlflowClient(self.uri)
            self.experiment_id = self._open_experiment(results, local=self.uri.startswith(SQLITE))
            born = self.client.get_experiment(self.experiment_id).creation_time
        except ConfigError:
            raise
        except Exception as error:  # whatever a driver, a proxy or a database raises
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            kind = UnreachableError if self.uri.startswith(("http://", "https://")) else ConfigError
            raise kind(f"tracking.uri must name a store that answers, got {self.uri!r}: {first_line}") from error

        self.identity = f"{self.experiment_id} {born}"
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
        """Return the fingerprints of the runs that the store knows, after putting in order what was cut off."""
        with self.ledger.locked():
            if not self.ledger.belongs_to(self.identity):
                self.ledger.start_anew(
                    self.identity, {run.data.tags["fingerprint"]: _id(run) for run in self._finished()}
                )
            for fingerprint in self.ledger.abandoned():
                self._put_in_order(fingerprint)
        return self.ledger.settled()

    def _put_in_order(self, fingerprint: str) -> None:
        """Find out what became of a run that somebody was telling of who was killed."""
        entries = self._search(f"tags.fingerprint = '{fingerprint}'")
        whole = [entry for entry in entries if entry.info.status == "FINISHED"]
        for entry in entries:
            if entry.info.status == "RUNNING":
                self.client.set_terminated(_id(entry), "KILLED")
        if whole:
            self.ledger.settle(fingerprint, _id(whole[0]))
        else:
            self.ledger.release(fingerprint)

    def _finished(self) -> list[Any]:
        return [run for run in self._search("attributes.status = 'FINISHED'") if "fingerprint" in run.data.tags]

    def _search(self, condition: str) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], condition, max_results=10_000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def log(self, run: Run, name: str, folder: Path, swept: Iterable[str], tags: Mapping[str, str]) -> None:
        """Mirror one run from its folder: params, curves, final metrics, artifacts, tags.

        Does nothing if the store knows the run, or another process is telling it.
        """
        if not self.ledger.claim(run.fingerprint):
            return
        mlflow = import_mlflow()
        end = int(time.time() * 1000)
        start = end - int(1000 * run.facts["seconds"])
        created = self.client.create_run(
            self.experiment_id, start, {**tags, **_tags(run), "mlflow.source.name": "nnlab"}, name
        )
        params = [mlflow.entities.Param(key, _text(value)) for key, value in flatten(run.config).items()]
        metrics = [mlflow.entities.Metric(key, value, end, step) for key, value, step in _points(run, swept)]
        self.client.log_batch(_id(created), metrics=metrics, params=params)
        self._log_artifacts(created, folder)
        self.client.set_terminated(_id(created), "FINISHED", end)
        self.ledger.settle(run.fingerprint, _id(created))

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

    def share_view(self, swept: Iterable[str]) -> str:
        """Make a view of the run list that shows what was swept and how it went; return the link's path.

        It is MLflow's own shared view, a tag of the experiment: without it the list shows no param and no metric.
        """
        params = [f"params.`{key}`" for key in sorted(swept, key=lambda key: key == "seed")]
        metrics = [f"metrics.`{name}`" for name in SHOWN_METRICS]
        state = {
            "selectedColumns": [*params, "tags.`verdict`", *metrics],
            "columnOrder": ["checkbox", "runName", "startTime", *params, "tags.`verdict`", *metrics],
            "runsHiddenMode": "SHOW_ALL",  # the default draws the first ten
            "orderByKey": "metrics.`cost/test`",
            "orderByAsc": True,
        }
        self.client.set_experiment_tag(self.experiment_id, f"mlflow.sharedViewState.{VIEW}", json.dumps(state))
        return f"/#/experiments/{self.experiment_id}/runs?viewStateShareKey={VIEW}&workflowType=machine_learning"

    def close(self) -> None:
        """Leave the store fast to read: SQLite plans the UI's queries badly until it has statistics."""
        if self.uri.startswith(SQLITE):
            with contextlib.closing(sqlite3.connect(self.uri.removeprefix(SQLITE))) as database:
                database.execute("ANALYZE")
                database.commit()


def create_sqlite(path: Path) -> None:
    """Make the database whole or not at all: several processes that migrate one empty file break each other."""
    if path.exists():
        return
    mlflow = import_mlflow()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    mlflow.MlflowClient(f"{SQLITE}{partial}").search_experiments()
    with contextlib.closing(sqlite3.connect(partial)) as database:
        # A commit then costs one write instead of three, and the UI reads while a sweep writes. It stays with the file.
        database.execute("PRAGMA journal_mode=WAL")
    try:
        os.link(partial, path)
    except FileExistsError:
        pass  # another process was first; its database is as good
    finally:
        partial.unlink()


def _points(run: Run, swept: Iterable[str]) -> list[tuple[str, float, int]]:
    """All that MLflow shall draw: finite values only, a NaN can break the page of a run.

    A point costs MLflow 0.1 ms, so of all but costs and scores, which people lay over each other, eight checkpoints
    are sent, and of a curve that stands still only the ends. The run's folder, among its artifacts, has all.
    """
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for iteration, layer, quantity, value in run.history.to_numpy().tolist():
        curves.setdefault((quantity, layer), []).append((iteration, value))
    points = [
        (metric_name(quantity, layer), value, iteration)
        for (quantity, layer), curve in curves.items()
        for iteration, value in _ends_of_plateaus(curve if quantity.startswith(PERFORMANCE) else _thinned(curve, 8))
        if math.isfinite(value)
    ]
    final = {name: value for name, value in run.metrics.items() if name.startswith(FINAL) and math.isfinite(value)}
    points += [(name, value, 0) for name, value in final.items()]
    values = flatten(run.config)
    # Params are strings in MLflow ("params.x < 0.1" is an error), so each swept number is a metric as well.
    numbers = [key for key in swept if isinstance(values[key], int | float)]
    return points + [(f"config/{key}", float(values[key]), 0) for key in numbers]


PERFORMANCE = ("cost/", "accuracy/", "r2/")
FINAL = (
    *("reference/", "accuracy/over_affine/", "r2/over_affine/"),
    *("symmetry/broken_at/", "activity/born_dead/", "activity/died_at/"),
)
"""Metrics that belong to a run, not to a checkpoint."""


def _thinned(curve: Sequence[tuple[int, float]], count: int) -> Sequence[tuple[int, float]]:
    """Return at most `count` points of a curve, evenly chosen, first and last among them."""
    places = {round(place * (len(curve) - 1) / (count - 1)) for place in range(count)}
    return [curve[place] for place in sorted(places)]


def _ends_of_plateaus(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return a curve without the points that lie between two of the same value: drawn, it is the same line."""
    return [
        point
        for place, point in enumerate(curve)
        if not 0 < place < len(curve) - 1 or not curve[place - 1][1] == point[1] == curve[place + 1][1]
    ]


def _tags(run: Run) -> dict[str, str]:
    non_finite = sorted(name for name, value in run.metrics.items() if not math.isfinite(value))
    tags = {
        "fingerprint": run.fingerprint,
        "task": run.task,
        "verdict": run.verdict.name,
        "verdicts": " ".join(run.verdict.all),
        "mlflow.note.content": _note(run),
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


def _id(run: Any) -> str:
    return str(run.info.run_id)


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
