"""`nnlab why`: one network, a recorded run, an experiment, and words that mean none of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Result

from nnlab.cli.main import main
from nnlab.results import Results

FAST = ("data=moons", "data.m=80", "data.test_m=20", "training.iterations=200", "diagnostics.checkpoints=3")


def exits(*words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["why", *words])
    return str(stop.value.code)


def test_one_network_is_explained(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*FAST, "init=zeros", f"results_dir={results}", "tracking.enabled=false", "--seeds", "2", "--budget", "30"]
    main(["why", *words])
    printed = capsys.readouterr().out
    assert "as they are: 2 runs, about 1 s" in printed
    table = [line for line in printed.splitlines() if line.startswith(("change ", "as it is ", "xavier "))]
    assert "seeds that learned [95 % score interval]" in table[0]
    assert "0 of 2 seeds [0.00, 0.66]" in table[1]
    assert "2 of 2 seeds [0.34, 1.00]" in table[2]
    assert "init.scheme=xavier init.scale=1.0" in table[2]
    assert printed.splitlines()[-1].startswith("did not learn (0 of 2 seeds): the initial weights hold it back; ")
    assert Results.at(str(results)).experiments() == ["playground why"]


def test_the_settings_of_an_experiment_are_explained(
    nnlab_command: Callable[..., Result], results: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    swept = nnlab_command("sweep", *FAST, "init=zeros,xavier", "seed=0,1", "tracking.experiment=two", results=results)
    assert swept.status == 0
    capfd.readouterr()
    main(["why", "two", "--results-dir", str(results), "--budget", "1e-9"])
    printed = capfd.readouterr().out
    assert "as they are: 3 runs" in printed  # two of the five seeds are recorded
    assert "did not learn (0 of 5 seeds): not tried within the budget: " in printed
    assert printed.count("did not learn") == 1

    (recorded, *_) = [path.name for path in (results / "runs" / "two").iterdir() if not path.name.startswith(".")]
    main(["why", recorded[:8], "--results-dir", str(results), "--budget", "1e-9", "--seeds", "1"])
    assert " of 1 seeds" in capfd.readouterr().out


def test_an_experiment_that_learned_has_nothing_to_explain(
    nnlab_command: Callable[..., Result], results: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nnlab_command("sweep", *FAST, "init=xavier", "seed=0,1", "tracking.experiment=good", results=results)
    main(["why", "good", "--results-dir", str(results)])
    assert capfd.readouterr().out.splitlines()[-1] == "Every setting learned in at least 4 of 5 seeds."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "0"], "--budget must be a number of seconds above 0, got 0"),
        (["--budget", "nan"], "--budget must be a number of seconds above 0, got nan"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["abcdef12"], "the fingerprint must match a recorded run (there are none yet), got 'abcdef12'"),
        (["one", "two"], "nnlab why takes KEY=VALUE words, one fingerprint, or one experiment, got one two"),
        (
            ["abcdef12", "seed=1"],
            "nnlab why takes KEY=VALUE words, one fingerprint, or one experiment, got abcdef12 seed=1",
        ),
        (
            ["experiment=symmetry"],
            "experiment=symmetry is a sweep: nnlab sweep it first, then type nnlab why and its name",
        ),
        (["model.depht=2"], "there is no key model.depht; did you mean model.depth"),
        (["data.noise=-1"], "data.noise must be"),
    ],
)
def test_words_that_mean_no_network_are_refused(words: list[str], message: str, tmp_path: Path) -> None:
    assert exits(*words, "--results-dir", str(tmp_path / "results")).startswith(message)
    assert not (tmp_path / "results").exists()
