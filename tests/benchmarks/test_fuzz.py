"""The first cases of `python -m benchmarks.fuzz`: each runs, or is rejected with one clear error and leaves nothing."""

from pathlib import Path

import pytest

from benchmarks.fuzz.cases import Case, prepare


def check(kind: str, number: int, folder: Path) -> None:
    shown, run = prepare(Case(0, kind, number), folder)
    print(shown)  # pytest shows it if the case fails
    run()


@pytest.mark.parametrize("number", range(200))
def test_config(number: int, tmp_path: Path) -> None:
    check("config", number, tmp_path)


@pytest.mark.parametrize("number", range(25))
def test_command_line(number: int, tmp_path: Path) -> None:
    check("words", number, tmp_path)


@pytest.mark.parametrize("number", range(200))
def test_data_file(number: int, tmp_path: Path) -> None:
    check("file", number, tmp_path)
