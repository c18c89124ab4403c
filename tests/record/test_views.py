import json

from nnlab.record.views import link, views


def test_a_view_shows_what_was_swept_and_how_it_went() -> None:
    made = views(["seed", "init.scale"])
    assert made.keys() == {"mlflow.sharedViewState.swept", "mlflow.sharedViewState.seeds"}
    state = json.loads(made["mlflow.sharedViewState.swept"])
    assert state["selectedColumns"][:3] == ["params.`init.scale`", "params.`seed`", "tags.`verdict`"]
    assert "groupBy" not in state
    assert {chart["metricKey"]: chart["scaleType"] for chart in state["compareRunCharts"]}["cost/train"] == "log"
    averaged = json.loads(made["mlflow.sharedViewState.seeds"])
    assert averaged["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "init.scale"}]


def test_without_seeds_there_is_nothing_to_average() -> None:
    assert views(["init.scale"]).keys() == {"mlflow.sharedViewState.swept"}
    assert views(["seed"]).keys() == {"mlflow.sharedViewState.swept"}


def test_links_lead_to_views() -> None:
    assert "viewStateShareKey=swept&" in link("7")
    assert link("7").startswith("/#/experiments/7/runs?")
    assert link("7", charts=True, seeds=True).endswith("compareRunsMode=CHART")
