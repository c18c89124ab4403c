"""Run the experiments and write what they found into their READMEs (`make findings`).

Each folder here with a plot.py is an experiment: conf/experiment/NAME.yaml says what is swept, plot.py what is drawn
and which numbers it comes down to. This program makes the sweep (what is there already is not made again), writes the
figures, findings.json, the table in the folder's README.md, and the table of all of them in experiments/README.md.
With --check it writes nothing and compares what it finds with what is written.
"""

import argparse
import importlib
import itertools
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from nnlab.cli.main import question
from nnlab.config import RunConfig
from nnlab.findings.intervals import Interval, interval_name, share_interval
from nnlab.findings.load import load_runs
from nnlab.findings.statistics import aggregate, compare
from nnlab.record.run_folders import read_facts
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results

__all__ = ["Finding", "agree", "count_of", "difference", "experiments", "over_seeds", "share", "table"]

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
UNDRAWN = ("tracking.report=false",)


class Finding(NamedTuple):
    """One number: what it is, its value with the 95 % interval, of how many runs, and what was expected of it.

    `low` and `high` are NaN where a number has no spread, as a largest value; `expected` is NaN where nothing was, and
    `bound` says that it is the most that was expected. `total` is not 0 for a count: the value is how many of `total`.
    """

    what: str
    value: float
    low: float
    high: float
    n: str
    expected: float = math.nan
    digits: int = 3
    bound: bool = False
    total: int = 0

    @property
    def cell(self) -> str:
        """The value with its interval, as tables show it."""
        if self.total:
            return f"{self.value:.0f} of {self.total}"
        if math.isnan(self.low):  # a largest or smallest value, which may be mere rounding
            return f"{self.value:.1e}" if 0 < abs(self.value) < 10.0**-self.digits else self._fixed(self.value)
        return f"{self._fixed(self.value)} [{self._fixed(self.low)}, {self._fixed(self.high)}]"

    @property
    def target(self) -> str:
        """The expected value, as tables show it."""
        return "-" if math.isnan(self.expected) else "at most " * self.bound + self._fixed(self.expected)

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
    return Finding(what, value, low, high, _of(runs), expected, digits)


def _of(runs: pd.DataFrame) -> str:
    """Return of how many a number is: seeds where each has one run, or both."""
    seeds = f"{runs['seed'].nunique()} seeds"
    return seeds if len(runs) == runs["seed"].nunique() else f"{len(runs)} runs, {seeds}"


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
    seeds = runs["seed"].nunique()
    pairs = f"{seeds} seeds, paired" if found.pairs == seeds else f"{found.pairs} pairs of runs, {seeds} seeds"
    return Finding(what, value, low, high, pairs)


def share(what: str, hits: Iterable[object], of: str = "seeds", expected: float = math.nan) -> Finding:
    """Return the share of independent replicates, one run of each seed, that have a property, with its score interval.

    The interval takes every hit as drawn anew. Runs of several settings with the same seeds, or runs in which nothing
    is random, are not: `count_of` is for them.
    """
    known = [bool(hit) for hit in hits]
    found: Interval = share_interval(sum(known) / len(known), len(known))
    value, low, high = (float(part) for part in found)
    return Finding(what, value, low, high, f"{len(known)} {of}", expected, 2)


def count_of(what: str, hits: Iterable[object], of: str, expected: float = math.nan) -> Finding:
    """Return how many have a property, of how many. `of` says what they are; there is no interval."""
    known = [bool(hit) for hit in hits]
    return Finding(what, sum(known), math.nan, math.nan, of, expected, 0, total=len(known))


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
        f"{content['seconds']:.0f} s of one core.\n{END}"
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
    return f"{BEGIN}\n" + "\n".join(lines) + f"\n\nAll: {runs:,} runs, {total:.0f} s of one core.\n{END}"


def without_marks(names: Iterable[str]) -> list[str]:
    """Return the experiments whose README does not say where the numbers go."""
    readmes = {name: HERE / name / "README.md" for name in names}
    texts = {name: path.read_text(encoding="utf-8") if path.is_file() else "" for name, path in readmes.items()}
    return [name for name, text in texts.items() if not -1 < text.find(BEGIN) < text.find(END)]


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

    The same runs on another machine are not the same to the last digit: other BLAS kernels sum in another order, and
    training amplifies the last bit. What has to agree, where a margin is one unit of the last digit that is shown:

    - what it is, of how many, and what was expected of it (which is computed and not measured: to a relative 1e-6);
    - a value with an interval lies in the other's interval, or a margin outside, and each end of its interval has moved
      by no more than half of the smaller width and a margin; of a range, which ends in single runs, one end may have
      moved further;
    - a count differs by no more than one in twenty, rounded up; one that was as expected still is;
    - a value without interval differs by no more than a margin, which rounding errors, far below it, always do.
    """
    if (old.what, old.n, old.total, old.bound, old.digits) != (new.what, new.n, new.total, new.bound, new.digits):
        return False
    if not _near(old.expected, new.expected, 1e-6 * abs(old.expected)):
        return False
    if old.total:
        reach = 0 if old.value == old.expected else math.ceil(old.total / 20)
        return abs(new.value - old.value) <= reach
    margin = 1.01 * 10.0**-old.digits
    if math.isnan(old.low) or math.isnan(new.low):
        return math.isnan(old.low) == math.isnan(new.low) and _near(old.value, new.value, margin)
    within = all(one.low - margin <= other.value <= one.high + margin for one, other in ((old, new), (new, old)))
    moved = 0.5 * min(old.high - old.low, new.high - new.low) + margin
    ends = _near(old.low, new.low, moved), _near(old.high, new.high, moved)
    return within and (any if _is_range(old.n) else all)(ends)


def _is_range(n: str) -> bool:
    """Return whether the interval of so many seeds is no more than the range of their runs."""
    seeds = re.search(r"(\d+) seeds", n)
    return seeds is not None and interval_name(int(seeds[1])) == "range"


def _near(one: float, other: float, reach: float) -> bool:
    """Return whether two numbers are at most so far apart, or are both NaN, or the same infinity."""
    return one == other or (math.isnan(one) and math.isnan(other)) or abs(one - other) <= reach


# ---- the program


def sweep(name: str, results_dir: str, words: Sequence[str] = ()) -> pd.DataFrame:
    """Make an experiment's sweep as far as it is not there, and return the runs of its grid.

    What else is recorded under the experiment's name, as somebody's further sweep, is not among them.
    """
    train = [sys.executable, str(HERE / "train.py"), "-m", f"experiment={name}", f"results_dir={results_dir}"]
    done = subprocess.run([*train, "tracking.enabled=false", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the sweep {name} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    *_, last = (one for one in SweepLog(Results.at(results_dir)) if one.experiment == name)
    runs = load_runs(name, results_dir)
    return runs[runs["fingerprint"].isin(last.runs)].reset_index(drop=True)


def sweeps_ahead(names: Sequence[str], results_dir: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each name with its `sweep`, and make the next one while somebody looks at it.

    Nobody reads the pages about them. Not for what runs cost, in seconds: others are at work on the same machine.
    """
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(sweep, names[0], results_dir, UNDRAWN)
        for name, after in itertools.zip_longest(names, names[1:]):
            runs = following.result()
            if after:
                following = thread.submit(sweep, after, results_dir, UNDRAWN)
            yield name, runs


def find(name: str, runs: pd.DataFrame) -> dict[str, Any]:
    """Return what an experiment found, and what its runs cost: the seconds that each trained, whenever it was made."""
    found: list[Finding] = importlib.import_module(f"experiments.{name}.plot").findings(runs)
    return {
        "findings": [one._asdict() for one in found],
        "runs": len(runs),
        "seconds": sum(read_facts(Path(folder))["facts"]["seconds"] for folder in runs["folder"]),
    }


def write(name: str, content: dict[str, Any], runs: pd.DataFrame) -> None:
    """Write figures, findings.json and the table of an experiment."""
    folder = HERE / name
    figures = importlib.import_module(f"experiments.{name}.plot").figures(runs)
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
        f"{name}: {was.what}: {_told(was)} is written, {_told(now)} was found"
        for was, now in zip(old, new, strict=True)
        if not agree(was, now)
    ]


def _told(one: Finding) -> str:
    expected = "" if math.isnan(one.expected) else f", expected {one.target}"
    return f"{one.cell} of {one.n}{expected}"


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
    unmarked = without_marks(options.names or experiments())
    if unmarked:
        sys.exit(f"README.md must have the lines {BEGIN} and {END}, got none in {', '.join(unmarked)}")
    started = time.perf_counter()
    wrong: list[str] = []
    names = options.names or experiments()
    one_by_one = ((name, sweep(name, options.results_dir)) for name in names)
    for name, runs in sweeps_ahead(names, options.results_dir) if options.check else one_by_one:
        content = find(name, runs)
        found = table([Finding(**one) for one in content["findings"]])
        print(f"{name}: {content['runs']} runs, {content['seconds']:.0f} s of one core\n{found}\n")
        if options.check:
            wrong += differences(name, content)
        else:
            write(name, content, runs)
    if not options.check:
        known = {name: written(name) for name in experiments() if (HERE / name / "findings.json").is_file()}
        _replaced(HERE / "README.md", overview(known))
    print(f"{time.perf_counter() - started:.0f} s")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
