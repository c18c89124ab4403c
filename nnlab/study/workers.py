"""Where stacks are trained: processes of this machine, or the workers of a Dask cluster."""

import contextlib
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlab.config import NUMERICAL_VERSION, ConfigError, LauncherConfig
from nnlab.record.run import Run
from nnlab.study.run_stack import run_stack
from nnlab.study.stacking import Job, Stack

__all__ = ["Failure", "cores", "train_stacks"]

RETRIES = 5
"""How many times workers may be lost before the runs that they were training count as failed."""
QUEUED = 3
"""Stacks under way for each worker: one in training, the others so that no worker waits for the writer."""
WANTED = "wanted"
"""A file in the folder of results: without it, workers end."""
PATIENCE = 15
"""Seconds to wait for a cluster's scheduler, and for its first worker."""


@dataclass(frozen=True)
class Failure:
    """A run that raised: which one, and the traceback."""

    job: Job
    text: str


def cores(launcher: LauncherConfig) -> int:
    """Return how many stacks are trained at the same time if nobody says otherwise.

    Raises ConfigError if a cluster was asked for that does not answer or cannot train.
    """
    if launcher.backend == "dask":
        with _client(launcher) as client:
            return _check_workers(client, launcher)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def train_stacks(
    stacks: Sequence[Stack], n_jobs: int, launcher: LauncherConfig
) -> Iterator[Generator[Run | Failure, None, None]]:
    """Start to train; give the results as stacks finish, whichever comes first. No worker trains on after the context.

    At most `QUEUED` stacks for each worker are under way. Were all of them, then wherever training outruns the writer
    its memory would fill with results that it has not kept yet.
    """
    n_jobs = min(n_jobs, len(stacks))
    if stacks and launcher.backend == "dask":
        with contextlib.closing(_on_cluster(stacks, launcher)) as results:
            yield results
    elif n_jobs > 1:
        with contextlib.closing(_Processes(stacks, n_jobs)) as processes:  # they work before a result is asked for
            yield processes.results()
    else:
        with contextlib.closing(_here(stacks)) as results:
            yield results


def _here(stacks: Sequence[Stack]) -> Generator[Run | Failure, None, None]:
    for stack in stacks:
        yield from _attempt(stack)


class _Processes:
    """Worker processes of this machine. They start at once, not when the first result is asked for."""

    def __init__(self, stacks: Sequence[Stack], n_jobs: int) -> None:
        self.n_jobs = n_jobs
        self.waiting = deque(stacks)
        self.under_way: dict[Any, Stack] = {}
        self.folder = tempfile.TemporaryDirectory(prefix="nnlab-", ignore_cleanup_errors=True)
        self.wanted = Path(self.folder.name) / WANTED
        self.wanted.touch()
        self.pool = _pool(n_jobs, self.folder.name)
        self._fill()

    def _fill(self) -> None:
        while self.waiting and len(self.under_way) < QUEUED * self.n_jobs:
            with contextlib.nullcontext() if self.under_way else _deaf_to_ctrl_c():  # the first starts the workers
                task = self.pool.submit(_attempt_into, self.folder.name, self.waiting[0])
            self.under_way[task] = self.waiting.popleft()

    def results(self) -> Generator[Run | Failure, None, None]:
        """Yield results; when a worker is killed, which breaks the pool, train what is missing in a new one."""
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        retries = RETRIES
        try:
            while self.under_way or self.waiting:
                results: list[Run | Failure] = []
                try:
                    self._fill()
                    finished = next(iter(wait(self.under_way, return_when=FIRST_COMPLETED).done))
                    results = _taken(finished.result())
                    del self.under_way[finished]
                    self._fill()  # before the writer takes its time over the results
                except TerminatedWorkerError:
                    self.pool = _pool(self.n_jobs, self.folder.name)
                    self.waiting.extendleft(self.under_way.values())
                    self.under_way.clear()
                    if retries == 0:
                        results += self._failures(traceback.format_exc())
                    retries -= 1
                yield from results
        finally:
            self.close()

    def close(self) -> None:
        """End the workers, whatever they are at."""
        self.wanted.unlink(missing_ok=True)
        # Told to kill workers that have something to do, loky trips over what it has not passed on to them yet, with a
        # traceback from its thread. They end by themselves, since they are not wanted any more.
        if not self.under_way:
            self.pool.shutdown(wait=False, kill_workers=True)
        self.folder.cleanup()

    def _failures(self, text: str) -> list[Run | Failure]:
        text = f"{RETRIES + 1} times a worker process was killed, perhaps for want of memory\n{text}"
        failures: list[Run | Failure] = [Failure(job, text) for stack in self.waiting for job in stack.jobs]
        self.waiting.clear()
        return failures


def _attempt_into(folder: str, stack: Stack) -> str:
    """Train one stack, put the results into a file and return its name.

    A text that short arrives whole or not at all; a worker that is killed while it sends the results themselves leaves
    the pool waiting for the rest of them for ever.
    """
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        pickle.dump(_attempt(stack), file)
    return name


def _taken(name: str) -> list[Run | Failure]:
    path = Path(name)
    results: list[Run | Failure] = pickle.loads(path.read_bytes())  # noqa: S301  written by a worker of ours
    path.unlink()
    return results


def _pool(n_jobs: int, folder: str) -> Any:
    """Return a pool of our own: joblib's would be shared with all who use joblib."""
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(n_jobs, initializer=_follow, initargs=(os.getpid(), folder))


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Let processes be started that a Ctrl-C in their first second does not reach, and so without a traceback each.

    They inherit that it is ignored; it could not be held back, since loky sets it free on the way.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(parent: int, folder: str) -> None:
    """Leave Ctrl-C, which a terminal sends to all, to the parent; end with it, or when it does not want results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent and (Path(folder) / WANTED).exists():
            time.sleep(0.3)
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_cluster(stacks: Sequence[Stack], launcher: LauncherConfig) -> Generator[Run | Failure, None, None]:
    """Let Dask distribute the stacks. It gives those of a lost worker to another, and new workers their share."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = deque(enumerate(stacks))
    under_way: dict[Any, Stack] = {}
    with _client(launcher) as client:
        finished = as_completed(loop=client.loop)

        def fill() -> None:
            # Asked anew each time: workers may have joined.
            while waiting and len(under_way) < QUEUED * max(1, sum(client.nthreads().values())):
                place, stack = waiting.popleft()
                task = client.submit(_attempt, stack, pure=False, retries=RETRIES, priority=-place)
                under_way[task] = stack
                finished.add(task)

        fill()
        for task in finished:
            stack = under_way.pop(task)
            fill()
            try:
                yield from task.result()
            except KilledWorker:
                text = f"{RETRIES} workers of the cluster were lost while they trained this stack\n"
                yield from (Failure(job, text + traceback.format_exc()) for job in stack.jobs)
            task.release()


def _client(launcher: LauncherConfig) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("launcher.backend=dask needs the extra: pip install -e '.[cluster]'") from None
    try:
        return Client(launcher.address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"launcher.address must be that of a Dask scheduler that answers, such as tcp://127.0.0.1:8786, "
            f"got {launcher.address!r}: {error}"
        ) from None


def _check_workers(client: Any, launcher: LauncherConfig) -> int:
    """Return how many stacks the cluster trains at once. Raises ConfigError if its workers cannot train."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise ConfigError(
            f"launcher.address must be that of a scheduler with workers, got {launcher.address!r} with none after "
            f"{PATIENCE} s: start some with `dask worker {launcher.address} --nthreads 1`"
        ) from None
    try:
        versions = set(client.run(_numerical_version).values())
    except Exception as error:  # whatever their installation raises
        raise ConfigError(f"launcher.address must lead to workers that can import nnlab: {error!r}") from None
    if versions != {NUMERICAL_VERSION}:
        raise ConfigError(
            f"launcher.address must lead to workers with the same nnlab (numerical version {NUMERICAL_VERSION}), "
            f"got {', '.join(str(version) for version in sorted(versions))}"
        )
    return sum(client.nthreads().values())


def _numerical_version() -> int:
    return NUMERICAL_VERSION


def _attempt(stack: Stack) -> list[Run | Failure]:
    """Train one stack; what raises becomes a Failure of its runs, and the rest of the study goes on."""
    jobs = stack.jobs
    try:
        return [*run_stack([job.config for job in jobs], jobs[0].data, [job.fingerprint for job in jobs])]
    except Exception:
        text = traceback.format_exc()
        return [Failure(job, text) for job in jobs]
