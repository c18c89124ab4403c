import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnlab
from nnlab.config import RunConfig, fingerprint
from nnlab.settings import run_name, swept_keys
from nnlab.study import run_stack
from nnlab.study.plan import make_plan, prepare
from nnlab.study.stacking import Job, plan_stacks
from nnlab.table_files import file_digest


def configs_of(seeds: range, scales: list[float], activations: list[str], sizes: list[int]) -> list[RunConfig]:
    return [
        RunConfig(
            seed=seed,
            init=nnlab.InitConfig(scale=scale),
            model=nnlab.ModelConfig(activation=activation, hidden_size=size),
        )
        for scale in scales
        for activation in activations
        for size in sizes
        for seed in seeds
    ]


def test_keys_that_follow_from_another_are_not_swept() -> None:
    configs = [
        nnlab.RunConfig(seed=seed, data=nnlab.DataConfig(name), init=init)
        for name in ("moons", "spiral", "quantiles")
        for init in (nnlab.InitConfig("he", 1.0), nnlab.InitConfig("zeros"))
        for seed in range(2)
    ]
    assert swept_keys(job.config for job in prepare(configs)) == ["seed", "data.name", "init.scheme"]


def test_weights_from_the_stream_that_made_the_data_are_pointed_out(tmp_path: Path) -> None:
    def planned(**changes: Any) -> list[str]:
        config = nnlab.RunConfig(seed=1, init=nnlab.InitConfig(generator="legacy"), results_dir=str(tmp_path))
        return make_plan([dataclasses.replace(config, **changes)], tracking=False).cautions

    assert "legacy" in planned()[0]
    weights = run_stack.snapshots(
        [nnlab.RunConfig(seed=1, init=nnlab.InitConfig(generator="legacy"))],
        nnlab.load_dataset(nnlab.DataConfig()),
        [0],
    )
    drawn = next(iter(weights)).parameters.W[0].ravel() / 0.01
    first_noise = np.random.RandomState(1).randn(8)  # added to the angles of the flower's first points
    np.testing.assert_allclose(drawn, first_noise)
    for name in ("circles", "moons", "blobs", "spiral"):
        assert planned(data=nnlab.DataConfig(name=name))
    for harmless in (
        {"seed": 2},
        {"init": nnlab.InitConfig()},
        {"init": nnlab.InitConfig("constant", generator="legacy")},
        {"data": nnlab.DataConfig(name="xor")},
        {"data": nnlab.DataConfig(name="digits")},
        {"data": nnlab.DataConfig(noise=0.0)},
    ):
        assert planned(**harmless) == []


@given(
    st.integers(1, 6),
    st.lists(st.sampled_from([0.0, 0.01, 1.0]), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["tanh", "relu"]), min_size=1, unique=True),
    st.lists(st.sampled_from([1, 4, 50, 300]), min_size=1, unique=True),
    st.integers(1, 8),
)
def test_every_job_is_in_one_stack_of_compatible_jobs(
    seeds: int, scales: list[float], activations: list[str], sizes: list[int], n_jobs: int
) -> None:
    jobs = prepare(configs_of(range(seeds), scales, activations, sizes))
    stacks = plan_stacks(jobs, n_jobs)
    assert Counter(job.index for stack in stacks for job in stack.jobs) == Counter(range(len(jobs)))
    for stack in stacks:
        assert len({(job.config.model.activation, job.config.model.hidden_size) for job in stack.jobs}) == 1
    times = [stack.seconds for stack in stacks]
    longest_first, shortest_first = times[::2], times[1::2]
    assert longest_first == sorted(longest_first, reverse=True)
    assert shortest_first == sorted(shortest_first)
    assert min(longest_first) >= max(shortest_first, default=0.0)


def test_wide_networks_make_small_stacks() -> None:
    def largest(size: int) -> int:
        return max(len(s.jobs) for s in plan_stacks(prepare(configs_of(range(40), [0.01], ["tanh"], [size])), 1))

    assert largest(4) > largest(20) > largest(200) >= 1


def test_stacks_of_mini_batches_leave_memory_for_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Z, A, dZ and inputs of a 2-4-1 network on 400 examples take 90 kB; stacks may take a quarter of the memory."""
    configs = [RunConfig(seed=seed, training=nnlab.TrainingConfig(batch_size=10)) for seed in range(60)]
    assert max(len(stack.jobs) for stack in plan_stacks(prepare(configs), 1)) == 60
    monkeypatch.setattr("nnlab.study.stacking.machine_memory", lambda: 4_000_000)
    for n_jobs, most in ((1, 11), (2, 5)):
        stacks = plan_stacks(prepare(configs), n_jobs)
        assert most - 2 <= max(len(stack.jobs) for stack in stacks) <= most


def test_a_few_runs_are_spread_over_all_workers() -> None:
    stacks = plan_stacks(prepare(configs_of(range(8), [0.01], ["tanh"], [4])), 4)
    assert [len(stack.jobs) for stack in stacks] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("data", "noise", 0.3),
        ("model", "activation", "relu"),
        ("training", "iterations", 7),
        ("training", "batch_size", 5),
        ("training", "dtype", "float32"),
        ("training", "arithmetic", "exact"),
        ("diagnostics", "checkpoints", 7),
    ],
)
def test_incompatible_configs_are_never_stacked(part: str, field: str, value: object) -> None:
    config = RunConfig()
    other = dataclasses.replace(config, **{part: dataclasses.replace(getattr(config, part), **{field: value})})
    assert len(plan_stacks(prepare([config, other]), 1)) == 2


def test_learning_rates_may_differ_within_a_stack() -> None:
    rates = [RunConfig(training=nnlab.TrainingConfig(learning_rate=rate)) for rate in (0.1, 1.2)]
    assert len(plan_stacks(prepare(rates), 1)) == 1


def test_data_are_loaded_once_for_all_runs() -> None:
    jobs = prepare(configs_of(range(5), [0.01], ["tanh"], [4]))
    assert len({id(job.data) for job in jobs}) == 1


def names(jobs: list[Job]) -> list[str]:
    return [job.name for job in jobs]


def test_runs_are_named_by_what_was_swept() -> None:
    assert names(prepare(configs_of(range(3, 5), [0.01, 1.0], ["tanh"], [4]))) == [
        *("scale 0.01 seed 3", "scale 0.01 seed 4"),
        *("scale 1 seed 3", "scale 1 seed 4"),
    ]
    assert names(prepare(configs_of(range(3, 5), [0.01, 1.0], ["tanh", "relu"], [4, 5])))[0] == (
        "tanh h4 scale 0.01 seed 3"
    )


def test_a_single_run_has_a_name_too() -> None:
    assert run_name(RunConfig(), []) == "tanh h4 scale 0.01 seed 3"


def test_other_swept_keys_appear_by_their_last_part() -> None:
    rates = [RunConfig(training=nnlab.TrainingConfig(learning_rate=rate)) for rate in (0.1, 1.2)]
    assert swept_keys(rates) == ["training.learning_rate"]
    assert names(prepare(rates)) == ["learning_rate 0.1", "learning_rate 1.2"]


def test_unset_values_are_named_as_in_yaml() -> None:
    assert run_name(RunConfig(), ["training.batch_size", "seed"]) == "batch_size null seed 3"


def test_float32_is_refused_for_numbers_that_it_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("x,y\n" + "".join(f"{row}e90,{row % 2}\n" for row in range(8)))
    data = nnlab.DataConfig("file", path=str(path), target="y", standardize=False)
    single = RunConfig(data=data, training=nnlab.TrainingConfig(dtype="float32"))
    with pytest.raises(nnlab.ConfigError, match=r"training\.dtype must be float64 for data with numbers up to \de\+90"):
        prepare([single])
    prepare([RunConfig(data=data)])


@pytest.mark.parametrize(
    ("header", "targets", "rate", "is_older_run"),
    [
        ("a,b,y", "01", 1.2, True),
        ("a,b,y", ("0.5", "1.5"), 0.1, True),
        ("rownames,b,y", "01", 1.2, False),
    ],
)
def test_a_run_on_a_file_keeps_its_name_unless_a_column_is_left_out(
    tmp_path: Path, header: str, targets: str, rate: float, is_older_run: bool
) -> None:
    path = tmp_path / "table.csv"
    rows = [f"{row * 7 % 13},{row * 5 % 11},{targets[row % 2]}" for row in range(20)]
    path.write_text("\n".join([header, *rows]))
    config = nnlab.RunConfig(data=nnlab.DataConfig("file", path=str(path), target="y"))
    (job,) = prepare([config])
    assert job.config.training.learning_rate == rate
    # Earlier versions named a run by the content of its file alone, and knew the learning rate from the start.
    older = dataclasses.replace(config, training=nnlab.TrainingConfig(learning_rate=rate))
    assert (job.fingerprint == fingerprint(older, file_digest(str(path)))) == is_older_run
