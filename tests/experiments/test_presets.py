"""Presets are legal, and the words that a run records for itself give the same config."""

import sys
from math import prod
from pathlib import Path

import pytest
import yaml
from conftest import Command
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import nnlab
from nnlab.cli.hydra_schema import register
from nnlab.config import from_dict, overrides, resolve
from nnlab.study.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
FAST = ("training.iterations=20", "diagnostics.checkpoints=3", "diagnostics.every=null")
PRESETS = sorted((ROOT / "conf").glob("*/*.yaml"))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_preset_is_legal(preset: Path, nnlab_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """All jobs of its grid are composed, checked and planned; none is trained."""
    plans = []

    def conduct(plan: Plan) -> None:
        plans.append(plan)
        sys.exit(0)

    monkeypatch.setattr("nnlab.cli.console.conduct", conduct)
    option = f"{preset.parent.name}={preset.stem}"
    words = {
        "data=file": ["data.path=missing.csv", "data.target=y"],
        "tracking=server": ["tracking.enabled=false"],
        "launcher=dask": ["launcher.backend=processes", "launcher.address=null"],  # tests have no cluster
    }.get(option, [])
    name = "sweep" if preset.parent.name == "experiment" else "run"
    result = nnlab_command(name, option, *words)
    if option == "data=file":
        assert "missing.csv" in result.error
        return
    assert result.status == 0, result.error
    (plan,) = plans
    assert len(plan.jobs) == grid_size(preset)


def grid_size(preset: Path) -> int:
    """Return the number of combinations in the grid of a preset."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    grid = yaml.safe_load(preset.read_text()).get("hydra", {}).get("sweeper", {})
    side_by_side = grid.get("paired", [])[1:]
    words = [f"{key}={values}" for key, values in grid.get("params", {}).items() if key not in side_by_side]
    overrides = OverridesParser.create().parse_overrides(words)
    return prod(len(list(override.sweep_string_iterator())) for override in overrides)


@pytest.mark.parametrize("preset", sorted((ROOT / "conf" / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_preset_and_experiment_have_one_name(preset: Path) -> None:
    assert yaml.safe_load(preset.read_text())["tracking"]["experiment"] == preset.stem


def test_default_sweep_has_420_runs() -> None:
    assert grid_size(ROOT / "conf" / "experiment" / "initialization.yaml") == 420


def test_command_line_overrides_a_preset(nnlab_command: Command) -> None:
    result = nnlab_command("sweep", "initialization", "model.hidden_size=2", "seed=0", "init.scale=1.0", *FAST)
    assert result.status == 0, result.error
    assert "4 of 4 runs" in result.output


NAMES = st.text(st.sampled_from("ab'\"\\\\ ${}[]=,:;&|1.e-"), min_size=1, max_size=8)


@given(
    seed=st.integers(0, 10**6),
    data=st.builds(nnlab.DataConfig, name=st.just("file"), path=NAMES, target=NAMES),
    scale=st.floats(0, 1e9),
    layers=st.none() | st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_words_of_a_config_compose_to_the_same_config(
    seed: int, data: nnlab.DataConfig, scale: float, layers: list[int] | None
) -> None:
    config = nnlab.RunConfig(
        seed, data=data, init=nnlab.InitConfig(scale=scale), model=nnlab.ModelConfig(layers=layers, activation="relu")
    )
    GlobalHydra.instance().clear()
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose("config", overrides(config))
    values = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(values, dict)
    assert resolve(from_dict({str(key): value for key, value in values.items()})) == resolve(config)


def test_words_are_the_differences_from_the_defaults() -> None:
    assert overrides(nnlab.RunConfig()) == []
    config = nnlab.RunConfig(7, init=nnlab.InitConfig("zeros"), model=nnlab.ModelConfig(layers=[5, 5]))
    assert overrides(config) == ["seed=7", "model.hidden_size=5", "model.depth=2", "init.scheme=zeros"]
