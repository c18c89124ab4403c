"""Which runs a tracking store has been told of: small files beside the runs, so that nobody need ask the store.

    tracking/<experiment>-<digest of the URI>/
        experiment          id and birth of the store's experiment: another store under the same address starts anew
        <fingerprint>       the run id there; or, while somebody is telling, who that is

A file is claimed before the store hears of a run and settled after: what a killed process was about to tell can be
found again, and two processes never tell the same run twice.
"""

import contextlib
import fcntl
import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Ledger"]

CLAIM = "claimed by "
STRANGER_SECONDS = 3600
"""How long the claim of a process on another machine is respected."""


class Ledger:
    """The runs of one experiment that one tracking store knows, as far as this results folder has told it."""

    def __init__(self, results: Path, experiment: str, uri: str) -> None:
        digest = hashlib.sha256(uri.encode()).hexdigest()[:8]
        self.folder = results / "tracking" / f"{experiment}-{digest}"
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine from putting the ledger in order at the same time."""
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def belongs_to(self, identity: str) -> bool:
        """Return whether the ledger is about the store's experiment of this identity."""
        path = self.folder / "experiment"
        return path.is_file() and path.read_text(encoding="utf-8") == identity

    def start_anew(self, identity: str, known: dict[str, str]) -> None:
        """Forget everything; begin with the runs (fingerprint -> run id) that the store says it has."""
        for path in self._entries():
            path.unlink(missing_ok=True)
        for fingerprint, run_id in known.items():
            self.settle(fingerprint, run_id)
        (self.folder / "experiment").write_text(identity, encoding="utf-8")

    def settled(self) -> set[str]:
        """Return the fingerprints that the store knows."""
        return {path.name for path in self._entries() if not _read(path).startswith(CLAIM)}

    def claim(self, fingerprint: str) -> bool:
        """Return whether this process is the one to tell of a run; False if another does or it is told already."""
        try:
            with (self.folder / fingerprint).open("x", encoding="utf-8") as file:
                file.write(CLAIM + _me())
        except FileExistsError:
            return False
        return True

    def settle(self, fingerprint: str, run_id: str) -> None:
        """Note that the store knows a run."""
        partial = self.folder / f".{fingerprint}-{os.getpid()}"
        partial.write_text(run_id, encoding="utf-8")
        partial.rename(self.folder / fingerprint)

    def release(self, fingerprint: str) -> None:
        """Give a claim back."""
        (self.folder / fingerprint).unlink(missing_ok=True)

    def abandoned(self) -> list[str]:
        """Return the fingerprints that somebody was about to tell who is no more."""
        return [path.name for path in self._entries() if _is_abandoned(path)]

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name != "experiment" and not path.name.startswith(".")]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:  # settled or released in this moment
        return CLAIM


def _me() -> str:
    return f"{socket.gethostname()} {os.getpid()} {_birth(os.getpid())}"


def _birth(pid: int) -> str:
    """Return when a process was started, in the kernel's clock ticks; process numbers are given out again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return "-"


def _is_abandoned(path: Path) -> bool:
    claimed = _read(path)
    if not claimed.startswith(CLAIM):
        return False
    words = claimed.removeprefix(CLAIM).split()
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if len(words) != 3:
        return age > 1  # cut off while it was written
    host, pid, birth = words
    if host != socket.gethostname():
        return age > STRANGER_SECONDS
    return not _is_running(int(pid)) or _birth(int(pid)) != birth


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
