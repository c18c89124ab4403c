"""Tests of the tables of runs."""

from pathlib import Path

import numpy as np
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
    assert table.loc["relu", 2] == f"{costs.mean():.3f} [{costs.min():.3f}, {costs.max():.3f}]"


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


def test_diverged_numbers_are_short() -> None:
    assert [decimals(number) for number in (0.12345, -999_999.5, 1.5e6, -2.5e176, np.inf)] == [
        *("0.123", "-999999.500", "1.5e+06", "-2.5e+176", "inf"),
    ]
