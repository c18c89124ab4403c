"""Worker processes of this machine: how many, and when they exit."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import nnlab
from nnlab.study import workers

WORKER = "import sys, time; from nnlab.study import workers; workers._initialize_worker(int(sys.argv[1]), sys.argv[2])"


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process that plays the parent of workers."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def start_worker(parent: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a busy worker; return when it has been initialized."""
    (folder / workers.KEEP_ALIVE).touch()
    code = f"{WORKER}; print(flush=True); time.sleep(600)"
    worker = subprocess.Popen([sys.executable, "-c", code, str(parent), str(folder)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"\n"
    return worker


def test_there_is_one_worker_for_each_core_of_the_affinity_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = nnlab.LauncherConfig()
    assert workers.cores(launcher) == len(os.sched_getaffinity(0))
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [1, 5, 6])
    assert workers.cores(launcher) == 3


def test_there_is_one_worker_for_each_core_where_there_is_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil.Process, "cpu_affinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert workers.cores(nnlab.LauncherConfig()) == 12
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert workers.cores(nnlab.LauncherConfig()) == 1


def test_a_worker_exits_when_its_results_are_no_longer_wanted(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with start_worker(parent.pid, tmp_path) as worker:
        time.sleep(2 * workers.KEEP_ALIVE_SECONDS)
        assert worker.poll() is None
        (tmp_path / workers.KEEP_ALIVE).unlink()
        assert worker.wait(timeout=30) == 1
    assert not tmp_path.exists()


def test_a_worker_exits_with_a_killed_parent_that_is_a_zombie(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The parent remains as a zombie until its own parent waits for it."""
    with start_worker(parent.pid, tmp_path) as worker:
        parent.kill()
        assert worker.wait(timeout=30) == 1
        assert psutil.Process(parent.pid).status() == psutil.STATUS_ZOMBIE
    assert not tmp_path.exists()


def test_a_worker_exits_if_its_parent_has_exited_before(parent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    parent.kill()
    parent.wait()
    (tmp_path / workers.KEEP_ALIVE).touch()
    code = f"{WORKER}; time.sleep(600)"
    words = [sys.executable, "-c", code, str(parent.pid), str(tmp_path)]
    assert subprocess.run(words, timeout=60, check=False).returncode == 1
    assert not tmp_path.exists()
