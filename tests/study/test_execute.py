import dataclasses
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.config import RunConfig
from nnlab.record.run import Run
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results
from nnlab.study import attempt, workers
from nnlab.study.execute import execute
from nnlab.study.plan import make_plan, prepare
from nnlab.study.stacking import plan_stacks
from nnlab.study.tracking_sink import Logged

SMALL = nnlab.TrainingConfig(iterations=50)


def configs_in(folder: Path, count: int = 3, **parts: object) -> list[RunConfig]:
    shared = {"training": SMALL, "results_dir": str(folder), **parts}
    return [
        RunConfig(seed=seed, model=nnlab.ModelConfig(hidden_size=size), **shared)  # type: ignore[arg-type]
        for size in (2, 4)
        for seed in range(count)
    ]


def assert_same_bits(one: list[Run], other: list[Run]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.fingerprint == b.fingerprint
        pd.testing.assert_frame_equal(a.history, b.history, check_exact=True)
        assert all(a.parameters[name].tobytes() == b.parameters[name].tobytes() for name in a.parameters)


@pytest.mark.parametrize("training", [SMALL, nnlab.TrainingConfig(iterations=50, batch_size=30)], ids=["full", "mini"])
def test_one_and_two_workers_give_the_same_bits(training: nnlab.TrainingConfig, tmp_path: Path) -> None:
    alone = nnlab.sweep(configs_in(tmp_path / "one", training=training), n_jobs=1)
    together = nnlab.sweep(configs_in(tmp_path / "two", training=training), n_jobs=2)
    assert_same_bits(alone, together)


def test_a_run_of_a_sweep_equals_the_run_alone(tmp_path: Path) -> None:
    configs = configs_in(tmp_path / "sweep")
    swept = nnlab.sweep(configs, n_jobs=1)
    alone = [nnlab.run(dataclasses.replace(config, results_dir=str(tmp_path / "alone"))) for config in configs]
    assert_same_bits(swept, alone)


def test_runs_come_back_in_the_order_given(tmp_path: Path) -> None:
    configs = configs_in(tmp_path)[::-1]
    runs = nnlab.sweep(configs, n_jobs=2)
    asked = [(config.seed, config.model.hidden_size) for config in configs]
    assert [(run.config.seed, run.config.model.hidden_size) for run in runs] == asked


def test_finished_runs_are_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = nnlab.sweep(configs_in(tmp_path, 2), n_jobs=1)
    trained: list[int] = []
    real = attempt.run_stack
    monkeypatch.setattr(
        attempt, "run_stack", lambda configs, *rest: trained.append(len(configs)) or real(configs, *rest)
    )
    again = nnlab.sweep(configs_in(tmp_path, 3), n_jobs=1)
    assert sum(trained) == 2
    assert_same_bits(first, [again[0], again[1], again[3], again[4]])


def test_twice_the_same_config_is_one_run(tmp_path: Path) -> None:
    configs = configs_in(tmp_path, 1)
    runs = nnlab.sweep([*configs, *configs], n_jobs=1)
    assert_same_bits(runs[:2], runs[2:])
    assert len(list((tmp_path / "runs" / "playground").glob("[!.]*"))) == 2


def test_an_empty_sweep_is_no_runs() -> None:
    assert nnlab.sweep([]) == []


def test_a_failing_stack_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = attempt.run_stack

    def sometimes(configs: list[RunConfig], *rest: object) -> list[Run]:
        if configs[0].model.hidden_size == 2:
            raise RuntimeError("planted")
        return real(configs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(attempt, "run_stack", sometimes)
    with pytest.raises(nnlab.StudyError, match=r"(?s)3 of 6 runs failed.*planted"):
        nnlab.sweep(configs_in(tmp_path), n_jobs=1)
    assert len(nnlab.load_runs("playground", str(tmp_path))) == 3


def test_a_diverging_run_is_a_result(tmp_path: Path) -> None:
    # Mean squared error of a network without hidden layer: every large learning rate diverges.
    run = nnlab.run(
        RunConfig(
            data=nnlab.DataConfig(name="diabetes"),
            model=nnlab.ModelConfig(depth=0),
            training=nnlab.TrainingConfig(iterations=5000, learning_rate=10.0),
            results_dir=str(tmp_path),
        )
    )
    assert not np.isfinite(run.metrics["cost/train"])


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("breast_cancer", "accuracy/test"),
        ("digits", "accuracy/test"),
        ("diabetes", "r2/test"),
        ("spiral", "accuracy/test"),
    ],
)
def test_every_task_learns(name: str, score: str, tmp_path: Path) -> None:
    config = RunConfig(
        data=nnlab.DataConfig(name=name),
        model=nnlab.ModelConfig(hidden_size=16),
        init=nnlab.InitConfig("xavier", 1.0),
        training=nnlab.TrainingConfig(iterations=300, learning_rate=0.1),
        results_dir=str(tmp_path),
    )
    run = nnlab.run(config)
    costs = run.history.query("quantity == 'cost/train'")["value"]
    assert costs.iloc[-1] < 0.9 * costs.iloc[0]
    assert run.metrics[score] > {"diabetes": 0.2, "spiral": 0.45}.get(name, 0.9)


def test_predictions_are_in_the_units_of_the_data(tmp_path: Path) -> None:
    from sklearn.datasets import load_diabetes

    config = RunConfig(
        data=nnlab.DataConfig(name="diabetes"),
        model=nnlab.ModelConfig(depth=0),
        training=nnlab.TrainingConfig(iterations=2000, learning_rate=0.05),
        results_dir=str(tmp_path),
    )
    X, y = load_diabetes(return_X_y=True, scaled=False)
    predicted = nnlab.run(config).predict(X.T)
    assert predicted.shape == (1, 442)
    assert np.corrcoef(predicted[0], y)[0, 1] > 0.65
    assert abs(predicted.mean() - y.mean()) < 5


def test_accuracy_is_that_of_the_predictions(tmp_path: Path) -> None:
    config = RunConfig(training=SMALL, results_dir=str(tmp_path))
    run, data = nnlab.run(config), nnlab.load_dataset(config.data)
    assert np.mean(run.predict(data.X_test) == data.Y_test) == run.metrics["accuracy/test"]


def test_numbers_may_be_numpys(tmp_path: Path) -> None:
    scales = np.logspace(-2, 0, 2)
    seeds = np.arange(2)
    runs = nnlab.sweep(
        [
            RunConfig(seed=seed, init=nnlab.InitConfig(scale=scale), training=SMALL, results_dir=str(tmp_path))
            for scale in scales
            for seed in seeds
        ],
        n_jobs=1,
    )
    assert [run.config.init.scale for run in runs] == [0.01, 0.01, 1.0, 1.0]
    assert [type(run.config.seed) for run in runs] == [int] * 4


def test_an_incomplete_run_folder_is_set_aside_and_the_run_trained(tmp_path: Path) -> None:
    (run,) = nnlab.sweep(configs_in(tmp_path)[:1], n_jobs=1)
    folder = tmp_path / "runs" / "playground" / run.fingerprint
    (folder / "run.json").unlink()
    (again,) = nnlab.sweep(configs_in(tmp_path)[:1], n_jobs=1)
    assert_same_bits([run], [again])
    assert (folder / "run.json").is_file()
    (aside,) = folder.parent.glob(".incomplete-*")
    assert (aside / "history.parquet").is_file()


def test_predict_names_the_shape_that_it_needs(tmp_path: Path) -> None:
    run = nnlab.run(RunConfig(training=SMALL, results_dir=str(tmp_path)))
    with pytest.raises(ValueError, match=r"X must have shape \(2, m\), examples as columns, got \(400, 2\)"):
        run.predict(np.zeros((400, 2)))


def test_batches_of_one_are_recorded_as_one_sweep(tmp_path: Path) -> None:
    for config in configs_in(tmp_path)[:3]:
        execute(make_plan([config], n_jobs=1, tracking=False, sweep="search"))
    (summary,) = SweepLog(Results(tmp_path))
    assert (summary.sweep, summary.status, len(summary.runs), summary.made) == ("search", "FINISHED", 3, 3)


def test_the_page_of_a_sweep_in_batches_has_the_runs_of_all_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("nnlab.findings.report.report", lambda experiment, results, runs: shown.extend(runs) or "page")
    configs = configs_in(tmp_path, 2)
    execute(make_plan(configs[:2], n_jobs=1, tracking=False, sweep="search"))
    shown.clear()
    execute(make_plan(configs[2:], n_jobs=1, tracking=False, sweep="search"))
    assert shown == [job.fingerprint for job in prepare(configs)]


def test_a_damaged_run_is_reported_and_does_not_stop_logging(results: Path) -> None:
    runs = nnlab.sweep(configs_in(results, 1), n_jobs=1)
    plan = make_plan(configs_in(results, 1), n_jobs=1)
    damaged = runs[0].fingerprint
    (plan.folders.path(damaged) / "history.parquet").write_bytes(b"")
    logged = execute(plan).logged
    assert logged
    assert logged.failure == ""
    assert [f"{damaged}/history.parquet is damaged" in text for text in logged.unreadable] == [True]


def test_the_message_of_a_database_is_shown_without_its_circumstances(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OperationalError(Exception):  # SQLAlchemy's
        orig = sqlite3.OperationalError("database is locked")

    def fail(*_: object, **__: object) -> None:
        error = OperationalError("(raised as a result of Query-invoked autoflush; ...)\n(sqlite3.OperationalError) ...")
        raise RuntimeError(str(error)) from error

    monkeypatch.setattr("nnlab.tracking.log_runs.RunTracker.log", fail)
    logged = execute(make_plan(configs_in(results, 1), n_jobs=1)).logged
    assert logged
    assert logged.failure == "database is locked"


def test_a_sink_that_failed_is_left_alone(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def fail(*words: object, **__: object) -> None:
        calls.append(words)
        raise OSError("no answer")

    monkeypatch.setattr("nnlab.tracking.log_runs.RunTracker.log", fail)
    logged = execute(make_plan(configs_in(results, 2), n_jobs=1)).logged
    assert logged == Logged({}, "no answer", ())
    assert len(calls) == 1


def test_one_run_is_no_sweep(tmp_path: Path) -> None:
    nnlab.run(configs_in(tmp_path)[0])
    assert not list(SweepLog(Results(tmp_path)))


def test_the_estimate_grows_with_the_work(tmp_path: Path) -> None:
    few, many = (make_plan(configs_in(tmp_path, count), n_jobs=1, tracking=False).seconds() for count in (1, 10))
    assert 0 < few < many


def worker_numbers() -> set[int]:
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return {int(number) for number in children if _is_worker(number)}


def kill_a_worker(others: set[int]) -> None:
    """Kill a worker that is not among `others`: those of an earlier test may still be exiting."""
    os.kill(min(worker_numbers() - others), signal.SIGKILL)


def test_a_killed_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    """A worker is killed while it trains a stack: all runs are trained all the same, with the same bits."""
    training = nnlab.TrainingConfig(iterations=5000)
    plan = make_plan(configs_in(tmp_path / "struck", training=training), n_jobs=2, tracking=False)
    others = worker_numbers()
    results: list[object] = []

    def strike_once(result: object) -> None:
        if not results:
            kill_a_worker(others)
        results.append(result)

    execute(plan, strike_once)
    assert len(results) == len(plan.jobs)
    assert all(isinstance(result, Run) for result in results)
    assert_same_bits(
        [plan.folders.read(job.fingerprint) for job in plan.jobs],
        nnlab.sweep(configs_in(tmp_path / "quiet", training=training), n_jobs=1),
    )


def test_workers_that_are_killed_again_and_again_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "RETRIES", 0)
    jobs = prepare(configs_in(tmp_path, training=nnlab.TrainingConfig(iterations=50_000)))
    others = worker_numbers()
    with workers.train_stacks(plan_stacks(jobs, 2), 2, nnlab.RunConfig().launcher) as results:
        kill_a_worker(others)
        failures = [result for result in results if isinstance(result, workers.Failure)]
    assert sorted(failure.job.index for failure in failures) == list(range(len(jobs)))
    assert all("a worker process was killed" in failure.text for failure in failures)


def test_workers_end_with_a_study_that_ends_before_its_first_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others, started = worker_numbers(), set[int]()

    def full(*_: object) -> None:
        started.update(worker_numbers() - others)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnlab.study.execute.MlflowSink", full)
    configs = configs_in(tmp_path, training=nnlab.TrainingConfig(iterations=1_000_000))
    with pytest.raises(OSError, match="No space"):
        execute(make_plan(configs, n_jobs=2))
    assert started
    deadline = time.monotonic() + 60
    while any(_is_alive(str(number)) for number in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import nnlab\n"
        "training = nnlab.TrainingConfig(iterations=1_000_000)\n"
        f"nnlab.sweep([nnlab.RunConfig(s, {str(tmp_path)!r}, training=training) for s in range(2)], n_jobs=2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    try:
        workers_of_it: list[str] = []
        deadline = time.monotonic() + 60
        while len(workers_of_it) < 2 and time.monotonic() < deadline:
            workers_of_it = [name for name in children.read_text().split() if _is_worker(name)]
    finally:
        parent.kill()
        parent.wait()
    assert len(workers_of_it) == 2
    while any(_is_alive(name) for name in workers_of_it):
        assert time.monotonic() < deadline + 60
        time.sleep(0.1)


def _is_worker(number: str) -> bool:
    try:
        return "LokyProcess" in Path(f"/proc/{number}/cmdline").read_text()
    except OSError:  # it has ended
        return False


def _is_alive(number: str) -> bool:
    """Return True if a process runs; one that has ended and was not waited for is a zombie."""
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_messages_of_workers_are_short_enough_to_be_atomic(tmp_path: Path) -> None:
    """A pipe takes up to PIPE_BUF bytes atomically: a worker that is killed meanwhile leaves no partial message."""
    (stack,) = plan_stacks(prepare(configs_in(tmp_path)[:3]), 1)
    name = workers._attempt_into(str(tmp_path), stack)
    assert len(pickle.dumps(name)) < 512  # the least that PIPE_BUF may be
    assert len(Path(name).read_bytes()) > 4096
    assert_same_bits(
        [run for run in workers._read_and_delete(name) if isinstance(run, Run)],
        [run for run in workers.attempt(stack) if isinstance(run, Run)],
    )
    assert not Path(name).exists()


def test_training_does_not_run_far_ahead_of_the_writer(tmp_path: Path) -> None:
    configs = [
        dataclasses.replace(config, model=nnlab.ModelConfig(hidden_size=size))
        for config in configs_in(tmp_path, 1)[:1]
        for size in range(1, 12)
    ]
    stacks = plan_stacks(prepare(configs), 2)
    processes = workers._Workers(stacks, 2)
    for kept, _ in enumerate(processes.results(), start=1):
        under_way = kept + len(processes.submitted) + len(processes.waiting)
        assert under_way == len(stacks)
        assert len(processes.submitted) <= 2 * workers.QUEUED
    assert kept == len(stacks) > 2 * workers.QUEUED
