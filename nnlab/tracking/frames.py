"""Read recorded runs from MLflow alone, without their run folders."""

import json
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.config import KEYS, SWEEPS, ConfigError, RunConfig, TrackingConfig
from nnlab.config_field import Key
from nnlab.diagnostics.outcome import NOT_MEASURED
from nnlab.record.frames import DTYPES, no_such_experiment, read_file, unreadable_file
from nnlab.record.run_json import DamagedRunError, as_floats
from nnlab.tracking.connection import SQLITE, check_uri, connect, import_mlflow, plain_errors, tracking_uri

__all__ = ["read_artifact", "read_entries"]

_PAGE_SIZE = 1_000


def read_entries(experiment: str, uri: str) -> Iterator[dict[str, Any]]:
    """Yield the rows for `record.frames.runs_frame` from MLflow's entries. Raises the errors of `nnlab.load_runs`."""
    earlier: set[str] = set()
    for entry in _entries(experiment, uri):
        tags = entry.data.tags
        fingerprint = tags.get("fingerprint")
        if fingerprint is None or fingerprint in earlier:  # not nnlab's; or logged by two machines: the newest is first
            continue
        earlier.add(fingerprint)
        folder = _artifact_folder(entry.info.artifact_uri, uri)
        metrics = {name: value for name, value in entry.data.metrics.items() if not name.startswith("config/")}
        if "non_finite" in tags:  # MLflow has the names of these metrics, not their values
            metrics |= _non_finite_metrics(folder, json.loads(tags["non_finite"]))
        yield {
            "fingerprint": fingerprint,
            "folder": folder,
            "task": tags.get("task"),
            "measures": int(tags.get("measures", 1)),
            "config": {name: _parsed(text, KEYS[name]) for name, text in entry.data.params.items() if name in KEYS},
            "verdict": tags.get("verdict"),
            "outcome": tags.get("outcome", NOT_MEASURED),
            "sweep_cause": tags.get("sweep_cause", ""),
            "metrics": metrics,
        }
    if not earlier:
        raise no_such_experiment(experiment, [])


def read_artifact(folder: str, name: str) -> bytes:
    """Return a file of a run, from a folder or from an artifact store. Raises DamagedRunError if it cannot be read."""
    if "://" not in folder:
        return read_file(folder, name)
    try:
        with tempfile.TemporaryDirectory() as target:
            path = import_mlflow().artifacts.download_artifacts(f"{folder}/{name}", dst_path=target)
            return Path(path).read_bytes()
    except Exception as error:  # every kind of artifact store raises errors of its own
        raise unreadable_file(folder, name, error) from None


def _entries(experiment: str, uri: str) -> Iterator[Any]:
    """Yield MLflow's entries of all complete runs, newest first."""
    config = RunConfig(tracking=TrackingConfig(uri=uri))
    check_uri(config)
    where = tracking_uri(config)
    if where.startswith(SQLITE) and not Path(where.removeprefix(SQLITE)).is_file():  # MLflow would create one
        raise ConfigError(f"uri must name an existing database, got {uri!r}")
    with plain_errors(where):
        client = connect(config)
        ids = {entry.name: entry.experiment_id for entry in client.search_experiments()}
    if experiment not in ids:
        raise no_such_experiment(experiment, [name for name in ids if name not in ("Default", SWEEPS)])
    token = None
    while True:
        with plain_errors(where):
            page = client.search_runs(
                [ids[experiment]], "attributes.status = 'FINISHED'", max_results=_PAGE_SIZE, page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


def _non_finite_metrics(folder: str, names: Sequence[str]) -> dict[str, float]:
    """Return the metrics that MLflow lacks, from the run's own file, or NaN if its artifacts are gone."""
    try:
        metrics = as_floats(json.loads(read_artifact(folder, "run.json"))["metrics"])
    except (DamagedRunError, ValueError, KeyError):
        metrics = {}
    return {name: metrics.get(name, np.nan) for name in names}


def _parsed(text: str, key: Key) -> Any:
    """Return the value of a param; MLflow keeps all of them as text."""
    if key.optional and text == "null":
        return None
    return text == "True" if key.type is bool else key.type(text) if key.type in DTYPES else text


def _artifact_folder(artifacts: str, uri: str) -> str:
    """Return the local folder of a run's artifacts, or else an address that names the server."""
    address = urllib.parse.urlparse(artifacts)
    if address.scheme == "file":
        return urllib.request.url2pathname(address.path)
    if address.scheme == "mlflow-artifacts":
        return f"{uri.rstrip('/')}/api/2.0/mlflow-artifacts/artifacts/{address.path.lstrip('/')}"
    return artifacts
