import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import nnlab
from nnlab.findings.completeness import IncompleteError, holes
from nnlab.findings.tables import decimals, summary_table, verdict_table
from nnlab.record.run_folders import DamagedRunError
from nnlab.settings import varied


def test_runs_have_typed_config_and_metrics(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    assert len(runs) == 12
    assert runs["model.hidden_size"].dtype == np.int64
    assert runs["init.scale"].dtype == np.float64
    assert (runs.query("`model.hidden_size` > 1")["symmetry/distinct_units/layer1"] > 1).all()
    assert varied(runs) == ["seed", "model.hidden_size", "model.activation"]


def test_curves_of_chosen_quantities(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    curves = nnlab.load_curves(runs[runs["seed"] == 0], ["cost/train", "cost/test"])
    assert set(curves["quantity"]) == {"cost/train", "cost/test"}
    assert curves["fingerprint"].nunique() == 6
    last = curves[curves["quantity"] == "cost/train"].groupby("fingerprint")["value"].last()
    assert last.to_dict() == runs[runs["seed"] == 0].set_index("fingerprint")["cost/train"].to_dict()


def test_the_table_gives_a_statistic_with_its_interval_over_seeds(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    table = summary_table(runs, varied(runs), "cost/train", statistic="mean")
    assert table.shape == (2, 3)
    costs = runs.query("`model.hidden_size` == 2 and `model.activation` == 'relu'")["cost/train"]
    assert table.loc["relu", 2] == f"{costs.mean():.3f} [{costs.min():.3f}, {costs.max():.3f}]"


def test_one_seed_has_no_interval(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    single = runs.query("seed == 0 and `model.activation` == 'tanh'")
    assert "[" not in summary_table(single, ["model.hidden_size"], "cost/train").to_string()


def test_mlflow_alone_gives_the_same_frames(recorded: Path) -> None:
    """As for somebody who has the server and not the folders: all but where the files are."""
    here = nnlab.load_runs("playground", str(recorded))
    there = nnlab.load_runs("playground", uri=f"sqlite:///{recorded / 'mlflow.db'}")
    pd.testing.assert_frame_equal(there.drop(columns="folder"), here.drop(columns="folder"))
    assert not set(there["folder"]) & set(here["folder"])
    pd.testing.assert_frame_equal(nnlab.load_curves(there), nnlab.load_curves(here))


def test_curves_of_no_runs_have_their_columns(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    assert list(nnlab.load_curves(runs.iloc[:0])) == ["fingerprint", "iteration", "layer", "quantity", "value"]


def test_holes_are_named_and_refused_unless_allowed(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    swept = varied(runs)
    assert holes(runs, swept) == []
    some = runs.drop(runs.query("`model.hidden_size` == 2 and `model.activation` == 'relu' and seed == 1").index)
    assert holes(some, swept) == ["relu h2: seed 1"]
    for table in (
        lambda **more: summary_table(some, swept, "cost/train", **more),
        lambda **more: verdict_table(some, swept, **more),
    ):
        with pytest.raises(IncompleteError, match=r"missing: relu h2: seed 1"):
            table()
        assert table(allow_incomplete=True).shape == (2, 3)


def test_an_unknown_experiment_names_those_there_are(recorded: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"one that has recorded runs \(playground\), got 'initialisation'"):
        nnlab.load_runs("initialisation", str(recorded))


@pytest.mark.parametrize("name", ["", ".", "..", "../runs/playground", "a/b", None, 3])
def test_an_experiment_that_is_no_name_is_refused(name: object, recorded: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="experiment must be a name, not a path, got"):
        nnlab.load_runs(name, str(recorded))  # type: ignore[arg-type]


def test_a_copy_of_a_run_is_not_counted_twice(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    one = next((tmp_path / "runs" / "playground").glob("[!.]*"))
    shutil.copytree(one, one.with_name(f"{one.name} (copy)"))
    with pytest.raises(DamagedRunError, match=rf"\(copy\) holds the run {one.name}: move it away"):
        nnlab.load_runs("playground", str(tmp_path))


def test_a_quantity_alone_that_no_run_has_is_told_those_there_are(recorded: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"\(accuracy/test, .*cost/train.*\), got 'activity/deaf'$"):
        nnlab.load_curves(nnlab.load_runs("playground", str(recorded)), "activity/deaf")


def test_a_quantity_that_no_run_has_is_refused_by_name(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    with pytest.raises(nnlab.ConfigError, match=r"\(.*cost/train.*\), got 'cost/tran'$"):
        nnlab.load_curves(runs, ["cost/tran", "cost/train"])
    relu = ["activity/dead", "cost/train"]  # which only some have
    assert set(nnlab.load_curves(runs, relu)["quantity"]) == set(relu)


def test_mlflow_is_asked_page_by_page(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{recorded / 'mlflow.db'}"
    whole = nnlab.load_runs("playground", uri=uri)
    monkeypatch.setattr("nnlab.findings.load._PAGE", 5)
    pd.testing.assert_frame_equal(nnlab.load_runs("playground", uri=uri), whole)


def test_entries_of_others_in_mlflow_are_left_out_and_a_run_told_twice_is_one(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    config = nnlab.RunConfig(
        training=nnlab.TrainingConfig(iterations=5),
        results_dir=str(tmp_path),
        tracking=nnlab.TrackingConfig(uri=uri),
    )
    nnlab.sweep([config], n_jobs=1, tracking=True)
    client = MlflowClient(uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == "playground"]
    (told,) = client.search_runs([experiment.experiment_id])
    for tags in ({}, {"fingerprint": told.data.tags["fingerprint"], "verdict": "told again", "task": "binary"}):
        other = client.create_run(experiment.experiment_id, tags=tags, start_time=told.info.start_time + 60_000)
        client.set_terminated(other.info.run_id)
    unfinished = client.create_run(experiment.experiment_id, tags={"fingerprint": "0" * 16})
    assert unfinished.info.status == "RUNNING"
    runs = nnlab.load_runs("playground", uri=uri)
    assert runs["verdict"].tolist() == ["told again"]  # the newest


def test_what_mlflow_does_not_store_is_read_from_the_artifacts(tmp_path: Path) -> None:
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
    gone = nnlab.load_runs("playground", uri=uri)
    lost = ~np.isfinite(here["cost/train"].to_numpy())
    assert np.isnan(gone["cost/train"].to_numpy()[lost]).all()


def test_curves_of_runs_that_were_measured_alike_and_of_others_are_their_own(tmp_path: Path) -> None:
    """Files that begin with the same bytes share what these say, and nothing else."""
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


def test_numbers_that_have_diverged_are_short() -> None:
    assert [decimals(number) for number in (0.12345, -999_999.5, 1.5e6, -2.5e176, np.inf)] == [
        *("0.123", "-999999.500", "1.5e+06", "-2.5e+176", "inf"),
    ]
