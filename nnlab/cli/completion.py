"""Completion of words in bash, fish and zsh, by Hydra: `nnlab -sc install=bash` prints what the shell evaluates.

The shell passes the line typed so far in COMP_LINE. Hydra has no sub-commands, so it is given the line
without them.
"""

import os
from collections.abc import Sequence

from nnlab.cli.commands import COMMANDS

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Answer `-sc install=...`, `-sc uninstall=...` or `-sc query=...`."""
    if not any(word.startswith("query=") for word in words) or _translate(os.environ.get("COMP_LINE", "")):
        from nnlab.cli.hydra_app import launch

        launch(words)


def _translate(line: str) -> bool:
    """Print nnlab's own candidates; return True if Hydra may have more, for the line that is then in COMP_LINE."""
    from nnlab.cli.check_overrides import split_options
    from nnlab.cli.presets import added_folders, group_options
    from nnlab.cli.sweep import preset_place

    program, *words = line.split() or ["nnlab"]
    current = "" if line.endswith(" ") or not words else words.pop()
    if not words:
        _print(COMMANDS, current)
        return False
    command, *words = words
    if command not in ("run", "sweep"):
        return False
    options, others = split_options(words)
    if command == "sweep":
        place = preset_place(others)
        if place is not None:
            others[place] = f"experiment={others[place]}"
        elif "=" not in current and not current.startswith("-"):
            _print(group_options("experiment", added_folders(options)), current)
    os.environ["COMP_LINE"] = " ".join([program, *options, *others, current])
    return True


def _print(candidates: Sequence[str] | dict[str, str], beginning: str) -> None:
    for candidate in candidates:
        if candidate.startswith(beginning):
            print(candidate)
