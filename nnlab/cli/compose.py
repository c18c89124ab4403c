"""The config of one network, composed by Hydra from words, for commands that are not Hydra applications."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from nnlab.config import RunConfig

__all__ = ["composed"]


def composed(words: Sequence[str]) -> "RunConfig":
    """Return the config of one network. Raises ConfigError for words that Hydra rejects."""
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from nnlab.cli.hydra_schema import register
    from nnlab.config import ConfigError, from_dict
    from nnlab.results import conf_folder

    register()
    try:
        with initialize_config_dir(str(conf_folder()), version_base="1.3"):
            cfg = compose("config", overrides=list(words))
        return from_dict(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(str(error)) from None
