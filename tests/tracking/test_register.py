"""`nnlab register`: which run is meant, what MLflow's registry then holds, and what a served model predicts."""

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from packaging.requirements import Requirement

import nnlab
from nnlab.cli import register as command
from nnlab.record.run import Run
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.register import NEEDED


@pytest.fixture
def configs(results: Path) -> list[nnlab.RunConfig]:
    base = nnlab.RunConfig(
        training=nnlab.TrainingConfig(iterations=40),
        results_dir=str(results),
        tracking=nnlab.TrackingConfig(experiment="small", report=False),
    )
    return [dataclasses.replace(base, seed=seed) for seed in range(2)]


def client(results: Path) -> Any:
    return import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")


def register(capsys: pytest.CaptureFixture[str], results: Path, *words: str) -> str:
    """Run `nnlab register` and return the first line that it prints."""
    capsys.readouterr()
    command.main([*words, "--results-dir", str(results)])
    return capsys.readouterr().out.splitlines()[0]


def rejection(results: Path, *words: str) -> str:
    """Run `nnlab register`, which must fail, and return its message."""
    with pytest.raises(SystemExit) as stop:
        command.main([*words, "--results-dir", str(results)])
    return str(stop.value)


def test_a_sweep_registers_no_model(configs: list[nnlab.RunConfig], results: Path) -> None:
    nnlab.sweep(configs, n_jobs=1, tracking=True)
    assert client(results).search_model_versions() == []


def test_a_registered_run_is_a_model_that_mlflow_serves(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = nnlab.sweep(configs, n_jobs=1, tracking=True)[1]
    command.main([run.fingerprint, "--results-dir", str(results)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Registered small/{run.fingerprint} as models:/small/1. To serve it:"
    assert lines[1] == f"  export MLFLOW_TRACKING_URI=sqlite:///{results / 'mlflow.db'}"
    assert lines[2].endswith("mlflow models predict -m models:/small/1 --env-manager local -t json")
    (version,) = client(results).search_model_versions("name = 'small'")
    assert run.verdict.name in version.description
    entry = client(results).get_run(version.run_id)
    assert entry.data.tags["fingerprint"] == run.fingerprint
    assert entry.data.tags["registered_model"] == "small version 1"
    assert_predicts(f"sqlite:///{results / 'mlflow.db'}", "models:/small/1", run)
    files = [path for path in (results / "artifacts").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".cloudpickle")]


def assert_predicts(uri: str, model: str, run: Run) -> None:
    """The model that MLflow loads takes rows with named columns, in any order, and predicts what the run does."""
    examples = pd.DataFrame(np.random.default_rng(0).standard_normal((50, 2)), columns=["x1", "x2"])
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(uri)
    try:
        loaded = mlflow.pyfunc.load_model(model)
        expected = run.predict(examples.to_numpy().T)[0]
        np.testing.assert_array_equal(loaded.predict(examples), expected)
        np.testing.assert_array_equal(loaded.predict(examples[["x2", "x1"]]), expected)
        assert loaded.metadata.signature.inputs.input_names() == ["x1", "x2"]
        with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
            loaded.predict(examples.rename(columns={"x2": "X2"}))
    finally:
        mlflow.set_tracking_uri(None)


def test_the_printed_command_predicts(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = nnlab.run(configs[0], tracking=True)
    command.main([run.fingerprint, "--results-dir", str(results)])
    script = "\n".join(capsys.readouterr().out.splitlines()[1:])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stderr
    assert f'{{"predictions": [{run.predict(np.zeros((2, 1)))[0, 0]:.0f}]}}' in done.stdout


def test_a_model_of_a_file_takes_its_rows_and_answers_with_its_labels(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{'' if row % 9 == 0 else row * 7 % 40},{'uvw'[row % 3]},{row % 2 == 0},{row % 5}.5" for row in range(60)]
    path = tmp_path / "table.csv"
    path.write_text("whole,text,flag,real,y\n" + "".join(f"{row},{'yes' if 'u' in row else 'no'}\n" for row in rows))
    config = nnlab.RunConfig(
        data=nnlab.DataConfig("file", path=str(path), target="y", missing="impute"),
        training=nnlab.TrainingConfig(iterations=60),
        results_dir=str(results),
        tracking=nnlab.TrackingConfig(experiment="small", report=False),
    )
    run = nnlab.run(config, tracking=True)
    command.main([run.fingerprint, "--results-dir", str(results)])
    export, predict = capsys.readouterr().out.splitlines()[1:]
    frame = pd.read_csv(path)
    asked = json.dumps({"dataframe_split": json.loads(frame.to_json(orient="split"))})
    script = f"{export}\necho {shlex.quote(asked)} {predict[predict.index('|') :]}"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout[done.stdout.index("{") :])["predictions"]
    assert set(answers) <= {"yes", "no"}
    train, test = len(nnlab.load_dataset(config.data).X[0]), len(nnlab.load_dataset(config.data).X_test[0])
    right = run.metrics["accuracy/train"] * train + run.metrics["accuracy/test"] * test
    assert np.mean(np.array(answers) == frame["y"]) == pytest.approx(right / 60)
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(f"sqlite:///{results / 'mlflow.db'}")
    try:
        loaded = mlflow.pyfunc.load_model("models:/small/1")
        whole = frame.dropna().astype({"whole": int, "real": int, "flag": bool})
        np.testing.assert_array_equal(loaded.predict(whole), run.predict(whole))
        assert loaded.metadata.signature.outputs.input_types() == [mlflow.types.DataType.string]
    finally:
        mlflow.set_tracking_uri(None)


def test_a_run_is_registered_once_under_each_name(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = nnlab.run(configs[0], tracking=True).fingerprint
    assert register(capsys, results, name) == f"Registered small/{name} as models:/small/1. To serve it:"
    assert register(capsys, results, name) == f"Registered already: small/{name} as models:/small/1. To serve it:"
    assert (
        register(capsys, results, name, "--name", "best") == f"Registered small/{name} as models:/best/1. To serve it:"
    )
    assert register(capsys, results, name).startswith("Registered already")
    assert {version.name for version in client(results).search_model_versions()} == {"small", "best"}


def test_a_model_whose_registration_was_killed_before_its_tag_is_not_registered_again(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = nnlab.run(configs[0], tracking=True)
    register(capsys, results, run.fingerprint)
    (version,) = client(results).search_model_versions("name = 'small'")
    client(results).delete_tag(version.run_id, "registered_model")
    assert register(capsys, results, run.fingerprint).startswith("Registered already")
    assert len(client(results).search_model_versions("name = 'small'")) == 1
    assert client(results).get_run(version.run_id).data.tags["registered_model"] == "small version 1"


def test_a_run_that_mlflow_lacks_is_logged_first(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = nnlab.sweep(configs, n_jobs=1)
    assert register(capsys, results, runs[0].fingerprint).startswith("Registered small/")
    experiment = client(results).get_experiment_by_name("small")
    logged = client(results).search_runs([experiment.experiment_id])
    assert {entry.data.tags["fingerprint"] for entry in logged} == {run.fingerprint for run in runs}
    assert "mlflow.sharedViewState.swept" in experiment.tags


def test_damaged_runs_do_not_keep_another_from_being_registered(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, damaged = nnlab.sweep(configs, n_jobs=1)
    (results / "runs" / "small" / damaged.fingerprint / "history.parquet").write_bytes(b"")
    assert register(capsys, results, whole.fingerprint).startswith("Registered small/")
    assert "history.parquet" in rejection(results, damaged.fingerprint)


def test_the_first_digits_are_enough_if_only_one_run_has_them(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (run.fingerprint for run in nnlab.sweep(configs, n_jobs=1))
    assert register(capsys, results, first[:6]).startswith(f"Registered small/{first}")
    assert rejection(results, first[:3]) == f"the fingerprint must have at least 4 digits, got {first[:3]!r}"
    unknown = rejection(results, "zzzz")
    assert unknown.startswith("the fingerprint must match a recorded run (")
    assert f"small/{first}" in unknown
    assert f"small/{second}" in unknown
    assert "(there are none yet)" in rejection(results / "elsewhere", "zzzz")


def test_a_run_of_two_experiments_is_named_with_one_of_them(
    configs: list[nnlab.RunConfig], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for experiment in ("small", "other"):
        tracking = dataclasses.replace(configs[0].tracking, experiment=experiment)
        name = nnlab.run(dataclasses.replace(configs[0], tracking=tracking)).fingerprint
    assert rejection(results, name) == (
        f"the fingerprint must match one run only (other/{name}, small/{name}), got {name!r}"
    )
    assert register(capsys, results, f"other/{name[:4]}").startswith(f"Registered other/{name} as models:/other/1")
    path = f"{results / 'runs' / 'small' / name}/"
    assert register(capsys, results, path).startswith(f"Registered small/{name} as models:/small/1")


def test_a_run_that_was_deleted_in_mlflow_is_rejected(configs: list[nnlab.RunConfig], results: Path) -> None:
    name = nnlab.run(configs[0], tracking=True).fingerprint
    (entry,) = client(results).search_runs([client(results).get_experiment_by_name("small").experiment_id])
    client(results).delete_run(entry.info.run_id)
    assert f"mlflow runs restore --run-id {entry.info.run_id}" in rejection(results, name)


@pytest.mark.parametrize("name", ["", " ", "a/b", "a:b"])
def test_names_that_no_model_can_have_are_rejected(name: str, configs: list[nnlab.RunConfig], results: Path) -> None:
    fingerprint = nnlab.run(configs[0], tracking=True).fingerprint
    assert rejection(results, fingerprint, "--name", name) == (
        f"the name of a model must not be empty and must not contain / or :, got {name!r}"
    )


def test_a_model_requires_what_its_code_imports() -> None:
    code = (
        "import sys; before = set(sys.modules); import nnlab.record.run_folders, nnlab.tracking.connection; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    imported = {name.lower() for module in modules for name in packages_distributions().get(module, [])}
    declared = {Requirement(line).name.lower() for line in requires("nnlab") or ()}
    assert imported & declared <= set(NEEDED) <= declared
