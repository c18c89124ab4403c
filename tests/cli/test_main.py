"""The command `nnlab` itself: its sub-commands, presets as words, completion, and what it imports."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command

from nnlab.cli.commands import COMMANDS
from nnlab.cli.main import main
from nnlab.cli.sweep import hydra_words
from nnlab.record.commands import current_command

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"numpy", "pandas", "mlflow", "matplotlib", "scipy", "sklearn", "pyarrow"}


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"\n  {name:10}" in printed for name in COMMANDS)


def test_a_word_that_is_no_command_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"^the command must be one of run, sweep, .*, got 'seed=1'"):
        main(["seed=1"])


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_imports_nothing_heavy(name: str) -> None:
    code = (
        "import sys, contextlib\n"
        "from nnlab.cli.main import main\n"
        f"with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None): main([{name!r}, '--help'])\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], ["--multirun"]),
        (["seed=1,2"], ["--multirun", "seed=1,2"]),
        (["symmetry"], ["--multirun", "experiment=symmetry"]),
        (["seed=1", "symmetry"], ["--multirun", "seed=1", "experiment=symmetry"]),
        (["--config-dir", "presets", "mine"], ["--config-dir", "presets", "--multirun", "experiment=mine"]),
        (["mine", "-cd", "presets", "seed=1"], ["-cd", "presets", "--multirun", "experiment=mine", "seed=1"]),
        (["--config-dir=presets", "mine"], ["--config-dir=presets", "--multirun", "experiment=mine"]),
        (["~tracking", "symmetry"], ["--multirun", "~tracking", "experiment=symmetry"]),
        (["symmetry", "--cfg", "job"], ["--cfg", "job", "experiment=symmetry"]),
        (["--info", "searchpath"], ["--info", "searchpath"]),
        (["--info", "symmetry"], ["--info=all", "experiment=symmetry"]),
        (["symmetry", "--info"], ["--info=all", "experiment=symmetry"]),
        (["--config-di", "presets", "mine"], ["--config-dir", "presets", "--multirun", "experiment=mine"]),
        (["--multirun", "symmetry", "--cfg", "job"], ["--cfg", "job", "experiment=symmetry"]),
        (["--help"], ["--help"]),
        (["-m", "symmetry"], ["-m", "experiment=symmetry"]),
    ],
)
def test_the_first_bare_word_is_the_preset(typed: list[str], expected: list[str]) -> None:
    assert hydra_words(typed) == expected


def test_two_presets_are_refused() -> None:
    with pytest.raises(SystemExit, match="takes one preset"):
        hydra_words(["symmetry", "experiment=real_data"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("sweep", "symmetry", "real_data"),
            "got real_data; to train the preset real_data, type nnlab sweep real_data",
        ),
        (("run", "symmetry"), "type nnlab sweep symmetry"),
        (("run", "seed"), "every word but one preset must be KEY=VALUE or GROUP=PRESET, got seed"),
        (("run", ""), "every word must be KEY=VALUE or GROUP=PRESET, got ''"),
        (("sweep", "symmetry", "--config-dir", "/nonexistent"), "--config-dir must name a folder, got '/nonexistent'"),
        (("sweep", "my-own"), "experiment must be one of course_flower, "),
        (("run", "--cfg", "job", "--info"), "Only one of --run, --multirun, --cfg, --info"),
        (("run", "--resolve"), "The --resolve flag can only be used in conjunction with --cfg or --help"),
    ],
)
def test_wrong_words_are_refused_in_one_line(words: tuple[str, ...], message: str, nnlab_command: Command) -> None:
    result = nnlab_command(*words)
    assert result.status == 1
    assert message in result.error
    assert len(result.error.splitlines()) == 1
    assert not result.results.exists()


def test_a_preset_of_the_user_that_nnlabs_would_hide_is_refused(nnlab_command: Command, tmp_path: Path) -> None:
    mine = tmp_path / "mine" / "experiment" / "symmetry.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\nseed: 5\n")
    result = nnlab_command("sweep", "symmetry", "--config-dir", str(tmp_path / "mine"))
    assert result.status == 1
    assert result.error.startswith(f"{mine} has the name of a preset of nnlab's")


@pytest.mark.parametrize("lost", [AttributeError("'NoneType' object has no attribute '_flags_cache'"), None])
def test_ctrl_c_that_omegaconf_swallows_still_stops_a_launch(
    lost: Exception | None, nnlab_command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nnlab.cli import hydra_app

    real = hydra_app.question

    def interrupted(*words: object) -> str:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        if lost:
            raise lost
        return real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(hydra_app, "question", interrupted)
    result = nnlab_command("sweep", "seed=1,2", "training.iterations=5")
    assert result.status == 130
    assert not list(result.results.glob("runs/*/*/run.json"))


def test_an_experiment_is_no_single_run(nnlab_command: Command) -> None:
    result = nnlab_command("run", "experiment=symmetry", "seed=5")
    assert result.status == 1
    assert "experiment=symmetry is a sweep, type: nnlab sweep symmetry" in result.error
    assert "seed=5" in result.error
    assert not result.results.exists()


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do(nnlab_command: Command) -> None:
    result = nnlab_command("sweep", "symetry")
    assert result.status == 1
    assert result.error.startswith("experiment must be one of course_flower, ")
    assert result.error.rstrip().endswith("got symetry")


@pytest.mark.parametrize("words", [("--cfg", "job"), ("--cfg", "all"), ("--info", "searchpath")])
def test_what_hydra_offers_works(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nnlab", "sweep", "symmetry", *words, f"results_dir={tmp_path / 'results'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)  # it changes the logging of its process
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    assert not (tmp_path / "results").exists()


def test_a_folder_on_hydras_search_path_has_presets(nnlab_command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "init").mkdir(parents=True)
    (tmp_path / "mine" / "init" / "tiny.yaml").write_text("scheme: normal\nscale: 0.0001\n")
    words = (f"hydra.searchpath=[file://{tmp_path / 'mine'}]", "init=tiny,he", "training.iterations=5")
    result = nnlab_command("sweep", *words)
    assert result.status == 0, result.error
    assert "2 of 2 runs" in result.output


def completed(line: str) -> list[str]:
    """Return the candidates for the last word of a line, as Hydra's shell functions ask for them."""
    done = subprocess.run(
        [sys.executable, "-m", "nnlab", "-sc", "query=bash"],
        env={**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nnlab sw", {"sweep"}),
        ("nnlab ", set(COMMANDS)),
        ("nnlab sweep ini", {"initialization", "init=", "init."}),
        ("nnlab sweep experiment=ini", {"experiment=initialization"}),
        ("nnlab sweep initialization model.hid", {"model.hidden_size="}),
        ("nnlab run init=he", {"init=he"}),
        ("nnlab report ", set()),
    ],
)
def test_the_shell_completes_commands_presets_and_keys(line: str, expected: set[str]) -> None:
    assert set(completed(line)) == expected


def test_completion_is_installed_for_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nnlab", "-sc", "install=bash"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("-F hydra_bash_completion nnlab")


@pytest.mark.parametrize(
    ("recorded", "today"),
    [
        ("python experiments/train.py -m experiment=symmetry seed=1,2", "nnlab sweep symmetry seed=1,2"),
        ("python experiments/train.py experiment=symmetry", "nnlab sweep symmetry"),
        ("python experiments/train.py -m 'seed=range(5)'", "nnlab sweep 'seed=range(5)'"),
        ("python experiments/train.py model.activation=relu", "nnlab run model.activation=relu"),
        ("nnlab sweep symmetry", "nnlab sweep symmetry"),
        ("python mine.py -m seed=1", "python mine.py -m seed=1"),
        ("an unfinished 'quotation", "an unfinished 'quotation"),
        ("", ""),
    ],
)
def test_commands_of_earlier_versions_are_shown_as_they_are_typed_today(recorded: str, today: str) -> None:
    assert current_command(recorded) == today
