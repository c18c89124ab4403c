"""Runs made without MLflow are logged later: all of them, and each once."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from servers import mlflow_server

import nnlab
from nnlab.cli.sync import main as sync_command
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.study.sync import sync
from nnlab.tracking.connection import import_mlflow
from nnlab.tracking.ledger import Ledger
from nnlab.tracking.log_runs import RunTracker


def configs_in(results: Path, uri: str | None = None) -> list[nnlab.RunConfig]:
    return [
        nnlab.RunConfig(
            seed=seed,
            init=nnlab.InitConfig(scale=scale),
            training=nnlab.TrainingConfig(iterations=30),
            results_dir=str(results),
            tracking=nnlab.TrackingConfig(experiment="small", uri=uri, report=False),
        )
        for scale in (0.01, 1.0)
        for seed in range(3)
    ]


def recorded(uri: str) -> list[Any]:
    client = import_mlflow().MlflowClient(uri)
    return client.search_runs([client.get_experiment_by_name("small").experiment_id])


def assert_every_run_once(uri: str, count: int = 6) -> None:
    finished = [entry for entry in recorded(uri) if entry.info.status == "FINISHED"]
    assert len(finished) == len({entry.data.tags["fingerprint"] for entry in finished}) == count


def test_a_database_that_fails_in_the_middle_does_not_stop_the_sweep(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = RunTracker.log, iter(range(100))

    def failing(*words: Any, **options: Any) -> bool:
        if next(calls) >= 2:
            raise OSError("no space left on device")
        return real(*words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(RunTracker, "log", failing)
        with pytest.warns(UserWarning, match="no space left on device"):
            assert len(nnlab.sweep(configs_in(results), n_jobs=1, tracking=True)) == 6
    uri = f"sqlite:///{results / 'mlflow.db'}"
    assert_every_run_once(uri, 2)
    assert sum(sync("small", str(results))) == 4
    assert_every_run_once(uri)
    assert sum(sync("small", str(results))) == 0
    assert {entry.info.run_name for entry in recorded(uri)} == {
        f"scale {scale} seed {seed}" for scale in ("0.01", "1") for seed in range(3)
    }


def test_runs_are_logged_when_the_server_is_back(
    results: Path, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.warns(UserWarning, match="did not answer"):
        runs = nnlab.sweep(configs_in(results, "http://127.0.0.1:9"), n_jobs=1, tracking=True)
    assert len(runs) == 6
    store = tmp_path / "server.db"
    shutil.copy(empty_database, store)
    with mlflow_server(f"sqlite:///{store}", tmp_path / "artifacts") as uri:
        assert list(sync("small", str(results), uri)) == [True] * 6
        assert list(sync("small", str(results), uri)) == [False] * 6
        assert_every_run_once(uri)


def test_a_folder_copied_to_another_machine_is_logged_there_once(
    results: Path, tmp_path: Path, empty_database: Path
) -> None:
    """Two copies of the same runs, each without a ledger, are logged to one server."""
    nnlab.sweep(configs_in(results), n_jobs=1)
    store = tmp_path / "elsewhere.db"
    shutil.copy(empty_database, store)
    for name in ("one", "two"):
        shutil.copytree(results / "runs", tmp_path / name / "runs")
        list(sync("small", str(tmp_path / name), f"sqlite:///{store}"))
    assert_every_run_once(f"sqlite:///{store}")


def test_two_syncs_at_once_log_nothing_twice(results: Path) -> None:
    nnlab.sweep(configs_in(results), n_jobs=1)
    command = [sys.executable, "-m", "nnlab", "sync", "small", "--results-dir", str(results)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    new = 0
    for process in both:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        new += int(re.findall(r"(\d+) of 6 runs were new", output)[0])
    assert new == 6  # a run counts where it was told
    assert_every_run_once(f"sqlite:///{results / 'mlflow.db'}")


def test_runs_that_another_sync_logs_meanwhile_are_not_counted(results: Path) -> None:
    nnlab.sweep(configs_in(results)[:2], n_jobs=1)
    first, second = (sync("small", str(results)) for _ in range(2))
    assert next(first)
    assert not next(second)  # both have asked what is known; the second tells of the other run
    assert [next(second), next(first)] == [True, False]
    first.close()
    second.close()


def test_a_damaged_run_does_not_block_the_others(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        tracking = nnlab.TrackingConfig(experiment=name, report=False)
        nnlab.sweep([replace(each, tracking=tracking) for each in configs_in(results)[:2]], n_jobs=1)
    folder = next((results / "runs" / "a").glob("[!.]*"))
    shutil.copytree(folder, folder.with_name("copied"))
    with pytest.raises(SystemExit, match=r"copied holds the run \w+: move it away$"):
        sync_command(["--results-dir", str(results)])
    assert capsys.readouterr().out == "a: 2 of 2 runs were new to MLflow\nb: 2 of 2 runs were new to MLflow\n"


def test_folders_that_are_no_experiments_are_skipped(tmp_path: Path) -> None:
    for name in ("small", ".Trash-0", "sweeps"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert Results(tmp_path).experiments() == ["small"]


def test_the_command_prints_how_many_runs_were_new(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nnlab.sweep(configs_in(results), n_jobs=1)
    sync_command(["--results-dir", str(results)])
    sync_command(["--results-dir", str(results)])
    assert capsys.readouterr().out == "small: 6 of 6 runs were new to MLflow\nsmall: 0 of 6 runs were new to MLflow\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nowhere"], "experiment must be one that has run folders"), (["small", "--uri", "sqlite://"], "tracking.uri")],
)
def test_wrong_words_are_one_clear_error(words: list[str], said: str, results: Path) -> None:
    nnlab.sweep(configs_in(results)[:1], n_jobs=1)
    with pytest.raises(SystemExit, match=said):
        sync_command([*words, "--results-dir", str(results)])


def test_two_folders_log_a_run_to_one_server_once(tmp_path: Path, empty_database: Path) -> None:
    """Each trains the same new run after both have logged all they had."""
    shutil.copy(empty_database, tmp_path / "shared.db")
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        nnlab.sweep(configs_in(folder)[:2], n_jobs=1)
        list(sync("small", str(folder), uri))
    for folder in folders:
        nnlab.sweep(configs_in(folder)[:3], n_jobs=1)
    assert [sum(sync("small", str(folder), uri)) for folder in folders] == [1, 0]
    assert_every_run_once(uri, 3)


def test_two_folders_that_log_at_the_same_moment_leave_one_run(tmp_path: Path, empty_database: Path) -> None:
    shutil.copy(empty_database, tmp_path / "shared.db")
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        nnlab.sweep(configs_in(folder)[:2], n_jobs=1)
    first, second = (sync("small", str(folder), uri) for folder in folders)
    assert next(first)  # each has asked what the store knows before either has told of the second run
    assert not next(second)
    assert [sum(first), sum(second)] == [1, 1]
    assert_every_run_once(uri, 2)
    assert not any(sync("small", str(folders[1]), uri))


def test_addresses_that_differ_in_a_slash_share_a_ledger(tmp_path: Path) -> None:
    one, other = (Ledger(Results(tmp_path), "small", f"http://127.0.0.1:1{end}") for end in ("", "/"))
    assert one.folder == other.folder


def test_an_empty_claim_counts_as_abandoned(tmp_path: Path) -> None:
    ledger = Ledger(Results(tmp_path), "small", "http://127.0.0.1:1")
    (ledger.folder / "f").write_text("")
    assert ledger.abandoned() == ["f"]
    assert ledger.settled() == set()
    assert ledger.claim("g")
    assert not ledger.claim("g")
    assert ledger.abandoned() == ["f"]


def test_a_server_that_dies_in_the_middle_is_reported_in_one_line(
    results: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nnlab.sweep(configs_in(results)[:2], n_jobs=1)
    calls = 0
    real = RunTracker.log

    def dies(self: RunTracker, *words: Any, **more: Any) -> bool:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise import_mlflow().exceptions.MlflowException("API request failed")
        return real(self, *words, **more)

    monkeypatch.setattr(RunTracker, "log", dies)
    with pytest.raises(SystemExit, match=r"^tracking\.uri must name .* that answers.*API request failed$"):
        sync_command(["small", "--results-dir", str(results)])


def test_an_empty_address_is_refused(results: Path) -> None:
    nnlab.sweep(configs_in(results)[:1], n_jobs=1)
    with pytest.raises(SystemExit, match="uri must be a tracking URI"):
        sync_command(["small", "--results-dir", str(results), "--uri", ""])


# ---- runs that were judged again or explained, and causes that only other runs show


def judge_again(results: Path, *outcomes: str) -> None:
    """Give the recorded runs other outcomes, in the order of their seeds, as a later version might."""
    folders = RunFolders(Results.at(str(results)), "small")
    for run in list(folders):
        verdict = replace(run.verdict, outcome=outcomes[run.config.seed], learned=run.config.seed / 4)
        folders.write(replace(run, verdict=verdict), replace=True)


def assert_both_sources_agree(results: Path) -> pd.DataFrame:
    here, there = (nnlab.load_runs("small", str(results), uri=uri) for uri in (None, f"sqlite:///{results}/mlflow.db"))
    pd.testing.assert_frame_equal(there.drop(columns="folder"), here.drop(columns="folder"))
    return here.set_index("seed").sort_index()


def test_entries_of_runs_that_were_judged_again_are_updated_in_place(results: Path) -> None:
    nnlab.sweep(configs_in(results)[:3], n_jobs=1, tracking=True)
    uri = f"sqlite:///{results}/mlflow.db"
    before = {entry.info.run_id for entry in recorded(uri)}
    judge_again(results, "learned", "learned", "partly")
    assert list(sync("small", str(results))) == [False] * 3
    assert {entry.info.run_id for entry in recorded(uri)} == before
    runs = assert_both_sources_agree(results)
    assert runs["outcome"].tolist() == ["learned", "learned", "partly"]
    assert runs["learned/train"].tolist() == [0.0, 0.25, 0.5]
    for entry in recorded(uri):
        folder = Path(entry.info.artifact_uri.removeprefix("file://"))
        written = results / "runs" / "small" / entry.data.tags["fingerprint"]
        assert (folder / "run.json").read_bytes() == (written / "run.json").read_bytes()
        assert f"outcome: {entry.data.tags['outcome']}" in entry.data.tags["mlflow.note.content"]


def test_the_tag_of_the_sweep_cause_follows_later_runs(results: Path) -> None:
    configs = configs_in(results)[:3]
    nnlab.sweep(configs[:1], n_jobs=1, tracking=True)
    nnlab.sweep(configs[1:], n_jobs=1)
    judge_again(results, "partly", "learned", "learned")
    list(sync("small", str(results)))
    assert assert_both_sources_agree(results)["sweep_cause"].tolist() == ["stuck", "", ""]
    judge_again(results, "partly", "learned", "not learned")
    nnlab.sweep(configs, n_jobs=1, tracking=True)  # the end of a sweep tags as well
    uri = f"sqlite:///{results}/mlflow.db"
    assert {entry.data.tags.get("sweep_cause") for entry in recorded(uri)} == {"stuck", None}
    judge_again(results, "partly", "not learned", "not learned")
    list(sync("small", str(results)))
    assert assert_both_sources_agree(results)["sweep_cause"].tolist() == ["", "", ""]
    assert {entry.data.tags.get("sweep_cause") for entry in recorded(uri)} == {None}


def test_a_deleted_entry_is_not_tagged(results: Path) -> None:
    nnlab.sweep(configs_in(results)[:3], n_jobs=1, tracking=True)
    judge_again(results, "partly", "learned", "learned")
    uri = f"sqlite:///{results}/mlflow.db"
    (stuck,) = [entry for entry in recorded(uri) if entry.data.params["seed"] == "0"]
    import_mlflow().MlflowClient(uri).delete_run(stuck.info.run_id)
    list(sync("small", str(results)))
    assert len(recorded(uri)) == 2


def test_answers_of_why_are_written_and_what_users_wrote_is_kept(results: Path) -> None:
    nnlab.sweep(configs_in(results)[:2], n_jobs=1, tracking=True)
    uri = f"sqlite:///{results}/mlflow.db"
    client = import_mlflow().MlflowClient(uri)
    ours = recorded(uri)[0]
    client.set_tag(ours.info.run_id, "mlflow.note.content", "my note")
    for answer in ("more units", "tanh"):
        trial = {"fingerprints": [ours.data.tags["fingerprint"]], "outcomes": ["partly"]}
        content = {"text": answer, "cause": [], "aspects": [], "other_causes": [], "trials": [trial]}
        path = Results.at(str(results)).explanation("small", "0" * 16)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
        list(sync("small", str(results)))
        note = client.get_run(ours.info.run_id).data.tags["mlflow.note.content"]
        assert note == f"my note\n\ntried (`nnlab why`): {answer}"
