"""Tests of statistics over seeds, against scipy, closed forms and simulations."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from simulated import Design, coverage, share_coverage, two_way_coverage

from nnlab.findings.completeness import IncompleteError, holes
from nnlab.findings.intervals import STATISTICS, interval, interval_name, share_interval, statistic_name
from nnlab.findings.statistics import aggregate, compare, performance_profile
from nnlab.network.initializers import initialize
from nnlab.seeding import stream
from nnlab.settings import varied


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
def test_intervals_have_the_wanted_coverage(name: str, statistic: str, strata: tuple[int, ...]) -> None:
    assert 0.93 <= coverage(name, statistic, Design(strata)) <= 0.97


@pytest.mark.parametrize("runs", [5, 6, 20])
@pytest.mark.parametrize("name", ["normal", "lognormal", "uniform", "t3"])
def test_the_interval_of_a_mean_covers_what_its_name_says(name: str, runs: int) -> None:
    lowest, highest = map(int, re.findall(r"\d+", interval_name(runs, "mean")))
    assert lowest - 1.5 <= 100 * coverage(name, "mean", Design((runs,)), 1_000) <= highest + 1.5


def test_a_mean_of_skewed_runs_is_not_covered_as_often_as_wanted() -> None:
    """The name of the interval says so; if an interval is found that covers, its name can claim 95 % again."""
    assert coverage("lognormal", "mean", Design((6,))) < 0.86
    assert "95 % bootstrap" not in interval_name(6, "mean")


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("runs", [5, 10, 20, 50])
def test_the_interval_of_a_share_of_runs_covers(share: float, runs: int) -> None:
    """Every count of hits can be enumerated, so the coverage is exact; the bootstrap of 0 and 1 covers 41 to 97 %."""
    hits = np.arange(runs + 1)
    samples = np.array([np.arange(runs) < count for count in hits])
    found = interval([samples], "mean")
    inside = (found.low <= share) & (share <= found.high)
    assert 0.91 <= (stats.binom.pmf(hits, runs, share) * inside).sum() <= 0.985
    if (runs, share) == (5, 0.9):
        assert coverage("0/1 nine", "mean", Design((runs,))) < 0.5  # as numbers


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("statistic", ["iqm", "median"])
def test_intervals_of_crossed_strata_have_the_wanted_coverage(statistic: str, shared: float) -> None:
    assert 0.93 <= coverage("normal", statistic, Design((10,) * 4, shared=shared)) <= 0.97


def test_coverage_over_strata_with_different_means_holds_for_the_iqm_and_not_for_the_median() -> None:
    """The docstring of `interval` warns of the median here; if its coverage rises, the warning can go."""
    apart = Design((10,) * 4, apart=3.0)
    assert 0.92 <= coverage("normal", "iqm", apart) <= 0.97
    assert coverage("lognormal", "median", apart) < 0.85


@pytest.mark.parametrize("shares", [(0.5, 0.0), (0.0, 0.5), (0.4, 0.4), (0.0, 0.0)], ids=str)
def test_resampling_seeds_and_data_sets_covers_whatever_the_runs_owe_to_either(shares: tuple[float, float]) -> None:
    """The truth is a two-way random effects model. The pigeonhole bootstrap is conservative (Owen 2007, section 3)."""
    covered = two_way_coverage("iqm", 8, 8, shares)
    assert covered >= 0.94
    if shares == (0.4, 0.4):
        assert covered <= 0.99
        assert two_way_coverage("mean", 8, 8, shares, "seeds") < 0.91
        assert two_way_coverage("mean", 8, 8, shares, "sets") < 0.91


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "design",
    [Design((5,)), Design((10,)), Design((5,) * 4, apart=1.0), Design((10,) * 4, shared=0.9)],
    ids=["5", "10", "unlike", "crossed"],
)
def test_bands_of_profiles_have_coverage(design: Design, share: float) -> None:
    assert share_coverage(share, design, repetitions=1_000) >= 0.9


def test_the_interval_of_five_runs_covers_at_most_what_their_range_does() -> None:
    """In 1 of 16 cases all five are on one side of the median, and no interval within the data contains it."""
    assert 0.91 <= coverage("normal", "median", Design((5,))) <= 1 - 2.0**-4 + 0.01


@pytest.mark.parametrize(
    ("statistic", "reference"),
    [("median", np.median), ("mean", np.mean), ("iqm", lambda values: stats.trim_mean(values, 0.25))],
)
@pytest.mark.parametrize("size", [1, 2, 4, 5, 11])
def test_estimates_agree_with_scipy(statistic: str, reference: object, size: int) -> None:
    values = np.random.default_rng(size).lognormal(size=size)
    assert callable(reference)
    np.testing.assert_allclose(interval([values], statistic).estimate, reference(values), rtol=1e-14)


def test_the_ends_agree_with_scipys_bootstrap_at_the_raised_level() -> None:
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


EVEN, ODD = [0.0, 0.25, 0.1, 0.905, -3e7, 1e-300, np.inf], [0.1, 0.3, 0.7, 1 / 3, -0.0, np.inf, -np.inf]


@given(
    strata=st.lists(st.lists(st.sampled_from(EVEN + ODD), min_size=6, max_size=6), min_size=1, max_size=3),
    runs=st.integers(1, 6),
    statistic=st.sampled_from([*STATISTICS]),
    crossed=st.booleans(),
    level=st.sampled_from([0.01, 0.5, 0.95]),
)
def test_intervals_contain_their_estimate(
    strata: list[list[float]], runs: int, statistic: str, crossed: bool, level: float
) -> None:
    samples = [stratum[:runs] for stratum in strata]
    found = interval(samples, statistic, crossed=crossed, level=level, resamples=50)
    if not np.isnan(found.low):
        assert found.low <= found.estimate <= found.high
        assert np.min(samples) - 1e-15 <= found.low
    assert np.isnan(found.low) == np.isnan(found.high)


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("value", [0.1, 0.905, 1 / 3, 1e-300, 0.7])
def test_the_interval_of_equal_runs_is_their_value(value: float, statistic: str) -> None:
    for runs in range(2, 30):
        found = interval([[value] * runs], statistic)
        assert found.low <= found.estimate <= found.high
        np.testing.assert_allclose(np.array(found), value, rtol=1e-15)


@pytest.mark.parametrize("factor", [1e-300, 1.0, 1e300])
def test_the_unit_of_a_metric_does_not_matter(factor: float) -> None:
    values = np.random.default_rng(0).normal(size=9)
    plain, scaled = (interval([values * by]) for by in (1.0, factor))
    np.testing.assert_allclose(np.array(scaled), np.array(plain) * factor, rtol=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_diverged_runs_are_included(statistic: str) -> None:
    few = interval([[0.1, 0.2, 0.3, 0.25, 0.15, 0.2, 0.22, np.inf]], statistic)
    most = interval([[0.1, np.inf, np.inf, np.inf, np.inf]], statistic)
    assert most.estimate == np.inf
    assert few.high == np.inf or statistic != "mean"
    assert np.isfinite(few.estimate) == (statistic != "mean")
    assert np.isnan(np.array(interval([[np.nan, 1.0, 2.0]], statistic))).all()
    assert np.isnan(np.array(interval([[np.inf, -np.inf]], statistic))).all()


def test_one_run_has_no_interval() -> None:
    estimate, low, high = interval([[3.0]])
    assert estimate == 3
    assert np.isnan(low)
    assert np.isnan(high)


def test_wrong_statistics_levels_and_strata_are_rejected() -> None:
    with pytest.raises(ValueError, match="statistic must be one of median, iqm, mean, got 'mode'"):
        interval([[1.0, 2.0]], "mode")
    with pytest.raises(ValueError, match=r"level must be between 0 and 1, got 95"):
        interval([[1.0, 2.0]], level=95)
    with pytest.raises(ValueError, match="at least one run"):
        interval([[]])


@pytest.mark.parametrize("statistic", ["iqm", "median"])
def test_inf_at_both_ends_leaves_the_statistic_of_the_middle(statistic: str) -> None:
    found = interval([[np.inf, -np.inf, 0.0, 0.1, 0.2]], statistic)
    assert found.estimate == pytest.approx(0.1)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert np.isnan(np.array(interval([[np.inf, np.inf, -np.inf, -np.inf, 0.1, 0.2]], "mean"))).all()
    both_in_the_middle = [[-np.inf, -np.inf, -np.inf, np.inf, np.inf, np.inf]]
    assert np.isnan(np.array(interval(both_in_the_middle, statistic))).all()
    # Of four, two of inf and two of -inf are drawn often enough to be where half an interval ends.
    for sign in (1, -1):
        few = interval([sign * np.array([-np.inf, -np.inf, -np.inf, np.inf])], "median", level=0.5)
        assert (few.estimate, few.low, few.high) == (-sign * np.inf, -np.inf, np.inf)
    # Another question in the same call keeps its interval.
    rows = np.array([both_in_the_middle[0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    beside, alone = np.array(interval([rows], statistic)), np.array(interval([rows[1]], statistic))
    np.testing.assert_array_equal(beside[:, 1], alone)


def test_a_stratum_of_one_run_has_no_interval() -> None:
    _, low, high = interval([[1.0, 2.0, 3.0], [4.0]])
    assert np.isnan(low)
    assert np.isnan(high)


@pytest.mark.parametrize("crossed", [False, True])
def test_strata_are_resampled_as_by_a_loop(crossed: bool) -> None:
    """A slow second implementation agrees up to the noise of 20,000 resamples."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 8)) + 3 * rng.normal(size=8)
    found = interval(list(table), "mean", crossed=crossed, resamples=20_000)
    means = []
    for _ in range(20_000):
        drawn = [rng.integers(8, size=8)] * 3 if crossed else [rng.integers(8, size=8) for _ in range(3)]
        means.append(np.mean([row[places] for row, places in zip(table, drawn, strict=True)]))
    freedom = 7 if crossed else 24 - 3
    tail = stats.norm.sf(np.sqrt(8 / 7) * stats.t.isf(0.025, freedom))
    np.testing.assert_allclose((found.low, found.high), np.quantile(means, [tail, 1 - tail]), atol=0.06 * np.std(means))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_seeds_and_data_sets_are_resampled_as_by_a_loop(statistic: str) -> None:
    """A slow second implementation draws lists of seeds and of data sets, up to the noise of 4,000 resamples."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 1)) + 2 * rng.normal(size=4) + rng.normal(size=(6, 4))
    units = np.indices(table.shape).reshape(2, -1)
    found = interval([table.ravel()], statistic, units=[units], level=0.8, resamples=20_000)
    drawn = [
        STATISTICS[statistic](table[np.ix_(rng.integers(6, size=6), rng.integers(4, size=4))].ravel(), axis=-1)
        for _ in range(4_000)
    ]
    tail = stats.norm.sf(np.sqrt(4 / 3) * stats.t.isf(0.1, 3))
    reference = np.quantile(drawn, [tail, 1 - tail])
    np.testing.assert_allclose((found.low, found.high), reference, atol=0.15 * np.std(drawn))


def test_the_level_is_raised_by_students_t_within_strata() -> None:
    """scipy's bootstrap of the same strata agrees, at the level of the formula of Hesterberg 2015."""
    strata = [np.random.default_rng(size).lognormal(size=5) for size in range(4)]
    found = interval(strata, "mean", level=0.8, rng=np.random.default_rng(5))
    tail = stats.norm.sf(np.sqrt(5 / 4) * stats.t.isf(0.1, 20 - 4))
    reference = stats.bootstrap(
        strata,
        lambda *parts, axis: np.concatenate(parts, axis=axis).mean(axis=axis),
        n_resamples=2000,
        confidence_level=1 - 2 * tail,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    np.testing.assert_allclose((found.low, found.high), reference, rtol=1e-12)


def test_the_default_level_is_95_percent() -> None:
    runs = frame(TWO)
    settings = {"model.activation": "relu"}, {"model.activation": "tanh"}
    values = np.array(TWO["tanh", 0.01])
    np.testing.assert_array_equal(np.array(interval([values])), np.array(interval([values], level=0.95)))
    pd.testing.assert_frame_equal(aggregate(runs, "cost/test"), aggregate(runs, "cost/test", level=0.95))
    pd.testing.assert_frame_equal(
        performance_profile(runs, "cost/test"), performance_profile(runs, "cost/test", level=0.95)
    )
    for part in ("difference", "improvement"):
        default, explicit, narrower = (
            np.array(getattr(compare(runs, "cost/test", *settings, **level), part))
            for level in ({}, {"level": 0.95}, {"level": 0.5})
        )
        np.testing.assert_array_equal(default, explicit)
        assert part == "difference" or narrower[1] > explicit[1]


def test_every_setting_is_a_row_and_fewer_keys_make_strata() -> None:
    runs = frame({**TWO, ("tanh", 1.0): [0.2] * 6, ("relu", 1.0): [0.1] * 6})
    assert varied(runs) == ["seed", "model.activation", "init.scale"]
    assert len(aggregate(runs, "cost/test")) == 4
    table = aggregate(runs, "cost/test", ["model.activation"], "mean").set_index("model.activation")
    assert table["runs"].tolist() == [12, 12]
    expected = runs.groupby("model.activation")["cost/test"].mean()
    np.testing.assert_allclose(table["estimate"], expected[table.index], rtol=1e-14)
    # Strata of the same seeds: the constant settings add no spread, half of that of the others.
    alone = aggregate(frame(TWO), "cost/test", ["model.activation"], "mean").set_index("model.activation")
    width, whole = (part["high"] - part["low"] for part in (table, alone))
    np.testing.assert_allclose(width, whole / 2, rtol=1e-12)


def crossed(strata: int, seeds: int, effect: float, apart: float = 0.0) -> pd.DataFrame:
    """Return runs of one activation at several scales, with an effect of each seed that is the same at all scales."""
    rng = np.random.default_rng(1)
    costs = rng.normal(size=(strata, seeds)) + effect * rng.normal(size=seeds) + apart * np.arange(strata)[:, None]
    return frame({("tanh", float(scale)): row.tolist() for scale, row in enumerate(costs)})


def test_only_crossed_strata_are_resampled_by_seed() -> None:
    runs = crossed(4, 8, effect=3.0)
    strata = runs.groupby("init.scale")["cost/test"].apply(np.array).tolist()
    shuffled = runs.sample(frac=1, random_state=0)  # the order of the rows does not matter
    same = aggregate(shuffled, "cost/test", [])[["estimate", "low", "high"]].to_numpy()[0]
    np.testing.assert_allclose(same, np.array(interval(strata, crossed=True)), rtol=1e-12)
    own = runs.assign(seed=runs["seed"] + 100 * runs["init.scale"].astype(int))
    other = aggregate(own, "cost/test", [], allow_incomplete=True)[["estimate", "low", "high"]].to_numpy()[0]
    np.testing.assert_allclose(other, np.array(interval(strata)), rtol=1e-12)
    assert same[2] - same[1] > 1.5 * (other[2] - other[1])
    # Several runs of one seed have no partners in other strata.
    doubled = aggregate(runs.assign(seed=runs["seed"] // 2), "cost/test", [], allow_incomplete=True)
    np.testing.assert_array_equal(doubled[["estimate", "low", "high"]].to_numpy()[0], other)
    # With data of their own the seeds are still the replicates.
    paired = aggregate(shuffled.assign(**{"data.seed": shuffled["seed"]}), "cost/test", [])
    np.testing.assert_array_equal(paired[["estimate", "low", "high"]].to_numpy()[0], same)


def test_a_cost_of_nan_counts_as_inf() -> None:
    runs = frame({("tanh", 0.01): [0.5, np.nan, np.nan, np.nan, 0.4]})
    row = aggregate(runs, "cost/test", [], "median").iloc[0]
    assert (row["estimate"], row["high"], row["non_finite"], row["runs"]) == (np.inf, np.inf, 3, 5)


def test_an_accuracy_of_nan_counts_as_the_worst_only_for_classifiers() -> None:
    runs = frame({("tanh", 0.01): [0.5, 0.6, 0.7, 0.6, 0.4]})
    runs["accuracy/test"] = [np.nan, np.nan, np.nan, 0.9, 0.8]
    assert aggregate(runs, "accuracy/test", [], "median")["estimate"].tolist() == [-np.inf]
    assert aggregate(runs, "accuracy/test", [], "median", lower_is_better=True)["estimate"].tolist() == [np.inf]
    regression = runs.assign(task="regression")
    assert np.isnan(aggregate(regression, "accuracy/test", [], "median")["estimate"]).all()


def test_non_finite_counts_inf_and_nan() -> None:
    runs = frame({("tanh", 0.01): [0.5, np.nan, np.inf, -np.inf, 0.4]})
    assert aggregate(runs, "cost/test", [])["non_finite"].tolist() == [3]


def test_rows_must_have_the_same_settings() -> None:
    """relu at two of the scales beside tanh at four is a comparison of scales."""
    scales = (0.01, 0.1, 1.0, 10.0)
    runs = frame({(name, scale): [0.1, 0.2, 0.3] for name in ("tanh", "relu") for scale in scales})
    some = runs[(runs["model.activation"] == "tanh") | (runs["init.scale"] < 0.5)]
    assert holes(runs, ["model.activation", "init.scale"], ["model.activation"]) == []
    assert holes(some, ["model.activation", "init.scale"]) == []
    for question in (aggregate, performance_profile):
        with pytest.raises(IncompleteError, match=r"missing: relu scale 1: every seed; relu scale 10: every seed$"):
            question(some, "cost/test", ["model.activation"])
        assert len(question(some, "cost/test", ["model.activation"], allow_incomplete=True))
        assert len(question(some, "cost/test"))  # every setting a row: nothing is pooled


TASKS = {"xor": "binary", "spirals": "binary", "line": "regression"}


def test_rows_by_a_dependent_key_need_not_share_the_key_that_determines_it() -> None:
    """Every data set has one task, so no two tasks have a data set in common, and nothing is missing."""
    runs = frame({("tanh", 0.01): [0.1, 0.2, 0.3, 0.4]})
    runs = pd.concat([runs.assign(**{"data.name": name, "task": task}) for name, task in TASKS.items()])
    assert aggregate(runs, "cost/test", ["task"])["runs"].tolist() == [8, 4]


def test_missing_and_doubled_seeds_are_rejected_unless_allowed() -> None:
    runs = frame(TWO)
    with pytest.raises(IncompleteError, match=r"missing: relu: seed 2"):
        aggregate(runs.drop(8), "cost/test")
    assert aggregate(runs.drop(8), "cost/test", allow_incomplete=True)["runs"].tolist() == [5, 6]
    with pytest.raises(ValueError, match="one run of each seed, got several of relu seed 2"):
        aggregate(pd.concat([runs, runs.iloc[[8]]]), "cost/test")


def test_runs_of_the_same_seed_are_paired() -> None:
    """Every relu run is 0.1 better than the tanh run of its seed, far less than seeds differ."""
    found = compare(frame(TWO), "cost/test", {"model.activation": "relu"}, {"model.activation": "tanh"})
    np.testing.assert_allclose(np.array(found.difference), -0.1, atol=1e-12)
    assert found.pairs == 6
    assert found.improvement.estimate == 1
    reference = stats.binomtest(6, 6).proportion_ci(method="wilson")
    np.testing.assert_allclose((found.improvement.low, found.improvement.high), reference, rtol=1e-12)


def test_the_better_direction_decides_the_improvement() -> None:
    runs = frame(TWO).rename(columns={"cost/test": "accuracy/test"})
    tanh, relu = {"model.activation": "tanh"}, {"model.activation": "relu"}
    assert compare(runs, "accuracy/test", tanh, relu).improvement.estimate == 1
    assert compare(runs, "accuracy/test", relu, tanh).improvement.estimate == 0
    assert compare(runs, "accuracy/test", tanh, relu, lower_is_better=True).improvement.estimate == 0


def test_pairs_are_stratified_by_the_other_varied_keys() -> None:
    """Differences are 1 at one scale and 3 at the other, without spread: no resample mixes the scales."""
    tanh = {("tanh", scale): [0.1 * seed for seed in range(6)] for scale in (0.01, 1.0)}
    relu = {("relu", scale): [0.1 * seed + lead for seed in range(6)] for scale, lead in ((0.01, 1.0), (1.0, 3.0))}
    runs = frame(tanh | relu).sample(frac=1, random_state=0)
    settings = {"model.activation": "relu"}, {"model.activation": "tanh"}
    found = compare(runs, "cost/test", *settings, "mean")
    np.testing.assert_allclose(np.array(found.difference), 2.0, rtol=1e-12)
    # The share of twelve pairs of six seeds is no more certain than that of six pairs.
    assert found.pairs == 12
    assert found.improvement.high == pytest.approx(share_interval(0, 6).high)
    own = runs.assign(seed=runs["seed"] + 100 * (runs["init.scale"] == 1))
    assert compare(own, "cost/test", *settings).improvement.high == pytest.approx(share_interval(0, 12).high)


def test_pairs_of_one_seed_are_resampled_together() -> None:
    runs = crossed(4, 8, effect=3.0)
    plain = runs.assign(**{"model.activation": "relu", "cost/test": 0.0})
    settings = {"model.activation": "tanh"}, {"model.activation": "relu"}
    found = compare(pd.concat([plain, runs]).sample(frac=1, random_state=0), "cost/test", *settings).difference
    strata = runs.groupby("init.scale")["cost/test"].apply(np.array).tolist()
    np.testing.assert_allclose(np.array(found), np.array(interval(strata, crossed=True)), rtol=1e-12)


def test_a_comparison_rejects_two_runs_of_a_seed() -> None:
    runs = frame(TWO)
    with pytest.raises(ValueError, match="one run of each seed"):
        compare(
            pd.concat([runs, runs.iloc[[8]]]), "cost/test", {"model.activation": "relu"}, {"model.activation": "tanh"}
        )


def test_two_diverged_runs_tie() -> None:
    runs = frame({("tanh", 0.01): [np.nan, 0.3, np.nan, 0.3], ("relu", 0.01): [np.inf, 0.2, 0.2, np.inf]})
    found = compare(runs, "cost/test", {"model.activation": "relu"}, {"model.activation": "tanh"}, "median")
    assert found.improvement.estimate == (0.5 + 1 + 1 + 0) / 4


def test_comparisons_without_a_setting_a_direction_or_a_partner_are_rejected() -> None:
    runs = frame(TWO)
    tanh, relu = {"model.activation": "tanh"}, {"model.activation": "relu"}
    with pytest.raises(ValueError, match="sigmoid must be a setting that occurs"):
        compare(runs, "cost/test", tanh, {"model.activation": "sigmoid"})
    with pytest.raises(ValueError, match="lower_is_better must be True or False for sharpness"):
        compare(runs.assign(sharpness=1.0), "sharpness", tanh, relu)
    with pytest.raises(IncompleteError, match="missing: relu: seed 2"):
        compare(runs.drop(8), "cost/test", tanh, relu)
    assert compare(runs.drop(8), "cost/test", tanh, relu, allow_incomplete=True).pairs == 5


def test_unknown_metrics_and_keys_are_rejected_by_name() -> None:
    runs = frame(TWO)
    tanh, relu = {"model.activation": "tanh"}, {"model.activation": "relu"}
    for question in (aggregate, performance_profile):
        with pytest.raises(ValueError, match="metric must be one of cost/test, task, got 'cost/tset'"):
            question(runs, "cost/tset")
        with pytest.raises(ValueError, match=r"by must have .* \(.*init.scale.*\), got 'model.activatoin'"):
            question(runs, "cost/test", ["model.activatoin"])
        with pytest.raises(ValueError, match="runs must have a column seed"):
            question(runs.drop(columns="seed"), "cost/test", allow_incomplete=True)
        with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
            question(runs, "cost/test", level=95)
    with pytest.raises(ValueError, match="metric must be one of cost/test, task, got 'cost/tset'"):
        compare(runs, "cost/tset", tanh, relu)
    for name, settings in {"first": ({"depth": 1}, relu), "second": (tanh, {"depth": 1})}.items():
        with pytest.raises(ValueError, match=rf"{name} must have keys that the runs have \(.*\), got 'depth'"):
            compare(runs, "cost/test", *settings)
    with pytest.raises(ValueError, match="crossed strata must have the same number of runs, got 2, 3"):
        interval([[1.0, 2.0], [1.0, 2.0, 3.0]], crossed=True)


@pytest.mark.parametrize("share", [-0.1, 1.1, [0.5, 2]])
def test_a_share_outside_0_and_1_is_rejected(share: float | list[float]) -> None:
    with pytest.raises(ValueError, match="share must be between 0 and 1, got "):
        share_interval(share, 5)


def test_shares_have_any_shape_and_nan_stays_nan() -> None:
    found = share_interval([[0.3, np.nan, 1.0]], 7)
    for part, one, last in zip(found, share_interval(0.3, 7), share_interval(1.0, 7), strict=True):
        np.testing.assert_array_equal(part, [[one, np.nan, last]])


def test_a_share_needs_a_run_and_a_level() -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        share_interval(0.5, 0)
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 0"):
        share_interval(0.5, 3, 0)


@pytest.mark.parametrize(("seeds", "name"), [(2, "range"), (5, "range"), (6, "95 % bootstrap interval")])
def test_the_interval_of_few_seeds_is_called_a_range(seeds: int, name: str) -> None:
    assert interval_name(seeds) == name


def test_names_claim_no_level_that_was_not_measured() -> None:
    assert interval_name(10, "mean") == "bootstrap interval, covers 85 to 95 %"
    assert interval_name(4, "mean") == "range"
    assert interval_name(10, two_way=True) == "bootstrap interval, covers 94 to 100 %"
    assert interval_name(10, pooled=True) == "bootstrap interval, covers 90 to 97 %"
    assert interval_name(20, pooled=True) == "95 % bootstrap interval"
    assert interval_name(10, level=0.5) == "nominal 50 % bootstrap interval"


def test_an_interquartile_mean_of_fewer_than_four_runs_is_called_a_mean() -> None:
    assert statistic_name("iqm", [4, 20]) == "interquartile mean"
    assert statistic_name("iqm", [1, 3]) == "mean"
    assert statistic_name("iqm", [3, 4]) == "interquartile mean (mean of fewer than 4 runs)"
    assert statistic_name("median", [3]) == "median"
    costs = [0.1, 0.12, 0.11, 0.13, 5.0]
    runs = frame({("tanh", 0.01): costs, ("relu", 0.01): costs[2:]})
    table = aggregate(runs, "cost/test", allow_incomplete=True).set_index("model.activation")
    assert table["statistic"].to_dict() == {"tanh": "interquartile mean", "relu": "mean"}
    assert table.loc["relu", "estimate"] == pytest.approx(np.mean(costs[2:]))


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("pooled", [False, True])
def test_only_intervals_that_equal_the_range_are_called_a_range(statistic: str, pooled: bool) -> None:
    runs = np.random.default_rng(1).normal(size=(2 if pooled else 1, 5))
    found = interval(list(runs), statistic, crossed=pooled)
    whole = np.allclose([found.low, found.high], [runs.min(), runs.max()], rtol=1e-12)
    assert (interval_name(5, statistic, pooled=pooled) == "range") == whole


def test_profiles_agree_with_scipys_empirical_distribution() -> None:
    values = np.random.default_rng(0).lognormal(size=40)
    runs = frame({("tanh", 0.01): values.tolist()})
    taus = np.linspace(0, 4, 17)
    profile = performance_profile(runs, "cost/test", [], taus)
    np.testing.assert_allclose(profile["share"], stats.ecdf(values).cdf.evaluate(taus), rtol=1e-14)
    assert (profile["low"] <= profile["share"]).all()
    assert (profile["share"] <= profile["high"]).all()


@pytest.mark.parametrize("metric", ["cost/test", "accuracy/test"])
def test_a_run_at_a_threshold_is_not_better_than_it(metric: str) -> None:
    runs = frame({("tanh", 0.01): [0.2, 0.4, 0.4, 0.6]}).rename(columns={"cost/test": metric})
    profile = performance_profile(runs, metric, [], [0.2, 0.4, 0.6])
    assert profile["share"].tolist() == ([0, 0.25, 0.75] if metric == "cost/test" else [0.75, 0.25, 0])


@pytest.mark.parametrize("own_seeds", [False, True])
def test_profiles_of_strata_agree_with_a_loop(own_seeds: bool) -> None:
    runs = crossed(3, 7, effect=1.0, apart=2.0)
    taus = np.linspace(-3, 9, 13)
    if own_seeds:
        runs["seed"] += 100 * runs["init.scale"].astype(int)
    profile = performance_profile(runs, "cost/test", ["model.activation"], taus, level=0.9, allow_incomplete=True)
    for tau, share, low, high in profile[["tau", "share", "low", "high"]].to_numpy():
        below = sum(cost < tau for cost in runs["cost/test"]) / 21
        count = 21 if own_seeds else 7
        # The ends of Wilson's interval are where the share is 1.64 of its standard errors away.
        for end in {low, high} - {0.0, 1.0}:
            assert abs(share - end) == pytest.approx(stats.norm.isf(0.05) * np.sqrt(end * (1 - end) / count))
        assert share == pytest.approx(below)
        assert low <= share <= high
        assert high - low > 0.1


def test_runs_of_a_seed_that_strata_share_count_as_one() -> None:
    """Three runs of seed 0 and one each of 1 and 2: 5^2 / (3^2 + 1 + 1) runs."""
    runs = frame({("tanh", 0.01): [0.0, 0.0, 0.0], ("tanh", 0.1): [0.0], ("tanh", 1.0): [0.0]})
    profile = performance_profile(runs, "cost/test", [], [1.0], allow_incomplete=True)
    z2 = stats.norm.isf(0.025) ** 2
    assert profile["low"].tolist() == [pytest.approx(1 / (1 + z2 * 11 / 25))]


def test_a_diverged_run_is_better_than_no_threshold() -> None:
    profile = performance_profile(frame({("tanh", 0.01): [0.1, np.nan]}), "cost/test", [], [1e300])
    assert profile["share"].tolist() == [0.5]


def test_data_that_change_with_the_seed_are_part_of_the_replicate() -> None:
    runs = pd.DataFrame({"seed": range(8), "data.seed": range(8), "model.depth": 1, "cost/train": np.arange(8.0)})
    together = aggregate(runs, "cost/train")
    assert together["runs"].tolist() == [8]
    assert np.isfinite(together[["low", "high"]].to_numpy()).all()
    assert "data.seed" not in together
    crossed = aggregate(runs.assign(**{"data.seed": [0, 0, 0, 0, 1, 1, 1, 1], "seed": [0, 1, 2, 3] * 2}), "cost/train")
    assert crossed["runs"].tolist() == [4, 4]
    assert crossed["data.seed"].tolist() == [0, 1]


def data_sets(seeds: int, sets: int) -> pd.DataFrame:
    """Return the runs of two depths with every seed on every data set."""
    rng = np.random.default_rng(0)
    keys = pd.MultiIndex.from_product([range(seeds), range(sets), (1, 2)], names=["seed", "data.seed", "model.depth"])
    return keys.to_frame(index=False).assign(**{"cost/test": rng.normal(size=len(keys))})


def test_data_sets_take_the_place_of_seeds_if_all_runs_have_one_seed() -> None:
    runs = data_sets(1, 10)
    costs = [group["cost/test"].to_numpy() for _, group in runs.groupby("model.depth")]
    table = aggregate(runs, "cost/test")
    assert "data.seed" not in table
    np.testing.assert_array_equal(table[["estimate", "low", "high"]].T, np.array(interval([np.stack(costs)])))
    pooled = aggregate(runs, "cost/test", [])[["estimate", "low", "high"]].to_numpy()[0]
    np.testing.assert_array_equal(pooled, np.array(interval(costs, crossed=True)))
    found = compare(runs, "cost/test", {"model.depth": 1}, {"model.depth": 2})
    np.testing.assert_array_equal(np.array(found.difference), np.array(interval([costs[0] - costs[1]])))
    assert found.improvement.high == pytest.approx(share_interval(float(found.improvement.estimate), 10).high)
    profile = performance_profile(runs, "cost/test", ["model.depth"], [0.0])
    expected = share_interval([np.mean(cost < 0) for cost in costs], 10)
    np.testing.assert_allclose(profile[["share", "low", "high"]].T, np.array(expected))
    for question in (aggregate, performance_profile):
        with pytest.raises(IncompleteError, match=r"missing: depth 2: data.seed 9$"):
            question(runs[:-1], "cost/test")
    with pytest.raises(IncompleteError, match="missing: depth 2 seed 9: seed 0"):
        compare(runs[:-1], "cost/test", {"model.depth": 1}, {"model.depth": 2})


def test_seeds_and_data_sets_are_both_resampled_if_both_vary() -> None:
    runs = data_sets(6, 4)
    units = np.indices((6, 4)).reshape(2, -1)
    costs = [group["cost/test"].to_numpy() for _, group in runs.groupby("model.depth")]
    shuffled = runs.sample(frac=1, random_state=0)
    table = aggregate(shuffled, "cost/test", ["model.depth"])
    expected = np.array(interval([np.stack(costs)], units=[units]))
    np.testing.assert_array_equal(table[["estimate", "low", "high"]].T, expected)
    assert table["interval"].str.endswith("covers 86 to 100 %").all()
    pooled = aggregate(shuffled, "cost/test", [])[["estimate", "low", "high"]].to_numpy()[0]
    np.testing.assert_array_equal(pooled, np.array(interval(costs, crossed=True, units=[units, units])))
    found = compare(shuffled, "cost/test", {"model.depth": 1}, {"model.depth": 2})
    np.testing.assert_array_equal(np.array(found.difference), np.array(interval([costs[0] - costs[1]], units=[units])))
    assert found.improvement.high == pytest.approx(share_interval(float(found.improvement.estimate), 4).high)
    # Rows by data set are about that data set: seeds alone are resampled.
    one = aggregate(runs, "cost/test", ["model.depth", "data.seed"]).query("`data.seed` == 2 and `model.depth` == 1")
    own = runs.query("`data.seed` == 2 and `model.depth` == 1")["cost/test"]
    np.testing.assert_array_equal(one[["estimate", "low", "high"]].to_numpy()[0], np.array(interval([own])))
    # With runs missing, the rest is resampled by the same labels.
    some = aggregate(runs[runs["model.depth"] == 1][1:], "cost/test", [], allow_incomplete=True)
    np.testing.assert_array_equal(
        some[["estimate", "low", "high"]].to_numpy()[0], np.array(interval([costs[0][1:]], units=[units[:, 1:]]))
    )


def test_seeds_that_belong_to_one_data_set_each_are_resampled_with_it() -> None:
    runs = data_sets(8, 8).query("seed // 2 == `data.seed`").query("`model.depth` == 1")
    found = aggregate(runs, "cost/test", [], allow_incomplete=True)[["estimate", "low", "high"]].to_numpy()[0]
    nested = interval([runs["cost/test"]], units=[runs["data.seed"]])
    np.testing.assert_array_equal(found, np.array(nested))
    few = aggregate(runs[runs["data.seed"] < 3], "cost/test", [], allow_incomplete=True)
    assert few["interval"].tolist() == ["bootstrap interval, covers 72 to 95 %"]  # not the range of the six runs


def test_a_property_of_runs_is_a_share() -> None:
    runs = frame(TWO).assign(dead=[True] * 4 + [False] * 8)
    table = aggregate(runs, "dead", statistic="mean")
    expected = stats.binomtest(4, 6).proportion_ci(method="wilson")
    np.testing.assert_allclose(table[["low", "high"]].to_numpy()[1], expected, rtol=1e-12)
    assert table.loc[1, ["statistic", "interval"]].tolist() == ["share", "95 % score interval"]
    with pytest.raises(ValueError, match="statistic must be mean for values that are True or False, got 'iqm'"):
        aggregate(runs, "dead")


@pytest.mark.parametrize("scheme", ["normal", "uniform", "xavier", "he"])
def test_runs_of_one_seed_share_their_draws(scheme: str) -> None:
    """usage.md says so; intervals over several settings take it into account by resampling seeds."""
    narrow, wide, deep = (
        initialize(sizes, scheme, 1.0, stream(0, "init")) for sizes in ([2, 4, 1], [2, 9, 1], [2, 4, 4, 1])
    )
    factor = narrow.W[0][0, 0, 0] / wide.W[0][0, 0, 0]
    np.testing.assert_allclose(narrow.W[0], factor * wide.W[0][:, :4], rtol=1e-12)
    np.testing.assert_array_equal(narrow.W[0], deep.W[0])
    other = initialize([2, 4, 1], scheme, 3.0, stream(0, "init"))
    np.testing.assert_allclose(other.flat, 3 * narrow.flat, rtol=1e-12)


@given(hits=st.integers(0, 30), count=st.integers(1, 30))
def test_the_interval_of_a_share_agrees_with_scipy(hits: int, count: int) -> None:
    from scipy.stats import binomtest

    hits = min(hits, count)
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    found = share_interval(hits / count, count)
    np.testing.assert_allclose([found.low, found.high], expected, atol=1e-12)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
