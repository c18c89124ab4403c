"""The run folder on disk: the truth about a run, whatever happens to the tracking server.

    runs/<experiment>/<fingerprint>/
        config.yaml         what was asked, every default written out
        history.parquet     what the probes saw: iteration, layer, quantity, value
        profiles.parquet    the same for each unit or bin; only with diagnostics.preset=full
        parameters.npz      W1, b1, ..., and the standardization of the data
        run.json            fingerprint, task, config, final metrics, verdict, events, references, versions and times

A folder is written under a temporary name and renamed when it is whole: one that has its name is complete.
"""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from nnlab.config import ConfigError, flatten, from_dict
from nnlab.diagnostics.events import Event
from nnlab.diagnostics.function import References
from nnlab.diagnostics.verdict import Finding, Verdict
from nnlab.record.history import Run, no_profiles

__all__ = ["FILES", "Store"]

FILES = ("config.yaml", "history.parquet", "parameters.npz", "run.json")
PROFILES = "profiles.parquet"
FORMAT = 1
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times as fast where libyaml is there
_STANDARDIZATION = ("x_mean", "x_scale", "y_mean", "y_scale")


class Store:
    """The run folders of one experiment below a results folder."""

    def __init__(self, results: Path, experiment: str) -> None:
        self.folder = results / "runs" / experiment

    def create(self) -> None:
        """Make the folder, or say clearly why that cannot be."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as error:
            raise ConfigError(
                f"results_dir must be a folder that can be written to, got {str(self.folder)!r}: {error.strerror}"
            ) from None

    def path(self, fingerprint: str) -> Path:
        """Return where a run is, or would be."""
        return self.folder / fingerprint

    def __contains__(self, fingerprint: str) -> bool:
        return (self.path(fingerprint) / "run.json").is_file()

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of all complete runs, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(path.parent.name for path in self.folder.glob("[!.]*/run.json"))

    def write(self, run: Run) -> Path:
        """Write one run, whole or not at all; return its folder. A run that is there already is left alone.

        A folder of that name that is not a whole run, which somebody else must have left, is set aside.
        """
        final = self.path(run.fingerprint)
        if run.fingerprint in self:
            return final
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=self.folder))
        try:
            config = yaml.dump(dataclasses.asdict(run.config), Dumper=_DUMPER, sort_keys=False)
            (partial / "config.yaml").write_text(config, encoding="utf-8")
            run.history.to_parquet(partial / "history.parquet", index=False)
            if len(run.profiles):
                run.profiles.to_parquet(partial / PROFILES, index=False)
            np.savez(partial / "parameters.npz", **run.parameters, **run.standardization)  # type: ignore[arg-type]
            (partial / "run.json").write_text(_json(run), encoding="utf-8")
            for path in partial.iterdir():
                _sync(path)
            if final.is_dir() and run.fingerprint not in self and any(final.iterdir()):
                final.rename(tempfile.mkdtemp(prefix=f".incomplete-{run.fingerprint}-", dir=self.folder))
            partial.rename(final)
        except OSError:
            if run.fingerprint not in self:  # else another process wrote the same run first
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _sync(self.folder)
        return final

    def read(self, fingerprint: str) -> Run:
        """Return one run as it was written. Raises FileNotFoundError if it is not there."""
        folder = self.path(fingerprint)
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        config = from_dict(yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")))
        with np.load(folder / "parameters.npz", allow_pickle=False) as arrays:
            numbers = dict(arrays)
        return Run(
            config=config,
            task=facts["task"],
            history=pd.read_parquet(folder / "history.parquet"),
            profiles=pd.read_parquet(folder / PROFILES) if (folder / PROFILES).is_file() else no_profiles(),
            parameters={name: value for name, value in numbers.items() if name not in _STANDARDIZATION},
            standardization={name: numbers[name] for name in _STANDARDIZATION},
            verdict=Verdict(
                tuple(Finding(**finding) for finding in facts["verdict"]),
                tuple(Event(**event) for event in facts["events"]),
                facts["warning"],
            ),
            references=References(**facts["references"]),
            fingerprint=facts["fingerprint"],
            facts=facts["facts"],
        )

    def metrics(self, fingerprint: str) -> dict[str, float]:
        """Return the final metrics of one run."""
        facts = json.loads((self.path(fingerprint) / "run.json").read_text(encoding="utf-8"))
        return {name: float(value) for name, value in facts["metrics"].items()}

    def __iter__(self) -> Iterator[Run]:
        return (self.read(fingerprint) for fingerprint in self.fingerprints())


def _json(run: Run) -> str:
    # JSON has no inf and no NaN; they are written as text.
    metrics = {name: value if np.isfinite(value) else str(value) for name, value in run.metrics.items()}
    content = {
        "format": FORMAT,
        "fingerprint": run.fingerprint,
        "task": run.task,
        "sizes": run.sizes,
        "config": flatten(run.config),
        "metrics": metrics,
        "verdict": [finding._asdict() for finding in run.verdict.findings],
        "events": [event._asdict() for event in run.verdict.events],
        "warning": run.verdict.warning,
        "references": run.references._asdict(),
        "facts": run.facts,
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
