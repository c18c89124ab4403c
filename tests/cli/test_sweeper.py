"""How the sweeper reads its words: jobs, pairs, batches, and the files that Hydra promises."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Train
from hydra import initialize_config_dir
from omegaconf import OmegaConf

import nnlab
from nnlab.cli.hydra_schema import register
from nnlab.record.sweeps import SweepLog
from nnlab.results import Results

ROOT = Path(__file__).resolve().parents[2]
FAST = ("training.iterations=20", "diagnostics.checkpoints=3", "diagnostics.every=null")


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


def test_fast_composition_equals_hydras() -> None:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.utils import create_config_search_path
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

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
    monkeypatch.setattr(NnlabLauncher, "_needs_only_files", lambda _: False)
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

    from nnlab.study import attempt

    real = attempt.run_stack

    def sometimes(configs: Any, *rest: Any) -> Any:
        if configs[0].model.hidden_size == 3:
            raise RuntimeError("planted")
        return real(configs, *rest)

    monkeypatch.setattr(attempt, "run_stack", sometimes)
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
    (summary,) = SweepLog(Results(result.results))
    assert (summary.status, summary.swept, len(summary.runs), summary.made) == ("FINISHED", ["seed"], 3, 3)


@pytest.mark.parametrize("launcher", ["nnlab", "basic"])
def test_all_batches_are_checked_before_the_first_is_made(launcher: str, train: Train) -> None:
    result = train("-m", "seed=1,-1", "hydra.sweeper.max_batch_size=1", f"hydra/launcher={launcher}", *FAST)
    assert result.status == 1
    assert "got -1 (in 1 of 2 runs)" in result.error
    assert not result.results.exists()
