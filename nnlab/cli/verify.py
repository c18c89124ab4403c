"""`nnlab verify`: check every run folder against its checksums."""

import sys
from collections.abc import Sequence

from nnlab.cli.options import add_results_dir, parser, results_at
from nnlab.cli.process import catch_signals
from nnlab.config import ConfigError

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Print what is damaged. Exits with 1 if anything is."""
    options = parser("verify", "Check every run folder against its checksums.")
    options.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    add_results_dir(options)
    given = options.parse_args(words)
    results = results_at(given.results_dir)
    from nnlab.record.sweeps import SweepLog
    from nnlab.study.sync import run_folders_of

    catch_signals()
    experiments = given.experiment or results.experiments()
    if not experiments:
        sys.exit(f"There are no runs in {results.folder}.")
    try:
        found = {experiment: run_folders_of(experiment, given.results_dir) for experiment in experiments}
    except ConfigError as error:
        sys.exit(str(error))
    summaries = list(SweepLog(results).verify())
    for path, problem in summaries:
        print(f"{path} {problem}")
    damaged = 0
    for experiment, folders in found.items():
        whole = set(folders.fingerprints())
        problems = list(folders.verify())
        for path, problem in problems:
            print(f"{path}: {problem}")
        broken = {path.name for path, _ in problems}
        print(f"{experiment}: {len(whole - broken)} runs are whole")
        damaged += sum(not name.startswith(".") for name in broken)
    advice = []
    if damaged:
        advice.append(f"{damaged} run folders are damaged: move them away, and the same sweeps make the runs again.")
    if summaries:
        advice.append(f"{len(summaries)} summaries of sweeps are damaged: delete them; no run is lost.")
    if advice:
        sys.exit("\n".join(advice))
