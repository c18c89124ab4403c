"""`nnlab run`: train and record one network."""

import sys
from collections.abc import Sequence

from nnlab.cli.check_overrides import check_words, split_options

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Hand the words to Hydra. Exits if they name an experiment, which is a sweep."""
    options, others = split_options(words)
    experiments = [word for word in others if word.lstrip("+").startswith("experiment=")]
    if experiments:
        from nnlab.cli.quoting import pasteable

        check_words(words)
        preset = experiments[0].partition("=")[2]
        command = ["nnlab", "sweep", preset, *options, *(word for word in others if word not in experiments)]
        sys.exit(f"{experiments[0]} is a sweep, type: {pasteable(command)}")
    from nnlab.cli.hydra_app import launch

    launch([*options, *others])
