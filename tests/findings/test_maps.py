"""Tests of the maps of verdicts and of cures, and of their colours and letters."""

import itertools

import figures
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from nnlab.diagnostics.changes import CHANGES
from nnlab.diagnostics.outcome import NOT_MEASURED, OUTCOMES
from nnlab.diagnostics.rules import RULES
from nnlab.diagnostics.sweep_cause import SWEEP_CAUSES
from nnlab.findings.maps import ASPECTS, WITHOUT_CURE, cure_map, verdict_map
from nnlab.findings.style import LETTERS, OUTCOME_COLOURS, ink, shaded


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def tiles(ax: Axes) -> list[tuple[float, float, float, str]]:
    """(left, row, width, colour) of every stripe, without the entries of the legend."""
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_x() > -9]
    return [
        (round(box.get_x(), 3), box.get_y() + 0.5, round(box.get_width(), 3), to_hex(box.get_facecolor()))
        for box in boxes
    ]


def legend_words(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def some_runs(**columns: list[object]) -> pd.DataFrame:
    frame = pd.DataFrame({"width": 1, "name": "a", "sweep_cause": "", **columns})
    return frame.assign(fingerprint=frame.index.astype(str), seed=frame.index)


def test_a_tile_is_divided_if_outcomes_differ_and_empty_without_runs(ax: Axes) -> None:
    runs = some_runs(
        width=[1, 1, 1, 1, 2, 2],
        name=["a", "a", "a", "a", "a", "b"],
        outcome=["partly", "learned", "learned", "learned", "not learned", "diverged"],
        verdict=["dead", "healthy", "healthy", "healthy", "linear", "diverged"],
        **{"learned/train": [0.5, 0.9, 1.0, 1.1, -3.0, np.nan]},
    )
    verdict_map(runs, ax, "width", "name")
    assert sorted(tiles(ax)) == sorted(
        [
            (-0.5, 0.0, 0.75, shaded("learned", 1.0)),
            (0.25, 0.0, 0.25, shaded("partly", 0.5)),
            (0.5, 0.0, 1.0, shaded("not learned", 0.0)),
            (0.5, 1.0, 1.0, "#000000"),
        ]
    )
    assert [text.get_text() for text in ax.texts] == ["H 3/4", "L", "X"]
    assert legend_words(ax) == [
        *("learned", "partly", "not learned", "diverged"),
        *("H  healthy", "X  diverged", "D  dead", "L  linear"),
    ]


def test_the_letter_is_the_sweep_cause_where_there_is_one(ax: Axes) -> None:
    runs = some_runs(
        width=[1, 2, 2],
        verdict=["plateau", "unexplained", "healthy"],
        outcome=["not learned", "partly", "learned"],
        sweep_cause=["narrow", "stuck", ""],
        **{"learned/train": [0.1, 0.5, 1.0]},
    )
    verdict_map(runs, ax, "width", "name")
    assert [text.get_text() for text in ax.texts] == ["N", "H K 1/2"]


def test_runs_without_an_outcome_are_grey_with_their_letter(ax: Axes) -> None:
    runs = some_runs(verdict=["healthy", "linear", "linear"], outcome=[NOT_MEASURED] * 3)
    verdict_map(runs, ax, "width", "name")  # older frames have no column learned/train either
    assert tiles(ax) == [(-0.5, 0.0, 1.0, OUTCOME_COLOURS[NOT_MEASURED].lower())]
    assert [text.get_text() for text in ax.texts] == ["L 2/3"]
    assert legend_words(ax) == [NOT_MEASURED, "H  healthy", "L  linear"]


def test_a_tile_has_the_letters_of_equally_frequent_causes(ax: Axes) -> None:
    runs = figures.runs().query("`init.scale` == 1 and `model.activation` == 'tanh'").head(4)
    runs = runs.assign(verdict=["linear", "linear", "healthy", "healthy"], **{"model.hidden_size": 2})
    for frame in (runs, runs.iloc[::-1]):
        ax.clear()
        verdict_map(frame, ax, "model.hidden_size", "model.activation")
        assert [text.get_text() for text in ax.texts] == ["H L 2/4"]
    ax.clear()
    verdict_map(runs.assign(verdict=["dead", "linear", "plateau", "frozen"]), ax, "model.hidden_size", "seed")
    verdict_map(runs.assign(verdict=["dead", "linear", "plateau", "frozen"]), ax, "model.hidden_size", "init.scale")
    assert ax.texts[-1].get_text() == "F D L \N{HORIZONTAL ELLIPSIS} 1/4"


@pytest.mark.parametrize("columns", [1, 3, 12])
def test_words_on_tiles_stay_within_them_and_can_be_read(columns: int) -> None:
    runs = pd.concat(
        [
            figures.runs().assign(width=width, verdict=["healthy", "dead", "dead", "linear", "dead"] * 12)
            for width in range(columns)
        ]
    )
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    ax = verdict_map(runs, figure.subplots(), "width", "model.activation")
    figure.canvas.draw()
    left, right = (ax.transData.transform((edge, 0))[0] for edge in (-0.5, 0.5))
    for text in ax.texts:
        assert text.get_fontsize() >= 5
        assert text.get_window_extent().width <= right - left


def test_a_missing_value_has_a_place_on_the_axis(ax: Axes) -> None:
    runs = figures.runs().assign(size=pd.array([16, 32, None] * 20, dtype="Int64"))
    verdict_map(runs, ax, "size", "model.activation")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["16", "32", "none"]


# ---- cures


def test_a_cure_has_the_colour_of_what_it_changes_and_learned_settings_are_pale(ax: Axes) -> None:
    runs = figures.cures().query("seed == 0 and `init.scale` == 1")
    cure_map(runs, ax, "model.hidden_size", "model.activation")
    words = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in ax.texts]
    assert words == ["rate\nx 0.1\n+2", "width\nx 4", "he\n+ width\nx 4", "none\nfound"]
    weights, units = ASPECTS["scheme"][1].lower(), ASPECTS["width"][1].lower()
    assert {(0.5, 0.0, 0.5, weights), (1.0, 0.0, 0.5, units)} < set(tiles(ax))  # both changes are needed
    assert (1.5, 1.0, 1.0, WITHOUT_CURE["learned"].colour.lower()) in tiles(ax)
    assert legend_words(ax) == [
        *("more units", "initial weights", "learning rate", "none found", "not explained", "learned"),
    ]


def test_a_tile_that_pools_settings_is_divided_by_their_cures(ax: Axes) -> None:
    runs = figures.cures().query("seed == 0 and `init.scale` == 1 and `model.activation` == 'tanh'")
    cure_map(runs.query("`model.hidden_size` != 2"), ax, "init.scale", "model.activation")
    assert sorted(width for _, _, width, _ in tiles(ax)) == [0.5, 0.5]


def test_every_change_has_a_name_and_a_colour_and_fits_on_a_tile(ax: Axes) -> None:
    assert {change.aspect for change in CHANGES} <= ASPECTS.keys()
    assert len({name for name, _ in ASPECTS.values()}) == len({colour for _, colour in ASPECTS.values()})
    changes = [(change.name, (change.aspect,)) for change in CHANGES]
    runs = figures.runs().head(len(changes))
    runs = runs.assign(number=range(len(runs)), cure=[name for name, _ in changes], others=[()] * len(runs))
    cure_map(runs.assign(aspects=[aspects for _, aspects in changes]), ax, "number", "model.activation")
    assert max(len(line) for text in ax.texts for line in text.get_text().split("\n")) <= len("orthogonal")


# ---- colours and letters


def test_every_verdict_and_cause_has_its_own_letter() -> None:
    names = {rule.__name__ for rule in RULES} | {"healthy", "unfinished", "failed"}
    new = {"overshooting", "slow", "unscaled", "unexplained", "nothing to learn", *SWEEP_CAUSES}
    assert names | new <= LETTERS.keys()
    assert len(set(LETTERS.values())) == len(LETTERS)
    assert OUTCOME_COLOURS.keys() == {*OUTCOMES, NOT_MEASURED}


def shades() -> dict[str, list[str]]:
    """Shades of every outcome over the range of what is learned with it."""
    ranges = {"learned": (0.9, 1.2), "partly": (0.25, 0.9), "not learned": (-1.0, 0.25)}
    return {name: [shaded(name, share) for share in np.linspace(*ranges.get(name, (0, 1)))] for name in OUTCOME_COLOURS}


def linear(colour: str) -> NDArray[np.float64]:
    parts = np.asarray(to_rgb(colour))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def test_text_on_a_tile_has_enough_contrast() -> None:
    """WCAG 2 requires a contrast of 4.5."""
    colours = [colour for each in shades().values() for colour in each]
    colours += [colour for _, colour in ASPECTS.values()] + [stripe.colour for stripe in WITHOUT_CURE.values()]
    for colour in colours:
        low, high = sorted(float(linear(one) @ [0.2126, 0.7152, 0.0722]) for one in (colour, ink(colour)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour


COLOUR_VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""What colour-blind people see, as matrices for linear RGB (Machado et al. 2009, severity 1)."""


def lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of linear RGB, in which distances are about what the eye sees."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", COLOUR_VISION)
def test_outcomes_can_be_told_apart_by_colour_blind_readers(vision: str) -> None:
    seen = {name: [lab(COLOUR_VISION[vision] @ linear(one)) for one in each] for name, each in shades().items()}
    for one, other in itertools.combinations(seen, 2):
        assert min(np.linalg.norm(a - b) for a in seen[one] for b in seen[other]) > 12, (one, other)
