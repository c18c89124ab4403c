import numpy as np
import pytest

from benchmarks import account, fused, loading, peers, speed, timing
from benchmarks.timing import Column, problem_of
from nnlab.network.activations import Array


@pytest.mark.parametrize(
    "column", [Column("h = 4", 4, 1, 20), Column("deep", 3, 3, 20)], ids=lambda column: column.title
)
@pytest.mark.parametrize("activation", timing.ACTIVATIONS_TIMED)
def test_all_who_are_installed_compute_the_same(column: Column, activation: str) -> None:
    problem = problem_of(column, activation)
    entered = peers.contestants(problem, R=3)
    if fused.applies(problem):
        entered[fused.FUSED] = fused.Fused(problem, 3)
    for peer in entered.values():
        peer.advance()
    peers.check_agreement(problem, entered)


@pytest.mark.skipif(fused.COMPILER is None, reason="there is no C compiler here")
def test_the_kernel_in_c_leaves_the_arithmetic_of_the_process_alone() -> None:
    """Linked with -ffast-math, a library makes the whole process lose its subnormal numbers."""
    fused.Fused(problem_of(Column("h = 4", 4, 1, 20), "tanh"))
    assert np.float64(1e-300) * np.float64(1e-15) > 0


class WithoutOutputBias(peers.Nnlab):
    """Forgets b of the output layer."""

    def weights(self) -> dict[str, Array]:
        weights = super().weights()
        return weights | {"b2": np.zeros_like(weights["b2"])}


def test_one_who_computes_something_else_is_caught() -> None:
    problem = problem_of(Column("h = 4", 4, 1, 20), "tanh")
    entered = {peers.NOTES: peers.contestants(problem, R=1)[peers.NOTES], "broken": WithoutOutputBias(problem)}
    for peer in entered.values():
        peer.advance()
    with pytest.raises(peers.DisagreementError, match=r"cost must be the same to 1e-06, got .* from broken"):
        peers.check_agreement(problem, entered)


def test_the_quick_page_has_every_row_and_column(capsys: pytest.CaptureFixture[str]) -> None:
    speed.main(["--quick", "--rounds=1", "--no-write"])
    page = capsys.readouterr().out
    missing = {row for package, rows in peers.OPTIONAL.items() if not peers.installed(package) for row in rows}
    for row in peers.ROWS:
        times = [line for line in page.splitlines() if line.startswith(f"| {row} |")]
        assert len(times) == (0 if row in missing else len(timing.ACTIVATIONS_TIMED))
        assert all(line.count("|") == len(timing.COLUMNS) + 2 for line in times)
        assert row not in missing or f"{row}" in page.split("Left out")[1].splitlines()[0]
    assert 'make bench ARGS="--quick --rounds=1 --no-write"' in page


def test_the_account_adds_up_to_the_iteration() -> None:
    """Every pass was seen, and the training that was watched is the training that is timed."""
    problem = problem_of(Column("h = 4", 4, 1, 50), "tanh")
    found = account.passes(problem, R=2)
    assert list(found) == list(account.PASSES)
    assert all(time > 0 for time in found.values())


def test_a_ratio_pairs_neighbours_in_time() -> None:
    times = {peers.NOTES: [8.0, 40.0], peers.STACKED: [2.0, 20.0], peers.JAX: [4.0, 10.0], peers.JAX_VMAP: [1.0, 40.0]}
    assert timing.ratios(times, "notes / nnlab stacked") == [4.0, 2.0]
    assert timing.ratios(times, "nnlab stacked / best of JAX") == [2.0, 2.0]
    assert timing.ratios(times, "nnlab stacked / bare tanh pass") is None


def test_rounds_that_cannot_be_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        speed.main(["--rounds=0"])
    assert "--rounds must be from 1 to 999, got 0" in capsys.readouterr().err


def test_the_page_of_sweeps_says_who_is_how_fast() -> None:
    from benchmarks.sweeps import Sweep, page

    parts = {"training": 60.0, "storing": 3.0, "logging": 25.0}
    growth = [Sweep(size, 1.0 + 0.05 * size, 300.0, {}) for size in (50, 500)]
    text = page(Sweep(28, 140.0, 200.0, {}), Sweep(420, 42.0, 300.0, parts), growth, 1.5, 2, 10_000)
    assert "| nnlab | 420 | 42.0 | 100 | 50.0 |" in text
    assert "- pass: naive / nnlab, per run 50.00, target at least 25" in text
    assert "- FAIL: nnlab / the larger of training and logging 1.40, target at most 1.35" in text
    assert "- pass: per run at 500 / at 50 runs" in text


def test_both_kinds_of_sweep_can_be_timed() -> None:
    from benchmarks.sweeps import naive, ours

    peer = naive(100, "2")
    assert peer.runs == 4
    mine = ours(["seed=range(2)", "training.iterations=50"], 2)
    assert mine.runs == 2
    assert all(mine.parts[part] > 0 for part in ("training", "storing", "logging"))


def test_the_page_about_loading_counts_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    loading.main(["--quick", "--no-write"])
    page = capsys.readouterr().out
    assert "30 runs with 5 checkpoints of 4 quantities each" in page
    assert "20 points" in page
    assert "MLflow / nnlab" in page
