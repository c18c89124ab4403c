"""Words that Hydra would answer with a traceback, in its own terms, or by taking half of them."""

import difflib
import re
import sys
from collections.abc import Sequence

from nnlab.cli.presets import added_folders, group_options, groups

__all__ = ["INSTEAD", "check_words", "split_options"]

WITH_VALUE = {
    *("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    "--experimental-rerun",
}
"""Hydra's options that take the next word as their value."""
INFO, INFO_ABOUT = ("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""The option that may take the next word, and the words that it may take."""
INSTEAD = {"--help", "-h", "--hydra-help", "--version", "--cfg", "-c", *INFO, "--run", "-r", "--multirun", "-m"}
"""Hydra's options that say what to do: without one of them it trains."""

OTHER_CONFIG = ("--config-name", "-cn", "--config-path", "-cp")
"""Options that name another config, whose keys are not ours to check."""


def split_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's options with their values, and all other words. Hydra reads them in this order only."""
    options: list[str] = []
    others: list[str] = []
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        is_value = before in WITH_VALUE or (before in INFO and word in INFO_ABOUT)
        (options if is_value or word.startswith("-") else others).append(word)
    return options, others


def check_words(words: Sequence[str]) -> None:
    """Exit with one line if a word is wrong."""
    from nnlab.config import RunConfig, flatten

    folders = added_folders(words)
    strange = any(word.partition("=")[0] in OTHER_CONFIG or word.startswith("hydra.searchpath=") for word in words)
    keys = flatten(RunConfig()).keys()
    known = groups(folders)
    legal = {*keys, *known, *(key.split(".")[0] for key in keys), "hydra"}
    for word in words:
        if word.startswith("-"):
            continue
        group, _, name = word.partition("=")
        key = group.lstrip("+~")
        if word and not key:
            sys.exit(f"every word must be KEY=VALUE or GROUP=PRESET, got {word}")
        if re.search(r"\d{1000}", word):  # Python refuses to read them from 4,300 digits on
            sys.exit(f"{key} must be a number of fewer than 1000 digits, got one of more")
        if key in ("hydra.run.dir", "hydra.sweep.dir") and "=" in word and not name.strip("'\""):
            sys.exit(f"{key} must name a folder, . for this one, got {word}")
        if key.startswith("model.layers."):
            sys.exit(f"model.layers must be set as a whole, such as model.layers=[4,3], got {word}")
        presets = group_options(group, folders) if group in known and not strange else []
        if presets and re.fullmatch(r"[\w.]+", name) and name not in presets:
            sys.exit(f"{group} must be one of {', '.join(presets)}, got {name}")
        if (
            not strange
            and "=" in word
            and re.fullmatch(r"[\w.]+", group)
            and group not in legal
            and not group.startswith("hydra.")
        ):
            near = difflib.get_close_matches(group, sorted(legal), n=3)
            sys.exit(f"there is no key {group}; did you mean {' or '.join(near) or ', '.join(sorted(keys))}?")
        if group == "experiment" and "," in name:
            sys.exit(f"experiment must be one of {', '.join(presets)}, since each brings its own grid, got {name}")
