import contextlib
import dataclasses
import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nnlab
from nnlab.results import Results
from nnlab.study.execute import Study
from nnlab.study.sync import sync
from nnlab.tracking import connection as mlflow_store
from nnlab.tracking.connection import create_database, import_mlflow, plain_errors
from nnlab.tracking.ledger import Ledger, known_experiments
from nnlab.tracking.runs import RunTracker


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


def recorded(results: Path) -> list[Any]:
    mlflow = client(results)
    return mlflow.search_runs([mlflow.get_experiment_by_name("small").experiment_id])


def test_every_run_is_mirrored_with_all_it_has(configs: list[nnlab.RunConfig], results: Path) -> None:
    made = {run.fingerprint: run for run in nnlab.sweep(configs, n_jobs=1, tracking=True)}
    mirrored = recorded(results)
    assert len(mirrored) == 4
    for entry in mirrored:
        run = made[entry.data.tags["fingerprint"]]
        assert entry.info.status == "FINISHED"
        assert entry.data.params["init.scale"] == str(run.config.init.scale)
        assert entry.data.params["data.m"] == "400"
        final = {name: value for name, value in entry.data.metrics.items() if not name.startswith("config/")}
        assert final == {name: value for name, value in run.metrics.items() if np.isfinite(value)}
        assert entry.data.metrics["config/init.scale"] == run.config.init.scale
        assert entry.data.metrics["config/seed"] == run.config.seed
        assert len({other.data.tags["sweep"] for other in mirrored}) == 1
    assert sorted(entry.info.run_name for entry in mirrored) == [
        *("scale 0 seed 0", "scale 0 seed 1"),
        *("scale 0.01 seed 0", "scale 0.01 seed 1"),
    ]


@pytest.mark.parametrize(("quantity", "count"), [("cost/test", None), ("signal/ratio", 8)])
def test_curves_are_points_of_those_on_disk_first_and_last_among_them(quantity: str, count: int, results: Path) -> None:
    config = nnlab.RunConfig(
        training=nnlab.TrainingConfig(iterations=2000),
        results_dir=str(results),
        tracking=nnlab.TrackingConfig(experiment="small", report=False),
    )
    run = nnlab.run(config, tracking=True)
    points = client(results).get_metric_history(recorded(results)[0].info.run_id, quantity)
    on_disk = run.history.query(f"quantity == '{quantity}'").set_index("iteration")["value"]
    assert [points[0].step, points[-1].step, len(points)] == [0, 2000, count or len(on_disk)]
    assert all(on_disk[point.step] == point.value for point in points)


def test_a_curve_that_stands_still_is_sent_as_its_ends(configs: list[nnlab.RunConfig], results: Path) -> None:
    run = nnlab.sweep(configs[-1:], n_jobs=1, tracking=True)[0]
    mlflow, run_id = client(results), recorded(results)[0].info.run_id
    sent = [point.step for point in mlflow.get_metric_history(run_id, "symmetry/distinct_units/layer1")]
    assert sent == [0, run.config.training.iterations]


def test_artifacts_hold_the_run_folder(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    names = {file.path for file in client(results).list_artifacts(recorded(results)[0].info.run_id)}
    assert names == {"config.yaml", "history.parquet", "parameters.npz", "run.json"}


def test_a_run_on_disk_that_mlflow_has_not_heard_of_is_told(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:2], n_jobs=1, tracking=False)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(recorded(results)) == 4


def test_numbers_that_are_not_finite_are_tagged_not_logged(configs: list[nnlab.RunConfig], results: Path) -> None:
    config = nnlab.RunConfig(
        data=nnlab.DataConfig(name="diabetes"),
        model=nnlab.ModelConfig(depth=0),
        training=nnlab.TrainingConfig(iterations=5000, learning_rate=10.0),
        results_dir=str(results),
        tracking=nnlab.TrackingConfig(experiment="small", report=False),
    )
    nnlab.sweep([config], n_jobs=1, tracking=True)
    entry = recorded(results)[0]
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


def test_two_processes_tell_of_the_same_data_set(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = import_mlflow()
    real = mlflow.MlflowClient.log_inputs
    beaten: list[str] = []

    def log_inputs(self: Any, run_id: str, *what: Any) -> None:
        if not beaten:
            beaten.append(run_id)
            raise mlflow.exceptions.MlflowException("UNIQUE constraint failed: datasets.experiment_id")
        real(self, run_id, *what)

    monkeypatch.setattr(mlflow.MlflowClient, "log_inputs", log_inputs)
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    (entry,) = recorded(results)
    assert beaten == [entry.info.run_id]
    assert [given.dataset.name for given in entry.inputs.dataset_inputs] == ["flower"]


def test_an_experiment_says_what_it_asks_unless_somebody_has_said_more(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    list(Study.plan(configs[:2], n_jobs=1, question="Who learns?").execute())
    mlflow = client(results)
    found = mlflow.get_experiment_by_name("small")
    assert found.tags["mlflow.note.content"] == "Who learns?"
    mlflow.set_experiment_tag(found.experiment_id, "mlflow.note.content", "For the course.")
    list(Study.plan(configs[:3], n_jobs=1, question="Who learns?").execute())
    assert mlflow.get_experiment_by_name("small").tags["mlflow.note.content"] == "For the course."


def test_the_experiments_that_a_store_knows_are_found_without_asking_it(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    assert known_experiments(Results(results), f"sqlite:///{results / 'mlflow.db'}") == {}
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    told = known_experiments(Results(results), f"sqlite:///{results / 'mlflow.db'}")
    assert told == {
        found.name: found.experiment_id for found in client(results).search_experiments() if found.name in told
    }
    assert told.keys() == {"small", "sweeps"}
    assert known_experiments(Results(results), "http://127.0.0.1:1") == {}


def test_a_single_run_leaves_the_view_of_a_sweep_as_it_is(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.run(configs[0], tracking=True)
    assert "mlflow.sharedViewState.swept" in client(results).get_experiment_by_name("small").tags
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    before = client(results).get_experiment_by_name("small").tags
    assert "params.`init.scale`" in before["mlflow.sharedViewState.swept"]
    study = Study.plan([dataclasses.replace(configs[0], seed=9)], n_jobs=1)
    list(study.execute())
    assert client(results).get_experiment_by_name("small").tags == before
    assert list(study.views) == ["runs", "curves, averaged over seeds"]
    again = Study.plan([dataclasses.replace(configs[0], seed=9)], n_jobs=1)
    list(again.execute())
    assert again.views == study.views


def test_two_processes_make_the_same_view(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nnlab.sweep(configs[:1], n_jobs=1)
    tracker = RunTracker(configs[0])
    real = tracker.client.set_experiment_tag
    made: set[str] = set()

    def beaten(experiment_id: str, name: str, state: str) -> None:
        real(experiment_id, name, state)
        if name not in made:
            made.add(name)
            raise import_mlflow().exceptions.MlflowException("UNIQUE constraint failed: experiment_tags.key")

    monkeypatch.setattr(tracker.client, "set_experiment_tag", beaten)
    tracker.share_views(["seed", "init.scale"])
    assert made
    assert made <= set(tracker.client.get_experiment(tracker.experiment_id).tags)


def test_an_environment_variable_cannot_lead_the_runs_astray(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(recorded(results)) == 4


def test_a_deleted_experiment_is_named(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    mlflow = client(results)
    mlflow.delete_experiment(mlflow.get_experiment_by_name("small").experiment_id)
    with pytest.raises(nnlab.ConfigError, match=r"tracking.experiment must not be a deleted experiment"):
        nnlab.sweep(configs, n_jobs=1, tracking=True)


def fingerprints(results: Path) -> list[str]:
    return [entry.data.tags["fingerprint"] for entry in recorded(results)]


def test_folders_that_were_deleted_and_made_again_are_not_told_twice(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    shutil.rmtree(results / "runs")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(fingerprints(results)) == len(set(fingerprints(results))) == 4


def test_a_new_database_is_told_everything(configs: list[nnlab.RunConfig], results: Path, empty_database: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    shutil.copy(empty_database, results / "mlflow.db")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(set(fingerprints(results))) == 4


def test_a_ledger_that_was_lost_is_read_from_the_store(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    shutil.rmtree(results / "tracking")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(fingerprints(results)) == len(set(fingerprints(results))) == 4


@pytest.mark.parametrize("last", ["create_run", "log_batch", "set_terminated"])
def test_a_process_that_was_killed_while_telling_leaves_no_ghost_and_no_double(
    last: str, configs: list[nnlab.RunConfig], results: Path
) -> None:
    """A process of its own is killed just after one of MLflow's calls; the same sweep is then made again."""
    script = (
        "import os, signal, sys; import nnlab; from nnlab.config import from_dict\n"
        "from nnlab.tracking.connection import import_mlflow\n"
        f"client = import_mlflow().MlflowClient; original = client.{last}\n"
        "def deadly(*args, **kwargs):\n"
        "    original(*args, **kwargs); os.kill(os.getpid(), signal.SIGKILL)\n"
        f"client.{last} = deadly\n"
        f"configs = [from_dict(each) for each in {[dataclasses.asdict(c) for c in configs]!r}]\n"
        "nnlab.sweep(configs, n_jobs=1, tracking=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path.cwd())
    assert done.returncode == -signal.SIGKILL, done.stderr
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    states = [entry.info.status for entry in recorded(results)]
    assert states.count("FINISHED") == 4
    assert set(states) <= {"FINISHED", "KILLED"}
    finished = [e.data.tags["fingerprint"] for e in recorded(results) if e.info.status == "FINISHED"]
    assert len(set(finished)) == 4


def test_two_sweeps_at_once_tell_every_run_once(configs: list[nnlab.RunConfig], results: Path) -> None:
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


def test_a_replacement_that_could_not_be_told_is_told_by_sync(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store deletes the earlier entry, and its answer is lost; this process lives on."""
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    kind = import_mlflow().MlflowClient
    real = kind.delete_run

    def lost(self: Any, run_id: str) -> None:
        real(self, run_id)
        raise ConnectionError("cut")

    forced = [dataclasses.replace(config, launcher=nnlab.LauncherConfig(force=True)) for config in configs]
    with monkeypatch.context() as patch:
        patch.setattr(kind, "delete_run", lost)
        with pytest.warns(UserWarning, match="cut"):
            nnlab.sweep(forced, n_jobs=1, tracking=True)
    assert len(recorded(results)) == 3
    assert sum(sync("small", str(results))) == 1
    assert len(recorded(results)) == 4


def test_of_two_processes_one_tells_of_a_run_anew(tmp_path: Path) -> None:
    ledger = Ledger(Results(tmp_path), "small", "http://localhost")
    ledger.settle("f", "first")
    assert [ledger.reclaim("f", "first"), ledger.reclaim("f", "first")] == [True, False]


def test_a_model_whose_writer_was_killed_is_not_registered_again(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    (version,) = client(results).search_model_versions("name = 'small'")
    client(results).delete_tag(version.run_id, "registered_model")
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(client(results).search_model_versions("name = 'small'")) == 1
    assert client(results).get_run(version.run_id).data.tags["registered_model"] == "small version 1"


def test_threads_that_make_one_database_make_it_once(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(create_database, [path, path]))
    assert [one.name for one in tmp_path.iterdir()] == ["mlflow.db"]
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_only_databases_that_nobody_makes_any_more_are_removed(tmp_path: Path, empty_database: Path) -> None:
    left, made = tmp_path / ".mlflow.db-1-abc", tmp_path / ".mlflow.db-12-def"
    for folder in (left, made):
        folder.mkdir()
        shutil.copy(empty_database, folder / "mlflow.db")
    os.utime(left, (0, 0))
    create_database(tmp_path / "mlflow.db")
    assert sorted(one.name for one in tmp_path.iterdir()) == [made.name, "mlflow.db"]


def test_the_best_run_of_a_sweep_is_a_model_that_mlflow_serves(configs: list[nnlab.RunConfig], results: Path) -> None:
    runs = nnlab.sweep(configs, n_jobs=1, tracking=True)
    nnlab.sweep(configs, n_jobs=1, tracking=True)  # nothing new: no second version
    best = min(runs, key=lambda run: run.metrics["cost/test"])
    (version,) = client(results).search_model_versions("name = 'small'")
    entry = client(results).get_run(version.run_id)
    assert entry.data.tags["fingerprint"] == best.fingerprint
    assert best.verdict.name in version.description
    examples = np.random.default_rng(0).standard_normal((50, 2))
    import_mlflow().set_tracking_uri(f"sqlite:///{results / 'mlflow.db'}")
    try:
        model = import_mlflow().pyfunc.load_model("models:/small/1")
        np.testing.assert_array_equal(model.predict(examples), best.predict(examples.T)[0])
        assert model.metadata.signature.inputs.inputs[0].shape == (-1, 2)
    finally:
        import_mlflow().set_tracking_uri(None)
    files = [path for path in (results / "artifacts").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".cloudpickle")]


def test_a_results_folder_that_was_copied_keeps_its_artifacts_to_itself(
    configs: list[nnlab.RunConfig], results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    before = sorted(results.rglob("*"))
    copy = tmp_path / "a copy" / "results"
    shutil.copytree(results, copy)
    results.rename(tmp_path / "away")  # as on another machine
    there = [dataclasses.replace(config, results_dir=str(copy)) for config in configs[:3]]
    nnlab.sweep(there, n_jobs=1, tracking=True)
    nnlab.sweep(there, n_jobs=1, tracking=True)
    assert not results.exists()
    assert len(recorded(copy)) == 3
    for entry in recorded(copy):
        (file,) = copy.glob(f"artifacts/small/{entry.info.run_id}/artifacts/run.json")
        assert entry.info.artifact_uri == file.parent.as_uri()
    places = [version.source for version in client(copy).search_model_versions()]
    assert places
    assert all(place.startswith((copy / "artifacts").as_uri()) for place in places)
    assert [record.getMessage().startswith(f"{copy / 'mlflow.db'} was carried") for record in caplog.records] == [True]
    (tmp_path / "away").rename(results)
    assert sorted(results.rglob("*")) == before


def test_one_results_folder_under_two_names_stays_where_it_is(
    configs: list[nnlab.RunConfig], results: Path, tmp_path: Path
) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    (tmp_path / "link").symlink_to(results)
    linked = [dataclasses.replace(config, results_dir=str(tmp_path / "link")) for config in configs[:2]]
    nnlab.sweep(linked, n_jobs=1, tracking=True)
    assert len(recorded(results)) == 2
    assert all(str(results) in entry.info.artifact_uri for entry in recorded(results))


def test_a_ledger_whose_bytes_are_damaged_starts_anew(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    for path in (results / "tracking").glob("small-*/[!.]*"):
        path.write_bytes(b"\xff\xfe")
    assert "small" not in known_experiments(Results(results), f"sqlite:///{results / 'mlflow.db'}")
    nnlab.sweep(configs[:3], n_jobs=1, tracking=True)
    assert len(recorded(results)) == 3


def test_an_entry_of_the_ledger_that_is_damaged_is_put_in_order(tmp_path: Path) -> None:
    ledger = Ledger(Results(tmp_path), "small", "http://127.0.0.1:1")
    ledger.settle("f", "a run")
    (ledger.folder / "f").write_bytes(b"\xff\xfe")
    assert (ledger.settled(), ledger.abandoned(), ledger.run_id("f")) == (set(), ["f"], None)


def test_a_full_disk_leaves_no_half_of_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(Results(tmp_path), "small", "http://127.0.0.1:1")
    ledger.settle("f", "first")

    def full(self: Path, *_: Any, **__: Any) -> None:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    for tell in (lambda: ledger.claim("f"), lambda: ledger.reclaim("f", "first")):
        with pytest.raises(OSError, match="No space"):
            tell()
        assert {path.name for path in ledger.folder.iterdir()} - {".lock"} == {"f"}
    assert ledger.run_id("f") == "first"


def test_a_claim_is_given_up_though_the_disk_is_too_full_to_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(Results(tmp_path / "results"), "small", "http://127.0.0.1:1")
    (tmp_path / "link").symlink_to(tmp_path / "results")
    same = Ledger(Results(tmp_path / "link"), "small", "http://127.0.0.1:1")
    ledger.settle("g", "first")
    assert ledger.claim("f")
    assert ledger.reclaim("g", "first")
    assert ledger.abandoned() == same.abandoned() == []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
        ledger.abandon("f")
        ledger.abandon("g")
    assert sorted(ledger.abandoned()) == sorted(same.abandoned()) == ["f", "g"]


def test_a_run_that_the_ledger_has_no_room_for_is_told_once(
    configs: list[nnlab.RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow knows the run, the ledger cannot say so; the same process goes on when there is room."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_write", full)
        with pytest.warns(UserWarning, match="No space left"):
            nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    made = {run.fingerprint for run in nnlab.sweep(configs[:2], n_jobs=1)}
    assert sorted(entry.data.tags["fingerprint"] for entry in recorded(results)) == sorted(made)
    assert Ledger(Results(results), "small", f"sqlite:///{results / 'mlflow.db'}").settled() == made


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("database or disk is full"), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_database_that_the_disk_has_no_room_for_leaves_nothing(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise error

    monkeypatch.setattr(mlflow_store.sqlite3, "connect", full)
    monkeypatch.setattr(mlflow_store, "import_mlflow", lambda: SimpleNamespace(MlflowClient=touched))
    path = tmp_path / "mlflow.db"
    with pytest.raises(OSError, match=r"disk is full|No space"), plain_errors(f"sqlite:///{path}"):
        create_database(path)
    assert list(tmp_path.iterdir()) == []


def touched(uri: str) -> Any:
    """What MLflow has made of a database when the disk is full."""
    for end in ("", "-journal"):
        Path(uri.removeprefix("sqlite:///") + end).touch()
    return SimpleNamespace(search_experiments=list)
