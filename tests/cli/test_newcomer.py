"""What a newcomer does with only the README: a fresh clone, its two commands, the browser, a notebook."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60_000

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("CI"), reason="installs everything again and trains the default sweep: set CI=true"
    ),
    pytest.mark.xdist_group("newcomer"),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of everything that git does not ignore; `.ci/run` names its own checkout instead."""
    if fresh := os.environ.get("FRESH_CLONE"):
        return Path(fresh)
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().splitlines()]
    folder = tmp_path_factory.mktemp("newcomer") / "nnlab"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".git", *ignored))
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """The environment of a fresh shell."""
    strange = ("VIRTUAL_ENV", "PYTHON", "MAKE", "MFLAGS", "ARGS", "EXPERIMENT", "PYTEST", "MLFLOW", "COVERAGE")
    return {name: value for name, value in os.environ.items() if not name.startswith(strange)}


@pytest.fixture(scope="module")
def commands(clone: Path) -> list[str]:
    """The commands of the README's first screen."""
    (first, *_) = re.findall(r"```sh\n(.*?)```", (clone / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line.split("#")[0].strip() for line in first.splitlines()]


@pytest.fixture(scope="module")
def swept(clone: Path, environment: dict[str, str], commands: list[str]) -> str:
    """The output of the first command. In `.ci/run` it is the second time, so it trains nothing."""
    done = subprocess.run(commands[0].split(), cwd=clone, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def address(clone: Path, environment: dict[str, str], commands: list[str], swept: str) -> Iterator[str]:
    """The address at which the second command shows the runs."""
    command = commands[1].split()
    with subprocess.Popen(
        command, cwd=clone, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as server:
        assert server.stdout
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said
        yield said.group()
        os.killpg(server.pid, signal.SIGTERM)


def test_the_first_screen_is_two_commands(commands: list[str]) -> None:
    assert commands == ["make sweep", "make ui"]


def test_the_sweep_prints_what_to_do_next(swept: str, clone: Path) -> None:
    assert "420 of 420 runs" in swept
    (report,) = re.findall(r"^ +report +(\S+)$", swept, flags=re.MULTILINE)
    assert "initialization" in (clone / report).read_text(encoding="utf-8")


def test_both_links_show_the_runs(swept: str, address: str, page: Page) -> None:
    runs, curves = (
        address + path for path in re.findall(r"http://127\.0\.0\.1:5000(/\S+)", swept)
    )  # another port may be the free one
    page.set_viewport_size({"width": 1800, "height": 1000})
    for _ in range(300):  # the server needs a moment to answer
        try:
            page.goto(runs)
            break
        except Exception as error:
            if "ERR_CONNECTION_REFUSED" not in str(error):
                raise
            page.wait_for_timeout(100)
    expect(page.get_by_role("link", name=re.compile("scale 1")).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("healthy").first).to_be_visible(timeout=PATIENCE)
    page.goto(curves)
    expect(page.get_by_text(re.compile(r"^\s*cost\s*\(2\)\s*$")).first).to_be_visible(timeout=PATIENCE)


def test_the_library_of_the_readme_runs(clone: Path, environment: dict[str, str], swept: str) -> None:
    code = re.findall(r"```python\n(.*?)```", (clone / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in code:
        done = subprocess.run(
            [".venv/bin/python", "-c", block], cwd=clone, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr


def test_a_notebook_opens_and_runs(clone: Path, environment: dict[str, str], swept: str) -> None:
    """`make notebook` installs JupyterLab; its "Run All" is what `nbconvert --execute` does."""
    quiet = environment | {"JUPYTERLAB_SETTINGS_DIR": str(clone / "results"), "BROWSER": "true"}
    words = ["make", "notebook"] + (["ARGS=--allow-root"] if os.geteuid() == 0 else [])
    with subprocess.Popen(
        words, cwd=clone, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as lab:
        assert lab.stdout
        said: list[str] = []
        for line in lab.stdout:
            said.append(line)
            if "http://" in line:
                break
        os.killpg(lab.pid, signal.SIGKILL)
    assert any("/lab?token=" in line or "/lab" in line for line in said), "".join(said)
    done = subprocess.run(
        [
            *(".venv/bin/jupyter", "nbconvert", "--to", "notebook", "--execute", "--stdout"),
            "notebooks/01_one_network.ipynb",
        ],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert (clone / "results" / "runs" / "playground").is_dir()
    assert '"image/png"' in done.stdout  # its figures
