"""The recorded run that the first digits of a fingerprint mean."""

from collections.abc import Sequence
from pathlib import Path

from nnlab.config import ConfigError
from nnlab.results import Results

__all__ = ["SHORTEST", "find_run"]

SHORTEST = 4
"""Digits of a fingerprint that must be given."""
SHOWN = 8
"""Runs that a message lists."""


def find_run(results: Results, text: str) -> Path:
    """Return the run folder that the user means: `[EXPERIMENT/]DIGITS`. Raises ConfigError unless there is one."""
    from nnlab.record.run_folders import RunFolders

    *_, experiment, digits = ["", *text.rstrip("/").split("/")]
    if len(digits) < SHORTEST:
        raise ConfigError(f"the fingerprint must have at least {SHORTEST} digits, got {text!r}")
    recorded: list[Path] = []
    for name in results.experiments():
        folders = RunFolders(results, name)
        recorded += [folders.path(fingerprint) for fingerprint in folders.fingerprints()]
    matches = [run for run in recorded if run.name.startswith(digits) and experiment in ("", run.parent.name)]
    if len(matches) == 1:
        return matches[0]
    target = "one run only" if matches else "a recorded run"
    raise ConfigError(f"the fingerprint must match {target} ({_listed(matches or recorded)}), got {text!r}")


def _listed(runs: Sequence[Path]) -> str:
    names = [f"{run.parent.name}/{run.name}" for run in runs[:SHOWN]]
    more = [f"{len(runs) - SHOWN} more"] if len(runs) > SHOWN else []
    return ", ".join([*names, *more]) or "there are none yet"
