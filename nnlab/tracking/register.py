"""A run as a model that MLflow can serve: `mlflow models predict`, or `mlflow.pyfunc.load_model`."""

import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nnlab.record.run import Run
from nnlab.tracking.connection import import_mlflow

__all__ = ["save_model"]

NEEDED = ("numpy", "pandas", "pyarrow", "pyyaml", "scipy")
"""What nnlab wants installed to read a run and to predict."""
PACKAGE = Path(__file__).resolve().parents[1]


def save_model(run: Run, folder: Path, target: Path) -> None:
    """Write the network of a run, whose files are in `folder`, as a pyfunc model into `target`.

    The model brings nnlab's code and the run's files along. It takes examples as rows (m, n_x), in the units of the
    data set, and returns the m predictions.
    """
    mlflow = import_mlflow()
    real, n_x = np.dtype(np.float64), len(run.standardization["x_mean"])
    schema, tensor = mlflow.types.Schema, mlflow.types.TensorSpec
    signature = mlflow.models.ModelSignature(schema([tensor(real, (-1, n_x))]), schema([tensor(real, (-1,))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it wants type hints and an example, to guess the signature
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(Path(__file__).with_name("served_model.py")),
            artifacts={"run": str(folder)},
            signature=signature,
            pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
            code_paths=[str(PACKAGE)],
        )
