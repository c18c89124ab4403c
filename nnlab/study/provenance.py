"""Which code a sweep ran: nnlab's own commit, and the versions around it."""

import os
import platform
import subprocess
from pathlib import Path

import numpy as np

from nnlab.results import checkout

__all__ = ["commit", "versions"]


def versions() -> dict[str, str]:
    """Return the versions that a sweep's record names."""
    return {"python": platform.python_version(), "numpy": np.__version__, **commit()}


def commit() -> dict[str, str]:
    """Return nnlab's `git_commit`, and `git_dirty`: true if its files were changed since.

    The result is empty unless nnlab runs from a clone of its own: the commit of the user's repository around an
    installed nnlab says nothing about nnlab.
    """
    root = checkout()
    if root is None:
        return {}
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return {}
        return {
            "git_commit": _git(root, "rev-parse", "HEAD"),
            "git_dirty": str(bool(_git(root, "status", "--porcelain"))).lower(),
        }
    except (OSError, subprocess.SubprocessError):
        return {}


def _git(root: Path, *words: str) -> str:
    # A hook or an editor may have set GIT_DIR and the like for another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", *words], cwd=root, env=environment, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
