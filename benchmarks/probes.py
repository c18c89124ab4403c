"""What watching costs: the time of the probes over the training time of the default sweep.

`python -m benchmarks.speed` writes the table into docs/benchmarks.md; this command only prints it.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import yaml

from benchmarks.targets import Target, report_missed
from nnlab import InitConfig, ModelConfig, RunConfig, TrainingConfig
from nnlab.diagnostics import PRESETS, Probe
from nnlab.diagnostics.function import on_training_data
from nnlab.network.training import checkpoints
from nnlab.study.plan import prepare
from nnlab.study.run_stack import snapshots
from nnlab.study.stacking import plan_stacks

__all__ = ["Price", "ReferencePrice", "main", "measure", "measure_references", "section", "targets"]

DEFAULT_SWEEP = Path(__file__).resolve().parents[1] / "conf" / "experiment" / "initialization.yaml"


PASSES = "backward pass"
"""What several probes share: computed once at a checkpoint. The forward pass is needed whatever the preset."""

REFERENCES = """
import json, time
from pathlib import Path
from nnlab import DataConfig, load_dataset
from nnlab.results import Results
from nnlab.study.references import references_of
data = load_dataset(DataConfig())
started = time.perf_counter()
import sklearn.linear_model, sklearn.metrics, sklearn.model_selection, sklearn.neighbors, sklearn.pipeline, sklearn.svm
imported = time.perf_counter()
references_of(data, Results(Path("nowhere")))
print(json.dumps([time.perf_counter() - imported, imported - started]))
"""
"""A new process prints the seconds for the reference models of the default data set, and for importing scikit-learn."""


class Price(NamedTuple):
    """Seconds for one network of the default sweep: its training, and each probe, by name, at its checkpoints."""

    activation: str
    hidden_size: int
    training: float
    probes: dict[str, float]

    def of(self, preset: str) -> float:
        """Return the seconds of a preset's probes."""
        return self.probes[PASSES] + sum(self.probes[_name(probe)] for probe in PRESETS[preset])


class ReferencePrice(NamedTuple):
    """Seconds in a new process for the reference models of the default data set, and for importing scikit-learn."""

    fitting: float
    importing: float


def _name(probe: Probe) -> str:
    return f"{probe.__module__.rpartition('.')[2]}.{probe.__name__}"


def measure(shorter: int = 1) -> list[Price]:
    """Measure one stack for each activation and width of the default sweep, with its scales and seeds.

    `shorter` divides the iterations; above 1 only two widths are measured, to try the command.
    """
    grid = yaml.safe_load(DEFAULT_SWEEP.read_text(encoding="utf-8"))["hydra"]["sweeper"]["params"]
    scales, activations, sizes = (
        [word.strip() for word in str(grid[key]).split(",")]
        for key in ("init.scale", "model.activation", "model.hidden_size")
    )
    iterations = TrainingConfig().iterations // shorter
    return [
        _price(activation, int(size), [float(scale) for scale in scales], iterations)
        for activation in activations
        for size in (sizes if shorter == 1 else sizes[:2])
    ]


def measure_references(rounds: int = 5) -> ReferencePrice:
    """Measure the reference models in new processes; medians over the rounds."""
    times = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", REFERENCES], capture_output=True, text=True, check=True)
        times.append(json.loads(done.stdout))
    fitting, importing = (median(column) for column in zip(*times, strict=True))
    return ReferencePrice(fitting, importing)


def _price(activation: str, hidden_size: int, scales: Sequence[float], iterations: int) -> Price:
    configs = [
        RunConfig(
            seed=seed,
            init=InitConfig(scale=scale),
            model=ModelConfig(hidden_size, activation=activation),
            training=TrainingConfig(iterations),
        )
        for scale in scales
        for seed in range(5)
    ]
    jobs = plan_stacks(prepare(configs), n_jobs=1)[0].jobs
    stack, data = [job.config for job in jobs], jobs[0].data
    list(snapshots(stack, data, [min(50, iterations)]))  # warm up
    started = time.perf_counter()
    list(snapshots(stack, data, [iterations]))
    training = time.perf_counter() - started
    diagnostics = RunConfig().diagnostics
    probes = dict.fromkeys([PASSES, *(_name(probe) for probe in PRESETS["full"])], 0.0)
    for snapshot in snapshots(stack, data, checkpoints(iterations, diagnostics.checkpoints, diagnostics.every)):
        list(on_training_data(snapshot))  # every preset records the cost
        probes[PASSES] += _seconds(getattr, snapshot, "gradient")
        for probe in PRESETS["full"]:
            probes[_name(probe)] += _seconds(list, probe(snapshot))
    count = len(stack)
    return Price(activation, hidden_size, training / count, {name: spent / count for name, spent in probes.items()})


def _seconds(function: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def section(prices: Sequence[Price], references: ReferencePrice) -> str:
    """Return the section on the time that presets add, by activation and width, and probes and reference models."""
    sizes = sorted({price.hidden_size for price in prices})
    lines = [f"| preset | {' | '.join(f'h = {size}' for size in sizes)} |", f"|---|{'---:|' * len(sizes)}"]
    for preset in ("standard", "full"):
        for activation in dict.fromkeys(price.activation for price in prices):
            row = {price.hidden_size: price for price in prices if price.activation == activation}
            cells = [f"{row[size].of(preset) / row[size].training:.1%}" for size in sizes]
            lines.append(f"| {preset}, {activation} | {' | '.join(cells)} |")
    names = sorted(prices[0].probes, key=lambda name: -_added(prices, name))
    by_probe = ["| probe | adds |", "|---|---:|", *(f"| {name} | {_added(prices, name):.2%} |" for name in names)]
    return (
        "## Price of watching\n\nWhat the probes of a preset add to the training time of the default sweep, at its "
        f"{RunConfig().diagnostics.checkpoints} checkpoints in {TrainingConfig().iterations:,} iterations:\n\n"
        + "\n".join(lines)
        + f"\n\nOver the whole sweep: standard {_total(prices, 'standard'):.1%}, full {_total(prices, 'full'):.1%}. "
        "By probe:\n\n"
        + "\n".join(by_probe)
        + "\n\n## Price of the reference models\n\nThe models that say how much can be learned are not included above. "
        "They are fitted once for each data set and kept in the results folder. Seconds in a new process, for the "
        f"default data set: importing scikit-learn {references.importing:.2f}, fitting {references.fitting:.2f}. One "
        f"network of the default sweep trains for {_mean_training(prices):.2f} s. Where a core is to spare, a process "
        "of its own imports and fits while networks train."
    )


def targets(prices: Sequence[Price]) -> list[Target]:
    """Return the shares of the training time that the standard preset and its newest probes add, with bounds."""
    steps = [_name(probe) for probe in PRESETS["standard"] if _name(probe).startswith("steps.")]
    added = sum(_added(prices, name) for name in [*steps, "function.majority"])
    return [
        Target("probes: standard adds", _total(prices, "standard"), 0.15, form=".1%"),
        Target("probes: steps and majority add", added, 0.05, form=".1%"),
    ]


def _mean_training(prices: Sequence[Price]) -> float:
    return sum(price.training for price in prices) / len(prices)


def _total(prices: Sequence[Price], preset: str) -> float:
    return sum(price.of(preset) for price in prices) / sum(price.training for price in prices)


def _added(prices: Sequence[Price], probe: str) -> float:
    return sum(price.probes[probe] for price in prices) / sum(price.training for price in prices)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probes", description="Time the probes.")
    parser.add_argument("--quick", action="store_true", help="a few iterations only, to try the command")
    quick = parser.parse_args(arguments).quick
    prices = measure(25 if quick else 1)
    print(
        section(prices, measure_references(1 if quick else 5)),
        "\n".join(f"- {target}" for target in targets(prices)),
        sep="\n\n",
    )
    report_missed(targets(prices))


if __name__ == "__main__":
    main()
