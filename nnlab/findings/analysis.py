"""From what was recorded to frames and tables. `nnlab.findings.statistics` computes on them."""

import json
import tempfile
import typing
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nnlab.config import SWEEPS, ConfigError, RunConfig, TrackingConfig, results_path
from nnlab.findings.settings import IncompleteError, holes, refuse_holes, varied
from nnlab.findings.statistics import aggregate
from nnlab.record.mlflow_store import SQLITE, check_store, connect, import_mlflow, store_uri, told_plainly
from nnlab.record.store import DamagedRunError, Store

__all__ = [
    "IncompleteError",
    "decimals",
    "holes",
    "load_curves",
    "load_runs",
    "most_seeds",
    "summary_table",
    "varied",
    "verdict_table",
]


# ---- runs


def load_runs(experiment: str, results_dir: str = RunConfig.results_dir, *, uri: str | None = None) -> pd.DataFrame:
    """Return one row for each recorded run of an experiment, from its run folders or, with `uri`, from MLflow alone.

    `uri` is MLflow's store: `http://...`, or a database, as `sqlite:///results/mlflow.db` (a relative path starts where
    `results_dir` does). The frame is the same from either but for `folder`, which then is where MLflow keeps the run's
    artifacts; `load_curves` takes both.

    Columns: `fingerprint`, by which rows are sorted; `folder`; `task`; the config keys (`model.hidden_size`, ...);
    `verdict`; the final metrics (`cost/train`, ...), sorted, NaN where a run has no such quantity. Config columns have
    the type of their key: int64, float64, bool or str, and Int64 or boolean where a key may be None, which is NA; a
    list is its text, so that runs can be grouped by it.

    Raises ConfigError if nothing is recorded under that name, DamagedRunError if a run folder cannot be read,
    UnreachableError if a server does not answer.
    """
    rows = list(_in_folders(experiment, results_dir) if uri is None else _in_mlflow(experiment, uri))
    rows.sort(key=lambda row: row["fingerprint"])
    columns = {name: _column([row[name] for row in rows], str) for name in ("fingerprint", "folder", "task")}
    columns |= {key: _column([row["config"].get(key) for row in rows], kind) for key, kind in _config_types().items()}
    columns["verdict"] = _column([row["verdict"] for row in rows], str)
    names = sorted({name for row in rows for name in row["metrics"]})
    columns |= {name: _column([row["metrics"].get(name) for row in rows], float) for name in names}
    return pd.DataFrame(columns)


def _in_folders(experiment: str, results_dir: str) -> Iterator[dict[str, Any]]:
    everything = results_path(results_dir) / "runs"
    if not isinstance(experiment, str) or Path(experiment).name != experiment or experiment in ("", ".."):
        raise ConfigError(f"experiment must be a name, not a path, got {experiment!r}")
    store = Store(results_path(results_dir), experiment)
    fingerprints = store.fingerprints()
    if not fingerprints:
        known = [path.name for path in everything.glob("*")] if everything.is_dir() else []
        raise _nothing_recorded(experiment, known)
    for fingerprint in fingerprints:
        facts = store.facts(fingerprint)
        yield {
            **{name: facts[name] for name in ("fingerprint", "task", "config")},
            "folder": str(store.path(fingerprint)),
            "verdict": facts["verdict"][0]["name"],
            "metrics": _numbers(facts["metrics"]),
        }


def _in_mlflow(experiment: str, uri: str) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    types = _config_types()
    for entry in _entries(experiment, uri):
        tags = entry.data.tags
        fingerprint = tags.get("fingerprint")
        if fingerprint is None or fingerprint in seen:  # somebody else's run; told by two machines: the newest is first
            continue
        seen.add(fingerprint)
        folder = _place(entry.info.artifact_uri, uri)
        metrics = {name: value for name, value in entry.data.metrics.items() if not name.startswith("config/")}
        if "non_finite" in tags:  # MLflow was told which, not what
            metrics |= _not_finite(folder, json.loads(tags["non_finite"]))
        yield {
            "fingerprint": fingerprint,
            "folder": folder,
            "task": tags.get("task"),
            "config": {key: _parsed(text, types[key]) for key, text in entry.data.params.items() if key in types},
            "verdict": tags.get("verdict"),
            "metrics": metrics,
        }
    if not seen:
        raise _nothing_recorded(experiment, [])


def _entries(experiment: str, uri: str) -> Iterator[Any]:
    """Yield MLflow's entries of all whole runs, the newest first."""
    config = RunConfig(tracking=TrackingConfig(uri=uri))
    check_store(config)
    where = store_uri(config)
    if where.startswith(SQLITE) and not Path(where.removeprefix(SQLITE)).is_file():  # MLflow would make one
        raise ConfigError(f"uri must name a database that is there, got {uri!r}")
    with told_plainly(where):
        client = connect(config)
        known = {found.name: found.experiment_id for found in client.search_experiments()}
    if experiment not in known:
        raise _nothing_recorded(experiment, [name for name in known if name not in ("Default", SWEEPS)])
    token = None
    while True:
        with told_plainly(where):
            page = client.search_runs(
                [known[experiment]], "attributes.status = 'FINISHED'", max_results=_PAGE, page_token=token
            )
        yield from page
        token = page.token
        if not token:
            return


_PAGE = 1_000


def _nothing_recorded(experiment: str, known: Iterable[str]) -> ConfigError:
    there = ", ".join(sorted(known)) or "there are none yet"
    return ConfigError(f"experiment must be one that has recorded runs ({there}), got {experiment!r}")


def _numbers(metrics: Mapping[str, float | str]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _not_finite(folder: str, names: Sequence[str]) -> dict[str, float]:
    """Return the metrics that MLflow does not store from the run's own file, or NaN where its artifacts are gone."""
    try:
        metrics = _numbers(json.loads(_content(folder, "run.json"))["metrics"])
    except (DamagedRunError, ValueError, KeyError):
        metrics = {}
    return {name: metrics.get(name, np.nan) for name in names}


@cache
def _config_types() -> dict[str, Any]:
    """Return the declared type of every config key: `{"seed": int, ..., "training.batch_size": int | None}`."""

    def leaves(prefix: str, part: type) -> Iterator[tuple[str, Any]]:
        hints = typing.get_type_hints(part)
        for field in fields(part):
            kind = hints[field.name]
            if is_dataclass(kind):
                yield from leaves(f"{prefix}{field.name}.", kind)  # type: ignore[arg-type]  # no instance, a class
            else:
                yield prefix + field.name, kind

    return dict(leaves("", RunConfig))


def _alone(kind: Any) -> tuple[Any, bool]:
    """Return a type without its None, and whether it had one."""
    parts = typing.get_args(kind)
    optional = type(None) in parts
    return (next(part for part in parts if part is not type(None)) if optional else kind), optional


_DTYPES = {int: ("int64", "Int64"), float: ("float64", "float64"), bool: ("bool", "boolean")}
"""pandas' type for values that are always there, and for values that may be missing; all others are texts."""


def _column(values: Sequence[Any], kind: Any) -> pd.Series:
    """Return values in the type of their key. A key that is younger than a run is missing there."""
    alone, optional = _alone(kind)
    if alone not in _DTYPES:
        return pd.Series([None if value is None else str(value) for value in values], dtype="str")
    always, nullable = _DTYPES[alone]
    return pd.Series(values, dtype=nullable if optional or None in values else always)


def _parsed(text: str, kind: Any) -> Any:
    """Return what a param of MLflow's, which are all texts, stands for."""
    alone, optional = _alone(kind)
    if optional and text == "null":
        return None
    return text == "True" if alone is bool else alone(text) if alone in _DTYPES else text


# ---- files of runs, here or among MLflow's artifacts


def _place(artifacts: str, uri: str) -> str:
    """Return the place of a run's artifacts: a folder if it is one, else an address that says which server."""
    address = urllib.parse.urlparse(artifacts)
    if address.scheme == "file":
        return urllib.request.url2pathname(address.path)
    if address.scheme == "mlflow-artifacts":
        return f"{uri.rstrip('/')}/api/2.0/mlflow-artifacts/artifacts/{address.path.lstrip('/')}"
    return artifacts


def _content(folder: str, name: str) -> bytes:
    """Return a file of a run."""
    try:
        if "://" not in folder:
            with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123 a Path for each takes as long
                return file.read()
        with tempfile.TemporaryDirectory() as target:
            found = import_mlflow().artifacts.download_artifacts(f"{folder}/{name}", dst_path=target)
            return Path(found).read_bytes()
    except Exception as error:  # each kind of artifact store raises errors of its own
        raise _damaged(folder, name, error) from None


def _damaged(folder: str, name: str, error: Exception) -> DamagedRunError:
    return DamagedRunError(f"{folder}/{name} cannot be read ({error}): `make verify` lists what is damaged")


# ---- curves


_SCHEMA = pa.schema(
    [
        ("iteration", pa.int64()),
        ("layer", pa.int16()),
        ("quantity", pa.dictionary(pa.int32(), pa.string())),
        ("value", pa.float64()),
    ]
)
_FILES = 256
"""How many files are joined at once: ten thousand tables of a few kilobytes take three times the memory of one."""


def load_curves(runs: pd.DataFrame, quantities: Sequence[str] | None = None) -> pd.DataFrame:
    """Return what the probes saw in these runs: fingerprint, iteration, layer, quantity, value.

    `runs` is a frame of `load_runs`, or some of its rows; `quantities` picks a few (None: all). Runs come in the order
    of `runs`; fingerprint and quantity are categories. Curves are complete from either source: MLflow's artifacts
    hold the same file as the run folder (what MLflow draws are fewer points). Raises DamagedRunError if a file cannot
    be read, ConfigError if none of the runs has one of the quantities.
    """
    wanted = [quantities] if isinstance(quantities, str) else quantities
    codes, fingerprints = pd.factorize(runs["fingerprint"])
    names: dict[str, int] = {}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("run", *_SCHEMA.names)}
    for table in _joined(list(zip(codes.tolist(), runs["folder"], strict=True))):
        if wanted is not None:
            table = table.filter(pc.is_in(table["quantity"], pa.array(list(wanted), pa.string())))
        quantity = table["quantity"].unify_dictionaries().combine_chunks()
        numbers = [names.setdefault(name, len(names)) for name in quantity.dictionary.to_pylist()]
        parts["quantity"].append(np.array(numbers, np.int16)[quantity.indices.to_numpy()])
        for name in ("run", "iteration", "layer", "value"):
            parts[name].append(table[name].to_numpy())
    unknown = [name for name in wanted or () if name not in names]
    if unknown and len(runs):
        there = ", ".join(sorted(load_curves(runs.iloc[:_FILES])["quantity"].cat.categories)) or "none"
        raise ConfigError(f"quantities must be recorded in these runs ({there}), got {', '.join(map(repr, unknown))}")
    # Column by column, so that no more than one is there twice.
    run, quantity = (np.concatenate(parts.pop(name)) for name in ("run", "quantity"))
    columns = {
        "fingerprint": pd.Categorical.from_codes(run, fingerprints),
        "iteration": np.concatenate(parts.pop("iteration")),
        "layer": np.concatenate(parts.pop("layer")),
        "quantity": _categories(quantity, names),
        "value": np.concatenate(parts.pop("value")),
    }
    return pd.DataFrame(columns, copy=False)


def _categories(codes: NDArray[np.int16], names: Mapping[str, int]) -> pd.Categorical:
    """Return the quantities that occur, sorted by name, whichever run was read first."""
    counts = np.bincount(codes, minlength=len(names))  # a pass; pandas' own way to drop the others sorts millions
    kept = sorted(name for name, number in names.items() if counts[number])
    place = np.zeros(len(names), np.int16)
    place[[names[name] for name in kept]] = np.arange(len(kept))
    return pd.Categorical.from_codes(place.take(codes), pd.Index(kept, dtype="str"), validate=False)


def _joined(runs: Sequence[tuple[int, str]]) -> Iterator[pa.Table]:
    """Yield the curves of many runs, given by number and folder, a few hundred at a time."""
    yield _SCHEMA.empty_table().append_column("run", pa.array([], pa.int32()))
    read = partial(_history, alike={})
    with ThreadPoolExecutor(8) as pool:  # it waits for servers; files are faster without
        for start in range(0, len(runs), _FILES):
            numbers, folders = zip(*runs[start : start + _FILES], strict=True)
            tables = list((pool.map if "://" in folders[0] else map)(read, folders))
            run = np.repeat(np.array(numbers, np.int32), [len(table) for table in tables])
            yield pa.concat_tables(tables).append_column("run", pa.array(run))


def _history(folder: str, alike: dict[bytes, tuple[pq.ParquetSchema, pa.Table]]) -> pa.Table:
    """Return the curves of one run.

    Runs of a sweep differ in the values alone, the last column: what stands before them in a file, byte by byte the
    same as in an earlier one, is in `alike` and is not decoded again.
    """
    content = _content(folder, "history.parquet")
    try:
        file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=["quantity"])
        before = content[: _start_of_values(file.metadata)]
        schema, others = alike.get(before, (None, None))
        if schema is not None and len(others) == file.metadata.num_rows and schema.equals(file.schema):
            values = file.read(columns=["value"], use_threads=False)
            return others.append_column(_SCHEMA.field("value"), values["value"])
        table = file.read(columns=_SCHEMA.names, use_threads=False)
        if not table.schema.equals(_SCHEMA):
            return table.cast(_SCHEMA)
        if before:
            alike[before] = file.schema, table.drop_columns(["value"])
        return table
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own are of these kinds
        raise _damaged(folder, "history.parquet", error) from None


def _start_of_values(metadata: pq.FileMetaData) -> int:
    """Return where in a file the values begin that are its last column; 0 where they are not."""
    if metadata.num_row_groups != 1:
        return 0
    last = metadata.row_group(0).column(metadata.num_columns - 1)
    starts = [start for start in (last.dictionary_page_offset, last.data_page_offset) if start]
    return min(starts) if last.path_in_schema == "value" and starts else 0


# ---- tables


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
