"""Every sweep leaves a summary, on disk and in MLflow, however it ended."""

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nnlab
from nnlab.cli.verify import main as verify
from nnlab.config import RunConfig
from nnlab.record.run_json import DamagedRunError
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results
from nnlab.study import attempt
from nnlab.study.execute import execute
from nnlab.study.plan import make_plan
from nnlab.study.sync import sync
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.ledger import Ledger

FAILURE = {"name": "seed 1", "fingerprint": "f", "config": {}, "command": "x", "traceback": "RuntimeError: planted"}


@pytest.fixture
def configs(results: Path) -> list[RunConfig]:
    return [
        RunConfig(
            seed=seed,
            training=nnlab.TrainingConfig(iterations=20),
            diagnostics=nnlab.DiagnosticsConfig(checkpoints=3),
            results_dir=str(results),
            tracking=nnlab.TrackingConfig(experiment="small", report=False),
        )
        for seed in range(3)
    ]


def entries(results: Path, experiment: str, condition: str = "") -> list[Any]:
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id], condition)


def artifact(results: Path, entry: Any, name: str) -> str:
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    return Path(client.download_artifacts(entry.info.run_id, name)).read_text()


def break_seed_1(monkeypatch: pytest.MonkeyPatch) -> None:
    real = attempt.run_stack

    def sometimes(configs: Any, *rest: Any) -> Any:
        if any(config.seed == 1 for config in configs):
            raise RuntimeError("planted <b>")
        return real(configs, *rest)

    monkeypatch.setattr(attempt, "run_stack", sometimes)


def test_a_sweep_leaves_one_summary(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    assert list(SweepLog(Results(results))) == []  # a single run is not a sweep
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    (summary,) = SweepLog(Results(results))
    assert (summary.status, summary.done, summary.made, summary.failures) == ("FINISHED", 1, 2, [])
    assert list(summary.runs.values()) == ["seed 0", "seed 1", "seed 2"]
    (entry,) = entries(results, "sweeps")
    assert entry.info.status == "FINISHED"
    assert {name: entry.data.metrics[name] for name in ("runs", "done_before", "made", "failed")} == {
        "runs": 3,
        "done_before": 1,
        "made": 2,
        "failed": 0,
    }
    assert entry.data.params["experiment"] == "small"
    assert '"status": "FINISHED"' in artifact(results, entry, "summary.json")


def test_a_run_that_raises_is_recorded_with_its_traceback(
    configs: list[RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs[1].model.hidden_size = 5  # a stack of its own
    with monkeypatch.context() as patch:
        break_seed_1(patch)
        with pytest.raises(nnlab.StudyError, match="1 of 3 runs failed"):
            nnlab.sweep(configs, n_jobs=1, tracking=True)
    (failed,) = entries(results, "small", "attributes.status = 'FAILED'")
    assert failed.data.params["model.hidden_size"] == "5"
    assert "RuntimeError: planted <b>" in artifact(results, failed, "traceback.txt")
    assert "nnlab run seed=1" in failed.data.tags["mlflow.note.content"]
    (entry,) = entries(results, "sweeps")
    assert (entry.info.status, entry.data.metrics["failed"]) == ("FAILED", 1)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(entries(results, "small", "attributes.status = 'FINISHED'")) == 3
    assert sorted(entry.info.status for entry in entries(results, "sweeps")) == ["FAILED", "FINISHED"]


def test_a_killed_sweep_is_closed_by_the_next(configs: list[RunConfig], results: Path) -> None:
    script = (
        "import os, signal; import nnlab; from nnlab.config import from_dict\n"
        "from nnlab.record.run_folders import RunFolders\n"
        "RunFolders.write = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"configs = [from_dict(each) for each in {[dataclasses.asdict(config) for config in configs]!r}]\n"
        "nnlab.sweep(configs, n_jobs=1, tracking=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (summary,) = SweepLog(Results(results))
    assert summary.status == "RUNNING"
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert [summary.status for summary in SweepLog(Results(results))] == ["KILLED", "FINISHED"]
    assert sorted(entry.info.status for entry in entries(results, "sweeps")) == ["FINISHED", "KILLED"]


def test_an_interrupted_study_is_recorded_as_killed(configs: list[RunConfig], results: Path) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(make_plan(configs, n_jobs=1), interrupt)
    (summary,) = SweepLog(Results(results))
    assert (summary.status, summary.made) == ("KILLED", 1)
    (entry,) = entries(results, "sweeps")
    assert entry.info.status == "KILLED"


def test_a_sweep_interrupted_while_it_begins_is_recorded_as_killed(
    configs: list[RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, handler = SweepLog._create, signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(self: SweepLog, summary: SweepSummary) -> bool:
        done = real(self, summary)
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(SweepLog, "_create", begin)
    try:
        with pytest.raises(KeyboardInterrupt):
            execute(make_plan(configs, n_jobs=1, tracking=False))
    finally:
        signal.signal(signal.SIGINT, handler)
    (summary,) = SweepLog(Results(results))
    assert (summary.status, summary.made) == ("KILLED", 0)


def test_sync_logs_a_sweep_that_ran_without_tracking(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1)
    list(sync("small", str(results)))
    list(sync("small", str(results)))
    (entry,) = entries(results, "sweeps")
    assert (entry.info.status, entry.data.metrics["made"]) == ("FINISHED", 3)


def test_batches_of_one_search_share_one_summary(configs: list[RunConfig], results: Path) -> None:
    for batch in (configs[:2], [configs[2], dataclasses.replace(configs[2], seed=7)]):
        execute(make_plan(batch, n_jobs=1, sweep="search"))
    (summary,) = SweepLog(Results(results))
    assert (len(summary.runs), summary.made, summary.status) == (4, 4, "FINISHED")
    (entry,) = entries(results, "sweeps")
    assert entry.data.metrics["made"] == 4


def test_a_summary_is_read_as_it_was_written(tmp_path: Path) -> None:
    summary = SweepSummary("now", "small", command="x 'y z'", failures=[FAILURE | {"name": "ü"}])
    summary.close("FAILED")
    SweepLog(Results(tmp_path)).write(summary)
    assert list(SweepLog(Results(tmp_path))) == [summary]


def test_forced_runs_are_made_again_and_logged_once(configs: list[RunConfig], results: Path) -> None:
    first = nnlab.sweep(configs, n_jobs=1, tracking=True)
    before = {entry.info.run_id for entry in entries(results, "small")}
    forced = [dataclasses.replace(config, launcher=nnlab.LauncherConfig(force=True)) for config in configs]
    again = nnlab.sweep(forced, n_jobs=1, tracking=True)
    assert [run.fingerprint for run in again] == [run.fingerprint for run in first]
    now = entries(results, "small")
    assert len(now) == 3
    assert not before & {entry.info.run_id for entry in now}
    set_aside = [path for path in (results / "runs" / "small").iterdir() if path.name.startswith(".replaced-")]
    assert len(set_aside) == 3
    assert all((path / "run.json").is_file() for path in set_aside)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert {entry.info.run_id for entry in entries(results, "small")} == {entry.info.run_id for entry in now}


def test_a_process_that_fails_to_log_gives_up_its_claim(
    configs: list[RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's answer is lost in the middle of a run: the same process can log it later, and logs it once."""
    client = import_mlflow().MlflowClient

    def cut(*_: Any, **__: Any) -> None:
        raise ConnectionError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(client, "log_batch", cut)
        with pytest.warns(UserWarning, match="cut"):
            nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert sum(sync("small", str(results))) == 3
    assert len(entries(results, "small", "attributes.status = 'FINISHED'")) == 3
    assert not entries(results, "small", "attributes.status = 'RUNNING'")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sweep": "a"}', "[" * 100_000])
def test_a_damaged_summary_affects_no_other_sweep(
    content: str, configs: list[RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = SweepLog(Results(results)).path("2026-01-01T00-00-00") / "summary.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(content)
    nnlab.sweep(configs, n_jobs=1)
    assert [summary.status for summary in SweepLog(Results(results))] == ["FINISHED"]
    with pytest.raises(SystemExit, match="1 summaries of sweeps are damaged"):
        verify(["--results-dir", str(results)])
    said = capsys.readouterr().out
    assert f"{broken} is damaged" in said
    assert "3 runs are intact" in said


ODD = {
    "sweep": [None, "other", "../one"],
    "started": [5, "", "yesterday", "2026-11-25T04:39:53"],
    "ended": [None, 5, "", "later"],
    "runs": [None, [1], {"f": 1}],
    "versions": [[], {"python": None}],
    "swept": [None, "seed", [1]],
    "done": [None, "3", 1.5, True],
    "failures": [None, {}, [1], [{}], [FAILURE | {"traceback": " "}], [FAILURE | {"config": None}]],
    "status": ["", "DONE", 1],
    "question": [None],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ODD.items() for value in values])
def test_valid_json_that_is_not_a_summary_is_damaged(key: str, value: Any, tmp_path: Path) -> None:
    sweeps = SweepLog(Results(tmp_path))
    for name in ("one", "two"):
        summary = SweepSummary(name, "small")
        summary.close("FINISHED")
        sweeps.write(summary)
    path = sweeps.path("one") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert [summary.sweep for summary in sweeps] == ["two"]
    assert [found for found, _ in sweeps.verify()] == [path]


def test_a_failure_of_another_version_is_logged_without_params(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1)
    summary = SweepSummary("one", "small", failures=[FAILURE | {"config": {"nosuch": 1}}])
    summary.close("FAILED")
    SweepLog(Results(results)).write(summary)
    list(sync("small", str(results)))
    (failed,) = entries(results, "small", "attributes.status = 'FAILED'")
    assert failed.data.params == {}


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/", ".hidden", "experiment", "a\0b"])
def test_a_sweep_needs_the_name_of_a_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="a sweep's name must be the name of a folder"):
        SweepLog(Results(tmp_path)).open(SweepSummary(name, "small"))
    assert list(tmp_path.iterdir()) == []


def test_unknown_keys_of_a_summary_are_ignored(tmp_path: Path) -> None:
    sweeps = SweepLog(Results(tmp_path))
    sweeps.write(SweepSummary("one", "small"))
    path = sweeps.path("one") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new_key": 1}))
    assert [summary.sweep for summary in sweeps] == ["one"]


def test_two_launches_of_one_name_are_two_sweeps(tmp_path: Path) -> None:
    sweeps = SweepLog(Results(tmp_path))
    sweeps.open(SweepSummary("out", "one", made=2))
    other = sweeps.open(SweepSummary("out", "two"))
    again = sweeps.open(SweepSummary("out", "one"))  # another batch of the first
    assert (other.sweep, other.made) == ("out-2", 0)
    assert (again.sweep, again.made) == ("out", 2)


def test_one_of_two_simultaneous_launches_gets_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins after the first has found the name free and before it has written its summary."""
    real, names = Path.mkdir, []

    def meanwhile(self: Path, *words: Any, **more: Any) -> None:
        monkeypatch.setattr(Path, "mkdir", real)
        names.append(SweepLog(Results(tmp_path)).open(SweepSummary("out", "two")).sweep)
        real(self, *words, **more)

    monkeypatch.setattr(Path, "mkdir", meanwhile)
    names.append(SweepLog(Results(tmp_path)).open(SweepSummary("out", "one")).sweep)
    assert names == ["out", "out-2"]
    assert [(summary.sweep, summary.experiment) for summary in SweepLog(Results(tmp_path))] == [
        ("out", "two"),
        ("out-2", "one"),
    ]


def test_a_full_disk_leaves_no_partial_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        SweepLog(Results(tmp_path)).open(SweepSummary("one", "small"))
    assert list((tmp_path / "sweeps").iterdir()) == []


def test_a_launch_killed_while_it_begins_leaves_no_summary(tmp_path: Path) -> None:
    """It is killed while it syncs the summary, so no `finally` cleans up."""
    code = (
        "import os; from pathlib import Path; from nnlab.results import Results; "
        "from nnlab.record.sweeps import SweepLog, SweepSummary; "
        "os.fsync = lambda _: os._exit(9); "
        f"SweepLog(Results(Path({str(tmp_path)!r}))).open(SweepSummary('one', 'small'))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    sweeps = SweepLog(Results(tmp_path))
    assert list((tmp_path / "sweeps").rglob(".summary.json-*"))
    assert (list(sweeps), list(sweeps.verify())) == ([], [])
    assert sweeps.open(SweepSummary("one", "small")).sweep == "one"


def test_partial_files_are_deleted_after_an_hour(tmp_path: Path) -> None:
    sweeps = SweepLog(Results(tmp_path))
    sweeps.write(SweepSummary("one", "small"))
    begun, half = sweeps.folder / ".summary.json-1", sweeps.folder / "one" / ".summary.json-1"
    begun.mkdir()
    (begun / "summary.json").write_text("{")
    half.write_text("{")
    sweeps.close_killed()
    assert begun.exists()
    assert half.exists()
    for left in (begun, half):
        os.utime(left, (0, 0))
    sweeps.close_killed()
    assert sorted(path.name for path in sweeps.folder.rglob("*")) == ["one", "summary.json"]


def test_sweeps_are_listed_in_the_order_of_their_start(tmp_path: Path) -> None:
    sweeps = SweepLog(Results(tmp_path))
    sweeps.write(SweepSummary("2026-11-25T13-39-51", "small", started="2026-11-25T04:39:53+00:00"))
    sweeps.write(SweepSummary("2026-11-25T04-40-00", "small", started="2026-11-25T04:40:00+00:00"))
    assert [summary.sweep for summary in sweeps] == ["2026-11-25T13-39-51", "2026-11-25T04-40-00"]


def test_a_sweep_that_finishes_while_it_is_checked_is_not_recorded_as_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, sweeps = SweepSummary("one", "small"), SweepLog(Results(tmp_path))
    sweeps.write(summary)

    def gone(*_: object) -> bool:
        summary.made = 3
        summary.close("FINISHED")
        sweeps.write(summary)
        return True

    monkeypatch.setattr("nnlab.record.sweeps.is_gone", gone)
    sweeps.close_killed()
    assert [(one.status, one.made) for one in sweeps] == [("FINISHED", 3)]


def test_an_incomplete_entry_of_a_failed_run_is_closed_and_logged_again(
    configs: list[RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    break_seed_1(monkeypatch)
    with pytest.raises(nnlab.StudyError):
        nnlab.sweep(configs[:2], n_jobs=1, tracking=True)
    (summary,) = SweepLog(Results(results))
    uri = f"sqlite:///{results / 'mlflow.db'}"
    client = import_mlflow().MlflowClient(uri)
    (failed,) = entries(results, "small", "attributes.status = 'FAILED'")
    # As if the process had been killed in between.
    client.update_run(failed.info.run_id, "RUNNING")
    for entry in entries(results, "sweeps"):
        client.delete_run(entry.info.run_id)
    Ledger(Results(results), "sweeps", uri).abandon(summary.sweep)
    list(sync("small", str(results)))
    found = entries(results, "small", "tags.verdict = 'failed'")
    assert sorted(entry.info.status for entry in found) == ["FAILED", "KILLED"]


def test_processes_may_close_the_same_sweeps_simultaneously(tmp_path: Path) -> None:
    for trial in range(5):
        SweepLog(Results(tmp_path)).write(SweepSummary(f"dead {trial}", "small", process="nobody"))
    os.utime(tmp_path / "sweeps" / "dead 0" / "summary.json", (0, 0))
    code = (
        "import sys; from pathlib import Path; from nnlab.results import Results; "
        "from nnlab.record.sweeps import SweepLog; SweepLog(Results(Path(sys.argv[1]))).close_killed()"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    closing = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1] for process in closing] == [b""] * 4
    assert "KILLED" in {summary.status for summary in SweepLog(Results(tmp_path))}


def test_runs_deleted_in_mlflow_do_not_prevent_logging_others(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    for entry in entries(results, "small"):
        client.delete_run(entry.info.run_id)
    new = dataclasses.replace(configs[0], seed=7)
    logged = execute(make_plan([*configs, new], n_jobs=1)).logged
    assert logged
    assert (logged.failure, len(logged.views)) == ("", 2)
    assert [entry.data.params["seed"] for entry in entries(results, "small")] == ["7"]


def test_a_damaged_run_does_not_prevent_logging_others(configs: list[RunConfig], results: Path) -> None:
    first = nnlab.sweep(configs[:2], n_jobs=1)
    (results / "runs" / "small" / first[0].fingerprint / "history.parquet").write_bytes(b"")
    logged = execute(make_plan(configs, n_jobs=1)).logged
    assert logged
    assert logged.failure == ""
    assert [first[0].fingerprint in text for text in logged.unreadable] == [True]
    assert len(entries(results, "small")) == 2
    with pytest.raises(DamagedRunError, match=first[0].fingerprint):
        list(sync("small", str(results)))


def test_commands_of_earlier_versions_are_read_in_todays_form(tmp_path: Path) -> None:
    failure = {"name": "seed 1", "fingerprint": "f", "config": {}, "traceback": "RuntimeError: planted"}
    old = "python experiments/train.py -m experiment=symmetry"
    summary = SweepSummary("one", "symmetry", command=old)
    summary.failures = [{**failure, "command": "python experiments/train.py seed=1"}]
    SweepLog(Results(tmp_path)).open(summary)
    (read,) = SweepLog(Results(tmp_path))
    assert read.command == "nnlab sweep symmetry"
    assert read.failures[0]["command"] == "nnlab run seed=1"
