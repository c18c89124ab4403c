"""Time the loading of thousands of curves beside MLflow's client; write docs/loading.md (part of `make bench`).

One run is trained and copied, with curves of random numbers, into as many run folders and as many rows of MLflow's
tables as that many real runs would leave. Copying by SQL takes minutes where `log_batch` would take an hour.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import nnlab
from benchmarks.targets import Target, report_missed
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.tracking.connection import connect

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "loading.md"
QUANTITIES = 15
CHECKPOINTS = 60
LEAST = 50
EXPERIMENT = "loading"


def write_runs(folder: Path, runs: int, quantities: int, checkpoints: int) -> None:
    """Write the run folders and the database of many runs."""
    config = nnlab.RunConfig(
        data=nnlab.DataConfig(m=20, test_m=10),
        training=nnlab.TrainingConfig(iterations=2),
        tracking=nnlab.TrackingConfig(experiment=EXPERIMENT),
        results_dir=str(folder),
    )
    (run,) = nnlab.sweep([config], n_jobs=1, tracking=True)
    # Costs and scores come first: run folders without them are invalid.
    names = sorted(run.history["quantity"].unique(), key=lambda name: not name.startswith(("cost", "acc")))[:quantities]
    history = pd.DataFrame(
        {
            "iteration": np.tile(np.arange(checkpoints), len(names)),
            "layer": np.zeros(checkpoints * len(names), np.int16),
            "quantity": np.repeat(names, checkpoints),
        }
    )
    folders, rng = RunFolders(Results(folder), EXPERIMENT), np.random.default_rng(0)
    for number in range(1, runs):
        curves = history.assign(value=rng.random(len(history)))
        folders.write(dataclasses.replace(run, history=curves, fingerprint=f"{number:016x}"))
    _copy_entries(folder / "mlflow.db", runs, list(names), checkpoints)


def _copy_entries(database: Path, runs: int, names: Sequence[str], checkpoints: int) -> None:
    """Copy the MLflow entry of one run for all others, with its params and tags, and write the points of all."""
    with contextlib.closing(sqlite3.connect(database)) as tables, tables:
        ((first,),) = tables.execute("SELECT run_uuid FROM tags WHERE key = 'fingerprint'").fetchall()
        numbers = json.dumps([*range(1, runs)])
        for table in ("runs", "params", "tags", "latest_metrics"):
            columns = [row[1] for row in tables.execute(f"PRAGMA table_info({table})")]
            taken = ", ".join("printf('%032x', n.value)" if name == "run_uuid" else f"t.{name}" for name in columns)
            tables.execute(
                f"INSERT INTO {table} SELECT {taken} FROM {table} t, json_each(?) n WHERE t.run_uuid = ?",  # noqa: S608
                (numbers, first),
            )
        tables.execute("UPDATE tags SET value = substr(run_uuid, 17) WHERE key = 'fingerprint'")
        tables.execute("DELETE FROM metrics")
        ids = [first, *(f"{number:032x}" for number in range(1, runs))]
        tables.executemany(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, 0, ?, ?, 0)",
            ((name, 1 / (step + 1), run, step) for run in ids for name in names for step in range(checkpoints)),
        )
        tables.execute("ANALYZE")


def time_mlflow(folder: Path, sample: int) -> tuple[float, float, int]:
    """Return the seconds of `search_runs` for all runs, and the seconds and points of the histories of one run.

    Histories are fetched for a sample of the runs.
    """
    client = connect(nnlab.RunConfig(results_dir=str(folder)))
    started = time.perf_counter()
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    entries = [*(batch := client.search_runs([experiment], max_results=1_000))]
    while batch.token:
        entries += (batch := client.search_runs([experiment], max_results=1_000, page_token=batch.token))
    searched = time.perf_counter() - started
    chosen = entries[:: max(1, len(entries) // sample)][:sample]
    names = sorted({row[0] for row in _metric_names(folder / "mlflow.db", chosen[0].info.run_id)})
    points = 0
    started = time.perf_counter()
    for entry in chosen:
        points += sum(len(client.get_metric_history(entry.info.run_id, name)) for name in names)
    return searched, (time.perf_counter() - started) / len(chosen), points // len(chosen)


def _metric_names(database: Path, run_id: str) -> list[tuple[str]]:
    with contextlib.closing(sqlite3.connect(database)) as tables:
        return tables.execute("SELECT DISTINCT key FROM metrics WHERE run_uuid = ?", [run_id]).fetchall()


CHILD = """
import json, sys, time
from pathlib import Path
import nnlab
def memory(name):  # getrusage would include the memory of the parent before exec
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) / 1024
folder = sys.argv[1]
nnlab.load_runs, nnlab.load_curves
base = memory("VmRSS")
started = time.perf_counter()
runs = nnlab.load_runs("loading", folder)
listed = time.perf_counter() - started
curves = nnlab.load_curves(runs)
taken = time.perf_counter() - started
frame = curves.memory_usage(deep=False).sum() / 2**20
print(json.dumps([listed, taken, len(runs), len(curves), frame, memory("VmHWM"), base]))
"""


class Loaded(NamedTuple):
    """One loading by nnlab in a new process: seconds, sizes, and MiB of the frame and of the process."""

    listed: float
    seconds: float
    runs: int
    rows: int
    frame: float
    peak: float
    before: float


def time_nnlab(folder: Path) -> Loaded:
    """Load all runs and curves in a new process."""
    command = [sys.executable, "-c", CHILD, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Loaded(*json.loads(done.stdout))


def page(runs: int, quantities: int, checkpoints: int, sample: int) -> tuple[str, Target]:
    """Measure, and return the page and its target."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_runs(folder, runs, quantities, checkpoints)
        os.sync()  # or the first measurement waits until gigabytes are written
        first = time_nnlab(folder)
        searched, history, points = time_mlflow(folder, sample)
        times = [first.seconds, *(time_nnlab(folder).seconds for _ in range(2))]
    mlflow = searched + runs * history
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    seconds = ", ".join(f"{one:.1f}" for one in times)
    curves = f"{1000 * history:.0f} ms for the {points} points of a run"
    target = Target("MLflow / nnlab", mlflow / statistics.median(times), LEAST, at_least=True, form=".0f")
    text = f"""# How fast curves are loaded

Written by `make bench` on {date.today().isoformat()}, on {cores} cores, load {load:.1f}.
{runs:,} runs with {checkpoints} checkpoints of {quantities} quantities each: {first.rows:,} rows. Measured one
after the other on the same machine: nnlab, MLflow, then nnlab twice more; nnlab each time in a new process.

| | seconds | of which |
|---|---:|---|
| `load_runs`, `load_curves` | {seconds} | runs {first.listed:.1f} s the first time |
| `search_runs`, `get_metric_history` | {mlflow:.0f} | runs {searched:.1f} s; {curves} |

MLflow's time for histories was measured on {min(sample, runs)} evenly spaced runs and scaled to {runs:,}. MLflow's
database is SQLite on this machine, without a server in between. The ratio uses the median of nnlab's three times.

- {target}
- the frame takes {first.frame:.0f} MiB; the process grew from {first.before:.0f} to {first.peak:.0f} MiB at its peak
"""
    return text, target


def main(arguments: list[str] | None = None) -> None:
    """Print the page and write it to docs/loading.md."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loading",
        description="Time the loading of curves beside MLflow; write docs/loading.md.",
    )
    parser.add_argument("--quick", action="store_true", help="few runs, to try the command")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    text, target = page(30, 4, 5, 5) if options.quick else page(10_000, QUANTITIES, CHECKPOINTS, 200)
    print(text)
    if not options.no_write:
        PAGE.write_text(text, encoding="utf-8")
    report_missed([target])


if __name__ == "__main__":
    main()
