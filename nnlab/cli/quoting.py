"""Commands in messages, as they can be pasted into a shell."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["as_name", "pasteable", "program"]


@cache
def program() -> str:
    """Return how the user's shell finds nnlab: by its name, or by a path if its environment is not active."""
    script = Path(sys.executable).with_name("nnlab")
    found = shutil.which("nnlab")
    if (found and Path(found).resolve() == script.resolve()) or not script.is_file():
        return "nnlab"
    return shlex.quote(str(script).removeprefix(f"{Path.cwd()}/"))


def pasteable(words: Sequence[str] | str) -> str:
    """Return a command, which begins with nnlab, as the user's shell takes it."""
    command = words if isinstance(words, str) else shlex.join(words)
    return command.replace("nnlab", program(), 1)


def as_name(name: str) -> list[str]:
    """Return an experiment's name as words; a name that begins with a dash needs two."""
    return ["--", name] if name.startswith("-") else [name]
