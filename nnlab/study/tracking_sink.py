"""The MLflow side of a study: it logs what is on disk, and stops trying after the first failure."""

from collections.abc import Callable
from dataclasses import dataclass

from nnlab.record.causes import recorded_causes
from nnlab.record.run import Run
from nnlab.record.run_json import DamagedRunError
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.study.plan import Plan
from nnlab.study.stacking import Job
from nnlab.tracking.connection import UnreachableError
from nnlab.tracking.log_runs import RunTracker
from nnlab.tracking.log_sweeps import SweepTracker

__all__ = ["Logged", "MlflowSink"]


@dataclass(frozen=True)
class Logged:
    """How logging to MLflow went.

    Attributes
    ----------
    views : the labels and paths of the views in MLflow's UI; empty if MLflow failed
    failure : why MLflow lacks some of the runs; empty if it has all
    unreadable : why runs that were on disk already could not be logged
    """

    views: dict[str, str]
    failure: str
    unreadable: tuple[str, ...]


class MlflowSink:
    """Logs the runs and the sweep of a plan to MLflow.

    A server that does not answer is a failure of the sink, not of the study: everything is on disk, and `nnlab sync`
    logs it later. Raises ConfigError if the plan's database cannot be opened.
    """

    def __init__(self, plan: Plan, sweeps: SweepLog, tags: dict[str, str]) -> None:
        self._plan, self._tags = plan, dict(tags)
        self._jobs = {job.fingerprint: job for job in plan.jobs}
        self._failure = ""
        self._unreadable: list[str] = []
        try:
            self._runs = RunTracker(plan.config)
        except UnreachableError as error:
            self._failure = str(error)
            return
        self._try(self._open_sweeps, sweeps)

    def _open_sweeps(self, sweeps: SweepLog) -> None:
        self._sweeps = SweepTracker(self._plan.config, self._runs, sweeps)
        self._sweeps.catch_up()

    def begin(self, sweep: str) -> None:
        """Log the runs of the plan that were on disk already and that MLflow lacks. `sweep` is the sweep's name."""
        self._tags["sweep"] = sweep
        self._try(self._catch_up)

    def log(self, run: Run) -> None:
        """Log one new run, whose folder is complete."""
        self._try(self._log, run)

    def close(self, summary: SweepSummary | None) -> Logged:
        """Log how the sweep ended, write the views and return how logging went."""
        if summary:
            self._try(lambda: self._sweeps.log(summary))
            if len(self._plan.jobs) > 1:  # a sweeper that tries runs one by one would wait for it each time
                self._try(lambda: self._runs.tag_causes(recorded_causes(self._plan.experiment, self._plan.results)))
        views: dict[str, str] = {}
        self._try(lambda: views.update(self._finish()))
        return Logged(views, self._failure, tuple(self._unreadable))

    def _try(self, action: Callable[..., None], *arguments: object) -> None:
        if self._failure:
            return
        try:
            action(*arguments)
        except Exception as error:  # whatever a server, a network, a full disk or a database raises
            self._failure = first_line(error)

    def _catch_up(self) -> None:
        new = {job.fingerprint for job in self._plan.todo}
        for fingerprint in self._jobs.keys() - new - self._runs.logged():
            try:
                run = self._plan.folders.read(fingerprint)
            except (DamagedRunError, FileNotFoundError) as error:  # or it has just been deleted
                self._unreadable.append(str(error))
            else:
                self._log(run)

    def _log(self, run: Run) -> None:
        job, plan = self._jobs[run.fingerprint], self._plan
        self._runs.log(
            run,
            job.name,
            plan.folders.path(run.fingerprint),
            plan.swept,
            self._tags,
            replace=plan.force,
            figures=_figures(run, job),
        )

    def _finish(self) -> dict[str, str]:
        self._runs.describe(self._plan.question)
        swept = None if self._plan.kind == "run" else self._plan.swept
        has_test_part = any(job.data.Y_test.size for job in self._plan.jobs)
        views = self._runs.save_views(swept, has_test_part=has_test_part)
        self._runs.close()
        return views


def _figures(run: Run, job: Job) -> dict[str, object]:
    if not job.config.tracking.figures:
        return {}
    from nnlab.findings.portraits import portrait

    return dict(portrait(run, job.data))


def first_line(error: BaseException) -> str:
    """Return the message of an error, in one line.

    SQLAlchemy puts the circumstances before the database's own message, and MLflow repeats them; the database's own
    message is preferred.
    """
    cause: BaseException | None = error
    while cause is not None:
        error = getattr(cause, "orig", None) or error
        cause = cause.__cause__ or cause.__context__
    return (str(error).splitlines() or [""])[0] or type(error).__name__
