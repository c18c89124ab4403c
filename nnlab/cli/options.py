"""The option that names a results folder, shared by the commands about recorded runs."""

import argparse
import os
import sys
from collections.abc import Sequence

from nnlab.config import ConfigError, RunConfig
from nnlab.results import Results

__all__ = ["add_results_dir", "parse", "parser", "results_at"]


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of `nnlab COMMAND`."""
    return argparse.ArgumentParser(prog=f"nnlab {command}", description=description)


def parse(options: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments of a command; its options may stand between other words, unless `--` ends them."""
    return options.parse_args(words) if "--" in words else options.parse_intermixed_args(words)


def add_results_dir(to: argparse.ArgumentParser) -> None:
    """Add --results-dir."""
    to.add_argument("--results-dir", default=RunConfig.results_dir, help="the folder of the results (results)")


def results_at(results_dir: str) -> Results:
    """Return a results folder, which need not exist yet. Exits if it cannot be a folder or cannot be read."""
    try:
        results = Results.at(results_dir)
        os.scandir(results.folder).close()
    except FileNotFoundError:
        pass
    except ConfigError as error:
        sys.exit(str(error).replace("results_dir", "--results-dir"))
    except (OSError, ValueError) as error:
        sys.exit(f"--results-dir must be a folder, got {results_dir!r}: {getattr(error, 'strerror', error)}")
    return results
