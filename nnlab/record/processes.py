"""The identity of a process: written into files, so that others can check if their writer still runs."""

import os
import socket
from functools import cache

import psutil

__all__ = ["is_gone", "is_running", "this_process"]

UNVERIFIABLE_SECONDS = 3600
"""Age from which a process that cannot be checked, such as one of another machine, counts as gone."""
TRUNCATED_SECONDS = 1
"""Age from which the writer of a truncated identity counts as gone."""
TOLERANCE = 200
"""Hundredths of a second by which two readings of one start time may differ."""


def this_process() -> str:
    """Return this process's identity: host name, process id, start time. Later processes may reuse a process id."""
    return f"{socket.gethostname()} {os.getpid()} {_own_start_time(os.getpid())}"


def is_gone(identity: str, age: float) -> bool:
    """Return True if the process that wrote its identity `age` seconds ago has exited.

    A process of another machine, and one whose start time is unknown, count as gone after an hour.
    """
    words = identity.split()
    if len(words) != 3 or not words[1].isdecimal():
        return age > TRUNCATED_SECONDS
    host, pid, started = words[0], int(words[1]), words[2]
    if host != socket.gethostname():
        return age > UNVERIFIABLE_SECONDS
    if pid == os.getpid():
        return identity != this_process()
    if not is_running(pid):
        return True
    try:
        return abs(_start_time(pid) - int(started)) > TOLERANCE
    except psutil.NoSuchProcess:  # it has exited since
        return True
    except (psutil.AccessDenied, ValueError):  # "-", from earlier versions where there was no /proc
        return age > UNVERIFIABLE_SECONDS


def is_running(pid: int) -> bool:
    """Return True if this machine runs a process of that id. A zombie, which has exited already, does not run."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


@cache
def _own_start_time(pid: int) -> int:
    """Return the start time of this process, always the same. Forked children have another id and so their own."""
    return _start_time(pid)


def _start_time(pid: int) -> int:
    """Return the start time of a process, in hundredths of a second since boot.

    The creation time alone would change whenever the system's clock is set, and a running process would seem to be
    another one. On Linux the difference is exactly the kernel's count of clock ticks, which earlier versions wrote.
    psutil reads the time of boot twice here, and it may change by a second in between, or on Windows between two
    processes: hence TOLERANCE. Raises psutil.NoSuchProcess or psutil.AccessDenied.
    """
    return round(100 * (psutil.Process(pid).create_time() - psutil.boot_time()))
