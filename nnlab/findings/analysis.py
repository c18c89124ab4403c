"""From what was recorded to frames: load, aggregate, tabulate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nnlab.config import ConfigError, RunConfig, flatten, independent_keys, results_path
from nnlab.record.store import DamagedRunError, read_facts

__all__ = ["IncompleteError", "holes", "load_curves", "load_runs", "summary_table", "varied", "verdict_table"]


class IncompleteError(ValueError):
    """Runs are missing that a comparison needs. The message names them."""


def load_runs(experiment: str, results_dir: str = RunConfig.results_dir) -> pd.DataFrame:
    """Return one row for each recorded run of an experiment.

    Columns: `fingerprint`, `folder`, the config keys (`model.hidden_size`, ...) with their types (lists as text, so
    that runs can be grouped by them), `verdict`, and the final metrics (`cost/train`, ...). Raises ConfigError if
    nothing is recorded under that name.
    """
    folder = results_path(results_dir) / "runs" / experiment
    if folder.parent != results_path(results_dir) / "runs" or experiment in ("", ".", ".."):
        raise ConfigError(f"experiment must be a name, not a path, got {experiment!r}")
    rows = [_row(path.parent) for path in sorted(folder.glob("[!.]*/run.json"))]
    if not rows:
        known = sorted(path.name for path in folder.parent.glob("*")) if folder.parent.is_dir() else []
        raise ConfigError(
            f"experiment must be one that has recorded runs ({', '.join(known) or 'there are none yet'}), "
            f"got {experiment!r}"
        )
    return pd.DataFrame(rows)


def load_curves(runs: pd.DataFrame, quantities: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what the probes saw in these runs: fingerprint, iteration, layer, quantity, value.

    `runs` is a frame of `load_runs`, or some of its rows; `quantities` picks a few (None: all).
    """
    if isinstance(quantities, str):
        quantities = [quantities]
    filters = pc.field("quantity").isin(list(quantities)) if quantities is not None else None
    frames = []
    for fingerprint, folder in zip(runs["fingerprint"], runs["folder"], strict=True):
        path = Path(folder) / "history.parquet"
        try:
            frame = pq.read_table(path, filters=filters).to_pandas()
        except (OSError, ValueError) as error:  # pyarrow's own are of these kinds
            raise DamagedRunError(f"{path} cannot be read ({error}): `make verify` lists what is damaged") from None
        frame.insert(0, "fingerprint", fingerprint)
        frames.append(frame)
    if not frames:
        return pd.DataFrame(columns=["fingerprint", "iteration", "layer", "quantity", "value"])
    return pd.concat(frames, ignore_index=True)


def varied(runs: pd.DataFrame) -> list[str]:
    """Return the config keys that were varied between these runs, as they come in the config.

    What merely follows from another choice, as a data set's noise from its name, is left out.
    """
    return independent_keys({key: runs[key].astype(str).tolist() for key in flatten(RunConfig()) if key in runs})


def holes(runs: pd.DataFrame, swept: Sequence[str]) -> list[str]:
    """Return which settings lack seeds that others have: `["model.hidden_size 4: seeds 3, 4"]`.

    A setting is a combination of swept values other than the seed that occurs at all.
    """
    keys = [key for key in swept if key != "seed"]
    if not keys or "seed" not in runs:
        return []
    everywhere = set(runs["seed"])
    found = []
    for setting, group in runs.groupby(keys, dropna=False):
        missing = sorted(everywhere - set(group["seed"]))
        if missing:
            named = ", ".join(f"{key} {value}" for key, value in zip(keys, setting, strict=True))
            found.append(f"{named}: seed{'s' * (len(missing) > 1)} {', '.join(map(str, missing))}")
    return found


def _refuse_holes(runs: pd.DataFrame, swept: Sequence[str]) -> None:
    found = holes(runs, swept)
    if found:
        more = f"; and {len(found) - 5} settings more" if len(found) > 5 else ""
        raise IncompleteError(
            f"every setting must have the same seeds to be compared (or allow_incomplete=True), missing: "
            f"{'; '.join(found[:5])}{more}"
        )


def summary_table(
    runs: pd.DataFrame, swept: Sequence[str], metric: str, digits: int = 3, *, allow_incomplete: bool = False
) -> pd.DataFrame:
    """Return mean ± standard deviation over seeds of one metric, by the other swept values.

    The key with the most values runs across, the others down. With a single seed there is no spread to show. Raises
    IncompleteError if some settings lack seeds that others have, unless `allow_incomplete`.
    """
    if not allow_incomplete:
        _refuse_holes(runs, swept)
    keys = [key for key in swept if key != "seed"]
    if not keys:
        cell = _cell(runs[metric], digits)
        return pd.DataFrame({metric: [cell]}, index=pd.Index([f"{len(runs)} runs"]))
    across = max(keys, key=lambda key: (runs[key].nunique(), key))
    down = [key for key in keys if key != across]
    cells = runs.groupby(keys, dropna=False)[metric].agg(lambda values: _cell(values, digits))
    if not down:
        return cells.to_frame(metric)
    return cells.unstack(across)


def verdict_table(runs: pd.DataFrame, swept: Sequence[str], *, allow_incomplete: bool = False) -> pd.DataFrame:
    """Return the verdicts by swept value: `healthy`, or `healthy 3, linear 2` where seeds differ.

    Raises IncompleteError if some settings lack seeds that others have, unless `allow_incomplete`.
    """
    if not allow_incomplete:
        _refuse_holes(runs, swept)
    keys = [key for key in swept if key != "seed"]
    if not keys:
        return pd.DataFrame({"verdict": [_tally(runs["verdict"])]}, index=pd.Index([f"{len(runs)} runs"]))
    across = max(keys, key=lambda key: (runs[key].nunique(), key))
    cells = runs.groupby(keys, dropna=False)["verdict"].agg(_tally)
    return cells.unstack(across) if len(keys) > 1 else cells.to_frame("verdict")


def _tally(verdicts: pd.Series) -> str:
    counts = verdicts.value_counts()
    return str(counts.index[0]) if len(counts) == 1 else ", ".join(f"{name} {count}" for name, count in counts.items())


def _cell(values: pd.Series, digits: int) -> str:
    numbers = values.astype(float)
    if len(numbers) == 1:
        return f"{numbers.iloc[0]:.{digits}f}"
    return f"{numbers.mean():.{digits}f} ±{numbers.std():.{digits}f}"


def _row(folder: Path) -> dict[str, Any]:
    facts = read_facts(folder)
    metrics = {name: float(value) for name, value in facts["metrics"].items()}
    verdict = facts["verdict"][0]["name"]
    return {
        "fingerprint": facts["fingerprint"],
        "folder": str(folder),
        **{key: str(value) if isinstance(value, list) else value for key, value in facts["config"].items()},
        "verdict": verdict,
        **metrics,
    }
