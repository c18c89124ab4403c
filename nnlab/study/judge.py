"""Recorded runs judged again, without training: from their weights, their curves and their data."""

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from nnlab.config import MEASURES, ConfigError, RunConfig, flatten
from nnlab.datasets import Dataset
from nnlab.diagnostics import function, verdict
from nnlab.diagnostics.verdict import Verdict
from nnlab.network.activations import ACTIVATIONS
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import ARITHMETICS
from nnlab.network.training import Snapshot
from nnlab.record.history import curves_of
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import judgement
from nnlab.results import Results
from nnlab.study.plan import Datasets
from nnlab.study.provenance import versions
from nnlab.study.references import references_of, scikit_learn
from nnlab.study.run_stack import final_scores, layer_sizes, snapshots
from nnlab.study.sync import run_folders_of

__all__ = ["Judged", "judge", "judge_each"]


@dataclass(frozen=True)
class Judged:
    """A recorded run that was judged again.

    Attributes
    ----------
    fingerprint : the run's name
    before, after : its verdicts; None if it was left alone
    problem : why it was left alone; empty if it was judged
    """

    fingerprint: str
    before: Verdict | None = None
    after: Verdict | None = None
    problem: str = ""


def judge(experiment: str, results_dir: str = RunConfig.results_dir) -> list[Judged]:
    """Judge all recorded runs of an experiment again, by the rules of today and without training.

    Each run gets a verdict, an outcome and what was learned, from its data, its final weights and the curves that were
    recorded with it. Rules whose quantities were not measured then do not object. Only run.json is written, and only
    if something in it changes; its `facts` then say when the run was judged. A run that cannot be judged, because its
    data are not those that it was trained on or its folder is damaged, is left alone. `nnlab sync` brings MLflow level.

    Raises ConfigError if the experiment has no run folders.
    """
    folders = run_folders_of(experiment, results_dir)
    return list(judge_each(folders, folders.fingerprints(), Results.at(results_dir)))


def judge_each(folders: RunFolders, fingerprints: Sequence[str], results: Results) -> Iterator[Judged]:
    """Judge these runs of one experiment as `judge` does; yield each once it is on disk."""
    datasets = Datasets()
    at = datetime.datetime.now(datetime.UTC).isoformat()
    judged = {"at": at, "measures": MEASURES, "scikit_learn": scikit_learn(), **versions()}
    for fingerprint in fingerprints:
        try:
            before = folders.read(fingerprint)
            after = _judged(before, datasets.load(_as_trained(before)), results)
            if judgement(after) != judgement(before):
                folders.write_judgement(before, replace(after, facts={**before.facts, "judged": judged}))
        except (ConfigError, FileNotFoundError) as error:
            yield Judged(fingerprint, problem=str(error))
        else:
            yield Judged(fingerprint, before.verdict, after.verdict)


def _as_trained(run: Run) -> RunConfig:
    """Return the config that loads what a run was trained on: earlier versions took every column of a file as an input.

    They recorded no columns.
    """
    data = run.config.data
    return (
        replace(run.config, data=replace(data, ignore=[])) if data.path and not run.preparation.columns else run.config
    )


def _judged(run: Run, data: Dataset, results: Results) -> Run:
    """Return the run with the verdict and the references of today. Raises ConfigError if its data have changed.

    Versions may differ in the test part of a data set. Where it is not the recorded one, what was learned on test data
    is not known, and what the run says about test data stays as it was recorded.
    """
    with threadpool_limits(limits=1):
        same_test_part = _check_data(run, data)
        references = references_of(data, results)
        train, test = final_scores(_final_snapshot(run, data), data)[0]
    iterations, curves = curves_of(run.history)
    if not same_test_part:
        references = references._replace(score_test=run.references.score_test)
        curves = {key: curve for key, curve in curves.items() if not key[0].endswith("/test")}
        test = math.nan
    found = verdict.judge(iterations, curves, flatten(run.config), references, (train, test), run.fingerprint)
    return replace(
        run,
        verdict=found if same_test_part else replace(found, warning=found.warning or run.verdict.warning),
        references=references,
    )


def _check_data(run: Run, data: Dataset) -> bool:
    """Return True if the test part is the recorded one. Raises ConfigError if the training part is not.

    The recorded costs decide: at the end of training, or at its start if they have become inf or NaN by then.
    """
    changed = "the data of its config are not those that it was trained on"
    if data.task != run.task or layer_sizes(run.config, data) != list(run.sizes):
        raise ConfigError(f"{changed}: they have another task or other sizes")
    final = run.history["iteration"].max()
    recorded = _recorded_costs(run, final)
    if np.isfinite(recorded[0]):
        where, snapshot = "its weights", _final_snapshot(run, data)
    else:
        where, snapshot = "its initial weights", next(snapshots([run.config], data, [0]))
        recorded = _recorded_costs(run, 0)
    measured = _costs(snapshot, data)
    eps = np.finfo(snapshot.parameters.flat.dtype).eps
    train, test = np.isclose(measured, recorded, rtol=np.sqrt(eps), atol=eps, equal_nan=True)
    if not train:
        raise ConfigError(f"{changed}: {where} have a cost of {measured[0]:.6g} there, recorded is {recorded[0]:.6g}")
    return bool(test)


def _recorded_costs(run: Run, iteration: int) -> list[float]:
    """Return the costs on training and test data that were recorded at an iteration; NaN if there are no test data."""
    rows = run.history[run.history["iteration"] == iteration].set_index("quantity")["value"]
    return [float(rows["cost/train"]), float(rows.get("cost/test", math.nan))]


def _costs(snapshot: Snapshot, data: Dataset) -> list[float]:
    """Return the costs on training and test data; NaN if there are no test data."""
    parameters, activation, cost = snapshot.parameters, snapshot.activation, snapshot.cost_function
    test = {
        name: values
        for name, _, values in function.on_test_data(parameters, data.X_test, data.Y_test, activation, cost)
    }
    return [float(snapshot.cost[0]), float(test["cost/test"][0]) if test else math.nan]


def _final_snapshot(run: Run, data: Dataset) -> Snapshot:
    parameters, training = Parameters.from_dict(run.parameters), run.config.training
    dtype = parameters.flat.dtype
    with np.errstate(over="ignore"):
        X, Y = data.X.astype(dtype), data.Y.astype(dtype)
    return Snapshot(
        iteration=training.iterations,
        parameters=parameters,
        initial=parameters,
        X=X,
        Y=Y,
        activation=ACTIVATIONS[run.config.model.activation],
        cost_function=COSTS[run.task],
        learning_rate=np.array([training.learning_rate], dtype),
        product=ARITHMETICS[training.arithmetic],
    )
