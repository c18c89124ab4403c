"""Jobs grouped into stacks that fit the cache."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil

import numpy as np
import psutil

from nnlab.config import RunConfig
from nnlab.datasets import Dataset
from nnlab.network.inplace import working_set
from nnlab.network.parameters import parameter_count
from nnlab.study.run_stack import layer_sizes

__all__ = ["Job", "Stack", "machine_memory", "memory_needed", "plan_stacks", "seconds"]

CACHE = 1 << 20
"""Bytes that a stack's widest layer may touch: the L2 cache of one core on common servers."""
SMALLEST_STACK, LARGEST_STACK = 4, 64


@dataclass(frozen=True)
class Job:
    """One run to be made: its position in the sweep, its resolved config, its data."""

    index: int
    config: RunConfig
    fingerprint: str
    data: Dataset
    name: str


@dataclass(frozen=True)
class Stack:
    """Jobs that are trained together."""

    jobs: tuple[Job, ...]

    @property
    def seconds(self) -> float:
        """Estimated training time in seconds on one worker."""
        return sum(seconds(job) for job in self.jobs)


def plan_stacks(jobs: Sequence[Job], n_jobs: int) -> list[Stack]:
    """Group jobs that can be trained together into stacks that fit the cache; return long and short ones alternately.

    A group is cut into smaller stacks if some workers would otherwise be idle. Long stacks come early, so that none is
    left for a single worker at the end. The short ones between them keep the writer busy meanwhile.
    """
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_stack_key(job.config), []).append(job)
    per_worker = ceil(len(jobs) / max(n_jobs, 1))
    stacks = []
    for group in groups.values():
        count = ceil(len(group) / min(_stack_size(group[0], n_jobs), per_worker))
        stacks += [Stack(tuple(group[part::count])) for part in range(count)]
    stacks.sort(key=lambda stack: -stack.seconds)
    half = ceil(len(stacks) / 2)
    in_turn = zip_longest(stacks[:half], reversed(stacks[half:]))
    return [stack for pair in in_turn for stack in pair if stack is not None]


def seconds(job: Job) -> float:
    """Return an estimate of the time that one run takes inside a stack, in seconds.

    Two terms, fitted to `make bench`: 2.2 ns for each unit and example (the activation and the passes over it), and
    the matrix products at 40 GFLOP/s.
    """
    sizes = layer_sizes(job.config, job.data)
    training = job.config.training
    m = training.batch_size or job.data.X.shape[1]
    activations = 2.2e-9 * m * sum(sizes[1:])
    products = 6 * m * parameter_count(sizes) / 40e9
    single = 2.0 if training.dtype == "float64" else 1.0
    slow = 1.4 if training.arithmetic == "exact" else 1.0
    return training.iterations * (1e-6 + single / 2.0 * slow * (activations + products))


def _stack_size(job: Job, n_jobs: int) -> int:
    sizes = layer_sizes(job.config, job.data)
    m = job.config.training.batch_size or job.data.X.shape[1]
    fits = CACHE // working_set(sizes, m, np.dtype(job.config.training.dtype).itemsize)
    # Mini-batches are small, but checkpoints measure all examples.
    in_memory = machine_memory() // 4 // max(n_jobs, 1) // memory_needed(job.config, job.data)
    return max(1, min(max(SMALLEST_STACK, fits), LARGEST_STACK, in_memory))


def machine_memory() -> int:
    """Return the size of this machine's memory in bytes."""
    return int(psutil.virtual_memory().total)


def memory_needed(config: RunConfig, data: Dataset) -> int:
    """Return the memory in bytes that one network and its checkpoints need.

    These are Z, A, dZ and the inputs on all examples, and three copies of the parameters.
    """
    sizes = layer_sizes(config, data)
    numbers = 4 * sum(sizes) * data.X.shape[1] + 3 * parameter_count(sizes)
    return numbers * np.dtype(config.training.dtype).itemsize


def _stack_key(config: RunConfig) -> str:
    """Return a key that is equal for configs that differ only in seed, initialization and learning rate."""
    training = dataclasses.replace(config.training, learning_rate=0.0)
    return repr((config.data, config.model, training, config.diagnostics))
