"""What was swept, and the names of runs and settings.

A *setting* is a combination of the swept config keys other than the seed. Before a sweep its keys come from the
configs (`swept_keys`); afterwards they come from a frame of runs (`varied`, `setting_keys`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from nnlab.config import KEYS, SCIENCE, RunConfig, flatten

__all__ = [
    "by_architecture",
    "constant",
    "independent_keys",
    "replicate_key",
    "run_name",
    "setting_keys",
    "setting_name",
    "settings_of",
    "swept_keys",
    "varied",
]


# ---- what was swept


def swept_keys(configs: Iterable[RunConfig]) -> list[str]:
    """Return the keys whose values differ between configs, in the order of the config.

    Keys that follow from another choice are left out, such as a data set's noise, which follows from its name.
    """
    rows = [flatten(config) for config in configs]
    return independent_keys({key: [repr(row[key]) for row in rows] for key in rows[0]})


def varied(runs: pd.DataFrame) -> list[str]:
    """Return the config keys that vary between these runs: the seed first, the others in the order of the config.

    Two kinds of keys are left out: those that follow from another choice, such as a data set's noise, and those that
    change no result, such as the results folder and the number of workers.
    """
    return [*(["seed"] if "seed" in runs and runs["seed"].nunique() > 1 else []), *setting_keys(runs)]


def setting_keys(runs: pd.DataFrame) -> list[str]:
    """Return the config keys by which the settings of these runs differ: those that vary, without the seed."""
    keys = [key for key in _result_keys(runs) if key != "seed"]
    if "data.seed" in keys and "seed" in runs and _are_paired(zip(runs["seed"], runs["data.seed"], strict=True)):
        keys.remove("data.seed")
    return independent_keys({key: runs[key].astype(object).map(repr).tolist() for key in keys})


def settings_of(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the setting of each recorded run, given the flat configs of all runs of an experiment.

    A setting has every key that can change a result, without the seed; also without the data's seed if each seed has
    its own. Keys that are newer than a run have their default.
    """
    is_paired = _are_paired((config["seed"], config["data.seed"]) for config in configs)
    free = ("seed", "data.seed") if is_paired else ("seed",)
    keys = {name: key.default for name, key in KEYS.items() if name.split(".")[0] in SCIENCE and name not in free}
    return [{name: config.get(name, default) for name, default in keys.items()} for config in configs]


def _are_paired(seeds: Iterable[tuple[object, object]]) -> bool:
    """Return True if each of several seeds brings its own data, given the pairs (seed, data.seed) of all runs.

    Then the data's seed is part of the replicate, not of the setting.
    """
    pairs = set(seeds)
    return len(pairs) == len({seed for seed, _ in pairs}) == len({data_seed for _, data_seed in pairs}) > 1


def replicate_key(runs: pd.DataFrame) -> str:
    """Return the key whose values repeat a setting: the seed, or the seed of the data if all runs have one seed."""
    one_seed = "seed" in runs and runs["seed"].nunique() == 1
    return "data.seed" if one_seed and "data.seed" in setting_keys(runs) else "seed"


def constant(runs: pd.DataFrame) -> dict[str, object]:
    """Return the config keys that have one value in all these runs, with that value.

    Keys that change no result are left out.
    """
    return {key: runs[key].iloc[0] for key in _result_keys(runs) if runs[key].nunique(dropna=False) == 1}


def independent_keys(columns: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the columns that vary, without those that follow from a single earlier one (or from model.layers)."""
    result: list[str] = []
    for key, values in sorted(columns.items(), key=lambda column: column[0] != "model.layers"):
        follows = any(len({*zip(columns[other], values, strict=True)}) == len({*columns[other]}) for other in result)
        if len(set(values)) > 1 and not follows:
            result.append(key)
    return [key for key in columns if key in result]


def _result_keys(runs: pd.DataFrame) -> list[str]:
    """Return the config keys among the columns that can change a result."""
    return [key for key in flatten(RunConfig()) if key.split(".")[0] in SCIENCE and key in runs]


def by_architecture(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with every architecture in model.layers, as `[20, 20]`, if any run has layers of unequal widths.

    hidden_size and depth are dropped then: for layers of unequal widths they hold the widest layer and the number of
    layers, so that tables by them would show an architecture that no run has.
    """
    key = "model.layers"
    if key not in runs or runs[key].isna().all():
        return runs
    alike = [str([width] * depth) for width, depth in zip(runs["model.hidden_size"], runs["model.depth"], strict=True)]
    return runs.assign(**{key: runs[key].fillna(pd.Series(alike, runs.index))}).drop(
        columns=["model.hidden_size", "model.depth"]
    )


# ---- names

_FIRST_IN_NAME = ("model.activation", "model.hidden_size", "init.scale")

_WITHOUT_KEY = ("model.activation", "data.name", "init.scheme")
"""Keys whose values need no key beside them in a name."""


def run_name(config: RunConfig, swept: Sequence[str]) -> str:
    """Return a run's name, made of what was swept: `tanh h4 scale 0.01 seed 3`."""
    values = flatten(config)
    return setting_name({key: values[key] for key in swept or (*_FIRST_IN_NAME, "seed")})


def setting_name(values: Mapping[str, Any]) -> str:
    """Return the name of a setting, `tanh h4 scale 0.01`, or of a run, if `values` has its seed."""
    first = [key for key in _FIRST_IN_NAME if key in values]
    last = ["seed"] if "seed" in values else []
    keys = [*first, *(key for key in values if key not in (*first, *last)), *last]
    return " ".join(_name_part(key, values[key]) for key in keys)


def _name_part(key: str, value: Any) -> str:
    missing = pd.api.types.is_scalar(value) and pd.isna(value)  # None in a config, NA in a frame
    text = "null" if missing else f"{value:g}" if isinstance(value, float) else str(value)
    if key == "model.hidden_size":
        return f"h{text}"
    return text if key in _WITHOUT_KEY else f"{key.split('.')[-1]} {text}"
