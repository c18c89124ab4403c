"""The battery of cures: an independent judge, rivals' repairs in nnlab's words, and a page that counts right."""

import dataclasses
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.battery import cures
from benchmarks.battery.cases import DEVELOPMENT
from benchmarks.battery.cures_page import page, upper_bound
from benchmarks.battery.draw import DATA, draw, write_files
from benchmarks.battery.fixes import REPAIRS, first_cure, inexpressible, remedies_of, torchmortem_repairs
from benchmarks.battery.reachable import BETWEEN, LEARNED, MISSED, Reachable, answers_of, judged, labels_of, reachable
from benchmarks.battery.records import OURS, Record, Tried
from benchmarks.battery.rivals import RIVALS
from nnlab import DataConfig, InitConfig, ModelConfig, RunConfig, TrainingConfig, load_dataset

QUICK = RunConfig(
    data=DataConfig("moons", m=60, test_m=60),
    model=ModelConfig(hidden_size=3),
    init=InitConfig("xavier", 1.0),
    training=TrainingConfig(40, 0.001),
)


# ---- the judge


def test_score_is_plain_accuracy_balanced_accuracy_or_r2() -> None:
    labels, answers = np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])
    assert Reachable(0.75, 1.0, balanced=False).score(labels, answers) == 0.75
    assert Reachable(0.5, 1.0, balanced=True).score(labels, answers) == 0.5
    numbers = np.array([1.0, 2.0, 3.0])
    assert Reachable(0.0, 1.0, balanced=False).score(numbers, numbers) == 1.0
    assert Reachable(0.0, 1.0, balanced=False).score(numbers, np.full(3, 2.0)) == 0.0
    assert Reachable(0.0, 1.0, balanced=False).score(numbers, np.full(3, np.nan)) == -math.inf


@pytest.mark.parametrize(
    ("share", "word", "is_near"),
    [
        (1.0, LEARNED, False),
        (0.86, LEARNED, True),
        (0.7, BETWEEN, False),
        (0.49, MISSED, True),
        (math.nan, MISSED, False),
    ],
)
def test_judgement_of_a_share(share: float, word: str, is_near: bool) -> None:
    assert judged(share) == (word, is_near)


def test_reference_learns_a_curve_and_nothing_from_noise() -> None:
    moons = load_dataset(DataConfig("moons", m=120, noise=0.1))
    known = reachable(moons)
    assert known.nothing == 0.5
    assert known.best > 0.95
    labels = labels_of(moons)
    shuffled = dataclasses.replace(moons, Y=np.random.default_rng(0).permuted(moons.Y, axis=1))
    assert reachable(shuffled).best < 0.65
    assert known.share(labels, labels) >= 1
    assert known.share(labels, answers_of(np.zeros((1, len(labels))), "binary")) == 0


def test_rare_classes_are_balanced() -> None:
    X = np.random.default_rng(0).standard_normal((2, 200))
    rare = dataclasses.replace(load_dataset(DataConfig("moons", m=200)), X=X, Y=(X[:1] + X[1:] > 1.7).astype(float))
    known = reachable(rare)
    assert (known.nothing, known.balanced) == (0.5, True)
    assert known.best > 0.85


# ---- the draw


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_files(tmp_path_factory.mktemp("data"))


def test_draw_is_decided_by_its_seed_and_shares_nothing_with_tuning(files: dict[str, Path]) -> None:
    configs = list(draw(200, 1, files))
    assert configs == list(draw(200, 1, files))
    assert configs != list(draw(200, 2, files))
    used = {Path(c.data.path).stem if c.data.path else c.data.name for c in configs}
    assert used == set(DATA)
    assert not used & {*DEVELOPMENT.plane, *DEVELOPMENT.real, DEVELOPMENT.regression, DEVELOPMENT.unbalanced}
    assert min(c.seed for c in configs) >= 10_000
    assert {c.training.batch_size for c in configs} == {None, 32, 1}


@pytest.mark.parametrize("name", ["rare", "line", "checkerboard"])
def test_files_are_read_as_they_are_meant(name: str, files: dict[str, Path]) -> None:
    data = load_dataset(DataConfig("file", path=str(files[name]), target="y"))
    assert data.task == ("regression" if name == "line" else "binary")
    if name == "rare":
        assert 0.1 < data.Y.mean() < 0.14 or 0.1 < 1 - data.Y.mean() < 0.14


# ---- the rivals' repairs


def test_every_symptom_has_repairs() -> None:
    for rival, symptoms in REPAIRS.items():
        assert set(symptoms) == set(RIVALS[rival][1])


@pytest.mark.parametrize(
    ("rival", "alarms", "changes", "cure"),
    [
        ("AUTOTRAINER", {"vanishing gradient": 3}, {}, {"model.activation": "relu", "init.scheme": "he"}),
        ("AUTOTRAINER", {"slow convergence": 3}, {}, {"training.learning_rate": 0.01}),
        ("AUTOTRAINER", {"slow convergence": 9, "oscillating loss": 3}, {}, {"training.learning_rate": 0.0001}),
        ("AUTOTRAINER", {}, {}, {}),
        ("TheDeepChecker", {"symmetry": 0}, {}, {}),  # xavier already
        ("TheDeepChecker", {"symmetry": 0, "update too small": 9}, {}, {"training.learning_rate": 0.01}),
        ("TheDeepChecker", {"dead": 9}, {"activation": "relu"}, {"init.scheme": "he"}),
    ],
)
def test_first_cure_of_a_rule_set(
    rival: str, alarms: dict[str, int], changes: dict[str, Any], cure: dict[str, Any]
) -> None:
    config = dataclasses.replace(QUICK, model=dataclasses.replace(QUICK.model, **changes))
    assert first_cure(config, remedies_of(rival, alarms)) == cure


def test_first_cure_is_the_first_remedy_that_nnlab_has_a_key_for() -> None:
    remedies = [
        "Add skip/residual connections to allow gradients to flow directly to earlier layers.",
        "Switch from ReLU to LeakyReLU, ELU, or GELU -- these allow small negative gradients.",
        "Reduce the learning rate -- this is the most common fix.",
    ]
    assert first_cure(QUICK, torchmortem_repairs(remedies)) == {"training.learning_rate": 0.0001}
    relu = dataclasses.replace(QUICK, model=dataclasses.replace(QUICK.model, activation="relu"))
    assert first_cure(relu, torchmortem_repairs(remedies)) == {"model.activation": "leaky_relu"}
    assert inexpressible(remedies) == remedies[:1]


# ---- the records and the page


BEFORE = Tried([], [], {}, ["not learned"] * 5, [0.1] * 5)


@pytest.mark.parametrize(
    ("outcomes", "shares", "cures_it", "worse"),
    [
        (["learned"] * 3 + ["partly"] * 2, [1.0] * 3 + [0.5] * 2, True, False),
        (["learned"] * 2 + ["partly"] * 3, [1.0] * 5, False, False),
        (["not learned"] * 5, [0.0] * 5, False, False),  # less, but no seed learned before
        (["diverged"] * 5, [math.nan] * 5, False, True),
    ],
)
def test_what_a_cure_did(outcomes: list[str], shares: list[float], cures_it: bool, worse: bool) -> None:
    tried = Tried([], [], {}, outcomes, shares)
    assert tried.cures(BEFORE) is cures_it
    assert tried.makes_worse(BEFORE) is worse


def test_upper_bound_of_none_is_the_rule_of_three() -> None:
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert upper_bound(5, 5) == 1.0


def record(number: int, outcome: str = "learned", judged: float = 1.0, **others: Any) -> Record:
    config = {"data.path": None, "data.name": "moons", "model.depth": 1, "model.hidden_size": 3}
    config["model.activation"] = "tanh"
    learned = {"learned": 1.0, "not learned": 0.0}[outcome]
    return Record(number, config, outcome, learned, "healthy", 0.1, judged, None, False, {}, **others)


def test_page_counts_cures_and_disagreements() -> None:
    he = Tried(["he"], ["scheme"], {"init.scheme": "he"}, ["learned"] * 5, [1.0] * 5)
    useless = Tried(["relu"], ["activation"], {"model.activation": "relu"}, ["partly"] * 5, [0.5] * 5)
    both = Tried(["he", "relu"], ["scheme", "activation"], {}, ["learned"] * 4 + ["partly"], [1.0] * 5)
    records = [
        *(record(number) for number in range(6)),
        record(6, judged=0.1),
        record(7, judged=0.84),
        record(8, "not learned", 0.0, trials=[BEFORE, he, useless], cures={OURS: he}, asked=[OURS]),
        record(9, "not learned", 0.0, trials=[BEFORE, useless, both], cures={OURS: useless}, asked=[OURS]),
        record(10, "not learned", 0.0, trials=[BEFORE, useless], asked=[OURS]),
        record(11, "not learned", 0.0, trials=[he], asked=[OURS]),
    ]
    text = page(records, 5, "abcdef")
    assert "the commit that froze the rules, abcdef" in text
    assert "| learned | 6 | 0 | 1 | 1 |" in text
    assert "called `learned`, 1 of 7, 14.3 %" in text
    assert "network 6, 1 x 3 tanh on moons: 1.00 by nnlab, 0.10 by the judge" in text
    assert "| of these, other seeds learn (at least 4 of 5): no change is needed | 1 of 4, 25 %" in text
    assert "| the others: one change makes at least 4 of 5 seeds learn | 1 of 3, 33 %" in text
    assert "| two changes do, and no single one | 1 of 3, 33 %" in text
    assert "| nnlab | 2 of 2, 100 % [34, 100] | 1 of 2, 50 % [9, 91] |" in text
    assert "| always he |" in text
    assert "torchmortem was not installed" in text


def test_network_is_examined_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures, "NEEDED", ("no_such_package",))
    found = cures.examine(3, QUICK, tmp_path, budget=0.2)
    assert found.outcome in ("partly", "not learned")
    assert found.judged < 0.85
    assert len(found.before.outcomes) == 5
    assert set(REPAIRS) < set(found.asked)
    assert found.cures["TheDeepChecker"].values
    path = tmp_path / "record.json"
    path.write_text(found.to_json(), encoding="utf-8")
    assert repr(Record.read(path)) == repr(found)


def test_ended_battery_goes_on_and_refuses_another_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cures, "NEEDED", ("no_such_package",))
    monkeypatch.setattr(cures, "draw", lambda number, seed, files: [dataclasses.replace(QUICK, seed=seed)] * number)
    monkeypatch.setattr(
        cures, "examine", lambda number, config, folder, budget: record(number)._replace(config=known(config))
    )

    def known(config: RunConfig) -> dict[str, Any]:
        return cures._words(config)

    words = ["--seed", "1", "--networks", "2", "--jobs", "1", "--folder", str(tmp_path)]
    cures.main(words)
    assert "0: learned" in capsys.readouterr().out
    cures.main(words)
    assert "0: learned" not in capsys.readouterr().out
    monkeypatch.setattr(cures, "draw", lambda number, seed, files: [QUICK] * number)
    with pytest.raises(SystemExit, match="is of another draw"):
        cures.main(words)


def test_seed_is_the_first_digits_of_the_commit() -> None:
    assert cures.seed_of("00000010ffff") == 16


@pytest.mark.parametrize("batch_size", [None, 25])
def test_pytorch_trains_the_same_network(batch_size: int | None) -> None:
    pytest.importorskip("torchmortem")
    from benchmarks.battery.outcomes import layers_of
    from benchmarks.battery.torchmortem_rival import autopsy
    from nnlab.study.plan import prepare
    from nnlab.study.run_stack import snapshots

    (job,) = prepare([dataclasses.replace(QUICK, training=TrainingConfig(60, 0.5, batch_size=batch_size))])
    start, end = (layers_of(one.parameters) for one in snapshots([job.config], job.data, [0, 60]))
    report = autopsy(job, start)
    for (W, b), (V, c) in zip(end, report.weights, strict=True):
        np.testing.assert_allclose(V, W, rtol=1e-9)
        np.testing.assert_allclose(c, b, rtol=1e-9, atol=1e-12)
    assert all(a >= b for a, b in pairwise([severity == "CRITICAL" for _, severity in report.findings]))
