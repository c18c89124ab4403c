"""Events found in hand-written curves: what events, when, and why."""

import numpy as np
import pytest

from nnlab.diagnostics.events import Event, find_events

ITERATIONS = [0, 1, 10, 100]


def events(**curves: list[float]) -> list[tuple[str, int, str]]:
    """Return the events of one layer of four units, given curves by the last part of their quantity."""
    group = {"dead": "activity"}
    by_quantity = {(f"{group.get(name, 'symmetry')}/{name}", 1): np.array(curve) for name, curve in curves.items()}
    return [(event.name, event.iteration, event.cause) for event in find_events(ITERATIONS, by_quantity, [4])]


def test_units_drawn_different_are_broken_from_the_start() -> None:
    observed = events(deviation=[1, 1, 1, 1], distinct_units=[4] * 4, near_units=[4] * 4)
    assert observed == [("symmetry/broken_at", 0, "init")]


def test_units_drawn_nearly_equal_are_broken_when_they_differ_visibly() -> None:
    observed = events(deviation=[1e-9, 1e-8, 1e-2, 1], distinct_units=[4] * 4, near_units=[1, 1, 4, 4])
    assert observed == [("symmetry/broken_at", 10, "init")]


def test_equal_units_that_separate_were_separated_by_rounding() -> None:
    observed = events(deviation=[0, 1e-16, 1e-9, 1e-2], distinct_units=[1, 2, 4, 4], near_units=[1, 1, 1, 4])
    assert observed == [("symmetry/broken_at", 100, "rounding")]


def test_copies_beside_other_units_are_tracked_by_the_number_of_classes() -> None:
    observed = events(deviation=[1, 1, 1, 1], distinct_units=[3, 4, 4, 4], near_units=[3, 3, 3, 4])
    assert observed == [("symmetry/broken_at", 100, "rounding")]


@pytest.mark.parametrize("deviation", [[0, 0, 0, 0], [0, 1e-17, 1e-16, 1e-9], [np.nan] * 4])
def test_lasting_symmetry_is_no_event(deviation: list[float]) -> None:
    assert events(deviation=deviation, distinct_units=[1, 1, 2, 4], near_units=[1, 1, 1, 1]) == []


def test_born_dead_and_died_are_separate_events() -> None:
    assert events(dead=[0.25, 0.25, 0.25, 0.25]) == [("activity/born_dead", 0, "init")]
    assert events(dead=[0, 0, 0.5, 0.25]) == [("activity/died_at", 10, "training")]
    assert [name for name, _, _ in events(dead=[0.25, 0, 0.5, 0.5])] == ["activity/born_dead", "activity/died_at"]
    assert events(dead=[0, 0, 0, 0]) == []


def test_the_value_of_born_dead_is_the_share_of_units() -> None:
    (event,) = find_events([0, 1], {("activity/dead", 2): np.array([0.5, 0.5])}, [3, 4])
    assert event == Event("activity/born_dead", 2, 0, "init", 0.5, "2 of 4 units of layer 2 were born dead")
