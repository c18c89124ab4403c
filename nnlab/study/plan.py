"""From the configs of a sweep to stacks: checked, fingerprinted, grouped, sized."""

import dataclasses
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import ceil

import numpy as np

from nnlab.config import (
    ConfigError,
    RunConfig,
    fingerprint,
    flatten,
    independent_keys,
    overrides,
    resolve,
    setting_name,
)
from nnlab.datasets import Dataset, file_digest, load_dataset
from nnlab.network.inplace import working_set
from nnlab.network.parameters import parameter_count
from nnlab.study.run import layer_sizes
from nnlab.validation import validate

__all__ = ["Job", "Stack", "plan_stacks", "prepare", "repeat_command", "run_name", "seconds", "swept_keys"]

CACHE = 1 << 20
"""Bytes that a stack's widest layer may touch: the L2 cache of one core on common servers."""
SMALLEST_STACK, LARGEST_STACK = 4, 64


@dataclass(frozen=True)
class Job:
    """One run that is asked for: its place in the sweep, its resolved config, its data."""

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
        """About how long one worker needs."""
        return sum(seconds(job) for job in self.jobs)


def prepare(configs: Sequence[RunConfig], swept: Sequence[str] | None = None) -> list[Job]:
    """Check every config and load every data set, before anything runs; name the runs by the swept keys.

    Raises ConfigError with all that is wrong, each message once, and in how many of the runs.
    """
    problems: Counter[str] = Counter()
    datasets: dict[str, Dataset | None] = {}
    digests: dict[str, str] = {}
    resolved = []
    for config in configs:
        try:
            validate(config)
        except ConfigError as error:
            problems.update(str(error).splitlines())
            continue
        resolved.append(resolve(config))
        key = _data_key(resolved[-1])
        try:
            if key not in datasets:
                datasets[key] = None
                datasets[key] = load_dataset(resolved[-1].data)
                path = resolved[-1].data.path
                digests[key] = file_digest(path) if path else ""
            data = datasets[key]
            if data is not None:
                _check_against_data(resolved[-1], data)
        except ConfigError as error:
            problems.update([str(error)])
    if problems:
        raise ConfigError(_report(problems, len(configs)))
    _check_agreement(resolved)
    swept = swept_keys(resolved) if swept is None else swept
    jobs = []
    for index, config in enumerate(resolved):
        key = _data_key(config)
        data = datasets[key]
        assert data is not None  # else it is among the problems
        jobs.append(Job(index, config, fingerprint(config, digests[key]), data, run_name(config, swept)))
    return jobs


def _check_agreement(configs: Sequence[RunConfig]) -> None:
    rows = [flatten(config) for config in configs]
    for key in (key for key in rows[0] if key == "results_dir" or key.startswith(("tracking.", "launcher."))):
        values = sorted({repr(row[key]) for row in rows})
        if len(values) > 1:
            raise ConfigError(f"{key} must be the same in all runs of a sweep, got {', '.join(values)}")


def swept_keys(configs: Iterable[RunConfig]) -> list[str]:
    """Return the keys whose values differ between runs, in the order of the config.

    What merely follows from another choice, as a data set's noise from its name, is not swept.
    """
    rows = [flatten(config) for config in configs]
    return independent_keys({key: [repr(row[key]) for row in rows] for key in rows[0]})


_UNSWEPT = ("model.activation", "model.hidden_size", "init.scale", "seed")


def run_name(config: RunConfig, swept: Sequence[str]) -> str:
    """Return a name made of what was swept: `tanh h4 scale 0.01 seed 3`."""
    values = flatten(config)
    return setting_name({key: values[key] for key in swept or _UNSWEPT})


def repeat_command(job: Job) -> str:
    """Return what to type to make one run of a study alone."""
    return f"python experiments/train.py {shlex.join(overrides(job.config))}"


def plan_stacks(jobs: Sequence[Job], n_jobs: int) -> list[Stack]:
    """Group like networks into stacks that stay in the cache, the longest and the shortest in turn.

    A group is cut into more stacks than the cache asks for where workers would be idle otherwise. Long ones come early
    so that no worker is left alone with one in the end; the short ones between them keep the writer busy meanwhile.
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
    """Return about how long one run takes inside a stack.

    Two terms: 2.2 ns for each hidden unit and example (the activation and the passes over it), and the products at
    40 GFLOP/s; fitted to `make bench`.
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
    # Mini-batches are small, but checkpoints look at all examples.
    in_memory = _memory() // 4 // max(n_jobs, 1) // _needed(job.config, job.data)
    return max(1, min(max(SMALLEST_STACK, fits), LARGEST_STACK, in_memory))


def _memory() -> int:
    """Return the bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _needed(config: RunConfig, data: Dataset) -> int:
    """Return the bytes of one network and of what a checkpoint sees of it.

    These are Z, A, dZ and the inputs on all examples, and the parameters three times.
    """
    sizes = layer_sizes(config, data)
    numbers = 4 * sum(sizes) * data.X.shape[1] + 3 * parameter_count(sizes)
    return numbers * np.dtype(config.training.dtype).itemsize


def _stack_key(config: RunConfig) -> str:
    """Equal for configs that can be trained together: only seed, initialization and learning rate may differ."""
    training = dataclasses.replace(config.training, learning_rate=0.0)
    return repr((config.data, config.model, training, config.diagnostics))


def _data_key(config: RunConfig) -> str:
    return repr(config.data)


def _check_against_data(config: RunConfig, data: Dataset) -> None:
    m, batch_size = data.X.shape[1], config.training.batch_size
    if batch_size is not None and batch_size > m:
        raise ConfigError(
            f"training.batch_size must be at most {m}, the training examples of {config.data.name}, "
            f"or null for the full batch, got {batch_size}"
        )
    if config.training.dtype == "float32":
        largest = max(float(np.abs(part).max()) for part in (data.X, data.Y, data.X_test, data.Y_test))
        if largest > float(np.finfo(np.float32).max):
            raise ConfigError(f"training.dtype must be float64 for data with numbers up to {largest:.3g}, got float32")
    needed, memory = _needed(config, data), _memory()
    if needed > memory / 4:
        raise ConfigError(
            f"model.hidden_size, model.depth or model.layers must give a network that fits in memory: "
            f"{config.model.depth} layers of up to {config.model.hidden_size} units on {m} examples need "
            f"{needed / 2**30:.0f} GiB, a quarter of this machine is {memory / 2**32:.0f} GiB"
        )


def _report(problems: Counter[str], runs: int) -> str:
    if runs == 1:
        return "\n".join(problems)
    return "\n".join(f"{message} (in {count} of {runs} runs)" for message, count in problems.items())
