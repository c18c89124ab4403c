"""nnlab installed from its wheel, in a folder of the user's: no clone, no make.

`.ci/run` installs the wheel with everything it depends on and names that environment in INSTALLED_NNLAB. Elsewhere the
wheel is installed alone, and the libraries are those of the tests.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAST = ("training.iterations=20", "diagnostics.checkpoints=3")
MINE = """# @package _global_
# Does my preset work?
tracking:
  experiment: mine
training:
  iterations: 20
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      seed: 1, 2
"""

pytestmark = pytest.mark.xdist_group("wheel")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script `nnlab` of an environment in which the wheel is installed."""
    if installed := os.environ.get("INSTALLED_NNLAB"):
        return Path(installed) / "bin" / "nnlab"
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "nnlab"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the user's, in a git repository of the user's."""
    folder = tmp_path_factory.mktemp("thesis")
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "-m", "Begin"], cwd=folder, check=True)
    return folder


def nnlab(program: Path, folder: Path, *words: str) -> str:
    """Return the output of a command typed in the user's folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([program, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_nnlab_its_presets_and_the_plugins(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    assert {name.split("/")[0] for name in names} == {"nnlab", "hydra_plugins", "nnlab-0.1.0.dist-info"}
    presets = {name.removeprefix("nnlab/conf/") for name in names if name.startswith("nnlab/conf/")}
    assert presets == {str(path.relative_to(ROOT / "conf")) for path in (ROOT / "conf").rglob("*.yaml")}
    assert "nnlab/findings/report.html.j2" in names


def test_help_names_the_commands(program: Path, folder: Path) -> None:
    assert "sweep     train and record many networks" in nnlab(program, folder, "--help")


def test_a_run_writes_into_the_folder_where_it_is_typed(program: Path, folder: Path) -> None:
    printed = nnlab(program, folder, "run", *FAST)
    assert "1 of 1 runs" in printed
    assert len(list((folder / "results" / "runs" / "playground").glob("*/run.json"))) == 1


def test_a_sweep_ends_with_its_tables_and_names_no_commit_of_the_user(program: Path, folder: Path) -> None:
    printed = nnlab(program, folder, "sweep", "initialization", "seed=1", "model.hidden_size=2", *FAST)
    assert "12 of 12 runs" in printed
    assert "verdicts (with counts where seeds differ)" in printed
    summaries = [json.loads(path.read_text()) for path in (folder / "results" / "sweeps").glob("*/summary.json")]
    (summary,) = (one for one in summaries if one["experiment"] == "initialization")
    assert summary["command"].startswith("nnlab sweep initialization seed=1")
    assert summary["question"]
    assert not {"git_commit", "git_dirty"} & set(summary["versions"])


def test_a_preset_of_the_user_is_swept(program: Path, folder: Path) -> None:
    (folder / "presets" / "experiment").mkdir(parents=True)
    (folder / "presets" / "experiment" / "mine.yaml").write_text(MINE)
    printed = nnlab(program, folder, "sweep", "mine", "--config-dir", "presets", "tracking.enabled=false")
    assert "2 runs of experiment mine" in printed
    page = (folder / "results" / "reports" / "mine.html").read_text()
    assert "Does my preset work?" in page


def test_a_page_is_written(program: Path, folder: Path) -> None:
    nnlab(program, folder, "run", *FAST)
    page = Path(nnlab(program, folder, "report", "playground").strip())
    assert page == folder / "results" / "reports" / "playground.html"


def test_the_ui_answers(program: Path, folder: Path) -> None:
    nnlab(program, folder, "run", *FAST)
    with subprocess.Popen([program, "ui", "--port", "5600"], cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address
            deadline = time.monotonic() + 120
            while True:
                try:
                    with urllib.request.urlopen(address.group()) as page:
                        assert b"MLflow" in page.read()
                    break
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.2)
        finally:
            server.terminate()
