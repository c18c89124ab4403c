"""What to try first on a network that did not learn: one row of the table of changes, or two.

The first row removes the cause that a rule has found. A second is added where the numbers of the run show that one does
not suffice: the first thing that the network lacks besides. The constants were chosen on random trainings; see
`docs/battery.md` for how often the cures cure.
"""

import math
from collections.abc import Iterator

from nnlab.diagnostics.case import Case
from nnlab.diagnostics.changes import CHANGES, Change, values_of
from nnlab.diagnostics.thresholds import THRESHOLDS

__all__ = [
    "against_divergence",
    "against_dying",
    "against_explosion",
    "against_overshooting",
    "against_saturation",
    "against_vanishing",
    "cure",
    "missing_time",
    "needed_time",
    "random_weights",
]

ROWS = {change.name: change for change in CHANGES}
TIME, TIME_OF_SIGMOID = 100.0, 1000.0
"""The learning rate times the iterations that small networks need on data of scale 1."""
LARGEST_RATES = {1: 3.0, 3: 1.0}
"""The largest learning rate that networks of at most so many hidden layers bear."""
LARGEST_RATE_OF_DEEP = 0.3
LARGEST_RATE_BY_NORM = 10.0
LARGEST_RATE_BY_NORM_OF_FEW = 2.0
"""The largest learning rate times the mean squared norm of an example; the second is for batches of few examples."""
FEW_EXAMPLES = 8
MUCH = 3.0
"""So many times too little time is more urgent than too few units."""
FEW_UNITS = 3
HEALTHY_RATIO = (0.05, 20.0)
"""Signal ratios at iteration 0 that need no other initial weights."""


def cure(case: Case, *first: str) -> tuple[Change, ...]:
    """Return at most two changes: the rows named `first`, as far as they apply, then what else the network lacks."""
    chosen: list[Change] = []
    for name in (*first, *_lacks(case)):
        change = ROWS[name]
        is_new = all(_subject(change) != _subject(other) for other in chosen)
        if is_new and values_of([*chosen, change], case.config).keys() > values_of(chosen, case.config).keys():
            chosen.append(change)
        if len(chosen) == 2:
            break
    return tuple(chosen)


def _subject(change: Change) -> str:
    return "steps" if "steps" in change.aspect else change.aspect


def random_weights(case: Case) -> tuple[Change, ...]:
    return cure(case, _scheme(case))


def against_divergence(case: Case) -> tuple[Change, ...]:
    if not case.cost[0] < 10 * case.references.prior:  # the initial weights are too large
        return cure(case, *_bend(case), _scheme(case), "learning rate x 0.1")
    return cure(case, *_bend(case), *_calm(case))


def against_overshooting(case: Case) -> tuple[Change, ...]:
    return cure(case, *_calm(case))


def against_dying(case: Case, start: int) -> tuple[Change, ...]:
    """Return the cure of units that are dead since iteration `start`."""
    return cure(case, *_calm(case)) if start else cure(case, "leaky relu")


def against_saturation(case: Case) -> tuple[Change, ...]:
    return cure(case, *_calm(case)) if _starts_well(case) else cure(case, _scheme(case))


def against_vanishing(case: Case) -> tuple[Change, ...]:
    if case.config["model.activation"] != "sigmoid":
        return cure(case, *_bend(case), *([] if _starts_well(case) else [_scheme(case)]))
    # Deep sigmoid networks lose the signal with any initial weights.
    return cure(case, "relu", "he") if missing_time(case) > 3 else (ROWS["one hidden layer"],)


def against_explosion(case: Case) -> tuple[Change, ...]:
    return cure(case, _scheme(case))


def missing_time(case: Case) -> float:
    """Return the factor by which the learning rate times the iterations should be larger; below 1, nothing is missing.

    In gradient flow, this product is the time. Standardized data, or data of about their scale, take about 100.
    """
    time = case.config["training.learning_rate"] * case.config["training.iterations"]
    return needed_time(case) / time if time > 0 else math.inf


def needed_time(case: Case) -> float:
    """Return the learning rate times the iterations that networks with this activation take."""
    return TIME_OF_SIGMOID if case.config["model.activation"] == "sigmoid" else TIME


def _lacks(case: Case) -> Iterator[str]:
    """Yield rows for everything that a network lacks, the most important first."""
    missing = missing_time(case)
    steps, iterations, factor = _time(case)
    few = ["width x 4"] if case.widths and min(case.widths) <= FEW_UNITS else []
    yield from _bend(case)
    if case.efficiency < THRESHOLDS["overshooting: efficiency"]:
        yield from _calm(case)
    if case.config["model.activation"] == "sigmoid" and len(case.widths) >= 2:
        yield "tanh"
    if missing > MUCH * factor:  # longer steps alone do not suffice
        yield from [*steps, *few, *iterations]
    if not _starts_well(case):
        yield _scheme(case)
    if case.is_off_centre:
        yield "standardized data"
    if case.config["training.learning_rate"] > _largest_rate(case):
        yield "learning rate x 0.1"
    yield from [*steps, *few, *iterations] if missing > MUCH else [*few, *steps, *iterations]


def _bend(case: Case) -> list[str]:
    """Return the change that makes an affine network curved, if more than a line is to be had."""
    if case.can_bend or not case.wants_more_than_a_line:
        return []
    return ["tanh" if case.widths else "one hidden layer"]


def _calm(case: Case) -> list[str]:
    return ["standardized data" if case.is_unscaled else "learning rate x 0.1"]


def _scheme(case: Case) -> str:
    return "he" if case.config["model.activation"] in ("relu", "leaky_relu", "gelu") else "xavier"


def _starts_well(case: Case) -> bool:
    """True if the initial weights are scaled by the layers' sizes, or pass the signal as well as those."""
    config, ratio = case.config, case.curves.get(("signal/ratio", 0))
    low, high = HEALTHY_RATIO
    if config["init.scheme"] in ("xavier", "he", "orthogonal") and 0.5 <= config["init.scale"] <= 2:
        return True
    return ratio is not None and low <= ratio[0] <= high


def _time(case: Case) -> tuple[list[str], list[str], float]:
    """Return the rows that make the steps longer, and more, if time is missing, and the factor of the former.

    A step that gains a share e of what its slope promises could be 1 / (2 (1 - e)) times as long.
    """
    missing = missing_time(case)
    if missing <= 1:
        return [], [], 1.0
    room = 0.5 / max(1 - case.efficiency, 1e-9)
    for factor in (100, 10, 3):
        row = f"learning rate x {factor}"
        rate = values_of([ROWS[row]], case.config).get("training.learning_rate", math.inf)
        if factor <= room and rate <= _largest_rate(case) and (factor < 100 or missing > 10):
            return [row], ["iterations x 10"] if factor < missing else [], factor
    return [], ["iterations x 10"], 1.0


def _largest_rate(case: Case) -> float:
    depth = len(case.widths)
    by_depth = next((rate for most, rate in LARGEST_RATES.items() if depth <= most), LARGEST_RATE_OF_DEEP)
    norm = case.final("data/input_norm")
    batch = case.config["training.batch_size"]
    is_noisy = batch is not None and batch <= FEW_EXAMPLES
    by_norm = LARGEST_RATE_BY_NORM_OF_FEW if is_noisy else LARGEST_RATE_BY_NORM
    return min(by_depth, by_norm / norm**2) if norm > 0 else by_depth
