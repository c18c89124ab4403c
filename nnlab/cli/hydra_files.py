"""The files that Hydra writes at a launch, and their former content, so that a refused launch leaves no trace.

hydra.run.dir and hydra.sweep.dir may be folders of the user's, and Hydra writes into them before it calls the task.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

__all__ = ["Before", "restore"]

_files: dict[Path, bytes | None] = {}
"""The former content of each file that this launch writes; None where there was no file."""
_new_folders: list[Path] = []
"""The folders that this launch creates, innermost first."""


class Before(Callback):
    """Saves the former content. Hydra calls it before it writes anything.

    Exits if the folder cannot be resolved or made: Hydra ignores exceptions of callbacks.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        folder, subdir = _folder(config, "run"), config.hydra.output_subdir
        names = () if subdir is None else ("config", "hydra", "overrides")
        _save(folder, [folder / str(subdir) / f"{name}.yaml" for name in names])

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = _folder(config, "sweep")
        _save(folder, [folder / "multirun.yaml"])


def restore() -> None:
    """Restore the former content of each file that this launch wrote; remove new files and folders."""
    for path, content in _files.items():
        if content is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != content:
            path.write_bytes(content)
    for folder in _new_folders:
        with contextlib.suppress(OSError):  # it does not exist, is not empty, or is in use
            folder.rmdir()


def _folder(config: DictConfig, mode: str) -> Path:
    before = HydraConfig.instance().cfg
    if mode == "run":  # Hydra resolves ${hydra:job.name} and its like for a run, not for a sweep
        HydraConfig.instance().set_config(config)
    try:
        folder = Path(str(config.hydra[mode].dir)).absolute()
    except OmegaConfBaseException as error:
        sys.exit(f"hydra.{mode}.dir cannot be resolved: {str(error.msg).partition(chr(10))[0]}")
    finally:
        HydraConfig.instance().cfg = before
    existing = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    problem = "is not a folder" if not existing.is_dir() else "" if os.access(existing, os.W_OK) else "is not writable"
    if problem:
        sys.exit(f"hydra.{mode}.dir must be a folder that can be written to, got {str(folder)!r}: {existing} {problem}")
    return folder


def _save(folder: Path, files: list[Path]) -> None:
    _files.clear()
    _files.update({path: path.read_bytes() if path.is_file() else None for path in files})
    folders = {place for path in (folder / "file", *files) for place in path.parents}
    _new_folders[:] = sorted((place for place in folders if not place.exists()), key=lambda one: -len(one.parts))
