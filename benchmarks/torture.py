"""Kill a sweep at random moments, a hundred times, and count what is lost (`make torture`).

A small sweep is started, and after a random time its parent, one of its workers or all of its processes are killed with
SIGKILL; the same command is then typed again. Whenever a sweep has come to its end it is compared with an undisturbed
one, bit for bit, and a new one is begun.
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

ROOT = Path(__file__).resolve().parents[1]
WORDS = ("-m", "seed=range(6)", "model.hidden_size=2,3,4,5", "training.iterations=3000", "launcher.n_jobs=2")
RUNS = 24


def start(results: Path) -> subprocess.Popen[bytes]:
    """Type the sweep."""
    command = [sys.executable, str(ROOT / "experiments" / "train.py"), *WORDS, f"results_dir={results}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def workers(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the process numbers of the sweep's children."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def strike(process: subprocess.Popen[bytes], chance: random.Random) -> str:
    """Kill some of a sweep's processes; return which."""
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


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for a sweep that was struck: it ends at once, or goes on to its end. One that hangs is not left behind."""
    try:
        process.wait(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def check(results: Path, expected: dict[str, pd.DataFrame]) -> Counter[str]:
    """Count what is lost, doubled, damaged or different in a sweep that has come to its end."""
    store = RunFolders(Results(results), "playground")
    found = Counter(lost=len(expected.keys() - set(store.fingerprints())))
    found["damaged"] = sum(not folder.name.startswith(".") for folder, _ in store.problems())
    found["different"] = sum(not run.history.equals(expected[run.fingerprint]) for run in store)
    client = import_mlflow().MlflowClient(f"sqlite:///{results / 'mlflow.db'}")
    entries = client.search_runs([client.get_experiment_by_name("playground").experiment_id], max_results=1000)
    told = Counter(entry.data.tags["fingerprint"] for entry in entries if entry.info.status == "FINISHED")
    found["untold"] = len(expected.keys() - told.keys())
    found["doubled"] = sum(count - 1 for count in told.values())
    found["ghosts"] = sum(entry.info.status == "RUNNING" for entry in entries)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    totals: Counter[str] = Counter()
    victims: Counter[str] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        undisturbed = Path(name) / "undisturbed"
        clock = time.monotonic()
        assert start(undisturbed).wait() == 0
        whole = time.monotonic() - clock
        expected = {run.fingerprint: run.history for run in RunFolders(Results(undisturbed), "playground")}
        assert len(expected) == RUNS
        kills = sweeps = 0
        results = Path(name) / "0"
        while kills < options.kills or results.exists():
            fresh, clock = not results.exists(), time.monotonic()
            process = start(results)
            try:
                # After the last kill the sweep is left in peace, so that it comes to its end.
                process.wait(timeout=chance.uniform(0, 1.1 * whole) if kills < options.kills else None)
            except subprocess.TimeoutExpired:
                victims[strike(process, chance)] += 1
                kills += 1
                _wait(process)
            if process.returncode == 0:
                if fresh:  # on a machine that was busy with something else at first, few would be killed in time
                    whole = min(whole, time.monotonic() - clock)
                totals += check(results, expected)
                sweeps += 1
                results = Path(name) / str(sweeps)
    struck = ", ".join(f"{count} of {victim}" for victim, count in victims.items())
    print(f"{kills} kills ({struck}) in {sweeps} sweeps of {RUNS} runs, {time.monotonic() - started:.0f} s:")
    for what in ("lost", "damaged", "different", "untold", "doubled", "ghosts"):
        print(f"  {totals[what]:3d} {what}")
    sys.exit(1 if sum(totals.values()) else 0)


if __name__ == "__main__":
    main()
