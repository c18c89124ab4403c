"""The page on cures, from the records of all networks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from benchmarks.battery.draw import DATA, DEPTHS
from benchmarks.battery.fixes import REPAIRS
from benchmarks.battery.reachable import BETWEEN, HALF, LEARNED, MISSED, MOST, NARROWLY, UNITS, judged
from benchmarks.battery.records import CURED, MISSED_OUTCOMES, OURS, TORCHMORTEM, Record
from nnlab.diagnostics.changes import CHANGES
from nnlab.diagnostics.outcome import OUTCOMES
from nnlab.findings.intervals import share_interval
from nnlab.study.explanation import LEADING
from nnlab.study.why import BUDGET, SEEDS

__all__ = ["page", "upper_bound"]

JUDGEMENTS = (LEARNED, BETWEEN, MISSED)
QUICK = 1.0
"""Seconds within which a network is trained whose explanation is due in the default budget."""


def upper_bound(count: int, of: int) -> float:
    """Return the upper end of the one-sided 95 % Clopper-Pearson interval of a share."""
    from scipy.stats import beta

    return 1.0 if count >= of else float(beta.ppf(0.95, count + 1, of - count))


def page(records: Sequence[Record], seed: int, commit: str | None) -> str:
    """Return the page in Markdown. `commit` froze the rules; None for a trial."""
    missed = [record for record in records if record.missed]
    puzzles = [record for record in missed if not record.needs_luck_only]
    curable = [record for record in puzzles if record.changes_needed in (1, 2)]
    origin = (
        f"Their seed is {seed}: the first eight digits of the hash of the commit that froze the rules, {commit}."
        if commit
        else f"Their seed is {seed}: this is a trial."
    )
    parts = [
        INTRODUCTION.format(number=len(records), origin=origin),
        "## Is the outcome right?",
        _agreement(records),
        "## What makes networks learn?",
        _why(missed, puzzles),
        _changes(puzzles),
        "## Does the first cure cure?",
        _judges(records, puzzles, curable),
        "## By verdict",
        _by_verdict(records),
        "## Fixes that nnlab cannot express",
        INEXPRESSIBLE,
    ]
    return _paragraphs(*parts) + "\n"


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---|' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def _share(part: Sequence[object], whole: Sequence[object]) -> str:
    return _counted(len(part), len(whole))


def _counted(count: int, of: int) -> str:
    """Return a share with its 95 % score interval: `30 of 40, 75 % [60, 86]`."""
    if not of:
        return "0 of 0"
    share = share_interval(count / of, of)
    return f"{count} of {of}, {100 * count / of:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _bounded(part: Sequence[object], whole: Sequence[object]) -> str:
    """Return a small share with the upper end of its exact interval."""
    if not whole:
        return "0 of 0"
    bound = 100 * upper_bound(len(part), len(whole))
    return f"{len(part)} of {len(whole)}, {100 * len(part) / len(whole):.1f} % (at most {bound:.1f} %, one-sided 95 %)"


def _agreement(records: Sequence[Record]) -> str:
    judgements = {record.number: judged(record.judged) for record in records}
    clear = [record for record in records if not judgements[record.number][1]]

    def which(outcome: str, judgement: str) -> list[Record]:
        return [one for one in clear if one.outcome == outcome and judgements[one.number][0] == judgement]

    outcomes = [outcome for outcome in OUTCOMES if any(record.outcome == outcome for record in records)]
    near = Counter(record.outcome for record in records if judgements[record.number][1])
    rows = [
        [outcome, *(len(which(outcome, judgement)) for judgement in JUDGEMENTS), near[outcome]] for outcome in outcomes
    ]
    learned = [one for one in clear if one.outcome == "learned"]
    truly = [one for one in clear if judgements[one.number][0] == LEARNED]
    too_kind, too_harsh = which("learned", MISSED), which("not learned", LEARNED)
    found = (
        f"Of the networks called `learned`, {_bounded(too_kind, learned)} did not learn. Of those that learned, "
        f"{_bounded(too_harsh, truly)} are called `not learned`. Borderline cases are left out of both."
    )
    listed = "\n".join(f"- {_described(one)}" for one in [*too_kind, *too_harsh])
    return _paragraphs(JUDGE, _table(["outcome", *JUDGEMENTS, "borderline"], rows), found, listed)


def _described(record: Record) -> str:
    config = record.config
    data = (config["data.path"] or config["data.name"]).removesuffix(".csv")
    network = f"{config['model.depth']} x {config['model.hidden_size']} {config['model.activation']} on {data}"
    return f"network {record.number}, {network}: {record.learned:.2f} by nnlab, {record.judged:.2f} by the judge"


def _why(missed: Sequence[Record], puzzles: Sequence[Record]) -> str:
    one, two, three = ([record for record in puzzles if record.changes_needed == count] for count in (1, 2, 3))
    quick = [record for record in puzzles if record.seconds < QUICK]
    found = [record for record in quick if record.changes_needed is not None]
    lucky = [record for record in missed if record.needs_luck_only]
    cut = [record for record in puzzles if record.not_tried]
    failed = [record for record in missed if record.failures]
    seconds = [record.why_seconds for record in puzzles]
    typical = f"{np.median(seconds):.0f} s, at most {max(seconds):.0f} s" if seconds else "-"
    rows = [
        ("did not learn", str(len(missed))),
        ("of these, other seeds learn (at least 4 of 5): no change is needed", _share(lucky, missed)),
        ("the others: one change makes at least 4 of 5 seeds learn", _share(one, puzzles)),
        ("two changes do, and no single one", _share(two, puzzles)),
        ("three changes do, and no two", _share(three, puzzles)),
        (f"`nnlab why` finds a cure, of networks trained in less than {QUICK:g} s", _share(found, quick)),
        ("`nnlab why` finds a cure, of all", _share([*one, *two, *three], puzzles)),
        ("the budget left single changes untried", _share(cut, puzzles)),
        ("runs raised", str(len(failed))),
        ("duration of `nnlab why`, median", typical),
    ]
    budget = max((record.budget for record in missed), default=BUDGET)
    cores = budget / BUDGET
    text = WHY.format(seeds=SEEDS, budget=budget, default=BUDGET, cores=cores, s="s" * (cores != 1))
    return _paragraphs(text, _table(["", "networks"], rows))


def _changes(puzzles: Sequence[Record]) -> str:
    """Return the tables of the effects of single changes and of the aspects that `why` names."""
    rows = []
    for change in CHANGES:
        tried = [trial for record in puzzles for trial in record.trials[1:] if trial.changes == [change.name]]
        rows.append((change.name, len(tried), _share([one for one in tried if one.suffices], tried)))
    sufficed: Counter[str] = Counter()
    leading: Counter[str] = Counter()
    for record in puzzles:
        fewest = record.changes_needed
        found = [trial for trial in record.trials[1:] if trial.suffices and len(trial.changes) == fewest]
        if not found:
            continue
        if fewest == 1:
            aspects = {trial.aspects[0] for trial in found}
            sufficed.update(aspects)
            leading[min(aspects, key=LEADING.index)] += 1
        else:
            leading[f"{fewest} at a time"] += 1
    names = [*LEADING, "2 at a time", "3 at a time"]
    causes = [(name, sufficed[name] or "", leading[name]) for name in names]
    return _paragraphs(
        "Each change alone, on the networks that it applies to:",
        _table(["change", "networks", "at least 4 of 5 seeds learn"], rows),
        "The causes that `nnlab why` finds: what a sufficient change changes, and what its sentence names first:",
        _table(["changed", "suffices", "named first"], [row for row in causes if row[1] or row[2]]),
    )


def _judges(records: Sequence[Record], puzzles: Sequence[Record], curable: Sequence[Record]) -> str:
    judges = [judge for judge in (OURS, *REPAIRS, TORCHMORTEM) if any(judge in record.asked for record in puzzles)]
    rows = []
    for judge in judges:
        given = [record for record in curable if judge in record.cures]
        cured = [record for record in given if record.cures[judge].cures(record.before)]
        tried = [record for record in puzzles if judge in record.cures]
        worse = [record for record in tried if record.cures[judge].makes_worse(record.before)]
        beyond = [record for record in tried if record not in given and record.cures[judge].cures(record.before)]
        rows.append(
            [
                judge,
                _share(given, curable),
                _share(cured, given),
                _share(cured, curable),
                _counted(len(beyond), len(puzzles) - len(curable)),
                _bounded(worse, tried),
            ]
        )
    best = _best_single_advice(curable)
    if best:
        name, cured_by_best = best
        rows.append([f"always {name}", "", "", _share(cured_by_best, curable), "", ""])
    unexplained = [record for record in curable if record.verdict == "unexplained"]
    head = ["judge", "gives a cure", "cures, where it gives one", "cures, of all", "cures others", "makes worse"]
    return _paragraphs(
        CURES,
        _table(head, rows),
        f"nnlab calls {_share(unexplained, curable)}, `unexplained`.",
        _about_torchmortem(records),
    )


def _best_single_advice(curable: Sequence[Record]) -> tuple[str, list[Record]] | None:
    """Return the change that cures most networks by itself, with these networks: advice without any diagnosis."""

    def cured(name: str) -> list[Record]:
        return [
            record
            for record in curable
            if any(trial.changes == [name] and trial.cures(record.before) for trial in record.trials[1:])
        ]

    return max(((change.name, cured(change.name)) for change in CHANGES), key=lambda pair: len(pair[1]), default=None)


def _about_torchmortem(records: Sequence[Record]) -> str:
    watched = [record for record in records if record.findings is not None]
    if not watched:
        return "torchmortem was not installed."
    learned = [record for record in watched if record.outcome == "learned"]
    alarmed = [one for one in learned if any(severity == "CRITICAL" for _, severity in one.findings or [])]
    equal = [one for one in watched if one.agrees]
    return (
        "torchmortem watched every third network that learned; it calls something critical in "
        f"{_share(alarmed, learned)}. PyTorch ends with the weights of nnlab in {_share(equal, watched)}; the others "
        "diverged, or took steps so large that rounding errors grow."
    )


def _by_verdict(records: Sequence[Record]) -> str:
    rows = []
    for verdict, number in Counter(record.verdict for record in records).most_common():
        ours = [record for record in records if record.verdict == verdict]
        outcomes = Counter(record.outcome for record in ours)
        missed = [record for record in ours if record.missed]
        puzzles = [record for record in missed if not record.needs_luck_only]
        needed = Counter(record.changes_needed for record in puzzles)
        quick = [record for record in puzzles if record.seconds < QUICK]
        found = [record for record in quick if record.changes_needed is not None]
        given = [record for record in puzzles if OURS in record.cures and record.changes_needed in (1, 2)]
        cured = [record for record in given if record.cures[OURS].cures(record.before)]
        rows.append(
            [
                verdict,
                number,
                outcomes["learned"],
                *(outcomes[outcome] for outcome in MISSED_OUTCOMES),
                len(missed) - len(puzzles),
                needed[1],
                needed[2],
                needed[3],
                f"{len(found)} of {len(quick)}",
                f"{len(cured)} of {len(given)}",
            ]
        )
    head = [
        "verdict",
        "networks",
        "learned",
        *MISSED_OUTCOMES,
        "other seeds learn",
        "curable by one",
        "by two",
        "by three",
    ]
    return _table([*head, "`why` finds, if quick", "first cure cures"], rows)


def _name_with_version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


INTRODUCTION = f"""# Cures: does what is proposed make a network learn?

Written by `python -m benchmarks.battery.cures`. {{number}} trainings were drawn at random, on data sets, depths and
seeds that nothing was tuned on: {", ".join(DATA)}; {", ".join(map(str, DEPTHS))} hidden layers of 2 to 64 units, all
activations and schemes, scales of 0.01 to 3, learning rates of 0.001 to 3, 200 to 5,000 iterations, full batches and
batches of 32 and 1. One in ten learns from inputs and targets in their own units. {{origin}}

Intervals in brackets are 95 % score intervals."""

JUDGE = f"""The judge knows neither probes nor thresholds (`benchmarks/battery/reachable.py`). Its reference is
scikit-learn's network of {UNITS} tanh units, trained by L-BFGS: the best of several penalties and starts, scored on
examples that it was not trained on. Its score is plain accuracy (the mean of the classes' accuracies if one class has
more than 60 % of the examples), or r2. A network's training score is placed between knowing nothing and this reference:
`{LEARNED}` from {MOST:g} on, `{MISSED}` below {HALF:g}. Shares within {NARROWLY:g} of either are borderline."""

WHY = """Every network that did not learn (`partly`, `not learned` or `diverged`) was given to `nnlab why` with
{seeds} seeds and {budget:g} core seconds: the default budget of {default:g} s on a machine with {cores:g} core{s}."""

CURES = f"""The first cure of every judge was trained with the same {SEEDS} seeds. It cures if at least {CURED} of them
learn, and more than without it. It makes things worse if fewer seeds learn or more diverge, and the mean share that was
learned drops by more than 0.05. Cures are counted on the networks that one or two changes are known to cure; those of
the others stand beside, and so does, of all cures that were tried, how many make things worse.

For AUTOTRAINER and TheDeepChecker the first cure is the first repair of the first symptom that nnlab has a key for
(`benchmarks/battery/fixes.py`); if the first symptom has none, the next one's counts. AUTOTRAINER's repairs and their
order are those of its published program; of TheDeepChecker's messages only those on initial weights name a repair, so
steps and costs are answered by the opposite step. {_name_with_version(TORCHMORTEM)} itself watched the same networks
in PyTorch, with the same data, initial weights, batches and steps; its first cure is its first remedy that nnlab has a
key for. The last row is advice without a diagnosis: the single change that cures most of these networks, known only
afterwards."""

INEXPRESSIBLE = """These are left out of the rivals' cures: selu, batch and layer normalization, residual connections,
gradient clipping, momentum, adaptive and other optimizers, schedules, warmup and restarts, weight decay, Gaussian noise
on the inputs, and learning rates by layer."""
