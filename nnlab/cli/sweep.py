"""`nnlab sweep`: train and record many networks, of a preset or of any values."""

import sys
from collections.abc import Sequence

from nnlab.cli.words import INSTEAD, split_options

__all__ = ["hydra_words", "main", "preset_place"]


def main(words: Sequence[str]) -> None:
    """Hand the words to Hydra, as a sweep."""
    from nnlab.cli.hydra_app import launch

    launch(hydra_words(words))


def hydra_words(words: Sequence[str]) -> list[str]:
    """Return the words for Hydra, of which the preset is one. Exits if there are two presets."""
    options, others = split_options(words)
    place = preset_place(others)
    if place is not None:
        others[place] = f"experiment={others[place]}"
    presets = [word for word in others if word.lstrip("+").startswith("experiment=")]
    if len(presets) > 1:
        sys.exit(f"a sweep takes one preset, since each brings its own grid, got {' and '.join(presets)}")
    if not any(option.partition("=")[0] in INSTEAD for option in options):
        options.append("--multirun")
    return [*options, *others]


def preset_place(words: Sequence[str]) -> int | None:
    """Return the place of the preset among words that are no options: the first without `=`; None if there is none."""
    return next((place for place, word in enumerate(words) if word and "=" not in word and word[0] != "~"), None)
