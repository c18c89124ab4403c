"""Files that are whole or not there, whoever else writes them at the same time."""

import os
import secrets
import time
from pathlib import Path

__all__ = ["is_left_over", "partial_path", "write_whole"]

LEFT_OVER_SECONDS = 3600
"""From when on a file that is half written counts as one whose writer was killed."""


def partial_path(path: Path) -> Path:
    """Return a name beside a file's that nobody else has: neither another thread nor another machine."""
    return path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")


def write_whole(path: Path, text: str) -> None:
    """Write a text file, whole or not at all, and to the disk: until then readers see what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def is_left_over(partial: Path) -> bool:
    """Return whether who was writing a file, or a folder, must be gone. Raises OSError if it is not there any more."""
    return time.time() - partial.stat().st_mtime > LEFT_OVER_SECONDS
