"""The code of the models that MLflow serves.

MLflow runs this file to save and to load a model; the network is read from its run folder, so there is no pickle.
"""

from pathlib import Path
from typing import Any

import numpy as np

from nnlab.record.run_folders import read_run
from nnlab.tracking.connection import import_mlflow

__all__: list[str] = []

mlflow: Any = import_mlflow()


class Network:
    """Answers to examples, one in each row, with the prediction of the network (`Run.predict`)."""

    def load_context(self, context: Any) -> None:
        self.run = read_run(Path(context.artifacts["run"]))

    # No type hints: MLflow takes them for the schema of the model, which has a signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return self.run.predict(np.asarray(model_input, dtype=float).T)[0]


# Apart from Network, since MLflow asks a `predict` that stands here for type hints, in the middle of a progress bar.
class Served(Network, mlflow.pyfunc.PythonModel):
    """Network as MLflow wants it."""


mlflow.models.set_model(Served())
