"""The probes of each `diagnostics.preset`."""

from collections.abc import Iterator

from nnlab.diagnostics import activity, curvature, function, signal, steps, symmetry
from nnlab.diagnostics.probe import Measurement, Probe
from nnlab.network.training import Snapshot

__all__ = ["PRESETS", "measure"]

_STANDARD: tuple[Probe, ...] = (
    symmetry.distinct_units,
    symmetry.near_units,
    symmetry.deviation,
    symmetry.ranks,
    signal.backpropagated_signal,
    signal.gradients,
    signal.updates,
    activity.saturated_units,
    activity.dead_units,
    activity.negative_logits,
    activity.moments,
    function.affine_residual,
    function.majority,
    steps.efficiency,
    steps.rises,
    steps.distance,
    steps.scales,
)

PRESETS: dict[str, tuple[Probe, ...]] = {
    "none": (),
    "standard": _STANDARD,
    "full": (*_STANDARD, curvature.hessian, curvature.transverse, activity.histograms, activity.unit_rasters),
}
"""In ascending order of cost; `docs/benchmarks.md` says what they add to the training time."""


def measure(snapshot: Snapshot, preset: str) -> Iterator[Measurement]:
    """Yield the measurements of a preset's probes in a snapshot."""
    for probe in PRESETS[preset]:
        yield from probe(snapshot)
