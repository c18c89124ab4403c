"""Words of a command line, checked before Hydra sees them.

Hydra answers some wrong words with a traceback, or takes half of them; and it wants its options before all other words.
"""

import difflib
import re
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

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
LONG_OPTIONS = sorted({*(option for option in (*WITH_VALUE, *INSTEAD) if len(option) > 2), "--resolve"})
OTHER_CONFIG = ("--config-name", "-cn", "--config-path", "-cp")
"""Options that name another config, whose keys nnlab does not know."""

FILE_NEEDS = ("data.path", "data.target")
"""The keys that must not be null if the data set is a file."""


def split_options(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's options with their values, and all other words; abbreviated options are written out."""
    options: list[str] = []
    others: list[str] = []
    words = [_written_out(word) for word in words]
    for place, word in enumerate(words):
        before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
        if before in WITH_VALUE or (before in INFO and word in INFO_ABOUT):
            options.append(word)
        elif word in INFO and after not in INFO_ABOUT:
            options.append("--info=all")  # or Hydra would take the next word for its value
        else:
            (options if word.startswith("-") else others).append(word)
    return options, others


def _written_out(word: str) -> str:
    """Return an abbreviated long option as it is meant, and any other word as it is."""
    name, sign, value = word.partition("=")
    meant = [option for option in LONG_OPTIONS if len(name) > 2 and option.startswith(name)]
    return f"{meant[0]}{sign}{value}" if len(meant) == 1 else word


def check_words(words: Sequence[str]) -> None:
    """Exit with one line if a word is wrong."""
    from nnlab.cli.check_values import check_value
    from nnlab.config import RunConfig, flatten

    options, others = split_options(words)
    folders = added_folders(options)
    for folder in folders:
        if not folder.is_dir():
            sys.exit(f"--config-dir must name a folder, got {str(folder)!r}")
    is_foreign = any(option.partition("=")[0] in OTHER_CONFIG for option in options) or any(
        word.startswith("hydra.searchpath=") for word in others
    )
    keys = flatten(RunConfig()).keys()
    known = groups(folders)
    legal = {*keys, *known, *(key.split(".")[0] for key in keys), "hydra"}
    is_sweep = bool({"--multirun", "-m"} & set(options))
    needed = FILE_NEEDS if {"data=file", "data.name=file"} & set(others) else ()
    for word in others:
        _check_form(word, known, folders)
        if not is_foreign:
            _check_name(word, keys, legal, known, folders)
        group = word.partition("=")[0].lstrip("+")
        presets = group_options(group, folders) if group in known else ()
        check_value(word, presets, is_sweep=is_sweep, needed=needed)


def _check_form(word: str, known: Collection[str], folders: Sequence[Path]) -> None:
    """Exit if a word cannot be right, whatever the config."""
    group, sign, name = word.partition("=")
    key = group.lstrip("+~")
    if not key:
        sys.exit(f"every word must be KEY=VALUE or GROUP=PRESET, got {word or repr(word)}")
    if not sign and word[0] != "~":
        preset = word in group_options("experiment", folders)
        remedy = f"; to train the preset {word}, type nnlab sweep {word}" if preset else ""
        sys.exit(f"every word but one preset must be KEY=VALUE or GROUP=PRESET, got {word}{remedy}")
    if re.search(r"\d{1000}", word):  # Python refuses to read them from 4,300 digits on
        sys.exit(f"{key} must be a number of fewer than 1000 digits, got one of more")
    if key in ("hydra.run.dir", "hydra.sweep.dir") and sign and not name.strip("'\""):
        sys.exit(f"{key} must name a folder, . for this one, got {word}")
    if key in ("hydra/launcher", "hydra/sweeper") and (word[0] == "~" or name.lower() in ("", "null")):
        sys.exit(f"{key} must be nnlab, basic or another plugin of Hydra's, got {word}")
    if key.startswith("model.layers."):
        sys.exit(f"model.layers must be set as a whole, such as model.layers=[4,3], got {word}")


def _check_name(
    word: str, keys: Collection[str], legal: Collection[str], known: Collection[str], folders: Sequence[Path]
) -> None:
    """Exit if a word names a preset or a key that does not exist."""
    group, sign, name = word.partition("=")
    presets = group_options(group, folders) if group in known else []
    if presets and re.fullmatch(r"[\w.-]+", name) and name not in presets:
        sys.exit(f"{group} must be one of {', '.join(presets)}, got {name}")
    hidden = [folder / group / f"{name}.yaml" for folder in folders if name in group_options(group)]
    for path in hidden:
        if path.is_file():
            sys.exit(f"{path} has the name of a preset of nnlab's, which Hydra would take instead: rename it")
    if sign and re.fullmatch(r"[\w.]+", group) and group not in legal and not group.startswith("hydra."):
        near = difflib.get_close_matches(group, sorted(legal), n=3)
        sys.exit(f"there is no key {group}; did you mean {' or '.join(near) or ', '.join(sorted(keys))}?")
    if group == "experiment" and "," in name:
        sys.exit(f"experiment must be one of {', '.join(presets)}, since each brings its own grid, got {name}")
