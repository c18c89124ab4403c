"""Train on real files at the defaults: which of them diverge?"""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import nnlab
from benchmarks.own_data.loads import Attempt
from nnlab.study.api import StudyError

__all__ = ["REGRESSIONS", "ROWS", "Trained", "chosen", "train"]

REGRESSIONS = 45
ROWS = 2_000
"""Files with more rows are not trained, unless --rows says so: ten thousand iterations take minutes there."""
BATCH = 40
"""Files that are planned and trained together, so that the progress can be printed."""


class Trained(NamedTuple):
    """A file, its task, and how its training ended: an outcome of nnlab, or an error."""

    name: str
    task: str
    outcome: str
    learned: float


def chosen(attempts: Sequence[Attempt], task: str, rows: int, most: int | None) -> list[Attempt]:
    """Return the first files of a task, by their names, with at most so many rows."""
    return [one for one in attempts if one.expected.task == task and one.expected.rows <= rows][:most]


def train(
    attempts: Sequence[Attempt], iterations: int, n_jobs: int, tell: Callable[[str], None] = print
) -> list[Trained]:
    """Train the default network on each file; a file that does not load is reported as such."""
    trained: list[Trained] = []
    for start in range(0, len(attempts), BATCH):
        batch = attempts[start : start + BATCH]
        trained += _train(batch, iterations, n_jobs)
        diverged = [one.name for one in trained if one.outcome == "diverged"]
        tell(f"{len(trained)} of {len(attempts)} files trained, diverged: {', '.join(diverged) or 'none'}")
    return trained


def _train(batch: Sequence[Attempt], iterations: int, n_jobs: int) -> list[Trained]:
    ready = [one for one in batch if one.loaded]
    with tempfile.TemporaryDirectory() as folder:
        configs = [
            nnlab.RunConfig(
                data=dataclasses.replace(one.data),
                training=nnlab.TrainingConfig(iterations=iterations),
                tracking=nnlab.TrackingConfig(enabled=False, report=False),
                results_dir=folder,
            )
            for one in ready
        ]
        try:
            runs = nnlab.sweep(configs, n_jobs=n_jobs)
        except StudyError as error:
            if len(batch) == 1:
                return [_failed(batch[0], f"raised: {str(error).splitlines()[-1]}")]
            return [result for one in batch for result in _train([one], iterations, n_jobs)]
    results = {
        one.source.name: Trained(one.source.name, run.task, run.verdict.outcome, run.verdict.learned)
        for one, run in zip(ready, runs, strict=True)
    }
    return [results.get(one.source.name) or _failed(one, "not loaded") for one in batch]


def _failed(one: Attempt, outcome: str) -> Trained:
    return Trained(one.source.name, one.expected.task, outcome, float("nan"))
