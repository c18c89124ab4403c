"""Log to MLflow the runs on disk that it lacks: runs made while it was unreachable, or on another machine."""

from collections.abc import Iterator
from dataclasses import replace

from nnlab.config import ConfigError, RunConfig
from nnlab.record.causes import recorded_causes
from nnlab.record.explanations import read_explanations
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import DamagedRunError
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results
from nnlab.settings import run_name, swept_keys
from nnlab.tracking.connection import check_uri, plain_errors, tracking_uri
from nnlab.tracking.log_runs import RunTracker
from nnlab.tracking.log_sweeps import SweepTracker

__all__ = ["run_folders_of", "sync"]


def sync(experiment: str, results_dir: str = RunConfig.results_dir, uri: str | None = None) -> Iterator[bool]:
    """Log every run of an experiment that MLflow lacks; yield True for each run that this call logged, else False.

    Then the entries of runs that were judged again or explained since they were logged are updated, and so is the tag
    `sweep_cause` of all runs, because runs with other seeds and widths may have been added.

    `uri` is a tracking URI, None the database in the results folder. Nothing is logged twice, even by two calls at
    once, and an interrupted call can be repeated. Raises ConfigError if there are no runs or MLflow does not answer,
    OSError if the disk is full, and, once the others are logged, DamagedRunError if runs cannot be read.
    """
    if uri is not None and not uri.strip():
        raise ConfigError(f"uri must be a tracking URI, or None, got {uri!r}")
    folders = run_folders_of(experiment, results_dir)
    runs: list[Run] = []
    damaged: list[str] = []
    for fingerprint in folders.fingerprints():
        try:
            runs.append(folders.read(fingerprint))
        except (DamagedRunError, FileNotFoundError) as error:  # or it has just been deleted
            damaged.append(str(error))
    if runs:
        yield from _log(experiment, results_dir, uri, folders, runs)
    if damaged:
        raise DamagedRunError("\n".join(damaged))


def run_folders_of(experiment: str, results_dir: str) -> RunFolders:
    """Return the run folders of an experiment. Raises ConfigError, naming the recorded experiments, if it has none."""
    results = Results.at(results_dir)
    recorded = results.experiments()
    if experiment not in recorded:
        there = ", ".join(recorded) or "there are none yet"
        raise ConfigError(f"experiment must be one that has run folders ({there}), got {experiment!r}")
    return RunFolders(results, experiment)


def _log(experiment: str, results_dir: str, uri: str | None, folders: RunFolders, runs: list[Run]) -> Iterator[bool]:
    swept = swept_keys(run.config for run in runs)
    first = runs[0].config
    config = replace(first, results_dir=results_dir, tracking=replace(first.tracking, uri=uri, experiment=experiment))
    check_uri(config)
    with plain_errors(tracking_uri(config)):
        tracker = RunTracker(config)
        logged = tracker.logged()
        for run in runs:
            folder, name = folders.path(run.fingerprint), run_name(run.config, swept)
            yield run.fingerprint not in logged and tracker.log(run, name, folder, swept, {"sweep": "synced"})
        paths = {run.fingerprint: folders.path(run.fingerprint) for run in runs}
        tracker.update(runs, paths, _answers(experiment, Results.at(results_dir)))
        tracker.tag_causes(recorded_causes(experiment, Results.at(results_dir)))
        sweeps = SweepLog(Results.at(results_dir))
        sweeps.close_killed()
        SweepTracker(config, tracker, sweeps).catch_up()
        tracker.describe(sweeps.question(experiment))
        tracker.save_views(swept, has_test_part=any("cost/test" in run.metrics for run in runs))
        tracker.close()


def _answers(experiment: str, results: Results) -> dict[str, str]:
    """Return the answers of `nnlab why` about runs that did not learn, by fingerprint."""
    return {
        fingerprint: explanation.text
        for explanation in read_explanations(results, experiment.removesuffix(" why"))
        for fingerprint, outcome in explanation.outcomes.items()
        if outcome not in ("learned", "failed")
    }
