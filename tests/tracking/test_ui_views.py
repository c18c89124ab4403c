"""Saved views of MLflow's run list, as tags of an experiment, and the links to them."""

import json
from typing import Any

from nnlab.tracking.ui_views import link, merged_views, sweeps_view, swept_views


def state(tag: str) -> dict[str, Any]:
    """Return the state that MLflow's page reads from a view, which must have a name for its menu."""
    saved = json.loads(tag)
    assert saved["name"]
    assert isinstance(saved["createdAt"], int)
    restored = json.loads(saved["state"])
    assert isinstance(restored, dict)
    return restored


def test_a_view_shows_what_was_swept_and_how_it_went() -> None:
    views = swept_views(["seed", "init.scale"])
    assert views.keys() == {"mlflow.sharedViewState.swept", "mlflow.sharedViewState.seeds"}
    swept = state(views["mlflow.sharedViewState.swept"])
    assert swept["selectedColumns"][:5] == [
        "tags.`outcome`",
        "tags.`verdict`",
        "tags.`sweep_cause`",
        "params.`init.scale`",
        "params.`seed`",
    ]
    assert "groupBy" not in swept
    assert {chart["metricKey"]: chart["scaleType"] for chart in swept["compareRunCharts"]}["cost/train"] == "log"
    averaged = state(views["mlflow.sharedViewState.seeds"])
    assert averaged["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "init.scale"}]


def test_nothing_is_averaged_unless_seeds_and_something_else_were_swept() -> None:
    assert swept_views(["init.scale"]).keys() == {"mlflow.sharedViewState.swept"}
    assert swept_views(["seed"]).keys() == {"mlflow.sharedViewState.swept"}


def test_a_view_without_test_part_gets_its_columns_with_the_first_run_that_has_one() -> None:
    without = swept_views(["seed", "init.scale"], has_test_part=False)
    assert "/test" not in "".join(without.values())
    assert state(without["mlflow.sharedViewState.swept"])["orderByKey"] == "metrics.`cost/train`"
    assert merged_views(without, None, has_test_part=False) == without
    added, expected = merged_views(without, None), swept_views(["seed", "init.scale"])
    assert {name: state(tag) for name, tag in added.items()} == {name: state(tag) for name, tag in expected.items()}
    assert merged_views(expected, None, has_test_part=False) == expected


def test_the_view_of_sweeps_shows_what_was_typed_and_how_it_ended() -> None:
    columns = state(sweeps_view()["mlflow.sharedViewState.swept"])["selectedColumns"]
    assert {"params.`command`", "metrics.`made`", "metrics.`failed`"} <= set(columns)


def test_links_open_views() -> None:
    assert "viewStateShareKey=swept&" in link("7")
    assert link("7").startswith("/#/experiments/7/runs?")
    assert link("7", charts=True, seeds=True).endswith("compareRunsMode=CHART")
