"""One run read from its folder, and compared with the checksums of its files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from nnlab.config import from_dict
from nnlab.preparation import SCALING, Preparation
from nnlab.record.files import checksum
from nnlab.record.history import no_profiles
from nnlab.record.run import Run
from nnlab.record.run_json import DamagedRunError, damaged, read_facts, references_of, verdict_of
from nnlab.record.write_run import PROFILES

__all__ = ["problems", "read_run"]


def read_run(folder: Path) -> Run:
    """Return the run of a folder. Raises DamagedRunError if its files are not what was written."""
    facts = read_facts(folder)
    for name, problem in _changed_files(folder, facts):
        raise damaged(folder / name, ValueError(problem))
    with np.load(folder / "parameters.npz", allow_pickle=False) as arrays:
        numbers = dict(arrays)
    return Run(
        config=from_dict(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))),
        task=facts["task"],
        history=pd.read_parquet(folder / "history.parquet"),
        profiles=pd.read_parquet(folder / PROFILES) if PROFILES in facts["files"] else no_profiles(),
        parameters={name: value for name, value in numbers.items() if name not in SCALING},
        preparation=_preparation(facts, numbers),
        verdict=verdict_of(facts),
        references=references_of(facts),
        fingerprint=facts["fingerprint"],
        facts=facts["facts"],
    )


def _preparation(facts: dict[str, Any], numbers: dict[str, Any]) -> Preparation:
    """Return the preparation of a run. Earlier versions recorded its scaling alone."""
    if "preparation" in facts:
        return Preparation.from_json(facts["preparation"])
    scaling = {name: numbers[name] for name in SCALING}
    return Preparation(columns=(), fills=(), labels=(), target="", decimal=".", **scaling)


def problems(folder: Path) -> Iterator[str]:
    """Yield everything that is wrong with a run folder."""
    try:
        facts = read_facts(folder)
    except DamagedRunError as error:
        yield str(error)
        return
    if facts["fingerprint"] != folder.name:
        yield f"holds the run {facts['fingerprint']}"
    yield from (f"{name} {problem}" for name, problem in _changed_files(folder, facts))


def _changed_files(folder: Path, facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each file that is not what was written, with the problem."""
    for name, written in facts["files"].items():
        try:
            if checksum(folder / name) != written:
                yield name, "is not what was written"
        except (OSError, ValueError) as error:  # ValueError: run.json names a file that cannot exist
            yield name, f"cannot be read: {getattr(error, 'strerror', error)}"
