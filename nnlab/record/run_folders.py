"""Run folders: the truth about every run, whatever happens to the tracking server.

    runs/<experiment>/<fingerprint>/    one run; `nnlab.record.write_run` lists its files

A folder is written under a temporary name and renamed when it is complete: one named by a fingerprint is complete.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from nnlab.config import ConfigError
from nnlab.record.files import locked, sync_file, sync_folder
from nnlab.record.processes import is_running
from nnlab.record.read_run import problems, read_run
from nnlab.record.run import Run
from nnlab.record.run_json import DamagedRunError, as_floats, judgement_to_json, read_facts
from nnlab.record.write_run import write_run
from nnlab.results import Results

__all__ = ["RunFolders"]

REPLACED, INCOMPLETE, PARTIAL = ".replaced-", ".incomplete-", ".partial-"
"""Prefixes of hidden folders: replaced runs, incomplete runs found in the way, and runs that are being written."""
LOCK = ".lock"
"""The file that a process locks while it renames run folders."""
T = TypeVar("T")


class RunFolders:
    """The run folders of one experiment below a results folder."""

    def __init__(self, results: Results, experiment: str) -> None:
        self.folder = results.runs(experiment)

    def create(self) -> None:
        """Create the experiment's folder. Raises ConfigError if it cannot be written to."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
            self._restore()
        except OSError as error:
            raise ConfigError(
                f"results_dir must be a folder that can be written to, got {str(self.folder)!r}: {error.strerror}"
            ) from None

    def path(self, fingerprint: str) -> Path:
        """Return the folder of a run, which need not exist."""
        return self.folder / fingerprint

    def __contains__(self, fingerprint: str) -> bool:
        return (self.path(fingerprint) / "run.json").is_file()

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of all complete runs, sorted."""
        if not self.folder.is_dir():
            return []
        with contextlib.suppress(OSError):  # a folder that cannot be written to keeps what was set aside
            self._restore()
        return sorted(path.parent.name for path in self.folder.glob("[!.]*/run.json"))

    # ---- writing

    def write(self, run: Run, *, replace: bool = False) -> Path:
        """Write one run atomically; return its folder.

        A run that exists is kept or, with `replace`, set aside. A folder of that name without a complete run, which
        nnlab never leaves behind, is set aside too.
        """
        final = self.path(run.fingerprint)
        if run.fingerprint in self and not replace:
            return final
        partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{os.getpid()}-", dir=self.folder))
        try:
            write_run(run, partial)
            with self._locked():
                if replace or run.fingerprint not in self:  # else another process has written the same run
                    self._set_aside(run.fingerprint)
                    partial.rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_folder(self.folder)
        return final

    def write_judgement(self, before: Run, after: Run) -> None:
        """Write the judgement and the facts of a run again, atomically. No other file of its folder is touched.

        Raises DamagedRunError if the run on disk is no longer `before`, as it was read.
        """
        folder = self.path(before.fingerprint)
        partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{os.getpid()}-", dir=self.folder))
        try:
            with self._locked():
                written = read_facts(folder)
                if written["facts"] != before.facts:
                    raise DamagedRunError(f"{folder} was written by another process meanwhile")
                (partial / "run.json").write_text(judgement_to_json(after, written), encoding="utf-8")
                sync_file(partial / "run.json")
                (partial / "run.json").replace(folder / "run.json")
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        sync_folder(folder)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other writers: while one run replaces another, its folder is missing for a moment."""
        with locked(self.folder / LOCK):
            yield

    def _set_aside(self, fingerprint: str) -> None:
        folder = self.path(fingerprint)
        if not folder.is_dir():
            return
        if not any(folder.iterdir()):
            folder.rmdir()  # Windows does not rename over an empty folder
            return
        prefix = REPLACED if fingerprint in self else INCOMPLETE
        folder.rename(self.folder / f"{prefix}{fingerprint}-{secrets.token_hex(4)}")

    def _restore(self) -> None:
        """Put back replaced runs whose successor is missing: its writer was killed before the second rename."""
        replaced = sorted(self.folder.glob(f"{REPLACED}*"))
        if not replaced:
            return
        with self._locked():
            for folder in replaced:
                fingerprint = _fingerprint_of_replaced(folder)
                if fingerprint not in self and (folder / "run.json").is_file():
                    folder.rename(self.path(fingerprint))

    # ---- reading

    def __iter__(self) -> Iterator[Run]:
        return (self.read(fingerprint) for fingerprint in self.fingerprints())

    def read(self, fingerprint: str) -> Run:
        """Return one run as it was written.

        Raises FileNotFoundError if it does not exist, DamagedRunError if its files are not as they were written or the
        folder holds the run of another fingerprint.
        """

        def read(folder: Path) -> Run:
            run = read_run(folder)
            _check_name(folder, run.fingerprint)
            return run

        return self._read_consistently(fingerprint, read)

    def facts(self, fingerprint: str) -> dict[str, Any]:
        """Return the content of one run.json. Raises the errors of `read`, but opens no other file."""

        def read(folder: Path) -> dict[str, Any]:
            facts = read_facts(folder)
            _check_name(folder, facts["fingerprint"])
            return facts

        return self._read_consistently(fingerprint, read)

    def metrics(self, fingerprint: str) -> dict[str, float]:
        """Return the final metrics of one run. Raises the errors of `facts`."""
        return as_floats(self.facts(fingerprint)["metrics"])

    def _read_consistently(self, fingerprint: str, read: Callable[[Path], T]) -> T:
        """Read a folder; on failure, read it again under the lock, since the run may have been replaced meanwhile."""
        folder = self.path(fingerprint)
        try:
            return read(folder)
        except (DamagedRunError, FileNotFoundError):
            with self._locked_if_possible():
                if not folder.is_dir():
                    raise FileNotFoundError(f"{folder} does not exist") from None
                return read(folder)

    @contextlib.contextmanager
    def _locked_if_possible(self) -> Iterator[None]:
        """Exclude writers; do nothing if there can be none: the folder is missing or cannot be written to."""
        with contextlib.ExitStack() as lock:
            if self.folder.is_dir():  # locking would create it
                with contextlib.suppress(OSError):
                    lock.enter_context(self._locked())
            yield

    # ---- verifying

    def verify(self) -> Iterator[tuple[Path, str]]:
        """Yield each run folder that is damaged or was left over by a killed writer, with the problem."""
        if not self.folder.is_dir():
            return
        for folder in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            if folder.name.startswith("."):
                if problem := self._problem_of_hidden(folder):
                    yield folder, problem
                continue
            if found := list(problems(folder)):
                with self._locked_if_possible():  # the run may have been replaced meanwhile
                    found = list(problems(folder)) if folder.is_dir() else []
            yield from ((folder, problem) for problem in found)

    def _problem_of_hidden(self, folder: Path) -> str:
        """Return the reason why a hidden folder exists; empty if a running process is writing it."""
        if folder.name.startswith(REPLACED):
            if _fingerprint_of_replaced(folder) in self:
                return "replaced by launcher.force=true: it can be deleted"
            return "set aside for a run that was never written: the next sweep of the experiment puts it back"
        writer = folder.name.removeprefix(PARTIAL).split("-")[0]
        if folder.name.startswith(PARTIAL) and writer.isdecimal() and is_running(int(writer)):
            return ""
        return "left over from an interrupted write: it can be deleted"


def _check_name(folder: Path, fingerprint: str) -> None:
    """Raise DamagedRunError if a folder was copied or renamed: its run would count twice, or as another run."""
    if fingerprint != folder.name:
        raise DamagedRunError(f"{folder} holds the run {fingerprint}: move it away")


def _fingerprint_of_replaced(folder: Path) -> str:
    return folder.name.removeprefix(REPLACED).rpartition("-")[0]
