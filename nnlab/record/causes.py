"""The causes that only the other runs of an experiment can show (`nnlab.diagnostics.sweep_cause`), from its record."""

from collections.abc import Mapping, Sequence
from typing import Any

from nnlab.diagnostics.outcome import NOT_MEASURED
from nnlab.diagnostics.sweep_cause import Trained, sweep_causes
from nnlab.record.explanations import WrittenExplanation, read_explanations
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import DamagedRunError
from nnlab.results import Results
from nnlab.settings import settings_of

__all__ = ["causes_of", "recorded_causes"]


def recorded_causes(experiment: str, results: Results) -> dict[str, str]:
    """Return the sweep cause of each recorded run of an experiment, by fingerprint. Damaged runs are left out."""
    folders, runs = RunFolders(results, experiment), []
    for fingerprint in folders.fingerprints():
        try:
            runs.append(folders.facts(fingerprint))
        except (DamagedRunError, FileNotFoundError):  # or it has just been deleted
            continue
    return causes_of(runs, read_explanations(results, experiment))


def causes_of(runs: Sequence[Mapping[str, Any]], explanations: Sequence[WrittenExplanation]) -> dict[str, str]:
    """Return the sweep cause of each run by fingerprint, given `fingerprint`, `config` and `outcome` of all of them."""
    settings = settings_of([run["config"] for run in runs])
    trained = {
        run["fingerprint"]: Trained(setting, run.get("outcome", NOT_MEASURED))
        for run, setting in zip(runs, settings, strict=True)
    }
    return sweep_causes(trained, [explanation.evidence for explanation in explanations])
