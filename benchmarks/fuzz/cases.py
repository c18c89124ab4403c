"""Which case is which: everything about it follows from a seed, a kind and a number."""

import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .configs import TABLE, config_case
from .files import file_case
from .trial import Outcome, try_config, try_file, try_words
from .words import words_case

__all__ = ["KINDS", "Case", "prepare"]


class Case(NamedTuple):
    """Which case: of which campaign, what kind, which number."""

    seed: int
    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"


def _config(chance: random.Random, folder: Path) -> tuple[str, Callable[[], Outcome]]:
    (folder / "table.csv").write_text(TABLE)
    values, suspects = config_case(chance, folder)
    return _shown(values), lambda: try_config(values, suspects, folder)


def _words(chance: random.Random, folder: Path) -> tuple[str, Callable[[], Outcome]]:
    (folder / "table.csv").write_text(TABLE)
    words, suspects = words_case(chance, folder)
    return shlex.join(words), lambda: try_words(words, suspects, folder)


def _file(chance: random.Random, folder: Path) -> tuple[str, Callable[[], Outcome]]:
    file = file_case(chance)
    return repr(file._replace(content=file.content[:3_000])), lambda: try_file(file, folder)


KINDS = {"config": _config, "words": _words, "file": _file}


def prepare(case: Case, folder: Path) -> tuple[str, Callable[[], Outcome]]:
    """Return what a case is, as text, and how to try it in an empty folder."""
    (folder / "out").mkdir()
    return KINDS[case.kind](random.Random(f"{case.seed} {case.kind} {case.number}"), folder)


def _shown(value: Any) -> str:
    """Return a value as text, whatever it is: some of these have no repr."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(inner)}" for key, inner in value.items()) + "}"
    try:
        text = repr(value)
    except (ValueError, RecursionError) as error:
        text = f"<{type(value).__name__}: {error}>"
    return text if len(text) < 500 else f"{text[:200]}...{text[-200:]} ({len(text)} characters)"
