"""What READMEs say was found is what a command found; `make findings ARGS=--check` runs all of it again."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
from PIL import Image

import nnlab
from experiments.findings import (
    BEGIN,
    END,
    HERE,
    Finding,
    agree,
    block,
    difference,
    differences,
    experiments,
    find,
    main,
    over_seeds,
    overview,
    share,
    table,
    written,
)
from experiments.train import CONF, question

COURSE = {"course_flower", "course_hidden_size", "course_initialization"}
"""Presets that reproduce published numbers: tests/test_course.py compares them."""
QUICK = ["hidden_size", "linear_collapse"]
"""Those that are run again here, whole; the others take minutes."""


def generated(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def test_every_preset_has_its_folder_and_every_folder_its_preset() -> None:
    assert set(experiments()) == {path.stem for path in (CONF / "experiment").glob("*.yaml")} - COURSE


@pytest.mark.parametrize("name", experiments())
def test_a_readme_shows_what_was_found(name: str) -> None:
    folder = HERE / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    for part in (
        "**Question.**",
        "**Prediction.**",
        "**Command.**",
        "**Finding.**",
        "**What it means.**",
        "**Limits.**",
    ):
        assert part in text
    assert generated(folder / "README.md") == block(name, written(name))
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    drawn = {path.name for path in folder.iterdir() if path.suffix in (".png", ".gif")}
    assert set(pictures) == drawn != set()
    for picture in drawn:
        with Image.open(folder / picture) as image:
            assert image.width >= 500
    assert question(name).count("?") == 1


def test_the_table_of_all_experiments_is_made_of_theirs() -> None:
    assert generated(HERE / "README.md") == overview({name: written(name) for name in experiments()})


@pytest.mark.parametrize("name", QUICK)
def test_an_experiment_run_again_finds_the_same(name: str, tmp_path: Path) -> None:
    content = find(name, str(tmp_path), ["launcher.n_jobs=1"])
    assert differences(name, content) == []
    assert content["runs"] == written(name)["runs"]


def test_a_number_that_changed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    content = written("hidden_size")
    assert differences("hidden_size", content) == []
    changed = json.loads(json.dumps(content))
    changed["findings"][1]["value"] += 0.05
    (line,) = differences("hidden_size", changed)
    assert line.startswith("hidden_size: accuracy/train, 20 units minus 5: ")
    changed["findings"].pop()
    assert differences("hidden_size", changed) == ["hidden_size: other findings are written than are found now"]


def test_findings_agree_within_their_intervals_and_digits() -> None:
    old = Finding("x", 0.5, 0.4, 0.6, "5 seeds")
    assert agree(old, old._replace(value=0.65))
    assert not agree(old, old._replace(value=0.75))
    assert not agree(old, old._replace(n="4 seeds"))
    assert not agree(old, old._replace(value=math.nan))
    alone = Finding("y", 1e-30, math.nan, math.nan, "45 runs")
    assert agree(alone, alone._replace(value=1e-31))
    assert not agree(alone, alone._replace(value=0.1))


def test_tables_show_intervals_and_what_was_expected() -> None:
    found = [
        Finding("a", 0.12345, 0.1, 0.2, "5 seeds", expected=0.1),
        Finding("b", 3e-30, math.nan, math.nan, "9 runs"),
    ]
    assert table(found).splitlines()[2:] == [
        "| a | 0.123 [0.100, 0.200] | 0.100 | 5 seeds |",
        "| b | 3.0e-30 | - | 9 runs |",
    ]
    assert "expected" not in table(found[1:])


def test_findings_are_made_of_the_statistics_module(tmp_path: Path) -> None:
    from nnlab.findings.statistics import aggregate, compare, share_interval

    base = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=20), results_dir=str(tmp_path))
    nnlab.sweep(
        [
            dataclasses.replace(base, seed=seed, model=nnlab.ModelConfig(hidden_size=size))
            for seed in range(4)
            for size in (1, 2)
        ],
        n_jobs=1,
    )
    runs = nnlab.load_runs("playground", str(tmp_path))
    one = runs[runs["model.hidden_size"] == 1]
    found = over_seeds("x", one, "cost/train")
    assert list(found[1:4]) == aggregate(one, "cost/train", [])[["estimate", "low", "high"]].to_numpy()[0].tolist()
    assert found.n == "4 seeds"
    settings = ({"model.hidden_size": 2}, {"model.hidden_size": 1})
    found = difference("x", runs, "cost/train", *settings)
    assert list(found[1:4]) == [float(part) for part in compare(runs, "cost/train", *settings).difference]
    found = share("x", [True, False, False])
    assert list(found[1:4]) == [float(part) for part in share_interval(1 / 3, 3)]


def test_an_unknown_experiment_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"names must be of dying_relu, .*, got dying"):
        main(["dying"])
