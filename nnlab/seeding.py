"""One seed, named streams: every random draw of a run comes from here.

The streams of one seed are independent of each other, so that drawing more batches never changes the initial
weights. Nothing in nnlab touches NumPy's global state, but for ``nnlab.course``, which reproduces a course that does.
"""

import zlib

import numpy as np

__all__ = ["GENERATORS", "legacy_stream", "stream"]

GENERATORS = ("pcg64", "legacy")


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the stream called `name` that belongs to `seed`."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))


def legacy_stream(seed: int) -> np.random.RandomState:
    """Return the stream that follows ``np.random.seed(seed)``, without touching the global one."""
    return np.random.RandomState(seed)
