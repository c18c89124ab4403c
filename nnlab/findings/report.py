"""The report on an experiment: question, verdicts, curves, tables over seeds, failures, how the runs were made.

It is one HTML page, self-contained, and opens without network. Its layout is in report.html.j2, its figures and tables
are in `nnlab.findings.sections`.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import jinja2
import pandas as pd

from nnlab.config import RunConfig, flatten
from nnlab.findings.completeness import holes
from nnlab.findings.load import load_explanations, load_runs
from nnlab.findings.panels import run_count
from nnlab.findings.sections import Block, cure_sections, figure_sections, score_tables, table_block, verdict_section
from nnlab.findings.style import OUTCOME_COLOURS, ink, labels, shaded, values_of
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results
from nnlab.settings import by_architecture, constant, varied

__all__ = ["report"]

MOST_NAMED = 5
"""The most missing runs of the last sweep that are named."""


def report(
    experiment: str, results_dir: str = RunConfig.results_dir, fingerprints: Collection[str] | None = None
) -> str:
    """Return the report on the recorded runs of an experiment: all runs, or those with these fingerprints.

    Raises ConfigError if there are none.
    """
    recorded = load_runs(experiment, results_dir)
    runs = recorded if fingerprints is None else recorded[recorded["fingerprint"].isin(list(fingerprints))]
    runs = by_architecture(runs.reset_index(drop=True))
    swept = varied(runs)
    log = SweepLog(Results.at(results_dir))
    sweeps = [sweep for sweep in log if sweep.experiment == experiment]
    return _template().render(
        experiment=experiment,
        question=log.question(experiment),
        runs=run_count(runs),
        others=len(recorded) - len(runs),
        outcomes=_outcome_counts(runs),
        verdicts=", ".join(f"{name} {number}" for name, number in Counter(runs["verdict"]).most_common()),
        swept=_swept_values(runs, swept),
        missing=[*(f"{hole}: other settings have it" for hole in holes(runs, swept)), *_unmade(runs, sweeps)],
        sections=[
            verdict_section(runs, swept),
            *cure_sections(runs, swept, load_explanations(experiment, results_dir)),
            *figure_sections(runs, swept),
            *score_tables(runs, swept),
        ],
        failures=_failures(sweeps, set(recorded["fingerprint"])),
        same=_constant_values(runs),
        sweeps=list(reversed(sweeps)),
    )


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("nnlab.findings", "")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("report.html.j2")


# ---- runs


def _outcome_counts(runs: pd.DataFrame) -> list[dict[str, object]]:
    """Return the outcomes, with their counts and colours."""
    counts = Counter(runs["outcome"])
    return [
        {"name": name, "count": counts[name], "colour": shaded(name), "ink": ink(shaded(name))}
        for name in OUTCOME_COLOURS
        if counts[name]
    ]


def _unmade(runs: pd.DataFrame, sweeps: Sequence[SweepSummary]) -> list[str]:
    """Return a sentence about the runs of the last sweep that were not made, if there are any."""
    made = set(runs["fingerprint"])
    missing = [name for fingerprint, name in sweeps[-1].runs.items() if fingerprint not in made] if sweeps else []
    if not missing:
        return []
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    return [f"of the last sweep, {len(missing)} runs: {', '.join(missing[:MOST_NAMED])}{more}"]


def _failures(sweeps: Sequence[SweepSummary], made: Collection[str]) -> list[dict[str, str]]:
    """Return the latest failure of each run that was not made afterwards, with the last line of its traceback."""
    latest = {failure["fingerprint"]: failure for sweep in sweeps for failure in sweep.failures}
    return [
        {**failure, "error": failure["traceback"].strip().splitlines()[-1]}
        for fingerprint, failure in latest.items()
        if fingerprint not in made
    ]


# ---- config


def _swept_values(runs: pd.DataFrame, swept: Sequence[str]) -> Block | None:
    """Return a table of the swept keys with their values, and of the keys that only varied together with others."""
    rows = {key: _values(runs, key) for key in swept}
    for key in flatten(RunConfig()):
        # Such a key may have made the difference. Keys of `data` are left out: a data set brings their values.
        own = key.split(".")[0] in ("model", "init", "training") and key in runs and key not in swept
        if own and runs[key].nunique(dropna=False) > 1:
            rows[f"{key} (never alone)"] = _values(runs, key)
    return table_block("varied keys", pd.DataFrame({"values": rows})) if rows else None


def _values(runs: pd.DataFrame, key: str) -> str:
    return ", ".join(labels(values_of(runs, key)))


def _constant_values(runs: pd.DataFrame) -> Block:
    values = {key: str(value) for key, value in constant(runs).items() if runs[key].notna().all()}
    return table_block("the same in all runs", pd.DataFrame({"value": values}))
