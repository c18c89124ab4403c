"""Write one page about the recorded runs of an experiment (`make report EXPERIMENT=...`)."""

import argparse
import sys

from nnlab.config import ConfigError, RunConfig, results_path

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Write reports/EXPERIMENT.html in the results folder and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", help="its name, as in conf/experiment")
    parser.add_argument("--results-dir", default=RunConfig.results_dir, help="where the runs are (results)")
    options = parser.parse_args(arguments)
    from nnlab.findings.report import report

    try:
        page = report(options.experiment, options.results_dir)
    except ConfigError as error:
        sys.exit(str(error))
    path = results_path(options.results_dir) / "reports" / f"{options.experiment}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        sys.exit(f"{path} cannot be written: {error.strerror}")
    print(path)


if __name__ == "__main__":
    main()
