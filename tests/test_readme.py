"""The commands, links, numbers and Python code of the documentation exist and work."""

import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import Result

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
USAGE = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in PAGES}


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def sweeps() -> list[str]:
    """Return the words after `nnlab` of each run and sweep in the README and docs/usage.md, without placeholders."""
    lines = [line for text in (README, USAGE) for block in blocks("sh", text) for line in block.splitlines()]
    commands = [re.match(r"(?:\.venv/bin/)?nnlab ((?:run|sweep)\b[^#]*)", line) for line in lines]
    words = {command[1].strip() for command in commands if command}
    return sorted(one for one in words if "--" not in one)


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", TEXTS)
def test_every_make_target_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", TEXTS[page], flags=re.MULTILINE)) <= targets


def test_make_lists_its_targets() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("sweep", "run", "ui", "test", "lint", "bench", "check", "report", "notebook", "clean"):
        assert re.search(rf"^{target}\s", listed, flags=re.MULTILINE)


def test_every_sub_command_exists() -> None:
    code = [part for text in TEXTS.values() for part in (*blocks("sh", text), *re.findall(r"`([^`\n]+)`", text))]
    found = (re.findall(r"^(?:\.venv/bin/)?nnlab ([a-z]+)", part, flags=re.MULTILINE) for part in code)
    mentioned = {word for words in found for word in words}
    assert mentioned >= {"run", "sweep", "ui", "sync", "verify", "report", "film", "register"}
    listed = subprocess.run([sys.executable, "-m", "nnlab", "--help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert [word for word in sorted(mentioned) if not re.search(rf"\b{word}\b", listed)] == []


@pytest.mark.parametrize("page", TEXTS)
def test_every_module_that_is_run_exists(page: str) -> None:
    modules = re.findall(r"python -m ((?:benchmarks|experiments|nnlab)[\w.]*)", TEXTS[page])
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("number", range(len(blocks("python", README))))
def test_the_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.results import Results

    # The runs belong in a folder of the test, not in the reader's results.
    monkeypatch.setattr(Results, "at", classmethod(lambda cls, _: cls(tmp_path)))
    exec(compile(blocks("python", README)[number], "README.md", "exec"), {})


@pytest.mark.parametrize("words", sweeps())
def test_commands_run(words: str, nnlab_command: Callable[..., Result]) -> None:
    quick = ["training.iterations=1", *([] if "seed=" in words else ["seed=3"])]
    result = nnlab_command(*shlex.split(words), *quick)
    assert result.status == 0, result.error


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^):]+)\)", TEXTS[path.name]):
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


def test_the_numbers_are_those_that_the_command_writes() -> None:
    from benchmarks.proof import BEGIN, END, block

    assert README[README.index(BEGIN) : README.index(END) + len(END)] == block()


def test_the_default_sweep_is_the_one_described() -> None:
    preset = yaml.safe_load((ROOT / "conf" / "experiment" / "initialization.yaml").read_text(encoding="utf-8"))
    swept = preset["hydra"]["sweeper"]["params"]
    assert swept["init.scale"] == "0, 0.01, 1.0"
    assert swept["model.activation"] == "sigmoid, tanh, relu, leaky_relu"
    assert (swept["model.hidden_size"].split(", ")[0], swept["model.hidden_size"].split(", ")[-1]) == ("1", "50")
    assert swept["seed"] == "range(5)"


def test_the_citation_agrees_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["license"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
