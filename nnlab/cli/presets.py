"""The presets: nnlab's own, and the user's in the folders added with --config-dir."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from nnlab.results import conf_folder

__all__ = ["added_folders", "group_options", "groups", "leading_comment", "question"]


def added_folders(words: Sequence[str]) -> list[Path]:
    """Return the folders that the words add with --config-dir."""
    folders = []
    for place, word in enumerate(words):
        option, _, value = word.partition("=")
        if option in ("--config-dir", "-cd"):
            folders += [Path(value)] if value else [Path(following) for following in words[place + 1 : place + 2]]
    return folders


def groups(folders: Iterable[Path] = ()) -> set[str]:
    """Return the names of all groups of presets."""
    everywhere = [conf_folder(), *(folder for folder in folders if folder.is_dir())]
    return {path.name for folder in everywhere for path in folder.iterdir() if path.is_dir()}


def group_options(group: str, folders: Iterable[Path] = ()) -> list[str]:
    """Return the names of the presets of a group, sorted."""
    return sorted({path.stem for folder in [conf_folder(), *folders] for path in (folder / group).glob("*.yaml")})


def question(experiment: str, folders: Iterable[Path] = ()) -> str:
    """Return the question of an experiment: the comment at the top of its preset; empty if it has none."""
    places = [folder / "experiment" / f"{experiment}.yaml" for folder in (*folders, conf_folder())]
    preset = next((place for place in places if place.is_file()), None)
    return leading_comment(preset) if preset else ""


def leading_comment(preset: Path) -> str:
    """Return the comment that a preset begins with; for an experiment it is the question."""
    lines = preset.read_text(encoding="utf-8").splitlines()
    comments = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.removeprefix("#").strip() for line in comments if "@package" not in line)
