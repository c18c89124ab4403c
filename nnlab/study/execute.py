"""Execute a plan: workers train, and one writer records each run on disk and then in MLflow."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from dataclasses import dataclass

from nnlab.record.run import Run
from nnlab.record.run_json import DamagedRunError
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.study.interrupts import catch_interrupts
from nnlab.study.pages import Pages, write_pages
from nnlab.study.plan import Plan, repeat_command
from nnlab.study.provenance import commit, versions
from nnlab.study.tracking_sink import Logged, MlflowSink
from nnlab.study.workers import Failure, train_stacks

__all__ = ["Outcome", "count_recorded", "execute", "final_costs"]

Training = Generator[Run | Failure, None, None]


@dataclass(frozen=True)
class Outcome:
    """The result of executing a plan.

    Attributes
    ----------
    recorded : the number of the plan's jobs that are on disk
    failures : the runs that raised
    logged : how logging to MLflow went; None if it is off
    pages : tables and report about the sweep; None for a single run
    """

    recorded: int
    failures: tuple[Failure, ...]
    logged: Logged | None
    pages: Pages | None


def execute(plan: Plan, on_result: Callable[[Run | Failure], None] | None = None) -> Outcome:
    """Train the runs of a plan that are not done, and record each on disk and then in MLflow.

    `on_result` is called with each run once it is recorded, and with each failure, in the order in which stacks
    finish. A tracking server that stops answering does not stop the study.

    Raises ConfigError before anything is recorded if MLflow's database cannot be opened, OSError if the disk is full,
    and KeyboardInterrupt after Ctrl-C. The summary of a sweep is closed in every case.
    """
    failures: list[Failure] = []
    sweeps = SweepLog(plan.results)
    logged, pages = None, None
    with contextlib.ExitStack() as workers, catch_interrupts() as interrupts:
        sink, training = _open(plan, sweeps, workers)
        interrupts.defer()  # until the summary is written and certain to be closed below
        summary = sweeps.open(_new_summary(plan)) if plan.kind == "sweep" else None
        status = "KILLED"
        try:
            interrupts.resume()
            if sink:
                sink.begin(summary.sweep if summary else plan.sweep)
            for result in training:
                _record(plan, result, sink, summary)
                if isinstance(result, Failure):
                    failures.append(result)
                if on_result:
                    on_result(result)
                interrupts.check()
            interrupts.check()
            status = "FAILED" if summary and summary.failures else "FINISHED"
            if summary:
                summary.close(status)
                sweeps.write(summary)
                if len(plan.jobs) > 1:  # a sweeper that tries runs one by one would wait for a report each time
                    pages = write_pages(plan, summary, sweeps, changed=_has_changed(plan))
        except Exception:
            status = "FAILED"
            raise
        finally:
            if summary and not summary.ended:
                summary.close(status)
                sweeps.write(summary)
            if sink:
                logged = sink.close(summary)
    return Outcome(count_recorded(plan), tuple(failures), logged, pages)


def _open(plan: Plan, sweeps: SweepLog, workers: contextlib.ExitStack) -> tuple[MlflowSink | None, Training]:
    """Open MLflow and start training.

    The database of the results folder takes seconds to open and has been checked, so training starts first. Any other
    one is opened first, so that nothing has been written if that fails.
    """

    def start() -> Training:
        plan.folders.create()
        return workers.enter_context(train_stacks(plan.stacks, plan.n_jobs, plan.config.launcher))

    training = start() if plan.config.tracking.uri is None else None
    sweeps.close_killed()
    sink = MlflowSink(plan, sweeps, commit()) if plan.tracking else None
    return sink, training or start()


def _new_summary(plan: Plan) -> SweepSummary:
    runs = {job.fingerprint: job.name for job in plan.jobs}
    return SweepSummary(
        sweep=plan.sweep,
        experiment=plan.experiment,
        command=plan.command,
        question=plan.question,
        swept=list(plan.swept),
        runs=runs,
        done=len(runs) - len(plan.todo),
        versions=versions(),
    )


def _record(plan: Plan, result: Run | Failure, sink: MlflowSink | None, summary: SweepSummary | None) -> None:
    """Record one result: a run on disk and in MLflow, a failure in the summary of its sweep."""
    if isinstance(result, Run):
        plan.folders.write(result, replace=plan.force)
        if sink:
            sink.log(result)
        if summary:
            summary.made += 1
    elif summary:
        job = result.job
        failure = {
            "name": job.name,
            "fingerprint": job.fingerprint,
            "config": dataclasses.asdict(job.config),
            "command": repeat_command(job),
            "traceback": result.text,
        }
        # A run that raises again in another batch of a search is the same failure.
        summary.failures = [one for one in summary.failures if one["fingerprint"] != job.fingerprint] + [failure]


def _has_changed(plan: Plan) -> bool:
    """Return True unless every run was on disk before and can be read."""
    return bool(plan.todo) or None in final_costs(plan)


def count_recorded(plan: Plan) -> int:
    """Return the number of jobs of a plan that are on disk."""
    recorded = set(plan.folders.fingerprints())
    return sum(job.fingerprint in recorded for job in plan.jobs)


def final_costs(plan: Plan) -> list[float | None]:
    """Return the final cost of every job, which Hydra's sweepers minimize; None for a run that is not on disk.

    It is the cost on test data, or on the training data for runs without a test part.
    """
    return [_final_cost(plan, job.fingerprint) for job in plan.jobs]


def _final_cost(plan: Plan, fingerprint: str) -> float | None:
    if fingerprint not in plan.folders:
        return None
    try:
        metrics = plan.folders.metrics(fingerprint)
    except (DamagedRunError, FileNotFoundError):
        return None
    return metrics.get("cost/test", metrics["cost/train"])
