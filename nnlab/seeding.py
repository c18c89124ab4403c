"""Random streams: every random draw of a run comes from a named stream of one seed.

The streams of a seed are independent of each other, so drawing more batches never changes the initial weights. Only
``nnlab.course`` uses NumPy's global random state, because the course that it reproduces does.
"""

import zlib

import numpy as np

__all__ = ["GENERATORS", "legacy_stream", "stream"]

GENERATORS = ("pcg64", "legacy")


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the stream `name` of `seed`."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))


def legacy_stream(seed: int) -> np.random.RandomState:
    """Return the stream that ``np.random.seed(seed)`` starts, without touching the global one."""
    return np.random.RandomState(seed)
