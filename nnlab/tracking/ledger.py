"""The ledger: which runs this results folder has logged to an MLflow server, so that sweeps need not query it.

    tracking/<experiment>-<digest of the URI>/
        experiment          MLflow's id and creation time of the experiment: if they change, the ledger is reset
        <fingerprint>       the run id in MLflow; or, while a process is logging the run, that process's identity

A run is claimed before it is logged and settled afterwards. So the claims of a killed process can be found, and two
processes never log the same run.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from nnlab.record.files import claim_name, locked, partial_path
from nnlab.record.processes import is_gone, this_process
from nnlab.results import Results

__all__ = ["Ledger", "logged_experiments"]

CLAIM, NO_PROCESS = "claimed by ", "nobody"
"""The content of a claim: CLAIM, then the identity of the process that logs the run, or NO_PROCESS if it gave up."""

_in_progress: set[Path] = set()
"""The claims that this process is working on. If the disk is full, a claim that it gave up still names this process."""


class Ledger:
    """The runs of one experiment that an MLflow server has, as recorded in this results folder."""

    def __init__(self, results: Results, experiment: str, uri: str) -> None:
        self.folder = results.ledgers / f"{experiment}{_suffix(uri)}"
        self.folder.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other threads and other processes of this machine that reconcile the ledger with MLflow."""
        with locked(self.folder / ".lock"):
            yield

    def belongs_to(self, identity: str) -> bool:
        """Return True if the ledger is about the MLflow experiment of this identity."""
        path = self.folder / "experiment"
        return path.is_file() and path.read_text(encoding="utf-8", errors="replace") == identity

    def reset(self, identity: str, run_ids: dict[str, str]) -> None:
        """Delete all entries and begin with the runs (fingerprint -> run id) that the server has."""
        for path in self._entries():
            path.unlink(missing_ok=True)
        for fingerprint, run_id in run_ids.items():
            self.settle(fingerprint, run_id)
        (self.folder / "experiment").write_text(identity, encoding="utf-8")

    def add(self, run_ids: dict[str, str]) -> None:
        """Add runs (fingerprint -> run id) that other results folders have logged to the server."""
        for fingerprint in run_ids.keys() - {path.name for path in self._entries()}:
            self.settle(fingerprint, run_ids[fingerprint])

    # ---- one run

    def claim(self, fingerprint: str) -> bool:
        """Claim a run in order to log it; return False if it is claimed by another process or has been logged."""
        partial = partial_path(self.folder / fingerprint)
        try:
            partial.write_text(CLAIM + this_process(), encoding="utf-8")
            claim_name(partial, self.folder / fingerprint)
            _in_progress.add(self._key(fingerprint))
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        return True

    def reclaim(self, fingerprint: str, run_id: str) -> bool:
        """Claim a logged run in order to log it again; return False if its run id has changed meanwhile."""
        with self.locked():
            if self.run_id(fingerprint) != run_id:
                return False
            self._write(fingerprint, CLAIM + this_process())
            _in_progress.add(self._key(fingerprint))
        return True

    def settle(self, fingerprint: str, run_id: str) -> None:
        """Record that a run has been logged."""
        self._write(fingerprint, run_id)
        _in_progress.discard(self._key(fingerprint))

    def abandon(self, fingerprint: str) -> None:
        """Record that logging a claimed run failed: MLflow may hold a part of it."""
        _in_progress.discard(self._key(fingerprint))
        with contextlib.suppress(OSError):  # on a full disk, other processes find the claim once this one has exited
            self._write(fingerprint, CLAIM + NO_PROCESS)

    def release(self, fingerprint: str) -> None:
        """Delete a claim, so that the run can be claimed again."""
        (self.folder / fingerprint).unlink(missing_ok=True)

    def run_id(self, fingerprint: str) -> str | None:
        """Return the MLflow run id of a logged run, None for any other."""
        content = _read(self.folder / fingerprint) if fingerprint else CLAIM
        return None if content.startswith(CLAIM) else content

    # ---- all runs

    def settled(self) -> set[str]:
        """Return the fingerprints of the logged runs."""
        return {path.name for path in self._entries() if not _read(path).startswith(CLAIM)}

    def abandoned(self) -> list[str]:
        """Return the fingerprints whose claim was abandoned or whose claiming process has died."""
        return [path.name for path in self._entries() if _is_abandoned(path)]

    def _entries(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.name != "experiment" and not path.name.startswith(".")]

    def _key(self, fingerprint: str) -> Path:
        return (self.folder / fingerprint).resolve()  # links may give the folder several names

    def _write(self, fingerprint: str, content: str) -> None:
        partial = partial_path(self.folder / fingerprint)
        try:
            partial.write_text(content, encoding="utf-8")
            partial.replace(self.folder / fingerprint)
        finally:
            partial.unlink(missing_ok=True)


def logged_experiments(results: Results, uri: str) -> dict[str, str]:
    """Return the experiments logged from this results folder to an MLflow server: their names and ids, sorted."""
    paths = results.ledgers.glob(f"*{_suffix(uri)}/experiment")
    identities = {path.parent.name.removesuffix(_suffix(uri)): path.read_bytes().split() for path in paths}
    return {name: words[0].decode() for name, words in sorted(identities.items()) if words and words[0].isdigit()}


def _suffix(uri: str) -> str:
    return f"-{hashlib.sha256(uri.rstrip('/').encode()).hexdigest()[:8]}"


def _read(path: Path) -> str:
    try:
        # A file is empty if the machine lost power before its content was on the disk.
        return path.read_text(encoding="utf-8") or CLAIM + NO_PROCESS
    except FileNotFoundError:  # another process has just released it
        return CLAIM
    except UnicodeDecodeError:  # the disk lost the content
        return CLAIM + NO_PROCESS


def _is_abandoned(path: Path) -> bool:
    content = _read(path)
    if not content.startswith(CLAIM):
        return False
    identity = content.removeprefix(CLAIM)
    if identity == NO_PROCESS:
        return True
    if identity == this_process():
        return path.resolve() not in _in_progress
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return False
    return is_gone(identity, age)
