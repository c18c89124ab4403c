"""Run the battery and write docs/battery.md: recall, precision, false alarms and the iteration of detection.

The verdicts of nnlab and four published rule sets judge the same networks (`python -m benchmarks.battery`).
"""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.battery.cases import LABELS, PARTS, RANDOM
from benchmarks.battery.other_runs import HALVES, named, section
from benchmarks.battery.rivals import RIVALS
from benchmarks.battery.trial import OBSERVATIONS, OURS, Result, collect

PAGE = Path(__file__).resolve().parents[2] / "docs" / "battery.md"
JUDGES = (OURS, *RIVALS)
SICK = tuple(label for label in LABELS if label != "healthy")


def recall(results: Sequence[Result], judge: str, state: str) -> float:
    """Return the share of the networks in a state for which a judge named it; nnlab must name it as its headline."""
    hits = [_named(result, judge, state) for result in results if result.state == state]
    return float(np.mean(hits)) if hits else float("nan")


def precision(results: Sequence[Result], judge: str, state: str) -> float:
    """Return the share of the networks for which a judge named a state that are in that state."""
    right = [result.state == state for result in results if _named(result, judge, state)]
    return float(np.mean(right)) if right else float("nan")


def false_alarms(results: Sequence[Result], judge: str) -> float:
    """Return the share of the healthy networks on which a judge raised any alarm."""
    return float(np.mean([result.alarmed[judge] for result in results if result.state == "healthy"]))


def _named(result: Result, judge: str, state: str) -> bool:
    return result.headline == state if judge == OURS else state in result.named[judge]


def vocabulary(judge: str) -> set[str]:
    """Return the states that a judge can name."""
    return set(SICK) if judge == OURS else {state for states in RIVALS[judge][1].values() for state in states}


def tables(results: Sequence[Result]) -> str:
    """Return the tables of one part in Markdown."""
    counts = Counter(result.state for result in results)
    states = [state for state in SICK if counts[state]]
    lines = [
        f"| state | networks | {' | '.join(JUDGES)} |",
        f"|---|---|{'---|' * len(JUDGES)}",
    ]
    for state in states:
        cells = [_cell(results, judge, state) for judge in JUDGES]
        lines.append(f"| {state} | {counts[state]} | {' | '.join(cells)} |")
    alarms = [f"{false_alarms(results, judge):.1%}" for judge in JUDGES]
    lines.append(f"| false alarms on healthy | {counts['healthy']} | {' | '.join(alarms)} |")
    lines += [
        "",
        "Iteration at which the state was named (median over those named; trainings are 150 to 4,000 iterations long):",
        "",
    ]
    lines += [f"| state | {' | '.join(JUDGES)} |", f"|---|{'---|' * len(JUDGES)}"]
    for state in states:
        lines.append(f"| {state} | {' | '.join(_first(results, judge, state) for judge in JUDGES)} |")
    return "\n".join(lines)


def _cell(results: Sequence[Result], judge: str, state: str) -> str:
    if state not in vocabulary(judge):
        return "-"
    exact = precision(results, judge, state)
    return f"{recall(results, judge, state):.2f} / " + ("-" if np.isnan(exact) else f"{exact:.2f}")


def _first(results: Sequence[Result], judge: str, state: str) -> str:
    firsts = [r.first[judge] for r in results if r.state == state and r.first[judge] is not None]
    return f"{median(firsts):.0f}" if firsts else "-"  # type: ignore[type-var]


def confusions(results: Sequence[Result]) -> str:
    """Return the wrong headlines of nnlab in words, with their counts."""
    pairs = Counter((r.state, r.headline) for r in results if r.headline != r.state)
    return "; ".join(f"{label} called {headline} {count} times" for (label, headline), count in pairs.items()) or "none"


def page(results_of: dict[str, tuple[list[Result], Counter[str]]], sections: dict[str, str]) -> str:
    """Return the page, given the results and the numbers of dropped candidates of each part.

    `sections` are the tables on causes that only other runs show, by half.
    """
    parts = [INTRODUCTION]
    for name, (results, dropped) in results_of.items():
        data = ", ".join(sorted({result.case.config.data.name for result in results}))
        depths = ", ".join(str(d) for d in sorted({result.case.config.model.depth for result in results}))
        others = ", ".join(f"{count} {label}" for label, count in dropped.items() if count) or "none"
        parts += [
            f"## {name.capitalize()}",
            f"{ABOUT[name]} Data sets: {data}. Hidden layers: {depths}. Left out: {others}.",
            "Recall / precision:",
            tables(results),
            f"Wrong headlines of nnlab: {confusions(results)}.",
            *([OTHER_RUNS, sections[name]] if name in sections else []),
        ]
    return "\n\n".join(parts) + "\n"


ABOUT = {
    "development": "The thresholds were tuned on this part.",
    "held out": "The thresholds were not tuned on this part.",
    RANDOM: "Trainings drawn at random. The outcome checks decide the state; trainings in no clear state are left out.",
}


OTHER_RUNS = """Causes that only other runs show, of runs in small sweeps over seeds and widths. Ten fresh seeds of the
same network and of one four times as wide tell the truth (`benchmarks/battery/other_runs.py`):"""

INTRODUCTION = f"""# Battery: can the verdicts be trusted?

Written by `python -m benchmarks.battery`. In the first two parts every network was built to end in one state. Code
that uses neither the probes nor nnlab's outcome nor their thresholds (`benchmarks/battery/outcomes.py`) has checked
that it ended in this state, and in none that comes earlier in the order of the verdicts. It looks at the weights,
compares what was learned with what a well-trained network of scikit-learn reaches, and trains again with one thing
changed: an overshooting network must learn with a tenth of the rate and not with ten times the iterations, a slow one
with more or larger steps and not with better initial weights, a network on a plateau with better initial weights, an
unscaled one with standardized data; with five seeds each, of which four must learn. Networks that ended otherwise, or
to which two names could be given, are left out and counted. The two parts share no data set, no depth of the deep
networks and no seed. The third part is not built: it shows what to expect of values tried at random.

The four published rule sets were re-implemented from the thresholds in their papers and manuals
(`benchmarks/battery/rivals.py`). They see {OBSERVATIONS} evenly spaced iterations of the same trainings. Their authors
tuned them on mini-batch image models, not on small dense networks and full batches. They are credited generously: for
every state that a symptom could mean, at any time in the training, whatever else they reported. nnlab is credited only
for its headline (its first finding), and only from the iteration after which the headline, judged on the measurements
up to then, no longer changes. A dash means that a rule set cannot name the state, or never named it."""


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.battery", description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="run one part only and print its tables")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="worker processes")
    options = parser.parse_args(words)
    parts = (options.part,) if options.part else PARTS
    sections = {part: section(*named(HALVES[part], options.jobs)) for part in parts if part in HALVES}
    text = page({part: collect(part, options.jobs) for part in parts}, sections)
    print(text)
    if not options.part:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
