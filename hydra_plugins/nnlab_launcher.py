"""Hydra's side of a stacked sweep: compose many configs cheaply, hand them over as one batch.

Hydra composes a config in about 50 ms and its basic sweeper composes each job twice; nearly all of that is the same
for every job of a sweep. Here each distinct choice of config groups is composed once, and plain values are applied
to copies. Imported at every start of Hydra, so it imports nothing else.
"""

import copy
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

__all__ = ["NnlabLauncher", "NnlabSweeper"]

log = logging.getLogger(__name__)


@dataclass
class NnlabLauncherConf:
    """Train all jobs of a batch as one study."""

    _target_: str = "hydra_plugins.nnlab_launcher.NnlabLauncher"


@dataclass
class NnlabSweeperConf:
    """Hydra's basic sweeper with a check of all configs that takes milliseconds."""

    _target_: str = "hydra_plugins.nnlab_launcher.NnlabSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/launcher", name="nnlab", node=NnlabLauncherConf, provider="nnlab")
ConfigStore.instance().store(group="hydra/sweeper", name="nnlab", node=NnlabSweeperConf, provider="nnlab")


class NnlabLauncher(Launcher):
    """Hands a whole batch to the task's `batch`, then does for each job what Hydra promises: its `.hydra` folder,
    its callbacks, its JobReturn in order."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        batch = getattr(self.task_function, "batch", None)
        if batch is None:
            raise CompactHydraException(
                "hydra/launcher=nnlab trains with experiments/train.py; here, use hydra/launcher=basic"
            )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep_dir = Path(str(self.config.hydra.sweep.dir))
        sweep_dir.mkdir(parents=True, exist_ok=True)
        configs = compose(self.hydra_context.config_loader, self.config, job_overrides)
        values = batch([_task_part(config) for config in configs], str(sweep_dir))
        return [
            self._job(config, initial_job_idx + index, value)
            for index, (config, value) in enumerate(zip(configs, values, strict=True))
        ]

    def _job(self, config: DictConfig, index: int, value: Any) -> JobReturn:
        with open_dict(config):
            config.hydra.job.id = index
            config.hydra.job.num = index
        return run_job(
            hydra_context=self.hydra_context,
            task_function=lambda _: value,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=False,
        )


class NnlabSweeper(BasicSweeper):
    """The basic sweeper; checks a batch with the task's `check` before any launcher sees it."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.check = getattr(task_function, "check", None)

    @staticmethod
    def split_arguments(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        for override in overrides:
            if override.is_sweep_override():
                if not override.is_discrete_sweep():
                    raise CompactHydraException(
                        f"{override.get_key_element()} must be swept over values that can be listed, such as 1,2,3 or "
                        f"range(3), got {override.input_line}"
                    )
                if next(iter(override.sweep_string_iterator()), None) is None:
                    raise CompactHydraException(
                        f"{override.get_key_element()} must be swept over at least one value, got {override.input_line}"
                    )
        return BasicSweeper.split_arguments(overrides, max_batch_size)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        assert self.hydra_context is not None
        assert self.config is not None
        configs = compose(self.hydra_context.config_loader, self.config, batch)
        if self.check is not None:
            self.check([_task_part(config) for config in configs], str(self.config.hydra.sweep.dir))


def compose(loader: ConfigLoader, master: DictConfig, batch: Sequence[Sequence[str]]) -> list[DictConfig]:
    """Return the config of each job, as `load_sweep_config` would."""
    parser = OverridesParser.create(config_loader=loader)
    # Asking which keys are config groups takes 10 ms each.
    is_group = functools.cache(lambda key: bool(loader.get_group_options(key, ObjectType.CONFIG)))
    bases: dict[tuple[str, ...], DictConfig] = {}
    configs = []
    for lines in batch:
        overrides = parser.parse_overrides(list(lines))
        plain = [override for override in overrides if _is_plain(override) and not is_group(override.key_or_group)]
        choices = tuple(line for line, override in zip(lines, overrides, strict=True) if override not in plain)
        if choices not in bases:
            bases[choices] = loader.load_sweep_config(master, list(choices))
        config = copy.deepcopy(bases[choices])
        ConfigLoaderImpl._apply_overrides_to_config(plain, config)
        config.hydra.overrides.task = [
            line for line, o in zip(lines, overrides, strict=True) if not o.is_hydra_override()
        ]
        configs.append(config)
    return configs


def _is_plain(override: Override) -> bool:
    """Whether an override sets a value (or chooses a group), as against changing structure or Hydra itself."""
    return override.type == OverrideType.CHANGE and not override.is_hydra_override() and override.package is None


def _task_part(config: DictConfig) -> DictConfig:
    part = copy.copy(config)
    with open_dict(part):
        del part["hydra"]
    return part
