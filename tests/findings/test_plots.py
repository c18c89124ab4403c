"""What the figures draw: checked on the artists, and beside pictures of them that were looked at."""

from pathlib import Path

import figures
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from nnlab.diagnostics.verdict import RULES
from nnlab.findings.plots import (
    VERDICTS,
    cost_curves,
    gradient_flow,
    ink,
    metric_by_value,
    panels,
    signal_by_layer,
    verdict_map,
)
from nnlab.findings.statistics import aggregate


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


def tiles(ax: Axes) -> list[tuple[float, float, float, str]]:
    """(left, row, width, colour) of every filled tile."""
    (collection,) = ax.collections
    boxes = [path.get_extents() for path in collection.get_paths()]
    colours = [to_hex(colour).upper() for colour in collection.get_facecolor()]
    return [(box.x0, box.y0 + 0.5, round(box.width, 3), colour) for box, colour in zip(boxes, colours, strict=True)]


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


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_figure_looks_as_it_did_when_somebody_looked(name: str, tmp_path: Path) -> None:
    drawn = tmp_path / f"{name}.png"
    figures.FIGURES[name]().savefig(drawn, dpi=60)
    # 5 of 255, root mean square: below a moved label, above another rasterizer's edges.
    assert compare_images(str(figures.FOLDER / f"{name}.png"), str(drawn), tol=5) is None


def test_cost_curves_show_every_run_and_the_interval_of_the_median(ax: Axes) -> None:
    curves = figures.cost()
    cost_curves(curves, ax, "model.activation", {"nothing": 0.7, "affine": 0.6})
    thin = [collection for collection in ax.collections if isinstance(collection, LineCollection)]
    assert sum(len(lines.get_segments()) for lines in thin) == 60
    dashed = [line.get_ydata()[0] for line in ax.lines if line.get_linestyle() in ("--", ":")]  # type: ignore[index]
    assert dashed == [0.7, 0.6]
    relu = next(line for line in ax.lines if line.get_label() == "relu")
    last = curves[(curves["model.activation"] == "relu") & (curves["iteration"] == 1000)]
    assert relu.get_ydata()[-1] == pytest.approx(last["value"].median())  # type: ignore[index]


def test_points_carry_the_interval_of_the_statistics_module(ax: Axes) -> None:
    runs = figures.runs()
    metric_by_value(runs, ax, "accuracy/test", "model.hidden_size")
    table = aggregate(runs, "accuracy/test", ["model.hidden_size"])
    (bars,) = ax.containers
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])  # type: ignore[attr-defined]
    np.testing.assert_allclose(ends, table[["low", "high"]])
    np.testing.assert_allclose(bars.lines[0].get_ydata(), table["estimate"])  # type: ignore[attr-defined]
    assert "range" in ax.get_title()


def test_a_single_seed_has_a_point_and_no_interval(ax: Axes) -> None:
    runs = figures.runs().query("seed == 0 and `init.scale` == 1 and `model.activation` == 'tanh'")
    metric_by_value(runs, ax, "accuracy/test", "model.hidden_size", "model.activation")
    ax.figure.canvas.draw()
    (bars,) = ax.containers
    assert np.isfinite(bars.lines[0].get_ydata()).all()  # type: ignore[attr-defined]


def test_an_interval_that_ends_at_infinity_is_drawn_as_far_as_it_goes(ax: Axes) -> None:
    runs = figures.runs().rename(columns={"accuracy/test": "cost/test"})
    runs.loc[runs["seed"] == 0, "cost/test"] = np.inf
    metric_by_value(runs, ax, "cost/test", "model.hidden_size", "model.activation")
    ax.figure.canvas.draw()


def test_signals_are_relative_to_the_output_and_theory_is_dashed(ax: Axes) -> None:
    signal_by_layer(figures.signal(), ax, "model.activation", {"relu": [0.125, 0.25, 0.5, 1.0]})
    relu = next(line for line in ax.lines if line.get_label() == "relu")
    falls = 0.5 * (1 + 0.02 * np.arange(5))
    expected = [np.sqrt(np.mean(falls ** (2 * layers))) for layers in (3, 2, 1, 0)]  # theory is of the mean square
    np.testing.assert_allclose(relu.get_ydata(), expected)
    assert next(list(line.get_ydata()) for line in ax.lines if line.get_linestyle() == "--") == [0.125, 0.25, 0.5, 1.0]


@pytest.fixture
def unequal() -> pd.DataFrame:
    """A second sweep with another learning rate went to the same experiment, with one width and one activation."""
    runs = figures.runs()
    second = runs[(runs["model.hidden_size"] == 4) & (runs["model.activation"] == "tanh")]
    second = second.assign(fingerprint="second " + second["fingerprint"].astype(str))
    rates = np.repeat([0.1, 1.2], [len(second), len(runs)])
    return pd.concat([second, runs], ignore_index=True).assign(**{"training.learning_rate": rates})


def test_a_value_has_the_same_place_in_every_panel(unequal: pd.DataFrame) -> None:
    figure = panels(
        unequal,
        "training.learning_rate",
        lambda frame, ax: verdict_map(frame, ax, "model.hidden_size", "model.activation"),
        "Title",
    )
    widths = sorted(unequal["model.hidden_size"].unique())
    names = sorted(unequal["model.activation"].unique())
    few, many = figure.axes[:2]
    place = (widths.index(4), names.index("tanh"))
    assert {text.get_position() for text in few.texts} == {place}
    assert len(many.texts) == len(widths) * len(names)
    assert [tick.get_text() for tick in many.get_xticklabels()] == [str(width) for width in widths]
    assert few.get_xlim() == many.get_xlim() == (-0.5, len(widths) - 0.5)


def test_a_value_has_the_same_colour_in_every_panel(unequal: pd.DataFrame) -> None:
    figure = panels(
        unequal,
        "training.learning_rate",
        lambda frame, ax: metric_by_value(frame, ax, "accuracy/test", "model.hidden_size", "model.activation"),
        "Title",
    )
    colours = [
        {bars.get_label(): bars.lines[0].get_color() for bars in ax.containers}  # type: ignore[attr-defined]
        for ax in figure.axes[:2]
    ]
    assert colours[0] == {"tanh": colours[1]["tanh"]}
    assert len(set(colours[1].values())) == unequal["model.activation"].nunique()


def test_text_from_data_is_no_formula(ax: Axes) -> None:
    runs = figures.runs()
    runs["data.path"] = np.where(runs["model.activation"] == "relu", "c$\\frac{$.csv", "b$.csv")
    metric_by_value(runs, ax, "accuracy/test", "data.path")
    ax.figure.canvas.draw()
    assert [tick.get_text().replace("\\$", "$") for tick in ax.get_xticklabels()] == ["b$.csv", "c$\\frac{$.csv"]


def test_panels_have_the_same_limits_one_legend_and_say_of_how_many_runs() -> None:
    figure = panels(figures.runs(), "init.scale", lambda frame, ax: ax.plot(frame["seed"], label="seed"), "Title")
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}
    assert len(figure.axes) == 2
    assert len(limits) == 1
    assert figure.get_suptitle() == "Title\n60 runs, 5 seeds"


def test_words_on_a_tile_can_be_read() -> None:
    """WCAG 2 asks for a contrast of 4.5."""

    def luminance(colour: str) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for _, colour in VERDICTS.values():
        low, high = sorted((luminance(colour), luminance(ink(colour))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour
