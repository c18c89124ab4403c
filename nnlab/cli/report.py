"""Write one page about the recorded runs of an experiment (`make report EXPERIMENT=...`)."""

import argparse
import sys

from nnlab.cli import folder
from nnlab.config import ConfigError
from nnlab.results import Results

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Write reports/EXPERIMENT.html in the results folder and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", help="its name, as in conf/experiment")
    folder.add_option(parser)
    options = parser.parse_args(arguments)
    folder.check(options.results_dir)
    from nnlab.findings.report import report
    from nnlab.record.files import write_whole

    try:
        page = report(options.experiment, options.results_dir)
    except ConfigError as error:
        sys.exit(str(error))
    path = Results.at(options.results_dir).report(f"{options.experiment}.html")
    try:
        write_whole(path, page)
    except OSError as error:
        sys.exit(f"{path} cannot be written: {error.strerror}")
    print(path)


if __name__ == "__main__":
    folder.run(main)
