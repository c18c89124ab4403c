"""Every key and preset in words: for `--help`, and as docs/configuration.md.

python -m nnlab.cli.configuration            # writes docs/configuration.md
python -m nnlab.cli.configuration --print    # prints it
"""

import argparse
import inspect
import itertools
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from nnlab.cli.presets import leading_comment
from nnlab.config import DATA, KEYS, LEARNING_RATES, RunConfig, shell_word, to_word
from nnlab.config_field import Key, sections
from nnlab.results import checkout, conf_folder

__all__ = ["key_list", "main", "page", "preset_list"]

WIDEST = 120
"""Columns of the help text, in a terminal that has as many."""

INTRODUCTION = """\
# Configuration

<!-- written by: python -m nnlab.cli.configuration -->

{about}
A word `KEY=VALUE` sets one key, a word `GROUP=PRESET` sets several:

```sh
nnlab run model.activation=relu init=he
nnlab sweep model.activation=relu,tanh seed='range(5)'
```

In Python the keys are fields, `nnlab.RunConfig(model=nnlab.ModelConfig(activation="relu"))`, and `null` is `None`.
`nnlab run --help` lists keys and presets; `nnlab run ... --cfg job` prints every value of a run.
"""
PRESETS = """\
## Presets

`???` stands for a value that you must give.
"""
EXPERIMENTS = """\
## Experiments

`nnlab sweep EXPERIMENT` trains the grid of an experiment; `nnlab sweep EXPERIMENT KEY=VALUE` changes it.
"""


# ---- help


def key_list() -> str:
    """Return the lines of `--help` about the keys: default, meaning and legal values."""
    words = {name: f"{name}={to_word(key.default)}" for name, key in KEYS.items()}
    indent = max(map(len, words.values())) + 4
    lines = []
    for section, names in itertools.groupby(words, _section):
        lines += [""] * bool(section)
        lines += [_hanging(words[name], f"{KEYS[name].meaning} ({KEYS[name].legal})", indent) for name in names]
    return _literal("\n".join(lines))


def preset_list() -> str:
    """Return the lines of `--help` about the presets, including the user's own config folders."""
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    groups = {group: sorted(loader.get_group_options(group)) for group in sorted(loader.list_groups(""))}
    names = {f"{group}:": ", ".join(presets) for group, presets in groups.items() if presets and group != "hydra"}
    indent = max(map(len, names)) + 3
    return _literal("\n".join(_hanging(group, presets, indent) for group, presets in names.items()))


def _section(name: str) -> str:
    return name.rpartition(".")[0]


def _hanging(first: str, text: str, indent: int) -> str:
    """Return a paragraph that starts with `first` and continues `indent` columns to the right."""
    columns = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    lines = textwrap.wrap(text, max(columns - indent, 30), break_long_words=False, break_on_hyphens=False)
    return f"  {first}".ljust(indent) + f"\n{' ' * indent}".join(lines)


def _literal(text: str) -> str:
    """Return a text that Hydra's template engine, `string.Template`, leaves as it is."""
    return text.replace("$", "$$")


# ---- page


def page() -> str:
    """Return docs/configuration.md."""
    conf = conf_folder()
    parts = [INTRODUCTION.format(about=_about(RunConfig)), "## Keys\n", _key_table("")]
    for name, section in sections(RunConfig).items():
        parts += [f"### {name}\n", f"{_about(section)}\n", _key_table(name)]
        if name == "data":
            parts += ["`null` stands for these values; a dash marks a key that does not apply:\n", _traits()]
    parts += [PRESETS, _preset_table(conf), EXPERIMENTS, _experiment_table(conf)]
    return "\n".join(parts)


def _about(config: type) -> str:
    return inspect.cleandoc(config.__doc__ or "")


def _key_table(section: str) -> str:
    keys = [key for name, key in KEYS.items() if _section(name) == section]
    return _table("Key | Meaning | Legal values | Default | Example", map(_key_row, keys))


def _key_row(key: Key) -> list[str]:
    return [f"`{key.name}`", key.meaning, key.legal, _code(key.default), _code(key.example)]


def _traits() -> str:
    rows = (
        [
            f"`{name}`",
            *("-" if value is None else to_word(value) for value in (t.m, t.noise, t.test_fraction, t.standardize)),
            str(LEARNING_RATES[t.task]) if t.task else "by its target",
        ]
        for name, t in DATA.items()
    )
    keys = "`m`, `test_m` | `noise` | `test_fraction` | `standardize` | `training.learning_rate`"
    return _table(f"Data set | {keys}", rows)


def _preset_table(conf: Path) -> str:
    rows = (
        [f"`{group}={preset.stem}`", _settings(preset, group), leading_comment(preset)]
        for group in sections(RunConfig)
        for preset in sorted((conf / group).glob("*.yaml"))
    )
    return _table("Preset | Sets | Note", rows)


def _experiment_table(conf: Path) -> str:
    rows = (
        [f"[`{preset.stem}`](../conf/experiment/{preset.name})", leading_comment(preset), _swept(preset)]
        for preset in sorted((conf / "experiment").glob("*.yaml"))
    )
    return _table("Experiment | Question | Sweeps over", rows)


def _swept(preset: Path) -> str:
    return ", ".join(f"`{name}`" for name in _load(preset)["hydra"]["sweeper"]["params"])


def _settings(preset: Path, group: str) -> str:
    values = _load(preset).items()
    return " ".join(f"`{group}.{name}={value if value == '???' else to_word(value)}`" for name, value in values)


def _load(preset: Path) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load(preset.read_text(encoding="utf-8"))
    return values


def _code(value: Any) -> str:
    return f"`{shell_word(to_word(value))}`"


def _table(head: str, rows: Iterable[list[str]]) -> str:
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    lines = [head, " | ".join("---" for _ in head.split(" | ")), *map(" | ".join, cells)]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def main() -> None:
    """Write docs/configuration.md, or print it."""
    parser = argparse.ArgumentParser(
        prog="python -m nnlab.cli.configuration", description="Write docs/configuration.md."
    )
    parser.add_argument("--print", action="store_true", help="print the page instead")
    if parser.parse_args().print:
        sys.stdout.write(page())
        return
    root = checkout()
    if root is None:
        sys.exit("docs/configuration.md exists only in nnlab's source tree; print it with --print")
    (root / "docs" / "configuration.md").write_text(page(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
