"""Check every run folder against its checksums (`make verify`)."""

import argparse
import sys

from nnlab.config import RunConfig, results_path

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Say what is damaged; end with status 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    parser.add_argument("--results-dir", default=RunConfig.results_dir, help="where the runs are (results)")
    options = parser.parse_args(arguments)
    from nnlab.record.store import Store
    from nnlab.study.sync import experiments_in

    damaged = 0
    for experiment in options.experiment or experiments_in(options.results_dir):
        store = Store(results_path(options.results_dir), experiment)
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
