"""Where `nnlab why` trains networks with changes, or reads the runs that are on disk."""

import dataclasses
import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nnlab.config import ConfigError, RunConfig, flatten, with_values
from nnlab.diagnostics.changes import Change, applicable, values_of
from nnlab.diagnostics.outcome import NOT_MEASURED
from nnlab.record.causes import recorded_causes
from nnlab.record.files import write_atomically
from nnlab.record.run import Run
from nnlab.record.run_folders import RunFolders
from nnlab.record.run_json import DamagedRunError, as_floats
from nnlab.results import Results
from nnlab.study.execute import execute
from nnlab.study.explanation import Explanation, Trial
from nnlab.study.plan import Datasets, make_plan, prepare
from nnlab.study.stacking import Job, seconds
from nnlab.study.workers import Failure, cores
from nnlab.tracking.log_runs import RunTracker

__all__ = ["Answer", "Laboratory", "Network", "OnResult", "OnStage", "Request"]

EXTENDED_PAIRS = 5
"""Pairs to which third changes are added."""
PAIRED_FIRST = ("scheme", "activation", "width", "larger steps", "iterations", "depth")
"""Aspects that sufficed in pairs where no single change did, the most frequent first."""

OnStage = Callable[[str, int, float], None]
OnResult = Callable[[Run | Failure], None]


class Request(NamedTuple):
    """A network to be trained with some changes: one config for each seed."""

    network: "Network"
    changes: tuple[Change, ...]
    values: Mapping[str, Any]
    configs: tuple[RunConfig, ...]


@dataclass(eq=False)
class Network:
    """A network that is to be explained: its configs, one for each seed, and what was found out so far.

    `cure` is that of the verdict on the network with its first seed.
    """

    configs: tuple[RunConfig, ...]
    m: int
    cure: Mapping[str, Any] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    not_tried: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """True if the network did not learn and no change has sufficed."""
        return "nothing to learn" not in self.trials[0].outcomes and not any(trial.suffices for trial in self.trials)

    def applicable(self) -> list[Change]:
        return [change for change, _ in applicable(flatten(self.configs[0]), self.m)]

    def with_changes(self, *changes: Change) -> Request:
        values = self._values(changes)
        return Request(self, changes, values, tuple(with_values(config, values) for config in self.configs))

    def pairs(self) -> list[tuple[Change, ...]]:
        """Return pairs of changes: the verdict's cure, then those whose parts moved what was learned most."""
        gains = {trial.changes[0]: max(trial.mean - self.trials[0].mean, 0.0) for trial in self.trials[1:]}
        pairs = [pair for pair in itertools.combinations(gains, 2) if self._is_possible(pair)]

        def order(pair: tuple[Change, ...]) -> tuple[bool, float, int]:
            return not self._is_cure(pair), -sum(round(gains[one], 1) for one in pair), _rank(pair)

        return sorted(pairs, key=order)

    def triples(self) -> list[tuple[Change, ...]]:
        """Return the pairs that made the network learn most, each with every third change."""
        pairs = sorted((trial for trial in self.trials if len(trial.changes) == 2), key=lambda trial: -trial.mean)
        singles = [trial.changes[0] for trial in self.trials if len(trial.changes) == 1]
        triples = [(*pair.changes, third) for pair in pairs[:EXTENDED_PAIRS] for third in singles]
        first = {frozenset(triple): triple for triple in reversed(triples) if self._is_possible(triple)}
        return list(reversed(first.values()))

    def _is_possible(self, changes: Sequence[Change]) -> bool:
        """True if no two of the changes are of one aspect, or change the same keys."""
        keys = {frozenset(self._values([change])) for change in changes}
        return len(keys) == len({change.aspect for change in changes}) == len(changes)

    def _is_cure(self, changes: Sequence[Change]) -> bool:
        return self._values(changes) == self.cure

    def _values(self, changes: Sequence[Change]) -> dict[str, Any]:
        return values_of(changes, flatten(self.configs[0]), self.m)

    def explanation(self) -> Explanation:
        order = {change: number for number, change in enumerate(self.applicable())}
        trials = sorted(self.trials, key=lambda trial: (len(trial.changes), [order[one] for one in trial.changes]))
        failures = tuple(f"{name}: {error}" for name, error in self.failures.items())
        return Explanation(self.configs[0], tuple(trials), tuple(self.not_tried), failures)


def _rank(pair: Iterable[Change]) -> int:
    return sum(PAIRED_FIRST.index(one.aspect) if one.aspect in PAIRED_FIRST else len(PAIRED_FIRST) for one in pair)


class Answer(NamedTuple):
    """What is known of one run."""

    outcome: str
    share: float
    cure: Mapping[str, Any] = {}


class Laboratory:
    """Trains networks with changes, or reads the runs that are on disk."""

    def __init__(
        self,
        settings: Sequence[Sequence[RunConfig]],
        n_jobs: int | None,
        tracking: bool,
        command: str,
        on_stage: OnStage,
        on_result: OnResult,
    ) -> None:
        self._datasets = Datasets()
        jobs = iter(prepare([config for configs in settings for config in configs], datasets=self._datasets))
        self.networks = []
        for configs in settings:
            ours = [next(jobs) for _ in configs]
            self.networks.append(Network(tuple(job.config for job in ours), ours[0].data.X.shape[1]))
        shared = self.networks[0].configs[0]
        self._experiment = shared.tracking.experiment.removesuffix(" why")
        self._tracking = dataclasses.replace(shared.tracking, experiment=f"{self._experiment} why", report=False)
        self._launcher = dataclasses.replace(shared.launcher, force=False)
        self._results = Results.at(shared.results_dir)
        self._folders = [RunFolders(self._results, name) for name in (self._experiment, self._tracking.experiment)]
        self._n_jobs = n_jobs or shared.launcher.n_jobs or cores(shared.launcher)
        self._is_tracked, self._command, self._on_stage, self._on_result = tracking, command, on_stage, on_result
        self.answers: dict[str, Answer] = {}
        self.errors: dict[str, tuple[str, str]] = {}
        self._jobs_of: dict[str, list[Job]] = {}
        self._slowness = 1.0

    def jobs(self, request: Request) -> list[Job]:
        """Return the runs that a request needs; none if the changed network is impossible, such as too large."""
        key = repr(request.configs)
        if key not in self._jobs_of:
            configs = [
                dataclasses.replace(config, tracking=self._tracking, launcher=self._launcher)
                for config in request.configs
            ]
            try:
                self._jobs_of[key] = prepare(configs, datasets=self._datasets)
            except ConfigError:
                self._jobs_of[key] = []
        return self._jobs_of[key]

    def price(self, request: Request) -> float:
        """Return the seconds that a request will take."""
        missing = [job for job in self.jobs(request) if self._answer(job.fingerprint) is None]
        return self._slowness * sum(map(seconds, missing)) / self._n_jobs

    def try_out(self, stage: str, requests: Sequence[Request], budget: float = float("inf")) -> float:
        """Train the networks of the requests in their order until the budget is spent; return the seconds spent."""
        requests = [request for request in requests if self.jobs(request)]
        affordable, spent = [], 0.0
        for request in requests:
            price = self.price(request)
            if spent + price <= budget:
                affordable.append(request)
                spent += price
            elif len(request.changes) == 1:
                request.network.not_tried.append(request.changes[0].name)
        todo = {
            job.fingerprint: job
            for request in affordable
            for job in self.jobs(request)
            if self._answer(job.fingerprint) is None
        }
        if todo:
            self._on_stage(stage, len(todo), spent)
            self.train(list(todo.values()), stage)
        for request in affordable:
            request.network.trials.append(self._trial(request))
            if not request.changes:
                request.network.cure = self.answers[self.jobs(request)[0].fingerprint].cure
        return spent

    def train(self, jobs: Sequence[Job], stage: str) -> None:
        def collect(result: Run | Failure) -> None:
            if isinstance(result, Run):
                self.answers[result.fingerprint] = Answer(
                    result.verdict.outcome, result.verdict.learned, result.verdict.cure
                )
                took.append(result.facts["seconds"])
            else:
                self.answers[result.job.fingerprint] = Answer("failed", float("nan"))
                self.errors[result.job.fingerprint] = result.job.name, result.text.rstrip().rpartition("\n")[2]
            self._on_result(result)

        took: list[float] = []
        plan = make_plan(
            [job.config for job in jobs],
            n_jobs=self._n_jobs,
            tracking=self._is_tracked,
            sweep=None,
            command=self._command,
            question=f"What would have made the networks of {self._experiment} learn? ({stage})",
        )
        execute(plan, collect)
        if took:
            self._slowness = max(sum(took) / sum(map(seconds, jobs)), 0.1)

    def _answer(self, fingerprint: str) -> Answer | None:
        """Return the answer of a run that was trained by this process or is on disk; None for any other run."""
        if fingerprint not in self.answers:
            for folders in self._folders:
                if fingerprint in folders:
                    try:
                        facts = folders.facts(fingerprint)
                    except (DamagedRunError, FileNotFoundError):
                        continue
                    outcome = facts.get("outcome", NOT_MEASURED)
                    if outcome != NOT_MEASURED:
                        self.answers[fingerprint] = Answer(
                            outcome, as_floats(facts["learned"])["train"], facts.get("cure", {})
                        )
                        break
        return self.answers.get(fingerprint)

    def _trial(self, request: Request) -> Trial:
        fingerprints = tuple(job.fingerprint for job in self.jobs(request))
        for fingerprint in fingerprints:
            if fingerprint in self.errors:
                name, error = self.errors[fingerprint]
                request.network.failures[name] = error
        answers = [self.answers[fingerprint] for fingerprint in fingerprints]
        outcomes = tuple(answer.outcome for answer in answers)
        shares = tuple(answer.share for answer in answers)
        return Trial(request.changes, request.values, outcomes, shares, fingerprints)

    def record(self, network: Network) -> Explanation:
        """Write down which run answers for which change, and return the explanation."""
        explanation = network.explanation()
        named = explanation.named_cause
        content = {
            "text": explanation.text,
            "cause": [change.name for change in named.changes] if named else [],
            "aspects": [change.aspect for change in named.changes] if named else [],
            "other_causes": [trial.name for trial in explanation.causes if trial is not named],
            "trials": [
                {
                    "changes": [change.name for change in trial.changes],
                    "values": dict(trial.values),
                    "outcomes": trial.outcomes,
                    "learned": [str(share) for share in trial.shares],
                    "fingerprints": trial.fingerprints,
                }
                for trial in explanation.trials
            ],
            "not_tried": explanation.not_tried,
            "failures": explanation.failures,
        }
        path = self._results.explanation(self._experiment, explanation.baseline.fingerprints[0])
        write_atomically(path, json.dumps(content, indent=1) + "\n")
        return explanation

    def describe(self, explanations: Sequence[Explanation]) -> None:
        """Say in MLflow, in the description of each run that did not learn, what was tried. Warns if that fails."""
        if not (self._is_tracked and self._tracking.enabled):
            return
        for folders in self._folders:
            config = self.networks[0].configs[0]
            name = folders.folder.name
            found = [
                (folders.read(fingerprint), explanation.text)
                for explanation in explanations
                for fingerprint, outcome in zip(
                    explanation.baseline.fingerprints, explanation.baseline.outcomes, strict=True
                )
                if outcome not in ("learned", "failed") and fingerprint in folders
            ]
            if not found:
                continue
            try:
                tracker = RunTracker(
                    dataclasses.replace(config, tracking=dataclasses.replace(config.tracking, experiment=name))
                )
                for run, text in found:
                    tracker.say_what_was_tried(run, text)
                tracker.tag_causes(recorded_causes(name, self._results))
            except Exception as error:  # whatever a server or a database raises
                warnings.warn(f"what was tried could not be written to MLflow: {error}", stacklevel=3)
