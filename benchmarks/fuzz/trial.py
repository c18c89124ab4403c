"""Try one case: either it runs and leaves a valid run folder, or it is rejected clearly and leaves nothing."""

import contextlib
import io
import signal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.fuzz.files import DataFile
from benchmarks.fuzz.meaning import check_meaning, check_plainly
from nnlab.config import ConfigError, from_dict
from nnlab.datasets import load_dataset
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results
from nnlab.study.execute import execute
from nnlab.study.plan import make_plan
from nnlab.study.workers import Failure

__all__ = ["SECONDS", "Outcome", "TooLong", "try_config", "try_file", "try_words"]

SECONDS = 20
"""A case that takes longer hangs. The slowest legal cases take two or three seconds."""
LINES, CHARACTERS = 25, 2_000
"""The longest readable message: Hydra lists all presets of a group, a path may have a thousand characters."""
FILE_KEYS = (
    *(f"data.{key}" for key in ("path", "target", "ignore", "missing", "rare", "header", "decimal", "task")),
    "data.test_fraction",
    "training.dtype",
)
"""A rejected file must name one of these."""


class Outcome(NamedTuple):
    """How a case ended: True if it ran, otherwise the message of its rejection."""

    ran: bool
    message: str = ""


class TooLong(BaseException):
    """A case exceeded its time limit. Not an Exception: readers convert those into other errors."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TooLong in a block that takes longer."""

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
    """Train the config of a dictionary, with its results below folder / "out".

    A rejection must mention one of `suspects`. Raises AssertionError, or the error of nnlab, if the case failed.
    """
    results: list[Run | Failure] = []
    try:
        with time_limit(SECONDS):
            # The tracking URI has been checked by now; creating a database takes seconds.
            plan = replace(make_plan([from_dict(values)], n_jobs=1), tracking=False)
            execute(plan, results.append)
    except ConfigError as error:
        _check_rejection(error, suspects)
        _check_nothing_left(folder)
        return Outcome(False, str(error))
    for result in results:
        assert isinstance(result, Run), f"the run raised: {result.text}"
    _check_runs(plan.folders, len(results))
    assert plan.folders.read(plan.jobs[0].fingerprint).config == plan.jobs[0].config
    return Outcome(True)


def try_words(words: Sequence[str], suspects: Collection[str], folder: Path) -> Outcome:
    """Run nnlab's command line with words that put the results below folder / "out"."""
    here = folder / "here"
    here.mkdir()
    with time_limit(SECONDS):
        status, output, error = _run_command(words, here)
    printed = output + error
    assert not any(here.iterdir()), f"wrote {[path.name for path in here.iterdir()]} into the working folder"
    assert "Traceback" not in printed, printed
    if status:
        assert len(error.splitlines()) <= LINES, f"{len(error.splitlines())} lines:\n{error[:CHARACTERS]}"
        assert not suspects or any(suspect in error for suspect in suspects), f"names none of {suspects}: {error}"
        _check_nothing_left(folder)
        return Outcome(False, error)
    experiments = list((folder / "out").glob("*/runs/*"))
    assert experiments, f"exited with status 0 without a run: {printed}"
    for experiment in experiments:
        _check_runs(RunFolders(Results(experiment.parents[1]), experiment.name), at_least=1)
    return Outcome(True)


def try_file(file: DataFile, folder: Path) -> Outcome:
    """Train on a data file, and compare what was read with what is meant, or with a plain reading of the same text.

    A rejection is one line that names a key, or several if several keys are wrong.
    """
    path = folder / file.name
    path.write_bytes(file.content)
    values = file.values(path, folder / "out" / "results")
    outcome = try_config(values, FILE_KEYS, folder)
    for line in outcome.message.splitlines():
        assert any(key in line for key in FILE_KEYS), f"a line names none of {FILE_KEYS}: {outcome.message}"
    assert {*folder.iterdir()} == {path, folder / "out"}
    assert path.read_bytes() == file.content
    if outcome.ran:
        data = replace(from_dict(values).data, standardize=False)
        if file.meant:
            check_meaning(load_dataset(data), data, file.meant)
        elif ".csv" in file.name.lower() and (data.missing, data.rare) == ("refuse", "refuse"):  # all rows are kept
            check_plainly(load_dataset(data), file)
    return outcome


def _run_command(words: Sequence[str], here: Path) -> tuple[int, str, str]:
    """Run the command line in this process, in the folder `here`; return its exit status, output and errors."""
    from hydra.core.global_hydra import GlobalHydra

    from nnlab.cli.main import main

    GlobalHydra.instance().clear()
    # As in a terminal: text that cannot be encoded raises on stdout and is escaped on stderr.
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")
    error = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    status = 0
    with contextlib.chdir(here), contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            main(list(words))
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)  # as the interpreter would
    texts = []
    for stream in (output, error):
        stream.seek(0)
        texts.append(stream.read())
    return status, texts[0], texts[1]


def _check_nothing_left(folder: Path) -> None:
    left = [str(path.relative_to(folder)) for path in (folder / "out").rglob("*")]
    assert not left, f"left {left}"


def _check_rejection(error: ConfigError, suspects: Collection[str]) -> None:
    # Otherwise the terminal would show the traceback of the earlier error as well.
    assert error.__suppress_context__ or error.__context__ is None, f"shown with {error.__context__!r}"
    message = str(error)
    lines = message.splitlines()
    assert 0 < len(lines) <= LINES, f"{len(lines)} lines: {message[:CHARACTERS]}"
    longest = max(len(line) for line in lines)
    assert longest <= CHARACTERS, f"a line of {longest} characters: {message[:CHARACTERS]}"
    assert message.replace("\n", "").isprintable(), f"not printable: {message!r}"
    assert any(suspect in message for suspect in suspects), f"names none of {suspects}: {message}"


def _check_runs(folders: RunFolders, at_least: int) -> None:
    problems = [f"{folder.name}: {problem}" for folder, problem in folders.verify()]
    assert not problems, problems
    assert len(folders.fingerprints()) >= at_least > 0
