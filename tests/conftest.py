"""One BLAS thread, the same hypothesis examples in every test run, and fixtures: the command line, a browser."""

import dataclasses
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: F401, E402  after the variables; a pytest plugin may have loaded it before them
import pytest  # noqa: E402
from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from hypothesis import settings  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

threadpool_limits(limits=1, user_api="blas")  # for that case: the variables are read only when BLAS is loaded

# A script that starts the tests in its background, and nohup, let them ignore Ctrl-C; those that are about it send one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("nnlab", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("nnlab")


@dataclass(frozen=True)
class Result:
    """What a command left behind: exit status, what it printed, the files below its results folder.

    `written` leaves out Hydra's own log folder, which Hydra makes before it calls anybody.
    """

    status: int
    output: str
    error: str
    results: Path

    @property
    def written(self) -> list[str]:
        files = (path.relative_to(self.results) for path in self.results.rglob("*") if self.results.is_dir())
        return sorted(str(path) for path in files if path.parts[0] != "hydra")


Command = Callable[..., Result]


@pytest.fixture
def nnlab_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """`nnlab` with the given words, in this process: `nnlab_command("sweep", "seed=1,2")`.

    Unless the words say otherwise, runs go to a results folder of their own, without tracking and pages: a new MLflow
    database takes seconds, a page half a second.
    """
    from nnlab.cli.main import main

    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # as if activated

    def call(name: str, *words: str, results: Path = tmp_path / "results") -> Result:
        given = {word.split("=")[0] for word in words}
        if "results_dir" not in given:
            words = (f"results_dir={results}", *words)
        if not {"tracking", "tracking.enabled", "tracking.uri"} & given:
            words = ("tracking.enabled=false", *words)
        if "tracking.report" not in given:
            words = ("tracking.report=false", *words)
        GlobalHydra.instance().clear()
        capfd.readouterr()
        status = 0
        try:
            main([name, *words])
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1 if stop.code else 0
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)  # as the interpreter would
        printed = capfd.readouterr()
        return Result(status, printed.out, printed.err, results)

    return call


Train = Callable[..., Result]


@pytest.fixture
def train(nnlab_command: Command) -> Train:
    """`nnlab run` with the given words, or `nnlab sweep` if the first is -m."""

    def call(*words: str, **options: Path) -> Result:
        is_sweep = words[:1] == ("-m",)
        return nnlab_command("sweep" if is_sweep else "run", *words[is_sweep:], **options)

    return call


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables and nothing in them, made once: each copy saves seconds."""
    from nnlab.tracking.connection import create_database

    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    create_database(path)
    return path


@pytest.fixture
def results(tmp_path: Path, empty_database: Path) -> Path:
    """A results folder with an MLflow database, ready for tracking."""
    folder = tmp_path / "results"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Headless Chromium."""
    path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if path is None and not os.environ.get("CI"):
        pytest.skip(f"needs one of {', '.join(BROWSERS)}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Sandboxes of containers seldom let Chromium make its own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def errors() -> list[str]:
    """What a page complained about in the console."""
    return []


@pytest.fixture
def page(browser: "Browser", errors: list[str]) -> "Iterator[Page]":
    """A page whose complaints are in `errors`."""
    page = browser.new_page()

    def note(message: "ConsoleMessage") -> None:
        if message.type == "error":
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """Twelve runs that MLflow was told of: three widths, two activations, two seeds."""
    import nnlab

    folder = tmp_path_factory.mktemp("results")
    shutil.copy(empty_database, folder)
    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=30), results_dir=str(folder))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, model=nnlab.ModelConfig(hidden_size=size, activation=activation))
            for size in (1, 2, 3)
            for activation in ("tanh", "relu")
            for seed in range(2)
        ],
        n_jobs=1,
        tracking=True,
    )
    return folder
