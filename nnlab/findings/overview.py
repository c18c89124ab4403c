"""What the terminal shows of a sweep when it is done: tables as text."""

from collections.abc import Sequence

import pandas as pd

from nnlab.findings.analysis import load_runs, most_seeds, summary_table, verdict_table
from nnlab.findings.intervals import interval_name
from nnlab.findings.settings import by_architecture, holes

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
