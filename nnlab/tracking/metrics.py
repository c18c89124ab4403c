"""The metrics of a run that are logged to MLflow: fewer points than its history has."""

import math
from collections.abc import Iterable, Sequence

from nnlab.config import flatten
from nnlab.record.run import Run, metric_name

__all__ = ["final_points", "metric_points"]

_PERFORMANCE = ("cost/", "accuracy/", "r2/")
_FINAL = (
    *("learned/", "reference/", "accuracy/over_affine/", "r2/over_affine/"),
    *("symmetry/broken_at/", "activity/born_dead/", "activity/died_at/"),
)
"""The beginnings of metrics that belong to a run, not to a checkpoint."""
_THINNED_TO = 8
"""The number of checkpoints logged for a curve other than a cost or score."""


def metric_points(run: Run, swept: Iterable[str]) -> list[tuple[str, float, int]]:
    """Return the points (name, value, step) of all curves, final metrics and swept numbers; finite values only.

    A NaN can break MLflow's page of a run, and each point takes MLflow 0.1 ms. So costs and scores, which are compared
    between runs, are logged at every checkpoint, other quantities at eight, and a constant stretch only at its ends.
    The run folder, which is among the run's artifacts, has everything.
    """
    curves: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for iteration, layer, quantity, value in run.history.to_numpy().tolist():
        curves.setdefault((quantity, layer), []).append((iteration, value))
    points = [
        (metric_name(quantity, layer), value, iteration)
        for (quantity, layer), curve in curves.items()
        for iteration, value in _without_plateaus(curve if quantity.startswith(_PERFORMANCE) else _thinned(curve))
        if math.isfinite(value)
    ]
    values = flatten(run.config)
    # MLflow's params are text (`params.x < 0.1` is an error), so each swept number is logged as a metric as well.
    numbers = [key for key in swept if isinstance(values[key], int | float)]
    return points + final_points(run) + [(f"config/{key}", float(values[key]), 0) for key in numbers]


def final_points(run: Run) -> list[tuple[str, float, int]]:
    """Return the points (name, value, step) of metrics that belong to the run as a whole; finite values only."""
    return [(name, value, 0) for name, value in run.metrics.items() if name.startswith(_FINAL) and math.isfinite(value)]


def _thinned(curve: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Return evenly chosen points of a curve, with the first and the last."""
    places = {round(place * (len(curve) - 1) / (_THINNED_TO - 1)) for place in range(_THINNED_TO)}
    return [curve[place] for place in sorted(places)]


def _without_plateaus(curve: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return a curve without the points whose two neighbours have the same value: the line is the same."""
    return [
        point
        for place, point in enumerate(curve)
        if not 0 < place < len(curve) - 1 or not curve[place - 1][1] == point[1] == curve[place + 1][1]
    ]
