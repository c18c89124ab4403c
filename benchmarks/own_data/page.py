"""The page that `python -m benchmarks.own_data` writes, section by section."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from statistics import mean, median

from benchmarks.own_data.loads import Attempt, reason
from benchmarks.own_data.rivals import ALLOWANCE, SEEDS, Compared
from benchmarks.own_data.speed import MOST, Timed
from benchmarks.own_data.training import Trained
from benchmarks.targets import Target

__all__ = [
    "heading",
    "loading_section",
    "loading_targets",
    "refusals_section",
    "rivals_section",
    "rivals_targets",
    "speed_section",
    "speed_targets",
    "targets_section",
    "training_section",
    "training_targets",
]

LEAST = 0.97
"""The share of the expected files that must load."""
EXAMPLES = 3
LISTED = 40


def heading(command: str, files: int, unreadable: int, attempts: Sequence[Attempt]) -> str:
    """Return the heading: the method, the machine, and the rule of expectation."""
    return f"""# Real files, as they lie

Written by `{command}` on {date.today().isoformat()}, on {os.cpu_count()} cores.

{files:,} files; pandas cannot read {unreadable}. A person would expect {len(attempts):,} of them to work: 20 rows or
more, a usable target, and a usable input besides it.

- The target is the last usable column: text or true/false with 2 to 50 values, of which those seen twice or more hold
  80 % of the rows; whole numbers of up to 20 values, as classes; other numbers, as numbers.
- An input is usable if it varies, and is numeric or has at most 50 values.
- Columns that number or identify the rows are neither: unnamed ones, `rownames`, `row.names`, `index`, a first column
  of 0..m-1 or 1..m, and `id`, `case`, `patient`, `subject` with more than two values.

The rule is written with pandas alone (`benchmarks/own_data/expectation.py`)."""


def targets_section(targets: Iterable[Target]) -> str:
    """Return the figures beside their targets."""
    return "## Targets\n\n" + "\n".join(f"- {target}" for target in targets)


# ---- loading


def loading_targets(attempts: Sequence[Attempt]) -> list[Target]:
    """Return the targets of loading."""
    faulty = sum(bool(one.faults) for one in attempts)
    return [
        Target(
            "share of the expected files that load, with the words of the messages",
            _share(attempts),
            LEAST,
            True,
            ".1%",
        ),
        Target("files that load something as data that is none", faulty, 0, form="d"),
    ]


def _share(attempts: Sequence[Attempt]) -> float | None:
    return sum(one.loaded for one in attempts) / len(attempts) if attempts else None


def loading_section(attempts: Sequence[Attempt]) -> str:
    """Return the counts of what loaded, by task and by trait, and the faults."""
    groups = {"all": attempts}
    for task in ("classes", "numbers"):
        groups[f"target: {task}"] = [one for one in attempts if one.expected.task == task]
    for trait in sorted({trait for one in attempts for trait in one.traits}):
        groups[trait] = [one for one in attempts if trait in one.traits]
    groups["none of these traits"] = [one for one in attempts if not one.traits]
    rows = [
        [name, f"{len(some)}", _counted(some, as_it_lies=True), _counted(some, as_it_lies=False)]
        for name, some in groups.items()
    ]
    other = [one for one in attempts if one.loaded and one.task != one.expected.task]
    return f"""## Loaded

With `data.target` and `data.missing=impute` alone, and after the words that the messages name (at most three messages).

{_table(["files", "expected", "as they lie", "after the words"], rows)}

Loaded with another task than expected: {_named(one.source.name for one in other)}.

Loaded with something as data that is none, such as a column that numbers the rows, the header or an identifier:
{_faults(attempts)}"""


def _counted(attempts: Sequence[Attempt], *, as_it_lies: bool) -> str:
    count = sum(one.as_it_lies if as_it_lies else one.loaded for one in attempts)
    return f"{count} ({count / len(attempts):.1%})" if attempts else "-"


def _faults(attempts: Sequence[Attempt]) -> str:
    lines = [f"- {one.source.name} {'; '.join(one.faults)}" for one in attempts if one.faults]
    rest = [f"- {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return "\n".join(["", *lines[:LISTED], *rest]) if lines else "none."


def refusals_section(attempts: Sequence[Attempt]) -> str:
    """Return the table of what was refused first and why, the words that helped, and what was refused for good."""
    refused = [one for one in attempts if one.refusals]
    first: dict[str, list[Attempt]] = {}
    for one in refused:
        first.setdefault(reason(one.refusals[0]), []).append(one)
    rows = [
        [
            f"`{_cell(why)}`",
            str(len(some)),
            str(sum(one.loaded for one in some)),
            ", ".join(one.source.name for one in some[:EXAMPLES]),
        ]
        for why, some in sorted(first.items(), key=lambda item: -len(item[1]))
    ]
    keys = Counter(word.partition("=")[0] for one in refused if one.loaded for word in one.words)
    words = [[f"`{key}`", str(count)] for key, count in keys.most_common()]
    needed = _table(["key", "files"], words) if words else "none."
    number = Counter(len(one.words) for one in attempts if one.loaded)
    last = [one for one in refused if not one.loaded]
    final = "\n".join(f"- {one.source.name}: `{_last_message(one)}`" for one in last[:LISTED])
    more = f"\n- {len(last) - LISTED} more" if len(last) > LISTED else ""
    return f"""## Refused, and why

The first message of each file, without its values.

{_table(["message", "files", "loaded after its words", "such as"], rows)}

Words that loaded files needed; {", ".join(f"{files} files needed {n}" for n, files in sorted(number.items()))}:

{needed}

Refused for good: {len(last)} files.

{final}{more}""".rstrip()


def _last_message(one: Attempt) -> str:
    """Return the message without the path, which is a temporary one."""
    return _cell(one.refusals[-1].replace(str(one.source.path), one.source.path.name))


# ---- training


def training_targets(trained: Sequence[Trained]) -> list[Target]:
    """Return the targets of training at the defaults."""
    return [
        Target(f"diverged files, of {len(some)} of {name}", sum(one.outcome == "diverged" for one in some), 0, form="d")
        for name, some in _by_task(trained).items()
    ]


def _by_task(trained: Sequence[Trained]) -> dict[str, list[Trained]]:
    groups: dict[str, list[Trained]] = {"regression": [], "classification": []}
    for one in trained:
        groups["regression" if one.task in ("numbers", "regression") else "classification"].append(one)
    return groups


def training_section(trained: Sequence[Trained], iterations: int, rows: int) -> str:
    """Return the outcomes at the defaults, and the files that diverge."""
    groups = _by_task(trained)
    outcomes = sorted({one.outcome for one in trained})
    counts = [
        [name, str(len(some)), *(str(sum(one.outcome == outcome for one in some)) for outcome in outcomes)]
        for name, some in groups.items()
    ]
    diverged = _named(one.name for one in trained if one.outcome == "diverged")
    return f"""## At the defaults

The default network and {iterations:,} iterations, on files of at most {rows:,} rows in the order of their names.

{_table(["files", "trained", *outcomes], counts)}

Diverged: {diverged}."""


# ---- scikit-learn and speed


def rivals_targets(compared: Sequence[Compared]) -> list[Target]:
    """Return the largest lag behind scikit-learn's MLP that is trained as nnlab trains: Adam stops earlier."""
    lags = [lag for one in compared if (lag := one.lag(one.recipe)) is not None]
    what = "the largest lag behind scikit-learn's MLP with nnlab's recipe on a known set"
    return [Target(what, max(lags, default=None), ALLOWANCE, form=".3f")]


def rivals_section(compared: Sequence[Compared]) -> str:
    """Return the table of the known sets."""
    rows = [
        [
            one.name,
            one.source,
            one.score,
            *(_scores(scores) for scores in (one.ours, one.defaults, one.recipe)),
            f"{one.affine:.3f}" if one.ours else "-",
        ]
        for one in compared
    ]
    titles = ["set", "file", "score", "nnlab", "scikit-learn", "with nnlab's recipe", "no hidden layer"]
    refused = "".join(f"\n- {one.name} is refused: `{_cell(one.refusal)}`" for one in compared if one.refusal)
    return f"""## Beside scikit-learn

8 tanh units. nnlab: xavier, step 0.1, 2,000 iterations. scikit-learn: MLPClassifier or MLPRegressor with its defaults
(Adam) but `max_iter=2000`; and with nnlab's recipe, plain gradient descent on all examples with the same step. All take
the same split and standardization. Accuracy or R^2 on test data: mean (lowest to highest) over {len(SEEDS)} seeds.

{_table(titles, rows)}
{refused}""".rstrip()


def _scores(scores: Sequence[float]) -> str:
    return f"{mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f})" if scores else "-"


def speed_targets(timed: Timed) -> list[Target]:
    """Return the target of loading a large file."""
    return [Target(f"load_dataset / pandas.read_csv, {timed.rows:,} rows of 5 columns", timed.ratio, MOST)]


def speed_section(timed: Timed) -> str:
    """Return the seconds of loading."""
    rows = [
        [name, f"{median(seconds):.2f}", ", ".join(f"{one:.2f}" for one in seconds)]
        for name, seconds in {"nnlab.load_dataset": timed.ours, "pandas.read_csv": timed.pandas}.items()
    ]
    return f"""## Speed

{timed.rows:,} rows of five columns of numbers, in turn in one process, in seconds; the ratio is the median of the
rounds' ratios, {timed.ratio:.2f}. A file of {timed.inputs + 1:,} columns loads in {timed.wide:.1f} s.

{_table(["", "median", "rounds"], rows)}"""


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    rest = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(listed[:LISTED]) + rest if listed else "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [titles, ["---"] * len(titles), *rows])
