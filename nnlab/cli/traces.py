"""What was there before Hydra wrote its files, so that a launch that is refused leaves it as it was.

The folders of hydra.run.dir and hydra.sweep.dir may be anybody's, and Hydra writes into them before it calls anybody.
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

__all__ = ["Before", "restore"]

_files: dict[Path, bytes | None] = {}
"""What stood in each file that this launch writes; None where there was no file."""
_new_folders: list[Path] = []
"""The folders that this launch makes, the innermost first."""


class Before(Callback):
    """Notes what is there. Hydra calls it before it writes anything.

    It ends the program if there is no saying where Hydra would write: what a callback raises, Hydra passes over.
    """

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        folder, subdir = _folder(config, "run"), config.hydra.output_subdir
        names = () if subdir is None else ("config", "hydra", "overrides")
        _note(folder, [folder / str(subdir) / f"{name}.yaml" for name in names])

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        folder = _folder(config, "sweep")
        _note(folder, [folder / "multirun.yaml"])


def restore() -> None:
    """Give each file that this launch wrote its earlier content, and remove those and the folders that are new."""
    for path, content in _files.items():
        if content is None:
            path.unlink(missing_ok=True)
        elif path.read_bytes() != content:
            path.write_bytes(content)
    for folder in _new_folders:
        with contextlib.suppress(OSError):  # it was never made, holds something, or is in use
            folder.rmdir()


def _folder(config: DictConfig, mode: str) -> Path:
    before = HydraConfig.instance().cfg
    if mode == "run":  # Hydra resolves ${hydra:job.name} and its like for a run, not for a sweep
        HydraConfig.instance().set_config(config)
    try:
        return Path(str(config.hydra[mode].dir)).absolute()
    except OmegaConfBaseException as error:
        sys.exit(f"hydra.{mode}.dir cannot be resolved: {str(error.msg).partition(chr(10))[0]}")
    finally:
        HydraConfig.instance().cfg = before


def _note(folder: Path, files: list[Path]) -> None:
    _files.clear()
    _files.update({path: path.read_bytes() if path.is_file() else None for path in files})
    folders = {place for path in (folder / "file", *files) for place in path.parents}
    _new_folders[:] = sorted((place for place in folders if not place.exists()), key=lambda one: -len(one.parts))
