"""Process identities: written into files, and read by later processes and by other versions of nnlab."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from nnlab.record import processes
from nnlab.record.processes import UNVERIFIABLE_SECONDS, is_gone, is_running, this_process

HOST = socket.gethostname()
DAY = 24 * 3600


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def kernel_fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def old_identity(pid: int) -> str:
    """The identity as earlier versions wrote it, with field 22 of /proc/PID/stat."""
    return f"{HOST} {pid} {kernel_fields(pid)[19]}"


def test_this_process_is_not_gone_however_long_ago_it_wrote() -> None:
    assert not is_gone(this_process(), DAY)


def test_another_process_reads_the_identity_as_running() -> None:
    code = "import sys; from nnlab.record.processes import is_gone; print(is_gone(sys.argv[1], 1e6))"
    answer = subprocess.run([sys.executable, "-c", code, this_process()], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"


def test_a_process_that_exited_is_gone_at_once() -> None:
    code = "from nnlab.record.processes import this_process; print(this_process())"
    identity = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert is_gone(identity, 0.0)


def test_an_old_identity_is_judged_by_the_same_start_time(child: subprocess.Popen[bytes]) -> None:
    identity = old_identity(child.pid)
    assert not is_gone(identity, DAY)
    child.kill()
    child.wait()
    assert is_gone(identity, 0.0)


def test_the_identity_is_the_one_that_earlier_versions_wrote() -> None:
    assert this_process() == old_identity(os.getpid())


def test_a_zombie_is_gone(child: subprocess.Popen[bytes]) -> None:
    identity = old_identity(child.pid)
    assert (is_running(child.pid), is_gone(identity, 0.0)) == (True, False)
    child.kill()
    while kernel_fields(child.pid)[0] != "Z":
        time.sleep(0.01)
    assert (is_running(child.pid), is_gone(identity, 0.0)) == (False, True)


def test_a_reused_process_id_is_another_process(child: subprocess.Popen[bytes]) -> None:
    host, pid, birth = old_identity(child.pid).split()
    assert is_gone(f"{host} {pid} {int(birth) - 60 * 100}", 0.0)
    assert is_gone(f"{HOST} {os.getpid()} 5", 0.0)


def test_a_start_time_may_be_read_with_an_error_of_a_second(child: subprocess.Popen[bytes]) -> None:
    host, pid, birth = old_identity(child.pid).split()
    assert not is_gone(f"{host} {pid} {int(birth) + 100}", DAY)
    assert not is_gone(f"{host} {pid} {int(birth) - 100}", DAY)


def test_a_clock_that_is_set_changes_no_identity(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel counts start times from boot; both absolute times move with the clock."""
    identity, own = old_identity(child.pid), this_process()
    create_time, boot_time = psutil.Process.create_time, psutil.boot_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) + DAY)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + DAY)
    assert not is_gone(identity, 2 * DAY)
    assert this_process() == own


@pytest.mark.parametrize("birth", ["-", "1700000000.12", "yesterday"])
def test_a_running_process_of_unknown_start_time_counts_as_gone_after_an_hour(
    birth: str, child: subprocess.Popen[bytes]
) -> None:
    identity = f"{HOST} {child.pid} {birth}"
    assert not is_gone(identity, UNVERIFIABLE_SECONDS - 1)
    assert is_gone(identity, UNVERIFIABLE_SECONDS + 1)
    child.kill()
    child.wait()
    assert is_gone(identity, 0.0)


def test_a_process_of_another_machine_counts_as_gone_after_an_hour() -> None:
    identity = f"other-{HOST} {os.getpid()} 5"
    assert not is_gone(identity, UNVERIFIABLE_SECONDS - 1)
    assert is_gone(identity, UNVERIFIABLE_SECONDS + 1)


@pytest.mark.parametrize("identity", ["", "nobody", HOST, f"{HOST} x 5", f"{HOST} ² 5", f"{HOST} 1 2 3"])
def test_a_truncated_identity_counts_as_gone_after_a_second(identity: str) -> None:
    assert not is_gone(identity, 0.5)
    assert is_gone(identity, 1.5)


@pytest.mark.parametrize("pid", [0, 2**31, 10**30])
def test_no_process_has_an_impossible_id(pid: int) -> None:
    assert not is_running(pid)
    assert is_gone(f"{HOST} {pid} 5", 0.0)


def test_a_process_that_exits_between_two_readings_is_gone(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exited(pid: int) -> int:
        raise psutil.NoSuchProcess(pid)

    identity = old_identity(child.pid)
    monkeypatch.setattr(processes, "_start_time", exited)
    assert is_gone(identity, 0.0)


def test_a_process_that_may_not_be_inspected_counts_as_gone_after_an_hour(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: psutil.Process) -> None:
        raise psutil.AccessDenied(self.pid)

    identity = old_identity(child.pid)
    monkeypatch.setattr(psutil.Process, "status", denied)
    monkeypatch.setattr(psutil.Process, "create_time", denied)
    assert is_running(child.pid)
    assert not is_gone(identity, UNVERIFIABLE_SECONDS - 1)
    assert is_gone(identity, UNVERIFIABLE_SECONDS + 1)
