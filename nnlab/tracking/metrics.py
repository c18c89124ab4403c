"""What of a run MLflow is sent to draw."""

import math
from collections.abc import Iterable, Sequence

from nnlab.config import flatten
from nnlab.record.run import Run, metric_name

__all__ = ["points"]

PERFORMANCE = ("cost/", "accuracy/", "r2/")
FINAL = (
    *("reference/", "accuracy/over_affine/", "r2/over_affine/"),
    *("symmetry/broken_at/", "activity/born_dead/", "activity/died_at/"),
)
"""Metrics that belong to a run, not to a checkpoint."""


def points(run: Run, swept: Iterable[str]) -> list[tuple[str, float, int]]:
    """All that MLflow shall draw: finite values only, a NaN can break the page of a run.

    A point costs MLflow 0.1 ms, so of all but costs and scores, which people lay over each other, eight checkpoints
    are sent, and of a curve that stands still only the ends. The run's folder, among its artifacts, has all.
    """
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for iteration, layer, quantity, value in run.history.to_numpy().tolist():
        curves.setdefault((quantity, layer), []).append((iteration, value))
    drawn = [
        (metric_name(quantity, layer), value, iteration)
        for (quantity, layer), curve in curves.items()
        for iteration, value in _ends_of_plateaus(curve if quantity.startswith(PERFORMANCE) else _thinned(curve, 8))
        if math.isfinite(value)
    ]
    final = {name: value for name, value in run.metrics.items() if name.startswith(FINAL) and math.isfinite(value)}
    drawn += [(name, value, 0) for name, value in final.items()]
    values = flatten(run.config)
    # Params are strings in MLflow ("params.x < 0.1" is an error), so each swept number is a metric as well.
    numbers = [key for key in swept if isinstance(values[key], int | float)]
    return drawn + [(f"config/{key}", float(values[key]), 0) for key in numbers]


def _thinned(curve: Sequence[tuple[int, float]], count: int) -> Sequence[tuple[int, float]]:
    """Return at most `count` points of a curve, evenly chosen, first and last among them."""
    places = {round(place * (len(curve) - 1) / (count - 1)) for place in range(count)}
    return [curve[place] for place in sorted(places)]


def _ends_of_plateaus(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return a curve without the points that lie between two of the same value: drawn, it is the same line."""
    return [
        point
        for place, point in enumerate(curve)
        if not 0 < place < len(curve) - 1 or not curve[place - 1][1] == point[1] == curve[place + 1][1]
    ]
