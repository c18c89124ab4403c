"""What was swept, and the names of runs and settings.

A *setting* is a combination of the varied config keys other than the seed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from nnlab.config import SCIENCE, RunConfig, flatten

__all__ = ["independent_keys", "setting_name"]

_NAMED_FIRST = ("model.activation", "model.hidden_size", "init.scale")

_NAMED_LAST = "seed"

_SAY_ENOUGH = ("model.activation", "data.name", "init.scheme")


def setting_name(values: Mapping[str, Any]) -> str:
    """Return the name by which people know a run or its setting: `tanh h4 scale 0.01 seed 3`."""
    first = [key for key in _NAMED_FIRST if key in values]
    last = [_NAMED_LAST] if _NAMED_LAST in values else []
    keys = [*first, *(key for key in values if key not in (*first, *last)), *last]
    return " ".join(_name_part(key, values[key]) for key in keys)


def _name_part(key: str, value: Any) -> str:
    text = "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    if key == "model.hidden_size":
        return f"h{text}"
    return text if key in _SAY_ENOUGH else f"{key.split('.')[-1]} {text}"


def independent_keys(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the columns that vary, without those that follow from a single earlier one (or from model.layers)."""
    kept: list[str] = []
    for key, values in sorted(columns.items(), key=lambda column: column[0] != "model.layers"):
        follows = any(len({*zip(columns[other], values, strict=True)}) == len({*columns[other]}) for other in kept)
        if len(set(values)) > 1 and not follows:
            kept.append(key)
    return [key for key in columns if key in kept]


def varied(runs: pd.DataFrame) -> list[str]:
    """Return the config keys that were varied between these runs: the seed first, the others in the config's order.

    What merely follows from another choice, as a data set's noise from its name, is left out, and so is what does not
    change a result: where and by how many workers a run was made.
    """
    return [*(["seed"] if "seed" in runs and runs["seed"].nunique() > 1 else []), *setting_keys(runs)]


def setting_keys(runs: pd.DataFrame) -> list[str]:
    """Return the config keys that make settings of these runs: those that were varied, without the seed."""
    keys = [key for key in flatten(RunConfig()) if key.split(".")[0] in SCIENCE and key != "seed" and key in runs]
    if "data.seed" in keys and "seed" in runs:
        pairs = runs[["seed", "data.seed"]].drop_duplicates()
        if len(pairs) == runs["seed"].nunique() == runs["data.seed"].nunique():
            keys.remove("data.seed")  # each seed brings its own data: it is part of the replicate, not of the setting
    return independent_keys({key: runs[key].astype(object).map(repr).tolist() for key in keys})


def by_architecture(runs: pd.DataFrame) -> pd.DataFrame:
    """Return runs that name every architecture by its layers, `[20, 20]`, if any of them has layers of unlike widths.

    hidden_size and depth are left out then: 20 units thrice would stand beside a single layer of 20, as none does.
    """
    key = "model.layers"
    if key not in runs or runs[key].isna().all():
        return runs
    alike = [str([width] * depth) for width, depth in zip(runs["model.hidden_size"], runs["model.depth"], strict=True)]
    return runs.assign(**{key: runs[key].fillna(pd.Series(alike, runs.index))}).drop(
        columns=["model.hidden_size", "model.depth"]
    )


def constant(runs: pd.DataFrame) -> dict[str, object]:
    """Return the config keys that have one value in all these runs, with it, but for those that change no result."""
    keys = [key for key in flatten(RunConfig()) if key.split(".")[0] in SCIENCE and key in runs]
    return {key: runs[key].iloc[0] for key in keys if runs[key].nunique(dropna=False) == 1}


def name_of(values: Mapping[str, Any]) -> str:
    """Return the name of a setting, `tanh h4 scale 0.01`: that of its runs in MLflow without the seed."""
    return setting_name({key: None if pd.isna(value) else value for key, value in values.items()})


def swept_keys(configs: Iterable[RunConfig]) -> list[str]:
    """Return the keys whose values differ between runs, in the order of the config.

    What merely follows from another choice, as a data set's noise from its name, is not swept.
    """
    rows = [flatten(config) for config in configs]
    return independent_keys({key: [repr(row[key]) for row in rows] for key in rows[0]})


_UNSWEPT = ("model.activation", "model.hidden_size", "init.scale", "seed")


def run_name(config: RunConfig, swept: Sequence[str]) -> str:
    """Return a name made of what was swept: `tanh h4 scale 0.01 seed 3`."""
    values = flatten(config)
    return setting_name({key: values[key] for key in swept or _UNSWEPT})
