"""The Hydra application behind `nnlab run` and `nnlab sweep`; its launcher and sweeper are in `hydra_plugins`."""

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nnlab.cli.check_overrides import check_words
from nnlab.cli.hydra_files import restore
from nnlab.cli.hydra_schema import register
from nnlab.cli.presets import question
from nnlab.cli.process import CUT_OFF, catch_signals
from nnlab.results import conf_folder
from nnlab.study.interrupts import catch_interrupts

if TYPE_CHECKING:
    from nnlab.config import RunConfig

__all__ = ["check_batch", "check_grid", "launch", "task", "train_batch"]

LONGEST_SWEEP = 100
"""The most characters in a sweep's name: file names add to it, and are limited to 255."""


def launch(words: Sequence[str]) -> None:
    """Run Hydra with these words. Exits with one line if they are wrong."""
    catch_signals()
    if not {"-sc", "--shell-completion"} & set(words):
        check_words(words)
    register()
    before, sys.argv = sys.argv, ["nnlab", *words]  # Hydra reads its words there
    with catch_interrupts() as interrupts:
        try:
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(task)()
        except ValueError as error:  # two of Hydra's options that exclude each other
            sys.exit(str(error))
        except SystemExit as stop:
            if stop.code not in CUT_OFF:  # Ctrl-C while a config is composed makes OmegaConf raise other errors
                interrupts.check()
            raise
        finally:
            sys.argv = before


def _check_interrupts() -> None:
    """Raise KeyboardInterrupt if the user pressed Ctrl-C before and the exception got lost in Hydra."""
    with catch_interrupts() as interrupts:
        interrupts.check()


def task(cfg: DictConfig) -> float | None:
    """Train one network. Hydra calls this for a single run, and its stock launchers call it for each job."""
    from nnlab.cli.console import conduct
    from nnlab.config import ConfigError, from_dict
    from nnlab.study.execute import final_costs
    from nnlab.study.plan import make_plan

    _check_interrupts()
    hydra_cfg = HydraConfig.get()
    part_of_sweep = hydra_cfg.mode == RunMode.MULTIRUN
    try:
        config = from_dict(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)))
        plan = make_plan(
            [config],
            n_jobs=1,
            sweep=sweep_name(hydra_cfg.sweep.dir) if part_of_sweep else None,
            swept=_chosen_keys(config, hydra_cfg.overrides.task) if part_of_sweep else None,
        )
        status = conduct(plan)
    except (ConfigError, OmegaConfBaseException) as error:
        if not part_of_sweep:
            restore()
        raise refusal(error) from None
    if status:
        sys.exit(status)
    return final_costs(plan)[0]


def train_batch(
    cfgs: Iterable[Mapping[str, Any]], sweep_dir: str, *, first: bool, preset_folders: Sequence[Path] = ()
) -> list[float | SystemExit]:
    """Train many networks as one study. nnlab's launcher calls this once, instead of `task` for each job.

    Returns the final cost of each run (see `final_costs`), or the SystemExit to raise for one that failed. `first` is
    True for the first batch of a sweep: if it is refused, Hydra's files of the sweep are removed. `preset_folders` are
    the folders of presets that the user added.
    """
    from nnlab.cli.console import conduct
    from nnlab.config import ConfigError, from_dict
    from nnlab.record.commands import nnlab_command
    from nnlab.study.execute import final_costs
    from nnlab.study.plan import make_plan

    _check_interrupts()
    try:
        configs = [from_dict(cfg) for cfg in cfgs]
        plan = make_plan(
            configs,
            sweep=sweep_name(sweep_dir),
            command=nnlab_command(sys.argv[1:]),
            question=question(configs[0].tracking.experiment, preset_folders),
        )
        status = conduct(plan)
    except (ConfigError, OmegaConfBaseException) as error:
        if first:
            restore()
        raise refusal(error) from None
    if status in CUT_OFF:
        sys.exit(status)
    return [SystemExit(status) if cost is None else cost for cost in final_costs(plan)]


def check_batch(cfgs: Iterable[Mapping[str, Any]]) -> None:
    """Check all configs of a sweep and its results folder, whichever launcher will run it."""
    from nnlab.config import ConfigError, from_dict
    from nnlab.study.plan import make_plan

    try:
        make_plan([from_dict(cfg) for cfg in cfgs], n_jobs=1)
    except (ConfigError, OmegaConfBaseException) as error:
        raise refusal(error) from None


def check_grid(words: Iterable[str]) -> None:
    """Exit with one line if a value of hydra.sweeper.params must be written otherwise; presets are YAML."""
    from nnlab.cli.check_values import check_value

    def in_yaml(word: str) -> str:
        key, _, value = word.partition("=")
        return f"{key}: {json.dumps(value, ensure_ascii=False)}"

    for word in words:
        check_value(word, is_sweep=True, written=in_yaml)


def refusal(error: Exception) -> CompactHydraException:
    """Return the exception that Hydra shows without a traceback."""
    if isinstance(error, OmegaConfBaseException):  # an interpolation of something that does not exist
        return CompactHydraException(f"{error.full_key} cannot be resolved: {str(error.msg).partition(chr(10))[0]}")
    return CompactHydraException(str(error))


def _chosen_keys(config: "RunConfig", words: Sequence[str]) -> list[str]:
    """Return the keys that one job's words chose, by value or by preset; one job has no access to the others."""
    from nnlab.config import SCIENCE, RunConfig, flatten

    defaults, values = flatten(RunConfig()), flatten(config)
    names = [word.split("=")[0] for word in words]
    return [
        key
        for key in values
        if key.split(".")[0] in SCIENCE
        and (key in names or (key.split(".")[0] in names and values[key] != defaults[key]))
    ]


def sweep_name(sweep_dir: str) -> str:
    """Return the name of a sweep, for its summary and the tag of its runs: day and time of Hydra's folder.

    A folder may have any name, a sweep may not: a name that is too long, is reserved or has other characters is
    shortened and gets a digest of the folder's path.
    """
    from nnlab.record.sweeps import RESERVED_NAMES

    path = Path(sweep_dir)
    if ".." in path.parts or not path.name:
        path = path.resolve()
    name = "T".join([part for part in path.parts if part != path.anchor][-2:])
    safe = re.sub(r"[^A-Za-z0-9_.+-]", "_", name).lstrip(".")[:LONGEST_SWEEP]
    if safe and safe == name and safe not in RESERVED_NAMES:
        return name
    return f"{safe or 'sweep'}-{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]}"
