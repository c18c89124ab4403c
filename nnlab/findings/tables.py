"""Tables of many runs as text: what the terminal shows at the end of a sweep, and the tables of the report."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from nnlab.findings.completeness import holes, refuse_holes
from nnlab.findings.load import load_runs
from nnlab.findings.statistics import aggregate, has_metric
from nnlab.settings import by_architecture

__all__ = ["ScoreTable", "decimals", "overview", "score_table", "scores_of", "summary_table", "verdict_table"]


def overview(experiment: str, results_dir: str, swept: Sequence[str], fingerprints: Sequence[str]) -> str:
    """Return the verdicts and final metrics of some runs by what was swept, and the missing seeds.

    Raises DamagedRunError if a run of the experiment cannot be read, ConfigError if there are none.
    """
    runs = load_runs(experiment, results_dir)
    runs = by_architecture(runs[runs["fingerprint"].isin(fingerprints)])
    if runs.empty:
        return ""
    swept = [key for key in swept if key in runs]
    blocks = [f"verdicts (with counts where seeds differ)\n{_text(verdict_table(runs, swept, allow_incomplete=True))}"]
    for metric in (*scores_of(runs), "cost/train"):
        table = score_table(runs, swept, metric, allow_incomplete=True)
        blocks.append(f"{metric}{table.heading and ', '}{table.heading}\n{_text(table.cells)}")
    missing = holes(runs, swept)
    if missing:
        blocks.append(f"not every setting has every seed; missing: {'; '.join(missing)}")
    return "\n\n".join(blocks)


def scores_of(runs: pd.DataFrame) -> list[str]:
    """Return the metrics that say how well runs predict: of each task the score on test data.

    Where runs have no test part, it is, or is followed by, the score on the training data.
    """
    names = []
    for train, test in (("accuracy/train", "accuracy/test"), ("r2/train", "r2/test")):
        tested, trained = has_metric(runs, test), has_metric(runs, train)
        names += [test] * bool(tested.any()) + [train] * bool((trained & ~tested).any())
    return names


def _text(table: pd.DataFrame) -> str:
    return table.to_string(max_rows=60, max_colwidth=40)


# ---- tables by setting


def verdict_table(runs: pd.DataFrame, swept: Sequence[str], *, allow_incomplete: bool = False) -> pd.DataFrame:
    """Return the verdicts by swept value: `healthy`, or `healthy 3, linear (stuck) 2` if seeds differ.

    In parentheses is the sweep cause of runs that have one.

    Raises IncompleteError if some settings lack seeds that others have, unless `allow_incomplete`.
    """
    if not allow_incomplete:
        refuse_holes(runs, swept)
    keys = [key for key in swept if key != "seed"]
    causes = " (" + runs["sweep_cause"] + ")"
    runs = runs.assign(verdict=runs["verdict"] + causes.where(runs["sweep_cause"] != "", ""))
    if not keys:
        return _crosstab(pd.DataFrame(index=[0]), [_tally(runs["verdict"])], "verdict", len(runs))
    cells = runs.groupby(keys, dropna=False)["verdict"].agg(_tally).reset_index()
    return _crosstab(cells[keys], cells["verdict"].tolist(), "verdict", len(runs))


def _tally(verdicts: pd.Series) -> str:
    counts = verdicts.value_counts()
    return str(counts.index[0]) if len(counts) == 1 else ", ".join(f"{name} {count}" for name, count in counts.items())


class ScoreTable(NamedTuple):
    """A table of one metric, and what its cells hold: `interquartile mean over 5 seeds [range]`, empty for one seed."""

    cells: pd.DataFrame
    heading: str


def summary_table(
    runs: pd.DataFrame,
    swept: Sequence[str],
    metric: str,
    digits: int = 3,
    statistic: str = "iqm",
    *,
    allow_incomplete: bool = False,
) -> pd.DataFrame:
    """Return one metric over seeds by the other swept values: `0.641 [0.630, 0.652]`.

    The statistic is by default the interquartile mean. In brackets is its interval (`intervals.interval`); a single run
    has none. The name of the columns says which statistic and interval these are. `-` means that these runs have no
    such metric. The key with the most values runs across, the others down.

    Raises IncompleteError if some settings lack seeds that others have. With `allow_incomplete` their cells give the
    number of their runs instead, with what else they hold: `1.753 [0.110, 5.000] mean of 3`.
    """
    cells, heading = score_table(runs, swept, metric, digits, statistic, allow_incomplete=allow_incomplete)
    words = [metric, *([heading] if heading else []), *([f"by {cells.columns.name}"] if cells.columns.name else [])]
    return cells.rename_axis(columns=", ".join(words))


def score_table(
    runs: pd.DataFrame,
    swept: Sequence[str],
    metric: str,
    digits: int = 3,
    statistic: str = "iqm",
    *,
    allow_incomplete: bool = False,
) -> ScoreTable:
    """Return the table of `summary_table`, with what its cells hold as a heading of its own."""
    keys = [key for key in swept if key != "seed"]
    table = aggregate(runs, metric, keys, statistic, allow_incomplete=allow_incomplete)
    most, *usual = table.iloc[int(table["runs"].argmax())][["runs", "statistic", "interval"]].tolist()
    cells = []
    for estimate, low, high, *names, count in table[
        ["estimate", "low", "high", "statistic", "interval", "runs"]
    ].itertuples(index=False):
        other = ", ".join(name for name, expected in zip(names, usual, strict=True) if name and name != expected)
        words = [_cell(estimate, low, high, digits), other, f"of {count}" if count < most else ""]
        cells.append(" ".join(word for word in words if word))
    over = f"{most} {'seeds' if most == _most_seeds(runs, keys) else 'runs'}"
    heading = f"{usual[0]} over {over} [{usual[1]}]" if usual[1] else ""
    return ScoreTable(_crosstab(table[keys], cells, metric, len(runs)), heading)


def _cell(estimate: float, low: float, high: float, digits: int) -> str:
    if np.isnan(estimate):
        return "-"
    # All with the same decimals: with fewer, the estimate could lie outside its interval.
    value, *ends = (decimals(number, digits) for number in (estimate, low, high))
    return value if np.isnan(low) else f"{value} [{', '.join(ends)}]"


def _crosstab(settings: pd.DataFrame, cells: Sequence[str], name: str, runs: int) -> pd.DataFrame:
    """Return a table with one cell for each setting: the key with the most values across, the others down."""
    keys = list(settings)
    if not keys:
        return pd.DataFrame({name: list(cells)}, index=pd.Index([f"{runs} runs"]))
    across = max(keys, key=lambda key: (settings[key].nunique(), key))
    settings = settings.astype({key: object for key in keys if settings[key].isna().any()}).fillna("none")
    placed = pd.Series(list(cells), index=pd.MultiIndex.from_frame(settings), name=name, dtype="str")
    return placed.unstack(across) if len(keys) > 1 else settings.assign(**{name: placed.to_numpy()}).set_index(keys)


# ---- numbers


def _most_seeds(runs: pd.DataFrame, keys: Sequence[str]) -> int:
    """Return the largest number of seeds of any setting of these keys."""
    return int(runs.groupby(list(keys), dropna=False)["seed"].nunique().max() if keys else runs["seed"].nunique())


def decimals(number: float, digits: int = 3) -> str:
    """Return a number with this many decimals, or, if it has diverged, with this many significant digits."""
    return f"{number:.{digits}f}" if abs(number) < 1e6 else f"{number:.{digits}g}"
