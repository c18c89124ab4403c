"""Load recorded runs and their curves, from run folders or from MLflow."""

import warnings
from collections.abc import Sequence

import pandas as pd

from nnlab.config import MEASURES, RunConfig
from nnlab.diagnostics.sweep_cause import SUFFICIENT
from nnlab.record.explanations import read_explanations
from nnlab.record.frames import read_curves, read_file, read_rows, runs_frame
from nnlab.results import Results
from nnlab.settings import setting_keys

__all__ = ["load_curves", "load_explanations", "load_runs", "with_cures"]

NONE_FOUND = "none found"
CURE_COLUMNS = ["cure", "aspects", "others"]


def load_runs(experiment: str, results_dir: str = RunConfig.results_dir, *, uri: str | None = None) -> pd.DataFrame:
    """Return one row per recorded run of an experiment, from its run folders or, with `uri`, from MLflow alone.

    `uri` is `http://...` or a database such as `sqlite:///results/mlflow.db` (a relative path starts where a relative
    `results_dir` does). Both sources give the same frame except for `folder`, which with `uri` is where MLflow keeps
    the run's artifacts. `load_curves` accepts both.

    Columns: `fingerprint`, by which rows are sorted; `folder`; `task`; `measures`, the version of the measurements; the
    config keys (`model.hidden_size`, ...); `verdict`; `outcome`; `sweep_cause`, which is `stuck`, `narrow` or empty
    (`nnlab.diagnostics.sweep_cause`; from MLflow the tag, which the end of a sweep and `nnlab sync` bring up to date);
    the final metrics (`cost/train`, ...), sorted, NaN where a run has no such quantity. Config columns have the type of
    their key: int64, float64, bool or str. Keys that may be None have Int64 or boolean, with NA for None. A list is
    kept as text, so that runs can be grouped by it.

    Warns if runs have different versions of the measurements, because their metrics do not compare.

    Raises ConfigError if the experiment has no recorded runs, DamagedRunError if a run folder cannot be read, and
    UnreachableError if a server does not answer.
    """
    if uri is None:
        runs = runs_frame(read_rows(experiment, Results.at(results_dir)))
    else:
        from nnlab.tracking.frames import read_entries

        runs = runs_frame(read_entries(experiment, uri))
    if runs["measures"].nunique() > 1:
        counts = runs["measures"].value_counts().sort_index()
        listed = ", ".join(f"{count} with version {version}" for version, count in counts.items())
        warnings.warn(
            f"the runs of {experiment} were measured differently ({listed} of the measurements; the newest is "
            f"{MEASURES}), so some of their metrics do not compare: sweep the older ones again with "
            "launcher.force=true, or select runs by the column measures",
            stacklevel=2,
        )
    return runs


def load_explanations(experiment: str, results_dir: str = RunConfig.results_dir) -> pd.DataFrame:
    """Return the answers of `nnlab why` about networks that did not learn: one row for each run of such a network.

    Columns: `fingerprint`; `cure`, the change that is named as the cause, such as "width x 4", or two with "and"
    between them, or "none found"; `aspects`, what it changes, such as ("width",); `others`, the names of the other
    smallest changes that suffice. Some of the runs may belong to the experiment "EXPERIMENT why". Without explanations
    the frame is empty.
    """
    rows = [
        (fingerprint, " and ".join(found.cause) or NONE_FOUND, found.aspects, found.others)
        for found in read_explanations(Results.at(results_dir), experiment)
        if not found.learned
        for fingerprint in found.outcomes
    ]
    return pd.DataFrame(rows, columns=["fingerprint", *CURE_COLUMNS])


def with_cures(runs: pd.DataFrame, explanations: pd.DataFrame) -> pd.DataFrame:
    """Return runs with the columns `cure`, `aspects` and `others` of the explanation of their setting.

    Where there is none, `cure` is "learned" if at least 4 of 5 seeds of the setting learned, "nothing to learn" if that
    is the outcome, and "not explained" otherwise; `aspects` and `others` are empty.
    """
    keys = setting_keys(runs)
    settings = [setting for _, setting in runs.groupby(keys, dropna=False)] if keys else [runs]
    return pd.concat([_with_cure(setting, explanations) for setting in settings]).loc[runs.index]


def _with_cure(setting: pd.DataFrame, explanations: pd.DataFrame) -> pd.DataFrame:
    found = explanations[explanations["fingerprint"].isin(setting["fingerprint"])]
    cure, aspects, others = "not explained", (), ()
    if len(found):
        cure, aspects, others = (found[name].iloc[0] for name in CURE_COLUMNS)
    elif (setting["outcome"] == "learned").mean() >= SUFFICIENT:
        cure = "learned"
    elif (setting["outcome"] == "nothing to learn").all():
        cure = "nothing to learn"
    tuples = {"aspects": [aspects] * len(setting), "others": [others] * len(setting)}
    return setting.assign(cure=cure, **{name: pd.Series(each, setting.index, object) for name, each in tuples.items()})


def load_curves(runs: pd.DataFrame, quantities: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the measurements of the probes in these runs: fingerprint, iteration, layer, quantity, value.

    `runs` is a frame of `load_runs`, or some of its rows; `quantities` picks a few (None: all). Runs keep the order of
    `runs`; fingerprint and quantity are categories. Curves are complete from either source: MLflow's artifacts hold
    the same file as the run folder (its charts show fewer points). Raises DamagedRunError if a file cannot be read,
    and ConfigError if none of the runs has one of the quantities.
    """
    if not runs["folder"].str.contains("://", regex=False).any():
        return read_curves(runs, quantities, read_file)
    from nnlab.tracking.frames import read_artifact

    return read_curves(runs, quantities, read_artifact)
