"""Runs recorded on an MLflow server of one's own, over HTTP on loopback."""

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import nnlab
from experiments.ui import command, free_port
from nnlab.record.tracking import import_mlflow


@pytest.fixture
def server(tmp_path: Path, empty_database: Path) -> Iterator[str]:
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    # Test processes that start at once must not choose the same port.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    port = free_port(15000 + 200 * worker)
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command(folder / "mlflow.db", port), env=environment, stdout=log, stderr=log, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/health", process)
        yield url
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def test_runs_are_recorded_on_a_server(server: str, tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(
            seed=seed,
            training=nnlab.TrainingConfig(iterations=20),
            results_dir=str(tmp_path / "results"),
            tracking=nnlab.TrackingConfig(uri=server, experiment="remote"),
        )
        for seed in range(2)
    ]
    runs = nnlab.sweep(configs, n_jobs=1, tracking=True)
    client = import_mlflow().MlflowClient(server)
    entries = client.search_runs([client.get_experiment_by_name("remote").experiment_id])
    assert {entry.data.tags["fingerprint"] for entry in entries} == {run.fingerprint for run in runs}
    assert {entry.info.status for entry in entries} == {"FINISHED"}
    assert {file.path for file in client.list_artifacts(entries[0].info.run_id)} >= {"run.json", "history.parquet"}
    assert not (tmp_path / "results" / "mlflow.db").exists()
