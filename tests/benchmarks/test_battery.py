"""The battery: its halves share nothing, its labels are true, and its rivals follow their sources."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.battery.cases import ANY, LABELS, PARTS, RANDOM, Case, cases
from benchmarks.battery.outcomes import CHECKS
from benchmarks.battery.rivals import RIVALS, Observation, autotrainer, deep_checker, deep_diagnosis, sagemaker
from benchmarks.battery.trial import CASES, HEALTHY_CASES, OURS, examine
from nnlab.diagnostics.verdict import VERDICTS


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Case]]:
    return {part: cases(part, tmp_path_factory.mktemp("data")) for part in PARTS}


def test_every_state_has_enough_cases(parts: dict[str, list[Case]]) -> None:
    for part in ("development", "held out"):
        counts = Counter(case.label for case in parts[part])
        assert set(counts) == set(LABELS)
        assert all(counts[label] >= (HEALTHY_CASES if label == "healthy" else CASES) for label in LABELS)
    assert {case.label for case in parts[RANDOM]} == {ANY}


def test_halves_share_no_data_set_seed_or_depth_of_deep_networks(parts: dict[str, list[Case]]) -> None:
    def used(part: str) -> tuple[set[str], set[int], set[int]]:
        configs = [case.config for case in parts[part]]
        data = {f"{c.data.name} {Path(c.data.path or '').name}" for c in configs}
        deep = {c.model.depth for case, c in zip(parts[part], configs, strict=True) if case.label == "vanishing"}
        return data, {c.seed for c in configs}, deep

    for ours, theirs in zip(used("development"), used("held out"), strict=True):
        assert ours
        assert not ours & theirs


def test_states_are_the_verdicts_in_order() -> None:
    assert list(CHECKS) == list(LABELS) == [name for name in VERDICTS if name in CHECKS]
    assert {state for _, means in RIVALS.values() for states in means.values() for state in states} <= set(LABELS)


@pytest.mark.parametrize("label", LABELS)
def test_case_ends_in_its_state_and_nnlab_names_it(label: str, parts: dict[str, list[Case]]) -> None:
    quick = [
        case
        for case in parts["development"]
        if case.label == label and case.config.data.name in ("xor", "moons", "file")
    ]
    quick.sort(key=lambda case: case.config.model.hidden_size * case.config.model.depth)
    result = next(filter(None, map(examine, quick)))
    assert result.state == result.headline == label
    assert result.named.keys() == {OURS, *RIVALS}


def test_case_that_ends_in_another_state_is_dropped(parts: dict[str, list[Case]]) -> None:
    healthy = next(
        case for case in parts["development"] if case.label == "healthy" and case.config.data.name in ("xor", "moons")
    )
    assert examine(healthy._replace(label="frozen")) is None


QUIET = Observation(
    iteration=0,
    cost=0.5,
    score=0.5,
    learning_rate=0.1,
    bounded=True,
    finite_weights=True,
    finite_gradients=True,
    gradient_norm=[0.1, 0.1],
    gradient_mean=[0.05, 0.05],
    gradient_zeros=[0.0, 0.0],
    gradient_spread=[0.1, 0.1],
    weight_variance=[0.5, 0.5],
    weight_mean=[0.7, 0.7],
    all_zero=False,
    activation_sum=[10.0],
    beyond_5=[0.0],
    not_positive=[0.5],
    inactive_units=[0.0],
    beyond_far=[0.0],
    weak_units=[0.0],
    index_units=[0.0],
    activation_std=[1.0],
)


def training(**changes: object) -> list[Observation]:
    """Return a hundred observations of a training that improves steadily, except for the changes."""
    costs, scores = (
        np.geomspace(0.7, 1e-4, 100),
        np.concatenate([np.linspace(0.5, 0.95, 20), np.linspace(0.95, 0.999, 80)]),
    )
    weights = np.linspace(0.7, 0.2, 100)
    seen = [
        replace(QUIET, iteration=t, cost=float(costs[t]), score=float(scores[t]), weight_mean=[float(weights[t])] * 2)
        for t in range(100)
    ]
    return [replace(observation, **changes) for observation in seen]  # type: ignore[arg-type]


@pytest.mark.parametrize("rules", [autotrainer, deep_diagnosis, sagemaker, deep_checker])
def test_rivals_are_silent_about_an_ideal_training(rules) -> None:  # type: ignore[no-untyped-def]
    assert rules(training()) == {}


@pytest.mark.parametrize(
    ("rules", "changes", "symptom"),
    [
        (autotrainer, {"score": 0.5, "gradient_zeros": [0.8, 0.0]}, "dying ReLU"),
        (autotrainer, {"score": 0.5, "gradient_norm": [1e-5, 0.1]}, "vanishing gradient"),
        (autotrainer, {"score": 0.5, "gradient_norm": [8.0, 0.1]}, "exploding gradient"),
        (autotrainer, {"score": 0.5}, "slow convergence"),
        (deep_diagnosis, {"cost": float("nan")}, "numerical error"),
        (deep_diagnosis, {"weight_mean": [0.5, 0.5]}, "unchanged weight"),
        (deep_diagnosis, {"beyond_5": [0.6]}, "saturated activation"),
        (deep_diagnosis, {"not_positive": [0.7]}, "dead node"),
        (deep_diagnosis, {"gradient_mean": [9e-8, 0.1]}, "vanishing gradient"),
        (deep_diagnosis, {"cost": 0.5}, "loss not decreasing"),
        (deep_diagnosis, {"score": 0.5}, "accuracy not increasing"),
        (sagemaker, {"bounded": False, "inactive_units": [0.6]}, "dead relu"),
        (sagemaker, {"beyond_far": [0.6]}, "saturated activation"),
        (sagemaker, {"gradient_mean": [9e-8, 0.1]}, "vanishing gradient"),
        (sagemaker, {"gradient_mean": [80.0, 0.1]}, "update too large"),
        (sagemaker, {"weight_variance": [0.5, 6.0]}, "poor initialization"),
        (sagemaker, {"cost": 0.5}, "loss not decreasing"),
        (sagemaker, {"all_zero": True}, "all zero"),
        (deep_checker, {"weight_variance": [0.0, 0.5]}, "symmetry"),
        (deep_checker, {"bounded": False, "weak_units": [0.6]}, "dead"),
        (deep_checker, {"index_units": [0.6]}, "saturated"),
        (deep_checker, {"gradient_mean": [9e-7, 0.1]}, "vanishing gradient"),
        (deep_checker, {"gradient_mean": [2e6, 0.1]}, "exploding gradient"),
        (deep_checker, {"activation_std": [0.4]}, "activation range"),
        (deep_checker, {"learning_rate": 1e-5}, "update too small"),
        (deep_checker, {"learning_rate": 10.0}, "update too large"),
        (deep_checker, {"cost": 0.5}, "loss not decreasing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rivals_raise_the_symptoms_of_their_sources(rules, changes: dict[str, object], symptom: str) -> None:  # type: ignore[no-untyped-def]
    assert symptom in rules(training(**changes))
