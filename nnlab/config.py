"""What can be chosen about a run: plain dataclasses, and what their values stand for.

No Hydra here: `conf/` and the command line fill these dataclasses, and so can Python. A value of None means "what
the data set brings", or the full batch, or the default layout; `resolve` writes out what it stands for.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

__all__ = [
    "ConfigError",
    "DataConfig",
    "DiagnosticsConfig",
    "InitConfig",
    "LauncherConfig",
    "ModelConfig",
    "RunConfig",
    "TrackingConfig",
    "TrainingConfig",
    "fingerprint",
    "flatten",
    "from_dict",
    "hidden_sizes",
    "overrides",
    "plain",
    "resolve",
]

NUMERICAL_VERSION = 3
"""Raised whenever the same config gives other bits than before; part of every fingerprint."""

SWEEPS = "sweeps"
"""The experiment in MLflow that holds one entry for each sweep of every other experiment."""


class ConfigError(ValueError):
    """A config or a data file that cannot be used. The message names the key, the legal values and what came."""


class DataTraits(NamedTuple):
    """What a data set brings unless the config says otherwise; None where it has no such thing."""

    m: int | None = 400
    noise: float | None = None
    standardize: bool = False

    @property
    def drawn(self) -> bool:
        """Whether the examples are drawn from a formula (any m), not read."""
        return self.m is not None


DATA: dict[str, DataTraits] = {
    "flower": DataTraits(noise=0.2),
    "circles": DataTraits(noise=0.05),
    "moons": DataTraits(noise=0.2),
    "blobs": DataTraits(noise=1.0),
    "quantiles": DataTraits(),
    "xor": DataTraits(noise=0.2),
    "spiral": DataTraits(noise=0.1),
    "digits": DataTraits(m=None, standardize=True),
    "breast_cancer": DataTraits(m=None, standardize=True),
    "diabetes": DataTraits(m=None, standardize=True),
    "file": DataTraits(m=None, standardize=True),
}


@dataclass
class DataConfig:
    """What is learned.

    Drawn data sets take m, noise and test_m; a test part of its own is drawn with seed + 1. Read ones (digits,
    breast_cancer, diabetes, file) take test_fraction. `path` and `target` belong to name=file.
    """

    name: str = "flower"
    m: int | None = None
    noise: float | None = None
    seed: int = 1
    test_m: int | None = None
    test_fraction: float | None = None
    path: str | None = None
    target: str | None = None
    standardize: bool | None = None


@dataclass
class ModelConfig:
    """The network: `depth` hidden layers of `hidden_size` units, or explicit widths in `layers`."""

    hidden_size: int = 4
    depth: int = 1
    layers: list[int] | None = None
    activation: str = "tanh"


@dataclass
class InitConfig:
    """The initial weights. What `scale` means depends on the scheme: see nnlab.network.initializers."""

    scheme: str = "normal"
    scale: float = 0.01
    generator: str = "pcg64"


@dataclass
class TrainingConfig:
    """Gradient descent. `batch_size` None is the full batch; `arithmetic` exact keeps equal rows bitwise equal."""

    iterations: int = 10_000
    learning_rate: float = 1.2
    batch_size: int | None = None
    dtype: str = "float64"
    arithmetic: str = "blas"


@dataclass
class DiagnosticsConfig:
    """What is measured, at about `checkpoints` log-spaced iterations and at the multiples of `every`."""

    preset: str = "standard"
    checkpoints: int = 40
    every: int | None = None


@dataclass
class TrackingConfig:
    """Where runs are recorded in MLflow; `uri` None is an SQLite file in the results folder.

    With `figures` each run gets pictures among its artifacts (cost, boundary, gradient flow, units), which takes half
    a second a run. Without `report` a sweep ends without drawing the page about it, which takes seconds.
    """

    enabled: bool = True
    uri: str | None = None
    figures: bool = False
    report: bool = True
    experiment: str = "playground"


@dataclass
class LauncherConfig:
    """Where stacks are trained.

    `backend` is processes (of this machine) or dask (the workers of the scheduler at `address`). `n_jobs` is how many
    stacks are trained at once; None is one per core, or one per thread of the cluster's workers. With `force` runs
    that are there already are made again; the earlier ones are set aside.
    """

    n_jobs: int | None = None
    backend: str = "processes"
    address: str | None = None
    force: bool = False


@dataclass
class RunConfig:
    """Everything about one run. The defaults are the course's network: 4 tanh units on the flower."""

    seed: int = 3
    results_dir: str = "results"
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    init: InitConfig = field(default_factory=InitConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    launcher: LauncherConfig = field(default_factory=LauncherConfig)


SCIENCE = ("seed", "data", "model", "init", "training", "diagnostics")
"""The parts of a config that decide what a run computes; the others say where and how."""


def hidden_sizes(model: ModelConfig) -> list[int]:
    """Return the widths of the hidden layers."""
    return list(model.layers) if model.layers is not None else [model.hidden_size] * model.depth


def plain(config: Any) -> Any:
    """Return a copy of a config, or of a part of one, with NumPy's numbers and texts as Python's.

    `np.logspace` and `np.arange` are how people write sweeps in Python; their numbers cannot be written to YAML.
    """
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        values = {part.name: plain(getattr(config, part.name)) for part in dataclasses.fields(config)}
        return dataclasses.replace(config, **values)
    if isinstance(config, list | tuple):
        return [plain(value) for value in config]
    # NumPy's scalars have both; arrays, which stay what they are and are refused, have a shape.
    return config.item() if getattr(config, "shape", None) == () and hasattr(config, "item") else config


def resolve(config: RunConfig) -> RunConfig:
    """Return a copy in which every value that stands for something else is written out.

    Two configs that mean the same run resolve to the same.
    """
    config = plain(config)
    data, traits = config.data, DATA[config.data.name]
    if traits.drawn:
        data.m = traits.m if data.m is None else data.m
        data.test_m = traits.m if data.test_m is None else data.test_m
    else:
        data.test_fraction = 0.25 if data.test_fraction is None else data.test_fraction
    data.noise = traits.noise if data.noise is None else data.noise
    data.standardize = traits.standardize if data.standardize is None else data.standardize
    model = config.model
    widths = hidden_sizes(model)
    if len(set(widths)) <= 1:
        model.layers, model.depth = None, len(widths)
        model.hidden_size = widths[0] if widths else 0
    else:
        model.depth, model.hidden_size = len(widths), max(widths)
    if config.init.scheme == "zeros":
        config.init.scale = 0.0
    return config


def from_dict(values: Mapping[str, Any]) -> RunConfig:
    """Return the config that nested plain values stand for; what is left out has its default.

    Raises ConfigError for keys that there are not.
    """
    unknown = [*_unknown_keys("", RunConfig(), values)]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: there is no such key; --help lists those there are")
    default = RunConfig()
    given = {
        key: type(getattr(default, key))(**value)
        if isinstance(value, dict) and dataclasses.is_dataclass(getattr(default, key))
        else value
        for key, value in values.items()
    }
    return RunConfig(**given)


def _unknown_keys(prefix: str, known: Any, values: Mapping[str, Any]) -> Iterator[str]:
    names = {part.name for part in dataclasses.fields(known)}
    for key, value in values.items():
        if key not in names:
            yield f"{prefix}{str(key).encode(errors='backslashreplace').decode():.100}"
        elif isinstance(value, dict) and dataclasses.is_dataclass(getattr(known, key)):
            yield from _unknown_keys(f"{prefix}{key}.", getattr(known, key), value)


def _leaves(prefix: str, part: Any) -> Iterator[str]:
    for one in dataclasses.fields(part):
        value = getattr(part, one.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(f"{prefix}{one.name}.", value)
        else:
            yield prefix + one.name


_LEAVES = {key: attrgetter(key) for key in _leaves("", RunConfig())}


def flatten(config: RunConfig) -> dict[str, Any]:
    """Return `{"seed": 3, ..., "model.hidden_size": 4, ...}`."""
    return {key: value_of(config) for key, value_of in _LEAVES.items()}


def overrides(config: RunConfig) -> list[str]:
    """Return the words that make this config on the command line: `["model.activation=relu", "seed=7"]`.

    What has its default, or follows from the rest, is left out.
    """
    resolved, defaults = resolve(config), flatten(RunConfig())
    values = {key: value for key, value in flatten(resolved).items() if value != defaults[key]}
    for key in list(values):
        fewer = {other: value for other, value in values.items() if other != key}
        if resolve(from_dict(_nested(fewer))) == resolved:
            values = fewer
    return [f"{key}={_word(value)}" for key, value in values.items()]


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *parts, leaf = key.split(".")
        inner = nested
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[leaf] = value
    return nested


def _word(value: Any) -> str:
    """Return a value in Hydra's grammar, where a text that could be something else stands in quotes."""
    if not isinstance(value, str):
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if re.fullmatch(r"[A-Za-z_/][A-Za-z0-9_./:-]*", value) and value.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    ):
        return value
    quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + end[2].replace("'", "\\'"), value)
    return "'" + quoted.replace("${", "\\${") + "'"


def fingerprint(config: RunConfig, data_digest: str = "") -> str:
    """Return 16 hex digits that are equal for two configs if and only if they compute the same run.

    `data_digest` stands for the content of a user's file, whose path says nothing.
    """
    resolved = dataclasses.asdict(resolve(config))
    science = {part: resolved[part] for part in SCIENCE}
    if data_digest:
        science["data"]["path"] = data_digest
    text = json.dumps([NUMERICAL_VERSION, science], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
