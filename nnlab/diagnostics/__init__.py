"""What is measured in a snapshot. A probe yields `(quantity, layer, values)`: one value (R,) for each network of
the stack, or a profile (R, k), such as one value for each unit; layer 0 stands for the whole network."""

from collections.abc import Callable, Iterator

from nnlab.diagnostics import activity, curvature, function, signal, symmetry
from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["PRESETS", "Measurement", "Probe", "measure"]

Measurement = tuple[str, int, Array]
Probe = Callable[[Snapshot], Iterator[Measurement]]

_STANDARD: tuple[Probe, ...] = (
    symmetry.distinct_units,
    symmetry.near_units,
    symmetry.deviation,
    symmetry.ranks,
    signal.backpropagated,
    signal.gradients,
    signal.updates,
    activity.saturated_units,
    activity.dead_units,
    activity.negative_logits,
    activity.moments,
    function.affine_residual,
)

PRESETS: dict[str, tuple[Probe, ...]] = {
    "none": (),
    "standard": _STANDARD,
    "full": (*_STANDARD, curvature.hessian, curvature.transverse, activity.histograms, activity.unit_rasters),
}
"""The probes of each `diagnostics.preset`, by price: `make bench` prints what they add to the training time."""


def measure(snapshot: Snapshot, preset: str) -> Iterator[Measurement]:
    """Apply the probes of a preset. Watching never changes training: a snapshot holds a copy."""
    for probe in PRESETS[preset]:
        yield from probe(snapshot)
