"""Commands in messages, as they can be pasted into a shell."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["as_name", "pasteable", "program"]


def program() -> str:
    """Return the word that runs nnlab in the user's shell: its name, or a path if its environment is not active."""
    script = Path(sys.executable).with_name("nnlab")
    on_path = shutil.which("nnlab")
    if (on_path and Path(on_path).resolve() == script.resolve()) or not script.is_file():
        return "nnlab"
    return shlex.quote(str(script).removeprefix(f"{Path.cwd()}/"))


def pasteable(words: Sequence[str] | str) -> str:
    """Return a command that begins with nnlab, in a form that the user's shell accepts."""
    command = words if isinstance(words, str) else shlex.join(words)
    return command.replace("nnlab", program(), 1)


def as_name(name: str) -> list[str]:
    """Return an experiment's name as words; a name that begins with a dash needs two."""
    return ["--", name] if name.startswith("-") else [name]
