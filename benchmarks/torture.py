"""Kill a sweep at a hundred random moments and count what is lost (`python -m benchmarks.torture`).

A small sweep is started. After a random time its parent, one of its workers or all of its processes are killed with
SIGKILL, and the same command is started again. Every sweep that finishes is compared, bit for bit, with one that was
not killed, and a new sweep is started.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.tracking.connection import import_mlflow

WORDS = ("seed=range(6)", "model.hidden_size=2,3,4,5", "training.iterations=3000", "launcher.n_jobs=2")
RUNS = 24
FAULTS = ("lost", "damaged", "different", "not logged", "logged twice", "left running")


def start(results: Path) -> subprocess.Popen[bytes]:
    """Start the sweep."""
    command = [sys.executable, "-m", "nnlab", "sweep", *WORDS, f"results_dir={results}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the process ids of the sweep's children."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def kill(process: subprocess.Popen[bytes], chance: random.Random) -> str:
    """Kill some of a sweep's processes and return which: parent, worker or all."""
    victim = chance.choice(["parent", "worker", "all"])
    children = workers(process)
    try:
        if victim == "worker" and children:
            os.kill(chance.choice(children), signal.SIGKILL)
        elif victim == "parent":
            process.kill()
        else:
            victim = "all"
            os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return victim


def wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a sweep after a kill: it exits at once or runs to its end. Kill it if it hangs."""
    try:
        process.wait(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def count_faults(results: Path, expected: dict[str, pd.DataFrame]) -> Counter[str]:
    """Count the faults of a finished sweep, on disk and in MLflow, given the histories by fingerprint."""
    folders = RunFolders(Results(results), "playground")
    faults = Counter(lost=len(expected.keys() - set(folders.fingerprints())))
    faults["damaged"] = sum(not folder.name.startswith(".") for folder, _ in folders.verify())
    faults["different"] = sum(not run.history.equals(expected[run.fingerprint]) for run in folders)
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    entries = client.search_runs([client.get_experiment_by_name("playground").experiment_id], max_results=1000)
    logged = Counter(entry.data.tags["fingerprint"] for entry in entries if entry.info.status == "FINISHED")
    faults["not logged"] = len(expected.keys() - logged.keys())
    faults["logged twice"] = sum(count - 1 for count in logged.values())
    faults["left running"] = sum(entry.info.status == "RUNNING" for entry in entries)
    return faults


def torture(folder: Path, kills: int, chance: random.Random) -> tuple[Counter[str], Counter[str], int]:
    """Kill sweeps; return the faults, the number of kills by victim, and the number of finished sweeps."""
    undisturbed = folder / "undisturbed"
    clock = time.monotonic()
    assert start(undisturbed).wait() == 0
    duration = time.monotonic() - clock
    expected = {run.fingerprint: run.history for run in RunFolders(Results(undisturbed), "playground")}
    assert len(expected) == RUNS
    faults: Counter[str] = Counter()
    victims: Counter[str] = Counter()
    sweeps, results = 0, folder / "0"
    while victims.total() < kills or results.exists():
        fresh, clock = not results.exists(), time.monotonic()
        process = start(results)
        try:
            # After the last kill the sweep is left alone until it ends.
            process.wait(timeout=chance.uniform(0, 1.1 * duration) if victims.total() < kills else None)
        except subprocess.TimeoutExpired:
            victims[kill(process, chance)] += 1
            wait(process)
        if process.returncode == 0:
            if fresh:  # if the machine was busy at first, the duration is too long and few sweeps are killed in time
                duration = min(duration, time.monotonic() - clock)
            faults += count_faults(results, expected)
            sweeps += 1
            results = folder / str(sweeps)
    return faults, victims, sweeps


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        chance = random.Random(options.seed)  # noqa: S311
        faults, victims, sweeps = torture(Path(name), options.kills, chance)
    killed = ", ".join(f"{count} of {victim}" for victim, count in victims.items())
    print(f"{victims.total()} kills ({killed}) in {sweeps} sweeps of {RUNS} runs, {time.monotonic() - started:.0f} s:")
    for fault in FAULTS:
        print(f"  {faults[fault]:3d} {fault}")
    sys.exit(1 if faults.total() else 0)


if __name__ == "__main__":
    main()
