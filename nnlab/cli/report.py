"""`nnlab report`: write the report on the recorded runs of an experiment."""

import sys
from collections.abc import Sequence

from nnlab.cli.options import add_results_dir, parser, results_at
from nnlab.cli.process import catch_signals
from nnlab.config import ConfigError

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Write reports/EXPERIMENT.html in the results folder and print its path."""
    options = parser("report", "Write a report on the recorded runs of an experiment: one HTML page.")
    options.add_argument("experiment", help="its name, as in conf/experiment")
    add_results_dir(options)
    arguments = options.parse_args(words)
    results = results_at(arguments.results_dir)
    from nnlab.findings.report import report
    from nnlab.record.files import write_atomically

    catch_signals()
    try:
        page = report(arguments.experiment, arguments.results_dir)
    except ConfigError as error:
        sys.exit(str(error))
    path = results.report(f"{arguments.experiment}.html")
    try:
        write_atomically(path, page)
    except OSError as error:
        sys.exit(f"{path} cannot be written: {error.strerror}")
    print(path)
