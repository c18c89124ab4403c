"""Networks from Python: configs go in, runs are returned in the same order."""

import warnings
from collections.abc import Sequence

from nnlab.config import ConfigError, RunConfig
from nnlab.record.run import Run
from nnlab.study.execute import execute
from nnlab.study.plan import make_plan
from nnlab.study.workers import Failure

__all__ = ["StudyError", "run", "sweep"]


class StudyError(RuntimeError):
    """Some runs of a sweep raised. The others are on disk."""


def sweep(configs: Sequence[RunConfig], *, n_jobs: int | None = None, tracking: bool = False) -> list[Run]:
    """Train many networks and return their runs in the order given.

    Networks of the same shape are trained together as stacks, in `n_jobs` worker processes (None: one per core).
    Every run is kept in the results folder; one that is there already is read instead of trained. With `tracking`
    runs are logged to MLflow as well.

    Raises ConfigError before anything runs if a config or its data is wrong, and StudyError at the end if runs
    failed; the others are on disk. Warns if MLflow failed (everything is on disk then), and of weights that are not
    independent of the data.
    """
    if isinstance(configs, RunConfig):
        raise ConfigError("configs must be a list of RunConfig, got one: [config], or nnlab.run(config)")
    configs = list(configs)
    if not configs:
        return []
    plan = make_plan(configs, n_jobs=n_jobs, tracking=tracking)
    for caution in plan.cautions:
        warnings.warn(caution, stacklevel=2)
    new: dict[str, Run] = {}

    def collect(result: Run | Failure) -> None:
        if isinstance(result, Run):
            new[result.fingerprint] = result

    outcome = execute(plan, collect)
    if outcome.logged and outcome.logged.failure:
        warnings.warn(
            f"MLflow did not answer: {outcome.logged.failure}. All runs are on disk; `nnlab sync` logs them later.",
            stacklevel=2,
        )
    if outcome.failures:
        first = outcome.failures[0]
        raise StudyError(
            f"{len(outcome.failures)} of {len(configs)} runs failed; the first, {first.job.name}:\n{first.text}"
        )
    return [new.get(job.fingerprint) or plan.folders.read(job.fingerprint) for job in plan.jobs]


def run(config: RunConfig, *, tracking: bool = False) -> Run:
    """Train one network: a sweep of one."""
    return sweep([config], n_jobs=1, tracking=tracking)[0]
