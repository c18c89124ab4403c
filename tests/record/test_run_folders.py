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
from filelock import FileLock, Timeout

import nnlab
from nnlab.cli.verify import main as verify
from nnlab.record import read_run
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import FILES, DamagedRunError, read_facts
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
def folders(tmp_path: Path) -> RunFolders:
    folders = RunFolders(Results(tmp_path), "experiment")
    folders.create()
    return folders


def test_a_run_is_read_as_it_was_written(run: Run, folders: RunFolders) -> None:
    folders.write(run)
    back = folders.read(run.fingerprint)
    assert back.config == run.config
    assert back.facts == run.facts
    assert back.verdict == run.verdict
    assert back.sizes == (2, 3, 2, 1)
    pd.testing.assert_frame_equal(back.history, run.history, check_exact=True)
    assert all(np.array_equal(back.parameters[name], value) for name, value in run.parameters.items())
    X = np.random.default_rng(0).standard_normal((2, 50))
    assert np.array_equal(back.predict(X), run.predict(X))


def test_the_folder_holds_what_the_docstring_says(run: Run, folders: RunFolders) -> None:
    folder = folders.write(run)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["fingerprint"] == folder.name == run.fingerprint
    assert facts["config"]["model.layers"] == [3, 2]
    assert facts["metrics"]["cost/train"] == run.metrics["cost/train"]


def test_an_existing_run_is_kept(run: Run, folders: RunFolders) -> None:
    folder = folders.write(run)
    before = (folder / "run.json").stat().st_mtime_ns
    folders.write(run)
    assert (folder / "run.json").stat().st_mtime_ns == before


def test_a_write_that_fails_leaves_nothing(run: Run, folders: RunFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        folders.write(run)
    assert folders.fingerprints() == []
    assert list(folders.folder.iterdir()) == []


def test_partial_folders_are_not_runs(run: Run, folders: RunFolders) -> None:
    (folders.folder / ".partial-xyz").mkdir()
    assert folders.fingerprints() == []
    assert run.fingerprint not in folders


def test_infinite_metrics_survive_json(run: Run, folders: RunFolders) -> None:
    history = run.history.copy()
    history.loc[history["quantity"] == "cost/train", "value"] = np.inf
    history.loc[history["quantity"] == "cost/test", "value"] = np.nan
    folders.write(replace(run, history=history, fingerprint="f" * 16))
    metrics = folders.metrics("f" * 16)
    assert metrics["cost/train"] == np.inf
    assert np.isnan(metrics["cost/test"])


def test_a_missing_run_raises(folders: RunFolders) -> None:
    with pytest.raises(FileNotFoundError):
        folders.read("0" * 16)


def test_reading_creates_no_folder(tmp_path: Path) -> None:
    folders = RunFolders(Results(tmp_path), "missing")
    with pytest.raises(FileNotFoundError):
        folders.read("0" * 16)
    assert (folders.fingerprints(), list(folders.verify())) == ([], [])
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_gives_way_to_its_run(run: Run, folders: RunFolders) -> None:
    """Windows does not rename a folder to the name of an existing one, even if that is empty."""
    folders.path(run.fingerprint).mkdir()
    folders.write(run)
    assert folders.read(run.fingerprint).metrics == run.metrics
    assert list(folders.verify()) == []


def test_a_folder_without_a_complete_run_is_set_aside(run: Run, folders: RunFolders) -> None:
    folders.path(run.fingerprint).mkdir()
    (folders.path(run.fingerprint) / "notes.txt").write_text("mine")
    folders.write(run)
    assert folders.read(run.fingerprint).metrics == run.metrics
    (incomplete,) = folders.folder.glob(f".incomplete-{run.fingerprint}-*")
    assert (incomplete / "notes.txt").read_text() == "mine"


DAMAGE = {
    "run.json": [b"", b"{", b"{}", b"[]", b"null", b"[" * 100_000],
    "history.parquet": [b"", b"PAR1", None],
    "parameters.npz": [b"", b"PK", None],
    "config.yaml": [b"seed: 1", b"{", None],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, contents in DAMAGE.items() for content in contents]
)
def test_damage_is_named_with_its_file(name: str, content: bytes | None, run: Run, folders: RunFolders) -> None:
    folder = folders.write(run)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    with pytest.raises(DamagedRunError, match=f"{folder / name} is damaged"):
        folders.read(run.fingerprint)
    ((found, problem), *_) = folders.verify()
    assert found == folder
    assert name in problem


def test_one_changed_bit_is_found(run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "history.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert [problem for _, problem in folders.verify()] == ["history.parquet is not what was written"]


def test_the_run_of_another_version_is_named(run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 99'))
    with pytest.raises(DamagedRunError, match="another version of nnlab"):
        folders.read(run.fingerprint)


def test_complete_runs_have_no_problems_and_partial_folders_are_named(run: Run, folders: RunFolders) -> None:
    folders.write(run)
    assert list(folders.verify()) == []
    (folders.folder / ".partial-abc").mkdir()
    assert [folder.name for folder, _ in folders.verify()] == [".partial-abc"]


def test_references_that_are_nan_survive_json(run: Run, folders: RunFolders) -> None:
    folders.write(replace(run, references=run.references._replace(score_test=float("nan")), fingerprint="e" * 16))
    assert np.isnan(folders.read("e" * 16).references.score_test)


def test_verify_counts_complete_runs(run: Run, folders: RunFolders, capsys: pytest.CaptureFixture[str]) -> None:
    results = folders.folder.parents[1]
    folder = folders.write(run)
    verify(["--results-dir", str(results)])
    assert capsys.readouterr().out == "experiment: 1 runs are intact\n"
    (folder / "parameters.npz").write_bytes(b"")
    with pytest.raises(SystemExit, match="1 run folders are damaged"):
        verify(["--results-dir", str(results)])
    assert "parameters.npz is not what was written" in capsys.readouterr().out


def test_an_edited_number_is_found(run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    content = json.loads(path.read_text())
    content["metrics"]["cost/train"] = 0.001
    path.write_text(json.dumps(content))
    assert ["run.json is damaged" in problem for _, problem in folders.verify()] == [True]
    for read in (
        folders.read,
        folders.metrics,
        lambda _: nnlab.load_runs("experiment", str(folders.folder.parents[1])),
    ):
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
def test_valid_json_that_is_not_a_run_is_damaged(key: str, value: Any, run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    content = json.loads(path.read_text()) | {key: value}
    del content["digest"]  # as earlier versions wrote it
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match="is damaged"):
        folders.read(run.fingerprint)
    assert list(folders.verify())


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace('"task": "binary"', '"task": "Binary"'),
        lambda text: text.replace('"\n}\n', '",\n "task": "multiclass"\n}\n'),
        lambda text: text.replace('"digest": "', '"digest": "0'),
        lambda text: text + "\n ",
    ],
    ids=["a word", "a key repeated after the checksum", "the checksum", "an additional line"],
)
def test_an_edited_run_json_is_rejected(edit: Any, run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    text = path.read_text()
    assert folders.read(run.fingerprint).task == "binary"
    path.write_text(edit(text))
    assert path.read_text() != text
    with pytest.raises(DamagedRunError, match="not what was written"):
        folders.read(run.fingerprint)


def test_a_checksum_of_the_values_is_accepted(run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    content = json.loads(path.read_text())
    del content["digest"]
    content["digest"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps(content, indent=1) + "\n")  # as earlier versions wrote it
    assert folders.read(run.fingerprint).metrics == run.metrics
    path.write_text(json.dumps(content | {"task": "multiclass"}, indent=1) + "\n")
    with pytest.raises(DamagedRunError, match="not what was written"):
        folders.read(run.fingerprint)


def test_a_run_json_without_checksum_is_accepted(run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    content = json.loads(path.read_text())
    del content["digest"], content["warning"]
    path.write_text(json.dumps(content))
    assert folders.read(run.fingerprint).verdict.findings == run.verdict.findings
    assert list(folders.verify()) == []


@pytest.mark.parametrize("key", ["metrics", "fingerprint", "files"])
def test_a_run_json_without_a_required_key_is_damaged(key: str, run: Run, folders: RunFolders) -> None:
    path = folders.write(run) / "run.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(DamagedRunError, match=key):
        read_facts(path.parent)
    assert len(list(folders.verify())) == 1


def test_a_copied_folder_is_not_a_second_run(run: Run, folders: RunFolders) -> None:
    folder = folders.write(run)
    shutil.copytree(folder, folder.with_name("0" * 16))
    for read in (folders.read, folders.metrics):
        with pytest.raises(DamagedRunError, match=f"{'0' * 16} holds the run {run.fingerprint}"):
            read("0" * 16)
    assert folders.read(run.fingerprint).fingerprint == run.fingerprint


def test_a_replaced_run_without_successor_is_restored(
    run: Run, folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is killed between the two renames: the old folder is set aside, the new one is still partial."""
    folders.write(run)
    real = Path.rename

    def killed(self: Path, target: Any) -> Path:
        if self.name.startswith(".partial-"):
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            folders.write(run, replace=True)
    assert run.fingerprint not in folders
    assert ["puts it back" in problem for _, problem in folders.verify()] == [True]
    assert folders.fingerprints() == [run.fingerprint]  # `fingerprints` has restored it
    assert list(folders.verify()) == []
    assert folders.read(run.fingerprint).history.equals(run.history)


def test_a_folder_that_a_running_process_writes_is_not_a_problem(folders: RunFolders) -> None:
    (folders.folder / f".partial-{os.getpid()}-abc").mkdir()
    assert list(folders.verify()) == []


def test_a_run_replaced_by_several_threads_exists_in_the_end(run: Run, folders: RunFolders) -> None:
    folders.write(run)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: folders.write(run, replace=True), range(12)))
    assert folders.fingerprints() == [run.fingerprint]
    assert all("can be deleted" in problem for _, problem in folders.verify())


def test_a_run_replaced_while_it_is_read_is_not_damaged(
    run: Run, folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is replaced after its run.json was read: the other files are already those of the successor."""
    folders.write(run)
    forced = replace(run, config=replace(run.config, launcher=nnlab.LauncherConfig(force=True)))
    real, others = read_run.read_facts, [forced]

    def meanwhile(folder: Path) -> dict[str, Any]:
        facts = real(folder)
        if others:
            folders.write(others.pop(), replace=True)
        return facts

    monkeypatch.setattr(read_run, "read_facts", meanwhile)
    assert folders.read(run.fingerprint).config.launcher.force
    others.append(run)
    assert [problem for folder, problem in folders.verify() if not folder.name.startswith(".")] == []
    assert not others


def test_a_reader_waits_while_a_run_is_replaced(run: Run, folders: RunFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    folders.write(run)
    real = Path.rename
    with ThreadPoolExecutor(2) as pool:
        reading = []

        def rename(self: Path, target: Any) -> Path:
            if self.name.startswith(".partial-"):
                reading.append(pool.submit(folders.read, run.fingerprint))
                reading.append(pool.submit(folders.metrics, run.fingerprint))
                time.sleep(0.2)  # they find the folder missing
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
        folders.write(run, replace=True)
        assert reading[0].result().fingerprint == run.fingerprint
        assert reading[1].result() == run.metrics


@pytest.mark.parametrize("exists", [False, True])
def test_run_folders_are_renamed_under_the_lock(
    exists: bool, run: Run, folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    if exists:
        folders.write(run)
    real, locked = Path.rename, []

    def rename(self: Path, target: Any) -> Path:
        try:
            with FileLock(folders.folder / ".lock", blocking=False):
                locked.append(False)
        except Timeout:
            locked.append(True)
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    folders.write(run, replace=True)
    assert locked == ([True, True] if exists else [True])


def test_a_run_stays_if_its_successor_cannot_be_written(
    run: Run, folders: RunFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    folders.write(run)
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        folders.write(run, replace=True)
    assert folders.fingerprints() == [run.fingerprint]
    assert list(folders.verify()) == []


def test_verify_rejects_names_without_runs(run: Run, folders: RunFolders) -> None:
    folders.write(run)
    for words in (["nosuch"], ["../.."]):
        with pytest.raises(SystemExit, match="one that has run folders"):
            verify([*words, "--results-dir", str(folders.folder.parents[1])])
    with pytest.raises(SystemExit, match="no runs"):
        verify(["--results-dir", str(folders.folder)])
