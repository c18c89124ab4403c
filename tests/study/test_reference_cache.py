"""The scores of reference models: fitted once for a data set, by whichever process needs them first."""

from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.results import Results
from nnlab.study import references
from nnlab.study.references import references_of


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


def test_the_ceiling_stands_beside_the_affine_models(tmp_path: Path) -> None:
    scores = references_of(moons(), Results(tmp_path))
    assert scores.score_nothing == 0.5
    assert 0.8 < scores.ceiling <= 1.0
    assert 0.5 < scores.score_test < 1.0
    assert np.isfinite(scores.affine)
