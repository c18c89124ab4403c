import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import Train
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

import nnlab
from experiments.schema import register
from experiments.train import sweep_name
from nnlab.config import from_dict, overrides, resolve
from nnlab.record.logbook import Logbook
from nnlab.study.execute import Study

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "conf").glob("*/*.yaml"))
FAST = ("training.iterations=20", "diagnostics.checkpoints=3", "diagnostics.every=null")


def curves(results: Path, experiment: str = "playground") -> pd.DataFrame:
    runs = nnlab.load_runs(experiment, str(results))
    return nnlab.load_curves(runs).sort_values(["fingerprint", "iteration", "quantity", "layer"], ignore_index=True)


def test_one_network_is_shown_training(train: Train) -> None:
    result = train("model.activation=relu", "training.iterations=200")
    assert result.status == 0, result.error
    assert "relu h4 scale 0.01 seed 3" in result.output
    assert "cost/train" in result.output
    assert "1 of 1 runs" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("hydra.run.dir={}",),
        ("hydra.run.dir={}/new/er",),
        ("hydra.run.dir={}", "tracking.uri=sqlite:////nowhere/mlflow.db"),
        ("-m", "hydra.sweep.dir={}"),
        ("-m", "hydra.sweep.dir={}/new/er", "seed=1,2"),
        ("-m", "hydra.sweep.dir={}", "seed=1,2", "hydra/launcher=basic"),
    ],
)
def test_a_refused_launch_leaves_what_was_there(words: tuple[str, ...], train: Train, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    (mine / "empty").mkdir(parents=True)
    (mine / ".hydra").mkdir()
    for name in ("thesis.txt", "train.log", "multirun.yaml", ".hydra/config.yaml"):
        (mine / name).write_text(f"years of {name}")
    files = {path: path.read_text() if path.is_file() else "" for path in mine.rglob("*")}
    wrong = "model.hidden_size=3" if "tracking.uri" in words[-1] else "model.hidden_size=-1"
    result = train(*(word.format(mine) for word in words), wrong)
    assert result.status != 0
    assert {path: path.read_text() if path.is_file() else "" for path in mine.rglob("*")} == files


def test_a_refused_launch_leaves_an_empty_folder_and_no_new_one(train: Train, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for words in (["hydra.run.dir={}/mine"], ["-m", "hydra.sweep.dir={}/mine"], ["hydra.run.dir={}/other"]):
        assert train(*(word.format(tmp_path) for word in words), "seed=-1").status == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("words", [("hydra.run.dir=${nope}",), ("-m", "seed=1,2", "hydra.sweep.dir=${nope}")])
def test_a_folder_that_cannot_be_resolved_is_refused_in_one_line(words: tuple[str, ...], train: Train) -> None:
    result = train(*words, *FAST)
    assert (result.status, result.results.exists()) == (1, False)
    assert result.error.strip() == f"{words[-1].split('=')[0]} cannot be resolved: Interpolation key 'nope' not found"


def test_a_working_folder_that_is_gone_is_said_in_one_line(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    result = train("seed=1", *FAST)
    assert result.status == 1
    assert result.error.startswith("the working folder is gone")
    assert len(result.error.splitlines()) == 1


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/r/hydra/sweeps/2026-11-25/13-38-36-123456", "2026-11-25T13-38-36-123456"),
        ("mine", "mine"),
        ("a/b", "aTb"),
        ("/mine", "mine"),
        ("/a/../mine", "mine"),
    ],
)
def test_a_sweep_is_named_by_its_folder(folder: str, name: str) -> None:
    assert sweep_name(folder) == name


@pytest.mark.parametrize(
    "folder", ["", ".", "/", "..", "../..", "experiment", "/experiment", ".hidden", "a/...", "my sweep/ä", "x" * 300]
)
def test_every_folder_gives_a_sweep_a_plain_name(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b c").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b c")
    name = sweep_name(folder)
    assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,110}", name)
    assert name != "experiment"
    assert name == sweep_name(folder) != sweep_name(f"{folder}/other")


def test_a_run_of_another_version_is_named_and_stops_nothing(train: Train) -> None:
    first = train("seed=1", *FAST)
    (path,) = (first.results / "runs" / "playground").glob("*/run.json")
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    result = train("-m", "seed=2,3", *FAST)
    assert (result.status, "2 of 2 runs" in result.output) == (0, True)
    assert "was written by another version of nnlab" in result.output


def test_what_to_type_after_an_outage_can_be_typed(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    results = tmp_path / "o f"
    away = "tracking.uri=http://127.0.0.1:1"
    result = train("seed=1", away, "tracking.experiment=my exp", *FAST, results=results)
    assert f"""make sync ARGS="--results-dir '{results}' --uri http://127.0.0.1:1 -- 'my exp'\"""" in result.output


def test_a_sweep_ends_in_a_table_and_the_next_step(train: Train) -> None:
    result = train("-m", "model.activation=relu,tanh", "model.hidden_size=2,3", "seed=range(2)", *FAST)
    assert result.status == 0, result.error
    preflight, *_ = result.output.splitlines()
    assert preflight.startswith("8 runs of experiment playground")
    assert "about" in preflight
    assert "interquartile mean over 2 seeds [range]" in result.output
    assert "8 of 8 runs" in result.output
    assert "reports/playground.html" in result.output


def test_a_sweep_keeps_hydras_promises(train: Train) -> None:
    result = train("-m", "seed=3,4", "init=he,zeros", *FAST)
    assert result.status == 0, result.error
    (sweep,) = (result.results / "hydra" / "sweeps").glob("*/*")
    assert (sweep / "multirun.yaml").is_file()
    jobs = sorted(path.name for path in sweep.iterdir() if path.is_dir())
    assert jobs == ["0", "1", "2", "3"]

    def job(number: str, name: str) -> Any:
        return yaml.safe_load((sweep / number / ".hydra" / f"{name}.yaml").read_text())

    assert {"seed=3", "init=zeros", "training.iterations=20"} <= set(job("1", "overrides"))
    assert job("1", "config")["init"] == {"scheme": "zeros", "scale": 0.0, "generator": "pcg64"}
    assert job("2", "config")["seed"] == 4
    assert [job(number, "hydra")["hydra"]["job"]["num"] for number in jobs] == [0, 1, 2, 3]


def test_fast_composition_gives_what_hydra_gives() -> None:
    from hydra import initialize_config_dir
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from experiments.schema import register
    from hydra_plugins.nnlab_composition import compose

    register()
    batch = [
        ["init=he", "seed=5", "model.layers=[3,2]"],
        ["init=he", "seed=6", "model.layers=null"],
        ["data=digits", "training=mini_batch", "training.learning_rate=0.5"],
        ["experiment=course_initialization", "model.activation=gelu"],
    ]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = ConfigLoaderImpl(create_config_search_path(str(ROOT / "conf")))
        master = loader.load_configuration("config", ["seed=1"], RunMode.MULTIRUN)
        HydraConfig.instance().set_config(master)
        composed = compose(loader, master, batch)
        quick = [job.config() for job in composed]
        slow = [loader.load_sweep_config(master, list(words)) for words in batch]
        for one, other in zip(quick, slow, strict=True):
            for config in (one, other):
                config.hydra.job.override_dirname = ""  # Hydra's own is going away in 1.4
            assert OmegaConf.to_container(one) == OmegaConf.to_container(other)
        for job, other in zip(composed, slow, strict=True):
            task = OmegaConf.to_container(other, resolve=False)
            assert isinstance(task, dict)
            assert job.task == {key: value for key, value in task.items() if key != "hydra"}


def test_typing_a_sweep_again_makes_only_what_is_new(train: Train) -> None:
    train("-m", "seed=range(2)", *FAST)
    result = train("-m", "seed=range(3)", *FAST)
    assert "2 done already" in result.output
    assert "3 of 3 runs" in result.output


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_preset_is_legal(preset: Path, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """All jobs of it are composed, checked and planned, as many as its grid has; none is trained."""
    planned = []

    def conduct(study: Study) -> None:
        planned.append(study)
        sys.exit(0)

    monkeypatch.setattr("nnlab.study.console.conduct", conduct)
    option = f"{preset.parent.name}={preset.stem}"
    words = {
        "data=file": ["data.path=missing.csv", "data.target=y"],
        "tracking=server": ["tracking.enabled=false"],
        "launcher=dask": ["launcher.backend=processes", "launcher.address=null"],  # there is no cluster here
    }.get(option, [])
    result = train(option, *words)
    if option == "data=file":
        assert "missing.csv" in result.error
        return
    assert result.status == 0, result.error
    (study,) = planned
    assert len(study.jobs) == grid_size(preset)


def grid_size(preset: Path) -> int:
    """Return how many combinations a preset asks for."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    grid = yaml.safe_load(preset.read_text()).get("hydra", {}).get("sweeper", {})
    side_by_side = grid.get("paired", [])[1:]
    words = [f"{key}={values}" for key, values in grid.get("params", {}).items() if key not in side_by_side]
    overrides = OverridesParser.create().parse_overrides(words)
    return prod(len(list(override.sweep_string_iterator())) for override in overrides)


@pytest.mark.parametrize("preset", sorted((ROOT / "conf" / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_has_one_name(preset: Path) -> None:
    assert yaml.safe_load(preset.read_text())["tracking"]["experiment"] == preset.stem


def test_the_default_sweep_is_420_runs() -> None:
    assert grid_size(ROOT / "conf" / "experiment" / "initialization.yaml") == 420


def test_the_command_line_wins_over_a_preset(train: Train) -> None:
    result = train("experiment=initialization", "model.hidden_size=2", "seed=0", "init.scale=1.0", *FAST)
    assert result.status == 0, result.error
    assert "4 of 4 runs" in result.output


def python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60)
    return done.stdout


def test_help_lists_presets_and_keys() -> None:
    shown = python("experiments/train.py", "--help")
    experiments = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
    assert f"experiment: {', '.join(experiments)}" in shown
    assert "hidden_size: 4" in shown


def test_importing_nnlab_imports_no_tracker_no_plots_no_hydra() -> None:
    loaded = python("-c", "import sys, nnlab; nnlab.RunConfig, nnlab.run, nnlab.course; print(*sys.modules)").split()
    assert "numpy" in loaded
    assert not {"mlflow", "matplotlib", "hydra", "omegaconf"} & set(loaded)


def test_ctrl_c_says_what_was_kept(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.study import execute

    real = execute.train_stacks

    def interrupted(*stacks: Any) -> Any:
        yield next(iter(real(*stacks)))
        raise KeyboardInterrupt

    monkeypatch.setattr(execute, "train_stacks", interrupted)
    result = train("-m", "seed=range(3)", "model.hidden_size=2,3", *FAST, "launcher.n_jobs=1")
    assert result.status == 130
    assert "1 of 6 runs are kept" in result.output
    assert "same command again" in result.output
    monkeypatch.setattr(execute, "train_stacks", real)
    again = train("-m", "seed=range(3)", "model.hidden_size=2,3", *FAST, "launcher.n_jobs=1")
    assert "1 done already" in again.output
    assert "6 of 6 runs" in again.output


def test_ctrl_c_that_python_drops_ends_a_sweep_all_the_same(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from nnlab.study import execute

    real = execute.train_stacks

    def interrupted(*stacks: Any) -> Any:
        for result in real(*stacks):
            with contextlib.suppress(KeyboardInterrupt):  # as Python does in a callback of the garbage collection
                signal.raise_signal(signal.SIGINT)
            yield result

    monkeypatch.setattr(execute, "train_stacks", interrupted)
    result = train("-m", "seed=range(3)", *FAST, "launcher.n_jobs=1")
    assert result.status == 130
    assert "1 of 3 runs are kept" in result.output
    (summary,) = Logbook(result.results)
    assert summary.status == "KILLED"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_that_fails_is_shown_and_the_exit_status_says_so(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:

    from nnlab.study import workers

    def broken(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(workers, "run_stack", broken)
    result = train("-m", "seed=range(2)", *FAST, "launcher.n_jobs=1")
    assert result.status == 1
    assert "FAILED seed 0\n  to repeat: python experiments/train.py seed=0 results_dir=" in result.output
    assert "FAILED seed 1\n  to repeat: python experiments/train.py seed=1 results_dir=" in result.output
    assert result.output.count("RuntimeError: planted") == 1  # the same traceback is shown once
    assert "0 of 2 runs" in result.output


NAMES = st.text(st.sampled_from("ab'\"\\\\ ${}[]=,:;&|1.e-"), min_size=1, max_size=8)


@given(
    seed=st.integers(0, 10**6),
    data=st.builds(nnlab.DataConfig, name=st.just("file"), path=NAMES, target=NAMES),
    scale=st.floats(0, 1e9),
    layers=st.none() | st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_the_words_of_a_config_make_the_same_config(
    seed: int, data: nnlab.DataConfig, scale: float, layers: list[int] | None
) -> None:
    config = nnlab.RunConfig(
        seed, data=data, init=nnlab.InitConfig(scale=scale), model=nnlab.ModelConfig(layers=layers, activation="relu")
    )
    GlobalHydra.instance().clear()
    register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        made = compose("config", overrides(config))
    values = OmegaConf.to_container(made, resolve=True)
    assert isinstance(values, dict)
    assert resolve(from_dict({str(key): value for key, value in values.items()})) == resolve(config)


def test_words_say_only_what_differs() -> None:
    assert overrides(nnlab.RunConfig()) == []
    config = nnlab.RunConfig(7, init=nnlab.InitConfig("zeros"), model=nnlab.ModelConfig(layers=[5, 5]))
    assert overrides(config) == ["seed=7", "model.hidden_size=5", "model.depth=2", "init.scheme=zeros"]


def test_lists_can_be_swept(train: Train) -> None:
    result = train("-m", "model.layers=[4,3],[8,4]", "seed=1,2", "training.iterations=20")
    assert result.status == 0, result.error
    assert "[8, 4]" in result.output
    assert "4 of 4 runs" in result.output


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.activation=${data.name},tanh", "got 'flower' (in 1 of 2 runs)"),
        ('model.activation="${data.name}",tanh', "got 'flower' (in 1 of 2 runs)"),
        ("data.name=${nope:1},moons", "data.name cannot be resolved: Unsupported interpolation type nope"),
        ('model.layers=[4,"${nope}"],[3]', "model.layers[1] cannot be resolved: Interpolation key 'nope' not found"),
    ],
)
def test_swept_interpolations_are_resolved_or_refused(word: str, said: str, train: Train) -> None:
    result = train("-m", word)
    assert result.status == 1
    assert said in result.error
    assert "Traceback" not in result.error
    assert not result.results.exists()


def test_a_swept_interpolation_takes_the_value_of_its_job(train: Train) -> None:
    result = train("-m", "model.hidden_size=${seed}", "seed=5,6", *FAST)
    assert result.status == 0, result.error
    runs = nnlab.load_runs("playground", str(result.results))
    assert set(zip(runs["seed"], runs["model.hidden_size"], strict=True)) == {(5, 5), (6, 6)}


def test_runs_asked_for_twice_are_counted_once(train: Train) -> None:
    result = train("-m", "init.scale=0,0.0", "training.iterations=20")
    assert result.status == 0, result.error
    assert "1 of them different" in result.output
    assert "done already" not in result.output


def test_paired_keys_go_side_by_side(train: Train) -> None:
    words = ("init.scheme=he,normal,zeros", "init.scale=1.0,0.01,0", "seed=1,2", *FAST)
    result = train("-m", "hydra.sweeper.paired=[init.scheme,init.scale]", *words)
    assert result.status == 0, result.error
    assert "6 of 6 runs" in result.output
    runs = nnlab.load_runs("playground", str(result.results))
    pairs = set(zip(runs["init.scheme"], runs["init.scale"], runs["seed"], strict=True))
    settings = (("he", 1.0), ("normal", 0.01), ("zeros", 0.0))
    assert pairs == {(scheme, scale, seed) for scheme, scale in settings for seed in (1, 2)}


def test_several_groups_of_paired_keys(train: Train) -> None:
    paired = "hydra.sweeper.paired=[[init,init.scale],[seed,data.seed]]"
    result = train("-m", paired, "init=he,normal", "init.scale=1.0,0.1", "seed=1,2", "data.seed=5,6", *FAST)
    assert result.status == 0, result.error
    runs = nnlab.load_runs("playground", str(result.results))
    assert set(zip(runs["seed"], runs["data.seed"], strict=True)) == {(1, 5), (2, 6)}
    assert set(zip(runs["init.scheme"], runs["init.scale"], strict=True)) == {("he", 1.0), ("normal", 0.1)}
    assert len(runs) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("init.scale=1,2,3", "seed=1,2"), "init.scale has 3, seed has 2"),
        (("seed=1,2",), "training.iterations), got init.scale"),
    ],
)
def test_wrong_pairs_are_refused(words: tuple[str, ...], said: str, train: Train) -> None:
    result = train("-m", "hydra.sweeper.paired=[init.scale,seed]", *words, "training.iterations=5")
    assert result.status == 1
    assert said in result.error
    assert "Traceback" not in result.error
    assert not result.results.exists()


def job_files(results: Path) -> dict[str, Any]:
    (sweep,) = (results / "hydra" / "sweeps").glob("*/*")
    files = {str(path.relative_to(sweep)): path.read_text() for path in sweep.glob("*/.hydra/*.yaml")}
    return {
        name: yaml.safe_load(text.replace(str(sweep), "SWEEP").replace(str(results), "R"))
        for name, text in files.items()
    }


def test_the_files_of_a_job_are_those_that_hydra_writes(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydra_plugins.nnlab_launcher import NnlabLauncher

    words = ("-m", "seed=3,4", "init=he", "model.layers=[4,3],null", *FAST)
    ours = train(*words, results=tmp_path / "ours")
    monkeypatch.setattr(NnlabLauncher, "_nothing_to_call", lambda _: False)
    hydras = train(*words, results=tmp_path / "hydras")
    assert ours.status == hydras.status == 0, hydras.error
    written, expected = job_files(tmp_path / "ours"), job_files(tmp_path / "hydras")
    assert len(written) == 12
    for name, content in expected.items():
        if name.endswith("hydra.yaml"):
            for part in (content, written[name]):
                del part["hydra"]["job"]["override_dirname"]  # computed by Hydra when asked; going away in 1.4
                del part["hydra"]["sweep"]["dir"]
        assert written[name] == content, name


def test_callbacks_are_called_for_every_job(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = tmp_path / "calls.txt"
    module = tmp_path / "planted_callback.py"
    module.write_text(
        "from hydra.experimental.callback import Callback\n"
        "class Note(Callback):\n"
        "    def on_job_end(self, config, job_return, **kwargs):\n"
        f"        with open({str(calls)!r}, 'a') as file:\n"
        "            file.write(f'{job_return.status.name} {job_return.return_value:.3f}\\n')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    result = train("-m", "seed=1,2", "+hydra.callbacks.note._target_=planted_callback.Note", *FAST)
    assert result.status == 0, result.error
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["COMPLETED", "COMPLETED"]


def test_one_failing_job_among_many_ends_the_others_and_the_status_says_so(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:

    from nnlab.study import workers

    real = workers.run_stack

    def sometimes(configs: Any, *rest: Any) -> Any:
        if configs[0].model.hidden_size == 3:
            raise RuntimeError("planted")
        return real(configs, *rest)

    monkeypatch.setattr(workers, "run_stack", sometimes)
    result = train("-m", "model.hidden_size=2,3,4", *FAST, "launcher.n_jobs=1")
    assert result.status == 1
    assert "2 of 3 runs" in result.output
    assert "FAILED h3" in result.output
    (sweep,) = (result.results / "hydra" / "sweeps").glob("*/*")
    assert len(list(sweep.glob("*/.hydra/config.yaml"))) == 3


@pytest.mark.parametrize("size", [1, 2])
def test_a_sweep_in_batches_is_one_study(size: int, train: Train) -> None:
    result = train("-m", "seed=range(3)", f"hydra.sweeper.max_batch_size={size}", *FAST)
    assert result.status == 0, result.error
    assert "3 of 3 runs" in result.output
    (summary,) = Logbook(result.results)
    assert (summary.status, summary.swept, len(summary.runs), summary.made) == ("FINISHED", ["seed"], 3, 3)


@pytest.mark.parametrize("launcher", ["nnlab", "basic"])
def test_all_batches_are_checked_before_the_first_is_made(launcher: str, train: Train) -> None:
    result = train("-m", "seed=1,-1", "hydra.sweeper.max_batch_size=1", f"hydra/launcher={launcher}", *FAST)
    assert result.status == 1
    assert "got -1 (in 1 of 2 runs)" in result.error
    assert not result.results.exists()


def test_a_server_that_is_away_does_not_stop_a_sweep(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = train("-m", "seed=1,2", "tracking.uri=http://127.0.0.1:9", *FAST)
    assert result.status == 0, result.error
    assert "2 of 2 runs" in result.output
    assert f'make sync ARGS="--results-dir {result.results} --uri http://127.0.0.1:9 -- playground"' in result.output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_stopped_says_so_in_two_lines_and_keeps_what_is_done(
    stop: signal.Signals, tmp_path: Path
) -> None:
    words = ("-m", "seed=range(4)", "training.iterations=1000000", "tracking.enabled=false", "launcher.n_jobs=2")
    command = [sys.executable, "experiments/train.py", *words, f"results_dir={tmp_path}"]
    sweep = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    for _ in range(600):
        if any(summary.status == "RUNNING" for summary in Logbook(tmp_path)):
            break
        time.sleep(0.05)
    os.killpg(sweep.pid, stop) if stop is signal.SIGINT else sweep.send_signal(stop)
    said = sweep.communicate(timeout=60)[0]
    assert sweep.returncode == 130
    assert "Stopped. 0 of 4 runs are kept" in said
    assert "Traceback" not in said
    (summary,) = Logbook(tmp_path)
    assert summary.status == "KILLED"


@pytest.mark.parametrize(
    ("redirection", "launcher"),
    [("| true", "nnlab"), (">/dev/full 2>&1", "joblib"), (">&- 2>&- <&-", "nnlab")],
)
def test_output_that_nobody_can_read_stops_no_training(redirection: str, launcher: str, tmp_path: Path) -> None:
    words = (
        "-m",
        "model.hidden_size=2,3",
        f"hydra/launcher={launcher}",
        *FAST,
        "tracking.enabled=false",
        f"results_dir={tmp_path / 'results'}",
    )
    command = shlex.join([sys.executable, "experiments/train.py", *words])
    script = f"set -o pipefail; {command} {redirection}"
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert not any(word in done.stderr for word in ("Traceback", "Error", "Exception"))
    assert len(nnlab.load_runs("playground", str(tmp_path / "results"))) == 2


def test_ctrl_c_while_the_program_is_imported_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, "experiments/train.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
