"""The result of one network."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nnlab.config import RunConfig, hidden_sizes
from nnlab.diagnostics.references import References
from nnlab.diagnostics.verdict import Verdict
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import predict

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
    standardization : x_mean, x_scale (n_x, 1), y_mean, y_scale (n_y, 1): the data were standardized with them
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
    standardization: dict[str, Array] = field(repr=False)
    verdict: Verdict
    references: References
    fingerprint: str
    facts: dict[str, Any] = field(repr=False)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The quantities at the last iteration, the references and the events, by metric name."""
        last = self.history[self.history["iteration"] == self.history["iteration"].max()]
        columns = (last[name].tolist() for name in ("quantity", "layer", "value"))
        final = {metric_name(quantity, layer): value for quantity, layer, value in zip(*columns, strict=True)}
        return {**final, **self._learned_metrics(), **self._reference_metrics(final), **self._event_metrics()}

    def _learned_metrics(self) -> dict[str, float]:
        if self.references.learnable is None:  # recorded before this was measured
            return {}
        return {
            "learned/train": self.verdict.learned,
            "learned/test": self.verdict.learned_test,
            "reference/ceiling": self.references.ceiling,
        }

    def _reference_metrics(self, final: dict[str, float]) -> dict[str, float]:
        """Return the reference scores, and the network's lead over the affine model."""
        score, references = COSTS[self.task].score_name, self.references
        return {
            "reference/nothing": references.nothing,
            "reference/prior": references.prior,
            "reference/affine": references.affine,
            **({} if math.isnan(references.separable) else {"reference/separable": references.separable}),
            f"reference/affine_{score}/train": references.score_train,
            f"reference/affine_{score}/test": references.score_test,
            f"{score}/over_affine/train": final[f"{score}/train"] - references.score_train,
            f"{score}/over_affine/test": final[f"{score}/test"] - references.score_test,
        }

    def _event_metrics(self) -> dict[str, float]:
        return {metric_name(event.name, event.layer): float(event.value) for event in self.verdict.events}

    def predict(self, X: Array) -> Array:
        """Return the predictions (1, m) for examples X (n_x, m), given in the units of the data set.

        These are class numbers for classification (0, 1, ... in the order of the data set's classes), and real numbers
        in the target's own unit for regression. Raises ValueError unless X has one row for each input of the network.
        """
        X = np.asarray(X, dtype=float)
        n_x = len(self.standardization["x_mean"])
        if X.ndim != 2 or len(X) != n_x:
            raise ValueError(f"X must have shape ({n_x}, m), examples as columns, got {X.shape}")
        standard = (X - self.standardization["x_mean"]) / self.standardization["x_scale"]
        parameters = Parameters.from_dict(self.parameters)
        activation, cost = ACTIVATIONS[self.config.model.activation], COSTS[self.task]
        Y = predict(parameters, standard.astype(parameters.flat.dtype), activation, cost)[0]
        if self.task == "regression":
            return Y * self.standardization["y_scale"] + self.standardization["y_mean"]
        return Y

    @property
    def sizes(self) -> tuple[int, ...]:
        """Layer sizes (n_x, n_1, ..., n_y)."""
        n_y = self.parameters[f"b{len(hidden_sizes(self.config.model)) + 1}"].shape[0]
        return (len(self.standardization["x_mean"]), *hidden_sizes(self.config.model), n_y)
