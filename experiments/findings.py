"""Run the experiments and write what they found into their READMEs (`make findings`).

Each folder here with a plot.py is an experiment: conf/experiment/NAME.yaml says what is swept, plot.py what is drawn
and which numbers it comes down to. This program makes the sweep (what is there already is not made again), writes the
figures, findings.json, the table in the folder's README.md, and the table of all of them in experiments/README.md.
With --check it writes nothing and compares what it finds with what is written.
"""

import argparse
import importlib
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments.train import question
from nnlab.config import RunConfig, results_path
from nnlab.findings.analysis import load_runs
from nnlab.findings.statistics import Interval, aggregate, compare, share_interval
from nnlab.record.logbook import Logbook

__all__ = ["Finding", "agree", "difference", "experiments", "over_seeds", "share", "table"]

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"


class Finding(NamedTuple):
    """One number: what it is, its value with the 95 % interval, of how many runs, and what was expected of it.

    `low` and `high` are NaN where a number has no spread, as a largest value; `expected` is NaN where nothing was.
    """

    what: str
    value: float
    low: float
    high: float
    n: str
    expected: float = math.nan
    digits: int = 3

    @property
    def cell(self) -> str:
        """The value with its interval, as tables show it."""
        if math.isnan(self.low):  # a largest or smallest value, which may be mere rounding
            return f"{self.value:.1e}" if 0 < abs(self.value) < 10.0**-self.digits else self._fixed(self.value)
        return f"{self._fixed(self.value)} [{self._fixed(self.low)}, {self._fixed(self.high)}]"

    @property
    def target(self) -> str:
        """The expected value, as tables show it."""
        return "-" if math.isnan(self.expected) else self._fixed(self.expected)

    def _fixed(self, value: float) -> str:
        return f"{round(value, self.digits) + 0.0:.{self.digits}f}"  # no minus before zeros


# ---- what plot.py makes findings of


def over_seeds(
    what: str,
    runs: pd.DataFrame,
    metric: str,
    statistic: str = "iqm",
    expected: float = math.nan,
    digits: int = 3,
) -> Finding:
    """Return a metric over the seeds of one setting, with its bootstrap interval."""
    value, low, high = aggregate(runs, metric, [], statistic)[["estimate", "low", "high"]].to_numpy()[0].tolist()
    return Finding(what, value, low, high, f"{runs['seed'].nunique()} seeds", expected, digits)


def difference(
    what: str,
    runs: pd.DataFrame,
    metric: str,
    first: Mapping[str, object],
    second: Mapping[str, object],
    statistic: str = "iqm",
) -> Finding:
    """Return by how much a metric of the first setting exceeds that of the second, run by run, with its interval."""
    found = compare(runs, metric, first, second, statistic)
    value, low, high = (float(part) for part in found.difference)
    return Finding(what, value, low, high, f"{found.pairs} pairs of runs")


def share(what: str, hits: Iterable[object], of: str = "runs", expected: float = math.nan) -> Finding:
    """Return the share of runs that have a property, with its score interval."""
    known = [bool(hit) for hit in hits]
    found: Interval = share_interval(sum(known) / len(known), len(known))
    value, low, high = (float(part) for part in found)
    return Finding(what, value, low, high, f"{len(known)} {of}", expected, 2)


# ---- what is written


def experiments() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.parent.name for path in HERE.glob("*/plot.py"))


def table(found: Sequence[Finding]) -> str:
    """Return findings as a table in Markdown."""
    expected = any(not math.isnan(one.expected) for one in found)
    columns = ["finding", "value [95 % interval]", *(["expected"] if expected else []), "of"]
    lines = [f"| {' | '.join(columns)} |", f"| --- | ---: |{' ---: |' * expected} --- |"]
    for one in found:
        cells = [one.what, one.cell, *([one.target] if expected else []), one.n]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def block(name: str, content: dict[str, Any]) -> str:
    """Return what stands between the marks of an experiment's README."""
    found = [Finding(**one) for one in content["findings"]]
    return (
        f"{BEGIN}\n{table(found)}\n\nWritten by `make findings ARGS={name}`. Cost: {content['runs']:,} runs, "
        f"{content['seconds']:.0f} s on {content['cores']} cores.\n{END}"
    )


def overview(contents: dict[str, dict[str, Any]]) -> str:
    """Return what stands between the marks of experiments/README.md: a line for each experiment."""
    lines = [
        "| experiment | question | a finding | value [95 % interval] | of | cost |",
        "| --- | --- | --- | ---: | --- | --- |",
    ]
    for name, content in contents.items():
        first = Finding(**content["findings"][0])
        cost = f"{content['runs']:,} runs, {content['seconds']:.0f} s"
        lines.append(
            f"| [{name}]({name}/README.md) | {question(name)} | {first.what} | {first.cell} | {first.n} | {cost} |"
        )
    total = sum(content["seconds"] for content in contents.values())
    runs = sum(content["runs"] for content in contents.values())
    cores = max(content["cores"] for content in contents.values())
    return f"{BEGIN}\n" + "\n".join(lines) + f"\n\nAll: {runs:,} runs, {total:.0f} s on {cores} cores.\n{END}"


def _replaced(path: Path, text: str) -> None:
    before = path.read_text(encoding="utf-8")
    start, stop = before.index(BEGIN), before.index(END) + len(END)
    path.write_text(before[:start] + text + before[stop:], encoding="utf-8")


def written(name: str) -> dict[str, Any]:
    """Return what the last run of the command found. Raises FileNotFoundError if there is none."""
    content: dict[str, Any] = json.loads((HERE / name / "findings.json").read_text(encoding="utf-8"))
    return content


def agree(old: Finding, new: Finding) -> bool:
    """Return whether two measurements of one number may be the same.

    Other BLAS kernels sum in another order, and training amplifies the last bit: the new value has to lie within the
    old interval, or within one unit of the last digit that is shown; a value without interval, within a factor of 100
    if it is that small that it is rounding.
    """
    if (old.what, old.n) != (new.what, new.n) or math.isnan(old.value) != math.isnan(new.value):
        return False
    margin = 1.01 * 10.0**-old.digits
    reach = 0.0 if math.isnan(old.low) else old.high - old.low
    if abs(old.value) < margin and abs(new.value) < margin:
        return True
    return math.isnan(old.value) or abs(new.value - old.value) <= max(margin, reach)


# ---- the program


def find(name: str, results_dir: str, words: Sequence[str] = ()) -> dict[str, Any]:
    """Make an experiment's sweep as far as it is not there, and return what it found."""
    train = [sys.executable, str(HERE / "train.py"), "-m", f"experiment={name}", f"results_dir={results_dir}"]
    done = subprocess.run([*train, "tracking.enabled=false", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the sweep {name} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    runs = load_runs(name, results_dir)
    sweeps = [sweep for sweep in Logbook(results_path(results_dir)) if sweep.experiment == name]
    made = max(sweeps, key=lambda sweep: sweep.made)
    found: list[Finding] = importlib.import_module(f"experiments.{name}.plot").findings(runs)
    return {
        "findings": [one._asdict() for one in found],
        "runs": len(runs),
        "seconds": made.seconds,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def write(name: str, content: dict[str, Any], results_dir: str) -> None:
    """Write figures, findings.json and the table of an experiment."""
    folder = HERE / name
    figures = importlib.import_module(f"experiments.{name}.plot").figures(load_runs(name, results_dir))
    for file, figure in figures.items():
        if isinstance(figure, bytes):
            (folder / file).write_bytes(figure)
        else:
            figure.savefig(folder / file, dpi=100, metadata={"Software": None})
    (folder / "findings.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    _replaced(folder / "README.md", block(name, content))


def differences(name: str, content: dict[str, Any]) -> list[str]:
    """Return where what was found now differs from what is written."""
    old = [Finding(**one) for one in written(name)["findings"]]
    new = [Finding(**one) for one in content["findings"]]
    if [one.what for one in old] != [one.what for one in new]:
        return [f"{name}: other findings are written than are found now"]
    return [
        f"{name}: {was.what}: {was.cell} is written, {now.cell} was found"
        for was, now in zip(old, new, strict=True)
        if not agree(was, now)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Run the experiments and write what they found.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(experiments())}; all, if none is given")
    parser.add_argument("--results-dir", default=RunConfig.results_dir, help="where the runs are kept (results)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with what is written")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in experiments()]
    if unknown:
        sys.exit(f"names must be of {', '.join(experiments())}, got {', '.join(unknown)}")
    started = time.perf_counter()
    wrong: list[str] = []
    for name in options.names or experiments():
        content = find(name, options.results_dir)
        found = table([Finding(**one) for one in content["findings"]])
        print(f"{name}: {content['runs']} runs, {content['seconds']:.0f} s\n{found}\n")
        if options.check:
            wrong += differences(name, content)
        else:
            write(name, content, options.results_dir)
    if not options.check:
        known = {name: written(name) for name in experiments() if (HERE / name / "findings.json").is_file()}
        _replaced(HERE / "README.md", overview(known))
    print(f"{time.perf_counter() - started:.0f} s")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
