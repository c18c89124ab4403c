"""What nnlab takes from Hydra beyond its public interface, in one place. Checked with hydra-core 1.3.8.

- `BasicSweeper`: the sweeper that nnlab's extends; Hydra documents no base with its grammar.
- `ConfigLoaderImpl._apply_overrides_to_config`: sets values in a composed config as Hydra does.
"""

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

__all__ = ["BasicSweeper", "apply_overrides"]

apply_overrides = ConfigLoaderImpl._apply_overrides_to_config
