"""Hydra's side of a stacked sweep: all jobs are passed to nnlab as one batch.

Hydra imports this at every start, so it imports only Hydra; nnlab is imported when a sweep is launched.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, configure_log, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from hydra_plugins.nnlab_composition import Composed, Yaml, compose
from hydra_plugins.nnlab_internals import BasicSweeper

__all__ = ["NnlabLauncher", "NnlabSweeper"]

log = logging.getLogger(__name__)


@dataclass
class NnlabLauncherConf:
    """Train all jobs of a batch as one study."""

    _target_: str = "hydra_plugins.nnlab_launcher.NnlabLauncher"


@dataclass
class NnlabSweeperConf:
    """Hydra's basic sweeper, with paired keys and a fast check of all configs.

    `max_batch_size` is how many jobs another launcher gets at once. nnlab's own gets all of them: a sweep is one study
    with one summary, and its workers take only a few stacks at a time. `paired` names keys whose values are taken side
    by side instead of each with each: [init.scheme, init.scale], or several such groups.
    """

    _target_: str = "hydra_plugins.nnlab_launcher.NnlabSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None
    paired: list[Any] = field(default_factory=list)


ConfigStore.instance().store(group="hydra/launcher", name="nnlab", node=NnlabLauncherConf, provider="nnlab")
ConfigStore.instance().store(group="hydra/sweeper", name="nnlab", node=NnlabSweeperConf, provider="nnlab")


class _JobReturn(JobReturn):
    """A job's return whose configs are composed on first use: most sweepers never read them."""

    composed: Composed

    @property
    def cfg(self) -> DictConfig:
        config = self.composed.config()
        with open_dict(config):
            del config["hydra"]
        return config

    @cfg.setter
    def cfg(self, value: Any) -> None:
        """Ignore the None that the base class sets."""

    @property
    def hydra_cfg(self) -> DictConfig:
        return OmegaConf.masked_copy(self.composed.config(), "hydra")

    @hydra_cfg.setter
    def hydra_cfg(self, value: Any) -> None:
        """Ignore the None that the base class sets."""


class NnlabLauncher(Launcher):
    """Trains a whole batch as one study, then does for each job what Hydra promises.

    That is its `.hydra` folder, its callbacks, and its JobReturn in order.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.composed: list[Composed] | None = None
        self.yaml = Yaml()

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        hydra_app = _nnlab(self.task_function)
        if hydra_app is None:
            raise CompactHydraException(
                "hydra/launcher=nnlab launches `nnlab sweep` only; for another program use hydra/launcher=basic"
            )
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        sweep_dir = Path(str(self.config.hydra.sweep.dir))
        sweep_dir.mkdir(parents=True, exist_ok=True)
        # The sweeper may have composed this batch already.
        jobs, self.composed = self.composed, None
        if jobs is None or [job.lines for job in jobs] != [tuple(lines) for lines in job_overrides]:
            jobs = compose(self.hydra_context.config_loader, self.config, job_overrides)
        values = hydra_app.train_batch(
            (job.task for job in jobs),
            str(sweep_dir),
            first=initial_job_idx == 0,
            preset_folders=_folders(self.config),
        )
        finish = self._write_files if self._needs_only_files() else self._run
        return [finish(job, initial_job_idx + place, values[place], sweep_dir) for place, job in enumerate(jobs)]

    def _needs_only_files(self) -> bool:
        hydra = OmegaConf.to_container(self.config.hydra, resolve=False)
        assert isinstance(hydra, dict)
        return (
            not any(map(_wants_jobs, self.hydra_context.callbacks.callbacks))
            and hydra["sweep"]["subdir"] == "${hydra.job.num}"
            and not hydra["job"]["chdir"]
            and not hydra["job"]["env_set"]
            and hydra["output_subdir"] is not None
        )

    def _run(self, job: Composed, index: int, value: Any, sweep_dir: Path) -> JobReturn:
        """Let Hydra finish a job that needs callbacks, a folder named by its config, or another environment."""
        config = job.config()
        with open_dict(config):
            config.hydra.job.id = index
            config.hydra.job.num = index
        return run_job(
            hydra_context=self.hydra_context,
            task_function=lambda _: _raised(value),
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            configure_logging=False,
        )

    def _write_files(self, job: Composed, index: int, value: Any, sweep_dir: Path) -> JobReturn:
        """Write the files that run_job writes. run_job takes 20 ms a job for content that is the same in all jobs."""
        folder = sweep_dir / str(index)
        hydra = job.base.hydra
        own = {
            "overrides": {**hydra["overrides"], "task": job.task_lines},
            "job": {**hydra["job"], "id": str(index), "num": index},
            "runtime": {**hydra["runtime"], "output_dir": str(folder.absolute())},
        }
        output = folder / hydra["output_subdir"]
        output.mkdir(parents=True, exist_ok=True)
        texts = {
            "config": self.yaml(job.task),
            "hydra": self.yaml({"hydra": {**hydra, **own}}),
            "overrides": self.yaml(job.task_lines),
        }
        for name, text in texts.items():
            (output / f"{name}.yaml").write_text(text, encoding="utf-8")
        failed = isinstance(value, BaseException)
        done = _JobReturn(
            overrides=job.task_lines,
            working_dir=str(Path.cwd()),
            task_name=JobRuntime.instance().get("name"),
            status=JobStatus.FAILED if failed else JobStatus.COMPLETED,
        )
        done.composed = job
        done.return_value = value
        return done


def _nnlab(task_function: TaskFunction) -> Any:
    """Return nnlab's Hydra application if the task is its task, else None."""
    from nnlab.cli import hydra_app

    return hydra_app if task_function is hydra_app.task else None


def _folders(config: DictConfig) -> list[Path]:
    """Return the folders on Hydra's search path, in their order."""
    return [Path(source.path) for source in config.hydra.runtime.config_sources if source.schema == "file"]


def _wants_jobs(callback: Any) -> bool:
    """Return True if a callback does something at every job, not only once per launch."""
    kind = type(callback)
    return any(getattr(kind, name, None) is not getattr(Callback, name) for name in ("on_job_start", "on_job_end"))


def _raised(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


class NnlabSweeper(BasicSweeper):
    """The basic sweeper with paired keys, and with a check of all jobs before they are launched."""

    def __init__(
        self, max_batch_size: int | None, params: dict[str, str] | None = None, paired: Sequence[Any] = ()
    ) -> None:
        super().__init__(max_batch_size, params)
        groups = [paired] if paired and all(isinstance(key, str) for key in paired) else paired
        self.paired = [[str(key) for key in group] for group in groups]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task_function = task_function

    # An instance method, where Hydra has a static one, because the result depends on `paired`.
    def split_arguments(  # type: ignore[override]
        self, overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """Return the jobs in batches: each value with each, except that paired keys go side by side."""
        values: dict[str, list[str]] = {}
        for override in overrides:
            key = override.get_key_element()
            values[key] = [f"{key}={value}" for value in _values(override)]
        choices = [choice for key in values if (choice := self._choices(key, values))]
        for group in self.paired:
            missing = [key for key in group if key not in values]
            if missing:
                raise CompactHydraException(
                    f"hydra.sweeper.paired must name keys that are swept ({', '.join(values)}), "
                    f"got {', '.join(missing)}"
                )
        jobs = [list(itertools.chain(*job)) for job in itertools.product(*choices)]
        if max_batch_size is not None and max_batch_size < 1:
            raise CompactHydraException(f"hydra.sweeper.max_batch_size must be at least 1, got {max_batch_size}")
        if max_batch_size is None or isinstance(self.launcher, NnlabLauncher):
            return [jobs]
        return [jobs[start : start + max_batch_size] for start in range(0, len(jobs), max_batch_size)]

    def _choices(self, key: str, values: dict[str, list[str]]) -> list[tuple[str, ...]]:
        """Return the alternatives at a key's place: its values, or its group's values side by side.

        A group is placed at its first key; its other keys have none.
        """
        group = next((group for group in self.paired if key in group), [key])
        keys = [name for name in values if name in group]
        if keys[0] != key:
            return []
        lengths = {name: len(values[name]) for name in keys}
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise CompactHydraException(f"keys that are paired must have equally many values: {counts}")
        return list(zip(*(values[name] for name in keys), strict=True))

    def sweep(self, arguments: list[str]) -> Any:
        """Compose and check all jobs, then launch them. Raises before anything is written if a job is wrong."""
        assert self.hydra_context is not None
        assert self.config is not None
        loader = self.hydra_context.config_loader
        grid, hydra_app = self._parse_config(), _nnlab(self.task_function)
        if hydra_app:
            hydra_app.check_grid(grid)
        words = OverridesParser.create(config_loader=loader).parse_overrides([*grid, *arguments])
        batches = self.split_arguments(words, self.max_batch_size)
        jobs = compose(loader, self.config, list(itertools.chain(*batches)))
        if isinstance(self.launcher, NnlabLauncher):
            self.launcher.composed = jobs  # it checks them itself before the first run
        elif hydra_app:
            hydra_app.check_batch(job.task for job in jobs)
        return super().sweep(arguments)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Do nothing: `sweep` has composed all jobs."""


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.get_value_element_as_str()]
    if not override.is_discrete_sweep():
        raise CompactHydraException(
            f"{override.get_key_element()} must be swept over values that can be listed, such as 1,2,3 or range(3), "
            f"got {override.input_line}"
        )
    values = list(override.sweep_string_iterator())
    if not values:
        raise CompactHydraException(
            f"{override.get_key_element()} must be swept over at least one value, got {override.input_line}"
        )
    return values
