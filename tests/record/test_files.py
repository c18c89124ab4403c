"""Files that are whole or not there, and processes that are or are no more."""

import errno
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nnlab.record.files import write_whole
from nnlab.record.processes import is_gone, is_running


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "new" / "page.html"
    write_whole(path, "first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "second")
    assert [one.name for one in path.parent.iterdir()] == ["page.html"]
    assert path.read_text() == "first"


def test_writers_at_once_leave_what_one_of_them_wrote(tmp_path: Path) -> None:
    path, texts = tmp_path / "page.html", [str(number) * 10_000 * number for number in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: write_whole(path, text), texts * 5))
    assert path.read_text() in texts
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_a_process_that_was_killed_and_that_nobody_asked_for_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    status = Path(f"/proc/{process.pid}/stat")
    birth = status.read_text().rpartition(")")[2].split()[19]
    name = f"{socket.gethostname()} {process.pid} {birth}"
    assert (is_running(process.pid), is_gone(name, 0.0)) == (True, False)
    process.kill()
    while status.read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert (is_running(process.pid), is_gone(name, 0.0)) == (False, True)
    process.communicate()


def test_a_process_that_ends_while_it_is_looked_at_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [["S", *["0"] * 20], ["S", *["0"] * 20], [], []]
    monkeypatch.setattr("nnlab.record.processes._stat", lambda _: looks.pop(0))
    assert is_gone(f"{socket.gethostname()} {os.getpid()} 5", 0.0)
