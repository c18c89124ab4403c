"""Views of MLflow's run list: what was swept and how it went.

They are MLflow's own saved views, which are tags of the experiment and appear in its menu Views. Without one, the list
shows no param and no metric, and only the first ten runs are drawn.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["link", "links", "merged_views", "sweeps_view", "swept_views"]

_TAG = "mlflow.sharedViewState."
_SWEPT, _SEEDS = "swept", "seeds"
_METRICS = (
    *("accuracy/test", "accuracy/train", "r2/test", "r2/train", "cost/test", "cost/train"),
    *("signal/ratio", "symmetry/distinct_units/layer1"),
)
_CURVES = {"cost/train": "log", "cost/test": "log", "accuracy/train": "linear", "accuracy/test": "linear"}
"""The charts, with the scale of the vertical axis. The horizontal one is logarithmic: most happens at the beginning."""


# ---- the tags of an experiment


def swept_views(swept: Iterable[str], *, has_test_part: bool = True) -> dict[str, str]:
    """Return the views, as tags of the experiment: all runs, and settings averaged over seeds if seeds were swept.

    Without a test part no column or chart is of test data, and runs are in the order of their cost in training.
    """
    keys = sorted(swept, key=lambda key: key == "seed")
    state = _runs_state(keys, has_test_part)
    views = {_TAG + _SWEPT: _tag_value("What was swept", state)}
    settings = [key for key in keys if key != "seed"]
    if settings and "seed" in keys:
        groups = [{"mode": "param", "groupByData": key} for key in settings]
        grouped = {**state, "groupBy": {"groupByKeys": groups, "aggregateFunction": "average"}}
        views[_TAG + _SEEDS] = _tag_value("Averaged over seeds", grouped)
    return views


def merged_views(tags: Mapping[str, str], swept: Iterable[str] | None, *, has_test_part: bool = True) -> dict[str, str]:
    """Return the views for an experiment that has these tags: of what was `swept`, or existing ones if that is None.

    A single run sweeps nothing, and must not take the columns away from a sweep in the same experiment. If it is the
    first with a test part, it adds columns of test data.
    """
    if swept is None and _TAG + _SWEPT in tags:
        if "/test`" in tags[_TAG + _SWEPT] or not has_test_part:
            return {name: tag for name, tag in tags.items() if name in (_TAG + _SWEPT, _TAG + _SEEDS)}
        columns = json.loads(json.loads(tags[_TAG + _SWEPT])["state"])["selectedColumns"]
        swept = [column[len("params.`") : -1] for column in columns if column.startswith("params.")]
    return swept_views(swept or (), has_test_part=has_test_part)


def sweeps_view() -> dict[str, str]:
    """Return the view of the experiment `sweeps`, as its tag: what was typed and how it ended."""
    columns = [f"params.`{name}`" for name in ("experiment", "command")]
    columns += [f"metrics.`{name}`" for name in ("runs", "done_before", "made", "failed", "seconds")]
    state = _list_state(columns) | {"orderByKey": "attributes.start_time", "orderByAsc": False}
    return {_TAG + _SWEPT: _tag_value("What was launched", state)}


# ---- links


def link(experiment_id: str, *, charts: bool = False, seeds: bool = False) -> str:
    """Return the path of a view in MLflow's UI: the list of all runs, or their charts; with `seeds` the averages."""
    mode = "&compareRunsMode=CHART" if charts else ""
    view = _SEEDS if seeds else _SWEPT
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={view}&workflowType=machine_learning{mode}"


def links(experiment_id: str, views: Iterable[str]) -> dict[str, str]:
    """Return the labels and paths of the views to open after a sweep, given the tags of the experiment's views."""
    averaged = _TAG + _SEEDS in views
    curves = "curves, averaged over seeds" if averaged else "curves"
    return {"runs": link(experiment_id), curves: link(experiment_id, charts=True, seeds=averaged)}


# ---- what MLflow's page keeps in a view


def _tag_value(name: str, state: dict[str, Any]) -> str:
    now = int(1000 * time.time())
    return json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)})


def _runs_state(keys: Sequence[str], has_test_part: bool) -> dict[str, Any]:
    params = [f"params.`{key}`" for key in keys]
    metrics = [f"metrics.`{name}`" for name in _METRICS if has_test_part or not name.endswith("/test")]
    curves = {name: scale for name, scale in _CURVES.items() if has_test_part or not name.endswith("/test")}
    sections = dict.fromkeys(metric.split("/")[0] for metric in curves)
    return _list_state(["tags.`outcome`", "tags.`verdict`", "tags.`sweep_cause`", *params, *metrics]) | {
        "orderByKey": f"metrics.`cost/{'test' if has_test_part else 'train'}`",
        "orderByAsc": True,
        "isAccordionReordered": True,  # otherwise MLflow sorts the sections by name; cost comes first
        "compareRunCharts": [_chart(metric, scale) for metric, scale in curves.items()],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": True, "isReordered": False, "deleted": False, "isGenerated": True}
            for name in sections
        ],
    }


def _list_state(columns: Sequence[str]) -> dict[str, Any]:
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
