"""Why networks did not learn: what is trained and read, what is called a cause, and where it is recorded."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.config import RunConfig, flatten
from nnlab.diagnostics.changes import CHANGES
from nnlab.record.explanations import read_explanations
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.study import laboratory
from nnlab.study import why as module
from nnlab.study.explanation import Explanation, Trial
from nnlab.study.laboratory import Answer, Laboratory
from nnlab.study.stacking import Job
from nnlab.study.why import explain, replicates, unlearned_settings, why


def network(folder: Path, **parts: object) -> RunConfig:
    shared: dict[str, object] = {
        "results_dir": str(folder),
        "data": nnlab.DataConfig("moons", m=80, test_m=20),
        "training": nnlab.TrainingConfig(iterations=200),
        "diagnostics": nnlab.DiagnosticsConfig(checkpoints=3),
        "tracking": nnlab.TrackingConfig(experiment="puzzle"),
    }
    return RunConfig(**{**shared, **parts})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def zeros(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Explanation]:
    config = network(tmp_path_factory.mktemp("zeros"), init=nnlab.InitConfig("zeros"))
    return config, why(config, seeds=3, n_jobs=1)


def test_the_cause_of_a_frozen_network_is_its_start(zeros: tuple[RunConfig, Explanation]) -> None:
    _, explanation = zeros
    assert explanation.baseline.learned == 0
    assert {trial.changes[0].aspect for trial in explanation.causes} == {"scheme"}
    assert {"learning rate x 10", "iterations x 10", "width x 4"} <= {t.name for t in explanation.without_effect}
    assert explanation.text.startswith("did not learn (0 of 3 seeds): the initial weights hold it back; ")
    assert "no difference: " in explanation.text
    assert "learning rate x 0.1 to x 10" in explanation.text


def test_every_trial_says_which_runs_answer_for_it(zeros: tuple[RunConfig, Explanation]) -> None:
    config, explanation = zeros
    results = Results.at(config.results_dir)
    folders = RunFolders(results, "puzzle why")
    path = results.explanation("puzzle", explanation.baseline.fingerprints[0])
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["text"] == explanation.text
    assert written["cause"] == [explanation.named_cause.changes[0].name]  # type: ignore[union-attr]
    assert (written["aspects"], len(written["other_causes"])) == (["scheme"], len(explanation.causes) - 1)
    (read,) = read_explanations(results, "puzzle")
    assert read.evidence.aspect == "scheme"
    assert list(read.outcomes) == list(explanation.baseline.fingerprints)
    assert list(read.outcomes.values()) == list(explanation.baseline.outcomes)
    assert len(written["trials"]) == len(explanation.trials)
    for trial in written["trials"]:
        runs = [folders.read(fingerprint) for fingerprint in trial["fingerprints"]]
        assert [run.verdict.outcome for run in runs] == trial["outcomes"]
        assert [run.config.seed for run in runs] == [3, 4, 5]
        for key, value in trial["values"].items():
            section, _, name = key.partition(".")
            assert all(getattr(getattr(run.config, section), name) == value for run in runs)


def test_runs_that_are_on_disk_are_read_instead_of_trained(
    zeros: tuple[RunConfig, Explanation], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, explanation = zeros
    monkeypatch.setattr(laboratory, "execute", lambda *_: pytest.fail("trained again"))
    assert why(config, seeds=3, n_jobs=1).table.equals(explanation.table)


def test_a_network_that_learned_is_answered_at_once(tmp_path: Path) -> None:
    nnlab.sweep([network(tmp_path, init=nnlab.InitConfig("xavier", 1.0), seed=seed) for seed in (3, 4)], n_jobs=1)
    explanation = why(network(tmp_path, init=nnlab.InitConfig("xavier", 1.0)), seeds=2, n_jobs=1)
    assert explanation.text == "learned in 2 of 2 seeds"
    assert len(explanation.trials) == 1
    assert not (tmp_path / "runs" / "puzzle why").exists()  # the runs of the experiment itself were read


def test_labels_that_hold_nothing_are_answered_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.standard_normal((120, 2)), rng.permutation(np.arange(120) % 2)])
    np.savetxt(tmp_path / "noise.csv", rows, "%.6f", ",", header="a,b,y", comments="")
    data = nnlab.DataConfig("file", path=str(tmp_path / "noise.csv"), target="y")
    explanation = why(network(tmp_path, data=data), seeds=2, n_jobs=1)
    assert explanation.text.startswith("nothing to learn")
    assert len(explanation.trials) == 1


def test_mlflow_says_what_was_tried(results: Path) -> None:
    from mlflow import MlflowClient

    config = network(results, init=nnlab.InitConfig("zeros"), training=nnlab.TrainingConfig(iterations=3))
    nnlab.sweep([config], n_jobs=1, tracking=True)
    explain([replicates(config, 1)], budget=1e-9, n_jobs=1, tracking=True)
    client = MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "puzzle"]
    (entry,) = client.search_runs([experiment.experiment_id])
    note = entry.data.tags["mlflow.note.content"]
    assert "**frozen**" in note
    assert "tried (`nnlab why`): did not learn (0 of 1 seeds)" in note
    assert entry.data.tags["outcome"] == "not learned"


# ---- what is tried, with answers that are made up instead of trained


def answers(
    monkeypatch: pytest.MonkeyPatch, share: Callable[[RunConfig], float], cure: Mapping[str, object] | None = None
) -> list[RunConfig]:
    """Answer for each run with this share instead of training it; return the list of runs that were asked for.

    `cure` is what the verdicts propose.
    """
    asked: list[RunConfig] = []

    def train(self: Laboratory, jobs: Sequence[Job], stage: str) -> None:
        for job in jobs:
            asked.append(job.config)
            value = share(job.config)
            outcome = "failed" if math.isnan(value) else "learned" if value >= 0.9 else "not learned"
            self.answers[job.fingerprint] = Answer(outcome, value, cure or {})
            if outcome == "failed":
                self.errors[job.fingerprint] = job.name, "MemoryError"

    monkeypatch.setattr(Laboratory, "train", train)
    return asked


def test_two_changes_are_tried_if_no_single_one_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def share(config: RunConfig) -> float:
        return 1.0 if (config.init.scheme, config.model.activation) == ("he", "relu") else 0.1

    answers(monkeypatch, share)
    explanation = why(network(tmp_path))
    (cause,) = explanation.causes
    assert {change.name for change in cause.changes} == {"he", "relu"}
    assert cause.values == {"init.scheme": "he", "init.scale": 1.0, "model.activation": "relu"}
    assert "no single change sufficed, he and relu learned in 5 of 5 seeds" in explanation.text


def test_pairs_whose_parts_helped_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def share(config: RunConfig) -> float:
        return 0.1 + 0.4 * (config.model.hidden_size == 16) + 0.4 * (config.training.iterations == 2000)

    asked = answers(monkeypatch, share)
    explanation = why(network(tmp_path, seed=0), seeds=1)
    assert {change.name for change in explanation.causes[0].changes} == {"iterations x 10", "width x 4"}
    pairs = [trial for trial in explanation.trials if len(trial.changes) == 2]
    assert len(pairs) <= module.COMBINATIONS_AT_A_TIME  # the first batch held it
    assert len(asked) == len(explanation.trials)


def test_the_cure_of_the_verdict_is_the_first_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cure = {"model.activation": "gelu", "training.batch_size": 32}
    asked = answers(monkeypatch, lambda config: 0.1, cure)
    explanation = why(network(tmp_path, seed=0), seeds=1)
    singles = sum(len(trial.changes) == 1 for trial in explanation.trials)
    first_pair = asked[1 + singles]
    assert (first_pair.model.activation, first_pair.training.batch_size) == ("gelu", 32)


def test_three_changes_are_tried_if_no_pair_suffices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"model.hidden_size": 16, "training.iterations": 2000, "model.activation": "gelu"}

    def share(config: RunConfig) -> float:
        values = flatten(config)
        return 0.1 + 0.3 * sum(values[key] == value for key, value in needed.items())

    answers(monkeypatch, share)
    explanation = why(network(tmp_path, seed=0), seeds=1)
    (cause,) = explanation.causes
    assert cause.values == needed
    assert "no pair of changes sufficed" in explanation.text
    tried = [frozenset(trial.values.items()) for trial in explanation.trials if len(trial.changes) == 3]
    assert len(set(tried)) == len(tried)


def test_what_the_budget_does_not_allow_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, lambda _: 0.1)
    explanation = why(network(tmp_path), budget=1e-9)
    assert len(explanation.trials) == 1
    assert {"he", "iterations x 10"} <= set(explanation.not_tried)
    assert "not tried within the budget: " in explanation.text


def test_a_run_that_raises_is_listed_and_counts_as_not_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, lambda config: math.nan if config.model.hidden_size == 16 else 0.1)
    explanation = why(network(tmp_path), budget=20.0)
    (wide,) = [trial for trial in explanation.trials if trial.name == "width x 4"]
    assert (wide.learned, wide.mean) == (0, -1.0)
    assert any("MemoryError" in failure for failure in explanation.failures)


def test_the_smallest_change_of_an_aspect_is_the_cause() -> None:
    by_name = {change.name: change for change in CHANGES}

    def trial(name: str, learned: int) -> Trial:
        changes = (by_name[name],) if name else ()
        outcomes = ("learned",) * learned + ("partly",) * (5 - learned)
        return Trial(changes, {}, outcomes, (0.5,) * 5, ("",) * 5)

    trials = [("", 0), ("learning rate x 0.3", 4), ("learning rate x 0.1", 5), ("he", 3), ("tanh", 5), ("gelu", 4)]
    explanation = Explanation(RunConfig(), tuple(trial(*one) for one in trials))
    assert [trial.name for trial in explanation.causes] == ["tanh", "learning rate x 0.3", "gelu"]
    assert "the steps are too large" in explanation.text
    assert "not enough: he learned in 3 of 5 seeds" in explanation.text


@pytest.mark.parametrize("seeds", [0, -1, 2.0, True])
def test_an_impossible_number_of_seeds_is_refused(seeds: int, tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="seeds must be an integer of at least 1, got"):
        why(network(tmp_path), seeds=seeds)


def test_a_wrong_config_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match=r"training\.batch_size must be at most data\.m = 80"):
        why(network(tmp_path / "results", training=nnlab.TrainingConfig(batch_size=90)))
    assert not (tmp_path / "results").exists()


# ---- the settings of an experiment


def test_settings_that_did_not_learn_are_found_with_five_seeds(tmp_path: Path) -> None:
    schemes = (nnlab.InitConfig("zeros"), nnlab.InitConfig("xavier", 1.0))
    nnlab.sweep([network(tmp_path, init=init, seed=seed) for init in schemes for seed in (0, 7)], n_jobs=1)
    (setting,) = unlearned_settings(RunFolders(Results.at(str(tmp_path)), "puzzle"))
    assert {config.init.scheme for config in setting} == {"zeros"}
    assert [config.seed for config in setting] == [0, 7, 8, 9, 10]


def test_data_sets_that_come_with_the_seeds_are_replicates(tmp_path: Path) -> None:
    configs = [
        network(tmp_path, init=nnlab.InitConfig("zeros"), seed=seed, data=nnlab.DataConfig("moons", m=80, seed=seed))
        for seed in range(5)
    ]
    nnlab.sweep(configs, n_jobs=1)
    (setting,) = unlearned_settings(RunFolders(Results.at(str(tmp_path)), "puzzle"))
    assert [(config.seed, config.data.seed) for config in setting] == [(seed, seed) for seed in range(5)]
