"""Each disease is planted and trained, and the verdict must name it; healthy networks must stay without findings."""

from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.config import flatten, resolve
from nnlab.diagnostics.references import References
from nnlab.diagnostics.verdict import VERDICTS, judge
from nnlab.record.run import Run

Training, Data = nnlab.TrainingConfig, nnlab.DataConfig
FROZEN, SYMMETRIC = nnlab.InitConfig("zeros"), nnlab.InitConfig("constant", 0.5)
HE, XAVIER = nnlab.InitConfig("he", 1.0), nnlab.InitConfig("xavier", 1.0)


def model(**parts: object) -> dict[str, object]:
    return {"model": nnlab.ModelConfig(**parts)}  # type: ignore[arg-type]


def trained(results: Path, **parts: object) -> Run:
    return nnlab.run(nnlab.RunConfig(results_dir=str(results), **parts))  # type: ignore[arg-type]


SICK: list[tuple[str, dict[str, object]]] = [
    ("frozen", {"init": FROZEN}),
    ("frozen", {"init": FROZEN, **model(activation="relu", depth=3)}),
    ("frozen", {"init": FROZEN, "data": Data("digits"), "training": Training(50)}),
    ("symmetric", {"init": SYMMETRIC, "training": Training(1000, arithmetic="exact")}),
    (
        "symmetric",
        {"init": SYMMETRIC, **model(hidden_size=5), "training": Training(500, arithmetic="exact")},
    ),
    (
        "symmetric",
        {
            "init": FROZEN,
            **model(activation="sigmoid"),
            "data": Data("breast_cancer"),
            "training": Training(200, 0.1, arithmetic="exact"),
        },
    ),
    ("vanishing", model(activation="sigmoid", depth=10, hidden_size=16) | {"training": Training(300)}),
    ("vanishing", model(activation="tanh", depth=9, hidden_size=16) | {"training": Training(300, 0.1)}),
    ("dead", model(activation="relu", depth=9, hidden_size=2) | {"init": HE, "seed": 3}),
    (
        "diverged",
        {"data": Data("diabetes"), **model(depth=0), "training": Training(3000, 10.0)},
    ),
    (
        "diverged",
        {
            "data": Data("diabetes"),
            **model(activation="identity"),
            "init": XAVIER,
            "training": Training(3000, 10.0),
        },
    ),
    ("linear", model(activation="identity", depth=2) | {"init": XAVIER, "training": Training(1000, 0.1)}),
    ("plateau", {"training": Training(10)}),
    ("linear", {"data": Data("moons"), **model(depth=0), "training": Training(300)}),
    (
        "saturated",
        model(activation="tanh", depth=3, hidden_size=10)
        | {"init": nnlab.InitConfig("normal", 40.0), "training": Training(300, 0.001)},
    ),
    (
        "saturated",
        model(activation="sigmoid", depth=2, hidden_size=16)
        | {"init": nnlab.InitConfig("normal", 40.0), "data": Data("spiral"), "training": Training(300, 0.001)},
    ),
    (
        "exploding",
        model(activation="tanh", depth=12, hidden_size=50)
        | {"init": nnlab.InitConfig("xavier", 8.0), "data": Data("moons", m=150), "training": Training(100, 1e-5)},
    ),
    (
        "exploding",
        model(activation="leaky_relu", depth=12, hidden_size=16)
        | {"init": nnlab.InitConfig("he", 3.0), "data": Data("circles"), "training": Training(150, 1e-20)},
    ),
    (
        "plateau",
        model(activation="relu", hidden_size=10)
        | {"init": nnlab.InitConfig("normal", 0.03), "data": Data("xor"), "training": Training(60, 0.03)},
    ),
    (
        "plateau",
        model(activation="leaky_relu", hidden_size=20)
        | {"init": nnlab.InitConfig("normal", 0.1), "data": Data("spiral"), "training": Training(300, 0.001)},
    ),
]

HEALTHY: list[dict[str, object]] = [
    {"seed": seed, **model(hidden_size=size, activation=activation), **more}
    for seed in (0, 1)
    for size, activation in ((20, "tanh"), (50, "sigmoid"), (16, "gelu"))
    for more in ({}, {"init": XAVIER, "training": Training(3000, 0.5)})
] + [
    {
        "data": Data("digits"),
        "init": HE,
        **model(hidden_size=32, activation="relu"),
        "training": Training(500, 0.1),
    },
    {"data": Data("breast_cancer"), "training": Training(1000)},
    *(
        {
            "data": Data(name),
            "init": HE,
            **model(hidden_size=16, activation=activation),
            "training": Training(2000, 0.1),
        }
        for name in ("circles", "xor")
        for activation in ("leaky_relu", "gelu")
    ),
    {
        "data": Data("moons"),
        "init": HE,
        **model(hidden_size=20, activation="relu", depth=2),
        "training": Training(5000, 0.1),
    },
    {
        "data": Data("spiral"),
        "init": XAVIER,
        **model(hidden_size=32),
        "training": Training(5000, 0.5),
    },
]


def test_there_are_twenty_of_each() -> None:
    assert len(SICK) >= 20
    assert len(HEALTHY) >= 20


@pytest.mark.parametrize(("name", "parts"), SICK, ids=[f"{name}{place}" for place, (name, _) in enumerate(SICK)])
def test_a_planted_disease_is_named(name: str, parts: dict[str, object], tmp_path: Path) -> None:
    verdict = trained(tmp_path, **parts).verdict
    assert verdict.name == name, verdict.text


@pytest.mark.parametrize("parts", HEALTHY, ids=range(len(HEALTHY)))
def test_a_healthy_network_has_no_findings(parts: dict[str, object], tmp_path: Path) -> None:
    run = trained(tmp_path, **parts)
    assert run.verdict.all == ("healthy",), run.verdict.text
    assert run.metrics["accuracy/train"] > 0.75


def test_a_verdict_carries_numbers_cause_cure_and_source(tmp_path: Path) -> None:
    verdict = trained(tmp_path, init=SYMMETRIC, training=Training(100, arithmetic="exact")).verdict
    (finding, *_) = verdict.findings
    assert "1 distinct of 4 units" in finding.evidence
    assert all(finding)
    assert verdict.text.startswith("symmetric: layer 1 started with 1 and ended with 1 distinct of 4 units")


def test_zero_weights_on_balanced_classes_cost_ln_2_to_the_last_bit(tmp_path: Path) -> None:
    run = trained(tmp_path, init=FROZEN, training=Training(1000))
    assert run.verdict.name == "frozen"
    costs = run.history.loc[run.history["quantity"] == "cost/train", "value"]
    assert set(costs) == {np.log(2)}


def test_zero_weights_on_unequal_classes_cost_the_entropy_of_the_classes(tmp_path: Path) -> None:
    run = trained(tmp_path, init=FROZEN, data=Data("breast_cancer"), training=Training(1000))
    share = nnlab.load_dataset(Data("breast_cancer")).Y.mean()
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert run.verdict.name == "frozen"
    assert run.metrics["cost/train"] == pytest.approx(entropy, abs=1e-9)


@pytest.mark.parametrize(("activation", "scale", "checkpoint"), [("sigmoid", 0.1, 300), ("tanh", 0.01, 0)])
def test_signals_of_small_weights_in_ten_layers_vanish_from_iteration_0_on(
    activation: str, scale: float, checkpoint: int, tmp_path: Path
) -> None:
    """The ratio of ||dW||, which most texts use, is near 1 and shows nothing.

    For tanh this holds from the start. For sigmoid, whose activations are 0.5 and do not shrink, it holds once the
    output's bias has adapted to the class frequencies.
    """
    small = nnlab.InitConfig("normal", scale)
    network = model(activation=activation, depth=10, hidden_size=16)
    run = trained(tmp_path, **network, init=small, training=Training(300))
    assert run.verdict.name == "vanishing"
    assert "since iteration 0" in run.verdict.text
    curves = run.history.set_index(["iteration", "quantity", "layer"])["value"]
    assert curves[0, "signal/ratio", 0] < 1e-3
    assert 0.3 < curves[checkpoint, "signal/norm_dW", 1] / curves[checkpoint, "signal/norm_dW", 11] < 3


@pytest.mark.parametrize("h", [2, 5, 8, 33, 69])
def test_constant_weights_stay_symmetric_with_exact_arithmetic(h: int, tmp_path: Path) -> None:
    run = trained(tmp_path, init=SYMMETRIC, **model(hidden_size=h), training=Training(500, arithmetic="exact"))
    assert run.verdict.name == "symmetric"
    assert run.metrics["symmetry/distinct_units/layer1"] == 1
    assert not run.verdict.events


def test_rounding_that_breaks_constant_weights_is_reported_with_its_iteration(tmp_path: Path) -> None:
    """Which widths break depends on the BLAS; at least one must, and its event must be true."""
    runs = [
        trained(tmp_path, init=SYMMETRIC, **model(hidden_size=h), training=Training(10_000)) for h in (5, 6, 7, 9, 17)
    ]
    broken = [run for run in runs if "symmetry/broken_at/layer1" in run.metrics]
    assert broken, "no width separated: this machine's BLAS sums all rows alike"
    for run in broken:
        (event,) = run.verdict.events
        assert (event.cause, event.layer) == ("rounding", 1)
        deviation = run.history[run.history["quantity"] == "symmetry/deviation"].set_index("iteration")["value"]
        assert deviation[0] == 0
        assert deviation[deviation > 1e-3].index[0] == event.iteration == run.metrics["symmetry/broken_at/layer1"]
        assert "rounding" in run.verdict.text


def test_all_findings_are_kept_in_the_order_of_the_rules(tmp_path: Path) -> None:
    names = trained(tmp_path, init=FROZEN, training=Training(20)).verdict.all
    assert names == ("frozen", "symmetric", "plateau", "unfinished")
    assert sorted(names, key=VERDICTS.index) == list(names)


def test_in_noise_there_is_nothing_to_learn_and_fitting_it_is_overfitting(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "noise.csv"
    table = np.column_stack([rng.standard_normal((400, 2)), rng.integers(0, 2, 400)])
    np.savetxt(path, table, ("%.6f", "%.6f", "%d"), ",", header="a,b,y", comments="")
    noise = Data("file", path=str(path), target="y", test_fraction=0.8)
    run = trained(tmp_path, data=noise, init=XAVIER, **model(hidden_size=50), training=Training(5000, 0.5))
    assert run.verdict.name == run.verdict.outcome == "nothing to learn"
    assert not run.verdict.cure
    assert "overfitting" in run.verdict.text
    assert not trained(tmp_path, init=XAVIER, **model(hidden_size=20), training=Training(3000, 0.5)).verdict.warning


def test_without_probes_the_verdict_uses_only_the_cost(tmp_path: Path) -> None:
    run = trained(tmp_path, init=FROZEN, diagnostics=nnlab.DiagnosticsConfig("none"), training=Training(20))
    assert run.verdict.all == ("plateau", "unfinished")


def network(layers: list[int], activation: str) -> dict[str, object]:
    config = nnlab.RunConfig(model=nnlab.ModelConfig(layers=layers, activation=activation))
    return flatten(resolve(config))


def curves(cost: list[float], ratio: list[float] | None = None) -> dict[tuple[str, int], np.ndarray]:
    costs = {("cost/train", 0): np.array(cost)}
    return costs if ratio is None else costs | {("signal/ratio", 0): np.array(ratio)}


REFERENCES = References(np.log(2), np.log(2), 0.6, score_train=0.72, score_test=0.7, regularized_train=0.7)
SEPARABLE = References(np.log(2), np.log(2), 1e-9, score_train=1, score_test=0.98, separable=1, regularized_train=0.99)


def test_a_spike_that_recovers_is_no_divergence() -> None:
    assert judge([0, 1, 2], curves([0.7, 90.0, 0.1]), network([4], "tanh"), REFERENCES).name == "healthy"
    assert judge([0, 1, 2], curves([0.7, 0.5, 9.0]), network([4], "tanh"), REFERENCES).name == "diverged"
    assert judge([0, 1], curves([1e308, 1.5e308]), network([4], "tanh"), REFERENCES).name != "diverged"
    assert judge([0, 1], curves([1e307, 1.5e308]), network([4], "tanh"), REFERENCES).name == "diverged"


def test_the_iteration_of_divergence_is_the_first_that_is_not_finite() -> None:
    verdict = judge([0, 10, 20], curves([0.7, np.inf, np.nan]), network([4], "tanh"), REFERENCES)
    assert verdict.all == ("diverged",)
    assert "inf from iteration 10 on" in verdict.text


def test_exploding_requires_a_network_that_learns_no_more_than_an_affine_model() -> None:
    deep = network([4] * 9, "relu")
    assert judge([0, 1], curves([0.7, 0.69], ratio=[1e4, 1e4]), deep, REFERENCES).name == "exploding"
    assert judge([0, 1], curves([0.7, 0.10], ratio=[1e4, 1e4]), deep, REFERENCES).name == "healthy"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_signal_that_underflows_is_vanishing(dtype: str, tmp_path: Path) -> None:
    run = trained(
        tmp_path,
        init=nnlab.InitConfig("normal", 0.05),
        training=Training(50, dtype=dtype),
        data=Data(m=50),
        **model(activation="sigmoid", depth=60, hidden_size=8),
    )
    assert (run.metrics["signal/ratio"] == 0) == (dtype == "float32")
    assert run.verdict.name == "vanishing"
    assert ("layer by layer until it underflowed" in run.verdict.text) == (dtype == "float32")


@pytest.mark.parametrize(
    ("train", "test", "warns"),
    [(0.76, 0.71, True), (0.74, 0.69, False), (0.76, 0.72, False)],
    ids=["the gain does not carry over", "hardly any gain", "a quarter carries over"],
)
def test_a_gain_over_the_affine_model_that_does_not_carry_over_warns_of_overfitting(
    train: float, test: float, warns: bool
) -> None:
    scores = {("accuracy/train", 0): np.array([0.5, train]), ("accuracy/test", 0): np.array([0.5, test])}
    verdict = judge([0, 1], curves([0.7, 0.1]) | scores, network([4], "tanh"), REFERENCES)
    assert ("overfitting" in verdict.text) == warns


@pytest.mark.parametrize(
    ("train", "test", "warns"),
    [(1.0, 0.92, True), (1.0, 0.94, False), (0.98, 0.92, False)],
    ids=["a loss on test data", "hardly any loss", "no gain in training"],
)
def test_a_loss_on_test_data_warns_of_overfitting_where_classes_are_separable(
    train: float, test: float, warns: bool
) -> None:
    """The affine model has 0.99 of 1 in training: a network cannot gain 0.05 on it."""
    scores = {("accuracy/train", 0): np.array([0.5, train]), ("accuracy/test", 0): np.array([0.5, test])}
    verdict = judge([0, 1], curves([0.7, 0.01]) | scores, network([4], "tanh"), SEPARABLE)
    assert ("overfitting" in verdict.text) == warns


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_no_network_without_a_hidden_layer_beats_the_affine_reference_on_test_data(name: str, tmp_path: Path) -> None:
    """Gradient descent that stops early is regularized, too; the reference must be as good."""
    gains = []
    for seed in range(4):
        run = trained(tmp_path, data=Data(name, seed=seed), init=XAVIER, **model(depth=0), training=Training(500, 0.3))
        assert run.references.separable == 1
        gains.append(run.metrics["accuracy/over_affine/test"])
    assert abs(np.mean(gains)) < 0.005


def test_born_dead_networks_are_dead_and_zero_networks_are_frozen() -> None:
    """In both every gradient is 0. The steps tell them apart: of weights that are 0 a step has no relative size."""
    none = np.zeros(3)
    state = {("signal/norm_dW", 1): none, ("signal/norm_dW", 2): none, ("activity/dead", 1): np.ones(3)}
    born_dead, zero = ({("update", 1): np.array([np.nan, step, step])} for step in (0.0, np.nan))
    for updates, name in ((born_dead, "dead"), (zero, "frozen")):
        verdict = judge([0, 1, 2], curves([0.7, 0.69, 0.69]) | state | updates, network([4], "relu"), REFERENCES)
        assert verdict.name == name


def test_vanishing_is_judged_by_the_last_step_where_no_distance_was_measured() -> None:
    for step, name in ((1e-5, "vanishing"), (1e-2, "unexplained")):
        update = {("update", 1): np.array([np.nan, 1.0, step])}
        verdict = judge([0, 1, 2], curves([0.7, 0.65, 0.65], [1e-5] * 3) | update, network([4] * 9, "tanh"), REFERENCES)
        assert verdict.name == name
