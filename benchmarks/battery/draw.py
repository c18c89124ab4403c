"""Random trainings on data sets, depths and seeds that nothing was tuned on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nnlab import DataConfig, DiagnosticsConfig, InitConfig, ModelConfig, RunConfig, TrainingConfig

__all__ = ["DATA", "draw", "write_files"]

Table = tuple[NDArray[np.floating], NDArray[np.generic]]

FIRST_SEED = 10_000
FIRST_DATA_SEED, DATA_SEEDS = 11, 4
DEPTHS = {1: 0.34, 2: 0.20, 3: 0.16, 5: 0.12, 7: 0.10, 9: 0.08}
ACTIVATIONS = {"tanh": 0.22, "sigmoid": 0.18, "relu": 0.24, "leaky_relu": 0.14, "gelu": 0.14, "identity": 0.08}
SCHEMES = {
    "normal": (0.30, 0.01, 3.0),
    "uniform": (0.16, 0.01, 3.0),
    "xavier": (0.18, 0.3, 3.0),
    "he": (0.18, 0.3, 3.0),
    "orthogonal": (0.10, 0.3, 3.0),
    "constant": (0.05, 0.1, 1.0),
    "zeros": (0.03, 1.0, 1.0),
}
"""The share of each scheme, and the range of its scale."""
AS_PUBLISHED = 0.6
"""How often xavier, he and orthogonal have scale 1."""
RAW = 0.1
"""How often inputs and targets are left in their own units."""


def _bundled(name: str) -> Callable[[], Table]:
    def load() -> Table:
        import sklearn.datasets

        return getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)

    return load


def _informative() -> Table:
    from sklearn.datasets import make_classification

    return make_classification(
        500, 8, n_informative=5, n_redundant=1, n_classes=3, n_clusters_per_class=2, class_sep=1.5, random_state=20
    )


def _rare() -> Table:
    from sklearn.datasets import make_classification

    return make_classification(
        600, 6, n_informative=4, n_redundant=0, weights=[0.88], class_sep=1.6, flip_y=0.0, random_state=21
    )


def _checkerboard() -> Table:
    """Return points of a board of 3 x 3 cells, and the colours of their cells."""
    X = np.random.default_rng(22).uniform(-1.5, 1.5, (500, 2))
    return X, np.floor(X + 1.5).sum(axis=1).astype(int) % 2


def _friedman2() -> Table:
    from sklearn.datasets import make_friedman2

    return make_friedman2(400, noise=30.0, random_state=23)


def _friedman3() -> Table:
    from sklearn.datasets import make_friedman3

    return make_friedman3(400, noise=0.1, random_state=24)


def _line() -> Table:
    """Return a regression whose truth is a line."""
    rng = np.random.default_rng(25)
    X = rng.standard_normal((300, 3))
    return X, X @ [2.0, -1.0, 0.5] + 0.5 * rng.standard_normal(300)


FILES: dict[str, Callable[[], Table]] = {
    "wine": _bundled("wine"),
    "iris": _bundled("iris"),
    "informative": _informative,
    "checkerboard": _checkerboard,
    "friedman2": _friedman2,
    "friedman3": _friedman3,
    "line": _line,
    "rare": _rare,
}
"""The data sets that are written as CSV files."""

DATA = {
    "circles": 0.12,
    "spiral": 0.10,
    "quantiles": 0.09,
    "breast_cancer": 0.07,
    "diabetes": 0.06,
    "wine": 0.07,
    "iris": 0.07,
    "informative": 0.10,
    "checkerboard": 0.11,
    "friedman2": 0.06,
    "friedman3": 0.05,
    "line": 0.04,
    "rare": 0.06,
}
"""The share of each data set."""


def write_files(folder: Path) -> dict[str, Path]:
    """Write the data sets that are not part of nnlab as CSV files; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, load in FILES.items():
        X, y = load()
        header = ",".join([*(f"x{number}" for number in range(1, X.shape[1] + 1)), "y"])
        classes = np.issubdtype(y.dtype, np.integer)
        table, formats = np.column_stack([X, y]), ["%.6f"] * X.shape[1] + ["class %d" if classes else "%.6f"]
        np.savetxt(folder / f"{name}.csv", table, formats, ",", header=header, comments="")
    return {name: folder / f"{name}.csv" for name in FILES}


def draw(number: int, seed: int, files: dict[str, Path]) -> Iterator[RunConfig]:
    """Yield random trainings; scales, steps, widths and iterations are uniform on a log axis."""
    rng = np.random.default_rng(seed)

    def pick(shares: dict[str, float]) -> str:
        return str(rng.choice(list(shares), p=list(shares.values())))

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    for _ in range(number):
        data, activation = pick(DATA), pick(ACTIVATIONS)
        scheme = pick({name: share for name, (share, _, _) in SCHEMES.items()})
        depth = int(rng.choice(list(DEPTHS), p=list(DEPTHS.values())))
        width, scale = round(between(2, 64)), between(*SCHEMES[scheme][1:])
        published = scheme in ("xavier", "he", "orthogonal") and rng.random() < AS_PUBLISHED
        iterations, rate = round(between(200, 5000)), between(0.001, 3)
        batch_size = (None, None, None, 32, 32, 1)[int(rng.integers(6))]
        standardize = False if rng.random() < RAW else None
        read = {"path": str(files[data]), "target": "y"} if data in files else {}
        yield RunConfig(
            seed=FIRST_SEED + int(rng.integers(10_000)),
            data=DataConfig(
                "file" if read else data,
                seed=FIRST_DATA_SEED + int(rng.integers(DATA_SEEDS)),
                standardize=standardize,
                **read,  # type: ignore[arg-type]
            ),
            model=ModelConfig(hidden_size=width, depth=depth, activation=activation),
            init=InitConfig(scheme, 1.0 if published else float(f"{scale:.3g}")),
            training=TrainingConfig(
                iterations,
                float(f"{rate:.3g}"),
                batch_size=batch_size,
                arithmetic="exact" if scheme == "constant" else "blas",
            ),
            diagnostics=DiagnosticsConfig("standard"),
        )
