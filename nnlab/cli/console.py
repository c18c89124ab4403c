"""The terminal output of a study: one line before it starts, a progress bar, and tables at the end."""

import contextlib
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nnlab.cli.process import INTERRUPTED, NO_DISK
from nnlab.cli.quoting import as_name, pasteable
from nnlab.config import RunConfig, overrides
from nnlab.record.run_json import DamagedRunError
from nnlab.study.execute import Outcome, count_recorded, execute
from nnlab.study.plan import Plan, repeat_command
from nnlab.study.workers import Failure

__all__ = ["conduct"]

CHARTED = 100
"""The number of runs that MLflow lists and draws at once."""
CHECKPOINTS_SHOWN = 12


def conduct(plan: Plan) -> int:
    """Execute a plan with its preflight line, progress bar and summary; return the exit status."""
    _say("\n".join([_preflight(plan), *_files(plan), *(f"Caution: {caution}" for caution in plan.cautions)]))
    started = time.perf_counter()
    try:
        with _bar(len(plan.todo)) as bar:
            outcome = execute(plan, lambda result: bar.update())
    except KeyboardInterrupt:
        _say(f"\nStopped. {_kept(plan)}")
        _say("To train the others, type the same command again.")
        return INTERRUPTED
    except OSError as error:  # a full disk, a folder that was deleted
        _say(f"\nStopped: {error}. {_kept(plan)}")
        _say("Fix that and type the same command again to train the others.")
        return NO_DISK
    for paragraph in _summary(plan, outcome):
        _say(f"\n{paragraph}")
    seconds = _time(time.perf_counter() - started)
    _say(f"\n{outcome.recorded} of {len(plan.jobs)} runs in {seconds}; next:{_next(plan, outcome)}")
    return 1 if outcome.failures else 0


def _say(text: str) -> None:
    """Print at once. In workers of Hydra's stock launchers, too, output that cannot be written stops no training."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _kept(plan: Plan) -> str:
    return f"{count_recorded(plan)} of {len(plan.jobs)} runs are kept in {_short(plan.folders.folder)}"


def _preflight(plan: Plan) -> str:
    different = len({job.fingerprint for job in plan.jobs})
    done = different - len(plan.todo)
    parts = [f"{_count(len(plan.jobs), 'run')} of experiment {plan.experiment}"]
    if different < len(plan.jobs):
        parts.append(f"{different} of them different")
    if done:
        parts.append(f"{done} done already")
    parts.append(f"folders in {_short(plan.folders.folder)}")
    parts.append(f"MLflow at {_short(plan.uri)}" if plan.tracking else "MLflow off")
    parts.append(f"about {_time(plan.seconds())} on {_count(plan.n_jobs, 'worker')}")
    return "; ".join(parts)


def _files(plan: Plan) -> list[str]:
    """Return the summary of each data file."""
    return list(dict.fromkeys(job.data.summary for job in plan.jobs if job.data.summary))


def _bar(total: int) -> Any:
    from tqdm import tqdm

    # A log file gets one line per refresh: four a minute are enough there.
    return tqdm(total=total, unit="run", mininterval=0.2 if sys.stderr.isatty() else 15.0, disable=total < 2)


# ---- after the last run


def _summary(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Yield the paragraphs about what was found and what failed."""
    pages, logged = outcome.pages, outcome.logged
    if len(plan.jobs) > 1:
        if pages and pages.tables:
            yield pages.tables
    elif outcome.recorded:
        yield _one_run(plan)
    if logged and logged.failure:
        yield (
            f"MLflow did not answer: {logged.failure}\nAll runs are on disk. To log them later:  {_sync_command(plan)}"
        )
    if logged and logged.unreadable:
        yield "\n  ".join(["These runs were not logged to MLflow, since they cannot be read:", *logged.unreadable])
    if pages and pages.failure:
        what = "The report" if pages.tables else "The tables and the report"
        yield f"{what} could not be written: {pages.failure}"
    if outcome.failures:
        yield _failed(outcome.failures)


def _one_run(plan: Plan) -> str:
    """Return a dozen checkpoints of a single network, and its verdict."""
    try:
        run = plan.folders.read(plan.jobs[0].fingerprint)
    except DamagedRunError as error:  # it was made earlier
        return f"There is no table, since the run cannot be read: {error}"
    shown = [
        *("cost/train", "accuracy/train", "accuracy/test", "r2/train", "r2/test"),
        *("signal/ratio", "symmetry/distinct_units"),
    ]
    curves = run.history[run.history["quantity"].isin(shown) & (run.history["layer"] <= 1)]
    table = curves.pivot_table(index="iteration", columns="quantity", values="value", dropna=False)
    table = table[[quantity for quantity in shown if quantity in table]]
    step = max(1, -(-(len(table) - 1) // (CHECKPOINTS_SHOWN - 1)))
    table = table.iloc[sorted({*range(0, len(table), step), len(table) - 1})]
    text = table.rename_axis(columns=None).to_string(float_format="{:.4g}".format)
    return f"{plan.jobs[0].name}\n{text}\n\n{run.verdict.text}"


def _failed(failures: Sequence[Failure]) -> str:
    """Return every failure with the command that repeats it, and each traceback once."""
    lines = []
    by_text: dict[str, list[Failure]] = {}
    for failure in failures:
        by_text.setdefault(failure.text, []).append(failure)
    for text, alike in by_text.items():
        lines += [
            f"FAILED {failure.job.name}\n  to repeat: {pasteable(repeat_command(failure.job))}" for failure in alike
        ]
        lines += [text.rstrip(), ""]
    return "\n".join(lines[:-1])


# ---- what to do next


def _next(plan: Plan, outcome: Outcome) -> str:
    steps = _in_the_ui(plan, outcome.logged.views) if outcome.logged and outcome.logged.views else []
    if outcome.pages and outcome.pages.report:
        steps.append(f"report    {_short(outcome.pages.report)}")
        others = len(set(plan.folders.fingerprints()) - {job.fingerprint for job in plan.jobs})
        if others:
            report = pasteable(["nnlab", "report", *_results_option(plan), *as_name(plan.experiment)])
            steps.append(f"          of these runs; {others} more with: {report}")
    if len(plan.jobs) > 1:
        why = ["nnlab", "why", *_results_option(plan), *as_name(plan.experiment)]
        steps.append(f"{pasteable(why)}    what would have made settings learn that did not")
    elif outcome.recorded and _missed(plan):
        why = ["nnlab", "why", *overrides(plan.config)]
        steps.append(f"{pasteable(why)}    what would have made it learn")
    results_dir = plan.config.results_dir
    where = f", {results_dir!r}" if _results_option(plan) else ""
    return "".join(f"\n  {step}" for step in [*steps, f'nnlab.load_runs("{plan.experiment}"{where})'])


def _missed(plan: Plan) -> bool:
    """Return True if a single run did not learn what can be learned."""
    with contextlib.suppress(DamagedRunError, FileNotFoundError):
        return plan.folders.facts(plan.jobs[0].fingerprint).get("outcome") in ("partly", "not learned", "diverged")
    return False


def _in_the_ui(plan: Plan, views: dict[str, str]) -> list[str]:
    """Return where MLflow's UI shows the runs: on the server that has them, or on the one of `nnlab ui`."""
    uri = plan.config.tracking.uri
    address, start = "http://127.0.0.1:5000", ""
    if uri is None:
        start = pasteable(["nnlab", "ui", *_results_option(plan)])
    elif uri.startswith("http"):
        address = uri.rstrip("/")
    else:
        start = f"mlflow server --backend-store-uri {shlex.quote(uri)}"
    steps = [f"{start}    then open"] if start else []
    width = max(map(len, views))
    steps += [f"  {what:{width}}  {address}{path}" for what, path in views.items()]
    if len(plan.jobs) > CHARTED:
        steps.append(
            f"  (MLflow draws the best {CHARTED} runs: settings may lack their worst seeds there, not in the report)"
        )
    return steps


def _sync_command(plan: Plan) -> str:
    uri = plan.config.tracking.uri
    where = [*_results_option(plan), *(["--uri", uri] if uri else [])]
    return pasteable(["nnlab", "sync", *where, *as_name(plan.experiment)])


def _results_option(plan: Plan) -> list[str]:
    results_dir = plan.config.results_dir
    return [] if results_dir == RunConfig.results_dir else ["--results-dir", results_dir]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"


def _short(place: Path | str) -> str:
    """Return a path or SQLite URI relative to the working folder."""
    return str(place).replace(f"{Path.cwd()}/", "").replace("sqlite:///", "")


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
