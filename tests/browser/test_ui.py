"""MLflow's UI after a sweep, in a browser that opens it for the first time."""

import dataclasses
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import nnlab
from nnlab.cli.ui import free_port
from nnlab.tracking.ui_views import link

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.xdist_group("ui")
PATIENCE = 60_000
"""Milliseconds. MLflow's page loads several megabytes of script, on a machine that is busy with other tests."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """The address at which `nnlab ui` shows a small sweep."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=100), results_dir=str(folder))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, init=nnlab.InitConfig(scale=scale))
            for scale in (0.0, 1.0)
            for seed in range(2)
        ],
        n_jobs=1,
        tracking=True,
    )
    port = free_port(20_000 + hash(folder) % 20_000)
    words = [sys.executable, "-m", "nnlab", "ui", "--results-dir", str(folder), "--port", str(port)]
    server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    first_line = server.stdout.readline().split()
    url = next(word for word in first_line if word.startswith("http://"))
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/health", timeout=1).close()
            break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    yield url
    server.terminate()
    server.wait(20)
    server.stdout.close()


def test_the_list_shows_what_was_swept_and_the_verdicts(address: str, page: Page, errors: list[str]) -> None:
    page.set_viewport_size({"width": 1800, "height": 1000})
    page.goto(address + link("1"))
    expect(page.get_by_role("link", name="scale 0 seed 0")).to_be_visible(timeout=PATIENCE)
    for column in ("init.scale", "seed", "verdict"):
        expect(page.get_by_role("columnheader", name=column, exact=True).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("frozen").first).to_be_visible(timeout=PATIENCE)
    assert not [error for error in errors if "404" not in error]


def test_the_landing_page_leads_to_runs_and_views_of_model_training(address: str, page: Page) -> None:
    page.goto(address)
    page.get_by_role("link", name="playground").first.click(timeout=PATIENCE)
    expect(page.get_by_role("link", name="scale 0 seed 0")).to_be_visible(timeout=PATIENCE)
    assert "workflowType=machine_learning" in page.url
    expect(page.get_by_text("Ask questions about your")).to_have_count(
        0
    )  # MLflow's assistant, which covers a third of the page
    page.get_by_role("button", name="Views").click()
    page.get_by_text("What was swept").click()
    expect(page.get_by_role("columnheader", name="verdict", exact=True).first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name="scale 0 seed 0").click()
    expect(page.get_by_role("strong").filter(has_text="frozen").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_role("link", name="Evaluation runs")).to_have_count(0)


def test_a_choice_that_the_user_made_in_the_page_is_kept(address: str, page: Page) -> None:
    page.goto(address)
    page.evaluate("localStorage.setItem('mlflow.workflowType_v1', '\"genai\"')")
    page.reload()
    assert page.evaluate("localStorage.getItem('mlflow.workflowType_v1')") == '"genai"'


def test_charts_are_in_sections_and_averaged_over_seeds(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 1800, "height": 1000})
    page.goto(address + link("1", charts=True, seeds=True))
    for section in ("cost", "accuracy"):
        expect(page.get_by_text(re.compile(rf"^\s*{section}\s*\(2\)\s*$")).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(re.compile("Group by: *init.scale")).first).to_be_visible(timeout=PATIENCE)


def test_the_page_of_a_run_shows_its_verdict_and_its_data(address: str, page: Page) -> None:
    page.goto(address + link("1"))
    page.get_by_role("link", name="scale 0 seed 0").click(timeout=PATIENCE)
    expect(page.get_by_role("strong").filter(has_text="frozen").first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("flower", exact=False).first).to_be_visible(timeout=PATIENCE)
