"""Between Hydra's configs and nnlab's: the schema that Hydra checks against, and the way back."""

from typing import cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from nnlab.config import RunConfig, results_path

__all__ = ["register", "to_run_config"]


def register() -> None:
    """Tell Hydra what a run's config looks like: it rejects unknown keys and wrong types by itself."""
    ConfigStore.instance().store(name="schema", node=RunConfig)
    OmegaConf.register_new_resolver("results_path", lambda path: str(results_path(path)), replace=True)


def to_run_config(cfg: DictConfig) -> RunConfig:
    """Return the typed config that a composed one stands for."""
    return cast(RunConfig, OmegaConf.to_object(cfg))
