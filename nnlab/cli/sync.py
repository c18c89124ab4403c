"""`nnlab sync`: log to MLflow the runs on disk that it lacks: runs made offline, or on another machine."""

import sys
from collections.abc import Sequence

from nnlab.cli.options import add_results_dir, parse, parser, results_at
from nnlab.cli.process import catch_signals
from nnlab.config import ConfigError

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Log every run that MLflow lacks. Exits with 1 if some could not be logged."""
    options = parser("sync", "Log to MLflow the runs on disk that it lacks; nothing is logged twice.")
    options.add_argument("experiment", nargs="*", help="their names (all that have run folders)")
    add_results_dir(options)
    options.add_argument("--uri", help="the tracking URI (the database in the results folder)")
    arguments = parse(options, words)
    results = results_at(arguments.results_dir)
    from nnlab.study.sync import sync
    from nnlab.tracking.connection import UnreachableError

    catch_signals()
    experiments = arguments.experiment or results.experiments()
    errors: list[str] = []
    for experiment in experiments:
        logged: list[bool] = []
        try:
            logged.extend(sync(experiment, arguments.results_dir, arguments.uri))
        except (ConfigError, OSError) as error:
            errors.append(str(error))
            if isinstance(error, UnreachableError):  # for the other experiments as well
                break
        finally:
            if logged:
                print(f"{experiment}: {sum(logged)} of {len(logged)} runs were new to MLflow")
    if errors:
        sys.exit("\n".join(dict.fromkeys(errors)))
    if not experiments:
        print(f"There are no runs in {arguments.results_dir}.")
