"""The interface of a probe. It only reads its snapshot, which holds a copy, so measuring never changes training."""

from collections.abc import Callable, Iterator

from nnlab.network.activations import Array
from nnlab.network.training import Snapshot

__all__ = ["Measurement", "Probe"]

Measurement = tuple[str, int, Array]
"""(quantity, layer, values). Layer 0 is the whole network. The values are (R,), one for each network of the stack, or a
profile (R, k), such as one value for each unit."""

Probe = Callable[[Snapshot], Iterator[Measurement]]
