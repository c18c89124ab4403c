import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

import nnlab
from nnlab.cli import film, judge, main, report, sync, ui, verify
from nnlab.cli.commands import COMMANDS
from nnlab.tracking.connection import import_mlflow


def test_the_ui_listens_on_this_machine_only(tmp_path: Path) -> None:
    words = ui.command(tmp_path / "mlflow.db", 5000)
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert f"sqlite:///{tmp_path / 'mlflow.db'}" in words


def test_a_port_in_use_is_skipped() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ui.free_port(port) > port


def test_a_bound_port_is_skipped_too() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert ui.free_port(port) > port


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SystemExit, match="--host must be an address of this machine"):
        ui.free_port(5000, "192.0.2.1")


def test_the_ui_exits_if_there_are_no_runs(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="nnlab sweep initialization"):
        ui.main(["--results-dir", str(tmp_path)])


def test_a_report_is_written_to_the_printed_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=10), results_dir=str(tmp_path))
    nnlab.sweep([config], n_jobs=1)
    report.main(["playground", "--results-dir", str(tmp_path)])
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "reports" / "playground.html"
    assert "<h1>playground</h1>" in path.read_text()


def test_a_report_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="one that has recorded runs"):
        report.main(["playground", "--results-dir", str(tmp_path)])


def test_a_film_is_written_to_the_printed_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    words = ["training.iterations=3", "model.hidden_size=2", f"results_dir={tmp_path}"]
    film.main(words)
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "reports" / "film.gif"
    with Image.open(path) as pictures:
        assert pictures.n_frames == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data=digits", "two inputs and two classes"),
        ("training.iterations=-1", "training.iterations must be"),
        ("model.nosuch=1", "nosuch"),
        ("garbage", "garbage"),
    ],
)
def test_a_network_that_cannot_be_filmed_is_refused(word: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        film.main([word, f"results_dir={tmp_path}"])
    assert list(tmp_path.iterdir()) == []


ABOUT_A_FOLDER = {"judge": judge, "sync": sync, "verify": verify, "report": report, "ui": ui}
NAMED = {"judge": ["small"], "report": ["small"]}


@pytest.mark.parametrize("name", ABOUT_A_FOLDER)
@pytest.mark.parametrize("given", ["~nouser/x", "x" * 300, "\0", __file__])
def test_an_impossible_results_folder_is_refused_in_one_line(name: str, given: str) -> None:
    with pytest.raises(SystemExit) as stop:
        ABOUT_A_FOLDER[name].main([*NAMED.get(name, []), "--results-dir", given])
    assert str(stop.value).startswith("--results-dir must be a folder, got ")
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_exits_without_a_traceback(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"nnlab.cli.{name}.main", interrupted)
    with pytest.raises(SystemExit) as stop:
        main.main([name])
    assert stop.value.code == 130
    assert capsys.readouterr().err.startswith("\nStopped.")


def test_options_may_stand_between_other_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["training.iterations=3", "--to", str(tmp_path / "mine.gif"), f"results_dir={tmp_path}"]
    film.main(words)
    assert capsys.readouterr().out.strip() == str(tmp_path / "mine.gif")


def test_a_film_of_an_experiment_is_refused() -> None:
    with pytest.raises(SystemExit, match="a film is of one network, got experiment=symmetry"):
        film.main(["experiment=symmetry"])


def test_an_experiment_may_be_named_like_an_option(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tracking = nnlab.TrackingConfig(experiment="-x")
    config = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=10), results_dir=str(results), tracking=tracking)
    nnlab.sweep([config], n_jobs=1)
    for script in (verify, sync, report):
        script.main(["--results-dir", str(results), "--", "-x"])
    assert capsys.readouterr().out.splitlines() == [
        "-x: 1 runs are intact",
        "-x: 1 of 1 runs were new to MLflow",
        str(results / "reports" / "-x.html"),
    ]


def test_the_ui_shows_the_artifacts_of_the_folder_it_was_given(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=10), results_dir=str(results))
    nnlab.sweep([config], n_jobs=1, tracking=True)
    shutil.copytree(results, tmp_path / "copy")
    started: list[Any] = []
    monkeypatch.setattr(ui.os, "execv", lambda *words: started.append(words))
    monkeypatch.setattr(ui.os, "environ", {})
    ui.main(["--results-dir", str(tmp_path / "copy")])
    assert len(started) == 1
    client = import_mlflow().MlflowClient(f"sqlite:///{tmp_path / 'copy' / 'mlflow.db'}")
    place = client.get_experiment_by_name("playground").artifact_location
    assert place == (tmp_path / "copy" / "artifacts" / "playground").as_uri()
