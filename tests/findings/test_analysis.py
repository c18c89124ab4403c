import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.findings.analysis import IncompleteError, holes, summary_table, varied, verdict_table


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=30), results_dir=str(folder))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, model=nnlab.ModelConfig(hidden_size=size, activation=activation))
            for size in (1, 2, 3)
            for activation in ("tanh", "relu")
            for seed in range(2)
        ],
        n_jobs=1,
        tracking=True,
    )
    return folder


def test_runs_have_typed_config_and_metrics(results: Path) -> None:
    runs = nnlab.load_runs("playground", str(results))
    assert len(runs) == 12
    assert runs["model.hidden_size"].dtype == np.int64
    assert runs["init.scale"].dtype == np.float64
    assert (runs.query("`model.hidden_size` > 1")["symmetry/distinct_units/layer1"] > 1).all()
    assert varied(runs) == ["seed", "model.hidden_size", "model.activation"]


def test_curves_of_chosen_quantities(results: Path) -> None:
    runs = nnlab.load_runs("playground", str(results))
    curves = nnlab.load_curves(runs[runs["seed"] == 0], ["cost/train", "cost/test"])
    assert set(curves["quantity"]) == {"cost/train", "cost/test"}
    assert curves["fingerprint"].nunique() == 6
    last = curves[curves["quantity"] == "cost/train"].groupby("fingerprint")["value"].last()
    assert last.to_dict() == runs[runs["seed"] == 0].set_index("fingerprint")["cost/train"].to_dict()


def test_the_table_gives_a_statistic_with_its_interval_over_seeds(results: Path) -> None:
    runs = nnlab.load_runs("playground", str(results))
    table = summary_table(runs, varied(runs), "cost/train", statistic="mean")
    assert table.shape == (2, 3)
    costs = runs.query("`model.hidden_size` == 2 and `model.activation` == 'relu'")["cost/train"]
    assert table.loc["relu", 2] == f"{costs.mean():.3f} [{costs.min():.2f}, {costs.max():.2f}]"


def test_one_seed_has_no_interval(results: Path) -> None:
    runs = nnlab.load_runs("playground", str(results))
    single = runs.query("seed == 0 and `model.activation` == 'tanh'")
    assert "[" not in summary_table(single, ["model.hidden_size"], "cost/train").to_string()


def test_mlflow_alone_gives_the_same_frames(results: Path) -> None:
    """As for somebody who has the server and not the folders: all but where the files are."""
    here = nnlab.load_runs("playground", str(results))
    there = nnlab.load_runs("playground", uri=f"sqlite:///{results / 'mlflow.db'}")
    pd.testing.assert_frame_equal(there.drop(columns="folder"), here.drop(columns="folder"))
    assert not set(there["folder"]) & set(here["folder"])
    pd.testing.assert_frame_equal(nnlab.load_curves(there), nnlab.load_curves(here))


def test_curves_of_no_runs_have_their_columns(results: Path) -> None:
    runs = nnlab.load_runs("playground", str(results))
    assert list(nnlab.load_curves(runs.iloc[:0])) == ["fingerprint", "iteration", "layer", "quantity", "value"]


def test_holes_are_named_and_refused_unless_allowed(results: Path) -> None:
    runs = nnlab.load_runs("playground", str(results))
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


def test_an_unknown_experiment_names_those_there_are(results: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"one that has recorded runs \(playground\), got 'initialisation'"):
        nnlab.load_runs("initialisation", str(results))


def test_the_report_is_one_page_that_needs_nothing(results: Path) -> None:
    from nnlab.findings.report import report

    page = report("playground", str(results))
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<img") == page.count('<img alt="') == 3
    assert page.count("data:image/png;base64,") == 3
    assert pd.Series(["cost/train", "accuracy/test"]).map(page.__contains__).all()


def test_the_report_says_how_the_runs_were_made(results: Path) -> None:
    from nnlab.findings.report import report

    page = report("playground", str(results))
    assert "FINISHED: 12 runs made, 0 done before, 0 failed" in page
    assert f"numpy {np.__version__}" in page
    same = page[page.index("What was the same") :]
    assert "<th>training.iterations</th>" in same
    assert "<th>model.hidden_size</th>" not in same
    assert "Runs that failed" not in page


def test_the_report_lists_runs_that_failed_until_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.findings.report import report
    from nnlab.study import workers

    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(3)
    ]
    attempt = workers._attempt

    def fail(stack: workers.Stack) -> list[workers.Run | workers.Failure]:
        return [
            workers.Failure(job, "Traceback\nValueError: <b>no</b>") if job.config.seed == 1 else result
            for job, result in zip(stack.jobs, attempt(stack), strict=True)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(workers, "_attempt", fail)
        with pytest.raises(nnlab.StudyError):
            nnlab.sweep(configs, n_jobs=1)
    page = report("playground", str(tmp_path))
    assert "Runs that failed" in page
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert "<code>python experiments/train.py seed=1" in page
    nnlab.sweep(configs, n_jobs=1)
    assert "Runs that failed" not in report("playground", str(tmp_path))


def test_figures_show_every_run(results: Path) -> None:
    from matplotlib.figure import Figure

    from nnlab.findings.plots import cost_curves, metric_by_value

    runs = nnlab.load_runs("playground", str(results))
    curves = nnlab.load_curves(runs, ["cost/train"]).merge(runs[["fingerprint", "model.activation"]], on="fingerprint")
    ax = cost_curves(curves, Figure().subplots(), "model.activation", reference=0.69)
    assert len(ax.lines) == 12 + 2 + 1
    assert ax.get_xlabel() == "iteration"
    ax = metric_by_value(runs, Figure().subplots(), "accuracy/test", "model.hidden_size", "model.activation")
    assert sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == ".") == 12  # type: ignore[arg-type]
