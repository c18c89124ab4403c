"""Tests of the report in a browser, opened from disk, as wide as a phone and as a desktop screen."""

import dataclasses
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request

import nnlab

pytestmark = pytest.mark.xdist_group("report page")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sweep over three keys, with one run missing."""
    folder = tmp_path_factory.mktemp("results")
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=30), results_dir=str(folder))
    configs = [
        dataclasses.replace(
            base,
            seed=seed,
            model=nnlab.ModelConfig(hidden_size=size, activation=activation),
            init=nnlab.InitConfig(scale=scale),
        )
        for scale in (0.0, 0.01, 1.0)
        for size in (1, 2, 3, 4)
        for activation in ("tanh", "relu", "sigmoid")
        for seed in range(2)
    ]
    nnlab.sweep(configs[:-1], n_jobs=1)
    return folder / "reports" / "playground.html"


@pytest.mark.parametrize("width", [390, 1440])
def test_a_report_is_accessible_and_loads_nothing(report: Path, page: Page, errors: list[str], width: int) -> None:
    requested: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith("data:"):
            requested.append(request.url)

    page.on("request", note)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(report.as_uri())
    assert requested == [report.as_uri()]
    assert errors == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    pictures = page.locator("img")
    assert pictures.count() == 3
    for number in range(3):
        assert pictures.nth(number).evaluate("image => image.naturalWidth") > 500
    violations = Axe().run(page)
    assert violations.violations_count == 0, violations.generate_report()


def test_a_report_names_missing_runs(report: Path, page: Page) -> None:
    page.goto(report.as_uri())
    assert "sigmoid h4 scale 1: seed 1" in page.get_by_role("main").inner_text()


def test_a_wide_table_scrolls_in_its_own_frame(report: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(report.as_uri())
    frame = page.get_by_role("region", name="verdicts")
    assert frame.evaluate("box => box.scrollWidth > box.clientWidth && box.tabIndex === 0")
