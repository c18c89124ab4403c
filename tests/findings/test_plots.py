"""Tests of the figures of many runs: of what they draw, and against stored pictures."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import figures
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from nnlab.findings.maps import verdict_map
from nnlab.findings.panels import panels, pooled
from nnlab.findings.plots import clipped_runs, cost_curves, gradient_flow, metric_by_value, signal_by_layer
from nnlab.findings.statistics import aggregate
from nnlab.findings.style import COLOURS, labels


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


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
def test_a_figure_looks_like_its_stored_picture(name: str, tmp_path: Path) -> None:
    drawn = tmp_path / f"{name}.png"
    figures.FIGURES[name]().savefig(drawn, dpi=60)
    # 5 of 255, root mean square: below a moved label, above another rasterizer's edges.
    assert compare_images(str(figures.FOLDER / f"{name}.png"), str(drawn), tol=5) is None


def test_cost_curves_show_every_run_and_the_interval_of_the_median(ax: Axes) -> None:
    curves = figures.cost()
    cost_curves(curves, ax, "model.activation", {"nothing": 0.7, "affine": 0.6})
    thin = [collection for collection in ax.collections if isinstance(collection, LineCollection)]
    assert sum(len(lines.get_segments()) for lines in thin) == 60
    levels = {line.get_label(): line.get_ydata()[0] for line in ax.lines if line.get_label() in ("nothing", "affine")}  # type: ignore[index]
    assert levels == {"nothing": 0.7, "affine": 0.6}
    relu = next(line for line in ax.lines if line.get_label() == "relu")
    last = curves[(curves["model.activation"] == "relu") & (curves["iteration"] == 1000)]
    assert relu.get_ydata()[-1] == pytest.approx(last["value"].median())  # type: ignore[index]


def test_points_have_the_interval_of_aggregate(ax: Axes) -> None:
    runs = figures.runs()
    metric_by_value(runs, ax, "accuracy/test", "model.hidden_size")
    table = aggregate(runs, "accuracy/test", ["model.hidden_size"])
    (bars,) = ax.containers
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])  # type: ignore[attr-defined]
    np.testing.assert_allclose(ends, table[["low", "high"]])
    np.testing.assert_allclose(bars.lines[0].get_ydata(), table["estimate"])  # type: ignore[attr-defined]
    assert "bootstrap interval" in ax.get_title()  # it pools settings


def test_a_single_seed_has_a_point_without_an_interval(ax: Axes) -> None:
    runs = figures.runs().query("seed == 0 and `init.scale` == 1 and `model.activation` == 'tanh'")
    metric_by_value(runs, ax, "accuracy/test", "model.hidden_size", "model.activation")
    ax.figure.canvas.draw()
    (bars,) = ax.containers
    assert np.isfinite(bars.lines[0].get_ydata()).all()  # type: ignore[attr-defined]


def test_an_interval_with_an_infinite_end_is_drawn(ax: Axes) -> None:
    runs = figures.runs().rename(columns={"accuracy/test": "cost/test"})
    runs.loc[runs["seed"] == 0, "cost/test"] = np.inf
    metric_by_value(runs, ax, "cost/test", "model.hidden_size", "model.activation")
    ax.figure.canvas.draw()


def test_signals_are_relative_to_the_output_and_theory_is_dashed(ax: Axes) -> None:
    signal_by_layer(figures.signal(), ax, "model.activation", {"relu": [0.125, 0.25, 0.5, 1.0]})
    relu = next(line for line in ax.lines if line.get_label() == "relu")
    falls = 0.5 * (1 + 0.02 * np.arange(5))
    expected = [np.sqrt(np.mean(falls ** (2 * steps))) for steps in (3, 2, 1, 0)]  # theory predicts the mean square
    np.testing.assert_allclose(relu.get_ydata(), expected)
    dashed = [list(line.get_ydata()) for line in ax.lines if line.get_linestyle() == "--"]
    assert dashed == [[0.125, 0.25, 0.5, 1.0], []]  # and the entry of the legend


def test_panels_have_the_same_limits_and_count_their_runs() -> None:
    def draw(frame: pd.DataFrame, ax: Axes, *, among: pd.DataFrame) -> None:
        ax.plot(frame["seed"], label="seed")

    figure = panels(figures.runs(), "init.scale", draw, "Title")
    limits = {(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}
    assert len(figure.axes) == 2
    assert len(limits) == 1
    assert figure.get_suptitle() == "Title\n60 runs, 5 seeds"


def unequal() -> pd.DataFrame:
    """Runs of two panels: the second has neither the first column nor the first row."""
    rows = [("a", 1, "relu"), ("a", 2, "relu"), ("a", 4, "tanh"), ("b", 4, "tanh"), ("b", 2, "tanh")]
    frame = pd.DataFrame(rows, columns=["data.name", "model.hidden_size", "model.activation"])
    frame = frame.loc[frame.index.repeat(2)].reset_index(drop=True)
    return frame.assign(
        seed=np.tile([0, 1], len(rows)),
        fingerprint=[f"{number:016x}" for number in range(len(frame))],
        verdict="healthy",
        outcome="learned",
        sweep_cause="",
        **{"accuracy/test": np.linspace(0.5, 0.9, len(frame))},
    )


def test_a_value_has_the_same_place_and_colour_in_all_panels() -> None:
    x, by = "model.hidden_size", "model.activation"
    figure = panels(unequal(), "data.name", partial(verdict_map, x=x, y=by), "Verdict")
    left, right = figure.axes
    assert [tick.get_text() for tick in right.get_xticklabels()] == ["1", "2", "4"]
    places = [{text.get_position() for text in ax.texts} for ax in (left, right)]
    assert places == [{(0.0, 0.0), (1.0, 0.0), (2.0, 1.0)}, {(1.0, 1.0), (2.0, 1.0)}]

    figure = panels(unequal(), "data.name", partial(metric_by_value, metric="accuracy/test", x=x, by=by), "Score")
    for ax in figure.axes:
        colours = {bars.get_label(): bars.lines[0].get_color() for bars in ax.containers}  # type: ignore[attr-defined]
        assert colours["tanh"] == COLOURS[1]
    places = [bars.lines[0].get_xdata() for bars in figure.axes[1].containers]  # type: ignore[attr-defined]
    assert [np.round(each).tolist() for each in places] == [[1.0, 2.0]]


@pytest.mark.parametrize("draw", [cost_curves, signal_by_layer])
def test_a_value_has_the_same_colour_in_all_panels_of_curves(draw: Callable[..., Axes]) -> None:
    whole = figures.cost().assign(layer=1) if draw is cost_curves else figures.signal()
    some = whole[(whole["init.scale"] == 0.01) | (whole["model.activation"] == "tanh")]
    figure = panels(some, "init.scale", partial(draw, by="model.activation"), "Title")
    for ax in figure.axes:
        (tanh,) = [line for line in ax.lines if line.get_label() == "tanh"]
        assert tanh.get_color() == COLOURS[1]
    alone = draw(some[some["model.activation"] == "tanh"], Figure().subplots(), "model.activation", among=some)
    assert next(line for line in alone.lines if line.get_label() == "tanh").get_color() == COLOURS[1]


def test_a_second_key_makes_rows_of_panels() -> None:
    runs = figures.runs().query("`init.scale` == 1 or `model.activation` == 'tanh'")
    seen: list[tuple[str, float]] = []

    def draw(frame: pd.DataFrame, ax: Axes, *, among: pd.DataFrame) -> None:
        assert among is runs
        (setting,) = set(zip(frame["model.activation"], frame["init.scale"], strict=True))
        seen.append(setting)
        ax.set(xlabel="x", ylabel="y")

    figure = panels(runs, "model.activation", draw, "Title", rows="init.scale")
    assert seen == [("tanh", 0.01), ("relu", 1.0), ("tanh", 1.0)]
    first, second, third, fourth = figure.axes
    assert [ax.get_title() for ax in figure.axes] == ["model.activation = relu", "model.activation = tanh", "", ""]
    assert [ax.get_xlabel() for ax in (third, fourth)] == ["x", "x"]
    assert [ax.get_ylabel() for ax in (second, third, fourth)] == ["", "init.scale = 1\ny", ""]
    assert [text.get_text() for text in first.texts] == ["no runs"]  # relu from 0.01


def test_pooled_names_the_keys_that_are_pooled() -> None:
    runs = figures.runs()
    assert pooled(runs, ["init.scale", "model.activation", "model.hidden_size"]) == "5 seeds"
    assert pooled(runs, ["init.scale", "model.activation"]) == "5 seeds and 3 values of model.hidden_size"
    assert pooled(runs.query("seed == 0"), ["init.scale", "model.activation", "model.hidden_size"]) == ""
    fewer = runs.drop(runs.query("seed == 4 and `init.scale` == 1 and `model.hidden_size` == 2").index)
    assert pooled(fewer, ["init.scale", "model.activation", "model.hidden_size"]) == "up to 5 seeds"


def test_the_interval_of_few_runs_is_called_a_range(ax: Axes) -> None:
    one = figures.runs().query("`init.scale` == 1 and `model.activation` == 'tanh'")
    metric_by_value(one, ax, "accuracy/test", "model.hidden_size")
    assert ax.get_title() == "interquartile mean over 5 seeds and its range"


def test_diverged_runs_count_in_the_median_and_in_the_legend(ax: Axes) -> None:
    curves = figures.cost()
    lost = (curves["model.activation"] == "relu") & (curves["seed"] >= 2) & (curves["iteration"] >= 100)
    curves.loc[lost, "value"] = np.nan
    cost_curves(curves, ax, "model.activation")
    relu = next(line for line in ax.lines if line.get_label() == "relu")
    assert relu.get_ydata()[-1] == curves["value"].max()  # type: ignore[index]  # at the upper edge
    legend = ax.get_legend()
    assert legend is not None
    assert "18 of 60 runs leave at the upper edge" in legend.get_title().get_text().replace("\n", " ")
    ax.figure.canvas.draw()


def test_a_run_with_a_finite_cost_above_the_figure_is_counted_as_clipped(ax: Axes) -> None:
    curves = figures.cost()
    assert clipped_runs(curves) == 0
    curves.loc[(curves["seed"] == 1) & (curves["iteration"] >= 100), "value"] = 1e30
    assert clipped_runs(curves) == curves.query("seed == 1")["fingerprint"].nunique()


def test_a_reference_far_below_all_runs_is_named_and_not_drawn(ax: Axes) -> None:
    cost_curves(figures.cost(), ax, "model.activation", {"knows nothing": 0.69, "best affine model": 1e-9})
    _, named = ax.get_legend_handles_labels()
    assert {"knows nothing", "best affine model:\n1e-09, far below"} < set(named)
    assert ax.get_ylim()[0] > 1e-4


def test_many_values_have_the_colours_of_a_scale_and_some_a_legend_entry(ax: Axes) -> None:
    runs = pd.concat([figures.runs().assign(**{"model.hidden_size": size}) for size in range(1, 31)])
    runs["fingerprint"] = np.arange(len(runs)).astype(str)
    metric_by_value(runs, ax, "accuracy/test", "model.activation", "model.hidden_size")
    _, named = ax.get_legend_handles_labels()
    assert named == ["affine model", "1", "6", "11", "15", "20", "25", "30"]
    assert len({bars.lines[0].get_color() for bars in ax.containers}) == 30  # type: ignore[attr-defined]
    legend = ax.get_legend()
    assert legend is not None
    assert legend.get_title().get_text().startswith("model.hidden_size, 7 of 30 values:")
    ax.figure.canvas.draw()


def test_labels_of_numbers_are_as_short_as_they_can_be_while_they_differ() -> None:
    assert labels([0.1, 0.03162277660168379, None, 3, "a"]) == ["0.1", "0.0316228", "none", "3", "a"]
    assert labels([0.1, 0.10000001]) == ["0.1", "0.10000001"]


def test_dollar_signs_in_values_are_not_read_as_formulas() -> None:
    runs = figures.runs()
    runs["model.activation"] = runs["model.activation"] + r"$\frac{$"
    for by, draw in (
        ("model.activation", partial(verdict_map, x="model.hidden_size", y="init.scale")),
        (None, partial(metric_by_value, metric="accuracy/test", x="model.activation")),
    ):
        panels(runs, by, draw, "Title").savefig(io.BytesIO())


def test_gradient_flow_keeps_its_limits_and_shows_theory_in_the_same_colours(ax: Axes) -> None:
    one = figures.flow()
    curves = pd.concat([one.assign(value=factor * one["value"]) for factor in (1, 2, 9)])
    gradient_flow(curves, ax, limits=(1e-2, 0.1), theory=[0.25, 0.5, 1.0])
    measured, theory = (mesh for mesh in ax.collections if mesh.get_cmap().name == "viridis")
    for mesh in (measured, theory):
        assert mesh.get_clim() == (1e-2, 0.1)
    np.testing.assert_allclose(np.asarray(measured.get_array())[2, 0], 1.0)  # the median of 0.5, 1 and 4.5
    np.testing.assert_allclose(np.ravel(theory.get_array()), [0.25, 0.5, 1.0])
    assert measured.colorbar.extend == "both"  # type: ignore[union-attr]


def test_a_name_stays_beside_the_end_of_its_line_when_the_limits_change(ax: Axes) -> None:
    cost_curves(figures.cost(), ax, "model.activation")
    ax.set_ylim(1e-6, 10)
    ax.figure.canvas.draw()
    assert {text.get_text() for text in ax.texts} == {"relu", "tanh"}
    for text in ax.texts:
        (line,) = (line for line in ax.lines if line.get_label() == text.get_text())
        box = text.get_window_extent()
        _, height = ax.transData.transform(line.get_xydata()[-1])
        assert abs((box.y0 + box.y1) / 2 - height) < 8


@pytest.mark.parametrize("statistic", ["iqm", "median", "mean"])
def test_points_show_the_chosen_statistic(statistic: str, ax: Axes) -> None:
    runs = figures.runs()
    metric_by_value(runs, ax, "accuracy/test", "model.hidden_size", statistic=statistic)
    (bars,) = ax.containers
    wanted = aggregate(runs, "accuracy/test", ["model.hidden_size"], statistic)["estimate"]
    np.testing.assert_allclose(bars.lines[0].get_ydata(), wanted)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("levels", "drawn"), [([0.6, 0.6], [0.6]), ([0.5, 0.6], []), ([0.6, np.nan], [])])
def test_an_affine_baseline_is_drawn_only_if_all_runs_have_the_same(
    levels: list[float], drawn: list[float], ax: Axes
) -> None:
    runs = figures.runs().assign(**{"reference/affine_accuracy/test": levels * 30})
    metric_by_value(runs, ax, "accuracy/test", "model.hidden_size")
    lines = [line for line in ax.lines if line.get_label() == "affine model"]
    assert [line.get_ydata()[0] for line in lines] == drawn
