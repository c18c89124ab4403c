"""Run the experiments and write their findings (`make findings`).

Each folder here with a plot.py is an experiment: conf/experiment/NAME.yaml says what is swept, plot.py computes the
findings and draws the figures. This command runs the sweep (runs that exist are not repeated) and writes the figures,
findings.json, the table in the folder's README.md, and the table of all experiments in experiments/README.md.
With --check it writes nothing and compares the new findings with the published ones.
"""

import argparse
import importlib
import itertools
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.findings import Finding, agree, table
from experiments.pages import (
    BEGIN,
    END,
    HERE,
    experiments,
    overview,
    read_findings,
    unmarked,
    write_block,
    write_findings,
)
from nnlab.config import RunConfig
from nnlab.findings.load import load_runs
from nnlab.record.run_json import read_facts
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results

NO_REPORT = ("tracking.report=false",)


def sweep(name: str, results_dir: str, words: Sequence[str] = ()) -> pd.DataFrame:
    """Run the sweep of an experiment and return the runs of its grid.

    Runs that exist are not repeated. Other runs recorded under the experiment's name are not returned.
    """
    command = [sys.executable, "-m", "nnlab", "sweep", name, f"results_dir={results_dir}", "tracking.enabled=false"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the sweep {name} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    *_, last = (one for one in SweepLog(Results.at(results_dir)) if one.experiment == name)
    runs = load_runs(name, results_dir)
    return runs[runs["fingerprint"].isin(last.runs)].reset_index(drop=True)


def sweeps_in_turn(names: Sequence[str], results_dir: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each experiment with the runs of its sweep."""
    for name in names:
        yield name, sweep(name, results_dir)


def sweeps_ahead(names: Sequence[str], results_dir: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each experiment with the runs of its sweep, running the next sweep in the meantime.

    Reports are not written. Not for measuring what runs cost in seconds: the caller works at the same time.
    """
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(sweep, names[0], results_dir, NO_REPORT)
        for name, after in itertools.zip_longest(names, names[1:]):
            runs = following.result()
            if after:
                following = thread.submit(sweep, after, results_dir, NO_REPORT)
            yield name, runs


def measure(name: str, runs: pd.DataFrame) -> dict[str, Any]:
    """Return the findings of an experiment, the number of its runs, and the seconds of their training."""
    findings: list[Finding] = importlib.import_module(f"experiments.{name}.plot").findings(runs)
    return {
        "findings": [one._asdict() for one in findings],
        "runs": len(runs),
        "seconds": sum(read_facts(Path(folder))["facts"]["seconds"] for folder in runs["folder"]),
    }


def write(name: str, content: Mapping[str, Any], runs: pd.DataFrame) -> None:
    """Write the figures, findings.json and the table of an experiment."""
    figures = importlib.import_module(f"experiments.{name}.plot").figures(runs)
    for file, figure in figures.items():
        if isinstance(figure, bytes):
            (HERE / name / file).write_bytes(figure)
        else:
            figure.savefig(HERE / name / file, dpi=100, metadata={"Software": None})
    write_findings(name, content)


def differences(name: str, content: Mapping[str, Any]) -> list[str]:
    """Return one line for each new finding that disagrees with the published one."""
    published = [Finding(**one) for one in read_findings(name)["findings"]]
    new = [Finding(**one) for one in content["findings"]]
    if [one.what for one in published] != [one.what for one in new]:
        return [f"{name}: the list of findings differs from the published one"]
    return [
        f"{name}: {before.what}: published {_describe(before)}, now {_describe(now)}"
        for before, now in zip(published, new, strict=True)
        if not agree(before, now)
    ]


def _describe(one: Finding) -> str:
    expected = "" if math.isnan(one.expected) else f", expected {one.target}"
    return f"{one.cell} of {one.n}{expected}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _options(arguments)
    started = time.perf_counter()
    problems: list[str] = []
    runs_of = sweeps_ahead if options.check else sweeps_in_turn
    for name, runs in runs_of(options.names, options.results_dir):
        content = measure(name, runs)
        findings = table([Finding(**one) for one in content["findings"]])
        print(f"{name}: {content['runs']} runs, {content['seconds']:.0f} s of one core\n{findings}\n")
        if options.check:
            problems += differences(name, content)
        else:
            write(name, content, runs)
    if not options.check:
        published = {name: read_findings(name) for name in experiments() if (HERE / name / "findings.json").is_file()}
        write_block(HERE / "README.md", overview(published))
    print(f"{time.perf_counter() - started:.0f} s")
    if problems:
        sys.exit("\n".join(problems))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, with all experiments if none is named. Exits if a name or a README is unusable."""
    existing = experiments()
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Run experiments; write their findings.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(existing)} (default: all)")
    parser.add_argument("--results-dir", default=RunConfig.results_dir, help="results folder (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the published findings")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in existing]
    if unknown:
        sys.exit(f"NAME must be one of {', '.join(existing)}, got {', '.join(unknown)}")
    options.names = options.names or existing
    without_marks = unmarked(options.names)
    if without_marks:
        sys.exit(f"README.md must have the lines {BEGIN} and {END}; they are missing in {', '.join(without_marks)}")
    return options


if __name__ == "__main__":
    main()
