"""What the figures draw: checked on the artists, not on pixels."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nnlab.diagnostics.verdict import RULES
from nnlab.findings.plots import VERDICTS, gradient_flow, verdict_map


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def tiles(ax: Axes) -> list[tuple[float, float, float, str]]:
    """(left, row, width, colour) of every filled rectangle inside the axes."""
    filled = [patch for patch in ax.patches if isinstance(patch, Rectangle) and patch.get_fill() and patch.get_x() > -9]
    return [
        (patch.get_x(), patch.get_y() + 0.5, round(patch.get_width(), 3), to_hex(patch.get_facecolor()).upper())
        for patch in filled
    ]


def test_a_tile_is_divided_where_seeds_differ_and_empty_where_nothing_was_run(ax: Axes) -> None:
    runs = pd.DataFrame(
        {
            "width": [1, 1, 1, 1, 2, 2],
            "name": ["a", "a", "a", "a", "a", "b"],
            "verdict": ["dead", "healthy", "healthy", "healthy", "linear", "frozen"],
        }
    )
    verdict_map(runs, ax, "width", "name")
    colour = {name: colour.upper() for name, (_, colour) in VERDICTS.items()}
    assert sorted(tiles(ax)) == sorted(
        [
            (-0.5, 0.0, 0.75, colour["healthy"]),
            (0.25, 0.0, 0.25, colour["dead"]),
            (0.5, 0.0, 1.0, colour["linear"]),
            (0.5, 1.0, 1.0, colour["frozen"]),
        ]
    )
    assert [text.get_text() for text in ax.texts] == ["H 3/4", "L", "F"]
    legend = ax.get_legend()
    assert legend is not None
    assert {text.get_text().split()[1] for text in legend.get_texts()} == {"healthy", "dead", "linear", "frozen"}


def test_every_verdict_has_a_letter_and_a_colour_of_its_own() -> None:
    names = {rule.__name__.lstrip("_") for rule in RULES}
    assert len({letter for letter, _ in VERDICTS.values()}) == len({colour for _, colour in VERDICTS.values()})
    assert len(VERDICTS) == len({letter for letter, _ in VERDICTS.values()})
    assert VERDICTS.keys() == names | {"healthy", "unfinished", "failed"}


@pytest.mark.parametrize("zero", [0.0, 1e-9])
def test_gradient_flow_hatches_exact_zeros_only(zero: float, ax: Axes) -> None:
    layers, iterations = [1, 2], [0, 1, 10, 100]
    curves = pd.DataFrame(
        [("signal/rms_dZ", layer, t, zero if layer == 1 else 0.5) for layer in layers for t in iterations],
        columns=["quantity", "layer", "iteration", "value"],
    )
    gradient_flow(curves, ax, limits=(1e-10, 1.0))
    drawn, hatched = (np.ma.count(mesh.get_array()) for mesh in ax.collections)
    assert (drawn, hatched) == ((4, 4) if zero == 0 else (8, 0))
    assert ax.get_xscale() == "symlog"
