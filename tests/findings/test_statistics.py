"""Statistics over seeds, against scipy, closed forms and simulated truths."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from simulated import coverage, distributions

from nnlab.findings.statistics import (
    STATISTICS,
    IncompleteError,
    aggregate,
    compare,
    interval,
    performance_profile,
    share_interval,
    varied,
)


def frame(costs: dict[tuple[str, float], list[float]]) -> pd.DataFrame:
    """Return runs of two swept keys with a cost for each seed."""
    rows = [
        {"seed": seed, "model.activation": activation, "init.scale": scale, "cost/test": cost, "task": "binary"}
        for (activation, scale), values in costs.items()
        for seed, cost in enumerate(values)
    ]
    return pd.DataFrame(rows)


TWO = {
    ("tanh", 0.01): [0.5, 0.6, 0.4, 0.55, 0.45, 0.7],
    ("relu", 0.01): [0.4, 0.5, 0.3, 0.45, 0.35, 0.6],
}


@pytest.mark.parametrize("strata", [(10,), (20,), (5, 5, 5, 5)], ids=str)
@pytest.mark.parametrize("statistic", ["iqm", "median"])
@pytest.mark.parametrize("name", ["normal", "lognormal"])
def test_intervals_contain_the_truth_as_often_as_they_say(name: str, statistic: str, strata: tuple[int, ...]) -> None:
    assert 0.93 <= coverage(distributions()[name], statistic, strata) <= 0.97


def test_five_runs_cannot_do_better_than_their_range() -> None:
    """All five are on one side of the median in 1 of 16 cases, and no interval within the data has the truth then."""
    assert 0.91 <= coverage(distributions()["normal"], "median", (5,)) <= 1 - 2.0**-4 + 0.01


@pytest.mark.parametrize(
    ("statistic", "reference"),
    [("median", np.median), ("mean", np.mean), ("iqm", lambda values: stats.trim_mean(values, 0.25))],
)
@pytest.mark.parametrize("size", [1, 2, 4, 5, 11])
def test_estimates_are_those_of_scipy(statistic: str, reference: object, size: int) -> None:
    values = np.random.default_rng(size).lognormal(size=size)
    assert callable(reference)
    np.testing.assert_allclose(interval([values], statistic).estimate, reference(values), rtol=1e-14)


def test_the_ends_are_those_of_scipys_bootstrap_at_the_raised_level() -> None:
    values = np.random.default_rng(3).normal(size=12)
    found = interval([values], "mean", rng=np.random.default_rng(5))
    wide = np.sqrt(12 / 11) * stats.t.isf(0.025, 11)
    reference = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=2000,
        confidence_level=1 - 2 * stats.norm.sf(wide),
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    np.testing.assert_allclose((found.low, found.high), reference, rtol=1e-12)


@pytest.mark.parametrize("method", ["percentile", "bca"])
@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e300])
def test_the_unit_of_a_metric_does_not_matter(method: str, factor: float) -> None:
    values = np.random.default_rng(0).normal(size=9)
    plain, scaled = (interval([values * by], method=method) for by in (1.0, factor))
    np.testing.assert_allclose(np.array(scaled), np.array(plain) * factor, rtol=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_diverged_runs_are_counted_not_left_out(statistic: str) -> None:
    few = interval([[0.1, 0.2, 0.3, 0.25, 0.15, 0.2, 0.22, np.inf]], statistic)
    most = interval([[0.1, np.inf, np.inf, np.inf, np.inf]], statistic)
    assert most.estimate == np.inf
    assert few.high == np.inf or statistic != "mean"
    assert np.isfinite(few.estimate) == (statistic != "mean")
    assert np.isnan(np.array(interval([[np.nan, 1.0, 2.0]], statistic))).all()
    assert np.isnan(np.array(interval([[np.inf, -np.inf]], statistic))).all()


def test_one_run_says_nothing_about_spread() -> None:
    estimate, low, high = interval([[3.0]])
    assert estimate == 3
    assert np.isnan(low)
    assert np.isnan(high)


def test_wrong_names_and_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="statistic must be one of median, iqm, mean, got 'mode'"):
        interval([[1.0, 2.0]], "mode")
    with pytest.raises(ValueError, match="method must be one of percentile, bca, got 'basic'"):
        interval([[1.0, 2.0]], method="basic")
    with pytest.raises(ValueError, match=r"level must be between 0 and 1, got 95"):
        interval([[1.0, 2.0]], level=95)
    with pytest.raises(ValueError, match="at least one run"):
        interval([[]])


def test_every_setting_is_a_row_and_fewer_keys_make_strata() -> None:
    runs = frame({**TWO, ("tanh", 1.0): [0.2] * 6, ("relu", 1.0): [0.1] * 6})
    assert varied(runs) == ["seed", "model.activation", "init.scale"]
    assert len(aggregate(runs, "cost/test")) == 4
    table = aggregate(runs, "cost/test", ["model.activation"], "mean").set_index("model.activation")
    assert table["runs"].tolist() == [12, 12]
    expected = runs.groupby("model.activation")["cost/test"].mean()
    np.testing.assert_allclose(table["estimate"], expected[table.index], rtol=1e-14)
    # Drawn within strata, the constant settings add no spread: half of that of the others.
    alone = aggregate(frame(TWO), "cost/test", ["model.activation"], "mean").set_index("model.activation")
    width, whole = (part["high"] - part["low"] for part in (table, alone))
    assert (width < 0.6 * whole).all()


def test_a_cost_of_nan_stands_at_the_worse_end() -> None:
    runs = frame({("tanh", 0.01): [0.5, np.nan, np.nan, np.nan, 0.4]})
    row = aggregate(runs, "cost/test", [], "median").iloc[0]
    assert (row["estimate"], row["high"], row["non_finite"], row["runs"]) == (np.inf, np.inf, 3, 5)


def test_holes_and_doubles_are_refused_unless_allowed() -> None:
    runs = frame(TWO)
    with pytest.raises(IncompleteError, match=r"missing: relu: seed 2"):
        aggregate(runs.drop(8), "cost/test")
    assert aggregate(runs.drop(8), "cost/test", allow_incomplete=True)["runs"].tolist() == [5, 6]
    with pytest.raises(ValueError, match="one run of each seed, got several of relu seed 2"):
        aggregate(pd.concat([runs, runs.iloc[[8]]]), "cost/test")


def test_pairs_share_their_seed() -> None:
    """Every relu run is 0.1 better than the tanh run of its seed, far less than seeds differ."""
    found = compare(frame(TWO), "cost/test", {"model.activation": "relu"}, {"model.activation": "tanh"})
    np.testing.assert_allclose(np.array(found.difference), -0.1, atol=1e-12)
    assert found.pairs == 6
    assert found.improvement.estimate == 1
    reference = stats.binomtest(6, 6).proportion_ci(method="wilson")
    np.testing.assert_allclose((found.improvement.low, found.improvement.high), reference, rtol=1e-12)


def test_two_that_diverged_are_a_tie() -> None:
    runs = frame({("tanh", 0.01): [np.nan, 0.3, np.nan, 0.3], ("relu", 0.01): [np.inf, 0.2, 0.2, np.inf]})
    found = compare(runs, "cost/test", {"model.activation": "relu"}, {"model.activation": "tanh"}, "median")
    assert found.improvement.estimate == (0.5 + 1 + 1 + 0) / 4


def test_comparisons_of_what_there_is_not_are_refused() -> None:
    runs = frame(TWO)
    tanh, relu = {"model.activation": "tanh"}, {"model.activation": "relu"}
    with pytest.raises(ValueError, match="sigmoid must be a setting that occurs"):
        compare(runs, "cost/test", tanh, {"model.activation": "sigmoid"})
    with pytest.raises(ValueError, match="lower_is_better must be True or False for sharpness"):
        compare(runs.assign(sharpness=1.0), "sharpness", tanh, relu)
    with pytest.raises(IncompleteError, match="missing: relu: seed 2"):
        compare(runs.drop(8), "cost/test", tanh, relu)
    assert compare(runs.drop(8), "cost/test", tanh, relu, allow_incomplete=True).pairs == 5


def test_profiles_are_scipys_empirical_distribution() -> None:
    values = np.random.default_rng(0).lognormal(size=40)
    runs = frame({("tanh", 0.01): values.tolist()})
    taus = np.linspace(0, 4, 17)
    profile = performance_profile(runs, "cost/test", [], taus)
    np.testing.assert_allclose(profile["share"], stats.ecdf(values).cdf.evaluate(taus), rtol=1e-14)
    assert (profile["low"] <= profile["share"]).all()
    assert (profile["share"] <= profile["high"]).all()


def test_a_diverged_run_is_better_than_no_threshold() -> None:
    profile = performance_profile(frame({("tanh", 0.01): [0.1, np.nan]}), "cost/test", [], [1e300])
    assert profile["share"].tolist() == [0.5]


def test_data_that_come_with_the_seed_belong_to_the_replicate() -> None:
    runs = pd.DataFrame({"seed": range(8), "data.seed": range(8), "model.depth": 1, "cost/train": np.arange(8.0)})
    together = aggregate(runs, "cost/train")
    assert together["runs"].tolist() == [8]
    assert np.isfinite(together[["low", "high"]].to_numpy()).all()
    assert "data.seed" not in together
    crossed = aggregate(runs.assign(**{"data.seed": [0, 0, 0, 0, 1, 1, 1, 1], "seed": [0, 1, 2, 3] * 2}), "cost/train")
    assert crossed["runs"].tolist() == [4, 4]
    assert crossed["data.seed"].tolist() == [0, 1]


@given(hits=st.integers(0, 30), count=st.integers(1, 30))
def test_the_interval_of_a_share_is_scipys(hits: int, count: int) -> None:
    from scipy.stats import binomtest

    hits = min(hits, count)
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    found = share_interval(hits / count, count)
    np.testing.assert_allclose([found.low, found.high], expected, atol=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
