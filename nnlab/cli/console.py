"""What a person sees of a study in the terminal: one line before, one bar during, a table after."""

import contextlib
import shlex
import sys
import time
from pathlib import Path

from nnlab.config import RunConfig
from nnlab.record.run import Run
from nnlab.record.run_folders import DamagedRunError
from nnlab.study.execute import Study
from nnlab.study.plan import repeat_command
from nnlab.study.workers import Failure

__all__ = ["CUT_OFF", "conduct"]

INTERRUPTED, NO_DISK = 130, 74
DRAWN = 100
"""So many runs MLflow lists and draws at a time."""
CUT_OFF = (INTERRUPTED, NO_DISK)
"""Exit status of a program that was stopped by Ctrl-C, and of one that could not write: there is nothing more to do."""


def conduct(study: Study) -> int:
    """Execute a study with its preflight line, progress bar and summary; return the exit status."""
    _say(_preflight(study))
    started = time.perf_counter()
    failures: list[Failure] = []
    try:
        with study.heeding_stops(), _bar(len(study.todo)) as bar:
            for result in study.execute():
                if isinstance(result, Failure):
                    failures.append(result)
                bar.update()
    except KeyboardInterrupt:
        _say(f"\nStopped. {_kept(study)} of {len(study.jobs)} runs are kept in {_short(study.store.folder)}")
        _say("To make the others, type the same command again.")
        return INTERRUPTED
    except OSError as error:  # a full disk, a folder that is gone
        _say(f"\nStopped: {error}. {_kept(study)} of {len(study.jobs)} runs are kept in {_short(study.store.folder)}")
        _say("When that is mended, type the same command again: it makes the others.")
        return NO_DISK
    kept = _kept(study)
    shown = study.tables if len(study.jobs) > 1 else _one_run(study) if kept else ""
    if shown:
        _say(f"\n{shown}")
    if study.offline:
        _say(f"\nMLflow did not answer: {study.offline}")
        _say(f'All runs are on disk. To tell MLflow later:  make sync ARGS="{_sync_words(study)}"')
    if study.damaged:
        _say("\nMLflow was not told of what cannot be read:", *study.damaged, sep="\n  ")
    if study.unreported:
        what = "The report" if study.tables else "The tables and the report"
        _say(f"\n{what} could not be written: {study.unreported}")
    if failures:
        _say(_failed(failures))
    _say(f"\n{kept} of {len(study.jobs)} runs in {_time(time.perf_counter() - started)}; next:{_next(study)}")
    return 1 if failures else 0


def _say(*words: str, sep: str = " ") -> None:
    """Print at once. In the workers of Hydra's stock launchers too, output that cannot be written stops no training."""
    with contextlib.suppress(OSError):
        print(*words, sep=sep, flush=True)


def _sync_words(study: Study) -> str:
    config = study.jobs[0].config
    words = []
    if config.results_dir != RunConfig.results_dir:
        words += ["--results-dir", config.results_dir]
    if config.tracking.uri:
        words += ["--uri", config.tracking.uri]
    return shlex.join([*words, "--", study.store.folder.name])  # which may begin with a dash


def _kept(study: Study) -> int:
    """Return how many of the runs that were asked for are on disk."""
    kept = set(study.store.fingerprints())
    return sum(job.fingerprint in kept for job in study.jobs)


def _failed(failures: list[Failure]) -> str:
    """Return every failure with the command that repeats it, and each traceback once."""
    lines = []
    by_text: dict[str, list[Failure]] = {}
    for failure in failures:
        by_text.setdefault(failure.text, []).append(failure)
    for text, alike in by_text.items():
        lines += ["", *(f"FAILED {failure.job.name}\n  to repeat: {repeat_command(failure.job)}" for failure in alike)]
        lines.append(text.rstrip())
    return "\n".join(lines)


def _preflight(study: Study) -> str:
    runs = f"{len(study.jobs)} run{'s' * (len(study.jobs) > 1)}"
    different = len({job.fingerprint for job in study.jobs})
    done = different - len(study.todo)
    parts = [f"{runs} of experiment {study.store.folder.name}"]
    if different < len(study.jobs):
        parts.append(f"{different} of them different")
    if done:
        parts.append(f"{done} done already")
    parts.append(f"folders in {_short(study.store.folder)}")
    parts.append(f"MLflow at {_short(study.uri)}" if study.tracking else "MLflow off")
    parts.append(f"about {_time(study.estimate())} on {study.n_jobs} worker{'s' * (study.n_jobs > 1)}")
    return "; ".join(parts)


def _bar(total: int):  # type: ignore[no-untyped-def]  # tqdm has no types
    from tqdm import tqdm

    # In a log file a bar is a heap of lines: there, one a quarter of a minute is enough.
    return tqdm(total=total, unit="run", mininterval=0.2 if sys.stderr.isatty() else 15.0, disable=total < 2)


_ROWS = 12


def _one_run(study: Study) -> str:
    """Return the training of a single network: a dozen of its checkpoints."""
    try:
        run: Run = study.store.read(study.jobs[0].fingerprint)
    except DamagedRunError as error:  # it was made earlier
        return f"There is no table, since a run cannot be read: {error}"
    shown = [
        *("cost/train", "accuracy/train", "accuracy/test", "r2/train", "r2/test"),
        *("signal/ratio", "symmetry/distinct_units"),
    ]
    curves = run.history[run.history["quantity"].isin(shown) & (run.history["layer"] <= 1)]
    table = curves.pivot_table(index="iteration", columns="quantity", values="value", dropna=False)
    table = table[[quantity for quantity in shown if quantity in table]]
    step = max(1, -(-(len(table) - 1) // (_ROWS - 1)))
    table = table.iloc[sorted({*range(0, len(table), step), len(table) - 1})]
    shown_table = table.rename_axis(columns=None).to_string(float_format="{:.4g}".format)
    return f"{study.jobs[0].name}\n{shown_table}\n\n{run.verdict.text}"


def _next(study: Study) -> str:
    experiment = study.store.folder.name
    steps = _in_the_ui(study) if study.views else []
    if study.page:
        steps.append(f"report    {_short(study.page)}")
        others = len(set(study.store.fingerprints()) - {job.fingerprint for job in study.jobs})
        if others:
            steps.append(f"          of these runs; {others} more with: {_report_words(study)}")
    results_dir = study.jobs[0].config.results_dir
    where = "" if results_dir == RunConfig.results_dir else f", {results_dir!r}"
    return "".join(f"\n  {step}" for step in [*steps, f'nnlab.load_runs("{experiment}"{where})'])


def _report_words(study: Study) -> str:
    """Return what to type for a page about all runs of the experiment."""
    config = study.jobs[0].config
    elsewhere = config.results_dir != RunConfig.results_dir
    place = f" ARGS={shlex.quote(f'--results-dir {shlex.quote(config.results_dir)}')}" if elsewhere else ""
    return f"make report EXPERIMENT={shlex.quote(study.store.folder.name)}{place}"


def _in_the_ui(study: Study) -> list[str]:
    """Return where MLflow's UI shows the runs: on the server that was told of them, or on the one of `make ui`."""
    config = study.jobs[0].config
    uri = config.tracking.uri
    address, steps = "http://127.0.0.1:5000", []
    if uri is None:
        elsewhere = config.results_dir != RunConfig.results_dir
        steps = [f'make ui ARGS="--results-dir {shlex.quote(config.results_dir)}"' if elsewhere else "make ui"]
    elif uri.startswith("http"):
        address = uri.rstrip("/")
    else:
        steps = [f"mlflow server --backend-store-uri {shlex.quote(uri)}"]
    steps = [f"{step}    then open" for step in steps]
    width = max(map(len, study.views))
    steps += [f"  {what:{width}}  {address}{path}" for what, path in study.views.items()]
    if len(study.jobs) > DRAWN:
        steps.append(
            f"  (MLflow draws the best {DRAWN} runs: settings may lack their worst seeds there, not in the report)"
        )
    return steps


def _short(place: Path | str) -> str:
    """Return a path or SQLite URI as it looks from here."""
    return str(place).replace(f"{Path.cwd()}/", "").replace("sqlite:///", "")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
