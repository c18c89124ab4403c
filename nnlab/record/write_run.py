"""One run written to disk.

config.yaml         the config with every default written out
history.parquet     what the probes saw: iteration, layer, quantity, value
profiles.parquet    the same for each unit or bin; only with diagnostics.preset=full
parameters.npz      W1, b1, ..., and the scaling of the data
run.json            fingerprint, task, config, preparation of the data, final metrics, verdict, events, references,
                    versions and times, and the checksums of the other files and of itself
"""

import dataclasses
from pathlib import Path

import numpy as np
import yaml

from nnlab.record.files import checksum, sync_file, sync_folder
from nnlab.record.run import Run
from nnlab.record.run_json import to_json

__all__ = ["PROFILES", "write_run"]

PROFILES = "profiles.parquet"
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # ten times faster where libyaml is installed


def write_run(run: Run, folder: Path) -> None:
    """Write and sync the files of a run into an empty folder."""
    config = yaml.dump(dataclasses.asdict(run.config), Dumper=_DUMPER, sort_keys=False)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    run.history.to_parquet(folder / "history.parquet", index=False)
    if len(run.profiles):
        run.profiles.to_parquet(folder / PROFILES, index=False)
    np.savez(folder / "parameters.npz", **run.parameters, **run.preparation.scaling)  # type: ignore[arg-type]
    checksums = {path.name: checksum(path) for path in sorted(folder.iterdir())}
    (folder / "run.json").write_text(to_json(run, checksums), encoding="utf-8")
    for path in folder.iterdir():
        sync_file(path)
    sync_folder(folder)
