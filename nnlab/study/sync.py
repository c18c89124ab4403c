"""Bring a tracking store level with the run folders: what was made while it was away, or on another machine."""

from collections.abc import Iterator
from dataclasses import replace

from nnlab.config import SWEEPS, ConfigError, RunConfig
from nnlab.record.run import Run
from nnlab.record.run_folders import DamagedRunError, RunFolders
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results
from nnlab.settings import run_name, swept_keys
from nnlab.tracking.connection import check_uri, plain_errors, tracking_uri
from nnlab.tracking.runs import RunTracker
from nnlab.tracking.sweeps import SweepTracker

__all__ = ["experiments_in", "run_folders_of", "sync"]


def experiments_in(results_dir: str) -> list[str]:
    """Return the names of the experiments that have run folders.

    What no experiment can be called is somebody else's: .Trash, or MLflow's experiment of sweeps.
    """
    folder = Results.at(results_dir).folder / "runs"
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(name for name in names if not name.startswith(".") and name != SWEEPS)


def sync(experiment: str, results_dir: str = RunConfig.results_dir, uri: str | None = None) -> Iterator[bool]:
    """Tell the store of every run of an experiment that it does not know; yield for each run whether this told it.

    `uri` is a tracking URI, None the database in the results folder. Doing it twice, or twice at once, tells nothing
    twice; cut off, it goes on where it was. Raises ConfigError if there are no runs or the store does not answer,
    OSError if the disk is full, and DamagedRunError at the end, when the others are told of, if runs cannot be read.
    """
    if uri is not None and not uri.strip():
        raise ConfigError(f"uri must be the address of a tracking store, or None, got {uri!r}")
    store = run_folders_of(experiment, results_dir)
    runs: list[Run] = []
    damaged: list[str] = []
    for fingerprint in store.fingerprints():
        try:
            runs.append(store.read(fingerprint))
        except (DamagedRunError, FileNotFoundError) as error:  # or somebody has just deleted it
            damaged.append(str(error))
    if runs:
        yield from _tell(experiment, results_dir, uri, store, runs)
    if damaged:
        raise DamagedRunError("\n".join(damaged))


def run_folders_of(experiment: str, results_dir: str) -> RunFolders:
    """Return the run folders of an experiment. Raises ConfigError, naming those there are, if it has none."""
    known = experiments_in(results_dir)
    if experiment not in known:
        there = ", ".join(known) or "there are none yet"
        raise ConfigError(f"experiment must be one that has run folders ({there}), got {experiment!r}")
    return RunFolders(Results.at(results_dir), experiment)


def _tell(experiment: str, results_dir: str, uri: str | None, store: RunFolders, runs: list[Run]) -> Iterator[bool]:
    swept = swept_keys(run.config for run in runs)
    first = runs[0].config
    config = replace(first, results_dir=results_dir, tracking=replace(first.tracking, uri=uri, experiment=experiment))
    check_uri(config)
    with plain_errors(tracking_uri(config)):
        tracker = RunTracker(config)
        logged = tracker.logged()
        for run in runs:
            folder, name = store.path(run.fingerprint), run_name(run.config, swept)
            yield run.fingerprint not in logged and tracker.log(run, name, folder, swept, {"sweep": "synced"})
        logbook = SweepLog(Results.at(results_dir))
        logbook.close_abandoned()
        SweepTracker(config, tracker, logbook).catch_up()
        tracker.describe(logbook.question(experiment))
        tracker.share_views(swept)
        tracker.close()
