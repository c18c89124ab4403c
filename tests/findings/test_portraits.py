"""Tests of the figures and the film of one network."""

import io

import figures
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

import nnlab
from nnlab.findings.film import Scene, film
from nnlab.findings.portraits import boundary, decision_boundary, portrait, unit_paths
from nnlab.network.initializers import initialize


def trained(name: str = "moons", **parts: object) -> tuple[nnlab.Run, nnlab.Dataset]:
    from nnlab.config import resolve
    from nnlab.study.run_stack import run_stack

    config = resolve(
        nnlab.RunConfig(
            data=nnlab.DataConfig(name),
            training=nnlab.TrainingConfig(iterations=20),
            diagnostics=nnlab.DiagnosticsConfig("full", checkpoints=5),
            **parts,  # type: ignore[arg-type]
        )
    )
    data = nnlab.load_dataset(config.data)
    return run_stack([config], data, ["0" * 16])[0], data


def test_the_boundary_separates_the_predicted_classes() -> None:
    run, data = trained()
    answers = boundary(run.parameters, "tanh", data, steps=30)
    points = answers[["x1", "x2"]].to_numpy().T
    np.testing.assert_array_equal(answers["probability"] > 0.5, run.predict(points)[0] == 1)
    assert (answers[["x1", "x2"]].min() < data.X.min(axis=1)).all()
    assert (answers[["x1", "x2"]].max() > data.X.max(axis=1)).all()


def test_a_boundary_needs_two_inputs_and_two_classes() -> None:
    run, data = trained("spiral")
    with pytest.raises(ValueError, match="two inputs and two classes, got 2 inputs and multiclass"):
        boundary(run.parameters, "tanh", data)


def test_probabilities_have_the_same_colours_in_every_panel() -> None:
    run, data = trained()
    answers = boundary(run.parameters, "tanh", data, steps=30)
    ax = decision_boundary(answers, Figure().subplots(), data)
    assert ax.collections[0].get_clim() == (0, 1)


def test_equal_units_have_the_same_colour() -> None:
    ax = unit_paths(figures.profiles(), Figure().subplots())
    paths = [line for line in ax.lines if len(line.get_xdata()) == 4]  # type: ignore[arg-type]
    colours = [line.get_color() for line in paths]
    assert colours[0] == colours[1]
    assert len(set(map(str, colours))) == 3
    assert ax.get_title() == "4 units, 3 distinct at the end"


@pytest.mark.parametrize(
    ("name", "parts", "expected"),
    [
        ("moons", {}, {"cost", "gradient_flow", "boundary", "units", "silent"}),
        ("spiral", {}, {"cost", "gradient_flow", "units", "silent"}),
        ("diabetes", {}, {"cost", "gradient_flow", "silent"}),
        ("moons", {"model": nnlab.ModelConfig(depth=0)}, {"cost", "gradient_flow", "boundary"}),
        (
            "moons",
            {"init": nnlab.InitConfig("constant", 1e200)},
            {"cost", "gradient_flow", "boundary", "units", "silent"},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_portrait_has_the_figures_defined_for_the_run(
    name: str, parts: dict[str, object], expected: set[str]
) -> None:
    found = portrait(*trained(name, **parts))
    assert found.keys() == expected
    for figure in found.values():
        assert "seed 3" in figure.get_suptitle()
        figure.savefig(io.BytesIO())


def test_a_film_has_one_frame_for_each_scene() -> None:
    data = nnlab.load_dataset(nnlab.DataConfig("moons", m=40))
    scenes = [
        Scene(t, 0.5, 0.75, initialize([2, 3, 1], "normal", 1.0 + t, np.random.default_rng(0)).as_dict())
        for t in (0, 1, 2)
    ]
    frames = Image.open(io.BytesIO(film(scenes, "tanh", data, "title")))
    assert (frames.format, frames.n_frames) == ("GIF", 3)  # type: ignore[attr-defined]


def test_a_tracked_run_has_its_figures_in_mlflow_with_tracking_figures(results: object) -> None:
    from nnlab.tracking.connection import connect

    config = nnlab.RunConfig(
        results_dir=str(results),
        training=nnlab.TrainingConfig(iterations=20),
        tracking=nnlab.TrackingConfig(figures=True),
    )
    nnlab.run(config, tracking=True)
    client = connect(config)
    (entry,) = client.search_runs(["1"])
    assert {artifact.path for artifact in client.list_artifacts(entry.info.run_id, "figures")} == {
        f"figures/{name}.png" for name in ("cost", "gradient_flow", "boundary")
    }
    (dataset,) = entry.inputs.dataset_inputs
    assert dataset.dataset.name == "flower"
    assert pd.Series(entry.data.params)["tracking.figures"] == "True"
