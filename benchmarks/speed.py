"""Time the core beside its peers, on one core with one BLAS thread; write docs/benchmarks.md (`make bench`).

Machines are shared and clocks drift. Contestants therefore take turns within a round, a time is the median over the
rounds, and a ratio is formed within each round, from times measured shortly after one another.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import probes
from benchmarks.peers import Nnlab, contestants
from benchmarks.speed_page import (
    FUSED_KERNEL,
    activation_section,
    bare_pass_section,
    heading,
    single_precision_section,
    stack_size_section,
    targets,
    targets_section,
)
from benchmarks.targets import Target, report_missed
from benchmarks.timing import ACTIVATIONS_TIMED, COLUMNS, Cells, Effort, single_precision_contestants, time_cell

__all__ = ["main"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
KERNEL_CHOICE = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")

QUICK = Effort(rounds=2, size_rounds=1, sizes=(1, 4), shorter=25)


def measure(effort: Effort, command: str, show: Callable[[str], None]) -> tuple[str, list[Target]]:
    """Measure everything and return the page and its targets. `show` gets each part of the page when it is ready."""
    parts = []

    def add(part: str) -> None:
        parts.append(part)
        show(part)

    add(heading(command, effort))
    double: Cells = {}
    for activation in ACTIVATIONS_TIMED:
        for column in COLUMNS:
            double[activation, column] = time_cell(column, activation, "float64", contestants, effort)
        add(activation_section(activation, double))
    single = {key: time_cell(key[1], key[0], "float32", single_precision_contestants, effort) for key in double}
    prices = probes.measure(effort.shorter)
    references = probes.measure_references(effort.size_rounds)
    page_targets = [*targets(double, single), *probes.targets(prices)]
    for part in (
        bare_pass_section(double),
        FUSED_KERNEL,
        single_precision_section(single),
        stack_size_section(double),
        probes.section(prices, references),
        targets_section(page_targets),
    ):
        add(part)
    return "\n\n".join(parts) + "\n", page_targets


def main(arguments: list[str] | None = None) -> None:
    """Print the page and write it to docs/benchmarks.md."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed", description="Time the core beside its peers; write docs/benchmarks.md."
    )
    parser.add_argument("--quick", action="store_true", help="a few iterations only, to try the command")
    parser.add_argument("--rounds", type=int, help=f"rounds of turns (default: {Effort().rounds})")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else Effort()
    if options.rounds is not None:
        if not 1 <= options.rounds < Nnlab.LONGEST:
            parser.error(f"--rounds must be from 1 to {Nnlab.LONGEST - 1}, got {options.rounds}")
        effort = effort._replace(rounds=options.rounds)
    words = " ".join(sys.argv[1:] if arguments is None else arguments)
    command = f'make bench ARGS="{words}"' if words else "make bench"
    page, page_targets = measure(effort, command, lambda part: print(part + "\n"))
    if not options.no_write:
        PAGE.write_text(page, encoding="utf-8")
    report_missed(page_targets)


def _on_one_core() -> None:
    """Restart this process with one thread on one core: BLAS and XLA read these variables when they are loaded.

    A choice of OpenBLAS kernel in the environment is dropped: it would slow down NumPy but not its peers.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    environment = {name: value for name, value in os.environ.items() if name not in KERNEL_CHOICE} | ONE_THREAD
    if environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


if __name__ == "__main__":
    _on_one_core()
    main()
