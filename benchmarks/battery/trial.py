"""Train the battery, check the outcome of every case, and judge it with nnlab's and four published rule sets."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import cast

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks.battery.cases import ANY, Case, cases
from benchmarks.battery.outcomes import Outcome, layers_of, state_of
from benchmarks.battery.rivals import RIVALS, observe
from nnlab.config import flatten
from nnlab.diagnostics.verdict import judge
from nnlab.record.run import Run
from nnlab.study.plan import prepare
from nnlab.study.run_stack import run_stack, snapshots

OURS = "nnlab"
OBSERVATIONS = 100
CASES = 40
"""Cases of a state in each half; candidates beyond them are not tried."""
HEALTHY_CASES = 120
RANDOM_CASES = 200


@dataclass(frozen=True)
class Result:
    """One training, the state in which it ended, and what each judge reported.

    Attributes
    ----------
    headline : nnlab's first finding
    named : the states that a judge named
    first : the iteration at which a judge named the true state
    alarmed : True if a judge raised any alarm
    """

    case: Case
    state: str
    headline: str
    named: dict[str, frozenset[str]]
    first: dict[str, int | None]
    alarmed: dict[str, bool]


def examine(case: Case) -> Result | None:
    """Train and judge one candidate; return None if it ended in no clear state or in another than its label."""
    (job,) = prepare([case.config])
    iterations = job.config.training.iterations
    evenly = sorted({round(t) for t in np.linspace(0, iterations, OBSERVATIONS + 1)})
    observations, weights = [], []
    with threadpool_limits(limits=1):
        for snapshot in snapshots([job.config], job.data, evenly):
            observations.append(observe(snapshot))
            weights.append(snapshot.parameters)
        outcome = Outcome(job.config, job.data, layers_of(weights[0]), layers_of(weights[-1]))
        state = state_of(outcome)
        if state is None or case.label not in (state, ANY):
            return None
        (run,) = run_stack([job.config], job.data, [job.fingerprint])
    named = {OURS: frozenset(run.verdict.all)}
    first = {OURS: _named_for_good(run, state)}
    alarmed = {OURS: run.verdict.name != "healthy"}
    for rival, (rules, means) in RIVALS.items():
        alarms = rules(observations)
        named[rival] = frozenset(state for symptom in alarms for state in means[symptom])
        right = [at for symptom, at in alarms.items() if state in means[symptom]]
        first[rival] = min(right, default=None)
        alarmed[rival] = bool(alarms)
    return Result(case, state, run.verdict.name, named, first, alarmed)


def _named_for_good(run: Run, state: str) -> int | None:
    """Return the iteration after which the headline, judged on the measurements up to then, is always the state."""
    if run.verdict.name != state:
        return None
    config = flatten(run.config)
    checkpoints = sorted(run.history["iteration"].unique())
    groups = run.history.groupby(["quantity", "layer"])
    curves = {cast("tuple[str, int]", key): group["value"].to_numpy() for key, group in groups}
    since = len(checkpoints)
    while since > 1:
        so_far = {key: curve[: since - 1] for key, curve in curves.items()}
        if judge(checkpoints[: since - 1], so_far, config, run.references).name != state:
            break
        since -= 1
    return int(checkpoints[since - 1])


def collect(part: str, n_jobs: int) -> tuple[list[Result], Counter[str]]:
    """Return the results of a part, and the number of dropped candidates of each label."""
    kept: list[Result] = []
    dropped: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, Parallel(n_jobs=n_jobs, batch_size=1) as workers:
        for label, candidates in groupby(cases(part, Path(folder)), key=lambda case: case.label):
            needed = {"healthy": HEALTHY_CASES, ANY: RANDOM_CASES}.get(label, CASES)
            good: list[Result] = []
            while len(good) < needed and (batch := list(islice(candidates, needed - len(good)))):
                results = workers(delayed(examine)(case) for case in batch)
                good += [result for result in results if result is not None]
                dropped[label] += results.count(None)
            kept += good
    return kept, dropped
