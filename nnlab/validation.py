"""The checks of a config: one line for each wrong key, with its legal values and the value received.

The limits of single keys are declared in `nnlab.config`; only the relations between keys are written here.
"""

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from nnlab.config import (
    DATA,
    KEYS,
    LONGEST_NAME,
    LONGEST_PATH,
    ConfigError,
    DataConfig,
    RunConfig,
    flatten,
    plain,
    to_word,
)
from nnlab.config_field import Key, sections

__all__ = ["validate", "validate_data", "wrong_value"]

OF_A_FILE = tuple(
    f"data.{name}" for name in ("path", "target", "task", "ignore", "missing", "rare", "header", "decimal")
)
"""The keys that apply to data.name=file alone."""


def validate(config: RunConfig) -> None:
    """Raise ConfigError, naming every wrong key, its legal values and the value received."""
    if not isinstance(config, RunConfig):
        raise ConfigError(f"a config must be a nnlab.RunConfig, got {_shown(config)}")
    _raise([*_wrong_sections(config)])
    _raise([*_wrong_nesting(config)])
    config = plain(config)
    _raise([*_wrong_values(config)])
    _raise([*_wrong_relations(config)])


def validate_data(data: DataConfig) -> None:
    """Raise ConfigError, like `validate`, for the data section of a config."""
    validate(RunConfig(data=data))


def wrong_value(key: Key, value: Any) -> Iterator[str]:
    """Yield what is wrong with a value of one key, whatever the other keys are."""
    if value is not None or not key.optional:
        yield from _CHECKS[key.type](key, value)


def _raise(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _wrong_sections(config: RunConfig) -> Iterator[str]:
    for name, expected in sections(RunConfig).items():
        section = getattr(config, name)
        if not isinstance(section, expected):
            yield f"{name} must be a nnlab.{expected.__name__}, got {_shown(section)}"


def _wrong_nesting(config: RunConfig) -> Iterator[str]:
    # Checked before any code follows the lists inwards: a list may hold itself, as an alias in YAML can.
    for name, value in flatten(config).items():
        if isinstance(value, list | tuple) and any(isinstance(item, list | tuple) for item in value):
            yield f"{name} must not be a list of lists, got {_shown(value)}"


def _wrong_values(config: RunConfig) -> Iterator[str]:
    for name, value in flatten(config).items():
        yield from wrong_value(KEYS[name], value)


def _wrong_relations(config: RunConfig) -> Iterator[str]:
    yield from _wrong_data(config.data)
    launcher = config.launcher
    if (launcher.backend == "dask") != (launcher.address is not None):
        yield (
            "launcher.address must be given with launcher.backend=dask, as in tcp://127.0.0.1:8786, and only then, "
            f"got {_shown(launcher.address)} with {launcher.backend}"
        )
    m, batch_size = config.data.m or DATA[config.data.name].m, config.training.batch_size
    if m is not None and batch_size is not None and batch_size > m:
        yield f"training.batch_size must be at most data.m = {m}, or null for the full batch, got {batch_size}"
    every, iterations = config.diagnostics.every, config.training.iterations
    if every is not None and iterations / every > 10_000:
        yield f"diagnostics.every must be at least training.iterations / 10000 = {iterations / 10_000:g}, got {every}"


def _wrong_data(data: DataConfig) -> Iterator[str]:
    traits, needed = DATA[data.name], {"data.path": data.path, "data.target": data.target}
    of_a_file = {name: value for name, value in flatten(RunConfig(data=data)).items() if name in OF_A_FILE}
    inapplicable: dict[str, object] = {}
    if traits.drawn:
        inapplicable["data.test_fraction"] = data.test_fraction
    else:
        inapplicable |= {"data.m": data.m, "data.test_m": data.test_m}
    if traits.noise is None:
        inapplicable["data.noise"] = data.noise
    if data.name != "file":
        inapplicable |= of_a_file
    for name, value in inapplicable.items():
        default = KEYS[name].default
        if value != default:
            remedy = f"leave it out ({to_word(default)})"
            yield f"{name} does not apply to data.name={data.name}: {remedy}, got {_shown(value)}"
    for name, value in needed.items():
        if data.name == "file" and value is None:
            yield f"{name} must be given with data.name=file, got null"


def _wrong(key: Key, value: Any) -> str:
    return f"{key.name} must be {key.legal}, got {_shown(value)}"


def _integer(key: Key, value: Any) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int) or not key.low <= value <= key.high:
        yield _wrong(key, value)


def _number(key: Key, value: Any) -> Iterator[str]:
    # Integers beyond the largest float would overflow wherever they meet one.
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not (number and 0 <= value and (key.below is None or value < key.below)):
        yield _wrong(key, value)


def _boolean(key: Key, value: Any) -> Iterator[str]:
    if not isinstance(value, bool):
        yield _wrong(key, value)


def _text(key: Key, value: Any) -> Iterator[str]:
    if key.choices or key.pattern:
        legal = isinstance(value, str) and (value in key.choices if key.choices else re.fullmatch(key.pattern, value))
        if not legal:
            yield _wrong(key, value)
    elif not isinstance(value, str) or not value.strip() or "\0" in value:
        yield f"{key.name} must be a non-empty text{' or null' * key.optional}, got {_shown(value)}"
    elif any("\ud800" <= character <= "\udfff" for character in value):
        # How Python reads file names in other encodings; no run folder could keep it.
        yield f"{key.name} must be a text that UTF-8 can write, got {_shown(value)}"
    elif key.folder and not _short_enough(value):
        yield _wrong(key, value)


def _short_enough(folder: str) -> bool:
    longest = max(len(name.encode()) for name in folder.split("/"))
    return longest <= LONGEST_NAME and len(folder) <= LONGEST_PATH


def _list(key: Key, value: Any) -> Iterator[str]:
    if not isinstance(value, list):
        yield _wrong(key, value)
    elif len(value) > key.longest:
        yield f"{key.name} must have at most {key.longest} items, got {len(value)}"
    else:
        items = (
            dataclasses.replace(key, name=f"{key.name}[{place}]", type=key.item, optional=False, described="")
            for place in range(len(value))
        )
        wrong = chain.from_iterable(map(_CHECKS[key.item], items, value))
        yield from islice(wrong, 1)  # the others are likely wrong in the same way


_CHECKS: dict[type, Callable[[Key, Any], Iterator[str]]] = {
    int: _integer,
    float: _number,
    bool: _boolean,
    str: _text,
    list: _list,
}


def _shown(value: object) -> str:
    """Return a value as one line of text, shortened if long; some values have no repr at all."""
    try:
        text = repr(value).replace("\n", " ")
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists in lists in lists
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= 200 else f"{text[:100]}...{text[-100:]}"
