"""Wrong configs, as dictionaries.

Legal cases train in milliseconds: values of keys that cost time are either tiny or beyond the legal range.
"""

import datetime
import math
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.config import RunConfig, flatten

__all__ = ["KEPT", "KEYS", "TABLE", "TEXTS", "config_case", "legal"]

TABLE = "a,b,label\n" + "".join(f"{row % 7},{row * row % 11},{'uv'[row % 2]}\n" for row in range(24))
"""A data file for legal configs: `table.csv` in the folder of the case."""

KEYS = tuple(flatten(RunConfig()))
PARTS = ("data", "model", "init", "training", "diagnostics", "tracking", "launcher")
KEPT = ("results_dir", "training.iterations")
"""Never left out: without them a case would write into the user's results or take long."""
READ = ("breast_cancer", "diabetes", "file")

# fmt: off
TEXTS = (
    "", " ", "3", "-3", "1e3", "0x10", "1_000", "１２", "nan", "inf", "true", "yes", "null", "None", "~", "tanh ",
    "Tanh", "rеlu", "\0", "\n", "a\nb", "\x1b[31m", "\ud800", "\udcff", "💥", "é" * 300, "x" * 100_000, "../x", "a/b",
    "$(touch x)", "`touch x`", "${seed}", "%s%n", "{0}", "'; DROP TABLE runs; --", "[4", "!!python/object:os.system",
)
NUMBERS = (
    -1, 0, 1, 2, 7, 2**32, 2**63, 2**64, 10**30, 10**400, 10**5000, -(10**5000), 0.0, -0.0, 0.5, 1.0, 1.5, -0.5,
    5e-324, 1e-300, 1e300, 1.7e308, math.nan, math.inf, -math.inf, 1j, Decimal("0.5"), Decimal("nan"), Fraction(1, 3),
)
NUMPY = (
    np.float64(0.5), np.float64(np.nan), np.float32(0.1), np.float16(2.5), np.longdouble(1.5), np.int64(3),
    np.int8(-1), np.uint64(2**64 - 1), np.bool_(True), np.str_("relu"), np.datetime64("2020-01-01"), np.complex64(1j),
    np.array(3), np.array([1.0]), np.array([]), np.zeros((2, 2)), np.ma.masked,
)
EDGES: dict[str, tuple[Any, ...]] = {
    "seed": (-1, 2**32),
    "data.m": (1, 10_000_001),
    "data.test_m": (0, 10_000_001),
    "data.seed": (-1, 2**32),
    "data.test_fraction": (0.0, 1.0, 0, 1, 1e-9, 1 - 1e-9),
    "model.hidden_size": (0, 100_001),
    "model.depth": (-1, 1_001),
    "model.layers": (
        [], [0], [4, 100_001], [4, None], [True], [2.0], [[4]], (4, 4), "44", {4: 4}, [1] * 5_000, [0] * 5_000,
    ),
    "training.iterations": (-1, 10**9 + 1),
    "training.batch_size": (0, 61, 10_000_001),
    "diagnostics.checkpoints": (1, 10_001),
    "diagnostics.every": (0, 10**9, 10**9 + 1),
    "tracking.uri": (
        "sqlite:", "sqlite://", "sqlite:///", "sqlite:///nowhere/x.db", "sqlite:////dev/null/x", "sqlite:////dev/null",
        f"sqlite:////{'x' * 300}", "sqlite:///50%.db", "sqlite:///a?b", "sqlite:///\n", "sqlite:////", "nonsense://x",
    ),
    "tracking.experiment": ("Default", "sweeps", ".", "..", "a/b", "x" * 101, "-", "...", "a.", " a", "CON"),
    "launcher.n_jobs": (0, 100_000, 100_001),
    "launcher.backend": ("dask", "threads"),
}
"""Values at the edge of the legal range, and legal values that look wrong."""
# fmt: on


def _deep(depth: int) -> list[Any]:
    nested: list[Any] = [1]
    for _ in range(depth):
        nested = [nested]
    return nested


def _containers() -> list[Any]:
    """Return new containers, since they are mutable; one contains itself, as an alias in YAML can."""
    endless: list[Any] = [4]
    endless.append(endless)
    return [
        *([], [1], [4, 4], [0], ["4"], [None], [1.5], [[1]], [math.nan], list(TEXTS), _deep(50), _deep(5_000), endless),
        *({}, {"a": 1}, {1: 2}, {"a": {"b": {}}}, {3}, (3, 4), range(3), iter([4]), b"bytes", bytearray(b"x")),
        *(
            datetime.date(2020, 1, 1),
            datetime.datetime(2020, 1, 1),
            datetime.timedelta(1),
            object(),
            len,
            int,
            ...,
            RunConfig,
            RunConfig(),
        ),
    ]


def garbage(chance: random.Random) -> Any:
    """Return a value of any type."""
    pool: Sequence[Any] = chance.choice((TEXTS, NUMBERS, NUMPY, (None, True, False), _containers()))
    return chance.choice(pool)


def legal(chance: random.Random, folder: Path) -> dict[str, Any]:
    """Return a small legal config as flat keys; about half of the optional ones are left out."""
    name = chance.choice(("flower", "circles", "moons", "blobs", "quantiles", "xor", "spiral", *READ))
    m = chance.randrange(6, 60)
    scale = (0, 0.0, 0.01, 1, 3.0, 5e-324, 1e-30, 1e30, 1e300, 1.7e308)
    values: dict[str, Any] = {
        "seed": chance.choice((0, 3, 2**32 - 1)),
        "data.seed": chance.choice((0, 1, 2**32 - 1)),
        "data.standardize": chance.choice((None, True, False)),
        "model.hidden_size": chance.randrange(1, 8),
        "model.depth": chance.randrange(4),
        "model.layers": chance.choice((None, None, [], [3], [4, 2], [1, 1, 1])),
        "model.activation": chance.choice(("tanh", "sigmoid", "relu", "leaky_relu", "gelu", "identity")),
        "init.scheme": chance.choice(("normal", "uniform", "zeros", "constant", "xavier", "he", "orthogonal")),
        "init.scale": chance.choice(scale),
        "init.generator": chance.choice(("pcg64", "legacy")),
        "training.learning_rate": chance.choice(scale),
        "training.batch_size": chance.choice((None, 1) if name in READ else (None, 1, 5)),
        "training.dtype": chance.choice(("float64", "float32")),
        "training.arithmetic": chance.choice(("blas", "exact")),
        "diagnostics.preset": chance.choice(("none", "standard", "standard", "full")),
        "diagnostics.checkpoints": chance.randrange(2, 8),
        "diagnostics.every": chance.choice((None, 1, 5)),
        "tracking.uri": chance.choice((None, "http://127.0.0.1:9")),
        "tracking.experiment": chance.choice(("playground", "a b-c_d.e", "-", "0", "x" * 100)),
        "launcher.n_jobs": chance.choice((None, 1, 7)),
        "launcher.force": chance.choice((True, False)),
        "tracking.report": chance.choice((True, False)),
    }
    if name in READ:
        values["data.test_fraction"] = chance.choice((None, 0.25, 1e-9, 0.999))
    else:
        values["data.test_m"] = chance.randrange(3, 60)
        if name != "quantiles":
            values["data.noise"] = chance.choice((None, *scale[:-4], 1e30))
    values = {key: _as_numpy(chance, value) for key, value in values.items() if chance.random() < 0.5}
    if name not in READ:
        values["data.m"] = m
    if name == "file":
        values |= {"data.path": str(folder / "table.csv"), "data.target": "label"}
    return values | {
        "data.name": name,
        "results_dir": str(folder / "out" / "results"),
        "tracking.enabled": chance.choice((True, False, False)),
        "training.iterations": chance.randrange(9),
    }


def _as_numpy(chance: random.Random, value: Any) -> Any:
    """Return a value, sometimes as the NumPy scalar that iterating over an array yields."""
    kinds: dict[type, Callable[[Any], Any]] = {int: np.int64, float: np.float64, str: np.str_, bool: np.bool_}
    return kinds[type(value)](value) if type(value) in kinds and chance.random() < 0.1 else value


def config_case(chance: random.Random, folder: Path) -> tuple[dict[Any, Any], list[str]]:
    """Return a dictionary for `from_dict`, and names; a rejection must mention one of them."""
    flat, suspects = legal(chance, folder), []
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 3))):
        key = chance.choice(KEYS)
        suspects.append(key)
        if chance.random() < 0.1 and key not in KEPT:
            flat.pop(key, None)
        else:
            flat[key] = _wrong_value(chance, key, flat, folder)
    if isinstance(flat.get("launcher.backend"), str) and isinstance(flat.get("launcher.address"), str):
        flat["launcher.address"] = None  # or the case would wait for a scheduler
    nested: dict[Any, Any] = {}
    for key, value in flat.items():
        part, _, leaf = key.rpartition(".")
        (nested.setdefault(part, {}) if part else nested)[leaf] = value
    if chance.random() < 0.1:
        suspects.append(_spoil(chance, nested))
    return nested, suspects


def _wrong_value(chance: random.Random, key: str, flat: dict[str, Any], folder: Path) -> Any:
    if key == "results_dir":
        return _results_dir(chance, folder)
    way = chance.random()
    if way < 0.25:
        value = chance.choice(EDGES.get(key, TEXTS))
    elif way < 0.4:
        value = flat[chance.choice([*flat])]
    else:
        value = garbage(chance)
    return value


def _results_dir(chance: random.Random, folder: Path) -> Any:
    """Return a results folder below the folder of the case, or an impossible one."""
    names = (
        " ",
        "a b",
        "é💥",
        "'\"",
        "$(touch x)",
        "${seed}",
        "x" * 255,
        "x" * 256,
        "\n",
        "\0",
        "\ud800",
        "\udcff",
        "a/" * 3_000,
    )
    outside: tuple[Any, ...] = (
        "",
        " ",
        "~nobody_of_that_name/x",
        "/dev/null/x",
        "/proc/nowhere",
        None,
        3,
        True,
        [],
        b"x",
        math.nan,
    )
    return f"{folder}/out/{chance.choice(names)}" if chance.random() < 0.7 else chance.choice(outside)


def _spoil(chance: random.Random, nested: dict[Any, Any]) -> str:
    """Replace a section by garbage, or add an unknown key. Return a name that the rejection must mention."""
    part = chance.choice(PARTS)
    if chance.random() < 0.4:
        nested[part] = garbage(chance)
        return part
    names = (
        "optimizer",
        "Seed",
        "model.depth",
        "__class__",
        "__init__",
        "__dict__",
        "",
        "\n",
        "💥",
        "\ud800",
        "x" * 9_999,
    )
    name = chance.choice((*names, 3, None, True, 1.5, ("a",), b"seed", np.str_("no"), math.nan))
    chance.choice((nested, nested.setdefault(part, {})))[name] = garbage(chance)
    return "no such key"
