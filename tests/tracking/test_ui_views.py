import json
from typing import Any

from nnlab.tracking.ui_views import link, sweeps_view, views


def state(tag: str) -> dict[str, Any]:
    """What MLflow's page makes of a view: the name in its menu is required."""
    saved = json.loads(tag)
    assert saved["name"]
    assert isinstance(saved["createdAt"], int)
    found = json.loads(saved["state"])
    assert isinstance(found, dict)
    return found


def test_a_view_shows_what_was_swept_and_how_it_went() -> None:
    made = views(["seed", "init.scale"])
    assert made.keys() == {"mlflow.sharedViewState.swept", "mlflow.sharedViewState.seeds"}
    swept = state(made["mlflow.sharedViewState.swept"])
    assert swept["selectedColumns"][:3] == ["tags.`verdict`", "params.`init.scale`", "params.`seed`"]
    assert "groupBy" not in swept
    assert {chart["metricKey"]: chart["scaleType"] for chart in swept["compareRunCharts"]}["cost/train"] == "log"
    averaged = state(made["mlflow.sharedViewState.seeds"])
    assert averaged["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "init.scale"}]


def test_without_seeds_there_is_nothing_to_average() -> None:
    assert views(["init.scale"]).keys() == {"mlflow.sharedViewState.swept"}
    assert views(["seed"]).keys() == {"mlflow.sharedViewState.swept"}


def test_the_list_of_sweeps_shows_what_was_typed_and_how_it_ended() -> None:
    columns = state(sweeps_view()["mlflow.sharedViewState.swept"])["selectedColumns"]
    assert {"params.`command`", "metrics.`made`", "metrics.`failed`"} <= set(columns)


def test_links_lead_to_views() -> None:
    assert "viewStateShareKey=swept&" in link("7")
    assert link("7").startswith("/#/experiments/7/runs?")
    assert link("7", charts=True, seeds=True).endswith("compareRunsMode=CHART")
