"""docs/diagnostics.md describes everything that is measured; docs/guarantees.md names tests that exist."""

import re
from pathlib import Path

import pytest
from snapshots import random_stack, snapshot, values

from benchmarks.atlas import PICTURES
from nnlab.diagnostics.thresholds import THRESHOLDS
from nnlab.diagnostics.verdict import VERDICTS
from nnlab.network.activations import ACTIVATIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
ENTRIES = {name for heading in re.findall(r"^### (.*)$", TEXT, re.M) for name in re.findall(r"`([\w/]+)`", heading)}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_quantity_has_an_entry(activation: str) -> None:
    measured = {quantity for quantity, _ in values(snapshot(random_stack(), activation), "full")}
    assert measured <= ENTRIES


def test_every_picture_is_shown_and_exists() -> None:
    shown = re.findall(r"\]\((images/diagnostics/\w+)\.png\)", TEXT)
    assert sorted(shown) == sorted(f"images/diagnostics/{name}" for name in PICTURES)
    assert all((DOCS / f"{picture}.png").is_file() for picture in shown)


def test_the_table_lists_every_verdict_in_order() -> None:
    assert tuple(re.findall(r"^\| `([a-z ]+)` \|", TEXT, re.M)) == VERDICTS


WORDS = {
    1e3: "1e3",
    10.0: "10 times",
    3.0: "3 times",
    0.9: "0.9",
    0.75: "three quarters",
    0.5: "half",
    0.3: "3 of 10",
    0.25: "a quarter",
    0.05: "5 %",
    1e-2: "1e-2|1 %",
    2e-3: "0.2 %",
    1e-3: "1e-3",
    1e-4: "1e-4",
}


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_table_gives_the_thresholds_in_force(threshold: str) -> None:
    verdict = threshold.split(":")[0]
    text = (
        TEXT[TEXT.index("The goal is") :]
        if verdict == "healthy"
        else re.findall(rf"^\| `{verdict}` .*$", TEXT, re.M)[0]
    )
    assert re.search(WORDS[THRESHOLDS[threshold]], text)


def test_every_guarantee_names_a_test_that_exists() -> None:
    text = (DOCS / "guarantees.md").read_text(encoding="utf-8")
    promises = text[: text.index("`python -m benchmarks.torture`")]
    tests = re.findall(r"`([\w/]+\.py)`", promises)
    assert [name for name in tests if not (DOCS.parent / "tests" / name).is_file()] == []
    items = re.findall(r"^- (.*(?:\n  .*)*)", promises, re.M)
    assert len(items) > 20
    assert [item for item in items if not re.search(r"`[\w/]+\.py`", item)] == []
