"""Measure cures on random trainings, and write docs/cures.md: does what is proposed make a network learn?

`python -m benchmarks.battery.cures --commit HASH` draws trainings with the first digits of a commit's hash as the seed.
Each network is kept in a file of its own (`--folder`), so a run that was ended goes on where it was.
"""

import argparse
import dataclasses
import json
import os
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks.battery.cures_page import page
from benchmarks.battery.draw import draw, write_files
from benchmarks.battery.fixes import REPAIRS, first_cure, remedies_of, torchmortem_repairs
from benchmarks.battery.outcomes import Outcome, layers_of
from benchmarks.battery.reachable import Reachable, answers_of, labels_of, reachable
from benchmarks.battery.records import OURS, TORCHMORTEM, Record, Tried
from benchmarks.battery.rivals import RIVALS, observe
from benchmarks.battery.torchmortem_rival import NEEDED, autopsy
from benchmarks.battery.trial import OBSERVATIONS
from benchmarks.peers import installed
from nnlab.config import SCIENCE, ConfigError, RunConfig, flatten, with_values
from nnlab.record.files import write_atomically
from nnlab.study.explanation import Explanation
from nnlab.study.plan import prepare
from nnlab.study.run_stack import run_stack, snapshots
from nnlab.study.stacking import Job
from nnlab.study.why import BUDGET, SEEDS, replicates, why

__all__ = ["examine", "main", "seed_of"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cures.md"
FOLDER = Path("results") / "cures"
NETWORKS = 300
SEED_DIGITS = 8
LEARNED_WATCHED = 3
"""torchmortem, which takes longest, watches every third of the networks that learned."""
AGREEMENT = 1e-6
"""The weights of PyTorch's network may differ from nnlab's by this share of the largest."""


def seed_of(commit: str) -> int:
    """Return the seed that the first eight digits of a commit's hash give."""
    return int(commit[:SEED_DIGITS], 16)


class Watched(NamedTuple):
    """One training: its job, its first and last weights, and what the rule sets saw."""

    job: Job
    outcome: Outcome
    alarms: dict[str, dict[str, int]]


def examine(number: int, config: RunConfig, folder: Path, *, budget: float = BUDGET) -> Record:
    """Train one network, ask why it did not learn, and train it with the first cure of every judge."""
    with tempfile.TemporaryDirectory() as results, threadpool_limits(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow, and of numbers that overflow
        config = dataclasses.replace(config, results_dir=results)
        watched = _watch(config)
        (run,) = run_stack([watched.job.config], watched.job.data, [watched.job.fingerprint])
        labels, answers = labels_of(watched.job.data), answers_of(watched.outcome.logits, watched.job.data.task)
        known = _reachable(watched.job, folder)
        wanted = run.verdict.outcome != "learned" or number % LEARNED_WATCHED == 0
        findings, remedies, agrees = _autopsy(watched) if wanted else (None, [], False)
        record = Record(
            number=number,
            config=_words(config),
            outcome=run.verdict.outcome,
            learned=run.verdict.learned,
            verdict=run.verdict.name,
            seconds=run.facts["seconds"],
            judged=known.share(labels, answers),
            findings=findings,
            agrees=agrees,
            alarms={rival: list(alarms) for rival, alarms in watched.alarms.items()},
        )
        if not record.missed:
            return record
        started = time.perf_counter()
        explanation = why(config, budget=budget, n_jobs=1)
        record = record._replace(
            budget=budget,
            why_seconds=time.perf_counter() - started,
            trials=[_tried(trial) for trial in explanation.trials],
            not_tried=list(explanation.not_tried),
            failures=list(explanation.failures),
        )
        proposed = {OURS: dict(run.verdict.cure)}
        for rival in REPAIRS:
            proposed[rival] = first_cure(config, remedies_of(rival, watched.alarms[rival]))
        if findings is not None:
            proposed[TORCHMORTEM] = first_cure(config, torchmortem_repairs(remedies))
        return record._replace(
            cures={judge: _with_cure(config, values, explanation) for judge, values in proposed.items() if values},
            asked=list(proposed),
        )


def _words(config: RunConfig) -> dict[str, Any]:
    values = {key: value for key, value in flatten(config).items() if key.split(".")[0] in SCIENCE}
    path = values["data.path"]
    return {**values, "data.path": path and Path(path).name}


def _watch(config: RunConfig) -> Watched:
    (job,) = prepare([config])
    evenly = sorted({round(t) for t in np.linspace(0, job.config.training.iterations, OBSERVATIONS + 1)})
    observations, weights = [], []
    for snapshot in snapshots([job.config], job.data, evenly):
        observations.append(observe(snapshot))
        weights.append(layers_of(snapshot.parameters))
    alarms = {rival: RIVALS[rival][0](observations) for rival in REPAIRS}
    return Watched(job, Outcome(job.config, job.data, weights[0], weights[-1]), alarms)


def _reachable(job: Job, folder: Path) -> Reachable:
    """Return the score that can be reached on a job's data. Read it from a file if there is one."""
    data = job.config.data
    path = folder / "reachable" / f"{Path(data.path).stem if data.path else data.name}-{data.seed}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(reachable(job.data)._asdict()))
    return Reachable(**json.loads(path.read_text(encoding="utf-8")))


def _autopsy(watched: Watched) -> tuple[list[tuple[str, str]] | None, list[str], bool]:
    """Return torchmortem's findings and remedies, and if PyTorch's weights agree; None if it is not installed."""
    if not all(map(installed, NEEDED)):
        return None, [], False
    report = autopsy(watched.job, watched.outcome.start)
    gaps = [
        np.abs(W - V).max() <= AGREEMENT * np.abs(W).max()
        for (W, _), (V, _) in zip(watched.outcome.end, report.weights, strict=True)
    ]
    return report.findings, report.remedies, bool(all(gaps))


def _tried(trial: Any) -> Tried:
    return Tried(
        [change.name for change in trial.changes],
        [change.aspect for change in trial.changes],
        dict(trial.values),
        list(trial.outcomes),
        list(trial.shares),
    )


def _with_cure(config: RunConfig, values: Mapping[str, Any], explanation: Explanation) -> Tried:
    """Return the outcomes of a cure with the seeds of `why`, which may have tried it already."""
    for trial in explanation.trials:
        if dict(trial.values) == dict(values):
            return _tried(trial)
    try:
        jobs = prepare([with_values(one, values) for one in replicates(config, SEEDS)])
    except ConfigError:
        return Tried([], [], dict(values), ["impossible"] * SEEDS, [float("nan")] * SEEDS)
    runs = run_stack([job.config for job in jobs], jobs[0].data, [job.fingerprint for job in jobs])
    return Tried([], [], dict(values), [run.verdict.outcome for run in runs], [run.verdict.learned for run in runs])


def _examine_into(path: Path, number: int, config: RunConfig, folder: Path, budget: float) -> None:
    if path.exists():
        if Record.read(path).config != _words(config):
            raise SystemExit(f"{path} is of another draw: name another --folder")
        return
    started = time.perf_counter()
    record = examine(number, config, folder, budget=budget)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, record.to_json())
    print(f"{number}: {record.outcome}, {record.verdict} ({time.perf_counter() - started:.0f} s)", flush=True)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.battery.cures", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--commit", help="the commit that froze the rules; its first eight digits are the seed")
    source.add_argument("--seed", type=int, help="the seed of a trial; its page is printed, not written")
    parser.add_argument("--networks", type=int, default=NETWORKS, help="trainings to draw")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the networks are kept")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="networks examined at the same time")
    parser.add_argument("--cores", type=int, default=1, help="cores whose work in the default budget `why` may do")
    options = parser.parse_args(words)
    seed = options.seed if options.commit is None else seed_of(options.commit)
    folder = options.folder / str(seed)
    files = write_files(folder / "data")
    configs = list(draw(options.networks, seed, files))
    paths = [folder / "networks" / f"{number:04d}.json" for number in range(len(configs))]
    if not all(map(installed, NEEDED)):
        print("torchmortem is left out: install torch and torchmortem to compare with it", flush=True)
    Parallel(n_jobs=options.jobs, batch_size=1)(
        delayed(_examine_into)(path, number, config, folder, options.cores * BUDGET)
        for number, (path, config) in enumerate(zip(paths, configs, strict=True))
    )
    text = page([Record.read(path) for path in paths], seed, options.commit)
    if options.commit is None:
        print(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
