"""What is measured in a snapshot. A probe yields `(quantity, layer, values)`: one value (R,) for each network of
the stack; layer 0 stands for the whole network."""

from collections.abc import Callable, Iterator

from nnlab.diagnostics import activity, function, signal, symmetry
from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["PRESETS", "Measurement", "Probe", "measure"]

Measurement = tuple[str, int, Array]
Probe = Callable[[Snapshot], Iterator[Measurement]]

PRESETS: dict[str, tuple[Probe, ...]] = {
    "none": (),
    "standard": (
        symmetry.distinct_units,
        symmetry.deviation,
        signal.backpropagated,
        signal.gradients,
        signal.updates,
        activity.saturated_units,
        activity.dead_units,
        activity.moments,
        function.affine_residual,
    ),
}
"""The probes of each `diagnostics.preset`."""


def measure(snapshot: Snapshot, preset: str) -> Iterator[Measurement]:
    """Apply the probes of a preset. Watching never changes training: a snapshot holds a copy."""
    for probe in PRESETS[preset]:
        yield from probe(snapshot)
