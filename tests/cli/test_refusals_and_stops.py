"""A launch that is refused or stopped keeps existing files and reports in one or two lines."""

import contextlib
import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Train

import nnlab
from nnlab.record.run import Run
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results

ROOT = Path(__file__).resolve().parents[2]
FAST = ("training.iterations=20", "diagnostics.checkpoints=3", "diagnostics.every=null")


@pytest.mark.parametrize(
    "words",
    [
        ("hydra.run.dir={}",),
        ("hydra.run.dir={}/new/er",),
        ("hydra.run.dir={}", "tracking.uri=sqlite:////nowhere/mlflow.db"),
        ("-m", "hydra.sweep.dir={}"),
        ("-m", "hydra.sweep.dir={}/new/er", "seed=1,2"),
        ("-m", "hydra.sweep.dir={}", "seed=1,2", "hydra/launcher=basic"),
    ],
)
def test_a_refused_launch_keeps_existing_files(words: tuple[str, ...], train: Train, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "empty").mkdir(parents=True)
    (mine / ".hydra").mkdir()
    for name in ("thesis.txt", "train.log", "multirun.yaml", ".hydra/config.yaml"):
        (mine / name).write_text(f"years of {name}")
    files = {path: path.read_text() if path.is_file() else "" for path in mine.rglob("*")}
    wrong = "model.hidden_size=3" if "tracking.uri" in words[-1] else "model.hidden_size=-1"
    result = train(*(word.format(mine) for word in words), wrong)
    assert result.status != 0
    assert {path: path.read_text() if path.is_file() else "" for path in mine.rglob("*")} == files


def test_a_refused_launch_leaves_an_empty_folder_and_no_new_one(train: Train, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for words in (["hydra.run.dir={}/mine"], ["-m", "hydra.sweep.dir={}/mine"], ["hydra.run.dir={}/other"]):
        assert train(*(word.format(tmp_path) for word in words), "seed=-1").status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("words", [("hydra.run.dir=${nope}",), ("-m", "seed=1,2", "hydra.sweep.dir=${nope}")])
def test_a_folder_that_cannot_be_resolved_is_refused_in_one_line(words: tuple[str, ...], train: Train) -> None:
    result = train(*words, *FAST)
    assert (result.status, result.results.exists()) == (1, False)
    assert result.error.strip() == f"{words[-1].split('=')[0]} cannot be resolved: Interpolation key 'nope' not found"


def test_a_deleted_working_folder_is_reported_in_one_line(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    result = train("seed=1", *FAST)
    assert result.status == 1
    assert result.error.startswith("the working folder no longer exists")
    assert len(result.error.splitlines()) == 1


def raising(error: BaseException) -> Iterator[Any]:
    raise error
    yield


def test_ctrl_c_prints_what_was_kept(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.study import execute

    real = execute.train_stacks

    @contextlib.contextmanager
    def interrupted(*stacks: Any) -> Any:
        with real(*stacks) as results:
            yield itertools.chain([next(results)], raising(KeyboardInterrupt()))

    monkeypatch.setattr(execute, "train_stacks", interrupted)
    result = train("-m", "seed=range(3)", "model.hidden_size=2,3", *FAST, "launcher.n_jobs=1")
    assert result.status == 130
    assert "1 of 6 runs are kept" in result.output
    assert "same command again" in result.output
    monkeypatch.setattr(execute, "train_stacks", real)
    again = train("-m", "seed=range(3)", "model.hidden_size=2,3", *FAST, "launcher.n_jobs=1")
    assert "1 done already" in again.output
    assert "6 of 6 runs" in again.output


def test_ctrl_c_that_python_drops_still_stops_a_sweep(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.study import execute

    real = execute.train_stacks

    @contextlib.contextmanager
    def interrupted(*stacks: Any) -> Any:
        def dropped(result: Run) -> Run:
            with contextlib.suppress(KeyboardInterrupt):  # as Python does in a callback of the garbage collection
                signal.raise_signal(signal.SIGINT)
            return result

        with real(*stacks) as results:
            yield map(dropped, results)

    monkeypatch.setattr(execute, "train_stacks", interrupted)
    result = train("-m", "seed=range(3)", *FAST, "launcher.n_jobs=1")
    assert result.status == 130
    assert "1 of 3 runs are kept" in result.output
    (summary,) = SweepLog(Results(result.results))
    assert summary.status == "KILLED"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_keeps_finished_runs_and_prints_two_lines(stop: signal.Signals, tmp_path: Path) -> None:
    words = ("seed=range(4)", "training.iterations=1000000", "tracking.enabled=false", "launcher.n_jobs=2")
    command = [sys.executable, "-m", "nnlab", "sweep", *words, f"results_dir={tmp_path}"]
    sweep = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while not any(summary.status == "RUNNING" for summary in SweepLog(Results(tmp_path))):
        assert sweep.poll() is None
        time.sleep(0.05)
    os.killpg(sweep.pid, stop) if stop is signal.SIGINT else sweep.send_signal(stop)
    said = sweep.communicate(timeout=300)[0]
    assert sweep.returncode == 130
    assert "Stopped. 0 of 4 runs are kept" in said
    assert "Traceback" not in said
    (summary,) = SweepLog(Results(tmp_path))
    assert summary.status == "KILLED"


@pytest.mark.parametrize(
    ("redirection", "launcher"),
    [("| true", "nnlab"), (">/dev/full 2>&1", "joblib"), (">&- 2>&- <&-", "nnlab")],
)
def test_unwritable_output_does_not_stop_training(redirection: str, launcher: str, tmp_path: Path) -> None:
    words = (
        "model.hidden_size=2,3",
        f"hydra/launcher={launcher}",
        *FAST,
        "tracking.enabled=false",
        f"results_dir={tmp_path / 'results'}",
    )
    command = shlex.join([sys.executable, "-m", "nnlab", "sweep", *words])
    script = f"set -o pipefail; {command} {redirection}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert not any(word in done.stderr for word in ("Traceback", "Error", "Exception"))
    assert len(nnlab.load_runs("playground", str(tmp_path / "results"))) == 2


def test_ctrl_c_during_imports_is_silent(tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "-m", "nnlab", "run"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
