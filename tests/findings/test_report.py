"""The page about an experiment; how it looks in a browser is tested in tests/browser."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.findings.report import panel_keys, report
from nnlab.study.execute import Study


def test_the_report_is_one_page_that_needs_nothing(recorded: Path) -> None:
    page = report("playground", str(recorded))
    assert page.startswith("<!doctype html>")
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("<img") == page.count(' alt="') == 3
    assert page.count("data:image/png;base64,") == 3
    assert pd.Series(["cost/train", "accuracy/test"]).map(page.__contains__).all()


def test_the_report_says_how_the_runs_were_made(recorded: Path) -> None:
    page = report("playground", str(recorded))
    assert "FINISHED: 12 runs made, 0 done before, 0 failed" in page
    assert f"numpy {np.__version__}" in page
    same = page[page.index("What was the same") :]
    assert "<th>training.iterations</th>" in same
    assert "<th>model.hidden_size</th>" not in same
    assert "Runs that failed" not in page


def test_the_report_lists_runs_that_failed_until_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_sweep_leaves_its_report_and_says_what_was_asked(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    study = Study.plan(configs, n_jobs=1, tracking=False, question="Does <it> learn?")
    list(study.execute())
    assert study.page == tmp_path / "reports" / "playground.html"
    page = study.page.read_text(encoding="utf-8")
    assert "Does &lt;it&gt; learn?" in page
    folder = tmp_path / "sweeps" / study.sweep
    assert (folder / "playground.html").read_text(encoding="utf-8") == page
    assert (folder / "tables.txt").read_text(encoding="utf-8") == study.tables
    assert study.tables.startswith("verdicts")


def test_a_sweep_without_a_page_has_its_tables_and_the_next_may_have_one(tmp_path: Path) -> None:
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
    page = tmp_path / "reports" / "playground.html"
    for wanted in (False, True):
        tracking = nnlab.TrackingConfig(report=wanted)
        configs = [dataclasses.replace(base, seed=seed, tracking=tracking) for seed in range(2)]
        study = Study.plan(configs, n_jobs=1, tracking=False)
        list(study.execute())
        assert study.tables.startswith("verdicts")
        assert (study.page, page.is_file()) == ((page, True) if wanted else (None, False))
        assert not study.unreported


def test_a_report_that_cannot_be_written_does_not_make_the_sweep_fail(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    study = Study.plan(configs, n_jobs=1, tracking=False)
    assert len(list(study.execute())) == 2
    assert study.page is None
    assert "reports" in study.unreported


def test_runs_of_a_sweep_that_was_cut_off_are_named(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(3)
    ]
    study = Study.plan(configs, n_jobs=1, tracking=False)
    results = study.execute()
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert "of the last sweep, 2 runs: seed 1, seed 2" in report("playground", str(tmp_path))


def test_a_page_is_drawn_again_only_for_new_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=10), results_dir=str(tmp_path))
        for seed in range(3)
    ]
    page = tmp_path / "reports" / "playground.html"
    nnlab.sweep(configs[:2], n_jobs=1)
    first = page.read_text()
    nnlab.sweep(configs, n_jobs=1)
    second = page.read_text()
    assert "3 runs, 3 seeds" in second
    with monkeypatch.context() as patch:
        patch.setattr("nnlab.findings.report.report", lambda *_: pytest.fail("drawn again"))
        patch.setattr("nnlab.findings.tables.overview", lambda *_: pytest.fail("computed again"))
        nnlab.sweep(configs[:2], n_jobs=1)
        assert page.read_text() == first
        study = Study.plan(configs, n_jobs=1, tracking=False)
        list(study.execute())
        assert page.read_text() == second
        assert "3 seeds" in study.tables
    assert "make report EXPERIMENT=playground" in report(
        "playground", str(tmp_path), [run.fingerprint for run in nnlab.sweep(configs[:1], n_jobs=1)]
    )
    assert "1 more are recorded" in report(
        "playground", str(tmp_path), [run.fingerprint for run in nnlab.sweep(configs[:2], n_jobs=1)]
    )


def test_what_was_said_of_runs_is_not_repeated_once_one_of_them_is_damaged(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=10), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    folder = tmp_path / "runs" / "playground" / nnlab.sweep(configs, n_jobs=1)[0].fingerprint
    (folder / "run.json").write_text("{}")
    study = Study.plan(configs, n_jobs=1, tracking=False)
    list(study.execute())
    assert (study.tables, study.page) == ("", None)
    assert "run.json is damaged" in study.unreported


@pytest.mark.filterwarnings("ignore:overflow")
def test_runs_that_diverged_are_in_the_curves_and_counted(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(
            seed=seed,
            data=nnlab.DataConfig("diabetes"),
            model=nnlab.ModelConfig(activation="identity"),
            training=nnlab.TrainingConfig(iterations=200, learning_rate=rate),
            results_dir=str(tmp_path),
        )
        for rate in (0.01, 100.0)
        for seed in range(2)
    ]
    assert [run.verdict.name for run in nnlab.sweep(configs, n_jobs=1)][2:] == ["diverged"] * 2
    page = report("playground", str(tmp_path))
    assert "2 of 4 runs leave the figure at its upper edge" in page
    assert "2 of 4 runs lie below -1 or have no finite score" in page
    assert not re.search(r"\d{12}", re.sub(r'base64,[^"]*|<code>.*?</code>|git_commit \w+', "", page))


def test_values_that_are_none_and_layers_of_unlike_widths_are_values_like_others(tmp_path: Path) -> None:
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
    nnlab.sweep(
        [
            dataclasses.replace(
                base,
                seed=seed,
                model=nnlab.ModelConfig(layers=layers),
                training=nnlab.TrainingConfig(iterations=5, batch_size=size),
            )
            for seed in range(2)
            for layers in ([3], [3, 3], [3, 2])
            for size in (None, 32)
        ],
        n_jobs=1,
    )
    page = report("playground", str(tmp_path)).replace("\N{NO-BREAK SPACE}", " ")
    page = re.sub(r'base64,[^"]*', "", page)
    assert "<td>32, none</td>" in page
    assert "<td>[3, 2], [3, 3], [3]</td>" in page
    assert "NaN" not in page
    assert "&lt;NA&gt;" not in page
    assert "model.depth" not in page.split("What was the same")[0]


def test_a_sweep_over_tasks_has_a_figure_of_each_score(tmp_path: Path) -> None:
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=5, learning_rate=0.01), results_dir=str(tmp_path))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, data=nnlab.DataConfig(name), model=nnlab.ModelConfig(hidden_size=size))
            for seed in range(2)
            for name in ("moons", "diabetes")
            for size in (1, 2)
        ],
        n_jobs=1,
    )
    page = report("playground", str(tmp_path))
    assert "accuracy/test by model.hidden_size. Points with intervals" in page
    assert "r2/test by model.hidden_size. Points with intervals" in page


def test_no_curve_pools_what_can_be_told_apart() -> None:
    rows = [
        (scale, activation, size, seed)
        for scale in (0.0, 1.0)
        for activation in "ab"
        for size in range(7)
        for seed in "01"
    ]
    runs = pd.DataFrame(rows, columns=["init.scale", "model.activation", "model.hidden_size", "seed"])
    keys = ["init.scale", "model.activation", "model.hidden_size"]
    assert panel_keys(runs, ["seed", *keys]) == ("init.scale", "model.activation", "model.hidden_size")
    assert panel_keys(runs, ["seed", *keys[1:]]) == (None, "model.activation", "model.hidden_size")
    assert panel_keys(runs, ["seed", *keys[2:]]) == (None, None, "model.hidden_size")
    assert panel_keys(runs, ["seed"]) == (None, None, "seed")
    many = runs.assign(**{"model.hidden_size": range(len(runs))})
    assert panel_keys(many, ["seed", *keys]) == (None, "init.scale", "model.activation")  # too many colours: pooled


def test_what_never_varied_alone_is_named(tmp_path: Path) -> None:
    base = nnlab.RunConfig(results_dir=str(tmp_path), training=nnlab.TrainingConfig(iterations=2))
    models = (nnlab.ModelConfig(hidden_size=2, activation="tanh"), nnlab.ModelConfig(hidden_size=3, activation="relu"))
    nnlab.sweep([dataclasses.replace(base, model=model) for model in models], n_jobs=1)
    page = report("playground", str(tmp_path))
    assert "<th>model.hidden_size</th>" in page or "<th>model.activation</th>" in page
    assert " (never alone)</th>" in page
