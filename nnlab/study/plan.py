"""What a study will do: all configs checked and named, finished runs found, and the rest divided among workers."""

import datetime
import shlex
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Literal

import numpy as np

from nnlab.config import ConfigError, RunConfig, fingerprint, flatten, overrides, resolve
from nnlab.datasets import DRAWN, Dataset, file_digest, load_dataset
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.seeding import legacy_stream
from nnlab.settings import run_name, swept_keys
from nnlab.study.stacking import Job, Stack, machine_memory, memory_needed, plan_stacks
from nnlab.study.workers import cores
from nnlab.tracking.connection import check_uri, tracking_uri
from nnlab.validation import validate

__all__ = ["Datasets", "Plan", "make_plan", "prepare", "repeat_command"]

LOGGING_SECONDS = 0.04
"""About the seconds that the writer needs to log one run to MLflow on SQLite (`make bench`)."""


@dataclass(frozen=True)
class Plan:
    """Runs of one experiment, checked and planned; `nnlab.study.execute.execute` trains them.

    Attributes
    ----------
    jobs : every requested run, in order; the same run may occur twice
    todo : the runs that are not on disk yet (all of them with launcher.force), each once
    results : the results folder
    swept : the config keys that vary
    kind : "sweep"; "run", a single run that belongs to no sweep; or "job", one job of a sweep of another launcher
    sweep : the name of the sweep, or of the single run's launch
    tracking : True if runs are logged to MLflow
    n_jobs : the number of stacks trained at the same time
    command : what was typed; empty if the plan was made in Python
    question : what the experiment asks; empty if its preset does not say
    """

    jobs: tuple[Job, ...]
    todo: tuple[Job, ...]
    results: Results
    swept: tuple[str, ...]
    kind: Literal["sweep", "run", "job"]
    sweep: str
    tracking: bool
    n_jobs: int
    command: str = ""
    question: str = ""

    @property
    def config(self) -> RunConfig:
        """The first config. All runs agree in results_dir, tracking and launcher."""
        return self.jobs[0].config

    @property
    def experiment(self) -> str:
        """The experiment of all runs."""
        return self.config.tracking.experiment

    @property
    def folders(self) -> RunFolders:
        """The run folders of the experiment."""
        return RunFolders(self.results, self.experiment)

    @property
    def force(self) -> bool:
        """True if runs that are on disk already are trained again."""
        return self.config.launcher.force

    @property
    def uri(self) -> str:
        """The tracking URI."""
        return tracking_uri(self.config)

    @property
    def cautions(self) -> list[str]:
        """What the user should know about these runs, although they are legal: one sentence each."""
        shared = sum(_shares_its_draws(job.config) for job in self.jobs)
        text = (
            "init.generator=legacy with seed = data.seed draws the weights from the same numbers as the noise of the "
            f"data (in {shared} of {len(self.jobs)} runs): take another seed if they should be independent"
        )
        return [text] * (shared > 0)

    @cached_property
    def stacks(self) -> list[Stack]:
        """The networks that are trained together, in the order of training."""
        return plan_stacks(self.todo, self.n_jobs)

    def seconds(self) -> float:
        """Return an estimate of the time that the study will take."""
        workers = min(self.n_jobs, max(len(self.stacks), 1))
        training = sum(stack.seconds for stack in self.stacks) / workers
        logging = LOGGING_SECONDS * len(self.todo) * self.tracking
        # Training and logging overlap, on the same cores.
        return 2.0 * self.tracking + max(training, logging) + min(training, logging) / (workers + 1)


def make_plan(
    configs: Sequence[RunConfig],
    *,
    n_jobs: int | None = None,
    tracking: bool = True,
    sweep: str | None = None,
    swept: Sequence[str] | None = None,
    command: str = "",
    question: str = "",
) -> Plan:
    """Check every config and every data file, and return the plan.

    A run is done if its run folder exists: folders are named by fingerprint, and complete if they exist at all.
    `sweep` is the name of the sweep. `swept` are the keys that the whole sweep varies, if these configs are only one
    job of it. Raises ConfigError before anything is written.
    """
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs < 1):
        raise ConfigError(f"n_jobs must be an integer of at least 1, or None for one per core, got {n_jobs!r}")
    jobs = prepare(configs, swept)
    shared = jobs[0].config
    tracking = tracking and shared.tracking.enabled
    if tracking:
        check_uri(shared)
    results = Results.at(shared.results_dir)
    folders = RunFolders(results, shared.tracking.experiment)
    done = set() if shared.launcher.force else set(folders.fingerprints())
    return Plan(
        jobs=tuple(jobs),
        todo=tuple({job.fingerprint: job for job in jobs if job.fingerprint not in done}.values()),
        results=results,
        swept=tuple(swept_keys(job.config for job in jobs) if swept is None else swept),
        kind="job" if swept is not None else "run" if sweep is None and len(jobs) == 1 else "sweep",
        sweep=sweep or f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:4]}",
        tracking=tracking,
        n_jobs=int(n_jobs or 0) or shared.launcher.n_jobs or cores(shared.launcher),
        command=command,
        question=question,
    )


def _shares_its_draws(config: RunConfig) -> bool:
    """Return True if the initial weights are drawn from the stream that the training data were drawn from."""
    return (
        config.init.generator == "legacy"
        and config.init.scheme not in ("zeros", "constant")
        and config.seed == config.data.seed
        and config.data.name in DRAWN
        and DRAWN[config.data.name].rng is legacy_stream
        and bool(config.data.noise)
    )


def prepare(
    configs: Sequence[RunConfig], swept: Sequence[str] | None = None, datasets: "Datasets | None" = None
) -> list[Job]:
    """Check every config, load every data set and name the runs by the swept keys.

    `datasets` keeps the data sets for later calls.

    Raises ConfigError with everything that is wrong: each message once, with the number of runs it concerns.
    """
    datasets = datasets or Datasets()
    problems: Counter[str] = Counter()
    resolved = []
    for config in configs:
        try:
            validate(config)
            data = datasets.load(resolve(config))
            resolved.append(resolve(config, data.kind))
            _check_against_data(resolved[-1], data)
        except ConfigError as error:
            problems.update(str(error).splitlines())
    if problems:
        raise ConfigError(_report(problems, len(configs)))
    _check_agreement(resolved)
    swept = swept_keys(resolved) if swept is None else swept
    return [
        Job(
            index,
            config,
            fingerprint(config, datasets.digest(config)),
            datasets.load(config),
            run_name(config, swept),
        )
        for index, config in enumerate(resolved)
    ]


def _digest(path: str, left_out: Sequence[str]) -> str:
    """Return the digest of a file's content, with the names of the columns that were left out."""
    return file_digest(path) + "".join(f" without {name}" for name in left_out)


class Datasets:
    """Data sets, each loaded once."""

    def __init__(self) -> None:
        self._loaded: dict[str, Dataset | ConfigError] = {}
        self._digests: dict[str, str] = {}

    def load(self, config: RunConfig) -> Dataset:
        """Return the data of a config. Raises ConfigError if it cannot be loaded."""
        key = repr(config.data)
        if key not in self._loaded:
            try:
                data = self._loaded[key] = load_dataset(config.data)
                self._digests[key] = _digest(config.data.path, data.left_out) if config.data.path else ""
            except ConfigError as error:
                self._loaded[key] = error
        result = self._loaded[key]
        if isinstance(result, ConfigError):
            raise result
        return result

    def digest(self, config: RunConfig) -> str:
        """Return the digest of the file that a config's data were loaded from, empty if there is none."""
        return self._digests[repr(config.data)]


def _check_agreement(configs: Sequence[RunConfig]) -> None:
    rows = [flatten(config) for config in configs]
    for key in (key for key in rows[0] if key == "results_dir" or key.startswith(("tracking.", "launcher."))):
        values = sorted({repr(row[key]) for row in rows})
        if len(values) > 1:
            raise ConfigError(f"{key} must be the same in all runs of a sweep, got {', '.join(values)}")


def repeat_command(job: Job) -> str:
    """Return the command that trains one run of a study alone."""
    return f"nnlab run {shlex.join(overrides(job.config))}"


def _check_against_data(config: RunConfig, data: Dataset) -> None:
    m, batch_size = data.X.shape[1], config.training.batch_size
    if batch_size is not None and batch_size > m:
        raise ConfigError(
            f"training.batch_size must be at most {m}, the training examples of {config.data.name}, "
            f"or null for the full batch, got {batch_size}"
        )
    if config.training.dtype == "float32":
        parts = (data.X, data.Y, data.X_test, data.Y_test)
        largest = max(float(np.abs(part).max(initial=0.0)) for part in parts)
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
