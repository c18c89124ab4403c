"""`nnlab run`: train and record one network."""

import shlex
import sys
from collections.abc import Sequence

from nnlab.cli.words import split_options

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Hand the words to Hydra. Exits if they name an experiment, which is a sweep."""
    for word in words:
        key, _, preset = word.partition("=")
        if key.lstrip("+") == "experiment":
            rest = [other for other in words if other != word]
            sys.exit(f"experiment={preset} is a sweep, type: {shlex.join(['nnlab', 'sweep', preset, *rest])}")
    from nnlab.cli.hydra_app import launch

    options, others = split_options(words)
    launch([*options, *others])
