"""The code of a registered model: MLflow runs this file to save and to load it.

The network is read from its run folder, so there is no pickle.
"""

from pathlib import Path
from typing import Any

from nnlab.record.read_run import read_run
from nnlab.tracking.connection import import_mlflow

__all__: list[str] = []

mlflow: Any = import_mlflow()


class Network:
    """Predicts from rows as they come from the data set (`Run.predict`)."""

    def load_context(self, context: Any) -> None:
        self.run = read_run(Path(context.artifacts["run"]))

    # Without type hints, since MLflow would take them for the model's schema, which has a signature.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        return self.run.predict(model_input)


# Separate from Network: MLflow warns, in the middle of a progress bar, if the class itself defines `predict` without
# type hints.
class ServedNetwork(Network, mlflow.pyfunc.PythonModel):
    """Network as MLflow's base class requires."""


mlflow.models.set_model(ServedNetwork())
