"""`nnlab sweep`: train and record many networks, from a preset or any values."""

import sys
from collections.abc import Sequence

from nnlab.cli.check_overrides import INSTEAD, split_options

__all__ = ["hydra_words", "main", "preset_place"]


def main(words: Sequence[str]) -> None:
    """Hand the words to Hydra, as a sweep."""
    from nnlab.cli.hydra_app import launch

    launch(hydra_words(words))


def hydra_words(words: Sequence[str]) -> list[str]:
    """Return the words for Hydra, with the preset as `experiment=NAME`. Exits if there are two presets."""
    options, others = split_options(words)
    place = preset_place(others)
    if place is not None:
        others[place] = f"experiment={others[place]}"
    presets = [word for word in others if word.lstrip("+").startswith("experiment=")]
    if len(presets) > 1:
        sys.exit(f"a sweep takes one preset, since each brings its own grid, got {' and '.join(presets)}")
    multirun = ("--multirun", "-m")
    if {option.partition("=")[0] for option in options} & (INSTEAD - set(multirun)):
        options = [option for option in options if option not in multirun]  # Hydra takes one such option
    elif not set(options) & set(multirun):
        options.append("--multirun")
    return [*options, *others]


def preset_place(words: Sequence[str]) -> int | None:
    """Return the place of the preset, the first word without `=`, or None. The words must not include options."""
    return next((place for place, word in enumerate(words) if word and "=" not in word and word[0] != "~"), None)
