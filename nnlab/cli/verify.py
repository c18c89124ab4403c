"""`nnlab verify`: check every run folder against its checksums."""

import sys
from collections.abc import Sequence

from nnlab.cli.options import add_results_dir, parse, parser, results_at
from nnlab.cli.process import catch_signals
from nnlab.config import ConfigError

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Print what is damaged. Exits with 1 if anything is."""
    options = parser("verify", "Check every run folder against its checksums.")
    options.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    add_results_dir(options)
    arguments = parse(options, words)
    results = results_at(arguments.results_dir)
    from nnlab.record.sweeps import SweepLog
    from nnlab.study.sync import run_folders_of

    catch_signals()
    experiments = arguments.experiment or results.experiments()
    if not experiments:
        sys.exit(f"There are no runs in {results.folder}.")
    try:
        by_experiment = {experiment: run_folders_of(experiment, arguments.results_dir) for experiment in experiments}
    except ConfigError as error:
        sys.exit(str(error))
    summaries = list(SweepLog(results).verify())
    for path, problem in summaries:
        print(f"{path} {problem}")
    damaged = 0
    for experiment, folders in by_experiment.items():
        complete = set(folders.fingerprints())
        problems = list(folders.verify())
        for path, problem in problems:
            print(f"{path}: {problem}")
        broken = {path.name for path, _ in problems}
        print(f"{experiment}: {len(complete - broken)} runs are intact")
        damaged += sum(not name.startswith(".") for name in broken)
    advice = []
    if damaged:
        advice.append(f"{damaged} run folders are damaged: move them away, then repeat the sweeps to train them again.")
    if summaries:
        advice.append(f"{len(summaries)} summaries of sweeps are damaged: delete them; no run is lost.")
    if advice:
        sys.exit("\n".join(advice))
