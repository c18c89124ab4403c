"""`nnlab judge`: judge recorded runs again, by the rules of today and without training."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nnlab.cli.find_run import find_run
from nnlab.cli.options import add_results_dir, parse, parser, results_at
from nnlab.cli.process import catch_signals

if TYPE_CHECKING:
    from nnlab.study.judge import Judged

__all__ = ["main"]

SHOWN = 8
"""Runs with the same problem that a message lists."""


def main(words: Sequence[str]) -> None:
    """Print the verdicts before and after. Exits with 1 if runs were left alone."""
    options = parser(
        "judge",
        "Give recorded runs a verdict and an outcome by the rules of today, from their data and weights, without "
        "training. Of each run folder only run.json is written.",
    )
    options.add_argument("name", metavar="NAME", help="an experiment, or the fingerprint of one run")
    add_results_dir(options)
    arguments = parse(options, words)
    results = results_at(arguments.results_dir)
    from tqdm import tqdm

    from nnlab.config import ConfigError
    from nnlab.record.run_folders import RunFolders
    from nnlab.study.judge import judge_each

    catch_signals()
    try:
        if arguments.name in results.experiments():
            experiment = arguments.name
            fingerprints = RunFolders(results, experiment).fingerprints()
        else:
            folder = find_run(results, arguments.name)
            experiment, fingerprints = folder.parent.name, [folder.name]
        judging = judge_each(RunFolders(results, experiment), fingerprints, results)
        judged = list(tqdm(judging, total=len(fingerprints), unit="run", leave=False, disable=None))
    except (ConfigError, OSError) as error:
        sys.exit(str(error))
    print(_summary(experiment, judged))
    if problems := _problems(experiment, judged):
        sys.exit(problems)


def _summary(experiment: str, judged: "Sequence[Judged]") -> str:
    before = [each.before for each in judged if each.before]
    after = [each.after for each in judged if each.after]
    name = shlex.quote(experiment)
    return (
        f"{experiment}: {len(after)} runs judged. "
        f"Outcomes: {_counts(each.outcome for each in before)} -> {_counts(each.outcome for each in after)}. "
        f"Verdicts: {_counts(each.name for each in before)} -> {_counts(each.name for each in after)}. "
        f"`nnlab report {name}` shows them, `nnlab sync {name}` brings MLflow level."
    )


def _counts(names: Iterable[str]) -> str:
    """Return "healthy 3, linear 1": the most frequent first."""
    counts = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in counts) or "none"


def _problems(experiment: str, judged: "Sequence[Judged]") -> str:
    """Return one line for each problem, with the runs that have it; empty if there are none."""
    lines = []
    for problem, count in Counter(each.problem for each in judged if each.problem).items():
        runs = [f"{experiment}/{each.fingerprint}" for each in judged if each.problem == problem][:SHOWN]
        more = [f"{count - SHOWN} more"] if count > SHOWN else []
        lines.append(f"left alone: {', '.join([*runs, *more])}: {problem}")
    return "\n".join(lines)
