"""The sub-commands of `nnlab`."""

__all__ = ["COMMANDS"]

COMMANDS = {
    "run": "train and record one network",
    "sweep": "train and record many networks: a preset, or any values",
    "why": "find out by experiment why networks did not learn",
    "judge": "judge recorded runs again, without training",
    "ui": "compare recorded runs in the MLflow UI",
    "report": "write the report on an experiment",
    "film": "make a GIF of one network during training",
    "sync": "log to MLflow the runs on disk that it lacks",
    "verify": "check every run folder against its checksums",
    "register": "add a run to MLflow's model registry",
}
"""The sub-commands; `nnlab.cli.NAME.main` takes the words after NAME."""
