"""Many run folders as frames: one row per run, and their curves."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nnlab.config import KEYS, ConfigError
from nnlab.diagnostics.outcome import NOT_MEASURED
from nnlab.record.causes import causes_of
from nnlab.record.explanations import read_explanations
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import DamagedRunError, as_floats, measures_of
from nnlab.results import Results

__all__ = [
    "DTYPES",
    "no_such_experiment",
    "read_curves",
    "read_file",
    "read_rows",
    "runs_frame",
    "unreadable_file",
]


# ---- runs


def runs_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row per run, sorted by fingerprint; `nnlab.load_runs` describes the columns.

    Each of `rows` has `fingerprint`, `folder`, `task`, `measures`, `verdict`, `outcome`, `sweep_cause`, and the
    mappings `config` and `metrics`. Runs recorded before a key existed have its default.
    """
    rows = sorted(rows, key=lambda row: row["fingerprint"])
    columns = {name: _column([row[name] for row in rows], str) for name in ("fingerprint", "folder", "task")}
    columns["measures"] = _column([row["measures"] for row in rows], int)
    columns |= {
        name: _column([row["config"].get(name, key.default) for row in rows], key.type, key.optional)
        for name, key in KEYS.items()
    }
    columns |= {name: _column([row[name] for row in rows], str) for name in ("verdict", "outcome", "sweep_cause")}
    names = sorted({name for row in rows for name in row["metrics"]})
    columns |= {name: _column([row["metrics"].get(name) for row in rows], float) for name in names}
    return pd.DataFrame(columns)


def read_rows(experiment: str, results: Results) -> list[dict[str, Any]]:
    """Return the rows for `runs_frame` from an experiment's run folders. Raises the errors of `nnlab.load_runs`."""
    if not isinstance(experiment, str) or Path(experiment).name != experiment or experiment in ("", ".."):
        raise ConfigError(f"experiment must be a name, not a path, got {experiment!r}")
    folders = RunFolders(results, experiment)
    rows = [_row(folders, fingerprint) for fingerprint in folders.fingerprints()]
    if not rows:
        raise no_such_experiment(experiment, results.experiments())
    causes = causes_of(rows, read_explanations(results, experiment))
    return [{**row, "sweep_cause": causes[row["fingerprint"]]} for row in rows]


def _row(folders: RunFolders, fingerprint: str) -> dict[str, Any]:
    facts = folders.facts(fingerprint)
    return {
        **{name: facts[name] for name in ("fingerprint", "task", "config")},
        "folder": str(folders.path(fingerprint)),
        "measures": measures_of(facts),
        "verdict": facts["verdict"][0]["name"],
        "outcome": facts.get("outcome", NOT_MEASURED),
        "metrics": as_floats(facts["metrics"]),
    }


def no_such_experiment(experiment: str, recorded: Iterable[str]) -> ConfigError:
    """Return the error for an experiment without recorded runs; it names the experiments that have some."""
    there = ", ".join(sorted(recorded)) or "there are none yet"
    return ConfigError(f"experiment must be one that has recorded runs ({there}), got {experiment!r}")


DTYPES = {int: ("int64", "Int64"), float: ("float64", "float64"), bool: ("bool", "boolean")}
"""The pandas dtypes of a column that is complete and of one with missing values; every other type is text."""


def _column(values: Sequence[Any], kind: type, optional: bool = False) -> pd.Series:
    """Return values in the dtype of their key, or of a metric, which some runs may lack."""
    if kind not in DTYPES:
        return pd.Series([None if value is None else str(value) for value in values], dtype="str")
    always, nullable = DTYPES[kind]
    return pd.Series(values, dtype=nullable if optional or None in values else always)


# ---- curves


_SCHEMA = pa.schema(
    [
        ("iteration", pa.int64()),
        ("layer", pa.int16()),
        ("quantity", pa.dictionary(pa.int32(), pa.string())),
        ("value", pa.float64()),
    ]
)
_FILES_AT_ONCE = 256
"""Files joined in one step: ten thousand separate tables of a few kilobytes take three times the memory of one."""

ReadFile = Callable[[str, str], bytes]
"""Returns the content of a file, given the run's folder (or address) and the file's name."""


def read_curves(runs: pd.DataFrame, quantities: Sequence[str] | None, read: ReadFile) -> pd.DataFrame:
    """Return the measurements of the probes in these runs; `nnlab.load_curves` describes the frame and the errors."""
    selection = [quantities] if isinstance(quantities, str) else quantities
    codes, fingerprints = pd.factorize(runs["fingerprint"])
    names: dict[str, int] = {}
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("run", *_SCHEMA.names)}
    for table in _joined(list(zip(codes.tolist(), runs["folder"], strict=True)), read):
        if selection is not None:
            table = table.filter(pc.is_in(table["quantity"], pa.array(list(selection), pa.string())))
        quantity = table["quantity"].unify_dictionaries().combine_chunks()
        numbers = [names.setdefault(name, len(names)) for name in quantity.dictionary.to_pylist()]
        parts["quantity"].append(np.array(numbers, np.int16)[quantity.indices.to_numpy()])
        for name in ("run", "iteration", "layer", "value"):
            parts[name].append(table[name].to_numpy())
    unknown = [name for name in selection or () if name not in names]
    if unknown and len(runs):
        first = read_curves(runs.iloc[:_FILES_AT_ONCE], None, read)
        there = ", ".join(sorted(first["quantity"].cat.categories)) or "none"
        raise ConfigError(f"quantities must be recorded in these runs ({there}), got {', '.join(map(repr, unknown))}")
    # Column by column, so that no more than one exists twice.
    run, quantity = (np.concatenate(parts.pop(name)) for name in ("run", "quantity"))
    columns = {
        "fingerprint": pd.Categorical.from_codes(run, fingerprints),
        "iteration": np.concatenate(parts.pop("iteration")),
        "layer": np.concatenate(parts.pop("layer")),
        "quantity": _categories(quantity, names),
        "value": np.concatenate(parts.pop("value")),
    }
    return pd.DataFrame(columns, copy=False)


def read_file(folder: str, name: str) -> bytes:
    """Return a file of a run folder. Raises DamagedRunError if it cannot be read."""
    try:
        with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123  building a Path for each takes as long
            return file.read()
    except OSError as error:
        raise unreadable_file(folder, name, error) from None


def unreadable_file(folder: str, name: str, error: Exception) -> DamagedRunError:
    """Return the error for a file of a run that cannot be read."""
    return DamagedRunError(f"{folder}/{name} cannot be read ({error}): `nnlab verify` lists what is damaged")


def _categories(codes: NDArray[np.int16], names: Mapping[str, int]) -> pd.Categorical:
    """Return the quantities that occur, sorted by name, whichever run was read first."""
    counts = np.bincount(codes, minlength=len(names))  # one pass; pandas drops unused categories by sorting millions
    present = sorted(name for name, number in names.items() if counts[number])
    place = np.zeros(len(names), np.int16)
    place[[names[name] for name in present]] = np.arange(len(present))
    return pd.Categorical.from_codes(place.take(codes), pd.Index(present, dtype="str"), validate=False)


def _joined(runs: Sequence[tuple[int, str]], read: ReadFile) -> Iterator[pa.Table]:
    """Yield the curves of many runs, given by number and folder, a few hundred at a time."""
    yield _SCHEMA.empty_table().append_column("run", pa.array([], pa.int32()))
    load = partial(_history, read=read, alike={})
    with ThreadPoolExecutor(8) as pool:  # for servers; local files are faster without threads
        for start in range(0, len(runs), _FILES_AT_ONCE):
            numbers, folders = zip(*runs[start : start + _FILES_AT_ONCE], strict=True)
            tables = list((pool.map if "://" in folders[0] else map)(load, folders))
            run = np.repeat(np.array(numbers, np.int32), [len(table) for table in tables])
            yield pa.concat_tables(tables).append_column("run", pa.array(run))


def _history(folder: str, read: ReadFile, alike: dict[bytes, tuple[pq.ParquetSchema, pa.Table]]) -> pa.Table:
    """Return the curves of one run.

    Runs of one sweep differ only in the values, the last column. If the bytes before it are the same as in an
    earlier file, the other columns are taken from `alike` instead of being decoded again.
    """
    content = read(folder, "history.parquet")
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
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors derive from these
        raise unreadable_file(folder, "history.parquet", error) from None


def _start_of_values(metadata: pq.FileMetaData) -> int:
    """Return the offset of the values if they are the last column of the file, else 0."""
    if metadata.num_row_groups != 1:
        return 0
    last = metadata.row_group(0).column(metadata.num_columns - 1)
    starts = [start for start in (last.dictionary_page_offset, last.data_page_offset) if start]
    return min(starts) if last.path_in_schema == "value" and starts else 0
