"""Where stacks are trained: in this process, in worker processes of this machine, or on a Dask cluster."""

import contextlib
import os
import pickle
import shutil
import signal
import tempfile
import threading
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path
from typing import Any

import psutil

from nnlab.config import LauncherConfig
from nnlab.record.processes import is_running
from nnlab.record.run import Run
from nnlab.results import Results
from nnlab.study.attempt import Failure, attempt
from nnlab.study.cluster import cluster_threads, train_on_cluster
from nnlab.study.references import fit_in_background
from nnlab.study.stacking import Stack

__all__ = ["Failure", "cores", "train_stacks"]

RETRIES = 5
"""How often the workers are replaced after one was killed, before the remaining runs count as failed."""
QUEUED = 3
"""Stacks submitted for each worker: one in training, the others so that it never waits for the writer."""
KEEP_ALIVE = "keep_alive"
"""A file beside the workers' results. Workers exit when it is deleted."""
KEEP_ALIVE_SECONDS = 0.3
"""How often a worker looks for that file."""


def cores(launcher: LauncherConfig) -> int:
    """Return the number of stacks to train at the same time by default: one for each core.

    Raises ConfigError if a cluster is configured and does not answer or cannot train.
    """
    if launcher.backend == "dask":
        return cluster_threads(launcher)
    if hasattr(psutil.Process, "cpu_affinity"):  # not on macOS
        return len(psutil.Process().cpu_affinity())
    return os.cpu_count() or 1


@contextlib.contextmanager
def train_stacks(
    stacks: Sequence[Stack], n_jobs: int, launcher: LauncherConfig
) -> Iterator[Generator[Run | Failure, None, None]]:
    """Start training; give a generator that yields results as stacks finish. All workers exit with the context.

    No more than `QUEUED` stacks for each worker are submitted at a time. If all of them were, and training outran the
    writer, memory would fill with results that are not written yet.
    """
    n_jobs = min(n_jobs, len(stacks))
    if stacks and launcher.backend == "dask":
        with contextlib.closing(train_on_cluster(stacks, launcher)) as results:
            yield results
    elif n_jobs > 1:
        with _fitting_references(stacks, n_jobs, launcher), contextlib.closing(_Workers(stacks, n_jobs)) as workers:
            yield workers.results()
    else:
        with _fitting_references(stacks, n_jobs, launcher), contextlib.closing(_train_here(stacks)) as results:
            yield results


def _fitting_references(
    stacks: Sequence[Stack], n_jobs: int, launcher: LauncherConfig
) -> contextlib.AbstractContextManager[None]:
    """Return the context in which reference models are fitted while networks train, if there is a core to spare."""
    if not stacks or cores(launcher) <= n_jobs:
        return contextlib.nullcontext()
    data_sets = {id(job.data): job.data for stack in stacks for job in stack.jobs}
    return fit_in_background(data_sets.values(), Results.at(stacks[0].jobs[0].config.results_dir))


def _train_here(stacks: Sequence[Stack]) -> Generator[Run | Failure, None, None]:
    for stack in stacks:
        yield from attempt(stack)


class _Workers:
    """Worker processes of this machine. They start to train at once, before the first result is requested."""

    def __init__(self, stacks: Sequence[Stack], n_jobs: int) -> None:
        self.n_jobs = n_jobs
        self.waiting = deque(stacks)
        self.submitted: dict[Any, Stack] = {}
        self.folder = tempfile.TemporaryDirectory(prefix="nnlab-", ignore_cleanup_errors=True)
        self.keep_alive = Path(self.folder.name) / KEEP_ALIVE
        self.keep_alive.touch()
        self.pool = _start_pool(n_jobs, self.folder.name)
        self._submit()

    def _submit(self) -> None:
        while self.waiting and len(self.submitted) < QUEUED * self.n_jobs:
            # The first task starts the processes.
            with contextlib.nullcontext() if self.submitted else _children_ignore_ctrl_c():
                task = self.pool.submit(_attempt_into, self.folder.name, self.waiting[0])
            self.submitted[task] = self.waiting.popleft()

    def results(self) -> Generator[Run | Failure, None, None]:
        """Yield results. If a worker is killed, which breaks its pool, train the remaining stacks in a new one."""
        from loky.process_executor import TerminatedWorkerError

        retries = RETRIES
        try:
            while self.submitted or self.waiting:
                results: list[Run | Failure] = []
                try:
                    self._submit()
                    finished = next(iter(wait(self.submitted, return_when=FIRST_COMPLETED).done))
                    results = _read_and_delete(finished.result())
                    del self.submitted[finished]
                    self._submit()  # before the writer spends time on the results
                except TerminatedWorkerError:
                    self.pool = _start_pool(self.n_jobs, self.folder.name)
                    self.waiting.extendleft(self.submitted.values())
                    self.submitted.clear()
                    if retries == 0:
                        results += self._fail_waiting(traceback.format_exc())
                    retries -= 1
                yield from results
        finally:
            self.close()

    def close(self) -> None:
        """Let all workers exit, busy or not."""
        self.keep_alive.unlink(missing_ok=True)
        # loky can kill workers too, but if some are busy its thread raises over tasks that it has not sent yet and
        # prints a traceback. Busy workers exit by themselves, since KEEP_ALIVE is deleted.
        if not self.submitted:
            self.pool.shutdown(wait=False, kill_workers=True)
        self.folder.cleanup()

    def _fail_waiting(self, text: str) -> list[Run | Failure]:
        text = f"{RETRIES + 1} times a worker process was killed, perhaps because memory ran out\n{text}"
        failures: list[Run | Failure] = [Failure(job, text) for stack in self.waiting for job in stack.jobs]
        self.waiting.clear()
        return failures


def _start_pool(n_jobs: int, folder: str) -> Any:
    """Return a new pool. joblib and loky's reusable executor would share theirs with other code of this process."""
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(n_jobs, initializer=_initialize_worker, initargs=(os.getpid(), folder))


@contextlib.contextmanager
def _children_ignore_ctrl_c() -> Iterator[None]:
    """Let processes that start in this context ignore Ctrl-C from the beginning.

    Otherwise a Ctrl-C before `_initialize_worker` would make each print a traceback. Blocking the signal for a while
    would not help, since loky unblocks it on the way. On Windows the setting is not inherited.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _initialize_worker(parent: int, folder: str) -> None:
    """Ignore Ctrl-C, which a terminal sends to workers too. Exit when the parent does or KEEP_ALIVE is deleted."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, args=(parent, Path(folder)), daemon=True).start()


def _exit_with_parent(parent: int, folder: Path) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(parent)
        # A killed parent stays a zombie, for which `wait` does not return, until its own parent has waited for it.
        while (folder / KEEP_ALIVE).exists() and process.is_running() and is_running(parent):
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(KEEP_ALIVE_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _attempt_into(folder: str, stack: Stack) -> str:
    """Train one stack, write the results into a file and return its name.

    A text that short arrives completely or not at all. If a worker were killed while it sends the results themselves,
    the pool would wait for the rest of them forever.
    """
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        pickle.dump(attempt(stack), file)
    return name


def _read_and_delete(name: str) -> list[Run | Failure]:
    path = Path(name)
    results: list[Run | Failure] = pickle.loads(path.read_bytes())  # noqa: S301  written by a worker of ours
    path.unlink()
    return results
