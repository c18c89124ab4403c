"""Time the core beside its peers, on one core with one BLAS thread; write docs/benchmarks.md (`make bench`).

The machine may be shared and its clock may drift: contestants take turns within a round, a time is the median over
the rounds, and a ratio is formed within each round, of neighbours in time.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_info

from experiments import probe_price
from experiments.peers import (
    FLOOR,
    JAX,
    JAX_VMAP,
    NOTES,
    OPTIONAL,
    ROWS,
    STACKED,
    TOLERANCE,
    Contestant,
    Jax,
    Nnlab,
    Problem,
    check_agreement,
    contestants,
    installed,
)
from nnlab import DataConfig, ModelConfig, RunConfig, TrainingConfig, load_dataset
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.seeding import stream
from nnlab.study.plan import CACHE, plan_stacks, prepare

__all__ = ["COLUMNS", "main", "problem_of"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
KERNEL_CHOICE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

RATIOS = {
    "notes / nnlab stacked": (NOTES, (STACKED,)),
    "nnlab stacked / JAX vmap": (STACKED, (JAX_VMAP,)),
    "nnlab stacked / best of JAX": (STACKED, (JAX, JAX_VMAP)),
    "nnlab stacked / bare tanh pass": (STACKED, (FLOOR,)),
}
"""What is divided, and by whom: by the fastest of them in each round."""

ACTIVATIONS_TIMED = ("tanh", "relu", "sigmoid")
LEARNING_RATE = 0.1
LARGEST = 64


class Column(NamedTuple):
    """A network, and how many iterations make one turn."""

    title: str
    hidden_size: int
    depth: int
    iterations: int


COLUMNS = (
    Column("h = 4", 4, 1, 400),
    Column("h = 20", 20, 1, 200),
    Column("h = 50", 50, 1, 100),
    Column("five layers of 16", 16, 5, 50),
)


class Effort(NamedTuple):
    """How long to measure: rounds, rounds for the stack sizes, the stack sizes, and what divides the iterations."""

    rounds: int = 11
    size_rounds: int = 5
    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, LARGEST)
    shorter: int = 1


QUICK = Effort(rounds=2, size_rounds=1, sizes=(1, 4), shorter=25)

Times = dict[str, list[float]]
"""Microseconds per iteration per run, one for each round, by contestant."""


class Cell(NamedTuple):
    """What was measured for one network and one activation."""

    times: Times
    sizes: dict[int, float]
    planned: int

    @property
    def best(self) -> int:
        return min(self.sizes, key=self.sizes.__getitem__)


Cells = dict[tuple[str, Column], Cell]


def problem_of(column: Column, activation: str, dtype: str = "float64") -> Problem:
    """Return the flower with networks of that shape: different ones, Xavier weights, biases zero."""
    data = load_dataset(DataConfig())
    sizes = (len(data.X), *[column.hidden_size] * column.depth, 1)
    drawn = [initialize(sizes, "xavier", 1.0, stream(seed, "bench")).flat for seed in range(LARGEST)]
    start = Parameters(sizes, np.concatenate(drawn).astype(dtype))
    return Problem(data.X.astype(dtype), data.Y.astype(dtype), start, activation, LEARNING_RATE, column.iterations)


def planned_size(column: Column, activation: str, dtype: str) -> int:
    """Return how many networks `nnlab.study.plan` puts into a stack when there are plenty and one worker."""
    model = ModelConfig(column.hidden_size, column.depth, activation=activation)
    configs = [RunConfig(seed=seed, model=model, training=TrainingConfig(dtype=dtype)) for seed in range(300)]
    return max(len(stack.jobs) for stack in plan_stacks(prepare(configs), n_jobs=1))


def measure(problem: Problem, entered: Mapping[str, Contestant], rounds: int) -> Times:
    """Warm up, check, then let the contestants take turns."""
    for peer in entered.values():
        peer.advance()
    check_agreement(problem, entered)
    times: Times = {name: [] for name in entered}
    for _ in range(rounds):
        for name, peer in entered.items():
            start = time.perf_counter()
            peer.advance()
            times[name].append((time.perf_counter() - start) / problem.iterations / peer.runs * 1e6)
    return times


def time_cell(
    column: Column,
    activation: str,
    dtype: str,
    enter: Callable[[Problem, int], Mapping[str, Contestant]],
    effort: Effort,
) -> Cell:
    """Find the best stack size, then measure anew with it beside the others."""
    problem = problem_of(column._replace(iterations=max(2, column.iterations // effort.shorter)), activation, dtype)
    planned = planned_size(column, activation, dtype)
    stacks = {str(R): Nnlab(problem, R) for R in sorted({*effort.sizes, planned})}
    sizes = {int(R): median(times) for R, times in measure(problem, stacks, effort.size_rounds).items()}
    best = min(sizes, key=sizes.__getitem__)
    return Cell(measure(problem, enter(problem, best), effort.rounds), sizes, planned)


def _single_precision(problem: Problem, R: int) -> dict[str, Contestant]:
    jax: dict[str, Contestant] = {JAX_VMAP: Jax(problem, 16)} if installed("jax") else {}
    return jax | {STACKED: Nnlab(problem, R)}


def ratios(times: Times, name: str) -> list[float] | None:
    """Return a ratio of `RATIOS` for each round, None where one of its sides is not installed."""
    over, under = RATIOS[name]
    if over not in times or not all(peer in times for peer in under):
        return None
    fastest = (min(row) for row in zip(*(times[peer] for peer in under), strict=True))
    return [a / b for a, b in zip(times[over], fastest, strict=True)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(microseconds: float) -> str:
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def _time(cell: Cell, row: str) -> str:
    stack = f" (R = {cell.best})" if row == STACKED else ""
    return _number(median(cell.times[row])) + stack


def _ratio(cell: Cell, name: str) -> str:
    found = ratios(cell.times, name)
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else "not measured"


def _titles(first: str) -> list[str]:
    return [first, *(column.title for column in COLUMNS)]


def section(activation: str, cells: Cells) -> str:
    """Return the tables of one activation: times, ratios."""
    line = [cells[activation, column] for column in COLUMNS]
    times = [[row, *(_time(cell, row) for cell in line)] for row in ROWS if row in line[0].times]
    found = [[name, *(_ratio(cell, name) for cell in line)] for name in RATIOS]
    return f"## {activation}\n\n{_table(_titles('who'), times)}\n\n{_table(_titles('median (range) of'), found)}"


def single_section(cells: Cells) -> str:
    """Return the table of float32."""
    rows = []
    for activation in ACTIVATIONS_TIMED:
        line = [cells[activation, column] for column in COLUMNS]
        rows += [[f"{activation}: {r}", *(_time(cell, r) for cell in line)] for r in ROWS if r in line[0].times]
        rows.append([f"{activation}: ratio", *(_ratio(cell, "nnlab stacked / JAX vmap") for cell in line)])
    return f"## float32\n\n{_table(_titles('who'), rows)}"


def sizes_section(cells: Cells) -> str:
    """Return the times by stack size: fastest in bold, the size that a sweep would use in the last column."""
    sizes = sorted(set.intersection(*(set(cell.sizes) for cell in cells.values())))
    rows = []
    for (activation, column), cell in cells.items():
        shown = {R: f"**{_number(t)}**" if R == cell.best else _number(t) for R, t in cell.sizes.items()}
        planned = f"R = {cell.planned}: {shown[cell.planned]}"
        rows.append([f"{activation}, {column.title}", *(shown[R] for R in sizes), planned])
    table = _table(["network", *(f"R = {R}" for R in sizes), "nnlab.study.plan"], rows)
    return (
        f"## Stack size\n\nBy the number of networks R in a stack; bold is the fastest. The plan of a sweep keeps "
        f"the widest layer within {CACHE >> 10} KiB.\n\n{table}"
    )


def targets_section(cells: Cells) -> str:
    """Return the targets, each with pass or FAIL."""
    lines = []
    for (activation, column), cell in cells.items():
        if column.title == "h = 4":
            lines.append(_target(activation, column, cell, "notes / nnlab stacked", 3.5, at_least=True))
        if activation != "relu" and column.depth == 1:
            lines.append(_target(activation, column, cell, "nnlab stacked / JAX vmap", 1.4, at_least=False))
    return "## Targets\n\n" + "\n".join(lines)


def _target(activation: str, column: Column, cell: Cell, name: str, bound: float, *, at_least: bool) -> str:
    found = ratios(cell.times, name)
    if found is None:
        return f"- not measured: {activation}, {column.title}: {name}"
    reached = median(found) >= bound if at_least else median(found) <= bound
    words = f"{median(found):.2f}, target at {'least' if at_least else 'most'} {bound:g}"
    return f"- {'pass' if reached else 'FAIL'}: {activation}, {column.title}: {name} {words}"


def heading(command: str, effort: Effort) -> str:
    """Return what was done, on which machine, and who is missing."""
    missing = _missing()
    left_out = (
        f"\n\nLeft out, not installed: {', '.join(row for package in missing for row in OPTIONAL[package])}. "
        f"To add: `.venv/bin/pip install {' '.join(missing)}`."
        if missing
        else ""
    )
    return f"""# How fast the core is

Written by `{command}` on {date.today().isoformat()}. Microseconds per iteration **per run** of full-batch gradient
descent on the flower (n_x = 2, m = 400, one output, float64), one core, one BLAS thread. Contestants take turns;
medians over {effort.rounds} rounds. A ratio is formed within each round: median (lowest to highest). Absolute times
belong to the machine, ratios are what counts.

All start from the same weights and were found to have the same cost after equally many iterations, to
{TOLERANCE["float64"]:g}; scikit-learn draws its own weights and is not in that check.

{_machine()}{left_out}"""


def _missing() -> list[str]:
    return [package for package in OPTIONAL if not installed(package)]


def _machine() -> str:
    cpuinfo, l2 = Path("/proc/cpuinfo"), Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
    models = [line.split(":")[1].strip() for line in _lines(cpuinfo) if line.startswith("model name")]
    blas: dict[str, object] = next((pool for pool in threadpool_info() if pool["user_api"] == "blas"), {})
    facts = {
        "CPU": (models or [platform.processor() or platform.machine()])[0],
        "L2 cache": (_lines(l2) or ["unknown"])[0],
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "BLAS": " ".join(str(blas.get(key, "")) for key in ("internal_api", "version", "architecture")),
        "peers": ", ".join(f"{peer} {version(peer)}" for peer in ("scikit-learn", *OPTIONAL) if peer not in _missing()),
        "load average": f"{os.getloadavg()[0]:.1f} of {os.cpu_count()} cores"
        if hasattr(os, "getloadavg")
        else "unknown",
    }
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def bench(effort: Effort, command: str, tell: Callable[[str], None]) -> str:
    """Measure everything; `tell` each part of the page as it is ready, and return the page."""
    double: Cells = {}
    parts = [heading(command, effort)]
    tell(parts[-1])
    for activation in ACTIVATIONS_TIMED:
        for column in COLUMNS:
            double[activation, column] = time_cell(column, activation, "float64", contestants, effort)
        parts.append(section(activation, double))
        tell(parts[-1])
    single = {key: time_cell(key[1], key[0], "float32", _single_precision, effort) for key in double}
    watching = probe_price.section(probe_price.prices(effort.shorter))
    for part in (single_section(single), sizes_section(double), watching, targets_section(double)):
        parts.append(part)
        tell(part)
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables and write them to docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description="Time the core beside its peers; write docs/benchmarks.md.")
    parser.add_argument("--quick", action="store_true", help="a few iterations only: to see that it works")
    parser.add_argument("--rounds", type=int, help=f"rounds of turns ({Effort().rounds})")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else Effort()
    if options.rounds is not None:
        if not 1 <= options.rounds < Nnlab.LONGEST:
            parser.error(f"--rounds must be from 1 to {Nnlab.LONGEST - 1}, got {options.rounds}")
        effort = effort._replace(rounds=options.rounds)
    words = " ".join(sys.argv[1:] if arguments is None else arguments)
    command = f'make bench ARGS="{words}"' if words else "make bench"
    page = bench(effort, command, lambda part: print(part + "\n"))
    if not options.no_write:
        PAGE.write_text(page, encoding="utf-8")


def _on_one_core() -> None:
    """Start this process anew with one thread on one core: BLAS and XLA read these variables when they are loaded.

    A kernel that the environment asks of OpenBLAS is put aside: it would hold back NumPy, not its peers.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted = {name: value for name, value in os.environ.items() if name not in KERNEL_CHOICE} | ONE_THREAD
    if wanted != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)


if __name__ == "__main__":
    _on_one_core()
    main()
