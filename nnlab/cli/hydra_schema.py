"""What nnlab registers with Hydra: the schema of a config, and resolvers for the results folder and the help."""

import os
import sys
import tempfile

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from nnlab.cli.configuration import key_list, preset_list
from nnlab.config import ConfigError, RunConfig
from nnlab.results import Results

__all__ = ["register"]

LONGEST_NAME = 255
"""Bytes that common file systems allow for one name."""


def register() -> None:
    """Register the schema, by which Hydra rejects unknown keys and wrong types, and the resolvers."""
    ConfigStore.instance().store(name="schema", node=RunConfig)
    OmegaConf.register_new_resolver("results_path", _usable_results_path, replace=True)
    OmegaConf.register_new_resolver("nnlab_keys", key_list, replace=True)
    OmegaConf.register_new_resolver("nnlab_presets", preset_list, replace=True)


def _usable_results_path(results_dir: str) -> str:
    """Return the absolute results folder, or exit.

    Hydra creates its log folder there before it calls the task, and shows a traceback if it cannot. Only a resolver
    sees results_dir earlier, and only SystemExit leaves a resolver unchanged.
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
