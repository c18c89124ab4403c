"""Atomic writes, and locks that other threads and processes respect."""

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

__all__ = [
    "checksum",
    "claim_name",
    "is_stale",
    "locked",
    "partial_path",
    "sync_file",
    "sync_folder",
    "write_atomically",
]

STALE_SECONDS = 3600
"""Age from which the writer of a partial file counts as killed."""
LOCK_POLL_SECONDS = 0.02
"""Pause between two attempts to take a lock."""


def partial_path(path: Path) -> Path:
    """Return a name beside `path` that no other thread, process or machine uses."""
    return path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def write_atomically(path: Path, text: str) -> None:
    """Write and sync a text file atomically: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_stale(partial: Path) -> bool:
    """Return True if a partial file or folder is so old that its writer must have died.

    Raises OSError if it no longer exists.
    """
    return time.time() - partial.stat().st_mtime > STALE_SECONDS


def claim_name(partial: Path, path: Path) -> None:
    """Give a file that is completely written its final name. Raises FileExistsError if that name is taken.

    If several processes do this at the same time, exactly one of them succeeds.
    """
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, such as FAT
        with locked(path.with_name(".lock")):
            if path.exists():
                raise FileExistsError(path) from None
            partial.replace(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created if missing. Other threads and processes wait.

    The operating system releases the lock if the process dies. Raises OSError if the file cannot be written.
    """
    with FileLock(path).acquire(poll_interval=LOCK_POLL_SECONDS):
        yield


def sync_file(path: Path) -> None:
    """Force a file's content to the disk."""
    with path.open("r+b") as file:  # Windows syncs only what is open for writing
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's list of names to the disk, where the operating system can."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows does not open folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
