"""Where stacks are trained: processes of this machine, or the workers of a Dask cluster."""

import os
import signal
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nnlab.config import NUMERICAL_VERSION, ConfigError, LauncherConfig
from nnlab.record.history import Run
from nnlab.study.plan import Job, Stack
from nnlab.study.run import run_stack

__all__ = ["Failure", "cores", "train_stacks"]

RETRIES = 5
"""How many times workers may be lost before the runs that they were training count as failed."""
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


def train_stacks(stacks: Sequence[Stack], n_jobs: int, launcher: LauncherConfig) -> Iterator[Run | Failure]:
    """Start to train; return the results as stacks finish, whichever comes first."""
    if not stacks:
        return iter(())
    return _on_cluster(stacks, launcher) if launcher.backend == "dask" else _in_processes(stacks, n_jobs)


def _in_processes(stacks: Sequence[Stack], n_jobs: int, retries: int = RETRIES) -> Iterator[Run | Failure]:
    """With more than one process the training begins before the first result is asked for."""
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=min(n_jobs, len(stacks)), return_as="generator_unordered", batch_size=1, max_nbytes=None)
    return _collected(parallel(delayed(_attempt)(stack) for stack in stacks), stacks, n_jobs, retries)


def _collected(
    outputs: Iterable[list[Run | Failure]], stacks: Sequence[Stack], n_jobs: int, retries: int
) -> Iterator[Run | Failure]:
    """Yield results; when a worker is killed, which breaks joblib's pool, train what is missing in a new one."""
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    missing = {stack.jobs[0].fingerprint: stack for stack in stacks}
    try:
        for results in outputs:
            first = results[0]
            del missing[first.fingerprint if isinstance(first, Run) else first.job.fingerprint]
            yield from results
    except TerminatedWorkerError:
        left = list(missing.values())
        if retries:
            yield from _in_processes(left, n_jobs, retries - 1)
        else:
            text = f"{RETRIES + 1} times a worker process was killed, perhaps for want of memory\n"
            yield from (Failure(job, text + traceback.format_exc()) for stack in left for job in stack.jobs)


def _on_cluster(stacks: Sequence[Stack], launcher: LauncherConfig) -> Iterator[Run | Failure]:
    """Let Dask distribute the stacks. It gives those of a lost worker to another, and new workers their share."""
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    with _client(launcher) as client:
        tasks = {
            client.submit(_attempt, stack, pure=False, retries=RETRIES, priority=-place): stack
            for place, stack in enumerate(stacks)
        }
        for task in as_completed(list(tasks), loop=client.loop):
            try:
                yield from task.result()
            except KilledWorker:
                text = f"{RETRIES} workers of the cluster were lost while they trained this stack\n"
                yield from (Failure(job, text + traceback.format_exc()) for job in tasks[task].jobs)
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
    if threading.current_thread() is threading.main_thread() and os.environ.get("LOKY_PARENT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs = stack.jobs
    try:
        return [*run_stack([job.config for job in jobs], jobs[0].data, [job.fingerprint for job in jobs])]
    except Exception:
        text = traceback.format_exc()
        return [Failure(job, text) for job in jobs]
