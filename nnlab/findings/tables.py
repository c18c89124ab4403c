"""What the terminal shows of a sweep when it is done: tables as text."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnlab.findings.completeness import holes, refuse_holes
from nnlab.findings.intervals import interval_name
from nnlab.findings.load import load_runs
from nnlab.findings.statistics import aggregate
from nnlab.settings import by_architecture

__all__ = ["overview"]

METRICS = ("accuracy/test", "r2/test", "cost/train")


def overview(experiment: str, results_dir: str, swept: Sequence[str], fingerprints: Sequence[str]) -> str:
    """Return the verdicts and final metrics of some runs by what was swept, and which seeds are missing.

    Raises DamagedRunError if a run of the experiment cannot be read, ConfigError if there are none.
    """
    runs = load_runs(experiment, results_dir)
    runs = by_architecture(runs[runs["fingerprint"].isin(fingerprints)])
    if runs.empty:
        return ""
    swept = [key for key in swept if key in runs]
    seeds = most_seeds(runs, [key for key in swept if key != "seed"])
    blocks = [f"verdicts (with counts where seeds differ)\n{_wide(verdict_table(runs, swept, allow_incomplete=True))}"]
    for metric in METRICS:
        if metric in runs:
            spread = f", interquartile mean over {seeds} seeds [{interval_name(seeds)}]" if seeds > 1 else ""
            blocks.append(f"{metric}{spread}\n{_wide(summary_table(runs, swept, metric, allow_incomplete=True))}")
    missing = holes(runs, swept)
    if missing:
        blocks.append(f"not every setting has every seed; missing: {'; '.join(missing)}")
    return "\n\n".join(blocks)


def _wide(table: pd.DataFrame) -> str:
    return table.to_string(max_rows=60, max_colwidth=40)


def summary_table(
    runs: pd.DataFrame,
    swept: Sequence[str],
    metric: str,
    digits: int = 3,
    statistic: str = "iqm",
    *,
    allow_incomplete: bool = False,
) -> pd.DataFrame:
    """Return one metric over seeds, `0.641 [0.630, 0.652]`, by the other swept values.

    In brackets the 95 % interval of the statistic, by default the interquartile mean (`intervals.interval`), which for
    fewer than six runs is their range; of a single run there is none. The key with the most values runs across, the
    others down. With `allow_incomplete`, settings that lack seeds say how many they have; without it they raise
    IncompleteError. `-`: these runs have no such metric.
    """
    keys = [key for key in swept if key != "seed"]
    table = aggregate(runs, metric, keys, statistic, allow_incomplete=allow_incomplete)
    most = int(table["runs"].max())
    cells = [
        _cell(estimate, low, high, digits) + (f" of {count}" if count < most else "")
        for estimate, low, high, count in table[["estimate", "low", "high", "runs"]].itertuples(index=False)
    ]
    return _laid_out(table[keys], cells, metric, len(runs))


def most_seeds(runs: pd.DataFrame, keys: Sequence[str]) -> int:
    """Return how many seeds the setting of these keys has that has most."""
    return int(runs.groupby(list(keys), dropna=False)["seed"].nunique().max() if keys else runs["seed"].nunique())


def decimals(number: float, digits: int = 3) -> str:
    """Return a number with so many decimals, or of so many digits where it has diverged."""
    return f"{number:.{digits}f}" if abs(number) < 1e6 else f"{number:.{digits}g}"


def _cell(estimate: float, low: float, high: float, digits: int) -> str:
    if np.isnan(estimate):
        return "-"
    value, *ends = (decimals(number, digits) for number in (estimate, low, high))  # fewer would put it outside of them
    return value if np.isnan(low) else f"{value} [{', '.join(ends)}]"


def verdict_table(runs: pd.DataFrame, swept: Sequence[str], *, allow_incomplete: bool = False) -> pd.DataFrame:
    """Return the verdicts by swept value: `healthy`, or `healthy 3, linear 2` where seeds differ.

    Raises IncompleteError if some settings lack seeds that others have, unless `allow_incomplete`.
    """
    if not allow_incomplete:
        refuse_holes(runs, swept)
    keys = [key for key in swept if key != "seed"]
    if not keys:
        return _laid_out(pd.DataFrame(index=[0]), [_tally(runs["verdict"])], "verdict", len(runs))
    cells = runs.groupby(keys, dropna=False)["verdict"].agg(_tally).reset_index()
    return _laid_out(cells[keys], cells["verdict"].tolist(), "verdict", len(runs))


def _laid_out(settings: pd.DataFrame, cells: Sequence[str], name: str, runs: int) -> pd.DataFrame:
    """Return one cell for each setting as a table: the key with the most values across, the others down."""
    keys = list(settings)
    if not keys:
        return pd.DataFrame({name: list(cells)}, index=pd.Index([f"{runs} runs"]))
    across = max(keys, key=lambda key: (settings[key].nunique(), key))
    settings = settings.astype({key: object for key in keys if settings[key].isna().any()}).fillna("none")
    placed = pd.Series(list(cells), index=pd.MultiIndex.from_frame(settings), name=name, dtype="str")
    return placed.unstack(across) if len(keys) > 1 else settings.assign(**{name: placed.to_numpy()}).set_index(keys)


def _tally(verdicts: pd.Series) -> str:
    counts = verdicts.value_counts()
    return str(counts.index[0]) if len(counts) == 1 else ", ".join(f"{name} {count}" for name, count in counts.items())
