"""READMEs show what the command found; `make findings ARGS=--check` runs all experiments again."""

import dataclasses
import json
import math
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import ttest_rel

import nnlab
from experiments import __main__ as command
from experiments import pages
from experiments.__main__ import NO_REPORT, differences, main, measure, sweep, write
from experiments.dying_relu.plot import DRAWS, dead_at_birth, dead_layers
from experiments.findings import Finding, agree, count_of, difference, late_median, over_seeds, share, table
from experiments.learning_rate.plot import findings as findings_of_learning_rate
from experiments.pages import BEGIN, END, HERE, block, experiments, overview, read_findings
from experiments.real_data.plot import figures as figures_of_real_data
from experiments.real_data.plot import findings as findings_of_real_data
from experiments.vanishing_gradients.plot import log_ratios, one_length
from nnlab.cli.presets import question
from nnlab.findings.intervals import share_interval
from nnlab.findings.statistics import aggregate, compare
from nnlab.network.activations import ACTIVATIONS, Array
from nnlab.network.costs import COSTS
from nnlab.network.initializers import initialize
from nnlab.network.parameters import Parameters
from nnlab.network.propagation import forward
from nnlab.record.read_run import read_run
from nnlab.results import conf_folder
from nnlab.seeding import stream

pytestmark = pytest.mark.xdist_group("findings")
COURSE = {"course_flower", "course_initialization"}
"""Presets that reproduce published numbers: tests/test_course.py compares them."""
FEW_SEEDS = {"symmetry": ["data.seed=1,2"], "real_data": ["seed=range(4)", "data.seed=range(4)"]}
"""Fewer seeds make the experiments small enough for the tests. All have fewer iterations and checkpoints."""


def generated(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def test_presets_and_experiment_folders_match() -> None:
    assert set(experiments()) == {path.stem for path in (conf_folder() / "experiment").glob("*.yaml")} - COURSE


@pytest.mark.parametrize("name", experiments())
def test_readme_shows_the_published_findings(name: str) -> None:
    folder = HERE / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    for part in (
        "**Question.**",
        "**Prediction.**",
        "**Command.**",
        "**Finding.**",
        "**What it means.**",
        "**Limits.**",
    ):
        assert part in text
    assert generated(folder / "README.md") == block(name, read_findings(name))
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    drawn = {path.name for path in folder.iterdir() if path.suffix in (".png", ".gif")}
    assert set(pictures) == drawn != set()
    for picture in drawn:
        with Image.open(folder / picture) as image:
            assert image.width >= 500
    assert question(name).count("?") == 1


def test_overview_is_built_from_all_experiments() -> None:
    assert generated(HERE / "README.md") == overview({name: read_findings(name) for name in experiments()})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pd.DataFrame]:
    """Run an experiment once with few seeds and iterations, and with every setting of its grid."""
    folder, frames = tmp_path_factory.mktemp("small"), dict[str, pd.DataFrame]()

    def runs(name: str) -> pd.DataFrame:
        if name not in frames:
            words = [*FEW_SEEDS.get(name, ["seed=range(3)"]), "diagnostics.checkpoints=5"]
            frames[name] = sweep(name, str(folder), [*words, "training.iterations=30", "launcher.n_jobs=1", *NO_REPORT])
        return frames[name]

    return runs


@pytest.mark.parametrize("name", experiments())
def test_smaller_sweep_reports_the_same_findings(
    name: str, small: Callable[[str], pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = small(name)
    content = measure(name, runs)
    new, old = ([Finding(**one) for one in each["findings"]] for each in (content, read_findings(name)))
    assert [one.what for one in new] == [one.what for one in old]
    for one, before in zip(new, old, strict=True):
        # The expected values and the number of settings do not depend on the length of training.
        assert one.expected == pytest.approx(before.expected, rel=1e-6, nan_ok=True), one.what
        if "settings of" in one.n:
            assert one.total == before.total, one.what
        assert math.isnan(one.low) or one.low - 1e-9 <= one.value <= one.high + 1e-9, one.what
        assert not one.total or 0 <= one.value <= one.total, one.what
        assert one.statistic, one.what
        assert bool(one.interval) == (not math.isnan(one.low)), one.what
        assert "range" not in one.interval or int(re.findall(r"(\d+) seeds", one.n)[0]) < 6, one.what
    assert content["runs"] == len(runs)
    if name == "symmetry":
        return  # its film takes 10,000 iterations; films are tested elsewhere
    (tmp_path / name).mkdir()
    shutil.copy(HERE / name / "README.md", tmp_path / name)
    for module in (command, pages):
        monkeypatch.setattr(module, "HERE", tmp_path)
    write(name, content, runs)
    assert {path.name for path in (tmp_path / name).glob("*.png")} == {
        path.name for path in (HERE / name).glob("*.png")
    }
    assert generated(tmp_path / name / "README.md") == block(name, content)
    assert differences(name, content) == []


def test_other_runs_under_the_same_name_are_left_out(tmp_path: Path) -> None:
    words = ["training.iterations=5", "model.hidden_size=1,2", "launcher.n_jobs=1", *NO_REPORT]
    first = sweep("hidden_size", str(tmp_path), [*words, "seed=0"])
    assert len(sweep("hidden_size", str(tmp_path), [*words, "seed=1"])) == len(first) == 2
    assert len(nnlab.load_runs("hidden_size", str(tmp_path))) == 4


def test_dead_layer_has_no_unit_that_is_positive_on_any_example(small: Callable[[str], pd.DataFrame]) -> None:
    runs = small("dying_relu")
    ours = runs[(runs["model.activation"] == "relu") & (runs["model.depth"] == 20) & (runs["model.hidden_size"] == 4)]
    data = nnlab.load_dataset(nnlab.DataConfig())
    dead = []
    for seed in ours["seed"]:
        network = initialize([2, *[4] * 20, 1], "he", 1.0, stream(seed, "init"))
        _, A = forward(network, data.X, ACTIVATIONS["relu"])
        dead.append(any((layer <= 0).all() for layer in A[:-1]))
    assert len(set(dead)) == 2
    assert dead_layers(ours)["dead at start"].tolist() == dead


def test_published_shares_of_networks_born_dead_are_no_luck() -> None:
    """4,000 draws by NumPy alone agree: differences of 0.05 would be 4 standard deviations. Forty seeds gave 0.35."""
    published = {one["what"]: one["value"] for one in read_findings("dying_relu")["findings"]}
    X, rng = nnlab.load_dataset(nnlab.DataConfig()).X, np.random.default_rng(7)
    for depth, size in ((5, 2), (10, 4), (20, 4), (20, 8)):
        A, dead = np.broadcast_to(X, (4_000, *X.shape)), np.zeros(4_000, dtype=bool)
        for _ in range(depth):
            weights = rng.standard_normal((4_000, size, A.shape[1])) * np.sqrt(2 / A.shape[1])
            A = np.maximum(weights @ A, 0)
            dead |= ~A.any(axis=(1, 2))
        name = f"a dead layer at the start: relu, {depth} layers of {size}"
        assert published[name] == pytest.approx(dead.mean(), abs=0.05)


def test_settings_share_no_draws_of_networks_born_dead() -> None:
    """With common seeds whatever is dead in two layers would be dead in five."""
    two, five = (np.array(dead_at_birth(depth, 2, DRAWS)) for depth in (2, 5))
    assert not five[two].all()
    assert abs(np.corrcoef(two, five)[0, 1]) < 0.07


def test_curvature_is_the_largest_eigenvalue_of_the_hessian(small: Callable[[str], pd.DataFrame]) -> None:
    runs = small("learning_rate")
    rate = 3.0
    values = []
    for folder in runs[runs["training.learning_rate"] == rate]["folder"]:
        run = read_run(Path(folder))
        data = nnlab.load_dataset(run.config.data)
        values.append(rate * largest_curvature(run.parameters, data.X, data.Y, run.config.model.activation))
    found = {one.what: one for one in findings_of_learning_rate(runs)}
    one = found["learning rate 3: learning rate x largest curvature at the end, median"]
    assert one.value == pytest.approx(np.median(values), rel=1e-4)
    assert one.expected == 2


def largest_curvature(named: dict[str, Array], X: Array, Y: Array, activation: str) -> float:
    """Return the largest eigenvalue of the Hessian of the cost, by central differences of the cost alone."""
    parameters = Parameters.from_dict(named)
    cost, base, step = COSTS["binary"], np.ravel(parameters.flat), 1e-3
    count = len(base)
    steps = step * np.eye(count)
    rows, columns = (grid.ravel() for grid in np.meshgrid(range(count), range(count), indexing="ij"))

    def costs(first: int, second: int) -> Array:
        moved = Parameters(parameters.sizes, base + first * steps[rows] + second * steps[columns])
        found: Array = cost.mean(forward(moved, X, ACTIVATIONS[activation])[0][-1], cost.encode(Y))
        return found

    mixed = costs(1, 1) - costs(1, -1) - costs(-1, 1) + costs(-1, -1)
    hessian = mixed.reshape(count, count) / (4 * step**2)
    return float(np.linalg.eigvalsh((hessian + hessian.T) / 2)[-1])


def test_efficiency_is_the_median_of_the_last_decade(small: Callable[[str], pd.DataFrame]) -> None:
    runs = small("relu_steps").iloc[::7]
    expected = []
    for folder in runs["folder"]:
        history = read_run(Path(folder)).history
        late = history[(history["quantity"] == "steps/efficiency") & (history["iteration"] >= 3)]["value"]
        assert 1 < len(late) < 5
        expected.append(np.nanmedian(late))
    np.testing.assert_array_equal(late_median(runs, "steps/efficiency"), expected)


def test_published_runs_of_drawn_weights_learned_or_were_narrow_or_stuck() -> None:
    """The README explains all of them in these words."""
    rows = [Finding(**one) for one in read_findings("initialization")["findings"]]
    for activation in ("sigmoid", "tanh", "relu", "leaky_relu"):
        ours = [one for one in rows if one.what.startswith((f"{activation}, scale", f"{activation}: runs"))]
        learned = [one for one in ours if one.what.endswith("that learned")]
        others = [one for one in ours if one.what.endswith(("too narrow", "stuck"))]
        assert len(learned) == len(others) == 2
        assert sum(one.value for one in learned + others) == sum(one.total for one in learned)


def test_published_runs_that_learned_are_the_same_by_width_step_and_scale() -> None:
    rows = [Finding(**one) for one in read_findings("relu_steps")["findings"]]
    learned = [one for one in rows if one.what.endswith("runs that learned")]
    sums = {
        (sum(one.value for one in group), sum(one.total for one in group))
        for key in (" units", "learning rate ", "scale ")
        if (group := [one for one in learned if key in one.what])
    }
    assert len(learned) == 8
    assert len(sums) == 1


def test_interval_over_splits_of_one_sample_is_corrected(small: Callable[[str], pd.DataFrame]) -> None:
    runs = small("real_data")
    digits = runs[runs["data.name"] == "digits"].sort_values("seed")
    deep, flat = (digits[digits["model.depth"] == depth]["accuracy/test"].to_numpy() for depth in (1, 0))
    usual = ttest_rel(deep, flat).confidence_interval(0.95)
    fraction = digits["data.test_fraction"].iloc[0]
    wider = math.sqrt((1 / 4 + fraction / (1 - fraction)) / (1 / 4))  # Nadeau & Bengio 2003: corrected resampled t
    one = findings_of_real_data(runs)[0]
    assert one.value == pytest.approx(np.mean(deep - flat))
    assert one.high - one.low == pytest.approx(wider * (usual.high - usual.low))


@pytest.mark.parametrize("score", [0.796, 0.46, 0.711, 0.67])
def test_scores_that_are_equal_in_all_splits_are_drawn(score: float) -> None:
    """Rounding put an end of such an interval beyond its estimate, and matplotlib rejects bars of negative length."""
    keys = ["data.name", "model.depth", "seed"]
    runs = pd.MultiIndex.from_product([["digits", "breast_cancer", "diabetes"], (0, 1), range(10)], names=keys)
    scores = {"accuracy/test": score, "r2/test": score}
    (figure,) = figures_of_real_data(runs.to_frame(index=False).assign(**scores)).values()
    assert isinstance(figure, Figure)
    assert figure.get_suptitle().startswith("Interquartile mean and its 95 % bootstrap interval over 10 seeds")


def test_inputs_scaled_to_one_length_keep_their_mean_square() -> None:
    X = nnlab.load_dataset(nnlab.DataConfig()).X
    same = one_length(X)
    lengths = np.linalg.norm(same, axis=0)
    np.testing.assert_allclose(lengths, lengths[0])
    assert np.mean(np.square(same)) == pytest.approx(np.mean(np.square(X)))


def test_signal_of_one_linear_layer_is_scaled_by_its_weights() -> None:
    model = nnlab.ModelConfig(activation="identity", depth=1, hidden_size=30)
    config = nnlab.RunConfig(model=model, init=nnlab.InitConfig("he", scale=1.0))
    ratios = log_ratios(config, nnlab.load_dataset(config.data).X, 3)
    networks = [initialize([2, 30, 1], "he", 1.0, np.random.default_rng(seed)).as_dict() for seed in range(3)]
    # dZ1 = W2' dZ2 for one output: each unit has the output's signal times its weight.
    np.testing.assert_allclose(ratios, [np.log10(np.sqrt(np.mean(np.square(net["W2"])))) for net in networks])


def test_check_reports_a_changed_number(monkeypatch: pytest.MonkeyPatch) -> None:
    content = read_findings("hidden_size")
    assert differences("hidden_size", content) == []
    changed = json.loads(json.dumps(content))
    (place,) = [n for n, one in enumerate(changed["findings"]) if one["what"] == "accuracy/train, 20 units minus 5"]
    changed["findings"][place]["value"] += 0.05
    (line,) = differences("hidden_size", changed)
    assert line.startswith("hidden_size: accuracy/train, 20 units minus 5: ")

    monkeypatch.setattr(command, "sweep", lambda *_: pd.DataFrame())
    monkeypatch.setattr(command, "write", lambda *_: pytest.fail("--check wrote files"))
    monkeypatch.setattr(command, "measure", lambda *_: content)
    main(["hidden_size", "--check"])
    monkeypatch.setattr(command, "measure", lambda *_: changed)
    with pytest.raises(SystemExit, match="accuracy/train, 20 units minus 5"):
        main(["hidden_size", "--check"])

    changed["findings"].pop()
    assert differences("hidden_size", changed) == ["hidden_size: the list of findings differs from the published one"]


def test_next_sweep_runs_while_the_caller_works(monkeypatch: pytest.MonkeyPatch) -> None:
    started = {name: threading.Event() for name in "abc"}

    def sweep(name: str, *_: object) -> pd.DataFrame:
        started[name].set()
        return pd.DataFrame({"of": [name]})

    monkeypatch.setattr(command, "sweep", sweep)
    results = command.sweeps_ahead(list("abc"), "results")
    for name, following in ("ab", "bc", "c "):
        experiment, runs = next(results)
        assert experiment == name == runs["of"].item()
        assert following == " " or started[following].wait(10)
    assert list(results) == []


def test_findings_agree_within_their_intervals_and_digits() -> None:
    old = Finding("x", 0.5, 0.4, 0.6, "10 seeds", 0.45)
    assert agree(old, old._replace(value=0.55, low=0.44, high=0.66))
    for change in (
        {"value": 0.75},
        {"n": "9 seeds"},
        {"value": math.nan},
        {"expected": 0.46},
        {"bound": True},
        {"low": 0.2},
        {"high": 0.8},
        {"statistic": "median"},
        {"interval": "range"},
        {"low": math.nan, "high": math.nan},
    ):
        assert not agree(old, old._replace(**change)), change
        assert not agree(old._replace(**change), old), change
    alone = Finding("y", 1e-30, math.nan, math.nan, "45 runs")
    assert agree(alone, alone._replace(value=1e-31))
    assert not agree(alone, alone._replace(value=0.1))
    count = count_of("z", [True] * 11 + [False] * 2, "settings")
    assert agree(count, count._replace(value=12))
    assert not agree(count, count._replace(value=13))
    assert not agree(count, count._replace(total=14))
    sure = count._replace(value=0, expected=0.0)
    assert not agree(sure, sure._replace(value=1))


def test_one_end_of_a_range_may_move() -> None:
    """On another machine the accuracy of the worst of five networks moved from 0.905 to 0.895."""
    old = Finding("x", 0.9058, 0.905, 0.9075, "5 seeds", interval="range")
    other = old._replace(value=0.906, low=0.895)
    assert agree(old, other)
    assert agree(other, old)
    assert not agree(old, other._replace(high=0.92))
    assert not agree(old, other._replace(value=0.9))
    assert not agree(*(one._replace(interval="95 % bootstrap interval") for one in (old, other)))
    pairs = [one._replace(n="25 pairs of runs, 5 seeds") for one in (old, other)]
    assert agree(*pairs)


def test_tables_show_intervals_and_expected_values() -> None:
    found = [
        Finding("a", 0.12345, 0.1, 0.2, "5 seeds", expected=0.1, statistic="median", interval="range"),
        Finding("b", 3e-30, math.nan, math.nan, "9 runs", statistic="maximum"),
        share("c", [True] + [False] * 4, expected=0.25)._replace(bound=True),
        count_of("d", [True, False, True], "settings", expected=3.0),
    ]
    assert table(found).splitlines()[2:] == [
        "| a | 0.123 [0.100, 0.200] | 0.100 | median [range] | 5 seeds |",
        "| b | 3.0e-30 | - | maximum | 9 runs |",
        "| c | 0.20 [0.04, 0.62] | at most 0.25 | share [95 % score interval] | 5 seeds |",
        "| d | 2 of 3 | 3 | count | settings |",
    ]
    assert "expected" not in table(found[1:2])


def test_findings_equal_those_of_the_statistics_module(tmp_path: Path) -> None:
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=20), results_dir=str(tmp_path))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, model=nnlab.ModelConfig(hidden_size=size))
            for seed in range(4)
            for size in (1, 2)
        ],
        n_jobs=1,
    )
    runs = nnlab.load_runs("playground", str(tmp_path))
    one = runs[runs["model.hidden_size"] == 1]
    found = over_seeds("x", one, "cost/train")
    assert list(found[1:4]) == aggregate(one, "cost/train", [])[["estimate", "low", "high"]].to_numpy()[0].tolist()
    assert found.n == "4 seeds"
    assert found.kind == "interquartile mean [range]"
    settings = ({"model.hidden_size": 2}, {"model.hidden_size": 1})
    found = difference("x", runs, "cost/train", *settings)
    assert list(found[1:4]) == [float(part) for part in compare(runs, "cost/train", *settings).difference]
    found = share("x", [True, False, False])
    assert list(found[1:4]) == [float(part) for part in share_interval(1 / 3, 3)]


def test_unknown_experiment_is_rejected() -> None:
    with pytest.raises(SystemExit, match=r"NAME must be one of dying_relu, .*, got dying"):
        main(["dying"])


def test_readme_without_marks_is_rejected_before_any_sweep(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "plot.py").touch()
    (tmp_path / "bare" / "README.md").write_text("# Bare\n", encoding="utf-8")
    monkeypatch.setattr("experiments.pages.HERE", tmp_path)
    monkeypatch.setattr("experiments.__main__.sweep", lambda *_: pytest.fail("a sweep was started"))
    with pytest.raises(SystemExit, match=r"must have the lines <!-- findings: begin --> and .* missing in bare"):
        main(["bare"])
