"""Time whole sweeps beside the naive way; write docs/sweeps.md (second half of `make bench`).

Every sweep is a process of its own, timed from outside, into a fresh folder: imports, composing, training, probes, disk
and MLflow are all in its time.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from benchmarks.speed import KERNEL_CHOICE
from nnlab.results import Results

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "sweeps.md"
GRID: dict[str, Any] = yaml.safe_load(
    (ROOT / "conf" / "experiment" / "initialization.yaml").read_text(encoding="utf-8")
)
PARAMS: dict[str, Any] = GRID["hydra"]["sweeper"]["params"]
SIZES = (50, 500, 5000)


class Sweep(NamedTuple):
    """One timed sweep: how many runs, seconds from outside, largest process in MiB, and what it told of itself."""

    runs: int
    seconds: float
    memory: float
    parts: dict[str, float]

    @property
    def per_run(self) -> float:
        return self.seconds / self.runs


def timed(command: Sequence[str], runs: int, folder: Path) -> Sweep:
    """Run a sweep in a process of its own."""
    # As in speed.py: BLAS chooses its own kernel.
    own_choice = {name: value for name, value in os.environ.items() if name not in KERNEL_CHOICE}
    environment = own_choice | {"PYTHONPATH": str(ROOT), "NNLAB_BENCH": str(folder / "parts.json")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    parts = folder / "parts.json"
    told = json.loads(parts.read_text(encoding="utf-8")) if parts.is_file() else {}
    # The kernel only keeps the largest child there ever was.
    memory = told.pop("memory", max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, before) / 1024)
    return Sweep(runs, seconds, memory, told)


def naive(iterations: int, sizes: str) -> Sweep:
    """Time the naive sweep over the activations and widths of the default one, with one scale and seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        activations = PARAMS["model.activation"].replace(" ", "")
        words = [f"results={folder}", f"activation={activations}", f"hidden_size={sizes}", f"iterations={iterations}"]
        command = [
            str(ROOT / "experiments" / "bench" / "naive_sweep.py"),
            "-m",
            *words,
            f"hydra.sweep.dir={folder}/hydra",
        ]
        return timed(command, len(activations.split(",")) * len(sizes.split(",")), folder)


def ours(words: Sequence[str], runs: int) -> Sweep:
    """Time one of nnlab's sweeps."""
    with tempfile.TemporaryDirectory() as name:
        command = [str(ROOT / "experiments" / "bench" / "sweeps.py"), "--child", "-m", f"results_dir={name}", *words]
        return timed(command, runs, Path(name))


def child(words: Sequence[str]) -> None:
    """Be `experiments/train.py`, and note where the writer's time goes."""
    from nnlab.cli import main as train
    from nnlab.record.run_folders import RunFolders
    from nnlab.tracking.runs import RunTracker

    spent = {"training": 0.0, "storing": 0.0, "logging": 0.0}

    def clocked(owner: Any, method: str, part: str) -> None:
        original = getattr(owner, method)

        def call(self: Any, run: Any, *rest: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(self, run, *rest, **options)
            finally:
                spent[part] += time.perf_counter() - started
                if part == "storing":
                    spent["training"] += run.facts["seconds"]

        setattr(owner, method, call)

    clocked(RunFolders, "write", "storing")
    clocked(RunTracker, "log", "logging")
    sys.argv = ["train.py", *words]
    try:
        train.main()
    finally:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Path(os.environ["NNLAB_BENCH"]).write_text(json.dumps(spent | {"memory": own}), encoding="utf-8")


class Way(NamedTuple):
    """One way of launching the default sweep: what it took, and the digest of all its histories and parameters."""

    name: str
    sweep: Sweep
    digest: str


def ways(words: Sequence[str], runs: int, experiment: str) -> list[Way]:
    """Launch the same sweep in every way there is, without MLflow."""
    from distributed import LocalCluster

    chosen = {
        "stacks on one worker": ["launcher.n_jobs=1"],
        "stacks on two workers": ["launcher.n_jobs=2"],
        "Hydra's basic launcher": ["hydra/launcher=basic"],
        "Hydra's joblib launcher": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    }
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        chosen["stacks on a Dask cluster"] = ["launcher=dask", f"launcher.address={cluster.scheduler_address}"]
        return [launched(name, [*words, "tracking=off", *more], runs, experiment) for name, more in chosen.items()]


def launched(name: str, words: Sequence[str], runs: int, experiment: str) -> Way:
    """Launch a sweep in one way."""
    from nnlab.record.run_folders import RunFolders

    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "nnlab.cli.main", "-m", f"results_dir={folder}", *words]
        sweep = timed(command, runs, Path(folder))
        store = RunFolders(Results(Path(folder)), experiment)
        if len(store.fingerprints()) != runs:
            raise RuntimeError(f"{name}: {len(store.fingerprints())} runs, not {runs}")
        digest = hashlib.sha256()
        for run in store:
            digest.update(pd.util.hash_pandas_object(run.history).to_numpy().tobytes())
            for value in run.parameters.values():
                digest.update(value.tobytes())
        return Way(name, sweep, digest.hexdigest())


def ways_section(found: Sequence[Way]) -> str:
    """Return the table of all ways of launching."""
    rows = "\n".join(f"| {way.name} | {way.sweep.seconds:.0f} | {way.digest[:12]} |" for way in found)
    same = len({way.digest for way in found}) == 1
    return f"""## Every way of launching

The default sweep without MLflow, {found[0].sweep.runs} runs, and a digest of all histories and parameters, bit by bit.

| launched by | seconds | digest |
|---|---:|---|
{rows}

- {"pass" if same else "FAIL"}: the same bits in every way
"""


def page(peer: Sweep, default: Sweep, growth: Sequence[Sweep], empty: float, workers: int, iterations: int) -> str:
    """Return the page."""
    parts = default.parts
    training, logging = parts["training"] / workers, parts["logging"]
    bound = max(training, logging)
    table = "\n".join(
        f"| {name} | {sweep.runs} | {sweep.seconds:.1f} | {1000 * sweep.per_run:.0f} "
        f"| {peer.per_run / sweep.per_run:.1f} |"
        for name, sweep in {"naive": peer, "nnlab": default}.items()
    )
    first, *_, last = growth
    grown = "\n".join(
        f"| {sweep.runs} | {sweep.seconds:.1f} | {sweep.per_run * 1000:.1f} | {sweep.per_run / first.per_run:.2f} "
        f"| {sweep.memory:.0f} |"
        for sweep in growth
    )
    checks = [
        (peer.per_run / default.per_run, 25.0, "naive / nnlab, per run", True),
        (default.seconds / bound, 1.35, "nnlab / the larger of training and logging", False),
        (last.per_run / first.per_run, 1.15, f"per run at {last.runs} / at {first.runs} runs", False),
        (empty, 3.0, "seconds for 500 jobs that do nothing", False),
    ]
    targets = "\n".join(
        f"- {'pass' if (value >= bound if least else value <= bound) else 'FAIL'}: {name} {value:.2f}, "
        f"target at {'least' if least else 'most'} {bound:g}"
        for value, bound, name, least in checks
    )
    shares = ", ".join(f"{name} {spent:.1f} s" for name, spent in parts.items())
    return f"""# How fast sweeps are

Written by `make bench` on {date.today().isoformat()}, on {workers} cores, load {os.getloadavg()[0]:.1f}. Every sweep
is a process of its own, timed from outside into a fresh folder: imports, composing, training, probes, disk, MLflow on
SQLite.

## Beside the naive sweep

The naive sweep is what people write first (`experiments/bench/naive_sweep.py`): Hydra's basic launcher, the textbook's
loop, six metrics every 100 iterations by `mlflow.log_metric`; the default sweep's activations and widths, one scale and
seed. nnlab's is the default sweep with everything that it records. {iterations:,} iterations each.

| | runs | seconds | ms per run | times as fast |
|---|---:|---:|---:|---:|
{table}

Where nnlab's time goes, each on its own clock: {shares}
(training and probes summed over {workers} workers, disk and MLflow in the one writer, at the same time). The larger of
training per worker and logging is {bound:.1f} s.

## Growth

Runs of 200 iterations and four units, everything recorded.

| runs | seconds | ms per run | relative to the first | MiB of the writer |
|---:|---:|---:|---:|---:|
{grown}

500 jobs that do nothing, composed, launched and kept as Hydra promises: {empty:.1f} s.

## Targets

{targets}
"""


EMPTY = """
import sys
from nnlab.cli import main as train
train.task.batch = lambda jobs, *rest: [0.0 for job in jobs if job]
sys.argv = ["train.py", "-m", "results_dir=" + sys.argv[1], "seed=range(500)"]
train.main()
"""


def empty_jobs() -> float:
    """Return how long 500 jobs take that do nothing."""
    with tempfile.TemporaryDirectory() as name:
        script = Path(name) / "empty.py"
        script.write_text(EMPTY, encoding="utf-8")
        return timed([str(script), f"{name}/results"], 500, Path(name)).seconds


def main(arguments: list[str] | None = None) -> None:
    """Print the page and write it to docs/sweeps.md."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["--child"]:
        child(words[1:])
        return
    parser = argparse.ArgumentParser(description="Time sweeps beside the naive way; write docs/sweeps.md.")
    parser.add_argument("--quick", action="store_true", help="short trainings and small sweeps: to see that it works")
    parser.add_argument("--no-write", action="store_true", help="leave docs/sweeps.md alone")
    options = parser.parse_args(words)
    iterations, sizes = (200, (3, 6)) if options.quick else (10_000, SIZES)
    widths = "2,4" if options.quick else PARAMS["model.hidden_size"].replace(" ", "")
    chosen = [f"model.hidden_size={widths}", "seed=0"] if options.quick else []
    default_runs = 4 * 2 * 3 if options.quick else 420
    for name in KERNEL_CHOICE:  # for the workers of the cluster, which this process starts
        os.environ.pop(name, None)
    words_of_sweep = ["experiment=initialization", f"training.iterations={iterations}", *chosen]
    text = page(
        naive(iterations, widths),
        ours(words_of_sweep, default_runs),
        [ours([f"seed=range({size})", "training.iterations=200"], size) for size in sizes],
        empty_jobs(),
        len(os.sched_getaffinity(0)),
        iterations,
    )
    text += "\n" + ways_section(ways(words_of_sweep, default_runs, "initialization"))
    print(text)
    if not options.no_write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
