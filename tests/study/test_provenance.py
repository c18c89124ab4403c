"""The commit on record is nnlab's own, or none."""

import subprocess
from pathlib import Path

import pytest

from nnlab.results import checkout
from nnlab.study import provenance


def repository(folder: Path) -> Path:
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "Begin"], cwd=folder, check=True)
    return folder.resolve()


def test_a_clone_names_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = repository(tmp_path)
    monkeypatch.setattr(provenance, "checkout", lambda: clone)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True).stdout.strip()
    assert provenance.commit() == {"git_commit": head, "git_dirty": "false"}
    (clone / "new.py").touch()
    assert provenance.commit()["git_dirty"] == "true"


def test_a_copy_inside_a_repository_of_the_user_names_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = repository(tmp_path) / "vendored" / "nnlab"
    copy.mkdir(parents=True)
    monkeypatch.setattr(provenance, "checkout", lambda: copy)
    assert provenance.commit() == {}


def test_an_installed_nnlab_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "checkout", lambda: None)
    assert provenance.commit() == {}


def test_git_of_another_repository_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone, other = repository(tmp_path / "one"), repository(tmp_path / "other")
    monkeypatch.setattr(provenance, "checkout", lambda: clone)
    expected = provenance.commit()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert provenance.commit() == expected


@pytest.mark.parametrize("name", ["conf/config.yaml", "pyproject.toml"])
def test_presets_beside_the_package_are_nnlabs_only_in_its_own_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, text in {"conf/config.yaml": "", "pyproject.toml": '[project]\nname = "nnlab"\n'}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.setattr("nnlab.results._PACKAGE", tmp_path / "nnlab")
    assert checkout.__wrapped__() == tmp_path
    (tmp_path / name).write_text('[project]\nname = "thesis"\n') if name == "pyproject.toml" else (
        tmp_path / name
    ).unlink()
    assert checkout.__wrapped__() is None
