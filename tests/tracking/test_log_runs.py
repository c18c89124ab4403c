"""Runs of a sweep as entries in MLflow, and the ledger of a results folder."""

import dataclasses
import errno
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnlab
from nnlab.cli import register
from nnlab.results import Results
from nnlab.study.execute import execute
from nnlab.study.plan import make_plan
from nnlab.study.sync import sync
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.ledger import Ledger, logged_experiments
from nnlab.tracking.log_runs import RunTracker


@pytest.fixture
def configs(results: Path) -> list[nnlab.RunConfig]:
    return [
        nnlab.RunConfig(
            seed=seed,
            init=nnlab.InitConfig(scale=scale),
            training=nnlab.TrainingConfig(iterations=40),
            results_dir=str(results),
            tracking=nnlab.TrackingConfig(experiment="small", report=False),
        )
        for scale in (0.0, 0.01)
        for seed in range(2)
    ]


def client(results: Path) -> Any:
    return import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")


def entries(results: Path) -> list[Any]:
    mlflow = client(results)
    return mlflow.search_runs([mlflow.get_experiment_by_name("small").experiment_id])


def test_every_run_is_logged_with_params_metrics_and_tags(configs: list[nnlab.RunConfig], results: Path) -> None:
    runs = {run.fingerprint: run for run in nnlab.sweep(configs, n_jobs=1, tracking=True)}
    logged = entries(results)
    assert len(logged) == 4
    for entry in logged:
        run = runs[entry.data.tags["fingerprint"]]
        assert entry.info.status == "FINISHED"
        assert entry.data.params["init.scale"] == str(run.config.init.scale)
        assert entry.data.params["data.m"] == "400"
        final = {name: value for name, value in entry.data.metrics.items() if not name.startswith("config/")}
        assert final == {name: value for name, value in run.metrics.items() if np.isfinite(value)}
        assert entry.data.metrics["config/init.scale"] == run.config.init.scale
        assert entry.data.metrics["config/seed"] == run.config.seed
        assert len({other.data.tags["sweep"] for other in logged}) == 1
    assert sorted(entry.info.run_name for entry in logged) == [
        *("scale 0 seed 0", "scale 0 seed 1"),
        *("scale 0.01 seed 0", "scale 0.01 seed 1"),
    ]


@pytest.mark.parametrize(("quantity", "count"), [("cost/test", None), ("signal/ratio", 8)])
def test_logged_curves_are_points_of_the_history_with_its_ends(quantity: str, count: int, results: Path) -> None:
    config = nnlab.RunConfig(
        training=nnlab.TrainingConfig(iterations=2000),
        results_dir=str(results),
        tracking=nnlab.TrackingConfig(experiment="small", report=False),
    )
    run = nnlab.run(config, tracking=True)
    points = client(results).get_metric_history(entries(results)[0].info.run_id, quantity)
    on_disk = run.history.query(f"quantity == '{quantity}'").set_index("iteration")["value"]
    assert [points[0].step, points[-1].step, len(points)] == [0, 2000, count or len(on_disk)]
    assert all(on_disk[point.step] == point.value for point in points)


def test_only_the_ends_of_a_constant_curve_are_logged(configs: list[nnlab.RunConfig], results: Path) -> None:
    run = nnlab.sweep(configs[-1:], n_jobs=1, tracking=True)[0]
    mlflow, run_id = client(results), entries(results)[0].info.run_id
    logged = [point.step for point in mlflow.get_metric_history(run_id, "symmetry/distinct_units/layer1")]
    assert logged == [0, run.config.training.iterations]


def test_the_artifacts_are_the_files_of_the_run_folder(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    names = {file.path for file in client(results).list_artifacts(entries(results)[0].info.run_id)}
    assert names == {"config.yaml", "history.parquet", "parameters.npz", "run.json"}


def test_runs_on_disk_that_mlflow_lacks_are_logged_by_the_next_sweep(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    nnlab.sweep(configs[:2], n_jobs=1, tracking=False)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(entries(results)) == 4


def test_metrics_that_are_not_finite_are_named_in_a_tag_and_not_logged(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    config = nnlab.RunConfig(
        data=nnlab.DataConfig(name="diabetes"),
        model=nnlab.ModelConfig(depth=0),
        training=nnlab.TrainingConfig(iterations=5000, learning_rate=10.0),
        results_dir=str(results),
        tracking=nnlab.TrackingConfig(experiment="small", report=False),
    )
    nnlab.sweep([config], n_jobs=1, tracking=True)
    entry = entries(results)[0]
    assert "cost/train" in entry.data.tags["non_finite"]
    mlflow = client(results)
    points = mlflow.get_metric_history(entry.info.run_id, "cost/train")
    assert points
    assert all(np.isfinite(point.value) for point in points)


def test_the_experiment_opens_as_model_training_with_a_view(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    tags = client(results).get_experiment_by_name("small").tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert "params.`init.scale`" in tags["mlflow.sharedViewState.swept"]


def test_two_processes_log_the_same_data_set(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = import_mlflow()
    real = mlflow.MlflowClient.log_inputs
    failed: list[str] = []

    def log_inputs(self: Any, run_id: str, *arguments: Any) -> None:
        if not failed:
            failed.append(run_id)
            raise mlflow.exceptions.MlflowException("UNIQUE constraint failed: datasets.experiment_id")
        real(self, run_id, *arguments)

    monkeypatch.setattr(mlflow.MlflowClient, "log_inputs", log_inputs)
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    (entry,) = entries(results)
    assert failed == [entry.info.run_id]
    assert [found.dataset.name for found in entry.inputs.dataset_inputs] == ["flower"]


def test_an_experiment_is_described_by_its_question_unless_it_has_a_description(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    execute(make_plan(configs[:2], n_jobs=1, question="Which learn?"))
    mlflow = client(results)
    found = mlflow.get_experiment_by_name("small")
    assert found.tags["mlflow.note.content"] == "Which learn?"
    mlflow.set_experiment_tag(found.experiment_id, "mlflow.note.content", "For the course.")
    execute(make_plan(configs[:3], n_jobs=1, question="Which learn?"))
    assert mlflow.get_experiment_by_name("small").tags["mlflow.note.content"] == "For the course."


def test_the_experiments_in_mlflow_are_listed_without_opening_it(configs: list[nnlab.RunConfig], results: Path) -> None:
    assert logged_experiments(Results(results), f"sqlite:///{results / 'mlflow.db'}") == {}
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    listed = logged_experiments(Results(results), f"sqlite:///{results / 'mlflow.db'}")
    assert listed == {
        found.name: found.experiment_id for found in client(results).search_experiments() if found.name in listed
    }
    assert listed.keys() == {"small", "sweeps"}
    assert logged_experiments(Results(results), "http://127.0.0.1:1") == {}


def test_a_single_run_keeps_the_views_of_a_sweep(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.run(configs[0], tracking=True)
    assert "mlflow.sharedViewState.swept" in client(results).get_experiment_by_name("small").tags
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    before = client(results).get_experiment_by_name("small").tags
    assert "params.`init.scale`" in before["mlflow.sharedViewState.swept"]
    views = []
    for _ in range(2):  # new, and then on disk already
        outcome = execute(make_plan([dataclasses.replace(configs[0], seed=9)], n_jobs=1))
        assert outcome.logged
        views.append(outcome.logged.views)
    assert client(results).get_experiment_by_name("small").tags == before
    assert list(views[0]) == ["runs", "curves, averaged over seeds"]
    assert views[1] == views[0]


def test_two_processes_save_the_same_view(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nnlab.sweep(configs[:1], n_jobs=1)
    tracker = RunTracker(configs[0])
    real = tracker.client.set_experiment_tag
    saved: set[str] = set()

    def insert_twice(experiment_id: str, name: str, state: str) -> None:
        real(experiment_id, name, state)
        if name not in saved:
            saved.add(name)
            raise import_mlflow().exceptions.MlflowException("UNIQUE constraint failed: experiment_tags.key")

    monkeypatch.setattr(tracker.client, "set_experiment_tag", insert_twice)
    tracker.save_views(["seed", "init.scale"])
    assert saved
    assert saved <= set(tracker.client.get_experiment(tracker.experiment_id).tags)


def test_the_run_id_in_the_environment_is_ignored(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(entries(results)) == 4


def test_a_deleted_experiment_is_rejected_by_its_name(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    mlflow = client(results)
    mlflow.delete_experiment(mlflow.get_experiment_by_name("small").experiment_id)
    with pytest.raises(nnlab.ConfigError, match=r"tracking.experiment must not be a deleted experiment"):
        nnlab.sweep(configs, n_jobs=1, tracking=True)


def fingerprints(results: Path) -> list[str]:
    return [entry.data.tags["fingerprint"] for entry in entries(results)]


def test_runs_whose_folders_were_deleted_and_made_again_are_logged_once(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    shutil.rmtree(results / "runs")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(fingerprints(results)) == len(set(fingerprints(results))) == 4


def test_everything_is_logged_to_a_new_database(
    configs: list[nnlab.RunConfig], results: Path, empty_database: Path
) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    shutil.copy(empty_database, results / "mlflow.db")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(set(fingerprints(results))) == 4


def test_a_lost_ledger_is_restored_from_mlflow(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    shutil.rmtree(results / "tracking")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(fingerprints(results)) == len(set(fingerprints(results))) == 4


@pytest.mark.parametrize("last", ["create_run", "log_batch", "set_terminated"])
def test_a_process_killed_while_logging_leaves_no_running_entry_and_no_duplicate(
    last: str, configs: list[nnlab.RunConfig], results: Path
) -> None:
    """A process is killed right after one call of MLflow's client; then the same sweep is repeated."""
    script = (
        "import os, signal, sys; import nnlab; from nnlab.config import from_dict\n"
        "from nnlab.tracking.connection import import_mlflow\n"
        f"client = import_mlflow().MlflowClient; original = client.{last}\n"
        "def call_and_die(*args, **kwargs):\n"
        "    original(*args, **kwargs); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"client.{last} = call_and_die\n"
        f"configs = [from_dict(each) for each in {[dataclasses.asdict(c) for c in configs]!r}]\n"
        "nnlab.sweep(configs, n_jobs=1, tracking=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path.cwd())
    assert done.returncode == -signal.SIGKILL, done.stderr
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    states = [entry.info.status for entry in entries(results)]
    assert states.count("FINISHED") == 4
    assert set(states) <= {"FINISHED", "KILLED"}
    finished = [e.data.tags["fingerprint"] for e in entries(results) if e.info.status == "FINISHED"]
    assert len(set(finished)) == 4


def test_two_sweeps_at_once_log_every_run_once(configs: list[nnlab.RunConfig], results: Path) -> None:
    values = [dataclasses.asdict(config) for config in configs]
    script = (
        f"import nnlab; from nnlab.config import from_dict; configs = [from_dict(each) for each in {values!r}]\n"
        "nnlab.sweep(configs, n_jobs=1, tracking=True)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    assert len(fingerprints(results)) == len(set(fingerprints(results))) == 4


def test_a_replacement_that_could_not_be_logged_is_logged_by_sync(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow deletes the earlier entry, and its answer is lost; this process lives on."""
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    client_class = import_mlflow().MlflowClient
    real = client_class.delete_run

    def delete_and_fail(self: Any, run_id: str) -> None:
        real(self, run_id)
        raise ConnectionError("cut")

    forced = [dataclasses.replace(config, launcher=nnlab.LauncherConfig(force=True)) for config in configs]
    with monkeypatch.context() as patch:
        patch.setattr(client_class, "delete_run", delete_and_fail)
        with pytest.warns(UserWarning, match="cut"):
            nnlab.sweep(forced, n_jobs=1, tracking=True)
    assert len(entries(results)) == 3
    assert sum(sync("small", str(results))) == 1
    assert len(entries(results)) == 4


def test_a_copied_results_folder_writes_artifacts_into_itself(
    configs: list[nnlab.RunConfig], results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, _ = nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    register.main([run.fingerprint, "--results-dir", str(results)])
    before = sorted(results.rglob("*"))
    copy = tmp_path / "a copy" / "results"
    shutil.copytree(results, copy)
    results.rename(tmp_path / "away")  # as on another machine
    there = [dataclasses.replace(config, results_dir=str(copy)) for config in configs[:3]]
    nnlab.sweep(there, n_jobs=1, tracking=True)
    nnlab.sweep(there, n_jobs=1, tracking=True)
    assert not results.exists()
    assert len(entries(copy)) == 3
    for entry in entries(copy):
        (file,) = copy.glob(f"artifacts/small/{entry.info.run_id}/artifacts/run.json")
        assert entry.info.artifact_uri == file.parent.as_uri()
    (version,) = client(copy).search_model_versions()
    assert version.source.startswith((copy / "artifacts").as_uri())
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{copy / 'mlflow.db'} was moved or copied")
    (tmp_path / "away").rename(results)
    assert sorted(results.rglob("*")) == before


def test_a_results_folder_that_is_opened_through_a_link_is_not_relocated(
    configs: list[nnlab.RunConfig], results: Path, tmp_path: Path
) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    (tmp_path / "link").symlink_to(results)
    linked = [dataclasses.replace(config, results_dir=str(tmp_path / "link")) for config in configs[:2]]
    nnlab.sweep(linked, n_jobs=1, tracking=True)
    assert len(entries(results)) == 2
    assert all(str(results) in entry.info.artifact_uri for entry in entries(results))


def test_a_damaged_ledger_is_reset(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    for path in (results / "tracking").glob("small-*/[!.]*"):
        path.write_bytes(b"\xff\xfe")
    assert "small" not in logged_experiments(Results(results), f"sqlite:///{results / 'mlflow.db'}")
    nnlab.sweep(configs[:3], n_jobs=1, tracking=True)
    assert len(entries(results)) == 3


def test_a_run_is_logged_once_although_the_ledger_could_not_be_written(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow has the runs, but the disk is too full for the ledger; the same process continues when there is room."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_write", fail)
        with pytest.warns(UserWarning, match="No space left"):
            nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    on_disk = {run.fingerprint for run in nnlab.sweep(configs[:2], n_jobs=1)}
    assert sorted(entry.data.tags["fingerprint"] for entry in entries(results)) == sorted(on_disk)
    assert Ledger(Results(results), "small", f"sqlite:///{results / 'mlflow.db'}").settled() == on_disk
