"""What the terminal shows of a run, of a sweep, and of a sweep typed again."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Train

import nnlab
from nnlab.cli.hydra_app import sweep_name

ROOT = Path(__file__).resolve().parents[2]
FAST = ("training.iterations=20", "diagnostics.checkpoints=3", "diagnostics.every=null")


def curves(results: Path, experiment: str = "playground") -> pd.DataFrame:
    runs = nnlab.load_runs(experiment, str(results))
    return nnlab.load_curves(runs).sort_values(["fingerprint", "iteration", "quantity", "layer"], ignore_index=True)


def test_one_network_is_shown_training(train: Train) -> None:
    result = train("model.activation=relu", "training.iterations=200")
    assert result.status == 0, result.error
    assert "relu h4 scale 0.01 seed 3" in result.output
    assert "cost/train" in result.output
    assert "1 of 1 runs" in result.output


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/r/hydra/sweeps/2026-11-25/13-38-36-123456", "2026-11-25T13-38-36-123456"),
        ("mine", "mine"),
        ("a/b", "aTb"),
        ("/mine", "mine"),
        ("/a/../mine", "mine"),
    ],
)
def test_a_sweep_is_named_by_its_folder(folder: str, name: str) -> None:
    assert sweep_name(folder) == name


@pytest.mark.parametrize(
    "folder", ["", ".", "/", "..", "../..", "experiment", "/experiment", ".hidden", "a/...", "my sweep/ä", "x" * 300]
)
def test_every_folder_gives_a_sweep_a_plain_name(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b c").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b c")
    name = sweep_name(folder)
    assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,110}", name)
    assert name != "experiment"
    assert name == sweep_name(folder) != sweep_name(f"{folder}/other")


def test_a_run_of_another_version_is_named_and_does_not_stop_the_sweep(train: Train) -> None:
    first = train("seed=1", *FAST)
    (path,) = (first.results / "runs" / "playground").glob("*/run.json")
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    result = train("-m", "seed=2,3", *FAST)
    assert (result.status, "2 of 2 runs" in result.output) == (0, True)
    assert "was written by another version of nnlab" in result.output


def test_the_command_printed_after_an_outage_can_be_pasted(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    results = tmp_path / "o f"
    away = "tracking.uri=http://127.0.0.1:1"
    result = train("seed=1", away, "tracking.experiment=my exp", *FAST, results=results)
    assert f"nnlab sync --results-dir '{results}' --uri http://127.0.0.1:1 'my exp'" in result.output


def test_a_sweep_ends_in_a_table_and_the_next_step(train: Train) -> None:
    words = ("model.activation=relu,tanh", "model.hidden_size=2,3", "seed=range(2)", "tracking.report=true")
    result = train("-m", *words, *FAST)
    assert result.status == 0, result.error
    preflight, *_ = result.output.splitlines()
    assert preflight.startswith("8 runs of experiment playground")
    assert "about" in preflight
    assert "accuracy/test, mean over 2 seeds [range]" in result.output
    assert "8 of 8 runs" in result.output
    assert "reports/playground.html" in result.output


def test_a_sweep_typed_again_trains_only_new_runs(train: Train) -> None:
    train("-m", "seed=range(2)", *FAST)
    result = train("-m", "seed=range(3)", *FAST)
    assert "2 done already" in result.output
    assert "3 of 3 runs" in result.output
    assert "nnlab report" not in result.output
    part = train("-m", "seed=range(2)", "tracking.report=true", *FAST)
    assert f"of these runs; 1 more with: nnlab report --results-dir {part.results} playground" in part.output


def python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=True, timeout=300)
    return done.stdout


def test_help_lists_presets_and_keys() -> None:
    shown = python("-m", "nnlab", "sweep", "--help")
    experiments = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
    assert f"experiment: {', '.join(experiments)}" in " ".join(shown.split())
    assert "model.hidden_size=4" in shown


def test_importing_nnlab_imports_no_tracker_no_plots_no_hydra() -> None:
    loaded = python("-c", "import sys, nnlab; nnlab.RunConfig, nnlab.run, nnlab.course; print(*sys.modules)").split()
    assert "numpy" in loaded
    assert not {"mlflow", "matplotlib", "hydra", "omegaconf"} & set(loaded)


def test_a_run_that_fails_is_shown_and_the_exit_status_says_so(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:

    from nnlab.study import attempt

    def broken(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(attempt, "run_stack", broken)
    result = train("-m", "seed=range(2)", *FAST, "launcher.n_jobs=1")
    assert result.status == 1
    assert "FAILED seed 0\n  to repeat: nnlab run seed=0 results_dir=" in result.output
    assert "FAILED seed 1\n  to repeat: nnlab run seed=1 results_dir=" in result.output
    assert result.output.count("RuntimeError: planted") == 1  # the same traceback is shown once
    assert "0 of 2 runs" in result.output


def test_runs_asked_for_twice_are_counted_once(train: Train) -> None:
    result = train("-m", "init.scale=0,0.0", "training.iterations=20")
    assert result.status == 0, result.error
    assert "1 of them different" in result.output
    assert "done already" not in result.output


def test_a_server_that_is_away_does_not_stop_a_sweep(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = train("-m", "seed=1,2", "tracking.uri=http://127.0.0.1:9", *FAST)
    assert result.status == 0, result.error
    assert "2 of 2 runs" in result.output
    assert f"nnlab sync --results-dir {result.results} --uri http://127.0.0.1:9 playground" in result.output
