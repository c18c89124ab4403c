"""Views of MLflow's run list that show what was swept and how it went.

They are MLflow's own saved views, tags of the experiment that its menu Views lists: without one the list shows no param
and no metric, and only the first ten runs are drawn.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["link", "links", "same_view", "sweeps_view", "views", "views_beside"]

RUNS, SEEDS = "swept", "seeds"
TAG = "mlflow.sharedViewState."
METRICS = (
    *("accuracy/test", "accuracy/train", "r2/test", "r2/train", "cost/test", "cost/train"),
    *("signal/ratio", "symmetry/distinct_units/layer1"),
)
CURVES = {"cost/train": "log", "cost/test": "log", "accuracy/train": "linear", "accuracy/test": "linear"}
"""The charts whose upright axis MLflow would get wrong, or whose beginning, where most happens, it would squeeze."""


def views(swept: Iterable[str]) -> dict[str, str]:
    """Return the tags of an experiment that make its views: all runs, and settings averaged over seeds."""
    keys = sorted(swept, key=lambda key: key == "seed")
    state = _state(keys)
    made = {TAG + RUNS: _saved("What was swept", state)}
    settings = [key for key in keys if key != "seed"]
    if settings and "seed" in keys:
        groups = [{"mode": "param", "groupByData": key} for key in settings]
        grouped = {**state, "groupBy": {"groupByKeys": groups, "aggregateFunction": "average"}}
        made[TAG + SEEDS] = _saved("Averaged over seeds", grouped)
    return made


def views_beside(tags: Mapping[str, str], swept: Iterable[str] | None) -> dict[str, str]:
    """Return the views that an experiment with these tags is to have: of what was `swept`, None for what it has.

    A single run sweeps nothing; it must not take the columns of the sweep that it is recorded beside.
    """
    if swept is None and TAG + RUNS in tags:
        return {name: tag for name, tag in tags.items() if name in (TAG + RUNS, TAG + SEEDS)}
    return views(swept or ())


def same_view(one: str, other: str) -> bool:
    """Return whether two tags make the same view, whenever they were written."""
    return _without_times(one) == _without_times(other)


def sweeps_view() -> dict[str, str]:
    """Return the tag that makes the view of the experiment of sweeps: what was typed and how it ended."""
    columns = [f"params.`{name}`" for name in ("experiment", "command")]
    columns += [f"metrics.`{name}`" for name in ("runs", "done_before", "made", "failed", "seconds")]
    state = _listed(columns) | {"orderByKey": "attributes.start_time", "orderByAsc": False}
    return {TAG + RUNS: _saved("What was launched", state)}


def link(experiment_id: str, *, charts: bool = False, seeds: bool = False) -> str:
    """Return the path of a view: the list of all runs, or their charts, or with `seeds` the averages of settings."""
    mode = "&compareRunsMode=CHART" if charts else ""
    name = SEEDS if seeds else RUNS
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={name}&workflowType=machine_learning{mode}"


def links(experiment_id: str, made: Iterable[str]) -> dict[str, str]:
    """Return what a person wants to see after a sweep, with its path, given the tags that were made."""
    averaged = TAG + SEEDS in made
    curves = "curves, averaged over seeds" if averaged else "curves"
    return {"runs": link(experiment_id), curves: link(experiment_id, charts=True, seeds=averaged)}


def _saved(name: str, state: dict[str, Any]) -> str:
    now = int(1000 * time.time())
    return json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)})


def _without_times(tag: str) -> Any:
    try:
        return {name: value for name, value in json.loads(tag).items() if name in ("name", "state")}
    except (ValueError, AttributeError):  # somebody else's tag
        return tag


def _state(keys: Sequence[str]) -> dict[str, Any]:
    params = [f"params.`{key}`" for key in keys]
    metrics = [f"metrics.`{name}`" for name in METRICS]
    sections = dict.fromkeys(metric.split("/")[0] for metric in CURVES)
    return _listed(["tags.`verdict`", *params, *metrics]) | {
        "orderByKey": "metrics.`cost/test`",
        "orderByAsc": True,
        "isAccordionReordered": True,  # else MLflow sorts the sections by name: cost comes first
        "compareRunCharts": [_chart(metric, scale) for metric, scale in CURVES.items()],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": True}
            for name in sections
        ],
    }


def _listed(columns: Sequence[str]) -> dict[str, Any]:
    return {
        "selectedColumns": list(columns),
        "columnOrder": ["checkbox", "runName", *columns, "startTime"],
        "runsHiddenMode": "SHOW_ALL",
    }


def _chart(metric: str, scale: str) -> dict[str, Any]:
    section, name = metric.split("/")
    return {
        "uuid": metric,
        "type": "LINE",
        "runsCountToCompare": 10,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": True,
        "displayName": name,
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "lineSmoothness": 0,
        "xAxisKey": "step",
        "xAxisScaleType": "log",
        "scaleType": scale,
        "range": {},
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
