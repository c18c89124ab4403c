"""`nnlab why`: find out by experiment what would have made networks learn."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nnlab.cli.check_overrides import check_words
from nnlab.cli.compose import composed
from nnlab.cli.options import add_results_dir, parse, parser, results_at
from nnlab.cli.process import INTERRUPTED, catch_signals

if TYPE_CHECKING:
    from nnlab.config import RunConfig
    from nnlab.study.explanation import Explanation

__all__ = ["main"]


def main(words: Sequence[str]) -> None:
    """Print for each network what made it learn and what did not. Exits with 1 if the words mean no network."""
    options = parser(
        "why",
        "Train a network with several seeds, then with one thing changed at a time, and with two or three if no "
        "single one makes it learn. All runs are recorded in the experiment 'EXPERIMENT why'.",
    )
    options.add_argument(
        "words",
        nargs="*",
        metavar="WORD",
        help="KEY=VALUE ... for one network, as for nnlab run; the fingerprint of a recorded run; or an experiment: "
        "all of its settings of which fewer than 4 of 5 seeds learned",
    )
    options.add_argument("--budget", type=float, help="seconds for the changes (120)")
    options.add_argument("--seeds", type=int, help="seeds of one network (5)")
    add_results_dir(options)
    arguments = parse(options, words)
    if arguments.budget is not None and not arguments.budget > 0:
        sys.exit(f"--budget must be a number of seconds above 0, got {arguments.budget:g}")
    if arguments.seeds is not None and arguments.seeds < 1:
        sys.exit(f"--seeds must be at least 1, got {arguments.seeds}")
    from nnlab.config import ConfigError
    from nnlab.study.why import BUDGET, SEEDS

    catch_signals()
    try:
        settings = _settings(arguments.words, arguments.seeds or SEEDS, arguments.results_dir)
        explanations = _explained(settings, arguments.budget or BUDGET, ["why", *words])
    except (ConfigError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped. Recorded runs are kept; type the same command again for the rest.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    _show(explanations)


def _settings(words: Sequence[str], seeds: int, results_dir: str) -> "list[list[RunConfig]]":
    """Return the configs of each network that the words mean, one for each seed."""
    from nnlab.cli.find_run import find_run
    from nnlab.record.run_folders import RunFolders
    from nnlab.study.why import replicates, unlearned_settings

    names = [word for word in words if "=" not in word]
    if not names:
        check_words(words)
        if presets := [word for word in words if word.lstrip("+").startswith("experiment=")]:
            sys.exit(f"{presets[0]} is a sweep: nnlab sweep it first, then type nnlab why and its name")
        return [replicates(composed(words), seeds)]
    if len(words) > 1:
        sys.exit(f"nnlab why takes KEY=VALUE words, one fingerprint, or one experiment, got {' '.join(words)}")
    results = results_at(results_dir)
    if names[0] in results.experiments():
        settings = unlearned_settings(RunFolders(results, names[0]))
        experiment = names[0]
    else:
        folder = find_run(results, names[0])
        experiment = folder.parent.name
        settings = [replicates(RunFolders(results, experiment).read(folder.name).config, seeds)]
    return [[_placed(config, results_dir, experiment) for config in configs] for configs in settings]


def _placed(config: "RunConfig", results_dir: str, experiment: str) -> "RunConfig":
    tracking = dataclasses.replace(config.tracking, experiment=experiment)
    return dataclasses.replace(config, results_dir=results_dir, tracking=tracking)


def _explained(settings: "list[list[RunConfig]]", budget: float, words: Sequence[str]) -> "list[Explanation]":
    from tqdm import tqdm

    from nnlab.record.commands import nnlab_command
    from nnlab.study.why import explain

    if not settings:
        return []
    bar: Any = None

    def start(stage: str, runs: int, seconds: float) -> None:
        nonlocal bar
        if bar is not None:
            bar.close()
        print(f"{stage}: {runs} runs, about {max(seconds, 1):.0f} s", flush=True)
        bar = tqdm(total=runs, unit="run", mininterval=0.2 if sys.stderr.isatty() else 15.0)

    try:
        return explain(
            settings,
            budget=budget,
            tracking=True,
            command=nnlab_command(words),
            on_stage=start,
            on_result=lambda result: bar.update(),
        )
    finally:
        if bar is not None:
            bar.close()


def _show(explanations: "Sequence[Explanation]") -> None:
    """Print the table of each network, then the answers."""
    from nnlab.config import flatten
    from nnlab.settings import setting_name, swept_keys

    if not explanations:
        print("Every setting learned in at least 4 of 5 seeds.")
        return
    keys = swept_keys(explanation.config for explanation in explanations)
    for explanation in explanations:
        values = flatten(explanation.config)
        name = setting_name({key: values[key] for key in keys}) if keys else ""
        if len(explanations) == 1 and len(explanation.trials) > 1:
            print(f"\n{_table(explanation)}")
        print(f"\n{name}: {explanation.text}" if name else f"\n{explanation.text}")
        for failure in explanation.failures:
            print(f"  failed: {failure}")


def _table(explanation: "Explanation") -> str:
    """Return the table of an explanation as text."""
    rows = [("change", "seeds that learned [95 % score interval]", "mean learned", "values")]
    for trial in explanation.best_first:
        low, high = trial.interval
        rows.append((trial.name, f"{trial.seeds} [{low:.2f}, {high:.2f}]", f"{trial.mean:.2f}", trial.words))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
