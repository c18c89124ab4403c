"""The result of one network."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nnlab.config import RunConfig, hidden_sizes
from nnlab.diagnostics.references import References
from nnlab.diagnostics.verdict import Verdict
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import predict
from nnlab.preparation import Preparation

__all__ = ["Run", "metric_name"]


def metric_name(quantity: str, layer: int) -> str:
    """Return the name of a quantity as a metric: `signal/rms_dZ/layer1`, or `cost/train` for layer 0."""
    return f"{quantity}/layer{layer}" if layer else quantity


@dataclass(frozen=True)
class Run:
    """The result of one network.

    Attributes
    ----------
    config : the config with every default written out
    task : "binary", "multiclass" or "regression"; it follows from the labels
    history : tidy frame (iteration, layer, quantity, value)
    profiles : the same for quantities with one value for each unit or bin (iteration, layer, quantity, index, value);
        empty unless diagnostics.preset is full
    parameters : the final weights and biases by name: W1 (n_1, n_x), b1 (n_1, 1), W2, ...
    preparation : how the rows of the data set became inputs: columns, imputed values, scaling, class labels
    verdict : why the network learned or not: .name (the headline), .all, .text, .events
    references : the scores of models without a hidden layer on the same data
    fingerprint : equal for two runs if and only if they compute the same
    facts : about the training: machine, versions, seconds, stack size
    """

    config: RunConfig
    task: str
    history: pd.DataFrame = field(repr=False)
    profiles: pd.DataFrame = field(repr=False)
    parameters: dict[str, Array] = field(repr=False)
    preparation: Preparation = field(repr=False)
    verdict: Verdict
    references: References
    fingerprint: str
    facts: dict[str, Any] = field(repr=False)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The quantities at the last iteration, the references and the events, by metric name.

        Runs without a test part have no metric of test data.
        """
        last = self.history[self.history["iteration"] == self.history["iteration"].max()]
        columns = (last[name].tolist() for name in ("quantity", "layer", "value"))
        final = {metric_name(quantity, layer): value for quantity, layer, value in zip(*columns, strict=True)}
        return {**final, **self._learned_metrics(final), **self._reference_metrics(final), **self._event_metrics()}

    def _learned_metrics(self, final: dict[str, float]) -> dict[str, float]:
        if self.references.learnable is None:  # recorded before this was measured
            return {}
        test = {"learned/test": self.verdict.learned_test} if "cost/test" in final else {}
        return {"learned/train": self.verdict.learned, **test, "reference/ceiling": self.references.ceiling}

    def _reference_metrics(self, final: dict[str, float]) -> dict[str, float]:
        """Return the reference scores, and the network's lead over the affine model."""
        score, references = COSTS[self.task].score_name, self.references
        affine = {"train": references.score_train, "test": references.score_test}
        parts = [part for part in affine if f"cost/{part}" in final]
        return {
            "reference/nothing": references.nothing,
            "reference/prior": references.prior,
            "reference/affine": references.affine,
            **({} if math.isnan(references.separable) else {"reference/separable": references.separable}),
            **{f"reference/affine_{score}/{part}": affine[part] for part in parts},
            **{f"{score}/over_affine/{part}": final[f"{score}/{part}"] - affine[part] for part in parts},
        }

    def _event_metrics(self) -> dict[str, float]:
        return {metric_name(event.name, event.layer): float(event.value) for event in self.verdict.events}

    def predict(self, X: "Array | pd.DataFrame | Sequence[Mapping[str, Any]]") -> NDArray[Any]:
        """Return the predictions for examples, given in the units of the data set.

        - A data frame, or a list of mappings such as `csv.DictReader` yields: rows as they come from the file, whose
          other columns are not read. Missing values are imputed if the run imputed them (data.missing). Returns (m,):
          the labels of the file, or real numbers in the target's own unit.
        - An array X (n_x, m): the inputs of examples as columns, texts as 0 and 1 (`preparation.features`). Returns
          (1, m): class numbers (0, 1, ... in the order of the data set's classes), or real numbers in the target's own
          unit.

        Raises ValueError for columns or rows that are missing, and for values that are missing, infinite or unknown.
        """
        if isinstance(X, pd.DataFrame) or _are_mappings(X):
            return self.preparation.answers(self._outputs(self.preparation.read(X)))
        values: NDArray[np.float64] = np.asarray(X, np.float64)
        n_x = len(self.preparation.x_mean)
        if values.ndim != 2 or len(values) != n_x:
            raise ValueError(f"X must have shape ({n_x}, m), examples as columns, got {values.shape}")
        if not np.isfinite(values).all():
            row, example = (int(place[0]) for place in np.nonzero(~np.isfinite(values)))
            raise ValueError(
                f"X must hold finite numbers, got {values[row, example]} for input {row} of example {example}"
            )
        Y = self._outputs(values)
        if self.task != "regression":
            return Y
        return Y * self.preparation.y_scale + self.preparation.y_mean

    def _outputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the network's predictions (1, m) for inputs X (n_x, m): class numbers, or scaled real numbers."""
        parameters = Parameters.from_dict(self.parameters)
        activation, cost = ACTIVATIONS[self.config.model.activation], COSTS[self.task]
        return predict(parameters, self.preparation.scaled(X).astype(parameters.flat.dtype), activation, cost)[0]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer sizes (n_x, n_1, ..., n_y)."""
        n_y = self.parameters[f"b{len(hidden_sizes(self.config.model)) + 1}"].shape[0]
        return (len(self.preparation.x_mean), *hidden_sizes(self.config.model), n_y)


def _are_mappings(rows: object) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    return isinstance(rows, Sequence) and len(rows) > 0 and all(isinstance(row, Mapping) for row in rows)
