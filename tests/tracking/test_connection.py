"""Creating the SQLite database of a results folder: at once, after a crash, on a full disk."""

import contextlib
import errno
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nnlab.tracking import connection
from nnlab.tracking.connection import create_database, plain_errors


def test_two_threads_create_a_database_once(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(create_database, [path, path]))
    assert [one.name for one in tmp_path.iterdir()] == ["mlflow.db"]
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_only_abandoned_partial_databases_are_deleted(tmp_path: Path, empty_database: Path) -> None:
    abandoned, recent = tmp_path / ".mlflow.db-1-abc", tmp_path / ".mlflow.db-12-def"
    for folder in (abandoned, recent):
        folder.mkdir()
        shutil.copy(empty_database, folder / "mlflow.db")
    os.utime(abandoned, (0, 0))
    create_database(tmp_path / "mlflow.db")
    assert sorted(one.name for one in tmp_path.iterdir()) == [recent.name, "mlflow.db"]


@pytest.mark.parametrize(
    "error", [sqlite3.OperationalError("database or disk is full"), OSError(errno.ENOSPC, "No space left on device")]
)
def test_a_full_disk_leaves_no_part_of_a_database(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(connection.sqlite3, "connect", fail)
    monkeypatch.setattr(connection, "import_mlflow", lambda: SimpleNamespace(MlflowClient=empty_files))
    path = tmp_path / "mlflow.db"
    with pytest.raises(OSError, match=r"disk is full|No space"), plain_errors(f"sqlite:///{path}"):
        create_database(path)
    assert list(tmp_path.iterdir()) == []


def empty_files(uri: str) -> Any:
    """Create what MLflow leaves of a database when the disk is full."""
    for end in ("", "-journal"):
        Path(uri.removeprefix("sqlite:///") + end).touch()
    return SimpleNamespace(search_experiments=list)
