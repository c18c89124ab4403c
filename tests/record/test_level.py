"""A sweep typed again asks MLflow for nothing if MLflow knows everything, and for all that it lacks if not."""

import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nnlab
from nnlab.config import SWEEPS
from nnlab.record import mlflow_store, tracking
from nnlab.record.ledger import Ledger
from nnlab.record.logbook import Logbook, Summary
from nnlab.record.mlflow_store import import_mlflow
from nnlab.record.views import same_view
from nnlab.study.execute import Study
from nnlab.study.sync import sync

QUESTION = "Who learns?"


@pytest.fixture
def configs(results: Path) -> list[nnlab.RunConfig]:
    return [
        nnlab.RunConfig(
            seed=seed,
            training=nnlab.TrainingConfig(iterations=20),
            diagnostics=nnlab.DiagnosticsConfig(checkpoints=3),
            results_dir=str(results),
            tracking=nnlab.TrackingConfig(experiment="small", report=False),
        )
        for seed in range(2)
    ]


def launched(configs: list[nnlab.RunConfig], question: str = QUESTION) -> Study:
    study = Study.plan(configs, n_jobs=1, question=question)
    list(study.execute())
    assert not study.offline
    return study


@pytest.fixture
def told(configs: list[nnlab.RunConfig]) -> Study:
    return launched(configs)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whether MLflow was imported."""
    asked: list[str] = []

    def note() -> Any:
        asked.append("mlflow")
        return import_mlflow()

    for module in (mlflow_store, tracking):
        monkeypatch.setattr(module, "import_mlflow", note)
    return asked


def client(results: Path) -> Any:
    return import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")


def change(results: Path, statement: str, *values: str) -> None:
    """Change the database behind MLflow's back."""
    with contextlib.closing(sqlite3.connect(results / "mlflow.db")) as tables, tables:
        tables.execute(statement, values)


def ledger(results: Path, experiment: str = "small") -> Ledger:
    return Ledger(results, experiment, f"sqlite:///{results / 'mlflow.db'}")


def sweeps_in_mlflow(results: Path) -> dict[str, str]:
    found = client(results)
    entries = found.search_runs([found.get_experiment_by_name(SWEEPS).experiment_id])
    return {entry.data.tags["sweep"]: entry.info.status for entry in entries}


def test_mlflow_is_not_imported_if_it_knows_everything(
    told: Study, configs: list[nnlab.RunConfig], asked: list[str]
) -> None:
    for _ in range(2):  # nor for the summary of the one before
        again = launched(configs)
        assert asked == []
        assert again.views == told.views
        assert again.tables == told.tables


def test_the_command_line_does_not_import_mlflow_for_a_finished_sweep(told: Study, results: Path) -> None:
    words = [
        *("seed=0,1", "training.iterations=20", "diagnostics.checkpoints=3"),
        *("tracking.experiment=small", f"results_dir={results}"),
    ]
    program = (
        "import runpy, sys\n"
        f"sys.argv = ['experiments/train.py', '-m', *{words!r}]\n"
        "runpy.run_path('experiments/train.py', run_name='__main__')\n"
        "print('imported' if 'mlflow' in sys.modules else 'not imported')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "2 done already" in done.stdout
    assert all(path in done.stdout for path in told.views.values())
    assert done.stdout.splitlines()[-1] == "not imported"


def test_what_a_sweep_that_changed_nothing_did_is_told_by_the_next_that_does(
    told: Study, configs: list[nnlab.RunConfig], results: Path
) -> None:
    idle = launched(configs)
    assert sweeps_in_mlflow(results).keys() == {told.sweep}
    assert [summary.status for summary in Logbook(results)] == ["FINISHED", "FINISHED"]
    more = launched([*configs, replace(configs[0], seed=7)])
    assert sweeps_in_mlflow(results) == dict.fromkeys((told.sweep, idle.sweep, more.sweep), "FINISHED")


def test_what_a_sweep_that_changed_nothing_did_is_told_by_sync(
    told: Study, configs: list[nnlab.RunConfig], results: Path
) -> None:
    idle = launched(configs)
    assert not any(sync("small", str(results)))
    assert sweeps_in_mlflow(results) == dict.fromkeys((told.sweep, idle.sweep), "FINISHED")


def test_a_batch_of_a_search_that_changed_nothing_is_told_with_those_before(
    configs: list[nnlab.RunConfig], results: Path
) -> None:
    launched(configs)
    for batch in ([replace(configs[0], seed=7), configs[0]], configs):
        list(Study.plan(batch, n_jobs=1, sweep="search", question=QUESTION).execute())
    found = client(results)
    (entry,) = found.search_runs([found.get_experiment_by_name(SWEEPS).experiment_id], "tags.sweep = 'search'")
    told = {name: entry.data.metrics[name] for name in ("runs", "done_before", "made")}
    assert told == {"runs": 3, "done_before": 3, "made": 1}


def test_a_run_alone_that_mlflow_knows_asks_for_nothing(configs: list[nnlab.RunConfig], asked: list[str]) -> None:
    launched(configs[:1])
    asked.clear()
    assert launched(configs[:1]).views
    assert asked == []


def keep_a_run_from_it(study: Study, results: Path) -> None:
    fingerprint = study.jobs[0].fingerprint
    client(results).delete_run(ledger(results).run_id(fingerprint))
    ledger(results).release(fingerprint)


def cut_off_another(_: Study, results: Path) -> None:
    ledger(results).claim("another")
    ledger(results).abandon("another")


def cut_off_a_sweep(_: Study, results: Path) -> None:
    ledger(results, SWEEPS).claim("another")
    ledger(results, SWEEPS).abandon("another")


def leave_a_sweep_untold(_: Study, results: Path) -> None:
    summary = Summary("earlier", "small", status="KILLED", ended="2026-01-01T00:00:00+00:00")
    Logbook(results).open(summary)


def be_killed(_: Study, results: Path) -> None:
    gone = subprocess.run([sys.executable, "-c", "from nnlab.record.processes import *; print(this_process())"],
                          capture_output=True, text=True, check=True, timeout=300)  # fmt: skip
    Logbook(results).open(Summary("earlier", "small", process=gone.stdout.strip()))


def show_something_else(_: Study, results: Path) -> None:
    found = client(results)
    tag = found.get_experiment_by_name("small").tags["mlflow.sharedViewState.swept"].replace("params.`seed`", "x")
    found.set_experiment_tag(found.get_experiment_by_name("small").experiment_id, "mlflow.sharedViewState.swept", tag)


def lose_the_model(study: Study, results: Path) -> None:
    best = study._model_to_register()
    assert best
    run_id = ledger(results).run_id(best)
    for version in client(results).search_model_versions(f"run_id = '{run_id}'"):
        client(results).delete_model_version(version.name, version.version)
    client(results).delete_tag(run_id, tracking.MODEL_TAG)


def lose_the_description(_: Study, results: Path) -> None:
    change(results, "DELETE FROM experiment_tags WHERE key = 'mlflow.note.content'")


def lose_the_ledger(_: Study, results: Path) -> None:
    shutil.rmtree(results / "tracking")


@pytest.mark.parametrize(
    "lose",
    [
        *(keep_a_run_from_it, cut_off_another, cut_off_a_sweep, leave_a_sweep_untold, be_killed, show_something_else),
        *(lose_the_model, lose_the_description, lose_the_ledger),
    ],
)
def test_whatever_mlflow_lacks_it_is_asked_for_and_has_again(
    lose: Callable[[Study, Path], None],
    told: Study,
    configs: list[nnlab.RunConfig],
    results: Path,
    asked: list[str],
) -> None:
    before = client(results).get_experiment_by_name("small").tags
    lose(told, results)
    asked.clear()
    launched(configs)
    assert asked
    found = client(results).get_experiment_by_name("small")
    entries = client(results).search_runs([found.experiment_id])
    assert sorted(entry.data.tags["fingerprint"] for entry in entries) == sorted(job.fingerprint for job in told.jobs)
    assert sum(tracking.MODEL_TAG in entry.data.tags for entry in entries) == 1
    assert found.tags["mlflow.note.content"] == QUESTION
    assert same_view(found.tags["mlflow.sharedViewState.swept"], before["mlflow.sharedViewState.swept"])
    ended = {summary.sweep: summary.status for summary in Logbook(results)}
    assert sweeps_in_mlflow(results) == ended
    assert not ledger(results).abandoned()
    assert not ledger(results, SWEEPS).abandoned()
    asked.clear()
    launched(configs)
    assert asked == []


def test_another_database_at_the_same_place_is_asked_what_it_knows(
    told: Study, configs: list[nnlab.RunConfig], results: Path, asked: list[str]
) -> None:
    change(results, "UPDATE experiments SET creation_time = 1 + creation_time WHERE name = 'small'")
    change(results, "DELETE FROM tags WHERE key = 'fingerprint'")  # as its runs were somebody else's
    asked.clear()
    launched(configs)
    assert asked
    entries = client(results).search_runs([client(results).get_experiment_by_name("small").experiment_id])
    ours = [entry.data.tags["fingerprint"] for entry in entries if "fingerprint" in entry.data.tags]
    assert sorted(ours) == sorted(job.fingerprint for job in told.jobs)


def test_a_store_elsewhere_is_told_though_the_one_in_the_folder_knows(
    told: Study, configs: list[nnlab.RunConfig], tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    launched([replace(config, tracking=replace(config.tracking, uri=uri)) for config in configs])
    found = import_mlflow().MlflowClient(uri)
    assert len(found.search_runs([found.get_experiment_by_name("small").experiment_id])) == 2


def test_a_question_that_mlflow_has_not_heard_of_is_told(configs: list[nnlab.RunConfig], results: Path) -> None:
    launched(configs, question="")
    launched(configs)
    assert client(results).get_experiment_by_name("small").tags["mlflow.note.content"] == QUESTION


def test_a_sweep_of_other_keys_shows_what_it_swept_though_it_makes_nothing(
    told: Study, configs: list[nnlab.RunConfig], results: Path
) -> None:
    more = [replace(config, init=nnlab.InitConfig(scale=scale)) for config in configs for scale in (0.01, 1.0)]
    launched(more)
    tag = client(results).get_experiment_by_name("small").tags["mlflow.sharedViewState.swept"]
    assert "init.scale" in tag
    launched(configs)
    tag = client(results).get_experiment_by_name("small").tags["mlflow.sharedViewState.swept"]
    assert "params.`seed`" in tag
    assert "init.scale" not in tag


def test_a_deleted_experiment_is_named(told: Study, configs: list[nnlab.RunConfig], results: Path) -> None:
    client(results).delete_experiment(client(results).get_experiment_by_name("small").experiment_id)
    with pytest.raises(nnlab.ConfigError, match="must not be a deleted experiment"):
        launched(configs)


def test_a_folder_that_was_carried_here_is_brought_home(
    told: Study, configs: list[nnlab.RunConfig], results: Path
) -> None:
    home = (results / "artifacts").as_uri()
    carry = "UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)"
    change(results, carry, home, "file:///elsewhere/artifacts")
    launched(configs)
    assert client(results).get_experiment_by_name("small").artifact_location == f"{home}/small"


def test_a_database_that_cannot_be_read_is_mlflows_to_judge(
    told: Study, configs: list[nnlab.RunConfig], results: Path
) -> None:
    change(results, "ALTER TABLE experiments RENAME COLUMN creation_time TO born")  # as another version may
    with pytest.raises(nnlab.ConfigError, match="must name a store that answers"):
        launched(configs)


def test_a_run_that_somebody_deleted_in_mlflow_stays_deleted(
    told: Study, configs: list[nnlab.RunConfig], results: Path, asked: list[str]
) -> None:
    best = told._model_to_register()
    assert best
    lose_the_model(told, results)
    client(results).delete_run(ledger(results).run_id(best))
    asked.clear()
    launched(configs)
    assert asked == []


@pytest.mark.parametrize("tag", ["", "not JSON", "[]", "null"])
def test_a_tag_of_somebody_elses_is_no_view(tag: str) -> None:
    assert not same_view(tag, '{"name": "a", "state": "{}", "createdAt": 1}')
    assert same_view('{"name": "a", "state": "{}", "createdAt": 2}', '{"name": "a", "state": "{}", "createdAt": 1}')
