"""Check every run folder against its checksums (`make verify`)."""

import argparse
import sys

from nnlab.config import ConfigError, RunConfig, results_path

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Say what is damaged; end with status 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    parser.add_argument("--results-dir", default=RunConfig.results_dir, help="where the runs are (results)")
    options = parser.parse_args(arguments)
    from nnlab.record.logbook import Logbook
    from nnlab.study.sync import experiments_in, store_of

    experiments = options.experiment or experiments_in(options.results_dir)
    if not experiments:
        sys.exit(f"There are no runs in {results_path(options.results_dir)}.")
    try:
        stores = {experiment: store_of(experiment, options.results_dir) for experiment in experiments}
    except ConfigError as error:
        sys.exit(str(error))
    damaged = 0
    for path, problem in Logbook(results_path(options.results_dir)).problems():
        print(f"{path} {problem}")
    for experiment, store in stores.items():
        problems = list(store.problems())
        for folder, problem in problems:
            print(f"{folder}: {problem}")
        broken = {folder for folder, _ in problems}
        print(f"{experiment}: {len(set(store.fingerprints()) - {folder.name for folder in broken})} runs are whole")
        damaged += sum(not folder.name.startswith(".") for folder in broken)
    if damaged:
        sys.exit(f"{damaged} run folders are damaged: move them away, and the same sweeps make the runs anew.")


if __name__ == "__main__":
    main()
