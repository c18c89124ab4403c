"""`nnlab judge`: an experiment, one run, runs that are left alone, and words that mean no run."""

import json
import shutil
from pathlib import Path

import pytest

import nnlab
from nnlab.cli import judge
from nnlab.results import Results

OLD = Path(__file__).resolve().parents[1] / "data" / "measures_1"
CHANGED = "743df03a6f7364df"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A results folder with runs that an older version wrote, without those whose data have changed."""
    shutil.copytree(OLD, tmp_path / "old")
    shutil.rmtree(tmp_path / "old" / "runs" / "small" / CHANGED)
    return tmp_path / "old"


def outcomes(results: Path) -> dict[str, str | None]:
    paths = (results / "runs" / "small").glob("*/run.json")
    return {path.parent.name: json.loads(path.read_text()).get("outcome") for path in paths}


def test_an_experiment_is_judged(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge.main(["small", "--results-dir", str(old)])
    assert capsys.readouterr().out == (
        "small: 3 runs judged. Outcomes: not measured 3 -> diverged 1, learned 1, not learned 1. "
        "Verdicts: diverged 1, frozen 1, healthy 1 -> diverged 1, frozen 1, healthy 1. "
        "`nnlab report small` shows them, `nnlab sync small` brings MLflow level.\n"
    )
    assert set(outcomes(old).values()) == {"learned", "not learned", "diverged"}


def test_one_run_is_judged(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge.main(["small/bed3dd", "--results-dir", str(old)])
    assert capsys.readouterr().out.startswith("small: 1 runs judged. Outcomes: not measured 1 -> learned 1. ")
    assert {name for name, outcome in outcomes(old).items() if outcome} == {"bed3dd482a8a6527"}


def test_a_run_that_is_left_alone_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "old")
    with pytest.raises(SystemExit) as stop:
        judge.main(["small", "--results-dir", str(tmp_path / "old")])
    assert str(stop.value) == (
        f"left alone: small/{CHANGED}: the data of its config are not those that it was trained on: its weights have a "
        "cost of 0.131243 there, recorded is 0.13951"
    )
    assert capsys.readouterr().out.startswith("small: 3 runs judged. ")


def test_runs_with_the_same_problem_share_a_line() -> None:
    from nnlab.study.judge import Judged

    judged = [Judged(f"{number:016x}", problem="its file is gone") for number in range(10)]
    text = judge._problems("small", judged)
    assert text.startswith("left alone: small/0000000000000000, small/0000000000000001, ")
    assert text.endswith("small/0000000000000007, 2 more: its file is gone")
    assert judge._summary("small", judged).startswith("small: 0 runs judged. Outcomes: none -> none. ")


def test_an_experiment_may_be_named_like_an_option(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Results(old).runs("small").rename(Results(old).runs("-x y"))
    judge.main(["--results-dir", str(old), "--", "-x y"])
    assert "`nnlab sync '-x y'`" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nosuch", r"the fingerprint must match a recorded run \(small/22ae7af508b66898, .*\), got 'nosuch'"),
        ("abc", "the fingerprint must have at least 4 digits, got 'abc'"),
    ],
)
def test_words_that_mean_no_run_are_refused(word: str, message: str, old: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        judge.main([word, "--results-dir", str(old)])
    assert set(outcomes(old).values()) == {None}


def test_judge_is_a_public_name() -> None:
    assert "judge" in nnlab.__all__
    assert nnlab.judge.__module__ == "nnlab.study.judge"
