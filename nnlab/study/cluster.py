"""Training on a Dask cluster."""

import traceback
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

from nnlab.config import MEASURES, NUMERICAL_VERSION, ConfigError, LauncherConfig
from nnlab.record.run import Run
from nnlab.study.attempt import Failure, attempt
from nnlab.study.stacking import Stack

__all__ = ["cluster_threads", "train_on_cluster"]

QUEUED = 3
"""Stacks submitted for each thread of the cluster: one in training, the others so that it never idles."""
RETRIES = 5
"""How often a stack is trained again after its worker is lost, before its runs count as failed."""
CONNECT_SECONDS = 15
"""How long to wait for the scheduler to answer, and for its first worker."""


def cluster_threads(launcher: LauncherConfig) -> int:
    """Return the number of stacks that the cluster trains at the same time.

    Raises ConfigError if the scheduler does not answer, or its workers cannot train.
    """
    with _connect(launcher) as client:
        return _check_workers(client, launcher)


def train_on_cluster(stacks: Sequence[Stack], launcher: LauncherConfig) -> Generator[Run | Failure, None, None]:
    """Yield results as stacks finish.

    Dask gives the stacks of a lost worker to another worker, and stacks to workers that join.
    """
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    waiting = deque(enumerate(stacks))
    submitted: dict[Any, Stack] = {}
    with _connect(launcher) as client:
        finished = as_completed(loop=client.loop)

        def submit() -> None:
            # Count the threads each time: workers may have joined.
            while waiting and len(submitted) < QUEUED * max(1, sum(client.nthreads().values())):
                position, stack = waiting.popleft()
                task = client.submit(attempt, stack, pure=False, retries=RETRIES, priority=-position)
                submitted[task] = stack
                finished.add(task)

        submit()
        for task in finished:
            stack = submitted.pop(task)
            submit()
            try:
                yield from task.result()
            except KilledWorker:
                text = f"{RETRIES} workers of the cluster were lost while they trained this stack\n"
                yield from (Failure(job, text + traceback.format_exc()) for job in stack.jobs)
            task.release()


def _connect(launcher: LauncherConfig) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError("launcher.backend=dask needs the extra: pip install -e '.[cluster]'") from None
    try:
        return Client(launcher.address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"launcher.address must name a Dask scheduler that answers, such as tcp://127.0.0.1:8786, "
            f"got {launcher.address!r}: {error}"
        ) from None


def _check_workers(client: Any, launcher: LauncherConfig) -> int:
    """Return the number of the cluster's threads. Raises ConfigError if its workers cannot train."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError:
        raise ConfigError(
            f"launcher.address must name a scheduler with workers, got {launcher.address!r} with none after "
            f"{CONNECT_SECONDS} s: start some with `dask worker {launcher.address} --nthreads 1`"
        ) from None
    try:
        versions = set(client.run(_versions).values())
    except Exception as error:  # anything that the workers' installation raises
        raise ConfigError(f"launcher.address must lead to workers that can import nnlab: {error!r}") from None
    if versions != {_versions()}:
        raise ConfigError(
            f"launcher.address must lead to workers with the same nnlab ({_versions()}), got "
            f"{' and '.join(sorted(versions))}: install the same version there"
        )
    return sum(client.nthreads().values())


def _versions() -> str:
    return f"numerical version {NUMERICAL_VERSION}, measures {MEASURES}"
