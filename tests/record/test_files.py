"""Atomic writes and locks."""

import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nnlab.record.files import claim_name, is_stale, locked, partial_path, sync_folder, write_atomically

HOLD = """
import sys, time
from pathlib import Path
from nnlab.record.files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""
"""A process that holds a lock for some seconds."""

HOLD_AS_BEFORE = """
import fcntl, sys, time
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    time.sleep(float(sys.argv[2]))
"""
"""The same with the lock of earlier versions of nnlab."""


def hold(path: Path, seconds: float, code: str = HOLD) -> subprocess.Popen[str]:
    """Start a process that holds a lock; return when it does."""
    words = [sys.executable, "-c", code, str(path), str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "new" / "page.html"
    write_atomically(path, "first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "second")
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]
    assert path.read_text() == "first"


def test_simultaneous_writers_leave_the_text_of_one_of_them(tmp_path: Path) -> None:
    path, texts = tmp_path / "page.html", [str(number) * 10_000 * number for number in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: write_atomically(path, text), texts * 5))
    assert path.read_text() in texts
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_a_partial_file_is_stale_after_an_hour(tmp_path: Path) -> None:
    partial = partial_path(tmp_path / "page.html")
    with pytest.raises(FileNotFoundError):
        is_stale(partial)
    partial.touch()
    assert not is_stale(partial)
    os.utime(partial, (0, time.time() - 3700))
    assert is_stale(partial)


@pytest.mark.parametrize("hard_links", [True, False])
def test_one_of_several_writers_names_a_new_file(
    hard_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not hard_links:
        monkeypatch.setattr(os, "link", no_links)

    def write(number: int) -> bool:
        partial = partial_path(tmp_path / "new")
        partial.write_text(str(number))
        try:
            claim_name(partial, tmp_path / "new")
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True

    with ThreadPoolExecutor(4) as pool:
        succeeded = list(pool.map(write, range(8)))
    assert succeeded.count(True) == 1
    assert (tmp_path / "new").read_text() == str(succeeded.index(True))
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == {"new"}


def test_a_lock_excludes_other_threads(tmp_path: Path) -> None:
    inside, most = 0, 0

    def enter(_: int) -> None:
        nonlocal inside, most
        with locked(tmp_path / ".lock"):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(12)))
    assert (inside, most) == (0, 1)


@pytest.mark.parametrize("code", [HOLD, HOLD_AS_BEFORE], ids=["this version", "earlier versions"])
def test_a_lock_excludes_other_processes(code: str, tmp_path: Path) -> None:
    with hold(tmp_path / ".lock", 1.0, code) as other:
        begun = time.monotonic()
        with locked(tmp_path / ".lock"):
            assert time.monotonic() - begun > 0.5
        assert other.wait(timeout=10) == 0


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    with hold(tmp_path / ".lock", 600) as other:
        waiting = threading.Thread(target=lambda: locked(tmp_path / ".lock").__enter__(), daemon=True)
        waiting.start()
        waiting.join(timeout=0.3)
        assert waiting.is_alive()
        other.kill()
        waiting.join(timeout=30)
        assert not waiting.is_alive()


def test_an_error_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="planted"), locked(tmp_path / ".lock"):
        raise RuntimeError("planted")
    with locked(tmp_path / ".lock"):
        pass


def test_a_lock_where_nothing_can_be_written_is_an_oserror(tmp_path: Path) -> None:
    """The callers of `locked` catch OSError. Root may write everywhere but not below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), locked(tmp_path / "file" / ".lock"):
        pass


def test_a_folder_that_cannot_be_opened_is_not_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is on Windows. Elsewhere, errors of the disk are raised."""

    def denied(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        sync_folder(tmp_path)
