"""What the rules of the verdict see of one run, and what they say about it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.diagnostics.changes import Change, widths_of
from nnlab.diagnostics.outcome import LEARNED, learned_share
from nnlab.diagnostics.references import References
from nnlab.diagnostics.thresholds import OFF_CENTRE, THRESHOLDS
from nnlab.network.activations import Array

__all__ = ["Case", "Curves", "Objection"]

Curves = Mapping[tuple[str, int], Array]
"""(quantity, layer) -> one value for each checkpoint. All curves share checkpoints; layer 0 is the whole network."""


class Objection(NamedTuple):
    """What a rule objects to: the numbers that decided it, its cause, what to change first, and its source."""

    name: str
    evidence: str
    cause: str
    changes: tuple[Change, ...]
    source: str


@dataclass(frozen=True)
class Case:
    """What the rules use to judge one run.

    Attributes
    ----------
    iterations, curves : the checkpoints, and the measurements at them
    config : a plain mapping from keys to values, with every default written out
    references : the scores of the reference models
    learned : the share of what can be learned that was learned on the training data; NaN if it is not known
    """

    iterations: Sequence[int]
    curves: Curves
    config: Mapping[str, Any]
    references: References
    learned: float = math.nan

    @property
    def widths(self) -> list[int]:
        """The numbers of units of the hidden layers."""
        return widths_of(self.config)

    @property
    def can_bend(self) -> bool:
        """True unless the network is affine whatever its weights are."""
        return bool(self.widths) and self.config["model.activation"] != "identity"

    def layers(self, quantity: str) -> list[tuple[int, Array]]:
        """Return (layer, curve) for every layer with this quantity."""
        return [(layer, curve) for (name, layer), curve in self.curves.items() if name == quantity]

    def first(self, condition: NDArray[np.bool_]) -> int:
        """Return the first iteration from which a condition holds to the end."""
        lasting = np.logical_and.accumulate(condition[::-1])[::-1]
        return int(self.iterations[int(lasting.argmax())])

    def final(self, quantity: str) -> float:
        """Return the last value of a quantity of the whole network; NaN if it was not measured."""
        return float(self.curves[quantity, 0][-1]) if (quantity, 0) in self.curves else math.nan

    @property
    def cost(self) -> Array:
        return self.curves["cost/train", 0]

    @property
    def goal(self) -> float:
        """The cost below which a run has learned more than any affine model.

        On separable classes the affine cost tends to 0 as the weights grow, and no run can be below it. There, and
        where an affine model fits nearly as well, the goal is a share of the prior's cost.
        """
        return max(self.references.affine, THRESHOLDS["healthy: share of the prior's cost"] * self.references.prior)

    @property
    def misses_goal(self) -> bool:
        """True if the network has not learned; if that is not known, if its final cost is not below the goal."""
        return not (self.cost[-1] < self.goal if math.isnan(self.learned) else self.learned >= LEARNED)

    @property
    def wants_more_than_a_line(self) -> bool:
        """True if the best affine model does not learn what there is to learn either."""
        ceiling = self.references.learnable
        if ceiling is None or math.isnan(self.references.ceiling_affine):
            return True
        return not learned_share(self.references.ceiling_affine, ceiling) >= LEARNED

    @cached_property
    def efficiency(self) -> float:
        """The median of `steps/efficiency` over the last decade of the iterations; NaN if it was not measurable."""
        return self._late("steps/efficiency")

    def _late(self, quantity: str) -> float:
        curve = self.curves.get((quantity, 0))
        if curve is None:
            return math.nan
        late = curve[np.asarray(self.iterations) >= self.iterations[-1] / 10]
        late = late[~np.isnan(late)]
        return float(np.median(late)) if len(late) else math.nan

    @property
    def rises(self) -> float:
        """The share of the last checkpoints at which the cost was higher than at the one before."""
        return self.final("steps/rises")

    @cached_property
    def distances(self) -> list[float]:
        """How far each layer has moved, as a share of its initial size; empty if it was not measured."""
        return [float(curve[-1]) for _, curve in sorted(self.layers("steps/distance"), key=lambda pair: pair[0])]

    @property
    def input_scale(self) -> float:
        return self.final("data/input_scale")

    @property
    def target_scale(self) -> float:
        return self.final("data/target_scale")

    @property
    def is_unscaled(self) -> bool:
        """True if the inputs or targets are far from scale 1 and `data.standardize` would change that."""
        if self.config["data.standardize"] or self.is_motionless:
            return False
        name = "a little" if self.efficiency < THRESHOLDS["unscaled: efficiency"] else "far"
        limit = THRESHOLDS[f"unscaled: {name} from scale 1"]
        target = self.target_scale
        return self.input_scale > limit or target > limit or target < 1 / limit

    @property
    def is_off_centre(self) -> bool:
        """True if a feature is far from mean 0, compared with how much it varies."""
        far = self.final("data/input_offset") > OFF_CENTRE
        return far and not self.config["data.standardize"]

    @property
    def is_motionless(self) -> bool:
        """True if no layer has moved by as much as a thousandth of its initial size."""
        return bool(self.distances) and max(self.distances) < THRESHOLDS["plateau: distance of every layer"]

    @cached_property
    def decline(self) -> float:
        """The share of the cost that was lost in the second half of the iterations."""
        half = int(np.searchsorted(self.iterations, self.iterations[-1] / 2))
        before, after = float(self.cost[half]), float(self.cost[-1])
        return 1 - after / before if before > 0 and half < len(self.cost) - 1 else 0.0
