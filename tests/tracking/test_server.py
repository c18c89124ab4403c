"""Runs logged to an MLflow server over HTTP, and registered there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import mlflow_server

import nnlab
from nnlab.cli import register
from nnlab.tracking.connection import import_mlflow


@pytest.fixture
def server(tmp_path: Path, empty_database: Path) -> Iterator[str]:
    folder = tmp_path / "server"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    with mlflow_server(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts") as uri:
        yield uri


def test_runs_are_logged_to_a_server(server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = [
        nnlab.RunConfig(
            seed=seed,
            training=nnlab.TrainingConfig(iterations=20),
            results_dir=str(tmp_path / "results"),
            tracking=nnlab.TrackingConfig(uri=server, experiment="remote", report=False),
        )
        for seed in range(2)
    ]
    runs = nnlab.sweep(configs, n_jobs=1, tracking=True)
    client = import_mlflow().MlflowClient(server)
    entries = client.search_runs([client.get_experiment_by_name("remote").experiment_id])
    assert {entry.data.tags["fingerprint"] for entry in entries} == {run.fingerprint for run in runs}
    assert {entry.info.status for entry in entries} == {"FINISHED"}
    assert {file.path for file in client.list_artifacts(entries[0].info.run_id)} >= {"run.json", "history.parquet"}
    register.main([runs[0].fingerprint, "--results-dir", str(tmp_path / "results"), "--uri", server])
    assert capsys.readouterr().out.startswith(f"Registered remote/{runs[0].fingerprint} as models:/remote/1")
    (version,) = client.search_model_versions("name = 'remote'")
    assert {file.path for file in client.list_artifacts(version.run_id, "model")} >= {"model/MLmodel", "model/code"}
    assert not (tmp_path / "results" / "mlflow.db").exists()
