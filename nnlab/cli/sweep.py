"""`nnlab sweep`: train and record many networks, of a preset or of any values."""

import sys
from collections.abc import Sequence

__all__ = ["hydra_words", "main"]

WITH_VALUE = {
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    "--experimental-rerun",
}
"""Hydra's options that take the next word as their value."""
INFO, INFO_ABOUT = ("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""The option that may take one of these words."""
INSTEAD = ("--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i", "--run", "-r")
"""Hydra's options that do something other than launch a sweep."""


def main(words: Sequence[str]) -> None:
    """Hand the words to Hydra, as a sweep."""
    from nnlab.cli.hydra_app import launch

    launch(hydra_words(words))


def hydra_words(words: Sequence[str]) -> list[str]:
    """Return the words for Hydra: the first one without `=` and leading `-` is the preset.

    Exits if there are two presets: each brings its own grid.
    """
    place = preset_place(words)
    translated = list(words)
    if place is not None:
        translated[place] = f"experiment={words[place]}"
    presets = [word for word in translated if word.lstrip("+").startswith("experiment=")]
    if len(presets) > 1:
        sys.exit(f"a sweep takes one preset, since each brings its own grid, got {' and '.join(presets)}")
    if not any(word.partition("=")[0] in (*INSTEAD, "--multirun", "-m") for word in words):
        translated.insert(0, "--multirun")
    return translated


def preset_place(words: Sequence[str]) -> int | None:
    """Return the place of the preset among the words, None if there is none."""
    value_follows, about_follows = False, False
    for place, word in enumerate(words):
        is_value = value_follows or (about_follows and word in INFO_ABOUT)
        value_follows, about_follows = word in WITH_VALUE and not is_value, word in INFO and not is_value
        if word and not is_value and "=" not in word and word[0] not in "-~":
            return place
    return None
