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
import time
from collections.abc import Iterator
from pathlib import Path

from nnlab.record.files import partial_path
from nnlab.record.processes import is_gone, this_process
from nnlab.results import Results

__all__ = ["Ledger", "known_experiments"]

CLAIM, NOBODY = "claimed by ", "nobody"

_TELLING: set[Path] = set()
"""What this process is telling of now. It may have given up where a full disk did not let it write so."""


class Ledger:
    """The runs of one experiment that one tracking store knows, as far as this results folder has told it."""

    def __init__(self, results: Results, experiment: str, uri: str) -> None:
        self.folder = results.ledgers / f"{experiment}{_suffix(uri)}"
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
        return path.is_file() and path.read_text(encoding="utf-8", errors="replace") == identity

    def start_anew(self, identity: str, known: dict[str, str]) -> None:
        """Forget everything; begin with the runs (fingerprint -> run id) that the store says it has."""
        for path in self._entries():
            path.unlink(missing_ok=True)
        for fingerprint, run_id in known.items():
            self.settle(fingerprint, run_id)
        (self.folder / "experiment").write_text(identity, encoding="utf-8")

    def learn(self, known: dict[str, str]) -> None:
        """Note runs that the store has, though not from here."""
        for fingerprint in known.keys() - {path.name for path in self._entries()}:
            self.settle(fingerprint, known[fingerprint])

    def settled(self) -> set[str]:
        """Return the fingerprints that the store knows."""
        return {path.name for path in self._entries() if not _read(path).startswith(CLAIM)}

    def claim(self, fingerprint: str) -> bool:
        """Return whether this process is the one to tell of a run; False if another does or it is told already."""
        partial = partial_path(self.folder / fingerprint)
        try:
            partial.write_text(CLAIM + this_process(), encoding="utf-8")
            os.link(partial, self.folder / fingerprint)  # with its content, or not at all
            _TELLING.add(self._place(fingerprint))
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True

    def reclaim(self, fingerprint: str, known: str) -> bool:
        """Claim a run that the store knows by an id, to tell of it anew; False if another process was first."""
        with self.locked():
            if self.run_id(fingerprint) != known:
                return False
            self._write(fingerprint, CLAIM + this_process())
            _TELLING.add(self._place(fingerprint))
        return True

    def abandon(self, fingerprint: str) -> None:
        """Note that telling failed half way: what the store has of it must be put in order first."""
        _TELLING.discard(self._place(fingerprint))
        with contextlib.suppress(OSError):  # a full disk: this process knows it, and others once it has ended
            self._write(fingerprint, CLAIM + NOBODY)

    def settle(self, fingerprint: str, run_id: str) -> None:
        """Note that the store knows a run."""
        self._write(fingerprint, run_id)
        _TELLING.discard(self._place(fingerprint))

    def run_id(self, fingerprint: str) -> str | None:
        """Return under which id the store knows a run, None if it does not."""
        content = _read(self.folder / fingerprint) if fingerprint else CLAIM
        return None if content.startswith(CLAIM) else content

    def _place(self, fingerprint: str) -> Path:
        return (self.folder / fingerprint).resolve()  # the folder may have several names

    def _write(self, fingerprint: str, content: str) -> None:
        partial = partial_path(self.folder / fingerprint)
        try:
            partial.write_text(content, encoding="utf-8")
            partial.rename(self.folder / fingerprint)
        finally:
            partial.unlink(missing_ok=True)

    def release(self, fingerprint: str) -> None:
        """Give a claim back."""
        (self.folder / fingerprint).unlink(missing_ok=True)

    def abandoned(self) -> list[str]:
        """Return the fingerprints that somebody was about to tell who is no more."""
        return [path.name for path in self._entries() if _is_abandoned(path)]

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name != "experiment" and not path.name.startswith(".")]


def known_experiments(results: Results, uri: str) -> dict[str, str]:
    """Return the experiments that a store was told of from this results folder: their names and its ids, sorted."""
    found = results.ledgers.glob(f"*{_suffix(uri)}/experiment")
    told = {path.parent.name.removesuffix(_suffix(uri)): path.read_bytes().split() for path in found}
    return {name: identity[0].decode() for name, identity in sorted(told.items()) if identity and identity[0].isdigit()}


def _suffix(uri: str) -> str:
    return f"-{hashlib.sha256(uri.rstrip('/').encode()).hexdigest()[:8]}"


def _read(path: Path) -> str:
    try:
        # Empty: the machine lost its power before the file was on the disk.
        return path.read_text(encoding="utf-8") or CLAIM + NOBODY
    except FileNotFoundError:  # settled or released in this moment
        return CLAIM
    except UnicodeDecodeError:  # the disk lost what it said
        return CLAIM + NOBODY


def _is_abandoned(path: Path) -> bool:
    claimed = _read(path)
    if not claimed.startswith(CLAIM):
        return False
    if claimed == CLAIM + NOBODY:
        return True
    if claimed == CLAIM + this_process():
        return path.resolve() not in _TELLING
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    return is_gone(claimed.removeprefix(CLAIM), age)
