"""What the README tells people to type has to exist, and its Python has to run."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import Train

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    mentioned = set(re.findall(r"make ([a-z]+)", README))
    assert mentioned
    assert mentioned <= targets


def test_help_is_the_default_and_lists_every_target() -> None:
    listed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("sweep", "run", "ui", "test", "lint", "bench", "report", "notebook", "clean"):
        assert re.search(rf"^{target}\s", listed, flags=re.MULTILINE)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_python_runs(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its runs belong in a folder of the test, not in the reader's results.
    for module in ("nnlab.study.execute", "nnlab.findings.load"):
        monkeypatch.setattr(f"{module}.results_path", lambda _: tmp_path)
    exec(compile(blocks("python")[number], "README.md", "exec"), {})


@pytest.mark.parametrize("words", re.findall(r"python experiments/train\.py (-m [^\n`#]*)", README))
def test_sweeps_on_the_command_line_run(words: str, train: Train) -> None:
    result = train(*shlex.split(words), "training.iterations=1")
    assert result.status == 0, result.error


def test_files_and_pictures_exist() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_numbers_are_those_that_the_command_writes() -> None:
    from benchmarks.proof import BEGIN, END, block

    assert README[README.index(BEGIN) : README.index(END) + len(END)] == block()


def test_what_is_said_of_the_default_sweep_is_in_its_preset() -> None:
    preset = yaml.safe_load((ROOT / "conf" / "experiment" / "initialization.yaml").read_text(encoding="utf-8"))
    swept = preset["hydra"]["sweeper"]["params"]
    assert swept["init.scale"] == "0, 0.01, 1.0"
    assert swept["model.activation"] == "sigmoid, tanh, relu, leaky_relu"
    assert (swept["model.hidden_size"].split(", ")[0], swept["model.hidden_size"].split(", ")[-1]) == ("1", "50")
    assert swept["seed"] == "range(5)"
