"""What is wrong with a config: one line for each key, with its legal values and what came."""

import dataclasses
import re
import sys
from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Any

from nnlab.config import DATA, SWEEPS, ConfigError, DataConfig, RunConfig, plain

__all__ = ["validate", "validate_data"]

ACTIVATIONS = ("tanh", "sigmoid", "relu", "leaky_relu", "gelu", "identity")
SCHEMES = ("normal", "uniform", "zeros", "constant", "xavier", "he", "orthogonal")
GENERATORS = ("pcg64", "legacy")
DTYPES = ("float64", "float32")
ARITHMETICS = ("blas", "exact")
PRESETS = ("none", "standard", "full")
BACKENDS = ("processes", "dask")
RESERVED = ("Default", SWEEPS)
"""Experiments of MLflow's and of nnlab's own."""
LONGEST_NAME, LONGEST_PATH = 255, 2_000
"""What common file systems allow, less what stands below a results folder."""


def validate(config: RunConfig) -> None:
    """Raise ConfigError, naming every key that is wrong, its legal values and what came."""
    if not isinstance(config, RunConfig):
        raise ConfigError(f"a config must be a nnlab.RunConfig, got {_shown(config)}")
    _raise([*_wrong_parts(config)])
    _raise([*_wrong_nesting(config)])
    config = plain(config)
    _raise([*_wrong_values(config)])
    _raise([*_wrong_relations(config)])


def validate_data(data: DataConfig) -> None:
    """Raise ConfigError, like `validate`, for the part of a config that says what is learned."""
    validate(RunConfig(data=data))


def _raise(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _wrong_parts(config: RunConfig) -> Iterator[str]:
    for part in dataclasses.fields(RunConfig):
        wanted, found = part.default_factory, getattr(config, part.name)
        if isinstance(wanted, type) and not isinstance(found, wanted):
            yield f"{part.name} must be a nnlab.{wanted.__name__}, got {_shown(found)}"


def _wrong_nesting(config: Any, prefix: str = "") -> Iterator[str]:
    # Looked for before anything follows the lists inwards: some hold themselves, as an alias in YAML can.
    for part in dataclasses.fields(config):
        value = getattr(config, part.name)
        if isinstance(part.default_factory, type):
            yield from _wrong_nesting(value, f"{part.name}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, list | tuple) for item in value):
            yield f"{prefix}{part.name} must not be a list of lists, got {_shown(value)}"


def _wrong_values(config: RunConfig) -> Iterator[str]:
    yield from _integer("seed", config.seed, 0, 2**32 - 1)
    yield from _text("results_dir", config.results_dir)
    yield from _folder("results_dir", config.results_dir)
    yield from _wrong_data(config.data)
    yield from _wrong_network(config)
    yield from _wrong_edges(config)


def _wrong_data(data: DataConfig) -> Iterator[str]:
    yield from _one_of("data.name", data.name, DATA)
    yield from _integer("data.m", data.m, 2, 10_000_000, optional=True)
    yield from _number("data.noise", data.noise, optional=True)
    yield from _integer("data.seed", data.seed, 0, 2**32 - 2)
    yield from _integer("data.test_m", data.test_m, 1, 10_000_000, optional=True)
    yield from _number("data.test_fraction", data.test_fraction, below_one=True, optional=True)
    yield from _text("data.path", data.path, optional=True)
    yield from _text("data.target", data.target, optional=True)
    yield from _boolean("data.standardize", data.standardize, optional=True)


def _wrong_network(config: RunConfig) -> Iterator[str]:
    model, init, training = config.model, config.init, config.training
    yield from _integer("model.hidden_size", model.hidden_size, 1, 100_000)
    yield from _integer("model.depth", model.depth, 0, 1_000)
    if model.layers is not None and not isinstance(model.layers, list):
        yield f"model.layers must be a list of widths, such as [16, 8], or null, got {_shown(model.layers)}"
    elif model.layers is not None and len(model.layers) > 1_000:
        yield f"model.layers must have at most 1000 layers, got {len(model.layers)}"
    elif model.layers is not None:
        widths = (_integer(f"model.layers[{place}]", width, 1, 100_000) for place, width in enumerate(model.layers))
        yield from islice(chain.from_iterable(widths), 1)  # the others are likely wrong in the same way
    yield from _one_of("model.activation", model.activation, ACTIVATIONS)
    yield from _one_of("init.scheme", init.scheme, SCHEMES)
    yield from _number("init.scale", init.scale)
    yield from _one_of("init.generator", init.generator, GENERATORS)
    yield from _integer("training.iterations", training.iterations, 0, 10**9)
    yield from _number("training.learning_rate", training.learning_rate)
    yield from _integer("training.batch_size", training.batch_size, 1, 10_000_000, optional=True)
    yield from _one_of("training.dtype", training.dtype, DTYPES)
    yield from _one_of("training.arithmetic", training.arithmetic, ARITHMETICS)


def _wrong_edges(config: RunConfig) -> Iterator[str]:
    yield from _one_of("diagnostics.preset", config.diagnostics.preset, PRESETS)
    yield from _integer("diagnostics.checkpoints", config.diagnostics.checkpoints, 2, 10_000)
    yield from _integer("diagnostics.every", config.diagnostics.every, 1, 10**9, optional=True)
    yield from _boolean("tracking.enabled", config.tracking.enabled)
    yield from _boolean("tracking.figures", config.tracking.figures)
    yield from _boolean("tracking.report", config.tracking.report)
    yield from _text("tracking.uri", config.tracking.uri, optional=True)
    experiment = config.tracking.experiment
    legal = isinstance(experiment, str) and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_. -]{0,99}", experiment)
    if not legal or experiment in RESERVED:
        yield (
            "tracking.experiment must be a name of up to 100 letters, digits, - _ . or spaces, since it names a "
            f"folder, and neither of {', '.join(RESERVED)}, which are taken, got {_shown(experiment)}"
        )
    yield from _integer("launcher.n_jobs", config.launcher.n_jobs, 1, 100_000, optional=True)
    yield from _one_of("launcher.backend", config.launcher.backend, BACKENDS)
    yield from _text("launcher.address", config.launcher.address, optional=True)
    yield from _boolean("launcher.force", config.launcher.force)


def _wrong_relations(config: RunConfig) -> Iterator[str]:
    data, traits = config.data, DATA[config.data.name]
    if traits.drawn:
        inapplicable: dict[str, object] = {"data.test_fraction": data.test_fraction}
    else:
        inapplicable = {"data.m": data.m, "data.test_m": data.test_m}
    if traits.noise is None:
        inapplicable["data.noise"] = data.noise
    if data.name != "file":
        inapplicable |= {"data.path": data.path, "data.target": data.target}
    for key, value in inapplicable.items():
        if value is not None:
            yield f"{key} does not apply to data.name={data.name}: leave it out (null), got {_shown(value)}"
    if data.name == "file":
        for key, value in {"data.path": data.path, "data.target": data.target}.items():
            if value is None:
                yield f"{key} must be given with data.name=file, got null"
    launcher = config.launcher
    if (launcher.backend == "dask") != (launcher.address is not None):
        yield (
            "launcher.address must be given with launcher.backend=dask, as in tcp://127.0.0.1:8786, and only then, "
            f"got {_shown(launcher.address)} with {launcher.backend}"
        )
    m, batch_size = data.m or traits.m, config.training.batch_size
    if m is not None and batch_size is not None and batch_size > m:
        yield f"training.batch_size must be at most data.m = {m}, or null for the full batch, got {batch_size}"
    every, iterations = config.diagnostics.every, config.training.iterations
    if every is not None and iterations / every > 10_000:
        yield f"diagnostics.every must be at least training.iterations / 10000 = {iterations / 10_000:g}, got {every}"


def _integer(key: str, value: Any, low: int, high: int, *, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        yield f"{key} must be an integer from {low} to {high}{' or null' * optional}, got {_shown(value)}"


def _number(key: str, value: Any, *, below_one: bool = False, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    # Integers beyond the largest float would overflow wherever they meet one.
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if below_one and not (number and 0 < value < 1):
        yield f"{key} must be a number between 0 and 1{' or null' * optional}, got {_shown(value)}"
    elif not (number and value >= 0):
        yield f"{key} must be a finite number >= 0{' or null' * optional}, got {_shown(value)}"


def _one_of(key: str, value: Any, legal: Collection[str]) -> Iterator[str]:
    if not isinstance(value, str) or value not in legal:
        yield f"{key} must be one of {', '.join(legal)}, got {_shown(value)}"


def _text(key: str, value: Any, *, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        yield f"{key} must be a non-empty text{' or null' * optional}, got {_shown(value)}"
    elif any("\ud800" <= character <= "\udfff" for character in value):
        # How Python reads file names in other encodings; no run folder could keep it.
        yield f"{key} must be a text that UTF-8 can write, got {_shown(value)}"


def _folder(key: str, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        return
    longest = max(len(name.encode("utf-8", "replace")) for name in value.split("/"))
    if longest > LONGEST_NAME or len(value) > LONGEST_PATH:
        yield (
            f"{key} must be a folder that can be written to, with names of up to {LONGEST_NAME} bytes and at most "
            f"{LONGEST_PATH} characters, got {_shown(value)}"
        )


def _boolean(key: str, value: Any, *, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    if not isinstance(value, bool):
        yield f"{key} must be true or false{' or null' * optional}, got {_shown(value)}"


def _shown(value: object) -> str:
    """Return what came on one line, long values cut: a person is to read it, and some have no repr at all."""
    try:
        text = repr(value).replace("\n", " ")
    except (ValueError, RecursionError):  # of an integer of thousands of digits, of lists in lists in lists
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= 200 else f"{text[:100]}...{text[-100:]}"
