"""Every launcher gives the same runs, and sweepers that search get their costs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import Train
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig
from servers import dask_scheduler, dask_worker

import nnlab
from hydra_plugins.nnlab_composition import Yaml
from nnlab.record.run_folders import RunFolders
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results

FAST = ("training.iterations=60", "diagnostics.checkpoints=4", "diagnostics.every=null")
SWEEP = ("-m", "seed=range(3)", "model.hidden_size=2,3", "model.activation=tanh,relu", *FAST)


def histories(results: Path) -> dict[str, pd.DataFrame]:
    return {run.fingerprint: run.history for run in RunFolders(Results(results), "playground")}


def test_every_way_of_launching_gives_the_same_bits(train: Train, tmp_path: Path) -> None:
    with dask_scheduler(tmp_path) as address, dask_worker(address, tmp_path, "worker"):
        ways = {
            "one worker": ["launcher.n_jobs=1"],
            "two workers": ["launcher.n_jobs=2"],
            "basic": ["hydra/launcher=basic"],
            "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
            "dask": ["launcher=dask", f"launcher.address={address}"],
        }
        for name, words in ways.items():
            result = train(*SWEEP, *words, results=tmp_path / name)
            assert result.status == 0, result.error
    expected = histories(tmp_path / "one worker")
    assert len(expected) == 12
    for name in ways:
        found = histories(tmp_path / name)
        assert found.keys() == expected.keys(), name
        for fingerprint, history in found.items():
            pd.testing.assert_frame_equal(history, expected[fingerprint], check_exact=True)


def test_stock_launchers_take_presets(train: Train) -> None:
    words = ("-m", "hydra/launcher=basic", "init=he,zeros", "tracking=off", "seed=5", *FAST)
    result = train(*words)
    assert result.status == 0, result.error
    assert "init" in result.output
    assert set(nnlab.load_runs("playground", str(result.results))["init.scheme"]) == {"he", "zeros"}


class Narrowing(Sweeper):
    """A sweeper that searches as Optuna's does: batch after batch, each around the best value so far."""

    best: tuple[float, float]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        center, width, launched = 0.5, 5.0, 0
        for _ in range(3):
            rates = [center / width, center, center * width]
            batch = [[*arguments, f"training.learning_rate={rate}"] for rate in rates]
            done: Sequence[Any] = self.launcher.launch(batch, initial_job_idx=launched)
            assert [job.overrides for job in done] == batch
            launched += len(batch)
            costs = [float(job.return_value) for job in done]
            center, width = rates[costs.index(min(costs))], width**0.5
            Narrowing.best = (center, min(costs))


def test_a_sweeper_that_searches_gets_costs_and_is_recorded_as_one_sweep(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = ModuleType("hydra_plugins.narrowing")  # Hydra takes plugins from that package only
    plugin.Narrowing = Narrowing  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, plugin.__name__, plugin)
    monkeypatch.setattr(Narrowing, "__module__", plugin.__name__)
    Plugins.instance().register(Narrowing)
    node = {"_target_": f"{plugin.__name__}.Narrowing"}
    ConfigStore.instance().store(group="hydra/sweeper", name="narrowing", node=node)
    result = train("-m", "hydra/sweeper=narrowing", *FAST)
    assert result.status == 0, result.error
    runs = nnlab.load_runs("playground", str(result.results))
    assert len(runs) == 7  # each later batch has one rate that was tried before
    rate, cost = Narrowing.best
    best = runs.loc[runs["cost/test"].idxmin()]
    assert (best["training.learning_rate"], best["cost/test"]) == (rate, cost)
    (summary,) = SweepLog(Results(result.results))
    assert (summary.status, len(summary.runs), summary.made) == ("FINISHED", 7, 7)
    (folder,) = (result.results / "hydra" / "sweeps").glob("*/*")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [str(number) for number in range(9)]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "hydra/env", "yes", "1"]), plain), max_size=4))
def test_cached_lines_give_the_same_yaml(contents: list[dict[str, Any]]) -> None:
    write = Yaml()
    for content in [*contents, *contents]:
        assert repr(yaml.safe_load(write(content))) == repr(content)


def test_the_cache_of_lines_is_bounded() -> None:
    write = Yaml()
    for number in range(5000):
        assert write({"job": {"num": number, "name": "train"}}) == f"job:\n  num: {number}\n  name: train\n"
    assert len(write._entries) <= 1001
