"""Tests of the page about an experiment; tests/browser has those in a browser."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.findings.load import load_explanations, with_cures
from nnlab.findings.report import report
from nnlab.results import Results
from nnlab.study.execute import execute
from nnlab.study.plan import make_plan


def test_the_report_is_one_page_that_loads_nothing(recorded: Path) -> None:
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


def test_the_report_lists_failed_runs_until_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.study import workers

    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(3)
    ]
    attempt = workers.attempt

    def fail(stack: workers.Stack) -> list[workers.Run | workers.Failure]:
        return [
            workers.Failure(job, "Traceback\nValueError: <b>no</b>") if job.config.seed == 1 else result
            for job, result in zip(stack.jobs, attempt(stack), strict=True)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(workers, "attempt", fail)
        with pytest.raises(nnlab.StudyError):
            nnlab.sweep(configs, n_jobs=1)
    page = report("playground", str(tmp_path))
    assert "Runs that failed" in page
    assert "ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    assert "<code>nnlab run seed=1" in page
    nnlab.sweep(configs, n_jobs=1)
    assert "Runs that failed" not in report("playground", str(tmp_path))


def test_commands_that_earlier_versions_recorded_are_shown_as_typed_today(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    execute(make_plan(configs, n_jobs=1, tracking=False, command="python experiments/train.py -m seed=0,1"))
    page = report("playground", str(tmp_path))
    assert "<code>nnlab sweep seed=0,1</code>" in page
    assert "train.py" not in page


def test_a_sweep_writes_its_report_with_its_question(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    plan = make_plan(configs, n_jobs=1, tracking=False, question="Does <it> learn?")
    pages = execute(plan).pages
    assert pages is not None
    assert pages.report == tmp_path / "reports" / "playground.html"
    page = pages.report.read_text(encoding="utf-8")
    assert "Does &lt;it&gt; learn?" in page
    folder = tmp_path / "sweeps" / plan.sweep
    assert (folder / "playground.html").read_text(encoding="utf-8") == page
    assert (folder / "tables.txt").read_text(encoding="utf-8") == pages.tables
    assert pages.tables.startswith("verdicts")


def test_a_sweep_without_a_page_writes_its_tables_and_the_next_may_write_the_page(tmp_path: Path) -> None:
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
    page = tmp_path / "reports" / "playground.html"
    for wanted in (False, True):
        tracking = nnlab.TrackingConfig(report=wanted)
        configs = [dataclasses.replace(base, seed=seed, tracking=tracking) for seed in range(2)]
        pages = execute(make_plan(configs, n_jobs=1, tracking=False)).pages
        assert pages is not None
        assert pages.tables.startswith("verdicts")
        assert (pages.report, page.is_file()) == ((page, True) if wanted else (None, False))
        assert not pages.failure


def test_a_report_that_cannot_be_written_does_not_fail_the_sweep(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("in the way")
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    outcome = execute(make_plan(configs, n_jobs=1, tracking=False))
    assert outcome.recorded == 2
    assert outcome.pages is not None
    assert outcome.pages.report is None
    assert "reports" in outcome.pages.failure


def test_unmade_runs_of_an_interrupted_sweep_are_named(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(3)
    ]

    def interrupt(result: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(make_plan(configs, n_jobs=1, tracking=False), on_result=interrupt)
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
        pages = execute(make_plan(configs, n_jobs=1, tracking=False)).pages
        assert page.read_text() == second
        assert pages is not None
        assert "3 seeds" in pages.tables
    assert "<code>nnlab report playground</code>" in report(
        "playground", str(tmp_path), [run.fingerprint for run in nnlab.sweep(configs[:1], n_jobs=1)]
    )
    assert "1 more are recorded" in report(
        "playground", str(tmp_path), [run.fingerprint for run in nnlab.sweep(configs[:2], n_jobs=1)]
    )


def explain(folder: Path, fingerprint: str, **content: object) -> None:
    """Write what `nnlab why` would write about the setting of a run."""
    trial = {"fingerprints": [fingerprint], "outcomes": ["not learned"]}
    path = Results.at(str(folder)).explanation("playground", fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"text": "", "cause": [], "aspects": [], "other_causes": [], "trials": [trial], **content}
    path.write_text(json.dumps(whole), encoding="utf-8")


def test_a_page_shows_what_would_have_helped(recorded: Path, tmp_path: Path) -> None:
    shutil.copytree(recorded / "runs", tmp_path / "runs")
    assert "What would have helped" not in report("playground", str(tmp_path))
    runs = nnlab.load_runs("playground", str(tmp_path)).query("seed == 0").set_index("model.hidden_size")
    first, second = (runs.query(f"`model.activation` == '{name}'").loc[2, "fingerprint"] for name in ("relu", "tanh"))
    explain(tmp_path, first, cause=["width x 4"], aspects=["width"], other_causes=["he", "tanh"])
    explain(tmp_path, second)
    (tmp_path / "why" / "playground" / "damaged.json").write_text("{")
    explained = with_cures(nnlab.load_runs("playground", str(tmp_path)), load_explanations("playground", str(tmp_path)))
    settings = explained.groupby(["model.activation", "model.hidden_size"])["cure"].agg(set)
    assert settings["relu", 2] == {"width x 4"}  # both seeds
    assert settings["tanh", 2] == {"none found"}
    page = report("playground", str(tmp_path))
    table = page[page.index("<h2>What would have helped") :].replace("\N{NO-BREAK SPACE}", " ")
    assert page.count("<img") == 4
    assert re.search(r"<th>relu h2</th>\s*<td>width x 4</td>\s*<td>he, tanh</td>", table)
    assert re.search(r"<th>tanh h2</th>\s*<td>none found</td>\s*<td>none</td>", table)


def test_a_page_is_drawn_again_once_a_setting_is_explained(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=5), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    run = nnlab.sweep(configs, n_jobs=1)[0]
    explain(tmp_path, run.fingerprint, cause=["he"], aspects=["scheme"])
    nnlab.sweep(configs, n_jobs=1)
    page = (tmp_path / "reports" / "playground.html").read_text(encoding="utf-8")
    assert "What would have helped" in page  # a table alone: only the seed was swept
    assert "<td>he</td>" in page


def test_earlier_tables_are_not_reused_if_a_run_is_damaged(tmp_path: Path) -> None:
    configs = [
        nnlab.RunConfig(seed=seed, training=nnlab.TrainingConfig(iterations=10), results_dir=str(tmp_path))
        for seed in range(2)
    ]
    folder = tmp_path / "runs" / "playground" / nnlab.sweep(configs, n_jobs=1)[0].fingerprint
    (folder / "run.json").write_text("{}")
    pages = execute(make_plan(configs, n_jobs=1, tracking=False)).pages
    assert pages is not None
    assert (pages.tables, pages.report) == ("", None)
    assert "run.json is damaged" in pages.failure


@pytest.mark.filterwarnings("ignore:overflow")
def test_diverged_runs_are_drawn_and_counted(tmp_path: Path) -> None:
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


def test_none_and_layers_of_different_widths_are_values_like_others(tmp_path: Path) -> None:
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


def test_keys_that_never_varied_alone_are_named(tmp_path: Path) -> None:
    base = nnlab.RunConfig(results_dir=str(tmp_path), training=nnlab.TrainingConfig(iterations=2))
    models = (nnlab.ModelConfig(hidden_size=2, activation="tanh"), nnlab.ModelConfig(hidden_size=3, activation="relu"))
    nnlab.sweep([dataclasses.replace(base, model=model) for model in models], n_jobs=1)
    page = report("playground", str(tmp_path))
    assert "<th>model.hidden_size</th>" in page or "<th>model.activation</th>" in page
    assert " (never alone)</th>" in page
