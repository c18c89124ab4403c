"""Processes that try cases: one that hangs or crashes is a result as well."""

import contextlib
import multiprocessing
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from .cases import Case, prepare
from .trial import TooLong

__all__ = ["Result", "results"]

PATIENCE = 60
"""Seconds after which a process is killed that does not notice its time limit, as none does in the midst of C."""
CONTEXT = multiprocessing.get_context("spawn")


class Result(NamedTuple):
    """How a case ended: ran, refused or failed; with which message or traceback; what it was, if it failed."""

    case: Case
    status: str
    message: str
    seconds: float
    shown: str = ""


def attempt(case: Case, root: Path) -> Result:
    """Try one case in a folder of its own."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=root) as folder:
        shown = ""
        try:
            shown, run = prepare(case, Path(folder))
            outcome = run()
        except (Exception, TooLong):
            return Result(case, "failed", traceback.format_exc(limit=-6), time.perf_counter() - started, shown)
    return Result(case, "ran" if outcome.ran else "refused", outcome.message, time.perf_counter() - started)


def serve(pipe: Connection, root: Path) -> None:
    """Try the cases that come through a pipe, until there are no more."""
    warnings.simplefilter("error")  # as in the tests: a user should see none
    os.environ["HOME"] = str(root)
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(attempt(pipe.recv(), root))


class Worker:
    """A process that tries one case after the other, and another in its place if it is lost."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=serve, args=(theirs, self.root))
        self.process.start()
        theirs.close()

    def give(self, case: Case) -> None:
        self.case, self.since = case, time.monotonic()
        self.pipe.send(case)

    def result(self) -> Result | None:
        """Return how its case ended, None if it is still at it."""
        seconds = time.monotonic() - self.since
        if not self.pipe.poll() and seconds < PATIENCE:
            return None
        try:
            if self.pipe.poll():
                found: Result = self.pipe.recv()
                return found
            message = f"hangs: killed after {PATIENCE} s"
        except (EOFError, OSError):
            self.process.join()
            message = f"the process crashed with exit status {self.process.exitcode}"
        self.stop()
        self._start()
        return Result(self.case, "failed", message, seconds, "shown by --only, which crashes or hangs as well")

    def stop(self, patience: float = 0) -> None:
        self.pipe.close()  # at which an idle one ends by itself
        self.process.join(patience)
        self.process.kill()
        self.process.join()


def results(cases: Iterator[Case], n_jobs: int, root: Path) -> Iterator[Result]:
    """Try all cases; yield how they ended as they do."""
    idle, busy = [Worker(root) for _ in range(n_jobs)], []
    try:
        while True:
            for worker, case in zip(idle[:], cases, strict=False):
                worker.give(case)
                idle.remove(worker)
                busy.append(worker)
            if not busy:
                return
            wait([worker.pipe for worker in busy], timeout=1)
            for worker in busy[:]:
                if result := worker.result():
                    busy.remove(worker)
                    idle.append(worker)
                    yield result
    finally:
        for worker in idle:
            worker.stop(patience=10)
        for worker in busy:
            worker.stop()
