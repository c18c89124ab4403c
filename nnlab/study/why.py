"""Why networks did not learn, found by experiment: change one thing, train again with several seeds, and look."""

import dataclasses
from collections import deque
from collections.abc import Sequence

from nnlab.config import KEYS, SCIENCE, ConfigError, RunConfig, with_values
from nnlab.record.run_folders import RunFolders
from nnlab.settings import settings_of
from nnlab.study.explanation import SUFFICIENT, Explanation
from nnlab.study.laboratory import Laboratory, Network, OnResult, OnStage

__all__ = ["BUDGET", "SEEDS", "explain", "replicates", "unlearned_settings", "why"]

SEEDS = 5
BUDGET = 120.0
"""Seconds that the changes may take."""
COMBINATIONS_AT_A_TIME = 12
"""Combinations of changes that are trained together; then one that suffices ends the search."""


def why(config: RunConfig, seeds: int = SEEDS, *, budget: float = BUDGET, n_jobs: int | None = None) -> Explanation:
    """Find out what would have made a network learn.

    The network is trained with `seeds` seeds, its own first, then with each change of `nnlab.diagnostics.changes` that
    applies to it, and, if none suffices, with pairs of changes, the verdict's cure first, then with the best pairs and
    a third change. All runs are kept in the results folder, in the
    experiment "EXPERIMENT why"; those that are there, or in the experiment itself, are read instead of trained. If the
    network learned, or if there is nothing to learn, no change is tried. Cheap changes are tried first, until `budget`
    seconds are spent.

    Raises ConfigError before anything runs if the config or its data is wrong.
    """
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ConfigError(f"seeds must be an integer of at least 1, got {seeds!r}")
    return explain([replicates(config, seeds)], budget=budget, n_jobs=n_jobs)[0]


def replicates(config: RunConfig, seeds: int) -> list[RunConfig]:
    """Return the config with `seeds` seeds: its own and the next ones."""
    largest = int(KEYS["seed"].high or 0)
    return [dataclasses.replace(config, seed=(config.seed + number) % (largest + 1)) for number in range(seeds)]


def unlearned_settings(folders: RunFolders) -> list[list[RunConfig]]:
    """Return the settings of recorded runs of which fewer than 4 of 5 seeds learned: their configs, one for each seed.

    A setting has the first five of its seeds, and further ones if fewer are recorded. Where every seed has its own
    data.seed, data sets are part of the replicate. Runs recorded without an outcome count as not learned.
    """
    runs = sorted(map(folders.facts, folders.fingerprints()), key=lambda run: run["config"]["seed"])
    settings: dict[str, list[tuple[RunConfig, bool]]] = {}
    for run, setting in zip(runs, settings_of([run["config"] for run in runs]), strict=True):
        values = {key: value for key, value in run["config"].items() if key.split(".")[0] in SCIENCE}
        learned = run.get("outcome") == "learned"
        settings.setdefault(repr(setting), []).append((with_values(RunConfig(), values), learned))
    return [
        _enough([config for config, _ in members])
        for members in settings.values()
        if sum(learned for _, learned in members) < SUFFICIENT * len(members)
    ]


def _enough(configs: list[RunConfig]) -> list[RunConfig]:
    more = replicates(configs[-1], SEEDS)[1:]
    return [*configs, *more][:SEEDS]


def explain(
    settings: Sequence[Sequence[RunConfig]],
    *,
    budget: float = BUDGET,
    n_jobs: int | None = None,
    tracking: bool = False,
    command: str = "",
    on_stage: OnStage = lambda stage, runs, seconds: None,
    on_result: OnResult = lambda result: None,
) -> list[Explanation]:
    """Return the explanation of each setting, given as its configs, one for each seed. The settings share the budget.

    `on_stage` is called before each stage of training: with what is tried, the number of runs and an estimate of the
    seconds that they take. `on_result` is called with each run. `command` is what was typed. Raises the errors of
    `why`.
    """
    laboratory = Laboratory(settings, n_jobs, tracking, command, on_stage, on_result)
    networks = laboratory.networks
    laboratory.try_out("as they are", [network.with_changes() for network in networks])
    puzzles = [network for network in networks if network.is_open]
    singles = [network.with_changes(change) for network in puzzles for change in network.applicable()]
    budget -= laboratory.try_out("one change at a time", sorted(singles, key=laboratory.price), budget)
    for stage, combinations in (("two", Network.pairs), ("three", Network.triples)):
        waiting = {network: deque(combinations(network)) for network in puzzles if network.is_open}
        while budget > 0 and (remaining := [network for network in waiting if network.is_open and waiting[network]]):
            requests = [
                network.with_changes(*waiting[network].popleft())
                for network in remaining
                for _ in range(min(COMBINATIONS_AT_A_TIME, len(waiting[network])))
            ]
            budget -= laboratory.try_out(f"{stage} changes at a time", requests, budget)
    explanations = [laboratory.record(network) for network in networks]
    laboratory.describe(explanations)
    return explanations
