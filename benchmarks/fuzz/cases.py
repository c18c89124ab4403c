"""Cases: each is determined by a seed, a kind and a number."""

import random
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.fuzz.configs import TABLE, config_case
from benchmarks.fuzz.files import file_case
from benchmarks.fuzz.trial import Outcome, try_config, try_file, try_words
from benchmarks.fuzz.words import words_case

__all__ = ["KINDS", "Case", "prepare"]


class Case(NamedTuple):
    """One case: the seed of its campaign, its kind and its number."""

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
    """Return a case as text, and a function that tries it in the given empty folder."""
    (folder / "out").mkdir()
    chance = random.Random(f"{case.seed} {case.kind} {case.number}")  # noqa: S311
    return KINDS[case.kind](chance, folder)


def _shown(value: Any) -> str:
    """Return any value as text; some values have no repr."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_shown(key)}: {_shown(inner)}" for key, inner in value.items()) + "}"
    try:
        text = repr(value)
    except (ValueError, RecursionError) as error:
        text = f"<{type(value).__name__}: {error}>"
    return text if len(text) < 500 else f"{text[:200]}...{text[-200:]} ({len(text)} characters)"
