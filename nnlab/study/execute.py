"""A study from its configs to its runs: workers train, one writer keeps."""

import contextlib
import dataclasses
import datetime
import math
import platform
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path

import numpy as np

from nnlab.config import ConfigError, RunConfig
from nnlab.record.run import Run
from nnlab.record.run_folders import DamagedRunError, RunFolders
from nnlab.record.sweeps import SweepLog, SweepSummary
from nnlab.results import Results
from nnlab.settings import swept_keys
from nnlab.study.pages import sweep_of_before, write_page, write_tables
from nnlab.study.plan import prepare, repeat_command
from nnlab.study.stacking import Job, plan_stacks
from nnlab.study.workers import Failure, cores, train_stacks
from nnlab.tracking.connection import UnreachableError, check_uri, tracking_uri
from nnlab.tracking.runs import RunTracker
from nnlab.tracking.sweeps import SweepTracker

__all__ = ["Study"]

LOGGING_SECONDS = 0.04
"""About what one run costs the writer with MLflow on SQLite (`make bench`)."""


@dataclass
class Study:
    """Many runs of one experiment, checked and planned; `execute` makes them.

    Runs that are on disk already are not made again, unless `launcher.force` says so: a run folder is named by its
    fingerprint, and complete if it is there at all. `part` says that it is one job of a sweep that somebody else
    conducts, `alone` that it is one run and no sweep, be it of one; `command` is what was typed, `question` what it is
    to answer. Known once they are made: `views`, what MLflow's UI shows of the runs, with the paths; `tables` of
    verdicts and final metrics as text; `page`, the report about them, if `tracking.report` wants one; `offline`, why
    MLflow has not heard of all of them; `unreported`, why there are no tables or no page; `damaged`, what MLflow was
    not told since the run cannot be read. `stopped` says that somebody wants the study to end, `opening` that it cannot
    yet.
    """

    jobs: list[Job]
    swept: list[str]
    store: RunFolders
    tracking: bool
    n_jobs: int
    sweep: str
    part: bool = False
    alone: bool = False
    command: str = ""
    question: str = ""
    todo: list[Job] = field(default_factory=list)
    views: dict[str, str] = field(default_factory=dict)
    offline: str = ""
    tables: str = ""
    page: Path | None = None
    unreported: str = ""
    damaged: list[str] = field(default_factory=list)
    stopped: bool = False
    opening: bool = False

    @classmethod
    def plan(
        cls,
        configs: Sequence[RunConfig],
        *,
        n_jobs: int | None = None,
        tracking: bool = True,
        sweep: str | None = None,
        swept: Sequence[str] | None = None,
        command: str = "",
        question: str = "",
    ) -> "Study":
        """Check every config and every data file. Raises ConfigError before anything is written.

        `sweep` names the launch; `swept` the keys that it varies, where these runs are only a part of it.
        """
        if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs < 1):
            raise ConfigError(f"n_jobs must be an integer of at least 1, or None for one per core, got {n_jobs!r}")
        jobs = prepare(configs, swept)
        shared = jobs[0].config
        if tracking and shared.tracking.enabled:
            check_uri(shared)
        store = RunFolders(Results.at(shared.results_dir), shared.tracking.experiment)
        done = set() if shared.launcher.force else set(store.fingerprints())
        return cls(
            jobs=jobs,
            swept=list(swept) if swept is not None else swept_keys(job.config for job in jobs),
            store=store,
            tracking=tracking and shared.tracking.enabled,
            n_jobs=int(n_jobs or 0) or shared.launcher.n_jobs or cores(shared.launcher),
            sweep=sweep or f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:4]}",
            part=swept is not None,
            alone=sweep is None and len(jobs) == 1,
            command=command,
            question=question,
            todo=list({job.fingerprint: job for job in jobs if job.fingerprint not in done}.values()),
        )

    @property
    def uri(self) -> str:
        """Where MLflow keeps the runs."""
        return tracking_uri(self.jobs[0].config)

    def estimate(self) -> float:
        """Return about how many seconds the study will take."""
        stacks = plan_stacks(self.todo, self.n_jobs)
        workers = min(self.n_jobs, max(len(stacks), 1))
        training = sum(stack.seconds for stack in stacks) / workers
        logging = LOGGING_SECONDS * len(self.todo) * self.tracking
        # Training and logging overlap, on the same cores.
        return 2.0 * self.tracking + max(training, logging) + min(training, logging) / (workers + 1)

    def execute(self) -> Iterator[Run | Failure]:
        """Train what is to do; yield each run once it is kept, on disk and then in MLflow, in no fixed order.

        A tracking store that stops answering does not stop the study: `offline` then says why, and everything is on
        disk. A store that cannot be opened raises ConfigError before anything is kept, unless it is a server.
        """
        with contextlib.ExitStack() as workers:
            yield from self._execute(workers)

    def _execute(self, workers: contextlib.ExitStack) -> Iterator[Run | Failure]:
        git = _git()
        summary = None if self.part or self.alone else self._summary(git)
        own_store = self.jobs[0].config.tracking.uri is None
        if own_store:
            self.store.create()
            # While the database is opened, which takes seconds and has been checked.
            training = workers.enter_context(self._start())
        logbook = SweepLog(self._results)
        logbook.close_abandoned()
        tracker = self._open_tracker(logbook)
        if not own_store:
            self.store.create()
            training = workers.enter_context(self._start())
        sweeps = self._open_sweeps(tracker, logbook)
        by_fingerprint = {job.fingerprint: job for job in self.jobs}
        status, whole = "KILLED", False
        self.opening = True  # a sweep that has begun on record is closed, whenever it is stopped
        if summary:
            summary = logbook.open(summary)
            self.sweep = summary.sweep
        tags = {"sweep": self.sweep, **git}
        try:
            self.opening = False
            self._heed()
            if tracker:
                self._told(self._catch_up, tracker, by_fingerprint, tags)
            for result in training:
                if isinstance(result, Run):
                    self.store.write(result, replace=self._force)
                    if tracker and not self.offline:
                        self._told(self._log, tracker, result, by_fingerprint[result.fingerprint], tags)
                if summary:
                    _note(summary, result)
                yield result
                self._heed()
            self._heed()
            status, whole = "FAILED" if summary and summary.failures else "FINISHED", True
        except Exception:
            status = "FAILED"
            raise
        finally:
            if summary:
                summary.close(status)
                logbook.write(summary)
                if whole and len(self.jobs) > 1:  # a sweeper that tries one by one would wait for a page each time
                    self._report(summary, logbook)
            if tracker and sweeps and not self.offline:
                if summary:
                    self._told(sweeps.log, summary)
                self._told(self._finish, tracker)

    @contextlib.contextmanager
    def heeding_stops(self) -> Iterator[None]:
        """Let Ctrl-C, and SIGTERM where it is taken for that, stop `execute` even where Python drops the exception.

        It does in callbacks of the garbage collection; `execute` then stops after the next result. A handler that
        somebody else has set, or a signal that is ignored, is left alone.
        """

        def stop(*_: object) -> None:
            self.stopped = True
            if not self.opening:
                raise KeyboardInterrupt

        here = threading.current_thread() is threading.main_thread()
        numbers = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if here and signal.getsignal(number) is signal.default_int_handler
        ]
        for number in numbers:
            signal.signal(number, stop)
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, signal.default_int_handler)

    def _heed(self) -> None:
        if self.stopped:
            raise KeyboardInterrupt

    def _report(self, summary: SweepSummary, logbook: SweepLog) -> None:
        """Make the tables and the page about a sweep.

        Its runs may be more than those of this study: it may be one batch of a sweeper that searches.
        """
        if not self.store.fingerprints():
            return
        changed = bool(self.todo) or None in self.objectives()
        before = None if changed else sweep_of_before(summary, logbook)
        try:
            self.tables = write_tables(summary, logbook, self._results, before)
            if self.jobs[0].config.tracking.report:
                self.page = write_page(summary, logbook, self._results, before)
        except Exception as error:  # a page that cannot be made must not make a sweep fail whose runs are all kept
            self.unreported = _first_line(error)

    @property
    def _results(self) -> Results:
        return Results.at(self.jobs[0].config.results_dir)

    @property
    def _force(self) -> bool:
        return self.jobs[0].config.launcher.force

    def _summary(self, git: dict[str, str]) -> SweepSummary:
        versions = {"python": platform.python_version(), "numpy": np.__version__, **git}
        return SweepSummary(
            sweep=self.sweep,
            experiment=self.store.folder.name,
            command=self.command,
            question=self.question,
            swept=self.swept,
            runs={job.fingerprint: job.name for job in self.jobs},
            done=len({job.fingerprint for job in self.jobs}) - len(self.todo),
            versions=versions,
        )

    def _open_sweeps(self, tracker: RunTracker | None, logbook: SweepLog) -> SweepTracker | None:
        """Tell of sweeps that have ended, or that were killed."""
        if not tracker:
            return None
        try:
            sweeps = SweepTracker(self.jobs[0].config, tracker, logbook)
            sweeps.catch_up()
        except Exception as error:  # as in _told
            self.offline = _first_line(error)
            return None
        return sweeps

    def _open_tracker(self, logbook: SweepLog) -> RunTracker | None:
        if not self.tracking or self._has_nothing_to_tell(logbook):
            return None
        try:
            return RunTracker(self.jobs[0].config)
        except UnreachableError as error:
            self.offline = str(error)
            return None

    def _has_nothing_to_tell(self, logbook: SweepLog) -> bool:
        """Return whether nothing is to be made, and MLflow knows all that was; then `views` are known as well.

        The summary of such a sweep is no reason to import MLflow: it is told with the next one that is. That of a later
        batch of a search is one: the store knows what the earlier ones did.
        """
        summaries = list(logbook)
        continued = any(summary.sweep == self.sweep for summary in summaries)
        if self.todo or continued or self.jobs[0].config.tracking.uri is not None:
            return False
        experiment = self.store.folder.name
        ended = [one for one in summaries if one.experiment == experiment and one.status != "RUNNING"]
        return False

    def _told(self, tell: Callable[..., None], *what: object) -> None:
        """Tell the store something; after the first failure it is left alone."""
        try:
            tell(*what)
        except Exception as error:  # whatever a server, a network, a full disk or a database raises
            self.offline = _first_line(error)

    def _catch_up(self, tracker: RunTracker, jobs: dict[str, Job], tags: dict[str, str]) -> None:
        """Tell of runs that are on disk already and that the store has not heard of: the last sweep was cut off."""
        for fingerprint in jobs.keys() - {job.fingerprint for job in self.todo} - tracker.logged():
            run = self._readable(fingerprint)
            if run:
                self._log(tracker, run, jobs[fingerprint], tags)

    def _finish(self, tracker: RunTracker) -> None:
        tracker.describe(self.question)
        self.views = tracker.share_views(None if self.alone else self.swept)
        best = self._model_to_register()
        if best:
            run = self._readable(best)
            if run:
                tracker.log_model(run, self.store.path(best))
        tracker.close()

    def _readable(self, fingerprint: str) -> Run | None:
        """Return a run, or None with a note if it cannot be read."""
        try:
            return self.store.read(fingerprint)
        except (DamagedRunError, FileNotFoundError) as error:  # or somebody has deleted it
            if str(error) not in self.damaged:
                self.damaged.append(str(error))
            return None

    def _start(self) -> AbstractContextManager[Iterator[Run | Failure]]:
        return train_stacks(plan_stacks(self.todo, self.n_jobs), self.n_jobs, self.jobs[0].config.launcher)

    def _model_to_register(self) -> str | None:
        """Return the fingerprint of the run with the lowest test cost, if this is a sweep."""
        if self.part or len(self.jobs) == 1:
            return None
        costs = {
            job.fingerprint: cost
            for job, cost in zip(self.jobs, self.objectives(), strict=True)
            if cost is not None and math.isfinite(cost)
        }
        return min(costs, key=costs.__getitem__, default=None)

    def objectives(self) -> list[float | None]:
        """Return the final test cost of every run, for sweepers that search; None for a run that is not kept."""
        return [self._objective(job.fingerprint) for job in self.jobs]

    def _objective(self, fingerprint: str) -> float | None:
        if fingerprint not in self.store:
            return None
        try:
            return self.store.metrics(fingerprint)["cost/test"]
        except (DamagedRunError, FileNotFoundError):
            return None

    def _log(self, tracker: RunTracker, run: Run, job: Job, tags: dict[str, str]) -> None:
        folder = self.store.path(run.fingerprint)
        figures = {}
        if job.config.tracking.figures:
            from nnlab.findings.portraits import portrait

            figures = portrait(run, job.data)
        tracker.log(run, job.name, folder, self.swept, tags, anew=self._force, figures=figures)


def _first_line(error: BaseException) -> str:
    """Return what an error says, in one line: what the database said, where it began with one.

    SQLAlchemy puts before that when it asked, and MLflow repeats it.
    """
    cause: BaseException | None = error
    while cause is not None:
        error = getattr(cause, "orig", None) or error
        cause = cause.__cause__ or cause.__context__
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _note(summary: SweepSummary, result: Run | Failure) -> None:
    if isinstance(result, Run):
        summary.made += 1
        return
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


def _git() -> dict[str, str]:
    """Return the commit that the code stands at, empty outside a checkout."""
    folder = Path(__file__).resolve().parent

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {"git_commit": ask("rev-parse", "HEAD"), "git_dirty": str(bool(ask("status", "--porcelain"))).lower()}
    except (OSError, subprocess.SubprocessError):
        return {}
