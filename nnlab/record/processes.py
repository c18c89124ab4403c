"""Who writes: a name for this process that tells, later and to others, whether it is still running."""

import os
import socket
from pathlib import Path

__all__ = ["is_gone", "is_running", "this_process"]

STRANGER_SECONDS = 3600
"""How long a process on another machine, which cannot be looked at, is taken to be running."""


def this_process() -> str:
    """Return the machine, the process number and when the process was started: numbers are given out again."""
    return f"{socket.gethostname()} {os.getpid()} {_birth(os.getpid())}"


def is_gone(name: str, age: float) -> bool:
    """Return whether the process that wrote its name `age` seconds ago has ended."""
    words = name.split()
    if len(words) != 3 or not words[1].isdigit():
        return age > 1  # cut off while it was written
    host, pid, birth = words
    if host != socket.gethostname():
        return age > STRANGER_SECONDS
    return not is_running(int(pid)) or _birth(int(pid)) != birth


def _birth(pid: int) -> str:
    """Return when a process was started, in the kernel's clock ticks."""
    status = _stat(pid)  # once: it may end between two looks
    return status[19] if status else "-"


def _stat(pid: int) -> list[str]:
    """Return what the kernel says of a process, from its state on; nothing where it has no such file."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def is_running(pid: int) -> bool:
    """Return whether this machine has a process of that number, other than one that ended and nobody asked for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _stat(pid)[:1] not in (["Z"], ["X"])
