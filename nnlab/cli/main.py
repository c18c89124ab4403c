"""Train and record networks: one, or a sweep with -m. The only Hydra application of nnlab."""

import gc
import os
import signal
import sys

if __name__ == "__main__":
    # What is imported and composed stays: to look through it for cycles as often as Python does is a tenth of a start.
    gc.set_threshold(10_000, 20, 50)
if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until the rest is imported, nothing is made of which there were something to say.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import atexit
import difflib
import hashlib
import io
import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nnlab.cli.schema import register
from nnlab.results import conf_folder
from nnlab.cli.traces import restore

if TYPE_CHECKING:
    from nnlab.config import RunConfig

register()


def task(cfg: DictConfig) -> float | None:
    """Train one network. Hydra calls this for a single run, and its stock launchers call it for each job."""
    from nnlab.cli.console import conduct
    from nnlab.config import ConfigError, from_dict
    from nnlab.study.execute import Study

    hydra_cfg = HydraConfig.get()
    part_of_sweep = hydra_cfg.mode == RunMode.MULTIRUN
    try:
        config = from_dict(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)))
        study = Study.plan(
            [config],
            n_jobs=1,
            sweep=sweep_name(hydra_cfg.sweep.dir) if part_of_sweep else None,
            swept=chosen_keys(config, hydra_cfg.overrides.task) if part_of_sweep else None,
        )
        status = conduct(study)
    except (ConfigError, OmegaConfBaseException) as error:
        if not part_of_sweep:
            restore()
        raise refusal(error) from None
    if status:
        sys.exit(status)
    return study.objectives()[0]


def refusal(error: Exception) -> CompactHydraException:
    """Return what Hydra shows without a traceback."""
    if isinstance(error, OmegaConfBaseException):  # an interpolation that leads nowhere
        return CompactHydraException(f"{error.full_key} cannot be resolved: {str(error.msg).partition(chr(10))[0]}")
    return CompactHydraException(str(error))


def batch(cfgs: Iterable[Mapping[str, Any]], sweep_dir: str, first: bool) -> list[float | SystemExit]:
    """Train many networks as one study. nnlab's launcher calls this once, instead of `task` for each job.

    Returns the final test cost of each run, or how the program is to end on account of a run that failed. `first`
    says that this is the first batch of the sweep, so that nothing of the sweep stays if the batch is refused.
    """
    from nnlab.cli.console import CUT_OFF, conduct
    from nnlab.config import ConfigError, from_dict
    from nnlab.study.execute import Study

    try:
        configs = [from_dict(cfg) for cfg in cfgs]
        asked = question(configs[0].tracking.experiment)
        study = Study.plan(configs, sweep=sweep_name(sweep_dir), command=typed(), question=asked)
        status = conduct(study)
    except (ConfigError, OmegaConfBaseException) as error:
        if first:
            restore()
        raise refusal(error) from None
    if status in CUT_OFF:
        sys.exit(status)
    return [SystemExit(status) if value is None else value for value in study.objectives()]


def check(cfgs: Iterable[Mapping[str, Any]]) -> None:
    """Check all configs of a sweep and where it is recorded, whoever will launch it."""
    from nnlab.config import ConfigError, from_dict
    from nnlab.study.execute import Study

    try:
        Study.plan([from_dict(cfg) for cfg in cfgs], n_jobs=1)
    except (ConfigError, OmegaConfBaseException) as error:
        raise refusal(error) from None


def chosen_keys(config: "RunConfig", words: Sequence[str]) -> list[str]:
    """Return the keys that the words of one job chose, by value or by preset: a job knows no other of its sweep."""
    from nnlab.config import SCIENCE, RunConfig, flatten

    defaults, values = flatten(RunConfig()), flatten(config)
    given = [word.split("=")[0] for word in words]
    return [
        key
        for key in values
        if key.split(".")[0] in SCIENCE
        and (key in given or (key.split(".")[0] in given and values[key] != defaults[key]))
    ]


def typed() -> str:
    """Return the command line."""
    return shlex.join(["python", "experiments/train.py", *sys.argv[1:]])


def question(experiment: str) -> str:
    """Return what an experiment asks: the comment that its preset begins with; empty if it has none."""
    preset = CONF / "experiment" / f"{experiment}.yaml"
    if not preset.is_file():
        return ""
    comments = itertools.takewhile(lambda line: line.startswith("#"), preset.read_text(encoding="utf-8").splitlines())
    return " ".join(line.removeprefix("#").strip() for line in comments if "@package" not in line)


def sweep_name(sweep_dir: str) -> str:
    """Return the tag that the runs of one launch share and the name of its record: day and time of its folder.

    The folder may be called anything, its record may not: what is no plain name, too long or taken is made one, with a
    digest of the folder's place.
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


LONGEST_SWEEP = 100
"""Characters of a sweep's name: files are named by it with more behind, and names of files end at 255."""

task.batch = batch  # type: ignore[attr-defined]
task.check = check  # type: ignore[attr-defined]
CONF = conf_folder()
application = hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)


def main() -> None:
    """Run the command line."""
    try:
        Path.cwd()
    except FileNotFoundError:
        sys.exit("the working folder is gone: change to one that exists and type the same command again")
    check_words(sys.argv[1:])
    # What the process holds goes with it; looking through it for cycles first takes Python a second.
    atexit.register(gc.freeze)
    # What the queues of clusters send ends a sweep as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    application()


def check_words(words: Sequence[str]) -> None:
    """End the program if Hydra would answer a word with a traceback, in its own terms, or by taking half of it."""
    from nnlab.config import RunConfig, flatten

    keys = flatten(RunConfig()).keys()
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    legal = {*keys, *groups, *(key.split(".")[0] for key in keys), "hydra"}
    for word in words:
        group, _, name = word.partition("=")
        key = group.lstrip("+~")
        if word and not key:
            sys.exit(f"every word must be KEY=VALUE or GROUP=PRESET, got {word}")
        if re.search(r"\d{1000}", word):  # Python refuses to read them from 4,300 digits on
            sys.exit(f"{key} must be a number of fewer than 1000 digits, got one of more")
        if key in ("hydra.run.dir", "hydra.sweep.dir") and "=" in word and not name.strip("'\""):
            sys.exit(f"{key} must name a folder, . for this one, got {word}")
        if key.startswith("model.layers."):
            sys.exit(f"model.layers must be set as a whole, such as model.layers=[4,3], got {word}")
        presets = sorted(path.stem for path in (CONF / group).glob("*.yaml")) if group in groups else []
        if presets and re.fullmatch(r"[\w.]+", name) and name not in presets:
            sys.exit(f"{group} must be one of {', '.join(presets)}, got {name}")
        if "=" in word and re.fullmatch(r"[\w.]+", group) and group not in legal and not group.startswith("hydra."):
            near = difflib.get_close_matches(group, sorted(legal), n=3)
            sys.exit(f"{group} is no key; there is {' and '.join(near) or ', '.join(sorted(keys))}")
        if group == "experiment" and "," in name:
            sys.exit(f"experiment must be one of {', '.join(presets)}, since each brings its own grid, got {name}")


class Stream(io.FileIO):
    """A standard stream that nobody need read: neither a pipe that is closed nor a full disk stops what is trained."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def keep_streams() -> None:
    """Let output never decide whether there is training: what cannot be written is dropped."""
    # Where whoever started the program closed one, a file that is opened later would take its number.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
            continue
        raw = Stream(stream.fileno(), "w", closefd=False)
        buffer: Any = raw if stream.write_through else io.BufferedWriter(raw)
        kept = io.TextIOWrapper(
            buffer,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, kept)


if __name__ == "__main__":
    try:
        keep_streams()
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except KeyboardInterrupt:  # while configs are composed or the table is made; a study says itself what it kept
        print("\nStopped. What is recorded is kept; to make the rest, type the same command again.", file=sys.stderr)
        sys.exit(130)
