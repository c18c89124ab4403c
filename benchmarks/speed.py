"""Time the core beside its peers, on one core with one BLAS thread; write docs/benchmarks.md (`make bench`).

The machine may be shared and its clock may drift: contestants take turns within a round, a time is the median over
the rounds, and a ratio is formed within each round, of neighbours in time.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import probe_price
from benchmarks.peers import Nnlab
from benchmarks.tables import floor_section, heading, section, single_section, sizes_section, targets_section
from benchmarks.timing import ACTIVATIONS_TIMED, COLUMNS, Cells, Effort, everybody, in_single_precision, time_cell

__all__ = ["main"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
KERNEL_CHOICE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

QUICK = Effort(rounds=2, size_rounds=1, sizes=(1, 4), shorter=25)


def bench(effort: Effort, command: str, tell: Callable[[str], None]) -> str:
    """Measure everything; `tell` each part of the page as it is ready, and return the page."""
    double: Cells = {}
    parts = [heading(command, effort)]
    tell(parts[-1])
    for activation in ACTIVATIONS_TIMED:
        for column in COLUMNS:
            double[activation, column] = time_cell(column, activation, "float64", everybody, effort)
        parts.append(section(activation, double))
        tell(parts[-1])
    single = {key: time_cell(key[1], key[0], "float32", in_single_precision, effort) for key in double}
    watching = probe_price.section(probe_price.prices(effort.shorter))
    for part in (
        floor_section(double),
        single_section(single),
        sizes_section(double),
        watching,
        targets_section(double, single),
    ):
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
