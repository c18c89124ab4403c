"""The page that `speed.py` writes, section by section."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
from threadpoolctl import threadpool_info

from benchmarks.breakdown import COST, PASSES, REST, SLOPE
from benchmarks.peers import FLOOR, OPTIONAL, ROWS, STACKED, TOLERANCE, installed
from benchmarks.targets import Target
from benchmarks.timing import ACTIVATIONS_TIMED, COLUMNS, RATIOS, Cell, Cells, Effort, ratios
from nnlab.study.stacking import CACHE

__all__ = [
    "FUSED_KERNEL",
    "activation_section",
    "bare_pass_section",
    "heading",
    "single_precision_section",
    "stack_size_section",
    "targets",
    "targets_section",
]

FUSED_KERNEL = """## What a fused kernel reaches

Measured once, on 2026-11-24 (AMD EPYC, Python 3.11.7, NumPy 2.4.6), with a prototype in C that is not part of nnlab. It
trains one hidden layer and one output unit, 64 examples at a time, so that no array of activations is written out.
Microseconds per iteration per run, and nnlab's time over the kernel's: median (lowest to highest).

| | h = 4 | h = 20 | h = 50 |
| --- | ---: | ---: | ---: |
| tanh, float64 | 2.7 | 12.1 | 29.8 |
| relu, float64 | 0.8 | 2.3 | 4.7 |
| sigmoid, float64 | 1.8 | 8.0 | 19.3 |
| tanh, float32 | 0.9 | 3.5 | 8.3 |
| relu, float32 | 0.5 | 1.6 | 3.7 |
| sigmoid, float32 | 1.0 | 3.8 | 9.3 |
| nnlab stacked / kernel, tanh | 1.61 (1.59 to 1.63) | 1.13 (1.11 to 1.15) | 1.09 (1.08 to 1.14) |
| nnlab stacked / kernel, relu | 4.12 (4.02 to 4.35) | 3.69 (3.62 to 3.82) | 3.94 (3.85 to 4.14) |
| nnlab stacked / kernel, sigmoid | 3.28 (3.17 to 3.73) | 1.85 (1.82 to 1.92) | 1.88 (1.79 to 1.90) |

With tanh and h = 50 the kernel takes 1.99 (1.91 to 2.03) times the bare pass, most of it in the C library's vector
tanh, which is slower than NumPy's; with relu the same kernel needs 4.7 us for everything. NumPy's tanh inside such a
kernel would come to about 1.3 times the bare pass. A kernel in C needs a compiler on every machine, so the core stays
NumPy."""
"""Figures of a prototype that is gone: fixed text, not measured again."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(microseconds: float) -> str:
    return f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:.0f}"


def _time(cell: Cell, row: str) -> str:
    if row not in cell.times:
        return "not measured"
    stack = f" (R = {cell.best})" if row == STACKED else ""
    return _number(median(cell.times[row])) + stack


def _ratio(cell: Cell, name: str) -> str:
    values = ratios(cell.times, name)
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})" if values else "not measured"


def _titles(first: str) -> list[str]:
    return [first, *(column.title for column in COLUMNS)]


def activation_section(activation: str, cells: Cells) -> str:
    """Return the tables of one activation: times, ratios, and nnlab's time by pass."""
    line = [cells[activation, column] for column in COLUMNS]
    times = [[row, *(_time(cell, row) for cell in line)] for row in ROWS if row in line[0].times]
    ratio_rows = [[name, *(_ratio(cell, name) for cell in line)] for name in RATIOS]
    shallow = [column for column in COLUMNS if column.depth == 1]
    passes = [[name, *(_number(cells[activation, column].passes[name]) for column in shallow)] for name in PASSES]
    passes.append(["total", *(_number(sum(cells[activation, column].passes.values())) for column in shallow)])
    return (
        f"## {activation}\n\n{_table(_titles('implementation'), times)}\n\n"
        f"{_table(_titles('ratio: median (range)'), ratio_rows)}\n\n"
        f"The time of `{STACKED}`, pass by pass:\n\n"
        f"{_table(['pass', *(column.title for column in shallow)], passes)}"
    )


def single_precision_section(cells: Cells) -> str:
    """Return the table of float32."""
    rows = []
    for activation in ACTIVATIONS_TIMED:
        line = [cells[activation, column] for column in COLUMNS]
        rows += [[f"{activation}: {r}", *(_time(cell, r) for cell in line)] for r in ROWS if r in line[0].times]
        rows.append([f"{activation}: nnlab / JAX", *(_ratio(cell, "nnlab stacked / JAX vmap") for cell in line)])
    return f"## float32\n\n{_table(_titles('implementation'), rows)}"


def stack_size_section(cells: Cells) -> str:
    """Return the times by stack size: fastest in bold, the size that a sweep would use in the last column."""
    sizes = sorted(set.intersection(*(set(cell.sizes) for cell in cells.values())))
    rows = []
    for (activation, column), cell in cells.items():
        shown = {R: f"**{_number(t)}**" if R == cell.best else _number(t) for R, t in cell.sizes.items()}
        planned = f"R = {cell.planned}: {shown[cell.planned]}"
        rows.append([f"{activation}, {column.title}", *(shown[R] for R in sizes), planned])
    table = _table(["network", *(f"R = {R}" for R in sizes), "as planned"], rows)
    return (
        f"## Stack size\n\nTime by the number of networks R in a stack; the fastest is bold. The plan of a sweep keeps "
        f"the widest layer within {CACHE >> 10} KiB.\n\n{table}"
    )


def targets(double: Cells, single: Cells) -> list[Target]:
    """Return the targets for the measured ratios."""
    page_targets = []
    for (activation, column), cell in double.items():
        where = f"{activation}, {column.title}"
        if column.depth > 1:
            continue
        if column.title == "h = 4":
            page_targets.append(_target(where, cell, "notes / nnlab stacked", 3.5, at_least=True))
        bound = 1 / 1.05 if activation == "sigmoid" else 1 / 0.97
        page_targets.append(_target(where, cell, "nnlab stacked / best of JAX", bound))
        if activation == "tanh" and column.title != "h = 4":
            page_targets.append(_target(where, cell, "nnlab stacked / bare tanh pass", 1.5))
    for (activation, column), cell in single.items():
        if activation == "tanh" and column.depth == 1:
            where = f"float32, {activation}, {column.title}"
            page_targets.append(_target(where, cell, "nnlab stacked / JAX vmap", 1 / 1.1))
    return page_targets


def _target(where: str, cell: Cell, name: str, bound: float, *, at_least: bool = False) -> Target:
    values = ratios(cell.times, name)
    return Target(f"{where}: {name}", median(values) if values else None, bound, at_least)


def targets_section(items: Sequence[Target]) -> str:
    """Return the figures beside their targets."""
    return "## Targets\n\n" + "\n".join(f"- {target}" for target in items)


def bare_pass_section(cells: Cells) -> str:
    """Return the section on the parts of an iteration besides evaluating tanh."""
    cell = cells["tanh", next(column for column in COLUMNS if column.title == "h = 50")]
    bare, passes = median(cell.times[FLOOR]), cell.passes
    products = sum(time for name, time in passes.items() if name.startswith("the product"))
    other = passes[COST] + passes[REST]
    return f"""## Distance from a bare pass

With tanh and h = 50 a bare `np.tanh` over the hidden layer takes {bare:.1f} us. An iteration of nnlab also spends
{products:.1f} us on four products, {passes[SLOPE]:.1f} us on the slope and {other:.1f} us on the output, dz times X,
the update and Python. Products and slope each read or write the array of activations once or twice, and in NumPy no two
of them can share a read. The bare pass and the four products alone, without slope, output, update and Python, take
{(bare + products) / bare:.2f} times the bare pass."""


def heading(command: str, effort: Effort) -> str:
    """Return the heading: the method, the machine, and the contestants that are missing."""
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
times are medians over {effort.rounds} rounds. Ratios are formed within each round: median (lowest to highest). Absolute
times depend on the machine; compare ratios.

All contestants start from the same weights and have the same cost after the same number of iterations, to
{TOLERANCE["float64"]:g}; scikit-learn draws its own weights and is left out of that check.

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
