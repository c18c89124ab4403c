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
from nnlab.record.run_folders import DamagedRunError
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results
from nnlab.study import workers
from nnlab.study.execute import Study
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
    real = workers.run_stack

    def sometimes(configs: Any, *rest: Any) -> Any:
        if any(config.seed == 1 for config in configs):
            raise RuntimeError("planted <b>")
        return real(configs, *rest)

    monkeypatch.setattr(workers, "run_stack", sometimes)


def test_a_sweep_leaves_one_summary(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    assert list(SweepLog(Results(results))) == []  # a run alone is no sweep
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
    assert "python experiments/train.py seed=1" in failed.data.tags["mlflow.note.content"]
    (entry,) = entries(results, "sweeps")
    assert (entry.info.status, entry.data.metrics["failed"]) == ("FAILED", 1)
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert len(entries(results, "small", "attributes.status = 'FINISHED'")) == 3
    assert sorted(entry.info.status for entry in entries(results, "sweeps")) == ["FAILED", "FINISHED"]


def test_a_killed_sweep_is_closed_by_the_next(configs: list[RunConfig], results: Path) -> None:
    script = (
        "import os, signal; import nnlab; from nnlab.config import from_dict; from nnlab.record.run_folders import RunFolders\n"
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


def test_a_sweep_that_is_left_is_recorded_as_stopped(configs: list[RunConfig], results: Path) -> None:
    outcomes = Study.plan(configs, n_jobs=1).execute()
    next(outcomes)
    outcomes.close()  # as KeyboardInterrupt does
    (summary,) = SweepLog(Results(results))
    assert (summary.status, summary.made) == ("KILLED", 1)
    (entry,) = entries(results, "sweeps")
    assert entry.info.status == "KILLED"


def test_a_sweep_that_is_stopped_as_it_begins_is_recorded_as_stopped(
    configs: list[RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, handler = SweepLog._begin, signal.signal(signal.SIGINT, signal.default_int_handler)

    def begin(self: SweepLog, summary: SweepSummary) -> bool:
        done = real(self, summary)
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(SweepLog, "_begin", begin)
    study = Study.plan(configs, n_jobs=1, tracking=False)
    try:
        with study.heeding_stops(), pytest.raises(KeyboardInterrupt):
            list(study.execute())
    finally:
        signal.signal(signal.SIGINT, handler)
    (summary,) = SweepLog(Results(results))
    assert (summary.status, summary.made) == ("KILLED", 0)


def test_what_was_swept_offline_is_told_by_sync(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1)
    list(sync("small", str(results)))
    list(sync("small", str(results)))
    (entry,) = entries(results, "sweeps")
    assert (entry.info.status, entry.data.metrics["made"]) == ("FINISHED", 3)


def test_batches_of_one_search_share_one_summary(configs: list[RunConfig], results: Path) -> None:
    for batch in (configs[:2], [configs[2], dataclasses.replace(configs[2], seed=7)]):
        list(Study.plan(batch, n_jobs=1, sweep="search").execute())
    (summary,) = SweepLog(Results(results))
    assert (len(summary.runs), summary.made, summary.status) == (4, 4, "FINISHED")
    (entry,) = entries(results, "sweeps")
    assert entry.data.metrics["made"] == 4


def test_a_summary_survives_the_disk(tmp_path: Path) -> None:
    summary = SweepSummary("now", "small", command="x 'y z'", failures=[FAILURE | {"name": "ü"}])
    summary.close("FAILED")
    SweepLog(Results(tmp_path)).write(summary)
    assert list(SweepLog(Results(tmp_path))) == [summary]


def test_runs_that_are_forced_are_made_again_and_told_once(configs: list[RunConfig], results: Path) -> None:
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


def test_a_process_that_fails_to_tell_does_not_keep_the_claim(
    configs: list[RunConfig], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's answer is lost in the middle of a run: the same process can tell it later, and tells it once."""
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
def test_a_damaged_summary_costs_nothing_but_itself(
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
    assert "3 runs are whole" in said


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
def test_what_is_json_but_no_summary_is_damaged(key: str, value: Any, tmp_path: Path) -> None:
    logbook = SweepLog(Results(tmp_path))
    for name in ("one", "two"):
        summary = SweepSummary(name, "small")
        summary.close("FINISHED")
        logbook.write(summary)
    path = logbook.path("one") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert [summary.sweep for summary in logbook] == ["two"]
    assert [found for found, _ in logbook.problems()] == [path]


def test_a_failure_of_another_version_is_told_without_its_params(configs: list[RunConfig], results: Path) -> None:
    nnlab.sweep(configs[:1], n_jobs=1)
    summary = SweepSummary("one", "small", failures=[FAILURE | {"config": {"nosuch": 1}}])
    summary.close("FAILED")
    SweepLog(Results(results)).write(summary)
    list(sync("small", str(results)))
    (failed,) = entries(results, "small", "attributes.status = 'FAILED'")
    assert failed.data.params == {}


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "/", ".hidden", "experiment", "a\0b"])
def test_a_sweep_has_a_folder_of_its_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="a sweep must have the name of a folder"):
        SweepLog(Results(tmp_path)).open(SweepSummary(name, "small"))
    assert list(tmp_path.iterdir()) == []


def test_what_a_later_version_adds_to_a_summary_is_passed_over(tmp_path: Path) -> None:
    logbook = SweepLog(Results(tmp_path))
    logbook.write(SweepSummary("one", "small"))
    path = logbook.path("one") / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"new_key": 1}))
    assert [summary.sweep for summary in logbook] == ["one"]


def test_two_launches_of_one_name_are_two_sweeps(tmp_path: Path) -> None:
    logbook = SweepLog(Results(tmp_path))
    logbook.open(SweepSummary("out", "one", made=2))
    other = logbook.open(SweepSummary("out", "two"))
    again = logbook.open(SweepSummary("out", "one"))  # another batch of the first
    assert (other.sweep, other.made) == ("out-2", 0)
    assert (again.sweep, again.made) == ("out", 2)


def test_of_two_launches_at_once_one_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins when the first has seen that the name is free, and has not written yet."""
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


def test_a_full_disk_leaves_no_half_of_a_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        SweepLog(Results(tmp_path)).open(SweepSummary("one", "small"))
    assert list((tmp_path / "sweeps").iterdir()) == []


def test_a_launch_that_is_killed_while_it_begins_leaves_no_half_summary(tmp_path: Path) -> None:
    """The last thing the process did was to write the summary: nobody cleans up."""
    code = (
        "import os; from pathlib import Path; from nnlab.record.sweeps import SweepLog, SweepSummary; "
        f"os.fsync = lambda _: os._exit(9); SweepLog(Path({str(tmp_path)!r})).open(SweepSummary('one', 'small'))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    logbook = SweepLog(Results(tmp_path))
    assert list((tmp_path / "sweeps").rglob(".summary.json-*"))
    assert (list(logbook), list(logbook.problems())) == ([], [])
    assert logbook.open(SweepSummary("one", "small")).sweep == "one"


def test_what_killed_processes_had_not_written_to_its_end_goes_after_an_hour(tmp_path: Path) -> None:
    logbook = SweepLog(Results(tmp_path))
    logbook.write(SweepSummary("one", "small"))
    begun, half = logbook.folder / ".summary.json-1", logbook.folder / "one" / ".summary.json-1"
    begun.mkdir()
    (begun / "summary.json").write_text("{")
    half.write_text("{")
    logbook.close_abandoned()
    assert begun.exists()
    assert half.exists()
    for left in (begun, half):
        os.utime(left, (0, 0))
    logbook.close_abandoned()
    assert sorted(path.name for path in logbook.folder.rglob("*")) == ["one", "summary.json"]


def test_sweeps_are_told_of_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    logbook = SweepLog(Results(tmp_path))
    logbook.write(SweepSummary("2026-11-25T13-39-51", "small", started="2026-11-25T04:39:53+00:00"))
    logbook.write(SweepSummary("2026-11-25T04-40-00", "small", started="2026-11-25T04:40:00+00:00"))
    assert [summary.sweep for summary in logbook] == ["2026-11-25T13-39-51", "2026-11-25T04-40-00"]


def test_a_sweep_that_ends_while_it_is_looked_at_is_not_called_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary, logbook = SweepSummary("one", "small"), SweepLog(Results(tmp_path))
    logbook.write(summary)

    def gone(*_: object) -> bool:
        summary.made = 3
        summary.close("FINISHED")
        logbook.write(summary)
        return True

    monkeypatch.setattr("nnlab.record.sweeps.is_gone", gone)
    logbook.close_abandoned()
    assert [(one.status, one.made) for one in logbook] == [("FINISHED", 3)]


def test_an_entry_of_a_run_that_raised_that_was_cut_off_is_ended(
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


def test_processes_that_close_the_same_sweep_do_not_stop_each_other(tmp_path: Path) -> None:
    for trial in range(5):
        SweepLog(Results(tmp_path)).write(SweepSummary(f"dead {trial}", "small", process="nobody"))
    os.utime(tmp_path / "sweeps" / "dead 0" / "summary.json", (0, 0))
    code = "import pathlib, sys, nnlab.record.sweeps as book; book.SweepLog(Results(pathlib.Path(sys.argv[1]))).close_abandoned()"
    words = [sys.executable, "-c", code, str(tmp_path)]
    closing = [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1] for process in closing] == [b""] * 4
    assert "KILLED" in {summary.status for summary in SweepLog(Results(tmp_path))}


def test_a_run_that_was_deleted_in_mlflow_does_not_keep_it_from_hearing_of_others(
    configs: list[RunConfig], results: Path
) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    for entry in entries(results, "small"):
        client.delete_run(entry.info.run_id)
    new = dataclasses.replace(configs[0], seed=7)
    study = Study.plan([*configs, new], n_jobs=1)
    list(study.execute())
    assert (study.offline, len(study.views)) == ("", 2)
    assert [entry.data.params["seed"] for entry in entries(results, "small")] == ["7"]


def test_a_damaged_run_does_not_keep_mlflow_from_hearing_of_others(configs: list[RunConfig], results: Path) -> None:
    first = nnlab.sweep(configs[:2], n_jobs=1)
    (results / "runs" / "small" / first[0].fingerprint / "history.parquet").write_bytes(b"")
    study = Study.plan(configs, n_jobs=1)
    list(study.execute())
    assert study.offline == ""
    assert [first[0].fingerprint in text for text in study.damaged] == [True]
    assert len(entries(results, "small")) == 2
    with pytest.raises(DamagedRunError, match=first[0].fingerprint):
        list(sync("small", str(results)))
