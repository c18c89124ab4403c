"""Between Hydra's configs and nnlab's: the schema that Hydra checks against, and the way back."""

import dataclasses
import os
import sys
import tempfile
from typing import Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from nnlab.config import ConfigError, RunConfig, results_path

__all__ = ["register", "to_run_config"]

LONGEST_NAME = 255
"""Bytes that common file systems allow for one name."""


def register() -> None:
    """Tell Hydra what a run's config looks like: it rejects unknown keys and wrong types by itself."""
    ConfigStore.instance().store(name="schema", node=RunConfig)
    OmegaConf.register_new_resolver("results_path", _usable_results_path, replace=True)


def to_run_config(cfg: DictConfig) -> RunConfig:
    """Return the typed config that a composed one stands for. Raises ConfigError for keys added with +."""
    unknown = sorted(_keys("", OmegaConf.to_container(cfg)) - _keys("", dataclasses.asdict(RunConfig())))
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: there is no such key; --help lists those there are")
    return cast(RunConfig, OmegaConf.to_object(cfg))


def _keys(prefix: str, part: Any) -> set[str]:
    if not isinstance(part, dict):
        return {prefix.rstrip(".")}
    return set().union(*(_keys(f"{prefix}{key}.", value) for key, value in part.items()))


def _usable_results_path(results_dir: str) -> str:
    """Return the absolute results folder, or end the program.

    Hydra makes its log folder there before it calls anybody, and shows a traceback if it cannot. This resolver is
    the only one to see results_dir earlier, and nothing but SystemExit leaves a resolver as it was raised.
    """
    try:
        path = results_path(str(results_dir))
        existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
        with tempfile.TemporaryDirectory(dir=existing):
            pass
        usable = bool(str(results_dir).strip()) and max(len(os.fsencode(part)) for part in path.parts) <= LONGEST_NAME
    except (ConfigError, OSError, ValueError):
        usable = False
    if not usable:
        sys.exit(f"results_dir must be a folder that can be written to, got {results_dir!r}")
    return str(path)
