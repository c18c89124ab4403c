"""Compose the configs of a sweep at a cost that grows with its distinct words, not with its jobs.

Hydra composes a config in about 50 ms, and its basic sweeper composes each job twice. Nearly all of that work is the
same for every job of a sweep. Here each distinct choice of config groups is composed once, and each distinct plain
value is converted and checked once. A job is a choice and its values.
"""

import copy
import functools
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.nnlab_internals import apply_overrides

__all__ = ["Composed", "Yaml", "compose"]


class _Base:
    """The result of composing one choice of config groups: Hydra's config, and the task's part as plain values."""

    def __init__(self, config: DictConfig) -> None:
        self.config = config
        task = _task_part(config)
        # Values that refer to others cannot be set one by one.
        self.interpolated = "${" in OmegaConf.to_yaml(task)
        self.container: Any = None if self.interpolated else OmegaConf.to_container(task)
        self._scratch = copy.deepcopy(config)

    @functools.cached_property
    def hydra(self) -> dict[str, Any]:
        """Hydra's own part as plain values, the interpolations in it as text."""
        return OmegaConf.to_container(self.config.hydra, resolve=False, enum_to_str=True)  # type: ignore[return-value]

    def converted(self, override: Override) -> Any:
        """Return an override's value in the type of the schema. Raises Hydra's errors for values that do not fit.

        An interpolation is returned unresolved: it may refer to other overrides.
        """
        apply_overrides([override], self._scratch)
        if _refers(override):
            return override.value()
        value = OmegaConf.select(self._scratch, override.key_or_group)
        return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


@dataclass(frozen=True)
class Composed:
    """The config of one job: a choice of groups and the plain values set in it, by key."""

    lines: tuple[str, ...]
    base: _Base
    plain: tuple[tuple[Override, Any], ...]

    @property
    def quick(self) -> bool:
        """True if no value refers to others, so that there is nothing to resolve."""
        return not self.base.interpolated and not any(_refers(override) for override, _ in self.plain)

    @property
    def task(self) -> dict[str, Any]:
        """The task's part of the config, as plain dicts and values."""
        if not self.quick:
            return OmegaConf.to_container(_task_part(self.config()), resolve=True)  # type: ignore[return-value]
        values = {key: dict(part) if isinstance(part, dict) else part for key, part in self.base.container.items()}
        for override, value in self.plain:
            *path, leaf = override.key_or_group.split(".")
            part = values
            for name in path:
                part = part[name]
            part[leaf] = copy.deepcopy(value)
        return values

    @property
    def task_lines(self) -> list[str]:
        """The words of the command line that are not about Hydra."""
        return [line for line in self.lines if not line.lstrip("+~").startswith("hydra")]

    def config(self) -> DictConfig:
        """Return the config that Hydra's `load_sweep_config` returns."""
        config = copy.deepcopy(self.base.config)
        apply_overrides([override for override, _ in self.plain], config)
        config.hydra.overrides.task = self.task_lines
        return config


def compose(loader: ConfigLoader, master: DictConfig, batch: Sequence[Sequence[str]]) -> list[Composed]:
    """Return the config of each job of a batch of overrides. Raises Hydra's errors for a wrong override."""
    parser = OverridesParser.create(config_loader=loader)
    parse = functools.cache(lambda line: parser.parse_overrides([line])[0])
    # Asking which keys are config groups takes 10 ms each.
    is_group = functools.cache(lambda key: bool(loader.get_group_options(key, ObjectType.CONFIG)))
    bases: dict[tuple[str, ...], _Base] = {}
    values: dict[tuple[tuple[str, ...], str], Any] = {}
    jobs = []
    for lines in batch:
        overrides = [parse(line) for line in lines]
        plain = [_is_plain(override) and not is_group(override.key_or_group) for override in overrides]
        choice = tuple(line for line, is_value in zip(lines, plain, strict=True) if not is_value)
        if choice not in bases:
            bases[choice] = _Base(loader.load_sweep_config(master, list(choice)))
        chosen = []
        for line, override, is_value in zip(lines, overrides, plain, strict=True):
            if is_value:
                if (choice, line) not in values:
                    values[choice, line] = bases[choice].converted(override)
                chosen.append((override, values[choice, line]))
        jobs.append(Composed(tuple(lines), bases[choice], tuple(chosen)))
    return jobs


class Yaml:
    """Writes plain values as YAML, keys in their order.

    Entries are cached: the files of a sweep's jobs differ in a few lines.
    """

    def __init__(self) -> None:
        self._entries: dict[str, str] = {}

    def __call__(self, content: Any) -> str:
        """Return the YAML of dicts, lists, texts and numbers."""
        if isinstance(content, dict) and content:
            return "".join(self._entry(key, value) for key, value in content.items())
        return _dump(content)

    def _entry(self, key: str, value: Any) -> str:
        cached = repr((key, value))
        if cached not in self._entries:
            if len(self._entries) > 1000:  # a few megabytes
                self._entries.clear()
            self._entries[cached] = self._written(key, value)
        return self._entries[cached]

    def _written(self, key: str, value: Any) -> str:
        if not isinstance(value, dict) or not value:
            return _dump({key: value})
        name = self._written(key, {}).removesuffix(" {}\n")
        return f"{name}\n{textwrap.indent(self(value), '  ')}"


def _dump(content: Any) -> str:
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(content, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False))


def _refers(override: Override) -> bool:
    """Return True if a value refers to others. Its text does not show it: the basic sweeper escapes braces."""
    return "${" in str(override.value())


def _is_plain(override: Override) -> bool:
    """Return True if an override sets a value or chooses a group, but changes neither structure nor Hydra itself."""
    return override.type == OverrideType.CHANGE and not override.is_hydra_override() and override.package is None


def _task_part(config: DictConfig) -> DictConfig:
    part = copy.copy(config)
    with open_dict(part):
        del part["hydra"]
    return part
