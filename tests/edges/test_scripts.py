import socket
from pathlib import Path

import pytest

import nnlab
from experiments import film, report, ui


def test_the_ui_listens_on_this_machine_only(tmp_path: Path) -> None:
    words = ui.command(tmp_path / "mlflow.db", 5000)
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert f"sqlite:///{tmp_path / 'mlflow.db'}" in words


def test_a_taken_port_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert ui.free_port(port) > port


def test_a_port_that_is_only_held_is_passed_over_too() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert ui.free_port(port) > port


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(SystemExit, match="--host must be an address of this machine"):
        ui.free_port(5000, "192.0.2.1")


def test_the_ui_says_when_there_is_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="make sweep"):
        ui.main(["--results-dir", str(tmp_path)])


def test_a_report_is_written_where_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = nnlab.RunConfig(training=nnlab.TrainingConfig(iterations=10), results_dir=str(tmp_path))
    nnlab.sweep([config], n_jobs=1)
    report.main(["playground", "--results-dir", str(tmp_path)])
    path = Path(capsys.readouterr().out.strip())
    assert path == tmp_path / "reports" / "playground.html"
    assert "<h1>playground</h1>" in path.read_text()


def test_a_report_of_nothing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="one that has recorded runs"):
        report.main(["playground", "--results-dir", str(tmp_path)])


def test_a_film_is_made_where_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
def test_a_film_of_what_cannot_be_filmed_is_refused(word: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=message):
        film.main([word, f"results_dir={tmp_path}"])
    assert list(tmp_path.iterdir()) == []
