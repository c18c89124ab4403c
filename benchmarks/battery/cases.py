"""The battery's candidates: trainings built to end in a given state.

The two halves share no data set, no depth of the deep networks and no seed; thresholds are tuned on "development" only.
`outcomes.py` checks whether a candidate ended in its state; the others are dropped and counted.
"""

from collections.abc import Callable, Iterator
from itertools import count, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nnlab import DataConfig, DiagnosticsConfig, InitConfig, ModelConfig, RunConfig, TrainingConfig, load_dataset

__all__ = ["ANY", "LABELS", "PARTS", "RANDOM", "Case", "cases"]

ANY = "any"
"""The label of a training that was not built to end in a particular state."""
RANDOM = "random trainings"
PARTS = ("development", "held out", RANDOM)


class Case(NamedTuple):
    """One training and the state that it should end in."""

    label: str
    config: RunConfig


class Half(NamedTuple):
    """The choices from which a half builds its cases."""

    plane: tuple[str, ...]
    real: tuple[str, ...]
    regression: str
    unbalanced: str
    far: tuple[str, ...]
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    scales: tuple[float, ...]
    first_seed: int


DEVELOPMENT = Half(
    ("flower", "moons", "xor"),
    ("digits",),
    "friedman",
    "thinned",
    ("hundreds", "shifted"),
    (6, 9, 12),
    (4, 10, 20),
    (0.1, 0.5),
    0,
)
HELD_OUT = Half(
    ("circles", "spiral", "quantiles"),
    ("breast_cancer",),
    "diabetes",
    "breast_cancer",
    ("thousands", "offset"),
    (7, 10, 14),
    (5, 8, 16),
    (0.2, 0.8),
    3000,
)

Choice = tuple[str, ModelConfig, InitConfig, TrainingConfig]


def cases(part: str, folder: Path) -> list[Case]:
    """Return the candidates of a part, and write the data files that some of them read to `folder`."""
    files = _files(folder)
    if part == RANDOM:
        return [Case(ANY, _config(choice, seed, files)) for seed, choice in enumerate(_random(), start=5000)]
    half = DEVELOPMENT if part == "development" else HELD_OUT
    seeds = count(half.first_seed)
    result = []
    for label, candidates in LABELS.items():
        group = [Case(label, _config(choice, next(seeds), files)) for choice in candidates(half)]
        # Shuffled, since only as many are trained as are needed.
        result += [group[index] for index in np.random.default_rng(0).permutation(len(group))]
    return result


def _config(choice: Choice, seed: int, files: dict[str, Path]) -> RunConfig:
    data, model, init, training = choice
    read = {"path": str(files[data]), "target": "y"} if data in files else {}
    raw = False if data in FAR else None
    return RunConfig(
        seed=seed,
        data=DataConfig("file" if read else data, seed=seed % 7, standardize=raw, **read),  # type: ignore[arg-type]
        model=model,
        init=init,
        training=training,
        diagnostics=DiagnosticsConfig("standard"),
    )


FAR = {
    "hundreds": ("moons", 200.0, 0.0),
    "shifted": ("xor", 3.0, 40.0),
    "thousands": ("circles", 900.0, 0.0),
    "offset": ("quantiles", 4.0, -70.0),
}
"""Data sets in inconvenient units: points of another one times a factor, plus a constant. They are left as they are."""


def _files(folder: Path) -> dict[str, Path]:
    """Write the data sets that are not part of nnlab: a regression, unequal classes, inputs far from scale 1."""
    from sklearn.datasets import make_circles, make_friedman1

    X, y = make_friedman1(300, n_features=6, noise=0.5, random_state=0)
    np.savetxt(folder / "friedman.csv", np.column_stack([X, y]), "%.6f", ",", header="a,b,c,d,e,f,y", comments="")
    X, y = make_circles((240, 80), noise=0.05, factor=0.5, random_state=0)
    tables = {"thinned": np.column_stack([X, y])}
    for name, (source, factor, shift) in FAR.items():
        points = load_dataset(DataConfig(source, seed=100))
        tables[name] = np.column_stack([factor * points.X.T + shift, points.Y[0]])
    for name, table in tables.items():
        np.savetxt(folder / f"{name}.csv", table, ("%.6f", "%.6f", "%d"), ",", header="a,b,y", comments="")
    return {name: folder / f"{name}.csv" for name in ("friedman", *tables)}


def _deep(depth: int, width: int, activation: str) -> ModelConfig:
    return ModelConfig(hidden_size=width, depth=depth, activation=activation)


def _diverged(half: Half) -> Iterator[Choice]:
    for activation, depth, rate, dtype in product(
        ("identity", "relu", "leaky_relu", "gelu", "tanh"), (1, 2, 3), (8.0, 40.0), ("float64", "float32")
    ):
        scheme = InitConfig("he" if "relu" in activation else "xavier", 1.0)
        yield (
            half.regression,
            _deep(depth, half.widths[depth - 1], activation),
            scheme,
            TrainingConfig(400, rate, dtype=dtype),
        )
    for data, activation, rate in product(half.plane, ("relu", "gelu", "leaky_relu"), (30.0, 300.0)):
        yield data, _deep(2, half.widths[1], activation), InitConfig("he", 1.0), TrainingConfig(300, rate)


def _frozen(half: Half) -> Iterator[Choice]:
    datasets = (*half.plane, *half.real, half.regression, half.unbalanced)
    activations = ("tanh", "relu", "leaky_relu", "gelu", "identity")
    for index, (activation, depth, data) in enumerate(product(activations, (1, 2, 4), datasets)):
        init = InitConfig("zeros") if index % 2 else InitConfig("normal", 0.0)
        yield data, _deep(depth, half.widths[index % 3], activation), init, TrainingConfig(150, 0.5)


def _symmetric(half: Half) -> Iterator[Choice]:
    datasets = (*half.plane, half.regression, half.unbalanced)
    activations = ("tanh", "sigmoid", "relu", "leaky_relu", "gelu")
    for index, (activation, scale, data) in enumerate(product(activations, half.scales, datasets)):
        training = TrainingConfig(600, 0.1, arithmetic="exact", batch_size=(None, 50)[index % 3 == 0])
        yield data, _deep(1 + index % 3, half.widths[index % 3], activation), InitConfig("constant", scale), training
    for data, width, rate in product((half.unbalanced, half.real[0]), half.widths, (0.1, 0.5)):
        training = TrainingConfig(200, rate, arithmetic="exact")
        yield data, _deep(1, width, "sigmoid"), InitConfig("zeros"), training


def _dead(half: Half) -> Iterator[Choice]:
    for depth, width, data, _ in product(half.depths, (2, 3), half.plane, range(4)):
        yield data, _deep(2 * depth, width, "relu"), InitConfig("he", 1.0), TrainingConfig(300, 0.05)
    for rate, data, width, depth in product((5.0, 20.0), half.plane, half.widths, (1, 2)):
        yield data, _deep(depth, width, "relu"), InitConfig("he", 1.0), TrainingConfig(500, rate)
    for rate, width, depth in product((1.0, 3.0), half.widths, (2, 3)):
        yield half.regression, _deep(depth, width, "relu"), InitConfig("he", 1.0), TrainingConfig(500, rate)


def _saturated(half: Half) -> Iterator[Choice]:
    datasets = (*half.plane, half.regression, half.real[0])
    for activation, scale, data, depth, rate in product(
        ("tanh", "sigmoid"), (10.0, 40.0, 100.0), datasets, (2, 4), (0.001, 0.03)
    ):
        yield (
            data,
            _deep(depth, half.widths[depth // 2], activation),
            InitConfig("normal", scale),
            TrainingConfig(400, rate),
        )


def _vanishing(half: Half) -> Iterator[Choice]:
    for depth, data, (activation, init) in product(
        half.depths,
        (*half.plane, half.regression),
        (
            ("sigmoid", InitConfig("normal", 0.01)),
            ("sigmoid", InitConfig("normal", 0.2)),
            ("sigmoid", InitConfig("xavier", 1.0)),
            ("tanh", InitConfig("normal", 0.01)),
            ("tanh", InitConfig("uniform", 0.05)),
            ("relu", InitConfig("normal", 0.02)),
            ("gelu", InitConfig("normal", 0.03)),
        ),
    ):
        yield data, _deep(depth, half.widths[depth % 3], activation), init, TrainingConfig(400, 0.3)


def _exploding(half: Half) -> Iterator[Choice]:
    for depth, scale, data in product(half.depths[1:], (8.0, 12.0, 16.0), half.plane):
        for rate in (1e-5, 1e-3):
            yield data, _deep(depth, 50, "tanh"), InitConfig("xavier", scale), TrainingConfig(150, rate)
    for depth, activation, data in product(
        half.depths[1:], ("relu", "leaky_relu", "gelu", "identity"), (*half.plane, half.regression)
    ):
        yield data, _deep(depth, 16, activation), InitConfig("he", 3.0), TrainingConfig(150, 10.0 ** -(depth + 8))


def _linear(half: Half) -> Iterator[Choice]:
    for data, depth, width, rate in product(half.plane, (1, 2, 3, 4), half.widths, (0.05, 0.2)):
        init = InitConfig("xavier" if depth % 2 else "orthogonal", 1.0)
        yield data, _deep(depth, width, "identity"), init, TrainingConfig(1000, rate)
    for data, rate in product(half.plane, (0.1, 0.5)):
        yield data, ModelConfig(depth=0), InitConfig("normal", 0.01), TrainingConfig(1000, rate)


def _overshooting(half: Half) -> Iterator[Choice]:
    for activation, data, depth, width, rate in product(
        ("leaky_relu", "gelu", "relu", "tanh"), half.plane, (1, 2), half.widths, (2.0, 5.0, 12.0, 30.0)
    ):
        init = InitConfig("xavier" if activation == "tanh" else "he", 1.0)
        yield data, _deep(depth, 3 * width, activation), init, TrainingConfig(800, rate)


def _slow(half: Half) -> Iterator[Choice]:
    for activation, data, depth, width, rate, _ in product(
        ("tanh", "relu", "leaky_relu", "gelu"), half.plane, (1, 2), half.widths, (0.001, 0.002, 0.004), range(2)
    ):
        tanh = activation == "tanh"
        training = TrainingConfig(600 if tanh else 400, (5 if tanh else 1) * rate)
        yield data, _deep(depth, 2 * width, activation), InitConfig("xavier" if tanh else "he", 1.0), training


def _unscaled(half: Half) -> Iterator[Choice]:
    for activation, data, depth, width, rate in product(
        ("tanh", "sigmoid", "relu", "leaky_relu"), half.far, (1, 2), half.widths[1:], (0.03, 0.1)
    ):
        init = InitConfig("he" if "relu" in activation else "xavier", 2.0 if activation == "sigmoid" else 1.0)
        speed = 10 if activation == "sigmoid" else 3 if activation == "tanh" else 1
        yield data, _deep(depth, 2 * width, activation), init, TrainingConfig(3000, rate * speed)


def _plateau(half: Half) -> Iterator[Choice]:
    for activation, scale, data, depth, width in product(
        ("tanh", "relu", "leaky_relu", "gelu"), (1e-6, 1e-5, 1e-4), half.plane, (1, 2), half.widths[1:]
    ):
        yield data, _deep(depth, 2 * width, activation), InitConfig("normal", scale), TrainingConfig(800, 0.3)


def _healthy(half: Half) -> Iterator[Choice]:
    datasets = (*half.plane, half.regression, half.unbalanced, half.real[0])
    networks = (
        ("tanh", InitConfig("xavier", 1.0), 0.5),
        ("sigmoid", InitConfig("xavier", 2.0), 1.0),
        ("relu", InitConfig("he", 1.0), 0.1),
        ("leaky_relu", InitConfig("he", 1.0), 0.1),
        ("gelu", InitConfig("he", 1.0), 0.1),
    )
    for data, (activation, init, rate), depth, width in product(datasets, networks, (1, 2, 3), half.widths[1:]):
        speed = 0.2 if data == half.regression else 1.0
        training = TrainingConfig(600 if data in half.real else 3000, 2 * rate * speed)
        yield data, _deep(depth, 2 * width, activation), init, training
    for data, activation in product(half.plane, ("tanh", "sigmoid", "relu", "leaky_relu")):
        yield data, _deep(1, 20, activation), InitConfig("normal", 0.5), TrainingConfig(4000, 0.5, batch_size=100)


def _random(number: int = 400) -> Iterator[Choice]:
    """Draw trainings over all choices, scales and learning rates on log scales."""
    rng = np.random.default_rng(2026)
    datasets = sorted({*DEVELOPMENT.plane, *HELD_OUT.plane, "breast_cancer", "diabetes", "friedman", "thinned"})
    schemes = {
        "normal": (1e-3, 3.0),
        "uniform": (1e-2, 3.0),
        "xavier": (0.2, 4.0),
        "he": (0.2, 4.0),
        "constant": (0.1, 1.0),
    }
    for _ in range(number):
        scheme = str(rng.choice([*schemes, "orthogonal", "zeros"]))
        low, high = schemes.get(scheme, (1.0, 1.0))
        depth = int(rng.choice([1, 1, 1, 2, 2, 3, 5, 8, 12]))
        activation = str(
            rng.choice(
                ["tanh", "sigmoid", "relu", "leaky_relu", "gelu", "identity"], p=[0.22, 0.2, 0.22, 0.16, 0.14, 0.06]
            )
        )
        yield (
            str(rng.choice(datasets)),
            _deep(depth, int(rng.choice([2, 4, 8, 16, 32])), activation),
            InitConfig(scheme, float(np.exp(rng.uniform(np.log(low), np.log(high))))),
            TrainingConfig(
                int(rng.choice([200, 600, 1500])),
                float(np.exp(rng.uniform(np.log(1e-3), np.log(5.0)))),
                batch_size=(None, None, 50)[int(rng.integers(3))],
                arithmetic="exact" if scheme == "constant" else "blas",
            ),
        )


LABELS: dict[str, Callable[[Half], Iterator[Choice]]] = {
    "diverged": _diverged,
    "frozen": _frozen,
    "symmetric": _symmetric,
    "unscaled": _unscaled,
    "dead": _dead,
    "saturated": _saturated,
    "vanishing": _vanishing,
    "exploding": _exploding,
    "overshooting": _overshooting,
    "linear": _linear,
    "plateau": _plateau,
    "slow": _slow,
    "healthy": _healthy,
}
"""The candidates of each state, in the order of the verdicts."""
