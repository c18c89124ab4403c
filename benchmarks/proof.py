"""Write the figures in README.md: the course's published costs, gradients, speed, verdicts.

The first two are computed here, within seconds. The others are read from the pages in docs/ and experiments/ that
`make bench`, `python -m benchmarks.battery` and `make findings` write.
"""

import json
import re
import textwrap
from itertools import product
from pathlib import Path

import numpy as np

from experiments.findings import Finding
from experiments.pages import read_findings
from nnlab import course
from nnlab.config import DataConfig
from nnlab.datasets import load_dataset
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import backward, forward

__all__ = ["block", "main", "worst_gradient"]

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- proof: begin -->", "<!-- proof: end -->"
STEP = 1e-5


def worst_gradient() -> float:
    """Return the largest relative difference between a gradient and central differences of the cost.

    ||g - g'|| / (||g|| + ||g'||), over every activation, every task and the depths 0 to 4.
    """
    return max(
        _difference(activation, task, n_y, depth)
        for activation, (task, n_y), depth in product(
            ACTIVATIONS, (("binary", 1), ("multiclass", 3), ("regression", 1)), range(5)
        )
    )


def _difference(activation: str, task: str, n_y: int, depth: int) -> float:
    rng = np.random.default_rng(depth)
    network = initialize([3, *[5] * depth, n_y], "normal", 0.7, rng)
    network.flat += 0.1 * rng.standard_normal(network.flat.shape)  # biases too
    X = rng.standard_normal((3, 9))
    Y = rng.standard_normal((1, 9)) if task == "regression" else np.eye(3)[np.arange(9) % 3].T[:n_y]
    cost = COSTS[task]
    Z, A = forward(network, X, ACTIVATIONS[activation])
    gradient = backward(network, X, cost.encode(Y), Z, A, ACTIVATIONS[activation], cost)[1].flat[0]
    count = network.flat.shape[1]
    moved = Parameters(network.sizes, network.flat + STEP * np.concatenate([np.eye(count), -np.eye(count)]))
    costs: Array = cost.mean(forward(moved, X, ACTIVATIONS[activation])[0][-1], cost.encode(Y))
    reference = (costs[:count] - costs[count:]) / (2 * STEP)
    return float(np.linalg.norm(gradient - reference) / (np.linalg.norm(gradient) + np.linalg.norm(reference)))


def _published() -> list[str]:
    """Return a table of the course's published costs beside nnlab's."""
    published = json.loads((ROOT / "tests" / "data" / "course_numbers.json").read_text(encoding="utf-8"))["training"]
    costs = next(one["costs"] for one in published["seeds"] if one["seed"] == 3)
    flower = load_dataset(DataConfig())
    ours: list[float] = []
    np.random.seed(3)
    parameters = course.initialize_parameters(len(flower.X), published["n_h"], len(flower.Y))
    for iteration in range(1000 * (len(costs) - 1) + 1):
        A2, cache = course.forward_propagation(flower.X, parameters)
        if iteration % 1000 == 0:
            ours.append(float(course.compute_cost(A2, flower.Y)))
        gradients = course.backward_propagation(parameters, cache, flower.X, flower.Y)
        parameters = course.update_parameters(parameters, gradients, published["learning_rate"])
    iterations = [f"{1000 * number:,}" for number in range(len(costs))]
    return [
        f"| cost at iteration | {' | '.join(iterations)} |",
        f"| --- |{' ---: |' * len(costs)}",
        f"| published | {' | '.join(f'{cost:.6f}' for cost in costs)} |",
        f"| nnlab | {' | '.join(f'{cost:.6f}' for cost in ours)} |",
    ]


def _from_page(name: str, pattern: str) -> str:
    match = re.search(pattern, (ROOT / "docs" / name).read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"docs/{name} has no text that matches {pattern}")
    return match[1]


def _false_alarms() -> tuple[int, int]:
    """Return the number of healthy networks in the battery that were not used for tuning, and of those misjudged."""
    page = (ROOT / "docs" / "battery.md").read_text(encoding="utf-8")
    rows = re.findall(r"\| false alarms on healthy \| (\d+) \| ([\d.]+)%", page[page.index("## Held out") :])
    return sum(int(count) for count, _ in rows), round(sum(int(count) * float(share) / 100 for count, share in rows))


def _lead(units: int) -> Finding:
    """Return the share of seeds in which a hidden size has the best training accuracy."""
    findings = [Finding(**one) for one in read_findings("hidden_size")["findings"]]
    return next(one for one in findings if one.what.startswith(f"seeds in which {units} units"))


def _share(one: Finding) -> str:
    return f"{one.value:.0%} [{one.low:.0%}, {one.high:.0%}]"


def block() -> str:
    """Return the generated part of README.md."""
    bound = f"1e{int(np.ceil(np.log10(worst_gradient())))}"
    runs, seconds = (_from_page("sweeps.md", rf"\| nnlab \| {cell} \|") for cell in (r"(\d+)", r"\d+ \| ([\d.]+)"))
    naive = _from_page("sweeps.md", r"naive / nnlab, per run ([\d.]+)")
    jax = [_from_page("benchmarks.md", rf"tanh, h = {h}: nnlab stacked / best of JAX ([\d.]+)") for h in (4, 20, 50)]
    loading = _from_page("loading.md", r"MLflow / nnlab (\d+)")
    healthy, wrong = _false_alarms()
    five, twenty = _lead(5), _lead(20)
    statements = f"""
- Gradients of {len(ACTIVATIONS)} activations, 3 tasks and depths 0 to 4 differ from central differences of the cost by
  less than {bound}.
- The default sweep trains, judges and records {runs} networks in {seconds} s on two cores. A naive sweep with Hydra and
  MLflow takes {naive} times as long per run ([docs/sweeps.md](docs/sweeps.md)).
- An iteration of stacked tanh networks takes {min(jax)} to {max(jax)} times as long as the best of JAX on the same core
  ([docs/benchmarks.md](docs/benchmarks.md)).
- The curves of 10,000 runs load {loading} times as fast as through MLflow's client
  ([docs/loading.md](docs/loading.md)).
- Before the rules last changed: of {healthy} healthy networks that were not used for tuning, {wrong} got another
  verdict. [docs/battery.md](docs/battery.md) compares nnlab with four published rule sets.
- The course's "best" five hidden units lead, or share the lead, in {_share(five)} of {five.n}, twenty units in
  {_share(twenty)}: one seed decides nothing ([experiments/hidden_size](experiments/hidden_size/README.md))."""
    listed = [
        textwrap.fill(" ".join(statement.split()), 128, subsequent_indent="  ", break_on_hyphens=False)
        for statement in statements.split("\n- ")[1:]
    ]
    return "\n".join([BEGIN, *_published(), "", *(f"- {statement}" for statement in listed), END])


def main() -> None:
    """Write the generated part of README.md."""
    text = README.read_text(encoding="utf-8")
    start, stop = text.index(BEGIN), text.index(END) + len(END)
    README.write_text(text[:start] + block() + text[stop:], encoding="utf-8")


if __name__ == "__main__":
    main()
