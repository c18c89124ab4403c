"""The scores of reference models: fitted once for a data set, by whichever process needs them first."""

import json
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.config import LauncherConfig
from nnlab.results import Results
from nnlab.study import references, workers
from nnlab.study.plan import make_plan
from nnlab.study.references import fit_in_background, references_of


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process have fitted the same data sets."""
    monkeypatch.setattr(references, "_fitted", {})


def moons(seed: int = 1) -> nnlab.Dataset:
    return nnlab.load_dataset(nnlab.DataConfig("moons", m=60, test_m=20, seed=seed))


def test_models_are_fitted_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Results(tmp_path / "missing")
    first = references_of(moons(), nowhere)
    monkeypatch.setattr(references, "_fit", lambda *_: pytest.fail("fitted again"))
    assert references_of(moons(), nowhere) is first
    assert not nowhere.folder.exists()


def test_another_process_reads_what_one_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = references_of(moons(), Results(tmp_path))
    monkeypatch.setattr(references, "_fitted", {})
    monkeypatch.setattr(references, "_fit", lambda *_: pytest.fail("fitted again"))
    assert references_of(moons(), Results(tmp_path)) == first
    with pytest.raises(pytest.fail.Exception):
        references_of(moons(seed=2), Results(tmp_path))


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"nothing": "x"}'])
def test_a_damaged_file_is_written_again(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = references_of(moons(), Results(tmp_path))
    (path,) = (tmp_path / "references").glob("*.json")
    content = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(references, "_fitted", {})
    assert references_of(moons(), Results(tmp_path)) == first
    assert path.read_text(encoding="utf-8") == content


def test_a_file_that_lacks_a_score_is_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier versions kept fewer scores."""
    first = references_of(moons(), Results(tmp_path))
    (path,) = (tmp_path / "references").glob("*.json")
    content = path.read_text(encoding="utf-8")
    scores = json.loads(content)
    del scores["ceiling_affine"]
    path.write_text(json.dumps(scores), encoding="utf-8")
    monkeypatch.setattr(references, "_fitted", {})
    assert references_of(moons(), Results(tmp_path)) == first
    assert path.read_text(encoding="utf-8") == content


def test_the_ceiling_stands_beside_the_affine_models(tmp_path: Path) -> None:
    scores = references_of(moons(), Results(tmp_path))
    assert scores.score_nothing == 0.5
    assert 0.8 < scores.ceiling <= 1.0
    assert 0.5 < scores.score_test < 1.0
    assert np.isfinite(scores.affine)


def test_data_without_a_test_part_have_scores_of_their_own(tmp_path: Path) -> None:
    whole = moons()
    without = replace(whole, X_test=whole.X_test[:, :0], Y_test=whole.Y_test[:, :0])
    scores = references_of(without, Results(tmp_path))
    assert np.isnan(scores.score_test)
    expected = references_of(whole, Results(tmp_path))
    assert scores._replace(score_test=expected.score_test) == expected
    assert len(list((tmp_path / "references").glob("[!.]*.json"))) == 2


# ---- in a process of its own


@pytest.fixture
def without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not imported it."""
    monkeypatch.delitem(sys.modules, "sklearn.svm", raising=False)


@pytest.mark.usefixtures("without_scikit_learn")
def test_another_process_fits_all_data_sets_with_the_same_scores(tmp_path: Path) -> None:
    data_sets = [moons(seed) for seed in (1, 2)]
    deadline = time.monotonic() + 60
    with fit_in_background(data_sets, Results(tmp_path)):
        while len(list((tmp_path / "references").glob("[!.]*.json"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    there = [references_of(data, Results(tmp_path)) for data in data_sets]
    references._fitted.clear()
    assert [references_of(data, Results(tmp_path / "missing")) for data in data_sets] == there


PROGRAM = """
import sys, nnlab
config = nnlab.RunConfig(
    data=nnlab.DataConfig("moons", m=60, test_m=20),
    training=nnlab.TrainingConfig(iterations=int(sys.argv[2])),
    diagnostics=nnlab.DiagnosticsConfig(preset="none"),
    results_dir=sys.argv[1],
)
print(nnlab.run(config).references.ceiling, "sklearn.svm" in sys.modules)
"""


@pytest.mark.skipif(workers.cores(LauncherConfig()) < 2, reason="needs a core to spare")
def test_a_process_whose_training_takes_longer_never_imports_scikit_learn(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "results"), "400000"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    ceiling, imported = done.stdout.split()
    assert float(ceiling) == references_of(moons(), Results(tmp_path / "missing")).ceiling
    assert imported == "False"


@pytest.mark.usefixtures("without_scikit_learn")
def test_a_process_that_cannot_be_started_or_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program, code in (("no such program", ""), (sys.executable, "raise SystemExit(1)")):
        monkeypatch.setattr(sys, "executable", program)
        monkeypatch.setattr(references, "FIT", code)
        with fit_in_background([moons()], Results(tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []
    assert references_of(moons(), Results(tmp_path)).score_nothing == 0.5


@pytest.mark.usefixtures("without_scikit_learn")
def test_the_process_ends_with_the_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "FIT", "import time; time.sleep(600)")
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), fit_in_background([moons()], Results(tmp_path)):
        raise KeyboardInterrupt
    assert time.monotonic() - started < 60


def test_nothing_is_started_if_nothing_is_to_be_gained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.svm  # noqa: F401

    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    with fit_in_background([moons()], Results(tmp_path)):  # scikit-learn is imported here
        pass
    monkeypatch.delitem(sys.modules, "sklearn.svm")
    with fit_in_background([], Results(tmp_path)):
        pass
    references_of(moons(), Results(tmp_path))
    for _ in range(2):  # known in this process; then only in the results folder
        with fit_in_background([moons()], Results(tmp_path)):
            pass
        references._fitted.clear()


@pytest.mark.usefixtures("without_scikit_learn")
@pytest.mark.parametrize(("spare", "expected"), [(1, 0), (2, 1)])
def test_it_is_started_only_where_a_core_is_to_spare(
    spare: int, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr(workers, "cores", lambda launcher: spare)
    monkeypatch.setattr(workers, "fit_in_background", lambda data, _: started.append(list(data)) or nullcontext())
    config = nnlab.RunConfig(
        data=nnlab.DataConfig("moons"), training=nnlab.TrainingConfig(1), results_dir=str(tmp_path)
    )
    plan = make_plan([replace(config, seed=seed) for seed in range(3)], n_jobs=1)
    with workers.train_stacks(plan.stacks, 1, LauncherConfig()) as training:
        assert len(list(training)) == 3
    assert [len(data) for data in started] == [1] * expected
