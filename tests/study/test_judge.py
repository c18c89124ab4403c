"""Recorded runs are judged again from data and weights: those of an older version, and those of today.

tests/data/measures_1 was written before outcomes were measured, when the test parts of drawn data came from another
stream and the data set `quantiles` had other radii.
"""

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.config import MEASURES
from nnlab.diagnostics.case import Objection
from nnlab.record.files import checksum
from nnlab.record.history import History, curves_of
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import judgement
from nnlab.results import Results
from nnlab.study import references
from nnlab.study.sync import sync
from nnlab.tracking.connection import import_mlflow

OLD = Path(__file__).resolve().parents[1] / "data" / "measures_1"
MOONS, ZEROS, DIVERGED, QUANTILES = "bed3dd482a8a6527", "22ae7af508b66898", "a80a03a4250a5d35", "743df03a6f7364df"


@pytest.fixture
def old(results: Path) -> Path:
    """A results folder with runs that an older version wrote."""
    shutil.copytree(OLD / "runs", results / "runs")
    return results


def facts_of(results: Path, fingerprint: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((results / "runs" / "small" / fingerprint / "run.json").read_text())
    return facts


def checksums(results: Path) -> dict[str, str]:
    files = (path for path in (results / "runs").rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(results)): checksum(path) for path in files}


# ---- runs of an older version


def test_older_runs_get_an_outcome(old: Path) -> None:
    judged = {each.fingerprint: each for each in nnlab.judge("small", str(old))}
    assert {each.before.outcome for each in judged.values() if each.before} == {"not measured"}
    assert {name: each.after.outcome for name, each in judged.items() if each.after} == {
        MOONS: "learned",
        ZEROS: "not learned",
        DIVERGED: "diverged",
    }
    runs = nnlab.load_runs("small", str(old)).set_index("fingerprint")
    assert runs.loc[MOONS, "outcome"] == "learned"
    assert runs.loc[ZEROS, "learned/train"] == 0
    assert runs.loc[QUANTILES, "outcome"] == "not measured"


def test_the_share_that_was_learned_is_the_balanced_accuracy_of_the_stored_weights(old: Path) -> None:
    nnlab.judge("small", str(old))
    run = RunFolders(Results(old), "small").read(MOONS)
    data = nnlab.load_dataset(run.config.data)
    W1, b1, W2, b2 = (run.parameters[name] for name in ("W1", "b1", "W2", "b2"))
    answers = (W2 @ np.tanh(W1 @ data.X + b1) + b2 > 0)[0]
    balanced = np.mean([np.mean(answers[data.Y[0] == label] == label) for label in (0, 1)])
    assert run.verdict.learned == pytest.approx((balanced - 0.5) / (run.references.ceiling - 0.5), abs=1e-12)


def test_only_run_json_changes_and_says_when_it_was_judged(old: Path) -> None:
    before, written = checksums(old), facts_of(old, MOONS)
    nnlab.judge("small", str(old))
    after, now = checksums(old), facts_of(old, MOONS)
    assert {name for name in before if before[name] != after[name]} == {
        f"runs/small/{fingerprint}/run.json" for fingerprint in (MOONS, ZEROS, DIVERGED)
    }
    assert before.keys() == after.keys()
    judged = now["facts"].pop("judged")
    assert judged["measures"] == MEASURES
    assert {"at", "scikit_learn", "numpy"} <= judged.keys()
    kept = ("format", "fingerprint", "task", "sizes", "config", "files", "facts")
    assert {name: now[name] for name in kept} == {name: written[name] for name in kept}
    assert "measures" not in now["facts"]
    assert list(RunFolders(Results(old), "small").verify()) == []


def test_what_was_measured_with_the_curves_keeps_its_value(old: Path) -> None:
    written = facts_of(old, MOONS)["metrics"]
    nnlab.judge("small", str(old))
    now = facts_of(old, MOONS)["metrics"]
    assert {name: now[name] for name in written} == pytest.approx(written, rel=1e-6)
    assert now.keys() - written.keys() == {
        "learned/train",
        "learned/test",
        "reference/ceiling",
        "reference/separable",
    }


def test_another_test_part_is_not_measured_and_keeps_what_was_said_about_it(old: Path) -> None:
    path = old / "runs" / "small" / MOONS / "run.json"
    written = facts_of(old, MOONS)
    path.write_text(json.dumps({**written, "warning": "as it was", "digest": ""}).replace(', "digest": ""', ""))
    nnlab.judge("small", str(old))
    run = RunFolders(Results(old), "small").read(MOONS)
    assert math.isnan(run.verdict.learned_test)
    assert run.verdict.warning == "as it was"
    assert run.references.score_test == written["references"]["score_test"]


def test_runs_whose_data_have_changed_are_left_alone(old: Path) -> None:
    before = (old / "runs" / "small" / QUANTILES / "run.json").read_bytes()
    (alone,) = [each for each in nnlab.judge("small", str(old)) if each.problem]
    assert (alone.fingerprint, alone.before, alone.after) == (QUANTILES, None, None)
    assert alone.problem == (
        "the data of its config are not those that it was trained on: "
        "its weights have a cost of 0.131243 there, recorded is 0.13951"
    )
    assert (old / "runs" / "small" / QUANTILES / "run.json").read_bytes() == before


# ---- runs of today


def configs_in(results: Path) -> list[nnlab.RunConfig]:
    return [
        nnlab.RunConfig(
            data=nnlab.DataConfig("moons", m=80, test_m=20, seed=seed),
            model=nnlab.ModelConfig(3, activation=activation),
            init=nnlab.InitConfig("xavier", 1.0),
            training=nnlab.TrainingConfig(iterations=100, batch_size=batch_size, dtype=dtype, arithmetic=arithmetic),
            diagnostics=nnlab.DiagnosticsConfig(checkpoints=4),
            results_dir=str(results),
            tracking=nnlab.TrackingConfig(experiment="small", report=False),
        )
        for seed, activation, batch_size, dtype, arithmetic in (
            (1, "tanh", None, "float64", "blas"),
            (1, "relu", 16, "float64", "exact"),
            (2, "sigmoid", None, "float32", "blas"),
        )
    ]


def test_a_run_of_today_keeps_every_byte(results: Path) -> None:
    nnlab.sweep(configs_in(results), n_jobs=1)
    before = checksums(results)
    judged = nnlab.judge("small", str(results))
    assert [each.problem for each in judged] == [""] * 3
    assert checksums(results) == before


def test_a_run_without_its_judgement_gets_the_same_again(results: Path) -> None:
    run = nnlab.run(configs_in(results)[0])
    folders = RunFolders(Results(results), "small")
    verdict = replace(run.verdict, outcome="not measured", learned=math.nan, learned_test=math.nan, cure={})
    folders.write_judgement(run, replace(run, verdict=verdict))
    assert folders.read(run.fingerprint).verdict.outcome == "not measured"
    (judged,) = nnlab.judge("small", str(results))
    assert judged.after == run.verdict
    assert judgement(folders.read(run.fingerprint)) == judgement(run)


def test_rules_that_have_changed_change_the_verdict(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = nnlab.run(configs_in(results)[0])
    objection = Objection("other", "evidence", "Cause.", (), "source")
    monkeypatch.setattr("nnlab.diagnostics.verdict.RULES", (lambda case: objection,))
    (judged,) = nnlab.judge("small", str(results))
    assert judged.after is not None
    assert judged.after.name == "other"
    assert RunFolders(Results(results), "small").read(run.fingerprint).verdict == judged.after


def test_curves_of_a_frame_are_those_of_the_history() -> None:
    history = History()
    for iteration in (0, 10, 100):
        values = np.array([iteration, 2.0 * iteration])
        history.add(iteration, [("cost/train", 0, values), ("update", 1, values + 1), ("update", 2, values + 2)])
    frame = history.frames()[1]
    shuffled = frame.sample(frac=1, random_state=0)
    for given in (frame, shuffled):
        iterations, curves = curves_of(given)
        expected_iterations, expected = history.curves(1)
        assert iterations == expected_iterations
        assert curves.keys() == expected.keys()
        assert all(np.array_equal(curves[key], expected[key]) for key in expected)


def _with_other_labels(data: nnlab.Dataset) -> nnlab.Dataset:
    return replace(data, Y=1 - data.Y)


def _with_another_input(data: nnlab.Dataset) -> nnlab.Dataset:
    return replace(data, X=np.vstack([data.X, data.X]))


def _of_another_task(data: nnlab.Dataset) -> nnlab.Dataset:
    return replace(data, task="regression")


@pytest.mark.parametrize("rate", [0.5, 1e300], ids=["finite", "diverged"])
@pytest.mark.parametrize("change", [_with_other_labels, _with_another_input, _of_another_task])
def test_changed_data_are_noticed(
    change: Callable[[nnlab.Dataset], nnlab.Dataset], rate: float, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configs_in(results)[0]
    nnlab.run(replace(config, training=replace(config.training, learning_rate=rate)))
    load = nnlab.load_dataset
    monkeypatch.setattr("nnlab.study.plan.load_dataset", lambda data: change(load(data)))
    (judged,) = nnlab.judge("small", str(results))
    assert judged.problem.startswith("the data of its config are not those that it was trained on: ")


def test_a_file_that_is_gone_is_named(results: Path, tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.linspace(-1, 1, 40), "y": np.linspace(-1, 1, 40) > 0})
    table.astype(float).to_csv(tmp_path / "table.csv", index=False)
    data = nnlab.DataConfig("file", path=str(tmp_path / "table.csv"), target="y")
    nnlab.run(replace(configs_in(results)[0], data=data))
    assert nnlab.judge("small", str(results))[0].problem == ""
    (tmp_path / "table.csv").unlink()
    assert nnlab.judge("small", str(results))[0].problem.startswith("data.path must")


def test_a_damaged_run_does_not_stop_the_others(old: Path) -> None:
    (old / "runs" / "small" / ZEROS / "history.parquet").write_bytes(b"")
    problems = {each.fingerprint: each.problem for each in nnlab.judge("small", str(old))}
    assert "history.parquet is damaged" in problems[ZEROS]
    assert problems[MOONS] == problems[DIVERGED] == ""


def test_an_unknown_experiment_is_refused(old: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"experiment must be one that has run folders \(small\), got 'nosuch'"):
        nnlab.judge("nosuch", str(old))


# ---- interrupted, and at once


def test_a_killed_judge_leaves_every_run_old_or_new(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = checksums(old)
    real, calls = Path.replace, iter(range(100))

    def killed(path: Path, target: Path) -> Path:
        if path.name == "run.json" and next(calls) == 1:
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            nnlab.judge("small", str(old))
    changed = {name for name, value in checksums(old).items() if before[name] != value}
    assert len(changed) == 1
    assert list(RunFolders(Results(old), "small").verify()) == []
    assert sum(not each.problem for each in nnlab.judge("small", str(old))) == 3
    assert sum(facts_of(old, name).get("outcome") is not None for name in (MOONS, ZEROS, DIVERGED)) == 3


def test_a_run_that_was_replaced_meanwhile_is_not_written(results: Path) -> None:
    first = nnlab.run(configs_in(results)[0])
    folders = RunFolders(Results(results), "small")
    folders.write(replace(first, facts={**first.facts, "seconds": 1.0}), replace=True)
    before = checksums(results)
    with pytest.raises(nnlab.ConfigError, match="was written by another process meanwhile"):
        folders.write_judgement(first, first)
    assert checksums(results) == before


def test_reference_models_are_read_not_fitted(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_fitted", {})
    nnlab.run(configs_in(results)[0])
    monkeypatch.setattr(references, "_fitted", {})
    monkeypatch.setattr(references, "_fit", lambda *_: pytest.fail("fitted again"))
    assert nnlab.judge("small", str(results))[0].problem == ""


# ---- MLflow


def entries(results: Path) -> dict[str, Any]:
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    return {entry.data.tags["fingerprint"]: entry for entry in found}


def assert_level(results: Path) -> None:
    """MLflow gives the frame of the run folders."""
    here, there = (
        nnlab.load_runs("small", str(results)),
        nnlab.load_runs("small", uri=f"sqlite:///{results / 'mlflow.db'}"),
    )
    pd.testing.assert_frame_equal(here.drop(columns="folder"), there.drop(columns="folder"))


def test_an_older_run_on_a_file_is_judged_on_every_column(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("rownames,a,y\n" + "".join(f"{row},{row * 7 % 13},{row % 2}\n" for row in range(40)))
    data = nnlab.DataConfig("file", path=str(path), target="y", ignore=[])
    tracking = nnlab.TrackingConfig(experiment="small")
    training = nnlab.TrainingConfig(iterations=50)
    run = nnlab.run(nnlab.RunConfig(results_dir=str(results), data=data, tracking=tracking, training=training))
    # As earlier versions recorded it: they knew neither data.ignore nor the columns.
    config = replace(run.config, data=replace(run.config.data, ignore=None))
    older = replace(run, config=config, preparation=replace(run.preparation, columns=()))
    monkeypatch.setattr(RunFolders, "read", lambda folders, fingerprint: older)
    (judged,) = nnlab.judge("small", str(results))
    assert (judged.problem, judged.after) == ("", run.verdict)


@pytest.mark.filterwarnings("ignore:the runs of small were measured differently")
def test_sync_brings_the_entries_of_judged_runs_level_in_place(old: Path) -> None:
    assert sum(sync("small", str(old))) == 4
    before = entries(old)
    client = import_mlflow().MlflowClient(f"sqlite:///{old / 'mlflow.db'}")
    client.set_tag(before[MOONS].info.run_id, "mine", "kept")
    nnlab.judge("small", str(old))
    assert sum(sync("small", str(old))) == 0
    after = entries(old)
    assert {name: entry.info.run_id for name, entry in after.items()} == {
        name: entry.info.run_id for name, entry in before.items()
    }
    run = RunFolders(Results(old), "small").read(MOONS)
    tags = after[MOONS].data.tags
    assert (tags["verdict"], tags["outcome"], tags["mine"]) == (run.verdict.name, "learned", "kept")
    assert "outcome: learned" in tags["mlflow.note.content"]
    assert after[MOONS].data.metrics["learned/train"] == run.verdict.learned
    assert_level(old)
