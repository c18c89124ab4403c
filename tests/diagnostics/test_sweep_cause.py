"""Causes that only other runs can show: planted in made-up experiments, and compared with a slow count."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnlab.diagnostics.sweep_cause import SWEEP_CAUSES, Explained, Trained, sweep_causes

SETTING: dict[str, Any] = {
    "model.hidden_size": 3,
    "model.depth": 1,
    "model.layers": None,
    "model.activation": "relu",
    "data.seed": 0,
}
WORDS = {
    "+": "learned",
    "~": "partly",
    "-": "not learned",
    "x": "diverged",
    "0": "nothing to learn",
    "?": "not measured",
}


def runs(**settings: str) -> dict[str, Trained]:
    """Runs of some widths: `runs(h3="--+")` has three of 3 units, of which the last learned."""
    return {
        f"{name} {seed}": Trained({**SETTING, "model.hidden_size": int(name[1:])}, WORDS[sign])
        for name, signs in settings.items()
        for seed, sign in enumerate(signs)
    }


def letters(found: dict[str, str], name: str) -> str:
    """The causes of one width, as "s", "n" or "." each."""
    return "".join(cause[:1] or "." for run, cause in found.items() if run.startswith(name))


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ("++++-", "....s"),
        ("++--~", "..sss"),  # half of the four others learned
        ("+----", "....."),  # fewer than half did
        ("++x-", "...s"),  # a run that diverged is one that did not learn, and has its own outcome
        ("+xx-", "...."),
        ("++0", "..."),
        ("+-", ".."),  # one other seed says nothing
        ("++?-", "...s"),
        ("+??-", "...."),  # runs without an outcome do not count
    ],
)
def test_a_run_is_stuck_if_other_seeds_learned(seeds: str, expected: str) -> None:
    assert letters(sweep_causes(runs(h3=seeds)), "h3") == expected


@pytest.mark.parametrize(
    ("narrow", "wide", "expected"),
    [
        ("-----", "+++++", "nnnnn"),
        ("--~--", "++++-", "nnnnn"),
        ("-----", "+++--", "....."),  # 3 of 5 are not enough
        ("+----", "+++++", ".nnnn"),
        ("+++--", "+++++", "...ss"),  # the width is enough for most seeds
        ("--x", "++", "nn."),
        ("-", "+++++", "."),  # one seed says nothing
        ("-----", "+", "....."),
        ("-----", "?????", "....."),
    ],
)
def test_a_network_is_narrow_if_a_wider_one_learned(narrow: str, wide: str, expected: str) -> None:
    found = sweep_causes(runs(h3=narrow, h12=wide))
    assert letters(found, "h3") == expected
    assert set(letters(found, "h12")) <= {".", "s"}


def test_width_is_not_the_cause_if_a_narrower_network_learned() -> None:
    assert set(sweep_causes(runs(h2="+++++", h3="-----", h12="+++++")).values()) == {""}


def test_only_settings_that_differ_in_nothing_but_width_are_compared() -> None:
    others = {
        f"other {seed}": Trained({**SETTING, "model.hidden_size": 12, "model.activation": "tanh"}, "learned")
        for seed in range(5)
    }
    assert set(sweep_causes({**runs(h3="-----"), **others}).values()) == {""}


@pytest.mark.parametrize(("layers", "expected"), [([4, 3], "narrow"), ([4, 2], ""), ([3, 3, 3], "")])
def test_a_wider_network_has_as_many_layers_and_none_is_narrower(layers: list[int], expected: str) -> None:
    small = {"model.hidden_size": 3, "model.depth": 2}
    large = {"model.layers": layers, "model.hidden_size": max(layers), "model.depth": len(layers)}
    found = sweep_causes(
        {
            **{f"small {seed}": Trained({**SETTING, **small}, "not learned") for seed in range(2)},
            **{f"large {seed}": Trained({**SETTING, **large}, "learned") for seed in range(2)},
        }
    )
    assert found["small 0"] == expected


def explained(aspect: str, seeds: str) -> Explained:
    return Explained({f"h3 {seed}": WORDS.get(sign, "failed") for seed, sign in enumerate(seeds)}, aspect)


@pytest.mark.parametrize(
    ("aspect", "seeds", "expected"),
    [
        ("width", "-----", "n"),
        ("activation", "-----", "."),  # although a wider one learned
        ("", "-----", "n"),  # no single change sufficed there: the sweep decides
        ("width", "-++--", "s"),  # half of the other seeds that were trained for it learned
        ("width", "-+--!", "n"),
    ],
)
def test_an_explanation_decides_and_brings_seeds(aspect: str, seeds: str, expected: str) -> None:
    found = sweep_causes(runs(h3="-", h12="+++++"), [explained(aspect, seeds)])
    assert letters(found, "h3") == expected


def test_an_explanation_of_runs_that_are_not_recorded_changes_nothing() -> None:
    some = runs(h4="-----")
    assert sweep_causes(some, [explained("width", "-----")]) == sweep_causes(some)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from("+~-x0?")), max_size=25))
def test_causes_agree_with_a_slow_count(drawn: list[tuple[int, str]]) -> None:
    some = {
        str(number): Trained({**SETTING, "model.hidden_size": width}, WORDS[sign])
        for number, (width, sign) in enumerate(drawn)
    }
    signs = {width: [sign for other, sign in drawn if other == width and sign != "?"] for width in range(1, 5)}
    learns = {w: len(all_) > 1 and all_.count("+") / len(all_) >= 0.8 - 1e-9 for w, all_ in signs.items()}
    found = sweep_causes(some)
    assert set(found.values()) <= {"", *SWEEP_CAUSES}
    for number, (width, sign) in enumerate(drawn):
        expected = ""
        if sign in "~-":
            others = signs[width].copy()
            others.remove(sign)
            widest = max((other for other in learns if learns[other]), default=0)
            narrowest = min((other for other in learns if learns[other]), default=0)
            if len(others) > 1 and 2 * others.count("+") >= len(others):
                expected = "stuck"
            elif len(others) and not learns[width] and widest > width and narrowest > width:
                expected = "narrow"
        assert found[str(number)] == expected
