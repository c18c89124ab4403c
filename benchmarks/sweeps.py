"""Time whole sweeps beside a naive one; write docs/sweeps.md (part of `make bench`).

Every sweep runs in its own process, is timed from outside and writes into a new folder. Its time includes imports,
composing, training, probes, disk and MLflow.
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
from benchmarks.targets import Target, report_missed
from nnlab.results import Results

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "sweeps.md"
GRID: dict[str, Any] = yaml.safe_load(
    (ROOT / "conf" / "experiment" / "initialization.yaml").read_text(encoding="utf-8")
)
PARAMS: dict[str, Any] = GRID["hydra"]["sweeper"]["params"]
SIZES = (50, 500, 5000)


class Sweep(NamedTuple):
    """One timed sweep: number of runs, seconds, MiB of its largest process, and seconds by part as it reports them."""

    runs: int
    seconds: float
    memory: float
    parts: dict[str, float]

    @property
    def per_run(self) -> float:
        return self.seconds / self.runs


def timed(command: Sequence[str], runs: int, folder: Path) -> Sweep:
    """Run a sweep in its own process."""
    # As in speed.py, BLAS chooses its own kernel.
    unforced = {name: value for name, value in os.environ.items() if name not in KERNEL_CHOICE}
    environment = unforced | {"PYTHONPATH": str(ROOT), "NNLAB_BENCH": str(folder / "parts.json")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    report = folder / "parts.json"
    parts = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    # Without a report: the kernel only keeps the maximum over all children so far.
    memory = parts.pop("memory", max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, before) / 1024)
    return Sweep(runs, seconds, memory, parts)


def time_naive_sweep(iterations: int, sizes: str) -> Sweep:
    """Time the naive sweep over the activations and widths of the default one, with one scale and seed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        activations = PARAMS["model.activation"].replace(" ", "")
        words = [f"results={folder}", f"activation={activations}", f"hidden_size={sizes}", f"iterations={iterations}"]
        command = ["-m", "benchmarks.naive_sweep", "-m", *words, f"hydra.sweep.dir={folder}/hydra"]
        return timed(command, len(activations.split(",")) * len(sizes.split(",")), folder)


def time_sweep(words: Sequence[str], runs: int) -> Sweep:
    """Time `nnlab sweep` with the given words."""
    with tempfile.TemporaryDirectory() as name:
        command = ["-m", "benchmarks.sweeps", "--child", *words, f"results_dir={name}"]
        return timed(command, runs, Path(name))


def child(words: Sequence[str]) -> None:
    """Run `nnlab sweep` in this process and report where the writer's time goes."""
    from nnlab.cli.main import main as run_nnlab
    from nnlab.record.run_folders import RunFolders
    from nnlab.tracking.log_runs import RunTracker

    spent = {"training": 0.0, "writing": 0.0, "logging": 0.0}

    def clocked(owner: Any, method: str, part: str) -> None:
        original = getattr(owner, method)

        def call(self: Any, run: Any, *rest: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(self, run, *rest, **options)
            finally:
                spent[part] += time.perf_counter() - started
                if part == "writing":
                    spent["training"] += run.facts["seconds"]

        setattr(owner, method, call)

    clocked(RunFolders, "write", "writing")
    clocked(RunTracker, "log", "logging")
    sys.argv[1:] = ["sweep", *words]
    try:
        run_nnlab()
    finally:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        Path(os.environ["NNLAB_BENCH"]).write_text(json.dumps(spent | {"memory": own}), encoding="utf-8")


class Launch(NamedTuple):
    """One way of launching the default sweep, with a digest of all its histories and parameters."""

    name: str
    sweep: Sweep
    digest: str


def launch_every_way(words: Sequence[str], runs: int, experiment: str) -> list[Launch]:
    """Run the same sweep with every launcher, without MLflow."""
    from distributed import LocalCluster

    launchers = {
        "stacks on one worker": ["launcher.n_jobs=1"],
        "stacks on two workers": ["launcher.n_jobs=2"],
        "Hydra's basic launcher": ["hydra/launcher=basic"],
        "Hydra's joblib launcher": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    }
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        launchers["stacks on a Dask cluster"] = ["launcher=dask", f"launcher.address={cluster.scheduler_address}"]
        return [launch(name, [*words, "tracking=off", *more], runs, experiment) for name, more in launchers.items()]


def launch(name: str, words: Sequence[str], runs: int, experiment: str) -> Launch:
    """Run the sweep in one way and compute its digest."""
    from nnlab.record.run_folders import RunFolders

    with tempfile.TemporaryDirectory() as folder:
        sweep = timed(["-m", "nnlab", "sweep", *words, f"results_dir={folder}"], runs, Path(folder))
        folders = RunFolders(Results(Path(folder)), experiment)
        if len(folders.fingerprints()) != runs:
            raise RuntimeError(f"{name}: {len(folders.fingerprints())} runs, not {runs}")
        digest = hashlib.sha256()
        for run in folders:
            digest.update(pd.util.hash_pandas_object(run.history).to_numpy().tobytes())
            for value in run.parameters.values():
                digest.update(value.tobytes())
        return Launch(name, sweep, digest.hexdigest())


def launch_section(launches: Sequence[Launch]) -> str:
    """Return the table of all ways of launching."""
    rows = "\n".join(f"| {one.name} | {one.sweep.seconds:.0f} | {one.digest[:12]} |" for one in launches)
    return f"""## Every way of launching

The default sweep without MLflow, {launches[0].sweep.runs} runs, with a digest of the bits of all histories and
parameters. The digest must be the same in every row.

| launched by | seconds | digest |
|---|---:|---|
{rows}
"""


def page(naive: Sweep, default: Sweep, growth: Sequence[Sweep], empty: float, workers: int, iterations: int) -> str:
    """Return the page without its table of launches."""
    page_targets = targets(naive, default, growth, empty, workers)
    return f"""# How fast sweeps are

Written by `make bench` on {date.today().isoformat()}, on {workers} cores, load {os.getloadavg()[0]:.1f}. Every sweep
runs in its own process, is timed from outside and writes into a new folder. Its time includes imports, composing,
training, probes, disk and MLflow on SQLite.

{_naive_section(naive, default, workers, iterations)}

{_growth_section(growth, empty)}

## Targets

{"".join(f"- {target}" + chr(10) for target in page_targets)}"""


def targets(naive: Sweep, default: Sweep, growth: Sequence[Sweep], empty: float, workers: int) -> list[Target]:
    """Return the figures that have a target."""
    first, *_, last = growth
    return [
        Target("naive / nnlab, per run", naive.per_run / default.per_run, 25.0, at_least=True),
        Target("nnlab / the larger of training and logging", default.seconds / _bottleneck(default, workers), 1.35),
        Target(f"per run at {last.runs} / at {first.runs} runs", last.per_run / first.per_run, 1.15),
        Target("seconds for 500 jobs that do nothing", empty, 3.0),
    ]


def _bottleneck(sweep: Sweep, workers: int) -> float:
    """Return a lower bound on the seconds of a sweep: training and logging overlap."""
    return max(sweep.parts["training"] / workers, sweep.parts["logging"])


def _naive_section(naive: Sweep, default: Sweep, workers: int, iterations: int) -> str:
    rows = "\n".join(
        f"| {name} | {sweep.runs} | {sweep.seconds:.1f} | {1000 * sweep.per_run:.0f} "
        f"| {naive.per_run / sweep.per_run:.1f} |"
        for name, sweep in {"naive": naive, "nnlab": default}.items()
    )
    parts = ", ".join(f"{name} {spent:.1f} s" for name, spent in default.parts.items())
    return f"""## Beside a naive sweep

The naive sweep (`benchmarks/naive_sweep.py`) uses Hydra's basic launcher, the textbook's loop, and six metrics every
100 iterations by `mlflow.log_metric`. It has the activations and widths of the default sweep, with one scale and seed.
nnlab's sweep is the default one, with everything that it records. Both train for {iterations:,} iterations.

| | runs | seconds | ms per run | times as fast |
|---|---:|---:|---:|---:|
{rows}

nnlab's time by part: {parts}. Training includes the probes and is summed over
{workers} workers; writing run folders and logging to MLflow happen in the one writer, at the same time. The larger of
training per worker and logging is {_bottleneck(default, workers):.1f} s."""


def _growth_section(growth: Sequence[Sweep], empty: float) -> str:
    rows = "\n".join(
        f"| {sweep.runs} | {sweep.seconds:.1f} | {sweep.per_run * 1000:.1f} | {sweep.per_run / growth[0].per_run:.2f} "
        f"| {sweep.memory:.0f} |"
        for sweep in growth
    )
    return f"""## Growth

Runs of 200 iterations and four units, everything recorded.

| runs | seconds | ms per run | relative to the first | MiB of the writer |
|---:|---:|---:|---:|---:|
{rows}

500 jobs that do nothing, composed and launched, each with Hydra's own job folder: {empty:.1f} s."""


EMPTY = """
import sys
from nnlab.cli import hydra_app, main
hydra_app.train_batch = lambda jobs, *rest, **options: [0.0 for job in jobs if job]
sys.argv[1:] = ["sweep", "results_dir=" + sys.argv[1], "seed=range(500)"]
main.main()
"""


def time_empty_jobs() -> float:
    """Return the seconds for 500 jobs that do nothing."""
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
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps", description="Time sweeps beside a naive one; write docs/sweeps.md."
    )
    parser.add_argument("--quick", action="store_true", help="short trainings and small sweeps, to try the command")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(words)
    for name in KERNEL_CHOICE:  # for the workers of the cluster, which this process starts
        os.environ.pop(name, None)
    text, page_targets, launches = measure(options.quick)
    print(text)
    if not options.no_write:
        PAGE.write_text(text, encoding="utf-8")
    report_missed(page_targets)
    if len({one.digest for one in launches}) > 1:
        sys.exit("the ways of launching gave different bits: see the digests above")


def measure(quick: bool) -> tuple[str, list[Target], list[Launch]]:
    """Time all sweeps; return the page, its targets and the launches. `quick` makes trainings and sweeps small."""
    iterations, sizes = (200, (3, 6)) if quick else (10_000, SIZES)
    widths = "2,4" if quick else PARAMS["model.hidden_size"].replace(" ", "")
    fewer = [f"model.hidden_size={widths}", "seed=0"] if quick else []
    runs, workers = 4 * 2 * 3 if quick else 420, len(os.sched_getaffinity(0))
    words = ["initialization", f"training.iterations={iterations}", *fewer]
    naive, default = time_naive_sweep(iterations, widths), time_sweep(words, runs)
    growth = [time_sweep([f"seed=range({size})", "training.iterations=200"], size) for size in sizes]
    empty = time_empty_jobs()
    text = page(naive, default, growth, empty, workers, iterations)
    launches = launch_every_way(words, runs, "initialization")
    return f"{text}\n{launch_section(launches)}", targets(naive, default, growth, empty, workers), launches


if __name__ == "__main__":
    main()
