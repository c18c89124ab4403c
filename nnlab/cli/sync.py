"""Bring MLflow level with the run folders: what was made offline, or on another machine (`make sync`)."""

import argparse
import sys

from nnlab.cli import folder
from nnlab.config import ConfigError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Tell the store of every run that it does not know."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    folder.add_option(parser)
    parser.add_argument("--uri", help="the tracking store (the database in the results folder)")
    options = parser.parse_args(arguments)
    folder.check(options.results_dir)
    from nnlab.study.sync import experiments_in, sync
    from nnlab.tracking.connection import UnreachableError

    experiments = options.experiment or experiments_in(options.results_dir)
    refused: list[str] = []
    for experiment in experiments:
        told: list[bool] = []
        try:
            told.extend(sync(experiment, options.results_dir, options.uri))
        except (ConfigError, OSError) as error:
            refused.append(str(error))
            if isinstance(error, UnreachableError):  # to the other experiments no less
                break
        finally:
            if told:
                print(f"{experiment}: {sum(told)} of {len(told)} runs were new to MLflow")
    if refused:
        sys.exit("\n".join(dict.fromkeys(refused)))
    if not experiments:
        print(f"There are no runs in {options.results_dir}.")


if __name__ == "__main__":
    folder.run(main)
