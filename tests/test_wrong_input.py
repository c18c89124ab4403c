"""Wrong configs and files: one clear error each, nothing written, no traceback."""

import contextlib
import gzip
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from conftest import Train

import nnlab
from nnlab.config import from_dict

WRONG_VALUES = {
    "seed=-1": "seed",
    "seed=4294967296": "seed",
    "seed=1.5": "seed",
    "seed=abc": "seed",
    "seed=null": "seed",
    "data.name=flowers": "data.name",
    "data=flowers": "data must be one of",
    "data.m=1": "data.m",
    "data.m=0": "data.m",
    "data.m=two": "data.m",
    "data.noise=-0.1": "data.noise",
    "data.noise=nan": "data.noise",
    "data.noise=inf": "data.noise",
    "data.seed=-1": "data.seed",
    "data.test_m=0": "data.test_m",
    "data.test_fraction=0.5": "data.test_fraction",
    "data.path=x.csv": "data.path",
    "data.target=y": "data.target",
    "data.standardize=maybe": "data.standardize",
    "model.hidden_size=0": "model.hidden_size",
    "model.hidden_size=-4": "model.hidden_size",
    "model.hidden_size=2.5": "model.hidden_size",
    "model.hidden_size=many": "model.hidden_size",
    "model.hidden_size=1000000": "model.hidden_size",
    "model.depth=-1": "model.depth",
    "model.layers=[4,0]": "model.layers",
    "model.layers=4": "model.layers",
    "model.layers=[a]": "model.layers",
    "model.activation=tahn": "model.activation",
    "model.activation=Tanh": "model.activation",
    "model.activaton=tanh": "model.activation",
    "init.scheme=glorot": "init.scheme",
    "init.scale=-0.01": "init.scale",
    "init.scale=nan": "init.scale",
    "init.scale=inf": "init.scale",
    "init.scale=small": "init.scale",
    "init.generator=mt19937": "init.generator",
    "training.iterations=-1": "training.iterations",
    "training.iterations=1e4": "training.iterations",
    "training.learning_rate=-1": "training.learning_rate",
    "training.learning_rate=nan": "training.learning_rate",
    "training.batch_size=0": "training.batch_size",
    "training.batch_size=401": "training.batch_size",
    "training.dtype=float16": "training.dtype",
    "training.arithmetic=fast": "training.arithmetic",
    "diagnostics.preset=all": "diagnostics.preset",
    "diagnostics.checkpoints=1": "diagnostics.checkpoints",
    "diagnostics.every=0": "diagnostics.every",
    "tracking.enabled=perhaps": "tracking.enabled",
    "tracking.uri=''": "tracking.uri",
    "tracking.experiment=''": "tracking.experiment",
    "tracking.experiment=../outside": "tracking.experiment",
    "launcher.n_jobs=0": "launcher.n_jobs",
    "optimizer=adam": "optimizer",
    "seed=" + 5000 * "9": "seed must be a number",
    "+model.dropout=0.5": "dropout",
    "experiment=initialisation": "experiment must be one of",
    "model=": "model",
    "data=null": "data",
    "training=1": "training",
    "model=2.5": "model",
    "results_dir=''": "results_dir",
    "+=3": "KEY=VALUE",
    "~": "KEY=VALUE",
    "model.layers.0=3": "model.layers",
    "tracking.experiment=Default": "tracking.experiment",
    "hydra.run.dir=": "hydra.run.dir must name a folder",
    "hydra.sweep.dir=''": "hydra.sweep.dir must name a folder",
}


@pytest.mark.parametrize(("override", "named"), WRONG_VALUES.items(), ids=str)
def test_a_wrong_value_is_one_clear_error(override: str, named: str, train: Train) -> None:
    result = train(override)
    assert result.status == 1
    assert named in result.error
    assert "Traceback" not in result.error
    assert len(result.error.splitlines()) <= 25  # Hydra lists all presets of a group
    assert not result.results.exists()


WRONG_TOGETHER = {
    "data.name=digits data.m=100": ["data.m", "digits"],
    "data.name=digits data.noise=0.1": ["data.noise", "digits"],
    "data.name=quantiles data.noise=0.1": ["data.noise", "quantiles"],
    "data.name=file data.path=x.csv": ["data.target"],
    "data.name=file data.target=y": ["data.path"],
    "data=file": ["data.path"],
    "data.name=breast_cancer training.batch_size=569": ["training.batch_size", "breast_cancer"],
    "data.name=spiral data.m=2": ["data.m", "spiral"],
    "model.hidden_size=100000 model.depth=1000": ["model.hidden_size", "memory"],
    "training.iterations=1000000 diagnostics.every=1": ["diagnostics.every"],
    "model.hidden_size=0 init.scale=-1": ["model.hidden_size", "init.scale"],
    "tracking.uri=nonsense://nowhere": ["tracking.uri"],
}


@pytest.mark.parametrize(("overrides", "named"), WRONG_TOGETHER.items(), ids=str)
def test_values_that_contradict_each_other_are_one_clear_error(overrides: str, named: list[str], train: Train) -> None:
    result = train(*overrides.split())
    assert result.status == 1
    assert all(name in result.error for name in named), result.error
    assert "Traceback" not in result.error
    assert result.written == []


WRONG_SWEEPS = {
    "seed=range(0)": "at least one value",
    "seed=range(3,0)": "at least one value",
    "seed=interval(0,3)": "can be listed",
    "tracking.experiment=one,two": "tracking.experiment must be the same",
    "tracking.enabled=false,true": "tracking.enabled must be the same",
    "launcher.n_jobs=1,2": "launcher.n_jobs must be the same",
    "experiment=course_flower,initialization": "brings its own grid",
}


@pytest.mark.parametrize(("override", "message"), WRONG_SWEEPS.items(), ids=str)
def test_a_sweep_over_no_or_forbidden_values_is_one_clear_error(override: str, message: str, train: Train) -> None:
    result = train("-m", override)
    assert result.status == 1
    assert message in result.error
    assert override.split("=")[0] in result.error
    assert "Traceback" not in result.error
    assert not result.results.exists()


WRONG_URIS = {
    "sqlite://": "file",
    "sqlite:///{folder}": "folder that exists",
    "sqlite:///{folder}/nowhere/mlflow.db": "folder that exists",
    "sqlite:///{folder}/notes.txt": "something else",
    "sqlite:///{folder}/other.db": "something else",
    "sqlite:///{folder}/50%.db": "%",
    "oracle+nodriver://nowhere/db": "tracking.uri",
    "http//127.0.0.1": "tracking.uri",
}


@pytest.mark.parametrize(("uri", "message"), WRONG_URIS.items(), ids=WRONG_URIS.keys())
def test_an_unusable_tracking_uri_is_one_clear_error(uri: str, message: str, train: Train, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database " * 100)
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE notes (text)")
    result = train(f"tracking.uri='{uri.format(folder=tmp_path)}'", "training.iterations=5")
    assert result.status == 1
    assert message in result.error
    assert "tracking.uri" in result.error
    assert "Traceback" not in result.error
    assert result.written == []


@pytest.mark.parametrize("name", ["50%", "what?", "a#b"])
def test_a_results_folder_whose_name_sqlite_would_misread_is_rejected(name: str, train: Train, tmp_path: Path) -> None:
    result = train(f"results_dir='{tmp_path / name}'", "tracking.enabled=true", "training.iterations=5")
    assert result.status == 1
    assert "results_dir must not contain" in result.error
    assert not (tmp_path / name / "runs").exists()


def test_a_results_folder_may_have_spaces_quotes_and_accents(train: Train, results: Path) -> None:
    odd = results.rename(results.with_name("my résults 'x'"))
    result = train(f'results_dir="{odd}"', "tracking.enabled=true", "training.iterations=5")
    assert result.status == 0, result.error
    assert len(list(odd.glob("artifacts/playground/*/artifacts/run.json"))) == 1


@pytest.mark.parametrize(
    "results_dir", ["~nobody_of_that_name/x", "x" * 300, "/proc/nowhere", "/dev/null/x"], ids=lambda text: text[:20]
)
def test_an_unusable_results_folder_is_one_clear_error(results_dir: str, train: Train) -> None:
    result = train(f"results_dir='{results_dir}'")
    assert result.status == 1
    assert "results_dir must be a folder that can be written to" in result.error
    assert "Traceback" not in result.error


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "nnlab.RunConfig"),
        (nnlab.RunConfig(model=None), "model must be a nnlab.ModelConfig"),  # type: ignore[arg-type]
        (nnlab.RunConfig(model=nnlab.ModelConfig(layers=iter([4]))), "model.layers"),  # type: ignore[arg-type]
        (nnlab.RunConfig(model=nnlab.ModelConfig(layers={4: 1})), "model.layers"),  # type: ignore[arg-type]
        (nnlab.RunConfig(init=nnlab.InitConfig(scale=10**400)), "init.scale"),
        (nnlab.RunConfig(init=nnlab.InitConfig(scale=np.array([1.0]))), "init.scale"),  # type: ignore[arg-type]
        (from_dict({"seed": {"a": 1}}), "seed"),
        (nnlab.RunConfig(seed=np.float64(3)), "seed"),  # type: ignore[arg-type]
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_config_in_python_is_a_config_error(config: nnlab.RunConfig, message: str) -> None:
    with pytest.raises(nnlab.ConfigError, match=message):
        nnlab.run(config)


def endless() -> list[object]:
    """A list that holds itself, as an alias in YAML can."""
    widths: list[object] = [4]
    widths.append(widths)
    return widths


UNSHOWABLE = {
    "an integer of thousands of digits": (nnlab.RunConfig(seed=10**5000), "seed must be an integer"),
    "a long text": (nnlab.RunConfig(init=nnlab.InitConfig("x" * 100_000)), "init.scheme must be one of"),
    "an array": (nnlab.RunConfig(seed=np.zeros((3, 3))), "seed must be an integer"),  # type: ignore[arg-type]
    "a part": (nnlab.RunConfig(model=10**5000), "model must be a nnlab.ModelConfig"),  # type: ignore[arg-type]
    "many wrong widths": (nnlab.RunConfig(model=nnlab.ModelConfig(layers=[0] * 900)), "model.layers[0] must be"),
    "an endless list": (nnlab.RunConfig(model=nnlab.ModelConfig(layers=endless())), "model.layers must not be"),  # type: ignore[arg-type]
    "a list elsewhere": (nnlab.RunConfig(seed=endless()), "seed must not be a list of lists"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("config", "beginning"), UNSHOWABLE.values(), ids=UNSHOWABLE)
def test_a_message_shows_the_value_on_one_short_line(config: nnlab.RunConfig, beginning: str) -> None:
    with pytest.raises(nnlab.ConfigError) as caught:
        nnlab.run(config)
    assert str(caught.value).startswith(beginning)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_layers_has_at_most_as_many_layers_as_depth() -> None:
    nnlab.validation.validate(nnlab.RunConfig(model=nnlab.ModelConfig(layers=[1] * 1_000)))
    with pytest.raises(nnlab.ConfigError, match=r"model\.layers must have at most 1000 items, got 1001"):
        nnlab.run(nnlab.RunConfig(model=nnlab.ModelConfig(layers=[1] * 1_001)))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (nnlab.RunConfig(results_dir="\udcff"), "results_dir"),
        (nnlab.RunConfig(data=nnlab.DataConfig("file", path="\udcff.csv", target="y")), "data.path"),
        (nnlab.RunConfig(data=nnlab.DataConfig("file", path="a.csv", target="\ud800")), "data.target"),
    ],
    ids=["results_dir", "path", "target"],
)
def test_a_text_that_utf8_cannot_write_is_rejected(config: nnlab.RunConfig, key: str) -> None:
    with pytest.raises(nnlab.ConfigError, match=f"^{key} must be a text that UTF-8 can write"):
        nnlab.run(config)


@pytest.mark.parametrize("name", ["x" * 256, "é" * 128, "a/" * 1_500], ids=["long", "long in bytes", "deep"])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_results_folder_whose_name_is_too_long_is_rejected_in_python(
    name: str, enabled: bool, tmp_path: Path
) -> None:
    config = nnlab.RunConfig(results_dir=f"{tmp_path}/{name}", tracking=nnlab.TrackingConfig(enabled))
    with pytest.raises(nnlab.ConfigError, match=r"^results_dir must be a folder that can be written to"):
        nnlab.run(config, tracking=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        nnlab.DataConfig("nope"),
        nnlab.DataConfig(m="5"),  # type: ignore[arg-type]
        nnlab.DataConfig(noise=-1.0),
        nnlab.DataConfig(seed=-1),
        nnlab.DataConfig("digits", m=5),
        nnlab.DataConfig("digits", test_fraction=2.0),
    ],
    ids=str,
)
def test_a_wrong_data_config_in_python_is_a_config_error(data: nnlab.DataConfig) -> None:
    with pytest.raises(nnlab.ConfigError, match="data"):
        nnlab.load_dataset(data)


@pytest.mark.parametrize("n_jobs", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_workers_is_a_config_error(n_jobs: object, tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="n_jobs must be an integer"):
        nnlab.sweep([nnlab.RunConfig(results_dir=str(tmp_path))], n_jobs=n_jobs)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["../..", "a/b", "", "/", "nowhere"])
def test_loading_an_unknown_experiment_is_a_config_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(nnlab.ConfigError, match="experiment must be"):
        nnlab.load_runs(name, str(tmp_path))


def test_one_wrong_run_of_a_sweep_stops_it_before_the_first(train: Train) -> None:
    result = train("-m", "model.hidden_size=1,2,0", "seed=range(3)")
    assert result.status == 1
    assert "model.hidden_size" in result.error
    assert "(in 3 of 9 runs)" in result.error
    assert "Traceback" not in result.error
    assert result.written == []


def test_one_wrong_run_stops_a_sweep_of_a_stock_launcher_too(train: Train) -> None:
    result = train("-m", "hydra/launcher=basic", "model.hidden_size=1,0")
    assert result.status == 1
    assert "model.hidden_size" in result.error
    assert "Traceback" not in result.error
    assert result.written == []


WRONG_FILES = {
    "missing.csv": (None, "data.path"),
    "empty.csv": (b"", "data.path"),
    "header.csv": (b"a,y\n", "data.path"),
    "one_row.csv": (b"a,y\n1,0\n", "row"),
    "one_class.csv": (b"a,y\n1,0\n2,0\n3,0\n", "data.target"),
    "no_target.csv": (b"a,b\n1,0\n2,1\n", "data.target"),
    "dates.csv": (b"a,y\n2020-01-01,0\n2020-01-02,1\n2020-01-02,0\n2020-01-03,1\n", "a"),
    "nan.csv": (b"a,y\n1,0\n,1\n2,0\n3,1\n", "a"),
    "ragged.csv": (b"a,y\n1,0\n1,2,3\n", "data.path"),
    "binary.csv": (b"\xff\xfe\x00\x01" * 40, "data.path"),
    "broken.parquet": (b"PAR1 not really", "data.path"),
    "table.xlsx": (b"a,y\n1,0\n", "data.path"),
    "wide.csv": ((",".join(f"c{n}" for n in range(20_001)) + ",y\n").encode(), "data.path"),
    "truncated.csv.gz": (gzip.compress(b"a,y\n1,0\n" * 100, mtime=0)[:30], "data.path"),
}


@pytest.mark.parametrize(
    ("name", "content", "named"), [(name, *case) for name, case in WRONG_FILES.items()], ids=list(WRONG_FILES)
)
def test_a_wrong_file_is_one_clear_error(
    name: str, content: bytes | None, named: str, train: Train, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    result = train("data=file", f"data.path={path}", "data.target=y")
    assert result.status == 1
    assert named in result.error
    assert name in result.error
    assert "Traceback" not in result.error
    assert result.written == []


def test_a_folder_as_data_file_is_one_clear_error(train: Train, tmp_path: Path) -> None:
    result = train("data=file", f"data.path={tmp_path}", "data.target=y")
    assert result.status == 1
    assert "data.path" in result.error
    assert "Traceback" not in result.error


def test_a_file_as_results_folder_is_one_clear_error(train: Train, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = train(f"results_dir={tmp_path / 'taken'}")
    assert result.status == 1
    assert "results_dir" in result.error
    assert "Traceback" not in result.error
