"""Tests of loading runs and curves, from run folders and from MLflow."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import nnlab
from nnlab.config import MEASURES
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import DamagedRunError
from nnlab.results import Results
from nnlab.settings import varied


def test_runs_have_typed_config_keys_and_metrics(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    assert len(runs) == 12
    assert runs["model.hidden_size"].dtype == np.int64
    assert runs["init.scale"].dtype == np.float64
    assert (runs.query("`model.hidden_size` > 1")["symmetry/distinct_units/layer1"] > 1).all()
    assert varied(runs) == ["seed", "model.hidden_size", "model.activation"]


def test_curves_have_the_chosen_quantities(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    curves = nnlab.load_curves(runs[runs["seed"] == 0], ["cost/train", "cost/test"])
    assert set(curves["quantity"]) == {"cost/train", "cost/test"}
    assert curves["fingerprint"].nunique() == 6
    last = curves[curves["quantity"] == "cost/train"].groupby("fingerprint")["value"].last()
    assert last.to_dict() == runs[runs["seed"] == 0].set_index("fingerprint")["cost/train"].to_dict()


def test_mlflow_alone_gives_the_same_frames_except_for_folders(recorded: Path) -> None:
    """A user with the server but without the run folders sees the same runs; only `folder` differs."""
    here = nnlab.load_runs("playground", str(recorded))
    there = nnlab.load_runs("playground", uri=f"sqlite:///{recorded / 'mlflow.db'}")
    pd.testing.assert_frame_equal(there.drop(columns="folder"), here.drop(columns="folder"))
    assert not set(there["folder"]) & set(here["folder"])
    pd.testing.assert_frame_equal(nnlab.load_curves(there), nnlab.load_curves(here))


def test_curves_of_no_runs_have_their_columns(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    assert list(nnlab.load_curves(runs.iloc[:0])) == ["fingerprint", "iteration", "layer", "quantity", "value"]


def test_an_unknown_experiment_is_rejected_with_the_known_ones(recorded: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"one that has recorded runs \(playground\), got 'initialisation'"):
        nnlab.load_runs("initialisation", str(recorded))


@pytest.mark.parametrize("name", ["", ".", "..", "../runs/playground", "a/b", None, 3])
def test_an_experiment_that_is_not_a_name_is_rejected(name: object, recorded: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="experiment must be a name, not a path, got"):
        nnlab.load_runs(name, str(recorded))  # type: ignore[arg-type]


def test_a_copy_of_a_run_folder_is_rejected(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    one = next((tmp_path / "runs" / "playground").glob("[!.]*"))
    shutil.copytree(one, one.with_name(f"{one.name} (copy)"))
    with pytest.raises(DamagedRunError, match=rf"\(copy\) holds the run {one.name}: move it away"):
        nnlab.load_runs("playground", str(tmp_path))


def test_runs_that_were_measured_differently_are_pointed_out(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    folders = RunFolders(Results.at(str(tmp_path)), "playground")
    for run in itertools.islice(folders, 5):  # older versions of nnlab did not write the number
        facts = {name: value for name, value in run.facts.items() if name != "measures"}
        folders.write(dataclasses.replace(run, facts=facts), replace=True)
    with pytest.warns(UserWarning, match=rf"\(5 with version 1, 7 with version {MEASURES} of.*launcher.force=true"):
        runs = nnlab.load_runs("playground", str(tmp_path))
    assert sorted(runs["measures"]) == [1] * 5 + [MEASURES] * 7


def test_an_unknown_single_quantity_is_rejected_with_the_known_ones(recorded: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"\(accuracy/test, .*cost/train.*\), got 'activity/deaf'$"):
        nnlab.load_curves(nnlab.load_runs("playground", str(recorded)), "activity/deaf")


def test_an_unknown_quantity_among_others_is_rejected_by_name(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    with pytest.raises(nnlab.ConfigError, match=r"\(.*cost/train.*\), got 'cost/tran'$"):
        nnlab.load_curves(runs, ["cost/tran", "cost/train"])
    relu = ["activity/dead", "cost/train"]  # only some runs have the first
    assert set(nnlab.load_curves(runs, relu)["quantity"]) == set(relu)


def test_entries_are_read_page_by_page(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{recorded / 'mlflow.db'}"
    whole = nnlab.load_runs("playground", uri=uri)
    monkeypatch.setattr("nnlab.tracking.frames._PAGE_SIZE", 5)
    pd.testing.assert_frame_equal(nnlab.load_runs("playground", uri=uri), whole)


def test_foreign_and_unfinished_entries_are_left_out_and_the_newest_of_two_counts(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    config = nnlab.RunConfig(
        training=nnlab.TrainingConfig(iterations=5),
        results_dir=str(tmp_path),
        tracking=nnlab.TrackingConfig(uri=uri),
    )
    nnlab.sweep([config], n_jobs=1, tracking=True)
    client = MlflowClient(uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "playground"]
    (entry,) = client.search_runs([experiment.experiment_id])
    for tags in ({}, {"fingerprint": entry.data.tags["fingerprint"], "verdict": "newer", "task": "binary"}):
        other = client.create_run(experiment.experiment_id, tags=tags, start_time=entry.info.start_time + 60_000)
        client.set_terminated(other.info.run_id)
    unfinished = client.create_run(experiment.experiment_id, tags={"fingerprint": "0" * 16})
    assert unfinished.info.status == "RUNNING"
    runs = nnlab.load_runs("playground", uri=uri)
    assert runs["verdict"].tolist() == ["newer"]


def test_non_finite_metrics_are_read_from_the_artifacts(tmp_path: Path) -> None:
    config = nnlab.RunConfig(
        data=nnlab.DataConfig("diabetes"),
        model=nnlab.ModelConfig(activation="identity"),
        training=nnlab.TrainingConfig(iterations=200, learning_rate=100.0),
        results_dir=str(tmp_path),
    )
    with np.errstate(over="ignore", invalid="ignore"):
        nnlab.sweep([config], n_jobs=1, tracking=True)
    here = nnlab.load_runs("playground", str(tmp_path))
    assert not np.isfinite(here["cost/train"]).all()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    there = nnlab.load_runs("playground", uri=uri)
    pd.testing.assert_frame_equal(there.drop(columns="folder"), here.drop(columns="folder"))
    for folder in there["folder"]:
        (Path(folder) / "run.json").unlink()
    without_files = nnlab.load_runs("playground", uri=uri)
    non_finite = ~np.isfinite(here["cost/train"].to_numpy())
    assert np.isnan(without_files["cost/train"].to_numpy()[non_finite]).all()


def test_curves_of_similar_files_are_those_of_each_run(tmp_path: Path) -> None:
    """Files that begin with the same bytes share what is decoded from these bytes, and nothing else."""
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=20), results_dir=str(tmp_path))
    configs = [dataclasses.replace(base, seed=seed) for seed in range(3)]
    configs.append(dataclasses.replace(base, training=nnlab.TrainingConfig(iterations=22)))
    configs.append(dataclasses.replace(base, model=nnlab.ModelConfig(depth=2)))
    configs = [dataclasses.replace(one, diagnostics=nnlab.DiagnosticsConfig(checkpoints=5)) for one in configs]
    made = nnlab.sweep(configs, n_jobs=1)
    assert len(made[0].history) == len(made[3].history)  # as many rows, of other iterations
    assert set(made[0].history["iteration"]) != set(made[3].history["iteration"])
    frame = nnlab.load_runs("playground", str(tmp_path))
    starts = {(Path(folder) / "history.parquet").read_bytes()[:200] for folder in frame["folder"]}
    assert len(starts) < len(configs)
    curves = nnlab.load_curves(frame).astype({"quantity": str})
    for run in made:
        found = curves[curves["fingerprint"] == run.fingerprint].drop(columns="fingerprint").reset_index(drop=True)
        expected = run.history[found.columns].astype({"quantity": str})
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)
