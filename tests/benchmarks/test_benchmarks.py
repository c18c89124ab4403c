import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks import breakdown, loading, peers, speed, speed_page, timing
from benchmarks.sweeps import Launch, Sweep, launch_section, page, targets, time_naive_sweep, time_sweep
from benchmarks.targets import Target, report_missed
from benchmarks.timing import Column, problem_of
from nnlab.network.activations import Array

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    "column", [Column("h = 4", 4, 1, 20), Column("deep", 3, 3, 20)], ids=lambda column: column.title
)
@pytest.mark.parametrize("activation", timing.ACTIVATIONS_TIMED)
def test_installed_contestants_agree(column: Column, activation: str) -> None:
    problem = problem_of(column, activation)
    contestants = peers.contestants(problem, R=3)
    for peer in contestants.values():
        peer.advance()
    peers.check_agreement(problem, contestants)


class WithoutOutputBias(peers.Nnlab):
    """A wrong contestant: the bias of its output layer is zero."""

    def weights(self) -> dict[str, Array]:
        weights = super().weights()
        return weights | {"b2": np.zeros_like(weights["b2"])}


def test_contestant_that_disagrees_is_reported() -> None:
    problem = problem_of(Column("h = 4", 4, 1, 20), "tanh")
    contestants = {peers.NOTES: peers.contestants(problem, R=1)[peers.NOTES], "broken": WithoutOutputBias(problem)}
    for peer in contestants.values():
        peer.advance()
    with pytest.raises(peers.DisagreementError, match=r"cost must be the same to 1e-06, got .* from broken"):
        peers.check_agreement(problem, contestants)


def test_quick_page_has_every_row_and_column(capsys: pytest.CaptureFixture[str]) -> None:
    speed.main(["--quick", "--rounds=1", "--no-write"])
    text = capsys.readouterr().out
    missing = {row for package, rows in peers.OPTIONAL.items() if not peers.installed(package) for row in rows}
    for row in peers.ROWS:
        times = [line for line in text.splitlines() if line.startswith(f"| {row} |")]
        assert len(times) == (0 if row in missing else len(timing.ACTIVATIONS_TIMED))
        assert all(line.count("|") == len(timing.COLUMNS) + 2 for line in times)
        assert row not in missing or f"{row}" in text.split("Left out")[1].splitlines()[0]
    assert 'make bench ARGS="--quick --rounds=1 --no-write"' in text
    assert re.search(r"importing scikit-learn \d+\.\d\d, fitting \d+\.\d\d\. One network .* trains for \d", text)


def test_breakdown_times_every_pass_of_the_training() -> None:
    problem = problem_of(Column("h = 4", 4, 1, 50), "tanh")
    found = breakdown.time_passes(problem, R=2)
    assert list(found) == list(breakdown.PASSES)
    assert all(time > 0 for time in found.values())


def test_ratios_are_formed_within_each_round() -> None:
    times = {peers.NOTES: [8.0, 40.0], peers.STACKED: [2.0, 20.0], peers.JAX: [4.0, 10.0], peers.JAX_VMAP: [1.0, 40.0]}
    assert timing.ratios(times, "notes / nnlab stacked") == [4.0, 2.0]
    assert timing.ratios(times, "nnlab stacked / best of JAX") == [2.0, 2.0]
    assert timing.ratios(times, "nnlab stacked / bare tanh pass") is None


def test_impossible_number_of_rounds_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.main(["--rounds=0"])
    assert "--rounds must be from 1 to 999, got 0" in capsys.readouterr().err


def test_sweeps_page_compares_naive_and_nnlab() -> None:
    parts = {"training": 60.0, "writing": 3.0, "logging": 25.0}
    growth = [Sweep(size, 1.0 + 0.05 * size, 300.0, {}) for size in (50, 500)]
    measured = Sweep(28, 140.0, 200.0, {}), Sweep(420, 42.0, 300.0, parts), growth, 1.5, 2
    text = page(*measured, 10_000)
    assert "| nnlab | 420 | 42.0 | 100 | 50.0 |" in text
    assert "- naive / nnlab, per run 50.00, target at least 25\n" in text
    assert "- nnlab / the larger of training and logging 1.40, target at most 1.35\n" in text
    assert "- per run at 500 / at 50 runs" in text
    assert [target.missed for target in targets(*measured)] == [False, True, False, False]


def test_table_of_launches_shows_every_digest() -> None:
    sweep = Sweep(420, 31.4, 300.0, {})
    text = launch_section([Launch("stacks", sweep, "59bdfa5152921234"), Launch("basic", sweep, "0123456789abcdef")])
    assert "420 runs" in text
    assert "| stacks | 31 | 59bdfa515292 |" in text
    assert "| basic | 31 | 0123456789ab |" in text


def test_naive_and_nnlab_sweeps_can_be_timed() -> None:
    naive = time_naive_sweep(100, "2")
    assert naive.runs == 4
    ours = time_sweep(["seed=range(2)", "training.iterations=50"], 2)
    assert ours.runs == 2
    assert all(ours.parts[part] > 0 for part in ("training", "writing", "logging"))


def test_loading_page_counts_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    loading.main(["--quick", "--no-write"])
    text = capsys.readouterr().out
    assert "30 runs with 5 checkpoints of 4 quantities each" in text
    assert "20 points" in text
    assert "MLflow / nnlab" in text


@pytest.mark.parametrize(
    ("target", "text", "missed"),
    [
        (Target("a / b", 24.39, 25.0, at_least=True), "a / b 24.39, target at least 25", True),
        (Target("a / b", 1.2, 1.35), "a / b 1.20, target at most 1.35", False),
        (Target("share", 0.078, 0.15, form=".1%"), "share 7.8%, target at most 15%", False),
        (Target("a / b", None, 1.5), "a / b: not measured", False),
        (Target("a / b", float("nan"), 1.5), "a / b nan, target at most 1.5", True),
    ],
)
def test_target_shows_its_figure_and_its_bound(
    target: Target, text: str, missed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(target) == text
    report_missed([target])
    assert capsys.readouterr().err == (f"missed: {text}\n" if missed else "")


@pytest.mark.parametrize("name", ["benchmarks", "sweeps", "loading", "battery"])
def test_published_pages_have_no_verdict_rows(name: str) -> None:
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert "FAIL" not in text
    assert "- pass" not in text


def test_published_page_keeps_the_figures_of_the_fused_kernel() -> None:
    assert speed_page.FUSED_KERNEL in (DOCS / "benchmarks.md").read_text(encoding="utf-8")
