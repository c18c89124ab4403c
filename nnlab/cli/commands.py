"""The sub-commands of `nnlab`."""

__all__ = ["COMMANDS"]

COMMANDS = {
    "run": "train and record one network",
    "sweep": "train and record many networks: a preset, or any values",
    "ui": "compare recorded runs in the MLflow UI",
    "report": "write the page about an experiment",
    "film": "make a GIF of one network while it learns",
    "sync": "log to MLflow what is on disk and it lacks",
    "verify": "check every run folder against its checksums",
    "register": "put a network into MLflow's model registry",
}
"""The sub-commands; `nnlab.cli.NAME.main` takes the words after NAME."""
