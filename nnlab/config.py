"""What can be chosen about a run: plain dataclasses, their legal values and the relations between them.

No Hydra here: `conf/` and the command line fill these dataclasses, and so can Python. A value of None means "what
the data set brings", or the full batch, or the default layout; `resolve` writes out what it stands for.
"""

import copy
import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
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
    "hidden_sizes",
    "resolve",
    "results_path",
    "validate",
]

NUMERICAL_VERSION = 1
"""Raised whenever the same config gives other bits than before; part of every fingerprint."""


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
ACTIVATIONS = ("tanh", "sigmoid", "relu", "leaky_relu", "gelu", "identity")
SCHEMES = ("normal", "uniform", "zeros", "constant", "xavier", "he", "orthogonal")
GENERATORS = ("pcg64", "legacy")
DTYPES = ("float64", "float32")
ARITHMETICS = ("blas", "exact")
PRESETS = ("none", "standard", "full")


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
    """Where runs are recorded in MLflow; `uri` None is an SQLite file in the results folder."""

    enabled: bool = True
    uri: str | None = None
    experiment: str = "playground"


@dataclass
class LauncherConfig:
    """How many worker processes train; None is one per core."""

    n_jobs: int | None = None


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


def results_path(results_dir: str) -> Path:
    """Return the results folder as an absolute path; a relative one is taken from the project root.

    Notebooks and Hydra jobs run in folders of their own: taken from the working folder, each would have its own
    results.
    """
    root = Path(__file__).resolve().parents[1]
    return (root if (root / "conf" / "config.yaml").is_file() else Path.cwd()) / Path(results_dir).expanduser()


def resolve(config: RunConfig) -> RunConfig:
    """Return a copy in which every value that stands for something else is written out.

    Two configs that mean the same run resolve to the same.
    """
    config = copy.deepcopy(config)
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


def flatten(config: RunConfig) -> dict[str, Any]:
    """Return `{"seed": 3, ..., "model.hidden_size": 4, ...}`."""

    def leaves(prefix: str, part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for key, value in part.items():
            if isinstance(value, dict):
                yield from leaves(f"{prefix}{key}.", value)
            else:
                yield prefix + key, value

    return dict(leaves("", dataclasses.asdict(config)))


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


def validate(config: RunConfig) -> None:
    """Raise ConfigError, naming every key that is wrong, its legal values and what came."""
    problems = [*_wrong_values(config)] or [*_wrong_relations(config)]
    if problems:
        raise ConfigError("\n".join(problems))


def _wrong_values(config: RunConfig) -> Iterator[str]:
    data, model, init, training = config.data, config.model, config.init, config.training
    yield from _integer("seed", config.seed, 0, 2**32 - 1)
    yield from _text("results_dir", config.results_dir)
    yield from _one_of("data.name", data.name, DATA)
    yield from _integer("data.m", data.m, 2, 10_000_000, optional=True)
    yield from _number("data.noise", data.noise, optional=True)
    yield from _integer("data.seed", data.seed, 0, 2**32 - 2)
    yield from _integer("data.test_m", data.test_m, 1, 10_000_000, optional=True)
    yield from _number("data.test_fraction", data.test_fraction, below_one=True, optional=True)
    yield from _text("data.path", data.path, optional=True)
    yield from _text("data.target", data.target, optional=True)
    yield from _boolean("data.standardize", data.standardize, optional=True)
    yield from _integer("model.hidden_size", model.hidden_size, 1, 100_000)
    yield from _integer("model.depth", model.depth, 0, 1_000)
    if model.layers is not None:
        for position, width in enumerate(model.layers):
            yield from _integer(f"model.layers[{position}]", width, 1, 100_000)
    yield from _one_of("model.activation", model.activation, ACTIVATIONS)
    yield from _one_of("init.scheme", init.scheme, SCHEMES)
    yield from _number("init.scale", init.scale)
    yield from _one_of("init.generator", init.generator, GENERATORS)
    yield from _integer("training.iterations", training.iterations, 0, 10**9)
    yield from _number("training.learning_rate", training.learning_rate)
    yield from _integer("training.batch_size", training.batch_size, 1, 10_000_000, optional=True)
    yield from _one_of("training.dtype", training.dtype, DTYPES)
    yield from _one_of("training.arithmetic", training.arithmetic, ARITHMETICS)
    yield from _one_of("diagnostics.preset", config.diagnostics.preset, PRESETS)
    yield from _integer("diagnostics.checkpoints", config.diagnostics.checkpoints, 2, 10_000)
    yield from _integer("diagnostics.every", config.diagnostics.every, 1, 10**9, optional=True)
    yield from _boolean("tracking.enabled", config.tracking.enabled)
    yield from _text("tracking.uri", config.tracking.uri, optional=True)
    experiment = config.tracking.experiment
    if not isinstance(experiment, str) or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_. -]{0,99}", experiment):
        yield (
            "tracking.experiment must be a name of up to 100 letters, digits, - _ . or spaces, since it names a "
            f"folder, got {experiment!r}"
        )
    yield from _integer("launcher.n_jobs", config.launcher.n_jobs, 1, 1_000, optional=True)


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
            yield f"{key} does not apply to data.name={data.name}: leave it out (null), got {value!r}"
    if data.name == "file":
        for key, value in {"data.path": data.path, "data.target": data.target}.items():
            if value is None:
                yield f"{key} must be given with data.name=file, got null"
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
        yield f"{key} must be an integer from {low} to {high}{' or null' * optional}, got {value!r}"


def _number(key: str, value: Any, *, below_one: bool = False, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if below_one and not (number and 0 < value < 1):
        yield f"{key} must be a number between 0 and 1{' or null' * optional}, got {value!r}"
    elif not (number and math.isfinite(value) and value >= 0):
        yield f"{key} must be a finite number >= 0{' or null' * optional}, got {value!r}"


def _one_of(key: str, value: Any, legal: Collection[str]) -> Iterator[str]:
    if not isinstance(value, str) or value not in legal:
        yield f"{key} must be one of {', '.join(legal)}, got {value!r}"


def _text(key: str, value: Any, *, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        yield f"{key} must be a non-empty text{' or null' * optional}, got {value!r}"


def _boolean(key: str, value: Any, *, optional: bool = False) -> Iterator[str]:
    if optional and value is None:
        return
    if not isinstance(value, bool):
        yield f"{key} must be true or false{' or null' * optional}, got {value!r}"
