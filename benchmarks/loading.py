"""Time the loading of thousands of curves beside MLflow's own way; write docs/loading.md (part of `make bench`).

The runs are copies of one that was trained, with curves of random numbers: as many folders, and as many rows in the
tables of MLflow, as that many runs would have left. Copying by SQL takes minutes where `log_batch` would take an hour.
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

import numpy as np
import pandas as pd

import nnlab
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.tracking.connection import connect

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "loading.md"
QUANTITIES = 15
CHECKPOINTS = 60
LEAST = 50
EXPERIMENT = "loading"


def make(folder: Path, runs: int, quantities: int, checkpoints: int) -> Run:
    """Leave the folders and the database of many runs; return one of them."""
    config = nnlab.RunConfig(
        data=nnlab.DataConfig(m=20, test_m=10),
        training=nnlab.TrainingConfig(iterations=2),
        tracking=nnlab.TrackingConfig(experiment=EXPERIMENT),
        results_dir=str(folder),
    )
    (run,) = nnlab.sweep([config], n_jobs=1, tracking=True)
    # Costs and scores come first: a run without them is none.
    names = sorted(run.history["quantity"].unique(), key=lambda name: not name.startswith(("cost", "acc")))[:quantities]
    history = pd.DataFrame(
        {
            "iteration": np.tile(np.arange(checkpoints), len(names)),
            "layer": np.zeros(checkpoints * len(names), np.int16),
            "quantity": np.repeat(names, checkpoints),
        }
    )
    store, rng = RunFolders(Results(folder), EXPERIMENT), np.random.default_rng(0)
    for number in range(1, runs):
        curves = history.assign(value=rng.random(len(history)))
        store.write(dataclasses.replace(run, history=curves, fingerprint=f"{number:016x}"))
    _copy_entries(folder / "mlflow.db", runs, list(names), checkpoints)
    return run


def _copy_entries(database: Path, runs: int, names: Sequence[str], checkpoints: int) -> None:
    """Give every run what MLflow would have written for it: its entry, params, tags and points."""
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


def by_mlflow(folder: Path, sample: int) -> tuple[float, float, int]:
    """Return seconds for `search_runs` of all runs, and for the histories of one run, over a sample; and the points."""
    client = connect(nnlab.RunConfig(results_dir=str(folder)))
    started = time.perf_counter()
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    found = [*(some := client.search_runs([experiment], max_results=1_000))]
    while some.token:
        found += (some := client.search_runs([experiment], max_results=1_000, page_token=some.token))
    searched = time.perf_counter() - started
    chosen = found[:: max(1, len(found) // sample)][:sample]
    names = sorted({row[0] for row in _names(folder / "mlflow.db", chosen[0].info.run_id)})
    points = 0
    started = time.perf_counter()
    for entry in chosen:
        points += sum(len(client.get_metric_history(entry.info.run_id, name)) for name in names)
    return searched, (time.perf_counter() - started) / len(chosen), points // len(chosen)


def _names(database: Path, run_id: str) -> list[tuple[str]]:
    with contextlib.closing(sqlite3.connect(database)) as tables:
        return tables.execute("SELECT DISTINCT key FROM metrics WHERE run_uuid = ?", [run_id]).fetchall()


CHILD = """
import json, sys, time
from pathlib import Path
import nnlab
def memory(name):  # getrusage would count the parent's, from before exec
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[name].split()[0]) / 1024
folder, uri = sys.argv[1], sys.argv[2] or None
nnlab.load_runs, nnlab.load_curves
base = memory("VmRSS")
started = time.perf_counter()
runs = nnlab.load_runs("loading", folder, uri=uri)
listed = time.perf_counter() - started
curves = nnlab.load_curves(runs)
taken = time.perf_counter() - started
frame = curves.memory_usage(deep=False).sum() / 2**20
print(json.dumps([listed, taken, len(runs), len(curves), frame, memory("VmHWM"), base]))
"""


def by_nnlab(folder: Path, uri: str) -> list[float]:
    """Return seconds for the runs and for all, numbers of runs and rows, MiB of the frame, the process and before."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), uri], cwd=ROOT, check=True, capture_output=True, text=True
    )
    values: list[float] = json.loads(done.stdout)
    return values


def page(runs: int, quantities: int, checkpoints: int, sample: int) -> str:
    """Measure, and return the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, runs, quantities, checkpoints)
        os.sync()  # or whoever comes first waits for gigabytes to be written
        local = by_nnlab(folder, "")
        searched, history, points = by_mlflow(folder, sample)
        times = [local[1], *(by_nnlab(folder, "")[1] for _ in range(2))]
    ours, theirs = statistics.median(times), searched + runs * history
    cores, load, each = len(os.sched_getaffinity(0)), os.getloadavg()[0], 1000 * history
    listed, _, _, rows, frame, peak, base = local
    taken = ", ".join(f"{seconds:.1f}" for seconds in times)
    verdict = "pass" if theirs / ours >= LEAST else "FAIL"
    return f"""# How fast curves are loaded

Written by `make bench` on {date.today().isoformat()}, on {cores} cores, load {load:.1f}.
{runs:,} runs with {checkpoints} checkpoints of {quantities} quantities each: {rows:,.0f} rows. Side by side on
the same machine in one go: nnlab, MLflow, nnlab twice again, each in a process of its own.

| | seconds | of which |
|---|---:|---|
| `load_runs`, `load_curves` | {taken} | settings and metrics {listed:.1f} s the first time |
| `search_runs`, `get_metric_history` | {theirs:.0f} | all runs {searched:.1f} s; {each:.0f} ms a run, {points} points |

The histories were asked of {min(sample, runs)} runs spread over all of them, and counted for {runs:,}. MLflow's store
is SQLite on this machine, without a server between.

- {verdict}: MLflow / nnlab {theirs / ours:.0f}, by the median of the three; target at least {LEAST}
- the frame takes {frame:.0f} MiB; the process grew from {base:.0f} to {peak:.0f} MiB at its peak
"""


def main(arguments: list[str] | None = None) -> None:
    """Print the page and write it to docs/loading.md."""
    parser = argparse.ArgumentParser(description="Time the loading of curves beside MLflow; write docs/loading.md.")
    parser.add_argument("--quick", action="store_true", help="few runs: to see that it works")
    parser.add_argument("--no-write", action="store_true", help="leave docs/loading.md alone")
    options = parser.parse_args(arguments)
    text = page(30, 4, 5, 5) if options.quick else page(10_000, QUANTITIES, CHECKPOINTS, 200)
    print(text)
    if not options.no_write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
