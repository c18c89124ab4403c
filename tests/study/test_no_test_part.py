"""`data.test_fraction=0` trains on every row: nothing that is recorded, drawn or typed speaks of test data."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command
from matplotlib.figure import Figure

import nnlab
from nnlab.findings.portraits import portrait
from nnlab.findings.report import report
from nnlab.findings.statistics import aggregate
from nnlab.findings.tables import overview
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.study.execute import final_costs
from nnlab.study.plan import make_plan
from nnlab.tracking.connection import import_mlflow

OF_TEST_DATA = re.compile(r"/test\b|\btest data\b")


@pytest.fixture
def xor(tmp_path: Path) -> Path:
    path = tmp_path / "xor.csv"
    path.write_text("x1,x2,y\n0,0,0\n0,1,1\n1,0,1\n1,1,0\n")
    return path


def config_of(path: Path, results: Path, **training: Any) -> nnlab.RunConfig:
    return nnlab.RunConfig(
        data=nnlab.DataConfig("file", path=str(path), target="y", test_fraction=0),
        model=nnlab.ModelConfig(8),
        init=nnlab.InitConfig("xavier", 1.0),
        training=nnlab.TrainingConfig(**{"iterations": 200, **training}),
        results_dir=str(results),
    )


def of_test_data(names: Iterable[str]) -> list[str]:
    return [name for name in names if OF_TEST_DATA.search(name)]


def test_a_sweep_over_the_four_rows_of_xor(xor: Path, results: Path, nnlab_command: Command) -> None:
    words = ["data=file", f"data.path={xor}", "data.target=y", "data.test_fraction=0", "init=xavier"]
    switches = ["tracking.enabled=true", "tracking.report=true", "tracking.figures=true"]
    command = ["model.hidden_size=4,8", "training.iterations=500", *words, *switches]
    result = nnlab_command("sweep", *command, results=results)
    assert result.status == 0, result.error
    assert "accuracy/train" in result.output
    assert of_test_data([result.output]) == []

    uri = f"sqlite:///{results / 'mlflow.db'}"
    runs = nnlab.load_runs("playground", str(results))
    pd.testing.assert_frame_equal(
        runs.drop(columns="folder"), nnlab.load_runs("playground", uri=uri).drop(columns="folder")
    )
    assert runs["outcome"].tolist() == ["learned"] * 2
    assert runs["accuracy/train"].tolist() == runs["reference/ceiling"].tolist() == [1.0] * 2
    assert of_test_data(runs) == []
    assert of_test_data(nnlab.load_curves(runs)["quantity"].unique()) == []
    for folder in runs["folder"]:
        facts = json.loads((Path(folder) / "run.json").read_text())
        assert of_test_data(facts["metrics"]) == []
        assert facts["learned"] == {"train": 1.0}

    client = import_mlflow().MlflowClient(uri)
    experiment = client.get_experiment_by_name("playground")
    for entry in client.search_runs([experiment.experiment_id]):
        assert of_test_data([*entry.data.metrics, *entry.data.tags.values()]) == []
        assert len(client.list_artifacts(entry.info.run_id, "figures")) == 3
    assert of_test_data(experiment.tags.values()) == []

    page = (results / "reports" / "playground.html").read_text()
    assert page.count("<img") == 2
    assert of_test_data([page]) == []


def test_one_run_and_why(xor: Path, tmp_path: Path, nnlab_command: Command) -> None:
    words = [f"data.path={xor}", "data.target=y", "data.test_fraction=0", "init=xavier", "model.hidden_size=1"]
    result = nnlab_command("run", "data=file", *words)
    assert result.status == 0, result.error
    assert of_test_data([result.output]) == []
    runs = nnlab.load_runs("playground", str(tmp_path / "results"))
    assert runs["outcome"].tolist() == ["partly"]  # one unit is right on three corners
    config = config_of(xor, tmp_path / "results", iterations=500)
    found = nnlab.why(replace(config, model=nnlab.ModelConfig(1)), seeds=2, n_jobs=1)
    assert "1 tanh unit is too few here" in found.text


def test_a_search_minimizes_the_cost_in_training(xor: Path, tmp_path: Path) -> None:
    without = config_of(xor, tmp_path)
    configs = [without, replace(without, data=nnlab.DataConfig("moons"))]
    plan = make_plan(configs, n_jobs=1, tracking=False)
    first, second = nnlab.sweep(configs, n_jobs=1, tracking=False)
    assert final_costs(plan) == [first.metrics["cost/train"], second.metrics["cost/test"]]


@pytest.mark.parametrize("rows", [2, 3, 60])
def test_real_targets_in_float32(rows: int, tmp_path: Path) -> None:
    x = np.linspace(-1, 1, rows)
    pd.DataFrame({"x": x, "y": 2 * x + 0.5}).to_csv(tmp_path / "line.csv", index=False)
    run = nnlab.run(config_of(tmp_path / "line.csv", tmp_path, dtype="float32", learning_rate=0.1))
    assert run.verdict.outcome == "learned"
    assert run.metrics["r2/train"] > 0.99
    assert of_test_data(run.metrics) == []


def test_contradictory_rows_hold_nothing_to_learn(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n0,0\n0,1\n1,1\n1,0\n")
    verdict = nnlab.run(config_of(tmp_path / "t.csv", tmp_path)).verdict
    assert verdict.outcome == "nothing to learn"
    assert verdict.text.startswith("nothing to learn: knowing all examples by heart scores 0.5")


def test_a_run_judged_again_keeps_every_byte(xor: Path, tmp_path: Path) -> None:
    run = nnlab.run(config_of(xor, tmp_path))
    path = RunFolders(Results(tmp_path), "playground").path(run.fingerprint) / "run.json"
    before = path.read_bytes()
    (judged,) = nnlab.judge("playground", str(tmp_path))
    assert judged.after is not None
    assert judged.after.text == run.verdict.text
    assert path.read_bytes() == before


def legend_of(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_the_figure_of_the_cost_has_no_empty_entry(xor: Path, tmp_path: Path) -> None:
    config = config_of(xor, tmp_path)
    run = nnlab.run(config)
    assert legend_of(portrait(run, nnlab.load_dataset(run.config.data))["cost"]) == ["train", "nothing", "affine"]


def test_runs_with_and_without_a_test_part_side_by_side(tmp_path: Path) -> None:
    """Absent is not the worst value: a test score is a dash, and the score in training is shown as well."""
    base = replace(config_of(tmp_path, tmp_path), training=nnlab.TrainingConfig(iterations=20))
    configs = [
        replace(base, seed=seed, data=nnlab.DataConfig("breast_cancer", test_fraction=fraction))
        for seed in range(2)
        for fraction in (0, 0.25)
    ]
    nnlab.sweep(configs, n_jobs=1, tracking=False)
    runs = nnlab.load_runs("playground", str(tmp_path))
    is_whole = runs["data.test_fraction"] == 0
    for metric in ("accuracy/test", "cost/test"):
        assert runs[metric].isna().tolist() == is_whole.tolist()
        assert aggregate(runs, metric, ["data.test_fraction"])["estimate"].isna().tolist() == [True, False]
    text = overview("playground", str(tmp_path), ["data.test_fraction", "seed"], list(runs["fingerprint"]))
    assert "accuracy/train, " in text
    assert re.search(r"^0\.00 +-$", text, re.MULTILINE)
    whole = list(runs.loc[is_whole, "fingerprint"])
    assert of_test_data([overview("playground", str(tmp_path), ["seed"], whole)]) == []
    assert of_test_data([report("playground", str(tmp_path), whole)]) == []
    assert "accuracy/test" in report("playground", str(tmp_path))
