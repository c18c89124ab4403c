"""Nine known sets: nnlab beside scikit-learn's MLP of the same size, on the same split."""

import math
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import numpy as np

import nnlab
from benchmarks.own_data.sources import Source
from nnlab.config import ConfigError, DataConfig
from nnlab.datasets import Dataset

__all__ = ["ALLOWANCE", "SEEDS", "SETS", "Compared", "compare", "known_sets"]

ALLOWANCE = 0.03
SEEDS = tuple(range(10))
ITERATIONS = 2_000
UNITS = 8
STEP = 0.1


class KnownSet(NamedTuple):
    """A known data set: names of files that hold it, of which the first is taken; its target; and data.header."""

    name: str
    files: tuple[str, ...]
    target: str
    header: bool | None = None


SETS = (
    KnownSet("iris", ("datasets/iris",), "Species"),
    KnownSet("penguins", ("palmerpenguins/penguins",), "species"),
    KnownSet("titanic", ("vcdExtra/Titanicp",), "survived"),
    KnownSet("pima", ("MASS/Pima.te",), "type"),
    KnownSet("wine", ("scikit-learn's wine",), "class"),
    KnownSet("sonar", ("sonar",), "-1", header=False),
    KnownSet("vowel", ("vowel",), "-1", header=False),
    KnownSet("boston", ("MASS/Boston",), "medv"),
    KnownSet("airquality", ("datasets/airquality",), "Ozone"),
)
"""sonar and vowel are in neither package: `--known` names a folder with UCI's files, which have no header."""


class Compared(NamedTuple):
    """Test accuracy or R^2 of each seed: nnlab's, scikit-learn's with its defaults and with nnlab's recipe.

    They are empty if the file is in neither package, or if nnlab refuses it. `affine` is the score of a model without a
    hidden layer.
    """

    name: str
    source: str
    score: str
    ours: list[float]
    defaults: list[float]
    recipe: list[float]
    affine: float
    refusal: str = ""

    def lag(self, theirs: Sequence[float]) -> float | None:
        """Return the lag of nnlab's mean over the seeds: None without a file, infinite if nnlab refuses it."""
        if self.refusal:
            return math.inf
        return mean(theirs) - mean(self.ours) if self.ours else None


def known_sets(sources: Sequence[Source], folder: Path) -> dict[str, Source | None]:
    """Return the file of each set; wine is written from scikit-learn, with the labels 1, 2 and 3."""
    by_name = {source.name: source for source in sources} | {"scikit-learn's wine": _wine(folder)}
    return {one.name: next((by_name[file] for file in one.files if file in by_name), None) for one in SETS}


def _wine(folder: Path) -> Source:
    from sklearn.datasets import load_wine

    bunch = load_wine(as_frame=True)
    path = folder / "wine.csv"
    folder.mkdir(parents=True, exist_ok=True)
    bunch.data.assign(**{"class": bunch.target + 1}).to_csv(path, index=False)
    return Source("scikit-learn's wine", path)


def compare(one: KnownSet, source: Source | None, iterations: int = ITERATIONS) -> Compared:
    """Train both on the split of data.seed, with each seed."""
    if source is None:
        return Compared(one.name, "in neither package", "-", [], [], [], float("nan"))
    data = DataConfig("file", path=str(source.path), target=one.target, missing="impute", header=one.header)
    try:
        loaded = nnlab.load_dataset(data)
    except ConfigError as error:
        return Compared(
            one.name, source.name, "-", [], [], [], float("nan"), str(error).replace(str(source.path), source.path.name)
        )
    with tempfile.TemporaryDirectory() as folder:
        runs = nnlab.sweep([_config(data, seed, iterations, folder) for seed in SEEDS], n_jobs=1)
    score = "r2" if loaded.task == "regression" else "accuracy"
    ours = [run.metrics[f"{score}/test"] for run in runs]
    defaults = [_sklearn(loaded, seed, iterations) for seed in SEEDS]
    recipe = [_sklearn(loaded, seed, iterations, **_recipe(loaded, iterations)) for seed in SEEDS]
    affine = runs[0].metrics[f"reference/affine_{score}/test"]
    return Compared(one.name, source.name, score, ours, defaults, recipe, affine)


def _config(data: DataConfig, seed: int, iterations: int, folder: str) -> nnlab.RunConfig:
    return nnlab.RunConfig(
        seed=seed,
        data=data,
        model=nnlab.ModelConfig(hidden_size=UNITS, activation="tanh"),
        init=nnlab.InitConfig("xavier", 1.0),
        training=nnlab.TrainingConfig(iterations, STEP),
        tracking=nnlab.TrackingConfig(enabled=False, report=False),
        results_dir=folder,
    )


def _recipe(loaded: Dataset, iterations: int) -> dict[str, Any]:
    """Return the parameters with which scikit-learn trains as nnlab does: plain gradient descent on all examples.

    Its squared error is half of nnlab's, so it takes twice the step.
    """
    return {
        "solver": "sgd",
        "learning_rate_init": 2 * STEP if loaded.task == "regression" else STEP,
        "momentum": 0.0,
        "alpha": 0.0,
        "batch_size": loaded.X.shape[1],
        "n_iter_no_change": iterations + 1,
    }


def _sklearn(loaded: Dataset, seed: int, iterations: int, **parameters: Any) -> float:
    """Return the test score of scikit-learn's MLP of the same size, by default with Adam."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if loaded.task == "regression" else MLPClassifier
    model = kind(hidden_layer_sizes=(UNITS,), activation="tanh", max_iter=iterations, random_state=seed, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(loaded.X.T, _labels(loaded.Y, loaded.task))
    return float(model.score(loaded.X_test.T, _labels(loaded.Y_test, loaded.task)))


def _labels(Y: Any, task: str) -> Any:
    """Return Y (n_y, m) as labels (m,)."""
    return np.argmax(Y, axis=0) if task == "multiclass" else Y[0]
