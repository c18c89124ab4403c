"""Tests of the tables of runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.findings.completeness import IncompleteError, holes
from nnlab.findings.tables import decimals, summary_table, verdict_table
from nnlab.settings import varied


def test_the_table_has_a_statistic_over_seeds_with_its_interval(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    table = summary_table(runs, varied(runs), "cost/train", statistic="mean")
    assert table.shape == (2, 3)
    costs = runs.query("`model.hidden_size` == 2 and `model.activation` == 'relu'")["cost/train"]
    assert table.columns.name == "cost/train, mean over 2 seeds [range], by model.hidden_size"
    assert table.loc["relu", 2] == f"{costs.mean():.3f} [{costs.min():.3f}, {costs.max():.3f}]"


def test_the_columns_name_the_statistic_and_the_interval() -> None:
    costs = [0.1, 0.12, 0.11, 0.13, 5.0, 0.1]
    rows = [("tanh", seed, cost) for seed, cost in enumerate(costs)]
    rows += [("relu", seed, costs[seed]) for seed in range(5)] + [("elu", seed, costs[seed]) for seed in (2, 3, 4)]
    runs = pd.DataFrame(rows, columns=["model.activation", "seed", "cost/test"])
    table = summary_table(runs, ["seed", "model.activation"], "cost/test", allow_incomplete=True)
    assert table.columns.name == "cost/test, interquartile mean over 6 seeds [95 % bootstrap interval]"
    assert table["cost/test"].tolist() == [
        "1.747 [0.110, 5.000] mean, range of 3",  # trimming nothing
        "0.120 [0.100, 5.000] range of 5",
        "0.115 [0.100, 3.780]",
    ]


def test_one_seed_has_no_interval(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    single = runs.query("seed == 0 and `model.activation` == 'tanh'")
    assert "[" not in summary_table(single, ["model.hidden_size"], "cost/train").to_string()


def test_missing_seeds_are_named_and_rejected_unless_allowed(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    swept = varied(runs)
    assert holes(runs, swept) == []
    some = runs.drop(runs.query("`model.hidden_size` == 2 and `model.activation` == 'relu' and seed == 1").index)
    assert holes(some, swept) == ["relu h2: seed 1"]
    for table in (
        lambda **more: summary_table(some, swept, "cost/train", **more),
        lambda **more: verdict_table(some, swept, **more),
    ):
        with pytest.raises(IncompleteError, match=r"missing: relu h2: seed 1"):
            table()
        assert table(allow_incomplete=True).shape == (2, 3)


def test_causes_that_other_runs_show_are_in_parentheses(recorded: Path) -> None:
    runs = nnlab.load_runs("playground", str(recorded))
    relu = runs["model.activation"] == "relu"
    runs = runs.assign(verdict="plateau", sweep_cause=["stuck" if one else "" for one in relu & (runs["seed"] == 1)])
    table = verdict_table(runs, varied(runs))
    assert {", ".join(sorted(cell.split(", "))) for cell in table.loc["relu"]} == {"plateau (stuck) 1, plateau 1"}
    assert set(table.loc["tanh"]) == {"plateau"}


def test_diverged_numbers_are_short() -> None:
    assert [decimals(number) for number in (0.12345, -999_999.5, 1.5e6, -2.5e176, np.inf)] == [
        *("0.123", "-999999.500", "1.5e+06", "-2.5e+176", "inf"),
    ]
