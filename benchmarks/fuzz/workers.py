"""Worker processes that try cases. A case that hangs or crashes its process is a result, too."""

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

from benchmarks.fuzz.cases import Case, prepare
from benchmarks.fuzz.trial import TooLong

__all__ = ["Result", "results"]

PATIENCE = 60
"""Seconds after which a process is killed. Python's own time limit cannot interrupt C code."""
CONTEXT = multiprocessing.get_context("spawn")


class Result(NamedTuple):
    """How a case ended: ran, rejected or failed; its message or traceback; and the case as text if it failed."""

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
    return Result(case, "ran" if outcome.ran else "rejected", outcome.message, time.perf_counter() - started)


def serve(pipe: Connection, root: Path) -> None:
    """Try the cases that arrive through a pipe until it is closed."""
    warnings.simplefilter("error")  # as in the tests: users should see no warnings
    os.environ["HOME"] = str(root)
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(attempt(pipe.recv(), root))


class Worker:
    """A process that tries one case after another; it is replaced if it hangs or crashes."""

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
        """Return the result of the current case, or None while it runs."""
        seconds = time.monotonic() - self.since
        if not self.pipe.poll() and seconds < PATIENCE:
            return None
        try:
            if self.pipe.poll():
                result: Result = self.pipe.recv()
                return result
            message = f"hangs: killed after {PATIENCE} s"
        except (EOFError, OSError):
            self.process.join()
            message = f"the process crashed with exit status {self.process.exitcode}"
        self.stop()
        self._start()
        return Result(
            self.case, "failed", message, seconds, "not shown: --only shows the case before it crashes or hangs"
        )

    def stop(self, patience: float = 0) -> None:
        self.pipe.close()  # an idle worker exits when its pipe is closed
        self.process.join(patience)
        self.process.kill()
        self.process.join()


def results(cases: Iterator[Case], n_jobs: int, root: Path) -> Iterator[Result]:
    """Try all cases and yield their results in the order in which they end."""
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
