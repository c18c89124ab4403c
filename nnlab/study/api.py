"""Many networks from Python: the configs go in, the runs come back in their order."""

import warnings
from collections.abc import Sequence

from nnlab.config import ConfigError, RunConfig
from nnlab.record.run import Run
from nnlab.study.execute import Study
from nnlab.study.workers import Failure

__all__ = ["StudyError", "run", "sweep"]


class StudyError(RuntimeError):
    """Some runs of a study raised. The others are kept."""


def sweep(configs: Sequence[RunConfig], *, n_jobs: int | None = None, tracking: bool = False) -> list[Run]:
    """Train many networks and return their runs in the order given.

    Like networks are trained together as stacks, in `n_jobs` worker processes (None: one per core). Every run is
    kept in the results folder; one that is there already is read, not made again. With `tracking` it is recorded
    in MLflow as well.

    Raises ConfigError before anything runs if a config or its data is wrong, and StudyError at the end if runs
    failed; the others are kept. Warns if the tracking server did not answer; everything is on disk then.
    """
    if isinstance(configs, RunConfig):
        raise ConfigError("configs must be a list of RunConfig, got one: [config], or nnlab.run(config)")
    configs = list(configs)
    if not configs:
        return []
    study = Study.plan(configs, n_jobs=n_jobs, tracking=tracking)
    with study.heeding_stops():
        results = list(study.execute())
    if study.offline:
        warnings.warn(
            f"MLflow did not answer: {study.offline}. All runs are on disk; `make sync` tells it later.", stacklevel=2
        )
    failures = [result for result in results if isinstance(result, Failure)]
    if failures:
        raise StudyError(
            f"{len(failures)} of {len(configs)} runs failed; the first, {failures[0].job.name}:\n{failures[0].text}"
        )
    fresh = {result.fingerprint: result for result in results if isinstance(result, Run)}
    return [fresh.get(job.fingerprint) or study.store.read(job.fingerprint) for job in study.jobs]


def run(config: RunConfig, *, tracking: bool = False) -> Run:
    """Train one network: a sweep of one."""
    return sweep([config], n_jobs=1, tracking=tracking)[0]
