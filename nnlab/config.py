"""The config of a run: plain dataclasses, and pure functions over them.

Each key is declared once, here. Hydra is not imported: `conf/` and the command line fill these dataclasses, and so
can Python. None means the data set's own value, the full batch, the default layout or the task's learning rate;
`resolve` writes out these values.
"""

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from nnlab.config_field import declared, key

__all__ = [
    "KEYS",
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
    "shell_word",
    "to_word",
    "with_values",
]

NUMERICAL_VERSION = 4
"""The newest numerical version: raised whenever some config gives other bits than before."""

MEASURES = 2
"""Raised whenever the same training is measured differently. Runs of different measures do not compare."""

SWEEPS = "sweeps"
"""The experiment in MLflow that holds one entry for each sweep of every other experiment."""


class ConfigError(ValueError):
    """A config or data file that cannot be used. The message names the key, the legal values and the value received."""


class DataTraits(NamedTuple):
    """The defaults of a data set; None where a key does not apply to it."""

    m: int | None = 400
    noise: float | None = None
    test_fraction: float | None = None
    standardize: bool = False
    task: str | None = "classes"

    @property
    def drawn(self) -> bool:
        """True if the examples are drawn from a formula, as many as wanted, rather than read."""
        return self.m is not None


_READ = DataTraits(m=None, test_fraction=0.25, standardize=True)

DATA: dict[str, DataTraits] = {
    "flower": DataTraits(noise=0.2),
    "circles": DataTraits(noise=0.05),
    "moons": DataTraits(noise=0.2),
    "blobs": DataTraits(noise=1.0),
    "quantiles": DataTraits(),
    "xor": DataTraits(noise=0.2),
    "spiral": DataTraits(noise=0.1),
    "digits": _READ,
    "breast_cancer": _READ,
    "diabetes": _READ._replace(task="numbers"),
    "file": _READ._replace(task=None),
}

LEARNING_RATES = {"classes": 1.2, "numbers": 0.1}
"""The default learning rate of each task. The course's 1.2 is for classes; on real targets it diverges."""

# Legal names, in the order of error messages. Other modules implement them; tests compare them with the registries.
TASKS = ("classes", "numbers")
MISSING = ("refuse", "drop", "impute")
RARE = ("refuse", "drop")
ACTIVATIONS = ("tanh", "sigmoid", "relu", "leaky_relu", "gelu", "identity")
SCHEMES = ("normal", "uniform", "zeros", "constant", "xavier", "he", "orthogonal")
GENERATORS = ("pcg64", "legacy")
DTYPES = ("float64", "float32")
ARITHMETICS = ("blas", "exact")
PRESETS = ("none", "standard", "full")
BACKENDS = ("processes", "dask")

LARGEST_M = 10_000_000
WIDEST, DEEPEST = 100_000, 1_000
LONGEST_NAME, LONGEST_PATH = 255, 2_000
"""The limits of common file systems, less the part of a path below a results folder."""


@dataclass
class DataConfig:
    """The data set to learn.

    Drawn data sets take `m`, `noise` and `test_m`; read ones (digits, breast_cancer, diabetes, file) take
    `test_fraction`. `path` and the keys after it, other than `standardize`, belong to `name=file`.
    """

    name: str = key("flower", "Data set", choices=DATA, example="moons")
    m: int | None = key(None, "Training examples to draw", low=2, high=LARGEST_M, example=300)
    noise: float | None = key(None, "Size of the noise in the drawn examples", example=0.3)
    seed: int = key(1, "Seed of the drawn examples, or of the split of read ones", high=2**32 - 1, example=2)
    test_m: int | None = key(
        None, "Test examples to draw, independent of the training examples", low=1, high=LARGEST_M, example=100
    )
    test_fraction: float | None = key(
        None, "Share of read examples kept for testing; 0 trains on all of them", below=1, example=0.5
    )
    path: str | None = key(None, "CSV or Parquet file", example="table.csv")
    target: str | None = key(
        None, "Column of the file to predict; without a header its number, -1 for the last", example="label"
    )
    task: str | None = key(
        None,
        "What the target holds; null decides by its values",
        choices=TASKS,
        added=True,
        example="numbers",
    )
    ignore: list[str] | None = key(  # noqa: RUF009 (it returns a field)
        None,
        "Columns of the file to leave out, besides those that number the rows; [] keeps all",
        longest=100_000,
        described="a list of columns, such as [id,date],",
        added=True,
        example=["id", "date"],
    )
    missing: str = key(
        "refuse",
        "Rows with missing values: refuse the file, drop them, or impute inputs from the training part (by the median "
        "or the most frequent category)",
        choices=MISSING,
        added=True,
        example="impute",
    )
    rare: str = key(
        "refuse",
        "Classes with a single row, which cannot be split: refuse the file, or drop them",
        choices=RARE,
        added=True,
        example="drop",
    )
    header: bool | None = key(
        None,
        "Whether the first row of a CSV file holds the names of the columns; without a header they are x1, x2, ...; "
        "null expects one, and refuses a row of numbers",
        added=True,
        example=False,
    )
    decimal: str | None = key(
        None,
        "Decimal sign of a CSV file; null is the point, and refuses columns whose commas are ambiguous",
        choices=(".", ","),
        described="'.' or ','",
        added=True,
        example=",",
    )
    standardize: bool | None = key(
        None,
        "Scale inputs and regression targets to mean 0 and standard deviation 1 on the training part",
        example=True,
    )


@dataclass
class ModelConfig:
    """The network: `depth` hidden layers of `hidden_size` units, or explicit widths in `layers`."""

    hidden_size: int = key(4, "Units in each hidden layer", low=1, high=WIDEST, example=20)
    depth: int = key(1, "Hidden layers; 0 is logistic, softmax or linear regression", high=DEEPEST, example=3)
    layers: list[int] | None = key(  # noqa: RUF009 (it returns a field)
        None,
        f"Width of every hidden layer: 1 to {WIDEST} units, at most {DEEPEST} layers",
        low=1,
        high=WIDEST,
        longest=DEEPEST,
        described="a list of widths, such as [16, 8],",
        example=[10, 5],
    )
    activation: str = key("tanh", "Activation of the hidden units", choices=ACTIVATIONS, example="relu")


@dataclass
class InitConfig:
    """The initial weights; biases start at 0."""

    scheme: str = key("normal", "Distribution of the weights", choices=SCHEMES, example="he")
    scale: float = key(
        0.01,
        "Standard deviation of normal, half width of uniform, value of constant, factor of xavier, he and orthogonal",
        example=1.0,
    )
    generator: str = key(
        "pcg64",
        "Random generator; legacy draws as np.random.seed does in the course",
        choices=GENERATORS,
        example="legacy",
    )


@dataclass
class TrainingConfig:
    """Gradient descent."""

    iterations: int = key(10_000, "Updates of the weights", example=500)
    learning_rate: float | None = key(
        None,
        f"Step size; null is {LEARNING_RATES['classes']} for classes and {LEARNING_RATES['numbers']} for real targets",
        example=0.3,
    )
    batch_size: int | None = key(
        None, "Examples in a mini-batch; null is the full batch", low=1, high=LARGEST_M, example=32
    )
    dtype: str = key("float64", "Floating-point precision", choices=DTYPES, example="float32")
    arithmetic: str = key(
        "blas",
        "Matrix products: blas is fast, exact keeps units that start equal bitwise equal",
        choices=ARITHMETICS,
        example="exact",
    )


@dataclass
class DiagnosticsConfig:
    """What is measured, and when."""

    preset: str = key(
        "standard", "Probes; full adds curvature, histograms and a value for each unit", choices=PRESETS, example="full"
    )
    checkpoints: int = key(
        40, "About how many iterations to measure, evenly spaced on a log axis", low=2, high=10_000, example=10
    )
    every: int | None = key(None, "Measure at the multiples of this iteration too", low=1, example=1_000)


@dataclass
class TrackingConfig:
    """What is logged to MLflow, and where."""

    enabled: bool = key(True, "Log runs as they finish; if false, `nnlab sync` can log them later", example=False)
    uri: str | None = key(
        None, "MLflow server or database; null is an SQLite file in the results folder", example="http://127.0.0.1:5000"
    )
    figures: bool = key(
        False, "Attach figures of cost, boundary, gradient flow and units to each run (half a second)", example=True
    )
    report: bool = key(True, "Write a report on a sweep when it ends (a few seconds)", example=False)
    experiment: str = key(
        "playground",
        "Experiment that holds the runs, in MLflow and on disk",
        pattern=rf"(?!(Default|{SWEEPS})\Z)[A-Za-z0-9_-][A-Za-z0-9_. -]{{0,99}}",
        described="a folder name of up to 100 letters, digits, - _ . or spaces, other than the reserved names Default "
        f"and {SWEEPS}",
        example="first_tries",
    )


@dataclass
class LauncherConfig:
    """Where networks are trained. Networks that are trained together form a stack."""

    n_jobs: int | None = key(
        None,
        "Stacks trained at the same time; null is one per core, or one per thread of the cluster's workers",
        low=1,
        high=100_000,
        example=1,
    )
    backend: str = key(
        "processes", "Processes of this machine, or the workers of a Dask cluster", choices=BACKENDS, example="dask"
    )
    address: str | None = key(None, "Scheduler of the Dask cluster", example="tcp://127.0.0.1:8786")
    force: bool = key(False, "Train runs again even if they are on disk; the earlier ones are set aside", example=True)


@dataclass
class RunConfig:
    """All keys of a run. The defaults are the course's network: 4 tanh units on the flower."""

    seed: int = key(3, "Seed of the initial weights and of the order of mini-batches", high=2**32 - 1, example=7)
    results_dir: str = key(
        "results",
        "Folder of all results, relative to nnlab's source tree or else to the working folder",
        folder=True,
        described=f"a folder that can be written to, with names of up to {LONGEST_NAME} bytes and at most "
        f"{LONGEST_PATH} characters",
        example="drafts",
    )
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    init: InitConfig = field(default_factory=InitConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    launcher: LauncherConfig = field(default_factory=LauncherConfig)


KEYS = {key.name: key for key in declared(RunConfig)}
"""Every key by its name, in the order of declaration: `KEYS["model.hidden_size"].legal`."""

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
    # A NumPy scalar has the shape () and `item`. Arrays stay arrays: validation rejects them.
    return config.item() if getattr(config, "shape", None) == () and hasattr(config, "item") else config


def resolve(config: RunConfig, task: str | None = None) -> RunConfig:
    """Return a copy with the defaults of the data set and of its task, and the layout of the network, written out.

    `task` is "classes" or "numbers". It is needed only for files, whose values decide it; until it is known their
    default learning rate stays None. Configs that mean the same run resolve to equal configs.
    """
    config = plain(config)
    data, traits = config.data, DATA[config.data.name]
    if traits.drawn:
        data.m = traits.m if data.m is None else data.m
        data.test_m = traits.m if data.test_m is None else data.test_m
    else:
        data.test_fraction = traits.test_fraction if data.test_fraction is None else data.test_fraction
    data.noise = traits.noise if data.noise is None else data.noise
    data.standardize = traits.standardize if data.standardize is None else data.standardize
    if config.training.learning_rate is None:
        config.training.learning_rate = LEARNING_RATES.get(task or data.task or traits.task or "")
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
    """Return the config with these nested plain values; keys that are left out have their defaults.

    Raises ConfigError for unknown keys.
    """
    unknown = [*_unknown_keys("", RunConfig(), values)]
    if unknown:
        raise ConfigError(f"{', '.join(unknown)}: there is no such key; `nnlab run --help` lists all keys")
    default = RunConfig()
    arguments = {
        name: type(getattr(default, name))(**value)
        if isinstance(value, dict) and dataclasses.is_dataclass(getattr(default, name))
        else value
        for name, value in values.items()
    }
    return RunConfig(**arguments)


def _unknown_keys(prefix: str, section: Any, values: Mapping[str, Any]) -> Iterator[str]:
    names = {part.name for part in dataclasses.fields(section)}
    for name, value in values.items():
        if name not in names:
            yield f"{prefix}{str(name).encode(errors='backslashreplace').decode():.100}"
        elif isinstance(value, dict) and dataclasses.is_dataclass(getattr(section, name)):
            yield from _unknown_keys(f"{prefix}{name}.", getattr(section, name), value)


_READERS = {name: attrgetter(name) for name in KEYS}


def flatten(config: RunConfig) -> dict[str, Any]:
    """Return `{"seed": 3, ..., "model.hidden_size": 4, ...}`."""
    return {name: read(config) for name, read in _READERS.items()}


def with_values(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    """Return a copy of a config in which some keys have other values: `{"model.activation": "relu"}`."""
    values = {**flatten(config), **values}
    # A resolved config without hidden layers has width 0, which is not legal.
    width = values["model.hidden_size"] or KEYS["model.hidden_size"].default
    return from_dict(_nested({**values, "model.hidden_size": width}))


def overrides(config: RunConfig) -> list[str]:
    """Return the words that make this config on the command line: `["model.activation=relu", "seed=7"]`.

    Keys that have their default, or follow from the others, are left out.
    """
    resolved = resolve(config)
    values = {name: value for name, value in flatten(resolved).items() if value != KEYS[name].default}
    for name in list(values):
        fewer = {other: value for other, value in values.items() if other != name}
        if resolve(from_dict(_nested(fewer))) == resolved:
            values = fewer
    return [f"{name}={to_word(value)}" for name, value in values.items()]


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for name, value in values.items():
        *parts, leaf = name.split(".")
        inner = nested
        for part in parts:
            inner = inner.setdefault(part, {})
        inner[leaf] = value
    return nested


def to_word(value: Any) -> str:
    """Return a value in Hydra's grammar; ambiguous text is quoted."""
    if isinstance(value, list):
        return f"[{','.join(map(to_word, value))}]"
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
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
    quoted = re.sub(r"(\\*)('|\Z)", lambda end: end[1] * 2 + end[2].replace("'", "\\'"), literal)
    return f"'{quoted}'"


def shell_word(word: str) -> str:
    """Return a word as a POSIX shell must be given it, in double quotes where these change nothing inside."""
    if shlex.quote(word) == word or re.search(r"[$`\\!]", word):
        return shlex.quote(word)
    quoted = word.replace('"', '\\"')
    return f'"{quoted}"'


def numerical_version(config: RunConfig) -> int:
    """Return the numerical version in which the bits of this config's training last changed."""
    return 4 if config.data.name == "quantiles" or config.init.scheme == "uniform" else 3


def fingerprint(config: RunConfig, data_digest: str = "") -> str:
    """Return 16 hex digits that are equal for two configs if and only if they compute the same run.

    `data_digest` identifies the content of a user's file; it replaces the path.
    """
    resolved = resolve(config)
    science = {part: value for part, value in dataclasses.asdict(resolved).items() if part in SCIENCE}
    for name, value in flatten(resolved).items():
        if KEYS[name].added and value == KEYS[name].default:
            section, _, leaf = name.partition(".")
            del science[section][leaf]
    if data_digest:
        science["data"]["path"] = data_digest
    text = json.dumps([numerical_version(config), science], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
