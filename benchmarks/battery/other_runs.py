"""The causes that only other runs can show: small sweeps whose truth fresh seeds and wider networks tell.

A run that did not learn is stuck if the same network learns with most other seeds, and narrow if it learns with hardly
any, and four times as many units learn with nearly all. Seeds that the sweep did not contain decide, and the judge of
`reachable`, not nnlab's outcome.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks.battery.cases import DEVELOPMENT, HELD_OUT, Half
from benchmarks.battery.outcomes import CLEARLY_LEARNED, CLEARLY_MISSED, retrained
from nnlab import DataConfig, DiagnosticsConfig, InitConfig, ModelConfig, RunConfig, TrainingConfig
from nnlab.config import flatten
from nnlab.record.causes import causes_of
from nnlab.study.plan import prepare
from nnlab.study.run_stack import run_stack

__all__ = ["CAUSES", "HALVES", "Named", "named", "section"]

CAUSES = ("stuck", "narrow")
HALVES = {"development": DEVELOPMENT, "held out": HELD_OUT}
WIDTHS = (1, 2, 3, 4, 5, 6, 8)
DATA_SEEDS = (0, 1)
SEEDS, FRESH = 8, 10
WIDER = 4
FEW, MANY = 1, 9
"""So many of the fresh seeds are hardly any, and nearly all."""
MOST_FRESH = 8


class Named(NamedTuple):
    """A run that missed: its true cause ("stuck", "narrow" or "" for neither), and the one that nnlab named."""

    truth: str
    cause: str


def named(half: Half, n_jobs: int) -> tuple[list[Named], int]:
    """Return the runs of a half's sweeps that missed and whose cause is clear, and the number of the others."""
    runs = Parallel(n_jobs=n_jobs, batch_size=1)(delayed(_sweep)(config) for config in _settings(half))
    found = [run for sweep in runs for run in sweep]
    clear = [run for run in found if run is not None]
    return clear, len(found) - len(clear)


def _settings(half: Half) -> Iterator[RunConfig]:
    first = half.first_seed + 500
    choices = product(half.plane, ("tanh", "relu"), WIDTHS, DATA_SEEDS)
    for number, (data, activation, width, data_seed) in enumerate(choices):
        yield RunConfig(
            seed=first + 20 * number,
            data=DataConfig(data, seed=data_seed),
            model=ModelConfig(hidden_size=width, activation=activation),
            init=InitConfig("he" if activation == "relu" else "xavier", 1.0),
            training=TrainingConfig(3000, 0.3 if activation == "relu" else 1.0),
            diagnostics=DiagnosticsConfig("none", checkpoints=2),
        )


def _sweep(config: RunConfig) -> list[Named | None]:
    """Return the runs of a sweep over seeds and two widths that missed; None for those whose cause is not clear."""
    wide = replace(config, model=replace(config.model, hidden_size=WIDER * config.model.hidden_size))
    with threadpool_limits(limits=1):
        truth = _truth(_fresh(config), _fresh(wide))
        runs = []
        for setting in (config, wide):
            jobs = prepare([replace(setting, seed=setting.seed + number) for number in range(SEEDS)])
            runs += run_stack([job.config for job in jobs], jobs[0].data, [job.fingerprint for job in jobs])
        judged = retrained([run.config for run in runs[:SEEDS]])
    facts = [
        {"fingerprint": run.fingerprint, "config": flatten(run.config), "outcome": run.verdict.outcome} for run in runs
    ]
    causes = causes_of(facts, [])
    return [
        None if truth is None else Named(truth, causes[run.fingerprint])
        for run, outcome in zip(runs[:SEEDS], judged, strict=True)
        if outcome.share <= CLEARLY_MISSED
    ]


def _fresh(config: RunConfig) -> list[float]:
    """Return the shares of what can be reached that ten other seeds learn."""
    seeds = range(config.seed + SEEDS, config.seed + SEEDS + FRESH)
    return [outcome.share for outcome in retrained([replace(config, seed=seed) for seed in seeds])]


def _truth(shares: Sequence[float], wide: Sequence[float]) -> str | None:
    """Return the cause, given the shares that fresh seeds learn, and those of a wider network; None if not clear."""

    def reach(values: Sequence[float], limit: float) -> int:
        return sum(value >= limit for value in values)

    if reach(shares, CLEARLY_LEARNED) >= MOST_FRESH:
        return "stuck"
    if reach(shares, CLEARLY_MISSED) > FEW:
        return None
    return "narrow" if reach(wide, CLEARLY_LEARNED) >= MANY else "" if reach(wide, CLEARLY_MISSED) <= FEW else None


def section(found: Sequence[Named], unclear: int) -> str:
    """Return the recall and precision of a half in Markdown."""
    lines = ["| cause | runs | recall | precision |", "|---|---|---|---|"]
    for cause in CAUSES:
        truly = [run for run in found if run.truth == cause]
        said = [run for run in found if run.cause == cause]
        right = len([run for run in truly if run.cause == cause])
        lines.append(f"| {cause} | {len(truly)} | {_ratio(right, len(truly))} | {_ratio(right, len(said))} |")
    neither = Counter(run.cause or "neither" for run in found if not run.truth)
    said_of_neither = ", ".join(f"{cause} {count} times" for cause, count in neither.items()) or "never"
    return "\n".join(
        [*lines, "", f"Neither was true, and nnlab said: {said_of_neither}. Runs whose cause is not clear: {unclear}."]
    )


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"
