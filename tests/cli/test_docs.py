"""docs/diagnostics.md has an entry for everything that is measured, and every picture that it shows."""

import re
from pathlib import Path

import pytest
from snapshots import random_stack, snapshot, values

from benchmarks.atlas import PICTURES
from nnlab.diagnostics.verdict import RULES, THRESHOLDS
from nnlab.network.activations import ACTIVATIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = (DOCS / "diagnostics.md").read_text(encoding="utf-8")
ENTRIES = {name for heading in re.findall(r"^### (.*)$", TEXT, re.M) for name in re.findall(r"`([\w/]+)`", heading)}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_quantity_has_an_entry(activation: str) -> None:
    measured = {quantity for quantity, _ in values(snapshot(random_stack(), activation), "full")}
    assert measured <= ENTRIES


def test_every_picture_is_shown_and_there() -> None:
    shown = re.findall(r"\]\((images/diagnostics/\w+)\.png\)", TEXT)
    assert sorted(shown) == sorted(f"images/diagnostics/{name}" for name in PICTURES)
    assert all((DOCS / f"{picture}.png").is_file() for picture in shown)


def test_every_verdict_stands_in_the_table_in_order() -> None:
    names = re.findall(r"^\| `(\w+)` \|", TEXT, re.M)
    assert names == [*(rule.__name__.lstrip("_") for rule in RULES), "healthy", "unfinished"]


SAID = {10.0: "10 times", 0.5: "half", 1e-3: "1e-3", 1e-4: "1e-4", 1e3: "1e3", 1e-2: "1e-2|1 %", 0.05: "5 %"}


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_thresholds_in_force_are_those_of_the_table(threshold: str) -> None:
    verdict = threshold.split(":")[0]
    said = (
        TEXT[TEXT.index("The goal is") :]
        if verdict == "healthy"
        else re.findall(rf"^\| `{verdict}` .*$", TEXT, re.M)[0]
    )
    assert re.search(SAID[THRESHOLDS[threshold]], said)
