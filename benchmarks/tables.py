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

from benchmarks.account import COST, PASSES, REST, SLOPE
from benchmarks.fused import FUSED
from benchmarks.peers import FLOOR, OPTIONAL, STACKED, TOLERANCE, installed
from benchmarks.timing import ACTIVATIONS_TIMED, COLUMNS, LINES, RATIOS, Cell, Cells, Effort, ratios
from nnlab.study.stacking import CACHE

__all__ = ["floor_section", "heading", "section", "single_section", "sizes_section", "targets_section"]


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
    found = ratios(cell.times, name)
    return f"{median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else "not measured"


def _titles(first: str) -> list[str]:
    return [first, *(column.title for column in COLUMNS)]


def section(activation: str, cells: Cells) -> str:
    """Return the tables of one activation: times, ratios."""
    line = [cells[activation, column] for column in COLUMNS]
    times = [[row, *(_time(cell, row) for cell in line)] for row in LINES if row in line[0].times]
    found = [[name, *(_ratio(cell, name) for cell in line)] for name in RATIOS]
    shallow = [column for column in COLUMNS if column.depth == 1]
    account = [[name, *(_number(cells[activation, column].account[name]) for column in shallow)] for name in PASSES]
    account.append(["together", *(_number(sum(cells[activation, column].account.values())) for column in shallow)])
    return (
        f"## {activation}\n\n{_table(_titles('who'), times)}\n\n{_table(_titles('median (range) of'), found)}\n\n"
        f"nnlab's stack of the table above, pass by pass:\n\n"
        f"{_table(['pass', *(column.title for column in shallow)], account)}"
    )


def single_section(cells: Cells) -> str:
    """Return the table of float32."""
    rows = []
    for activation in ACTIVATIONS_TIMED:
        line = [cells[activation, column] for column in COLUMNS]
        rows += [[f"{activation}: {r}", *(_time(cell, r) for cell in line)] for r in LINES if r in line[0].times]
        rows.append([f"{activation}: nnlab / JAX", *(_ratio(cell, "nnlab stacked / JAX vmap") for cell in line)])
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


def targets_section(double: Cells, single: Cells) -> str:
    """Return the targets, each with pass or FAIL."""
    lines = []
    for (activation, column), cell in double.items():
        where = f"{activation}, {column.title}"
        if column.depth > 1:
            continue
        if column.title == "h = 4":
            lines.append(_target(where, cell, "notes / nnlab stacked", 3.5, at_least=True))
        bound = 1 / 1.05 if activation == "sigmoid" else 1 / 0.97
        lines.append(_target(where, cell, "nnlab stacked / best of JAX", bound, at_least=False))
        if activation == "tanh" and column.title != "h = 4":
            lines.append(_target(where, cell, "nnlab stacked / bare tanh pass", 1.5, at_least=False))
    for (activation, column), cell in single.items():
        if activation == "tanh" and column.depth == 1:
            where = f"float32, {activation}, {column.title}"
            lines.append(_target(where, cell, "nnlab stacked / JAX vmap", 1 / 1.1, at_least=False))
    return "## Targets\n\n" + "\n".join(lines)


def floor_section(cells: Cells) -> str:
    """Return what stands between nnlab and the floor."""
    column = next(column for column in COLUMNS if column.title == "h = 50")
    cell = cells["tanh", column]
    if FUSED not in cell.times:
        return "## The rest of the way\n\nNot measured: there is no C compiler (cc) here."
    bare, account = median(cell.times[FLOOR]), cell.account
    products = sum(time for name, time in account.items() if name.startswith("the product"))
    other = account[COST] + account[REST]
    relu = median(cells["relu", column].times[FUSED])
    return f"""## The rest of the way

With tanh and h = 50 a bare `np.tanh` over the hidden layer takes {bare:.1f} us. Beside it an iteration of nnlab
spends {products:.1f} us on four products, {account[SLOPE]:.1f} us on the slope and {other:.1f} us on the output, dz
times X, the update and Python. Products and slope read or write the array of activations once or twice each, and in
NumPy no two of them can share a reading: the bare pass and the four products alone, without any slope, output, update
or Python, come to {(bare + products) / bare:.2f} times the bare pass.

`experiments/bench/fused.c` does everything for 64 examples at a time, so that no array of activations is written out.
With tanh and h = 50 it takes {_ratio(cell, "fused kernel / bare tanh pass")} times the bare pass, most of it in the C
library's vector tanh, which is slower than NumPy's; with relu the same kernel needs {relu:.1f} us for everything.
NumPy's tanh inside such a kernel would come to about {(bare + relu) / bare:.1f} times the bare pass. The prototype
knows one hidden layer and one output unit, and wants a compiler on every machine: it is here to measure, the core stays
NumPy."""


def _target(where: str, cell: Cell, name: str, bound: float, *, at_least: bool) -> str:
    found = ratios(cell.times, name)
    if found is None:
        return f"- not measured: {where}: {name}"
    reached = median(found) >= bound if at_least else median(found) <= bound
    words = f"{median(found):.2f}, target at {'least' if at_least else 'most'} {bound:.3g}"
    return f"- {'pass' if reached else 'FAIL'}: {where}: {name} {words}"


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
