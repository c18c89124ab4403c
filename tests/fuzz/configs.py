"""Configs as people and programs get them wrong: dictionaries, and words of the command line.

What is legal is small by construction, so that a legal case trains in milliseconds: whatever is drawn for a key that
costs time is either tiny or beyond what is allowed.
"""

import datetime
import math
import random
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.config import RunConfig, flatten

__all__ = ["TABLE", "config_case", "words_case"]

TABLE = "a,b,label\n" + "".join(f"{row % 7},{row * row % 11},{'uv'[row % 2]}\n" for row in range(24))
"""The data file that legal configs may name: `table.csv` in the folder of the case."""

KEYS = tuple(flatten(RunConfig()))
PARTS = ("data", "model", "init", "training", "diagnostics", "tracking", "launcher")
KEPT = ("results_dir", "training.iterations")
"""Never left out: without them a case would write into the user's own results, or take long."""
READ = ("breast_cancer", "diabetes", "file")

TEXTS = (
    *("", " ", "3", "-3", "1e3", "0x10", "1_000", "１２", "nan", "inf", "true", "yes", "null", "None", "~", "tanh "),
    *(
        "Tanh",
        "rеlu",
        "\0",
        "\n",
        "a\nb",
        "\x1b[31m",
        "\ud800",
        "\udcff",
        "💥",
        "é" * 300,
        "x" * 100_000,
        "../x",
        "a/b",
    ),
    *("$(touch x)", "`touch x`", "${seed}", "%s%n", "{0}", "'; DROP TABLE runs; --", "[4", "!!python/object:os.system"),
)
NUMBERS = (
    *(-1, 0, 1, 2, 7, 2**32, 2**63, 2**64, 10**30, 10**400, 10**5000, -(10**5000), 0.0, -0.0, 0.5, 1.0, 1.5, -0.5),
    *(
        5e-324,
        1e-300,
        1e300,
        1.7e308,
        math.nan,
        math.inf,
        -math.inf,
        1j,
        Decimal("0.5"),
        Decimal("nan"),
        Fraction(1, 3),
    ),
)
NUMPY = (
    *(
        np.float64(0.5),
        np.float64(np.nan),
        np.float32(0.1),
        np.float16(2.5),
        np.longdouble(1.5),
        np.int64(3),
        np.int8(-1),
    ),
    *(np.uint64(2**64 - 1), np.bool_(True), np.str_("relu"), np.datetime64("2020-01-01"), np.complex64(1j)),
    *(np.array(3), np.array([1.0]), np.array([]), np.zeros((2, 2)), np.ma.masked),
)
EDGES: dict[str, tuple[Any, ...]] = {
    "seed": (-1, 2**32),
    "data.m": (1, 10_000_001),
    "data.test_m": (0, 10_000_001),
    "data.seed": (-1, 2**32 - 1),
    "data.test_fraction": (0.0, 1.0, 0, 1, 1e-9, 1 - 1e-9),
    "model.hidden_size": (0, 100_001),
    "model.depth": (-1, 1_001),
    "model.layers": (
        [],
        [0],
        [4, 100_001],
        [4, None],
        [True],
        [2.0],
        [[4]],
        (4, 4),
        "44",
        {4: 4},
        [1] * 5_000,
        [0] * 5_000,
    ),
    "training.iterations": (-1, 10**9 + 1),
    "training.batch_size": (0, 61, 10_000_001),
    "diagnostics.checkpoints": (1, 10_001),
    "diagnostics.every": (0, 10**9 + 1),
    "tracking.uri": (
        *(
            "sqlite:",
            "sqlite://",
            "sqlite:///",
            "sqlite:///nowhere/x.db",
            "sqlite:////dev/null/x",
            "sqlite:////dev/null",
        ),
        *(
            f"sqlite:////tmp/{'x' * 300}",
            "sqlite:///50%.db",
            "sqlite:///a?b",
            "sqlite:///\n",
            "sqlite:////tmp",
            "nonsense://x",
        ),
    ),
    "tracking.experiment": ("Default", "sweeps", ".", "..", "a/b", "x" * 101, "-", "...", "a.", " a", "CON"),
    "launcher.n_jobs": (0, 100_001),
    "launcher.backend": ("dask", "threads"),
}
"""Values just beyond what is legal, or that only look wrong."""


def _deep(depth: int) -> list[Any]:
    nested: list[Any] = [1]
    for _ in range(depth):
        nested = [nested]
    return nested


def _containers() -> list[Any]:
    """Made anew each time: they can be changed, and one holds itself, as an alias in YAML can."""
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
    """Return any value whatsoever."""
    pool: Sequence[Any] = chance.choice((TEXTS, NUMBERS, NUMPY, (None, True, False), _containers()))
    return chance.choice(pool)


def legal(chance: random.Random, folder: Path) -> dict[str, Any]:
    """Return a small legal config as flat keys; about half of the optional ones are left out."""
    name = chance.choice(("flower", "circles", "moons", "blobs", "quantiles", "xor", "spiral", *READ))
    m = chance.randrange(6, 60)
    scale = (0, 0.0, 0.01, 1, 3.0, 5e-324, 1e-30, 1e30, 1e300, 1.7e308)
    values: dict[str, Any] = {
        "seed": chance.choice((0, 3, 2**32 - 1)),
        "data.seed": chance.choice((0, 1, 2**32 - 2)),
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
        "diagnostics.every": chance.choice((None, 1, 10**9)),
        "tracking.uri": chance.choice((None, "http://127.0.0.1:9")),
        "tracking.experiment": chance.choice(("playground", "a b-c_d.e", "-", "0", "x" * 100)),
        "launcher.n_jobs": chance.choice((None, 1, 100_000)),
        "launcher.force": chance.choice((True, False)),
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
    """Return a value, sometimes as the scalar that iterating over an array gives."""
    kinds: dict[type, Callable[[Any], Any]] = {int: np.int64, float: np.float64, str: np.str_, bool: np.bool_}
    return kinds[type(value)](value) if type(value) in kinds and chance.random() < 0.1 else value


def config_case(chance: random.Random, folder: Path) -> tuple[dict[Any, Any], list[str]]:
    """Return a dictionary for `from_dict`, and names of which a refusal must say one."""
    flat, suspects = legal(chance, folder), []
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 3))):
        key = chance.choice(KEYS)
        suspects.append(key)
        if chance.random() < 0.1 and key not in KEPT:
            flat.pop(key, None)
        else:
            flat[key] = _wrong_value(chance, key, flat, folder)
    if isinstance(flat.get("launcher.backend"), str) and isinstance(flat.get("launcher.address"), str):
        flat["launcher.address"] = None  # else a scheduler would be waited for
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
    """Return a results folder below the folder of the case, or one that cannot be."""
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
    """Change what stands around the values: a part that is none, or a key that there is not. Return its name."""
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


# ---- words

SHELL = (
    "$(touch x)",
    "`touch x`",
    "; touch x",
    "| tee x",
    "> x",
    "&& touch x",
    "'",
    '"',
    "\\",
    "'a",
    '"a',
    "a'b",
    "\\'",
    "#x",
    "!x",
    "*",
)
INTERPOLATIONS = (
    *(
        "${seed}",
        "${nope}",
        "${",
        "${}",
        "$",
        "${oc.env:NOPE}",
        "${oc.env:HOME}",
        "${oc.decode:'[1'}",
        "${oc.create:{a:1}}",
    ),
    *(
        "${now:%Y}",
        "${hydra:runtime.cwd}",
        "${model}",
        "${data.m}",
        "${model.hidden_size}",
        "${model.layers}",
        "${nope:1}",
    ),
    *(
        "${${seed}}",
        "a${seed}b",
        "${results_dir}",
        "${oc.dict.keys:model}",
        "${.depth}",
        "${..seed}",
        "???",
        "\\${seed}",
    ),
)
GRAMMAR = (
    *(
        "[",
        "]",
        "{",
        "}",
        "[1,",
        "[1,,2]",
        "{a:",
        "{a:1}",
        "[[[[1]]]]",
        "[" * 60 + "]" * 60,
        "(",
        ")",
        "a,b",
        "1,",
        ",",
        "=",
        "==3",
    ),
    *(
        "a=b",
        "@",
        "a b",
        "a\tb",
        "a\nb",
        "range(3)",
        "range(",
        "choice(1,2)",
        "choice()",
        "glob(*)",
        "interval(0,1)",
        "sort(2,1)",
    ),
    *(
        "int(1.5)",
        "int(x)",
        "float(nan)",
        "str(1)",
        "bool(3)",
        "json_str('{}')",
        "extend_list(1)",
        "shuffle(1,2)",
        "tag(a,1)",
        "~",
        "?",
        "/",
    ),
    *(
        "1" * 5_000,
        "-" * 50,
        "x" * 5_000,
        "1e400",
        "0x10",
        "1_000",
        "１２",
        "\udcff",
        "&x",
        "%s",
        "<<",
        "|",
        "!!int 3",
        "- 1",
    ),
)
JUNK = (
    *(
        "",
        " ",
        "=",
        "=3",
        "seed",
        "seed=",
        "seed==3",
        "seed:3",
        "seed: 3",
        "+",
        "~",
        "++",
        "+=3",
        "~=",
        "~seed",
        "~nope",
        "~data.noise",
    ),
    *(
        "+seed=3",
        "++seed=5",
        "++nope=1",
        "+nope=1",
        "+model.nope=1",
        "seed.x=1",
        "seed[0]=1",
        "model.layers[0]=3",
        "model.layers.0=3",
    ),
    *(
        ".seed=1",
        "seed.=1",
        "model..depth=2",
        "model/depth=2",
        "data@model=moons",
        "data@=moons",
        "@data=moons",
        "data@x@y=moons",
    ),
    *(
        "data=[moons,xor]",
        "+data=moons",
        "~data=flower",
        "~data",
        "~model",
        "--nonsense",
        "é=1",
        "'seed'=3",
        '"seed=3"',
        "seed=3 data.m=5",
    ),
    *(
        "seed=3;data.m=4",
        "{seed: 3}",
        "[seed]",
        "//",
        "\udcff=1",
        "a" * 300,
        "model={depth: 2}",
        "model={nope: 2}",
        "+model={nope: 2}",
    ),
    *(
        "data=null",
        "init=",
        "init=3",
        "training=nope",
        "model=deep,nope",
        "diagnostics=[full]",
        "launcher=nope",
        "experiment=nope",
    ),
)


def words_case(chance: random.Random, folder: Path) -> tuple[list[str], list[str]]:
    """Return words for experiments/train.py, and names of which a refusal must say one."""
    results = chance.choice(("x", "x", "x", "a b", "é💥", "$(touch x)", "it's", "x" * 256, "\udcff"))
    words = [
        f"results_dir={_quoted(f'{folder}/out/{results}')}",
        *(
            "tracking.enabled=false",
            "training.iterations=3",
            "data.m=20",
            "data.test_m=10",
            "diagnostics.checkpoints=4",
        ),
    ]
    suspects = ["results_dir"] if results == "\udcff" or len(results) > 255 else []
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        word = _word(chance, folder)
        words.append(word)
        suspects += re.findall(r"\w+|\S", word) or [word]
    if chance.random() < 0.2:
        words.append("-m")
    return words, suspects


def _word(chance: random.Random, folder: Path) -> str:
    if chance.random() < 0.25:
        return chance.choice((*JUNK, *SHELL, *INTERPOLATIONS))
    # With tracking it would make a database, which takes seconds; with a scheduler's address it would wait for one.
    key = chance.choice([key for key in KEYS if key not in (*KEPT, "tracking.enabled", "launcher.address")])
    if chance.random() < 0.4 and key != "launcher.n_jobs":
        value = legal(chance, folder).get(key)
        return f"{key}={'null' if value is None else value}"
    text = chance.choice(chance.choice((SHELL, INTERPOLATIONS, GRAMMAR, [text for text in TEXTS if "\0" not in text])))
    return f"{key}={_quoted(text) if chance.random() < 0.4 else text}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"
