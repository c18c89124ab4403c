"""What the commands about a results folder share: the option that names it, and how Ctrl-C ends them."""

import argparse
import os
import sys
from collections.abc import Callable

from nnlab.config import ConfigError, RunConfig
from nnlab.results import Results

__all__ = ["add_option", "check", "run"]


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let a command be told where the runs are."""
    parser.add_argument("--results-dir", default=RunConfig.results_dir, help="where the runs are (results)")


def check(results_dir: str) -> None:
    """End the program if no folder can be called that, or it cannot be read; one that is not there yet is empty."""
    try:
        os.scandir(Results.at(results_dir).folder).close()
    except FileNotFoundError:
        pass
    except ConfigError as error:
        sys.exit(str(error).replace("results_dir", "--results-dir"))
    except (OSError, ValueError) as error:
        sys.exit(f"--results-dir must be a folder, got {results_dir!r}: {getattr(error, 'strerror', error)}")


def run(main: Callable[[], None]) -> None:
    """Call a command; Ctrl-C ends it with the status that shells expect, and no traceback."""
    try:
        main()
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        sys.exit(130)
