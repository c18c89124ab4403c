"""Between Hydra's configs and nnlab's: the schema that Hydra checks against, and the way back."""

import os
import sys
import tempfile

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from nnlab.config import ConfigError, RunConfig
from nnlab.results import Results

__all__ = ["register"]

LONGEST_NAME = 255
"""Bytes that common file systems allow for one name."""


def register() -> None:
    """Tell Hydra what a run's config looks like: it rejects unknown keys and wrong types by itself."""
    ConfigStore.instance().store(name="schema", node=RunConfig)
    OmegaConf.register_new_resolver("results_path", _usable_results_path, replace=True)


def _usable_results_path(results_dir: str) -> str:
    """Return the absolute results folder, or end the program.

    Hydra makes its log folder there before it calls anybody, and shows a traceback if it cannot. This resolver is
    the only one to see results_dir earlier, and nothing but SystemExit leaves a resolver as it was raised.
    """
    try:
        path = Results.at(str(results_dir)).folder
        existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        with tempfile.TemporaryDirectory(dir=existing):
            pass
        usable = bool(str(results_dir).strip()) and max(len(os.fsencode(part)) for part in path.parts) <= LONGEST_NAME
    except (ConfigError, OSError, ValueError):
        usable = False
    if not usable:
        sys.exit(f"results_dir must be a folder that can be written to, got {results_dir!r}")
    return str(path)
