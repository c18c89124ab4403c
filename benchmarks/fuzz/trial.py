"""One case tried: it runs, and the run on disk is whole; or it is refused, clearly, and nothing is left."""

import contextlib
import csv
import gzip
import io
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nnlab.config import ConfigError, from_dict
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.study.execute import Study
from nnlab.tables import Table, read_table

from .files import DataFile

__all__ = ["SECONDS", "Outcome", "TooLong", "try_config", "try_file", "try_words"]

SECONDS = 20
"""After which a case counts as one that hangs. The slowest that may run take two or three."""
LINES, CHARACTERS = 25, 2_000
"""What a person still reads: Hydra lists all presets of a group, a path may have a thousand characters."""


class Outcome(NamedTuple):
    """How a case ended: whether it ran, and the message if it did not."""

    ran: bool
    message: str = ""


class TooLong(BaseException):
    """A case took longer than it may. No Exception: readers turn those into something else."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLong in what takes longer."""

    def stop(*_: object) -> None:
        raise TooLong(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_config(values: Mapping[str, Any], suspects: Collection[str], folder: Path) -> Outcome:
    """Train what a dictionary says, with its results below folder / "out".

    A refusal must name one of `suspects`. Raises AssertionError, or what nnlab raised, if the case went wrong.
    """
    try:
        with time_limit(SECONDS):
            study = Study.plan([from_dict(values)], n_jobs=1)
            study.tracking = False  # the store's address has been checked; a database takes seconds to make
            made = list(study.execute())
    except ConfigError as error:
        _check_refusal(error, suspects)
        _check_nothing_left(folder)
        return Outcome(False, str(error))
    for result in made:
        assert isinstance(result, Run), f"a run that raised: {getattr(result, 'text', result)}"
    _check_runs(study.store, len(made))
    assert study.store.read(study.jobs[0].fingerprint).config == study.jobs[0].config
    return Outcome(True)


def try_words(words: Sequence[str], suspects: Collection[str], folder: Path) -> Outcome:
    """Type words after experiments/train.py; they say that the results lie below folder / "out"."""
    here = folder / "here"
    here.mkdir()
    with time_limit(SECONDS):
        status, output, error = _type(words, here)
    said = output + error
    assert not any(here.iterdir()), f"made {[path.name for path in here.iterdir()]} in the working folder"
    assert "Traceback" not in said, said
    if status:
        assert len(error.splitlines()) <= LINES, f"{len(error.splitlines())} lines:\n{error[:CHARACTERS]}"
        assert not suspects or any(suspect in error for suspect in suspects), f"names none of {suspects}: {error}"
        _check_nothing_left(folder)
        return Outcome(False, error)
    experiments = list((folder / "out").glob("*/runs/*"))
    assert experiments, f"ended with status 0 and made no run: {said}"
    for experiment in experiments:
        _check_runs(RunFolders(Results(experiment.parents[1]), experiment.name), at_least=1)
    return Outcome(True)


def try_file(file: DataFile, folder: Path) -> Outcome:
    """Train on a data file, once what was read from it is what a plain reading of the same text gives."""
    path = folder / file.name
    path.write_bytes(file.content)
    outcome = try_config(
        file.values(path, folder / "out" / "results"), ("data.path", "data.target", "training.dtype"), folder
    )
    assert {*folder.iterdir()} == {path, folder / "out"}
    assert path.read_bytes() == file.content
    if outcome.ran and ".csv" in file.name.lower():
        _check_table(read_table(str(path), file.target), file)
    return outcome


def _type(words: Sequence[str], here: Path) -> tuple[int, str, str]:
    """Run the command line in this process, in the folder `here`; return exit status, output and errors."""
    from hydra.core.global_hydra import GlobalHydra

    from nnlab.cli import main as script

    GlobalHydra.instance().clear()
    # As in a terminal: what cannot be encoded raises on one and is escaped on the other.
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")
    error = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    status, argv = 0, sys.argv
    with contextlib.chdir(here), contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            sys.argv = ["train.py", *words]
            script.main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)  # as the interpreter would
        finally:
            sys.argv = argv
    texts = []
    for stream in (output, error):
        stream.seek(0)
        texts.append(stream.read())
    return status, texts[0], texts[1]


def _check_nothing_left(folder: Path) -> None:
    left = [str(path.relative_to(folder)) for path in (folder / "out").rglob("*")]
    assert not left, f"left {left}"


def _check_refusal(error: ConfigError, suspects: Collection[str]) -> None:
    # Else the terminal would show the traceback of what came before as well.
    assert error.__suppress_context__ or error.__context__ is None, f"shown with {error.__context__!r}"
    message = str(error)
    lines = message.splitlines()
    assert 0 < len(lines) <= LINES, f"{len(lines)} lines: {message[:CHARACTERS]}"
    longest = max(len(line) for line in lines)
    assert longest <= CHARACTERS, f"a line of {longest} characters: {message[:CHARACTERS]}"
    assert message.replace("\n", "").isprintable(), f"not printable: {message!r}"
    assert any(suspect in message for suspect in suspects), f"names none of {suspects}: {message}"


def _check_runs(store: RunFolders, at_least: int) -> None:
    problems = [f"{folder.name}: {problem}" for folder, problem in store.problems()]
    assert not problems, problems
    assert len(store.fingerprints()) >= at_least > 0


def _check_table(table: Table, file: DataFile) -> None:
    """Compare what pandas made of a CSV file with what Python's own csv module and float() make of it."""
    content = gzip.decompress(file.content) if file.name.lower().endswith(".gz") else file.content
    rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")) if row]
    header, body = rows[0], rows[1:]
    assert table.X.shape == (len(header) - 1, len(body)), f"{table.X.shape} from {len(body)} rows of {header}"
    assert table.features == tuple(name for name in header if name != file.target)
    for name, values in zip(table.features, table.X, strict=True):
        cells = [row[header.index(name)] for row in body]
        np.testing.assert_array_equal(values, [_number(cell) for cell in cells], err_msg=name)
    labels = [row[header.index(file.target)] for row in body]
    if table.classes:
        assert len(set(zip(labels, table.y, strict=True))) >= len(table.classes), "classes were merged"
    else:
        np.testing.assert_array_equal(table.y, [_number(cell) for cell in labels])


def _number(cell: str) -> float:
    return {"true": 1.0, "false": 0.0}.get(cell.strip().lower()) or float(cell.lower().replace("false", "0"))
