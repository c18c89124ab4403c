"""The measurements of the probes as tidy frames."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from nnlab.network.activations import Array

__all__ = ["History", "curves_of", "no_profiles"]


class History:
    """The measurements of a stack, collected at checkpoints and split by network."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int, str]] = []
        self._values: list[Array] = []
        self._profiles: list[tuple[int, int, str, Array]] = []

    def add(self, iteration: int, measurements: Iterable[tuple[str, int, Array]]) -> None:
        """Add the measurements of one iteration: (quantity, layer, values (R,) or a profile (R, k))."""
        for quantity, layer, values in measurements:
            if values.ndim == 2:
                self._profiles.append((iteration, layer, quantity, values))
            else:
                self._keys.append((iteration, layer, quantity))
                self._values.append(np.asarray(values, dtype=np.float64))

    def curves(self, run: int) -> tuple[list[int], dict[tuple[str, int], Array]]:
        """Return the checkpoints and one network's values at them, by (quantity, layer)."""
        curves: dict[tuple[str, int], list[float]] = {}
        for (_, layer, quantity), values in zip(self._keys, self._values, strict=True):
            curves.setdefault((quantity, layer), []).append(values[run])
        iterations = sorted({iteration for iteration, _, _ in self._keys})
        return iterations, {key: np.array(values) for key, values in curves.items()}

    def frames(self) -> list[pd.DataFrame]:
        """Return one tidy frame for each network: iteration, layer (0: the whole network), quantity, value."""
        iteration, layer, quantity = zip(*self._keys, strict=True)
        index = {
            "iteration": np.array(iteration, dtype=np.int64),
            "layer": np.array(layer, dtype=np.int16),
            "quantity": pd.Series(quantity, dtype="str"),
        }
        return [pd.DataFrame({**index, "value": values}) for values in np.stack(self._values, axis=1)]

    def profiles(self) -> list[pd.DataFrame]:
        """Return one frame for each network: iteration, layer, quantity, index (a unit or bin, from 0), value."""
        R = len(self._values[0])
        if not self._profiles:
            return [no_profiles()] * R
        iterations, layers, quantities, values = zip(*self._profiles, strict=True)
        lengths = [profile.shape[1] for profile in values]
        index = {
            "iteration": np.repeat(np.array(iterations, dtype=np.int64), lengths),
            "layer": np.repeat(np.array(layers, dtype=np.int16), lengths),
            "quantity": pd.Series(np.repeat(np.array(quantities, dtype=object), lengths), dtype="str"),
            "index": np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
        }
        return [pd.DataFrame({**index, "value": row}) for row in np.concatenate(values, axis=1)]


def curves_of(history: pd.DataFrame) -> tuple[list[int], dict[tuple[str, int], Array]]:
    """Return the checkpoints of one network's frame and its values at them, by (quantity, layer): `History.curves`."""
    ordered = history.sort_values("iteration", kind="stable")
    columns = (ordered[name].tolist() for name in ("quantity", "layer", "value"))
    curves: dict[tuple[str, int], list[float]] = {}
    for quantity, layer, value in zip(*columns, strict=True):
        curves.setdefault((quantity, layer), []).append(value)
    return ordered["iteration"].unique().tolist(), {key: np.array(values) for key, values in curves.items()}


def no_profiles() -> pd.DataFrame:
    """Return the empty frame of a run whose probes yielded no profile."""
    kinds = {"iteration": "int64", "layer": "int16", "quantity": "str", "index": "int32", "value": "float64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in kinds.items()})
