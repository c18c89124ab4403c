import fcntl
import hashlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.cli.verify import main as verify
from nnlab.record import run_folders as store_module
from nnlab.record.run import Run
from nnlab.record.run_folders import FILES, DamagedRunError, RunFolders, read_facts
from nnlab.results import Results


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    config = nnlab.RunConfig(
        model=nnlab.ModelConfig(layers=[3, 2]),
        training=nnlab.TrainingConfig(iterations=20),
        results_dir=str(tmp_path_factory.mktemp("made")),
    )
    return nnlab.run(config)


@pytest.fixture
def store(tmp_path: Path) -> RunFolders:
    store = RunFolders(Results(tmp_path), "experiment")
    store.create()
    return store


def test_a_run_comes_back_as_it_was(run: Run, store: RunFolders) -> None:
    store.write(run)
    back = store.read(run.fingerprint)
    assert back.config == run.config
    assert back.facts == run.facts
    assert back.verdict == run.verdict
    assert back.sizes == (2, 3, 2, 1)
    pd.testing.assert_frame_equal(back.history, run.history, check_exact=True)
    assert all(np.array_equal(back.parameters[name], value) for name, value in run.parameters.items())
    X = np.random.default_rng(0).standard_normal((2, 50))
    assert np.array_equal(back.predict(X), run.predict(X))


def test_the_folder_holds_what_the_docstring_says(run: Run, store: RunFolders) -> None:
    folder = store.write(run)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["fingerprint"] == folder.name == run.fingerprint
    assert facts["config"]["model.layers"] == [3, 2]
    assert facts["metrics"]["cost/train"] == run.metrics["cost/train"]


def test_a_run_that_is_there_is_left_alone(run: Run, store: RunFolders) -> None:
    folder = store.write(run)
    before = (folder / "run.json").stat().st_mtime_ns
    store.write(run)
    assert (folder / "run.json").stat().st_mtime_ns == before


def test_a_write_that_fails_leaves_nothing(run: Run, store: RunFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        store.write(run)
    assert store.fingerprints() == []
    assert list(store.folder.iterdir()) == []


def test_half_written_folders_are_not_runs(run: Run, store: RunFolders) -> None:
    (store.folder / ".partial-xyz").mkdir()
    assert store.fingerprints() == []
    assert run.fingerprint not in store


def test_infinite_metrics_survive_json(run: Run, store: RunFolders) -> None:
    history = run.history.copy()
    history.loc[history["quantity"] == "cost/train", "value"] = np.inf
    history.loc[history["quantity"] == "cost/test", "value"] = np.nan
    store.write(replace(run, history=history, fingerprint="f" * 16))
    metrics = store.metrics("f" * 16)
    assert metrics["cost/train"] == np.inf
    assert np.isnan(metrics["cost/test"])


def test_reading_a_run_that_is_not_there(store: RunFolders) -> None:
    with pytest.raises(FileNotFoundError):
        store.read("0" * 16)


DAMAGE = {
    "run.json": [b"", b"{", b"{}", b"[]", b"null", b"[" * 100_000],
    "history.parquet": [b"", b"PAR1", None],
    "parameters.npz": [b"", b"PK", None],
    "config.yaml": [b"seed: 1", b"{", None],
}


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, all_ in DAMAGE.items() for content in all_])
def test_damage_is_named_with_its_file(name: str, content: bytes | None, run: Run, store: RunFolders) -> None:
    folder = store.write(run)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(DamagedRunError, match=f"{folder / name} is damaged"):
        store.read(run.fingerprint)
    ((found, problem), *_) = store.problems()
    assert found == folder
    assert name in problem


def test_one_changed_bit_is_found(run: Run, store: RunFolders) -> None:
    path = store.write(run) / "history.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [problem for _, problem in store.problems()] == ["history.parquet is not what was written"]


def test_another_versions_run_is_named(run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises(DamagedRunError, match="another version of nnlab"):
        store.read(run.fingerprint)


def test_whole_runs_have_no_problems_and_what_killed_writers_left_is_named(run: Run, store: RunFolders) -> None:
    store.write(run)
    assert list(store.problems()) == []
    (store.folder / ".partial-abc").mkdir()
    assert [folder.name for folder, _ in store.problems()] == [".partial-abc"]


def test_references_that_are_no_numbers_survive_json(run: Run, store: RunFolders) -> None:
    store.write(replace(run, references=run.references._replace(score_test=float("nan")), fingerprint="e" * 16))
    assert np.isnan(store.read("e" * 16).references.score_test)


def test_the_script_counts_what_is_whole(run: Run, store: RunFolders, capsys: pytest.CaptureFixture[str]) -> None:
    results = store.folder.parents[1]
    folder = store.write(run)
    verify(["--results-dir", str(results)])
    assert capsys.readouterr().out == "experiment: 1 runs are whole\n"
    (folder / "parameters.npz").write_bytes(b"")
    with pytest.raises(SystemExit, match="1 run folders are damaged"):
        verify(["--results-dir", str(results)])
    assert "parameters.npz is not what was written" in capsys.readouterr().out


def test_an_edited_number_is_found(run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    content = json.loads(path.read_text())
    content["metrics"]["cost/train"] = 0.001
    path.write_text(json.dumps(content))
    assert ["run.json is damaged" in problem for _, problem in store.problems()] == [True]
    for read in (store.read, store.metrics, lambda _: nnlab.load_runs("experiment", str(store.folder.parents[1]))):
        with pytest.raises(DamagedRunError, match=r"run\.json is damaged .*not what was written"):
            read(run.fingerprint)


ODD = {
    "files": [None, [*FILES], {}, dict.fromkeys((*FILES, "\0"), "0")],
    "metrics": [None, [], {"cost/train": None}, {"cost/train": "much"}],
    "verdict": [None, [], [1], [{}], {}],
    "events": [None, [1], [{"name": "x"}]],
    "references": [None, {}, {"nothing": 1}],
    "config": [None, []],
    "facts": [None],
    "task": [None],
    "fingerprint": [None],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ODD.items() for value in values])
def test_what_is_json_but_no_run_is_damaged(key: str, value: Any, run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    content = json.loads(path.read_text()) | {key: value}
    del content["digest"]  # as older versions wrote it
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match="is damaged"):
        store.read(run.fingerprint)
    assert list(store.problems())


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"task": "binary"', '"task": "Binary"'),
        lambda text: text.replace('"\n}\n', '",\n "task": "multiclass"\n}\n'),
        lambda text: text.replace('"digest": "', '"digest": "0'),
        lambda text: text + "\n ",
    ],
    ids=["a word", "a key once more, behind the checksum", "the checksum", "a line more"],
)
def test_run_json_is_read_as_it_was_written_or_not_at_all(edit: Any, run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    text = path.read_text()
    assert store.read(run.fingerprint).task == "binary"
    path.write_text(edit(text))
    assert path.read_text() != text
    with pytest.raises(DamagedRunError, match="not what was written"):
        store.read(run.fingerprint)


def test_a_checksum_of_what_is_said_is_as_good_as_one_of_the_text(run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    content = json.loads(path.read_text())
    del content["digest"]
    content["digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content, indent=1) + "\n")  # as earlier versions wrote it
    assert store.read(run.fingerprint).metrics == run.metrics
    path.write_text(json.dumps(content | {"task": "multiclass"}, indent=1) + "\n")
    with pytest.raises(DamagedRunError, match="not what was written"):
        store.read(run.fingerprint)


def test_what_an_older_version_wrote_is_read(run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    content = json.loads(path.read_text())
    del content["digest"], content["warning"]
    path.write_text(json.dumps(content))
    assert store.read(run.fingerprint).verdict.findings == run.verdict.findings
    assert list(store.problems()) == []


@pytest.mark.parametrize("key", ["metrics", "fingerprint", "files"])
def test_a_run_that_says_too_little_is_damaged(key: str, run: Run, store: RunFolders) -> None:
    path = store.write(run) / "run.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match=key):
        read_facts(path.parent)
    assert len(list(store.problems())) == 1


def test_a_copied_folder_is_no_second_run(run: Run, store: RunFolders) -> None:
    folder = store.write(run)
    shutil.copytree(folder, folder.with_name("0" * 16))
    for read in (store.read, store.metrics):
        with pytest.raises(DamagedRunError, match=f"{'0' * 16} holds the run {run.fingerprint}"):
            read("0" * 16)
    assert store.read(run.fingerprint).fingerprint == run.fingerprint


def test_a_run_that_was_set_aside_for_none_comes_back(
    run: Run, store: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that replaces a run is killed after the old one is away and before the new one has its name."""
    store.write(run)
    real = Path.rename

    def killed(self: Path, target: Any) -> Path:
        if self.name.startswith(".partial-"):
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write(run, replace=True)
    assert run.fingerprint not in store
    assert ["puts it back" in problem for _, problem in store.problems()] == [True]
    assert store.fingerprints() == [run.fingerprint]  # whoever plans finds it done
    assert list(store.problems()) == []
    assert store.read(run.fingerprint).history.equals(run.history)


def test_what_somebody_is_writing_is_no_problem(store: RunFolders) -> None:
    (store.folder / f".partial-{os.getpid()}-abc").mkdir()
    assert list(store.problems()) == []


def test_runs_replaced_by_several_at_once_are_there_in_the_end(run: Run, store: RunFolders) -> None:
    store.write(run)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.write(run, replace=True), range(12)))
    assert store.fingerprints() == [run.fingerprint]
    assert all("can be deleted" in problem for _, problem in store.problems())


def test_a_run_that_is_replaced_while_it_is_read_is_not_called_damaged(
    run: Run, store: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After run.json and before the other files it becomes one with another config.yaml."""
    store.write(run)
    forced = replace(run, config=replace(run.config, launcher=nnlab.LauncherConfig(force=True)))
    real, others = store_module.read_facts, [forced]

    def meanwhile(folder: Path) -> dict[str, Any]:
        facts = real(folder)
        if others:
            store.write(others.pop(), replace=True)
        return facts

    monkeypatch.setattr(store_module, "read_facts", meanwhile)
    assert store.read(run.fingerprint).config.launcher.force
    others.append(run)
    assert [problem for folder, problem in store.problems() if not folder.name.startswith(".")] == []
    assert not others


def test_a_reader_waits_for_the_run_that_takes_the_place_of_another(
    run: Run, store: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(run)
    real = Path.rename
    with ThreadPoolExecutor(2) as pool:
        reading = []

        def rename(self: Path, target: Any) -> Path:
            if self.name.startswith(".partial-"):
                reading.append(pool.submit(store.read, run.fingerprint))
                reading.append(pool.submit(store.metrics, run.fingerprint))
                time.sleep(0.2)  # they look at the empty place
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
        store.write(run, replace=True)
        assert reading[0].result().fingerprint == run.fingerprint
        assert reading[1].result() == run.metrics


@pytest.mark.parametrize("there", [False, True])
def test_no_run_comes_to_its_place_but_behind_the_lock(
    there: bool, run: Run, store: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    if there:
        store.write(run)
    real, locked = Path.rename, []

    def rename(self: Path, target: Any) -> Path:
        with (store.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked.append(False)
            except BlockingIOError:
                locked.append(True)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    store.write(run, replace=True)
    assert locked == ([True, True] if there else [True])


def test_a_run_that_was_to_be_replaced_and_could_not_be_written_is_an_error(
    run: Run, store: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    store.write(run)
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        store.write(run, replace=True)
    assert store.fingerprints() == [run.fingerprint]
    assert list(store.problems()) == []


def test_the_script_refuses_names_that_have_no_runs(run: Run, store: RunFolders) -> None:
    store.write(run)
    for words in (["nosuch"], ["../.."]):
        with pytest.raises(SystemExit, match="one that has run folders"):
            verify([*words, "--results-dir", str(store.folder.parents[1])])
    with pytest.raises(SystemExit, match="no runs"):
        verify(["--results-dir", str(store.folder)])
