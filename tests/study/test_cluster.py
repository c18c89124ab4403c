"""A study on a Dask cluster has the same bits and is complete, although workers are lost and join while it runs."""

import os
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from servers import dask_scheduler, dask_worker, mlflow_server, postgresql, postgresql_programs

import nnlab
from nnlab.record.run import Run
from nnlab.tracking.connection import import_mlflow


def configs_in(results: Path, iterations: int, **parts: object) -> list[nnlab.RunConfig]:
    return [
        nnlab.RunConfig(
            seed=seed,
            model=nnlab.ModelConfig(hidden_size=size),
            training=nnlab.TrainingConfig(iterations=iterations),
            results_dir=str(results),
            **parts,  # type: ignore[arg-type]
        )
        for size in (2, 3, 4, 5, 6, 7)
        for seed in range(3)
    ]


def assert_same_bits(one: list[Run], other: list[Run]) -> None:
    for a, b in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(a.history, b.history, check_exact=True)
        assert all(a.parameters[name].tobytes() == b.parameters[name].tobytes() for name in a.parameters)


def test_a_study_is_complete_although_one_worker_is_lost_and_one_joins(tmp_path: Path) -> None:
    """Real processes: PostgreSQL under an MLflow server, a scheduler, a worker that is killed and one that joins."""
    programs = postgresql_programs()
    if programs is None:
        assert not os.environ.get("CI"), ".ci/run installs PostgreSQL"
        pytest.skip("PostgreSQL is not installed")
    iterations = 3000
    with (
        postgresql(programs, tmp_path / "postgresql") as database,
        mlflow_server(database, tmp_path / "artifacts") as uri,
        dask_scheduler(tmp_path) as address,
        dask_worker(address, tmp_path, "first") as first,
    ):
        results = tmp_path / "results"
        configs = configs_in(
            results,
            iterations,
            launcher=nnlab.LauncherConfig(backend="dask", address=address),
            tracking=nnlab.TrackingConfig(uri=uri, experiment="cluster", report=False),
        )
        finished: list[list[Run]] = []
        study = threading.Thread(target=lambda: finished.append(nnlab.sweep(configs, tracking=True)))
        study.start()
        wait_for_runs(results / "runs" / "cluster", 3, study)
        first.kill()
        with dask_worker(address, tmp_path, "second"):
            study.join(timeout=300)
        assert finished, "the study did not end"
        client = import_mlflow().MlflowClient(uri)
        entries = client.search_runs([client.get_experiment_by_name("cluster").experiment_id])
    counts = Counter(entry.data.tags["fingerprint"] for entry in entries)
    assert set(counts) == {run.fingerprint for run in finished[0]}
    assert set(counts.values()) == {1}
    assert {entry.info.status for entry in entries} == {"FINISHED"}
    processes = {run.facts["process"] for run in finished[0]}
    assert len(processes) == 2, "the test shows nothing unless both workers have trained"
    local = nnlab.sweep(configs_in(tmp_path / "local", iterations), n_jobs=1)
    assert_same_bits(finished[0], local)


def wait_for_runs(folder: Path, count: int, study: threading.Thread) -> None:
    for _ in range(2400):
        if len(list(folder.glob("[!.]*/run.json"))) >= count:
            return
        assert study.is_alive()
        time.sleep(0.05)
    raise TimeoutError(folder)


def test_a_scheduler_that_does_not_answer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.study.cluster.CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:1", "nonsense"):
        configs = configs_in(tmp_path, 5, launcher=nnlab.LauncherConfig(backend="dask", address=address))
        with pytest.raises(nnlab.ConfigError, match=r"launcher\.address must name a Dask scheduler that answers"):
            nnlab.sweep(configs)
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_without_workers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.study.cluster.CONNECT_SECONDS", 1)
    with dask_scheduler(tmp_path) as address:
        configs = configs_in(tmp_path / "r", 5, launcher=nnlab.LauncherConfig(backend="dask", address=address))
        with pytest.raises(nnlab.ConfigError, match="none after 1 s"):
            nnlab.sweep(configs)


@pytest.mark.parametrize(
    "launcher",
    [
        nnlab.LauncherConfig(backend="dask"),
        nnlab.LauncherConfig(address="tcp://127.0.0.1:8786"),
        nnlab.LauncherConfig(backend="slurm"),
    ],
    ids=str,
)
def test_backend_and_address_belong_together(launcher: nnlab.LauncherConfig, tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"launcher\.(address|backend) must be"):
        nnlab.sweep(configs_in(tmp_path, 5, launcher=launcher))
