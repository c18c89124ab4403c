"""Check every run folder against its checksums (`make verify`)."""

import argparse
import sys

from nnlab.cli import folder
from nnlab.config import ConfigError
from nnlab.results import Results

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Say what is damaged; end with status 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    folder.add_option(parser)
    options = parser.parse_args(arguments)
    folder.check(options.results_dir)
    from nnlab.record.sweeps import SweepLog
    from nnlab.study.sync import experiments_in, run_folders_of

    experiments = options.experiment or experiments_in(options.results_dir)
    if not experiments:
        sys.exit(f"There are no runs in {Results.at(options.results_dir).folder}.")
    try:
        stores = {experiment: run_folders_of(experiment, options.results_dir) for experiment in experiments}
    except ConfigError as error:
        sys.exit(str(error))
    books = list(SweepLog(Results.at(options.results_dir)).problems())
    for path, problem in books:
        print(f"{path} {problem}")
    damaged = 0
    for experiment, store in stores.items():
        whole = set(store.fingerprints())
        problems = list(store.problems())
        for path, problem in problems:
            print(f"{path}: {problem}")
        broken = {path.name for path, _ in problems}
        print(f"{experiment}: {len(whole - broken)} runs are whole")
        damaged += sum(not name.startswith(".") for name in broken)
    said = []
    if damaged:
        said.append(f"{damaged} run folders are damaged: move them away, and the same sweeps make the runs anew.")
    if books:
        said.append(f"{len(books)} summaries of sweeps are damaged: delete them, and nothing else is lost.")
    if said:
        sys.exit("\n".join(said))


if __name__ == "__main__":
    folder.run(main)
