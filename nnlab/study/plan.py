"""From the configs of a sweep to stacks: checked, fingerprinted, grouped, sized."""

import shlex
from collections import Counter
from collections.abc import Sequence

import numpy as np

from nnlab.config import ConfigError, RunConfig, fingerprint, flatten, overrides, resolve
from nnlab.datasets import Dataset, file_digest, load_dataset
from nnlab.settings import run_name, swept_keys
from nnlab.study.stacking import Job, machine_memory, memory_needed
from nnlab.validation import validate

__all__ = ["Job", "prepare", "repeat_command"]


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


def repeat_command(job: Job) -> str:
    """Return what to type to make one run of a study alone."""
    return f"python experiments/train.py {shlex.join(overrides(job.config))}"


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
    needed, memory = memory_needed(config, data), machine_memory()
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
