"""Every data set: its arrays, its split, and for files what is read and what is rejected."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

import nnlab
from nnlab.config import DATA, ConfigError, DataConfig
from nnlab.datasets import READ, load_dataset
from nnlab.planar_datasets import DRAWN
from nnlab.table_files import file_digest
from nnlab.tables import read_table

FLOWER = json.loads((Path(__file__).parent / "data" / "flower.json").read_text())
BUNDLED = ("digits", "breast_cancer", "diabetes")


def csv(path, text, target="y", **changes):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return DataConfig(name="file", path=str(path), target=target, **changes)


def parquet(path, columns, target="y", **changes):
    pd.DataFrame(columns).to_parquet(path)
    return DataConfig(name="file", path=str(path), target=target, **changes)


def error_message(data):
    with pytest.raises(ConfigError) as error:
        load_dataset(data)
    # Messages of pandas or Arrow must not show, neither in the text nor as a chain of exceptions.
    assert error.value.__cause__ is None
    assert error.value.__context__ is None or error.value.__suppress_context__
    text = str(error.value)
    assert "Traceback" not in text
    assert "\n" not in text
    return text


def equal(left, right):
    return all(
        np.array_equal(getattr(left, part), getattr(right, part)) for part in ("X", "Y", "X_test", "Y_test", "x_scale")
    )


# ---- every data set


def test_every_data_set_in_the_config_has_a_function():
    assert {name for name, traits in DATA.items() if traits.drawn} == set(DRAWN)
    assert {name for name, traits in DATA.items() if not traits.drawn} == set(READ)


@pytest.mark.parametrize("name", [*DRAWN, *BUNDLED])
@pytest.mark.parametrize("standardize", [None, True, False])
def test_arrays_are_columns_of_float64(name, standardize):
    data = load_dataset(DataConfig(name=name, standardize=standardize))
    n_y = len(data.classes) if data.task == "multiclass" else 1
    assert data.name == name
    assert data.X.shape == (len(data.features), data.Y.shape[1])
    assert data.X_test.shape == (len(data.features), data.Y_test.shape[1])
    assert data.Y.shape[0] == data.Y_test.shape[0] == n_y
    assert data.x_mean.shape == data.x_scale.shape == (len(data.features), 1)
    assert data.y_mean.shape == data.y_scale.shape == (n_y, 1)
    parts = (data.X, data.Y, data.X_test, data.Y_test)
    assert all(part.dtype == np.float64 and part.flags.c_contiguous and np.isfinite(part).all() for part in parts)
    assert len(set(data.features)) == len(data.features)


@pytest.mark.parametrize("name", [*DRAWN, *BUNDLED])
def test_loading_twice_gives_the_same_data_and_does_not_change_the_config(name):
    config = DataConfig(name=name, seed=4)
    assert equal(load_dataset(config), load_dataset(config))
    assert config == DataConfig(name=name, seed=4)


@pytest.mark.parametrize("name", [*DRAWN, *BUNDLED])
def test_another_seed_gives_another_data_set(name):
    assert not equal(load_dataset(DataConfig(name=name, seed=4)), load_dataset(DataConfig(name=name, seed=5)))


@pytest.mark.parametrize("name", [*DRAWN, *BUNDLED])
def test_the_global_random_state_does_not_change(name):
    before = np.random.get_state()[1].copy()
    load_dataset(DataConfig(name=name))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("name", "task", "n_classes"),
    [
        ("flower", "binary", 2),
        ("spiral", "multiclass", 3),
        ("digits", "multiclass", 10),
        ("diabetes", "regression", 0),
        ("breast_cancer", "binary", 2),
        ("blobs", "binary", 2),
        ("quantiles", "binary", 2),
        ("xor", "binary", 2),
    ],
)
def test_the_labels_decide_the_task(name, task, n_classes):
    data = load_dataset(DataConfig(name=name))
    assert (data.task, len(data.classes)) == (task, n_classes)


def test_one_hot_labels_have_a_single_one_per_example():
    data = load_dataset(DataConfig(name="digits"))
    assert set(np.unique(data.Y)) == {0.0, 1.0}
    np.testing.assert_array_equal(data.Y.sum(axis=0), 1.0)


def test_importing_stays_fast():
    code = "import sys, nnlab.datasets; print(sorted({'pandas', 'sklearn', 'pyarrow', 'scipy'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


# ---- drawn


def test_the_flower_matches_the_published_points():
    data = load_dataset(DataConfig(**FLOWER["data"]))
    assert data.X.sum() == pytest.approx(FLOWER["sum"], rel=0, abs=FLOWER["sum_tolerance"])
    np.testing.assert_allclose(data.X[:, 0], FLOWER["first"], rtol=0, atol=FLOWER["point_tolerance"])
    np.testing.assert_allclose(data.X[:, -1], FLOWER["last"], rtol=0, atol=FLOWER["point_tolerance"])
    np.testing.assert_array_equal(data.Y, np.repeat([[0.0, 1.0]], 200, axis=1))


def test_the_flower_is_the_default_data_set():
    assert equal(load_dataset(DataConfig()), load_dataset(DataConfig(**FLOWER["data"])))


def test_circles_are_those_of_the_initialization_assignment():
    from sklearn.datasets import make_circles

    # The assignment trains on 300 examples of seed 1 and tests on 100 of seed 2.
    for m, seed in ((300, 1), (100, 2)):
        data = load_dataset(DataConfig(name="circles", m=m, seed=seed))
        X, Y = make_circles(m, noise=0.05, random_state=seed)
        np.testing.assert_array_equal(data.X, X.T)
        np.testing.assert_array_equal(data.Y[0], Y)


@pytest.mark.parametrize("m", [2, 3, 13, 400])
def test_moons_and_blobs_are_those_of_scikit_learn(m):
    from sklearn.datasets import make_blobs, make_moons

    centres = np.random.RandomState(5).uniform(-10.0, 10.0, size=(6, 2))
    for name, (X, Y) in {
        "moons": make_moons(m, noise=0.2, random_state=3),
        "blobs": make_blobs(m, centers=centres, cluster_std=1.0, random_state=3),
    }.items():
        data = load_dataset(DataConfig(name=name, m=m, seed=3))
        np.testing.assert_array_equal(data.X, X.T)
        np.testing.assert_array_equal(data.Y[0], Y % 2)


@pytest.mark.parametrize("seed", [1, 3, 4, 5])
def test_the_classes_of_quantiles_meet_at_the_circle_that_halves_the_gaussian(seed):
    """The radius of a plane Gaussian of variance 1/2 is Rayleigh distributed, with median sqrt(ln 2)."""
    data = load_dataset(DataConfig(name="quantiles", m=2_000, test_m=2_001, seed=seed))
    for X, Y in ((data.X, data.Y), (data.X_test, data.Y_test)):
        np.testing.assert_array_equal(Y[0], np.hypot(*X) > stats.rayleigh.median(scale=np.sqrt(0.5)))
        for coordinate in X:
            assert stats.kstest(coordinate, stats.norm(scale=np.sqrt(0.5)).cdf).pvalue > 1e-3


def test_the_spiral_matches_cs231n():
    N, rng = 100, np.random.RandomState(0)
    X, y = np.zeros((N * 3, 2)), np.zeros(N * 3)
    for j in range(3):
        ix = range(N * j, N * (j + 1))
        r = np.linspace(0.0, 1, N)
        t = np.linspace(j * 4, (j + 1) * 4, N) + rng.randn(N) * 0.2
        X[ix], y[ix] = np.c_[r * np.sin(t), r * np.cos(t)], j
    data = load_dataset(DataConfig(name="spiral", m=300, noise=0.2, seed=0))
    np.testing.assert_array_equal(data.X, X.T)
    np.testing.assert_array_equal(data.Y.argmax(axis=0), y)


def test_xor_labels_are_the_sign_of_the_product():
    data = load_dataset(DataConfig(name="xor", noise=0))
    np.testing.assert_array_equal(data.Y[0], data.X.prod(axis=0) < 0)
    assert np.abs(data.X).max() <= 1


def test_blobs_have_the_same_centres_in_both_parts():
    data = load_dataset(DataConfig(name="blobs", noise=0, m=60, test_m=600))
    np.testing.assert_array_equal(np.unique(data.X, axis=1), np.unique(data.X_test, axis=1))
    assert np.unique(data.X, axis=1).shape == (2, 6)


@pytest.mark.parametrize("name", DRAWN)
def test_no_test_example_is_a_training_example_of_any_seed(name):
    test = {tuple(point) for point in load_dataset(DataConfig(name=name, m=50, test_m=50, seed=7)).X_test.T}
    assert len(test) == 50
    for seed in range(12):
        assert test.isdisjoint(map(tuple, load_dataset(DataConfig(name=name, m=50, seed=seed)).X.T))


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "blobs"])  # without noise a blob is one point
def test_without_noise_the_test_part_is_still_of_other_examples(name):
    data = load_dataset(DataConfig(name=name, noise=None if name == "quantiles" else 0.0, m=60, test_m=60))
    assert set(map(tuple, data.X.T)).isdisjoint(map(tuple, data.X_test.T))


@pytest.mark.parametrize("name", DRAWN)
def test_both_parts_come_from_one_distribution(name):
    data = load_dataset(DataConfig(name=name, m=3_000, test_m=3_000, seed=2))
    labels = [Y.argmax(axis=0) if len(Y) > 1 else Y[0] for Y in (data.Y, data.Y_test)]
    for index in range(len(data.classes)):
        train, test = data.X[:, labels[0] == index], data.X_test[:, labels[1] == index]
        for one, other in ((train[0], test[0]), (train[1], test[1]), (np.hypot(*train), np.hypot(*test))):
            assert stats.ks_2samp(one, other).pvalue > 1e-3


def test_without_noise_the_test_part_lies_on_the_curves():
    flower, circles, moons, spiral = (
        load_dataset(DataConfig(name=name, noise=0.0, test_m=300)) for name in ("flower", "circles", "moons", "spiral")
    )
    x, y = flower.X_test
    angle = np.arctan2(x, y)  # the course measures it from the second axis
    np.testing.assert_allclose(np.hypot(x, y), np.abs(4 * np.sin(4 * angle)), atol=1e-12)
    np.testing.assert_allclose(np.hypot(*circles.X_test), np.where(circles.Y_test[0] == 1, 0.8, 1.0))
    x, y = moons.X_test - np.where(moons.Y_test == 1, [[1.0], [0.5]], 0.0)
    np.testing.assert_allclose(np.hypot(x, y), 1.0)
    np.testing.assert_array_equal(y > 0, moons.Y_test[0] == 0)
    x, y = spiral.X_test
    turned = 4 * (np.hypot(x, y) + spiral.Y_test.argmax(axis=0))
    np.testing.assert_allclose(np.exp(1j * np.arctan2(x, y)), np.exp(1j * turned), atol=1e-12)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("m", [3, 4, 5, 6, 7, 101, 400])
def test_drawn_classes_are_balanced(name, m):
    data = load_dataset(DataConfig(name=name, m=m, test_m=m + 1))
    counts = data.Y.sum(axis=1) if data.task == "multiclass" else np.array([data.Y.sum(), m - data.Y.sum()])
    assert data.Y.shape[1] == m
    assert data.Y_test.shape[1] == m + 1
    assert counts.min() >= 1
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "spiral"])
def test_two_examples_are_one_of_each_class(name):
    data = load_dataset(DataConfig(name=name, m=2, test_m=2))
    assert sorted(data.Y[0]) == sorted(data.Y_test[0]) == [0, 1]


def test_the_first_class_of_the_flower_gets_the_odd_example():
    assert load_dataset(DataConfig(m=5)).Y.tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (DataConfig(name="spiral", m=2), "data.m must be at least 3 for spiral, got 2"),
        (DataConfig(name="spiral", test_m=2), "data.test_m must be at least 3 for spiral, got 2"),
        (DataConfig(name="flower", test_m=1), "data.test_m must be at least 2 for flower, got 1"),
        (DataConfig(name="moons", noise=1e308), "data.noise must keep all coordinates below 1e+100, got 1e+308"),
    ],
)
def test_impossible_drawings_are_rejected(data, text):
    assert error_message(data) == text


# ---- split and standardization


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("fraction", [0.001, 0.25, 0.5, 0.999])
def test_the_split_keeps_every_example_and_puts_every_class_in_both_parts(name, fraction):
    data = load_dataset(DataConfig(name=name, test_fraction=fraction, standardize=False))
    whole = READ[name](DataConfig(name=name))
    both = np.concatenate([data.X, data.X_test], axis=1)
    np.testing.assert_array_equal(np.sort(both, axis=1), np.sort(whole.values, axis=1))
    if data.classes:
        labels = [Y.argmax(axis=0) if len(Y) > 1 else Y[0] for Y in (data.Y, data.Y_test)]
        assert [len(np.unique(part)) for part in labels] == [len(data.classes)] * 2


def test_the_split_is_stratified_and_keeps_the_order(tmp_path):
    rows = "".join(f"{row},{'rare' if row % 10 == 0 else 'usual'}\n" for row in range(200))
    data = load_dataset(csv(tmp_path / "a.csv", "x,y\n" + rows, standardize=False))
    # A quarter of each class, 0.25 * 20 and 0.25 * 180; a quarter of all rows could miss the rare class.
    assert (data.Y_test.sum(), data.Y_test.size) == (45, 50)
    assert (np.diff(data.X[0]) > 0).all()
    assert (np.diff(data.X_test[0]) > 0).all()
    np.testing.assert_array_equal(data.Y[0], data.X[0] % 10 != 0)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_smallest_legal_file_is_split_in_half(tmp_path, task):
    n = 2 if task == "regression" else 4
    rows = "".join(f"{row},{row / 8 if task == 'regression' else row % 2}\n" for row in range(n))
    data = load_dataset(csv(tmp_path / "a.csv", "x,y\n" + rows, test_fraction=0.01))
    assert (data.task, data.X.shape, data.X_test.shape) == (task, (1, n // 2), (1, n // 2))


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_standardization_is_fitted_to_the_training_part_alone(name):
    raw = load_dataset(DataConfig(name=name, standardize=False))
    data = load_dataset(DataConfig(name=name))
    np.testing.assert_allclose(data.X.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(data.X.std(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(data.x_mean[:, 0], raw.X.mean(axis=1))
    np.testing.assert_allclose(data.X_test * data.x_scale + data.x_mean, raw.X_test, atol=1e-12)
    assert (np.abs(data.X_test.mean(axis=1)) > 1e-6).all()


def test_a_regression_target_is_standardized_and_can_be_restored():
    raw = load_dataset(DataConfig(name="diabetes", standardize=False))
    data = load_dataset(DataConfig(name="diabetes"))
    assert data.Y.mean() == pytest.approx(0, abs=1e-12)
    assert data.Y.std() == pytest.approx(1)
    np.testing.assert_allclose(data.Y * data.y_scale + data.y_mean, raw.Y)
    np.testing.assert_allclose(data.Y_test * data.y_scale + data.y_mean, raw.Y_test)
    assert (raw.y_mean, raw.y_scale) == (0, 1)


def test_labels_are_never_standardized():
    data = load_dataset(DataConfig(name="flower", standardize=True))
    assert set(np.unique(data.Y)) == {0.0, 1.0}
    assert (data.y_mean, data.y_scale) == (0, 1)


def test_a_constant_feature_becomes_zero(tmp_path):
    rows = "".join(f"0.1,{row},{row % 2}\n" for row in range(100))
    data = load_dataset(csv(tmp_path / "a.csv", "constant,x,y\n" + rows))
    assert data.x_scale[0] == 1
    np.testing.assert_array_equal(data.X[0], 0)
    np.testing.assert_array_equal(data.X_test[0], 0)


# ---- valid files


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (["no", "yes"], "binary", ("no", "yes")),
        (["True", "False"], "binary", ("False", "True")),
        (["3", "1"], "binary", ("1", "3")),
        (["0.0", "1.0"], "binary", ("0", "1")),
        (["-1", "1"], "binary", ("-1", "1")),
        (["10", "9", "8"], "multiclass", ("8", "9", "10")),
        (["b", "10", "a"], "multiclass", ("10", "a", "b")),
        (["1000001", "1000002"], "binary", ("1000001", "1000002")),
        ([str(label) for label in range(20)], "multiclass", tuple(str(label) for label in range(20))),
        ([str(label) for label in range(21)], "regression", ()),
        (["0.5", "1"], "regression", ()),
    ],
)
def test_the_target_decides_the_task(tmp_path, labels, task, classes):
    rows = "".join(f"{row},{label}\n" for row, label in enumerate(labels * 4))
    data = load_dataset(csv(tmp_path / "a.csv", "x,y\n" + rows))
    assert (data.task, data.classes, data.features) == (task, classes, ("x",))


@pytest.mark.parametrize(
    ("column", "classes"),
    [
        (pd.Categorical(["mid", "low"] * 4, categories=["low", "never", "mid"]), ("low", "mid")),
        (pd.Categorical([30, 4] * 4), ("4", "30")),
        (pd.array([True, False] * 4, dtype="boolean"), ("False", "True")),
        (np.array([1, 0] * 4, dtype=np.uint8), ("0", "1")),
        (np.array([1, 0] * 4, dtype=np.float32), ("0", "1")),
        (["1.5", "2.5"] * 4, ("1.5", "2.5")),
    ],
    ids=["category", "numbered category", "nullable", "uint8", "float32", "text"],
)
def test_target_types_in_parquet(tmp_path, column, classes):
    assert load_dataset(parquet(tmp_path / "a.parquet", {"x": range(8), "y": column})).classes == classes


@pytest.mark.parametrize(
    "column",
    [
        pd.array([0, 1, 0, 1], dtype="Int64"),
        [False, True, False, True],
        pd.Categorical([0, 1, 0, 1]),
        np.array([0, 1, 0, 1], dtype=np.float32),
        ["0", "1", "0", "1.0"],
    ],
    ids=["nullable", "bool", "category", "float32", "text"],
)
def test_feature_types_in_parquet(tmp_path, column):
    config = parquet(tmp_path / "a.pq", {"x": column, "y": list("uuvv")}, standardize=False)
    data = load_dataset(config)
    np.testing.assert_array_equal(np.sort(np.concatenate([data.X, data.X_test], axis=1)), [[0, 0, 1, 1]])


@pytest.mark.parametrize(
    "text",
    [
        "x,y\n0,u\n1,u\n0,v\n1,v\n",
        "\ufeffx,y\r\n0,u\r\n\r\n1,u\r\n0,v\r\n1,v",
        '"x","y"\n"0","u"\n1,u\n0,"v"\n1e0,v\n',
        "y,x\nu,false\nu,true\nv,False\nv,TRUE\n",
        gzip.compress(b"x,y\n0,u\n1,u\n0,v\n1,v\n", mtime=0),
    ],
    ids=["plain", "windows", "quoted", "boolean", "gzip"],
)
def test_csv_dialects(tmp_path, text):
    name = "a.CSV.GZ" if isinstance(text, bytes) else "a.csv"
    data = load_dataset(csv(tmp_path / name, text, standardize=False))
    assert (data.features, data.classes) == (("x",), ("u", "v"))
    np.testing.assert_array_equal(np.sort(np.concatenate([data.X, data.X_test], axis=1)), [[0, 0, 1, 1]])


def test_a_parquet_index_is_not_a_feature(tmp_path):
    frame = pd.DataFrame({"x": range(4), "y": list("uuvv")}, index=pd.Index([5, 6, 7, 8], name="id"))
    frame.to_parquet(tmp_path / "a.parquet")
    data = load_dataset(DataConfig(name="file", path=str(tmp_path / "a.parquet"), target="y"))
    assert data.features == ("x",)


@pytest.mark.parametrize("path", ["a.csv", "~/a.csv"])
def test_relative_paths_start_at_the_working_folder_and_tilde_at_home(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    csv(tmp_path / "a.csv", "x,y\n0,u\n1,u\n0,v\n1,v\n")
    assert load_dataset(DataConfig(name="file", path=path, target="y")).classes == ("u", "v")
    assert file_digest(path) == file_digest(str(tmp_path / "a.csv"))


finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(deadline=None, max_examples=40)
@given(
    values=st.tuples(st.integers(2, 30), st.integers(2, 5)).flatmap(
        lambda shape: arrays(float, shape, elements=finite)
    ),
    suffix=st.sampled_from([".csv", ".csv.gz", ".parquet", ".pq"]),
)
def test_numbers_survive_every_file_format(tmp_path_factory, values, suffix):
    # Distinct halves make the target real numbers, whatever hypothesis drew.
    values[:, -1] = np.arange(len(values)) + 0.5
    frame = pd.DataFrame(values, columns=[f"c{column}" for column in range(values.shape[1])])
    path = tmp_path_factory.mktemp("table") / f"a{suffix}"
    frame.to_csv(path, index=False) if "csv" in suffix else frame.to_parquet(path)
    data = load_dataset(DataConfig(name="file", path=str(path), target=frame.columns[-1], standardize=False))
    assert data.task == "regression"
    assert data.features == tuple(frame.columns[:-1])
    both = np.concatenate([np.concatenate([data.X, data.X_test], axis=1), np.c_[data.Y, data.Y_test]])
    np.testing.assert_array_equal(both[:, np.argsort(both[-1])], values.T)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_whole_numbers_that_are_equal_as_floats_are_two_classes(suffix: str, tmp_path: Path) -> None:
    names = [2**53, 2**53 + 1]
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0] * 4, "y": names * 8})
    path = tmp_path / f"ids{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    table = read_table(DataConfig("file", path=str(path), target="y"))
    assert table.labels == tuple(names)
    np.testing.assert_array_equal(table.y, [0.0, 1.0] * 8)


# ---- invalid files

ROWS = "1,1\n1,0\n2,0\n3,1\n"
WRONG_TEXT = {
    "empty": ("", "data.path", "empty file"),
    "blank": ("\n\n", "data.path", "empty file"),
    "only a byte order mark": ("\ufeff", "data.path", "empty file"),
    "header only": ("x,y\n", "data.path", "at least two rows, got 0"),
    "one row": ("x,y\n1,1\n", "data.path", "at least two rows, got 1"),
    "short row": ("a,b,y\n1,2,1\n1,0\n", "data.path", "must have 3 values in every row, got 2 in row 2"),
    "long row": ("x,y\n1,1,1\n1,1,0\n", "data.path", "must have 2 values in every row, got 3 in row 1"),
    "open quotation": ('x,y\n1,1\n"1,0\n', "data.path", "got malformed quotes or an overlong value after row 1"),
    "latin 1": (b"x,y\n1,caf\xe9\n", "data.path", "must be UTF-8 text, got byte 0xe9 after row 0: save it as UTF-8"),
    "utf 16": ("x,y\n1,1\n".encode("utf-16"), "data.path", "must be UTF-8 text"),
    "zeros": (bytes(1000), "data.target", "must be a column of"),
    "decimal commas": (
        "x;y\n1,5;1\n2;0\n",
        "data.decimal",
        """holds numbers with commas, such as '1,5'; if the comma is the decimal sign: "data.decimal=','\"""",
    ),
    "decimal commas or thousands": (
        "x;y\n1,500;1\n2;0\n",
        "data.decimal",
        """if the comma is the decimal sign: "data.decimal=','"; if it separates thousands: data.decimal=.""",
    ),
    "no target": (",".join(f"c{c}" for c in range(12)) + "\n", "data.target", "'c8', 'c9', ... (12 in all), got 'y'"),
    "same name": ("x,x,y\n1,1,1\n", "data.path", "got 'x' twice"),
    "no feature": ("y\n1\n0\n", "data.path", "at least one column besides the target"),
    "wide": (",".join(f"c{c}" for c in range(100_001)) + "\n", "data.path", "at most 100000 columns, got 100001"),
    "endless row": ("x,y\n" + "1" * 3_000_000, "data.path", "an overlong value after row 0"),
    "endless name": ('"' + "x\n" * 200_000, "data.path", "an overlong value"),
    "text among numbers": (
        "x,y\n" + "".join(f"{r},{r % 2}\n" for r in range(21)) + "red,0\n",
        "data.path",
        "it holds numbers, but 'red' in row 22; so the file has no input",
    ),
    "free text": (
        "a,x,y\n" + "".join(f"{r % 7},t{r},{r % 2}\n" for r in range(51)),
        "data.path",
        "it holds 51 different texts, such as 't0'; at most 50 become inputs; to leave it out: \"data.ignore=[x]\"",
    ),
    "dates": (
        "a,when,until,y\n3,2020-01-01,1/2/2021,1\n1,2020-01-02,1/2/2021,1\n1,2020-01-01,2/2/2021,0\n2,2020-01-05,2/2/21,0\n",
        "data.path",
        "it holds dates, such as '2020-01-01'; nor can 'until'; to leave them out: \"data.ignore=[when,until]\"",
    ),
    "missing": (
        "a,x,y\n3,1,1\n1,,0\n3,2,0\n2,?,1\n",
        "data.path",
        "got none in 2 of 4 rows (row 2 is the first) and 1 of 2 columns, 'x': data.missing=drop leaves these rows",
    ),
    "infinite": ("x,y\n1,1\n1,0\n-inf,0\n3,1\n", "data.path", "got -inf in row 3"),
    "too large": ("x,y\n1,1\n1,0\n1e101,0\n3,1\n", "data.path", "got 1e+101 in row 3"),
    "too long": (f"x,y\n{'9' * 400},1\n" + ROWS, "data.path", "must hold numbers of magnitude up to 1e+100"),
    "missing target": ("x,y\n1,1\n1,\n2,0\n3,1\n", "data.target", "got none in 1 of 4 rows (row 2 is the first)"),
    "infinite target": ("x,y\n1,1.5\n1,2\n4,0\n3,inf\n", "data.target", "got inf in row 4"),
    "one class": ("x,y\n1,u\n2,u\n", "data.target", "at least two different values, got only 'u'"),
    "one value": ("x,y\n1,1.5\n2,1.5\n", "data.target", "at least two different values, got only '1.5'"),
    "class of one row": ("x,y\n1,u\n2,u\n3,v\n", "data.target", "of every class, got one of class 'v'"),
    "numeric class of one row": (
        "x,y\n1,4\n2,4\n3,5\n",
        "data.target",
        "got one of class '5': data.task=numbers takes them as amounts",
    ),
    "classes": (
        "x,y\n" + "".join(f"1,t{r // 2}\n" for r in range(2002)),
        "data.target",
        "at most 1000 classes, got 1001",
    ),
}


@pytest.mark.parametrize(("text", "key", "part"), WRONG_TEXT.values(), ids=WRONG_TEXT)
def test_invalid_csv_is_rejected_with_key_file_and_reason(tmp_path, text, key, part):
    message = error_message(csv(tmp_path / "wrong.csv", text))
    assert message.startswith(key)
    assert "wrong.csv" in message
    assert part in message


FOUR = [0, 0, 1, 1]
WRONG_COLUMNS = {
    "no rows": ({"x": [], "y": []}, "data.path", "at least two rows"),
    "no target": ({"x": FOUR}, "data.target", "one of 'x', got 'y'"),
    "missing": ({"x": [1.0, None, 2, 3], "y": FOUR}, "data.path", "row 2"),
    "all missing": ({"x": [None] * 4, "y": FOUR}, "data.path", "row 1"),
    "nullable": ({"x": pd.array([1, 2, None, 3], dtype="Int64"), "y": FOUR}, "data.path", "row 3"),
    "category": ({"x": pd.Categorical(["u", "v", None, "u"]), "y": FOUR}, "data.path", "row 3"),
    "infinite": ({"x": [1, 2, np.inf, 0], "y": FOUR}, "data.path", "got inf in row 3"),
    "date": ({"x": pd.date_range("2020", periods=4), "y": FOUR}, "data.path", "it holds datetime64"),
    "duration": ({"x": pd.to_timedelta(FOUR), "y": FOUR}, "data.path", "it holds timedelta64"),
    "bytes": ({"x": [b"1"] * 4, "y": FOUR}, "data.path", "it holds bytes"),
    "list": ({"x": [[1]] * 4, "y": FOUR}, "data.path", "it holds mixed"),
    "date target": ({"x": FOUR, "y": pd.date_range("2020", periods=4)}, "data.target", "it holds datetime64"),
    "list target": ({"x": FOUR, "y": [[1]] * 4}, "data.target", "it holds mixed"),
    "missing category": ({"x": FOUR, "y": pd.Categorical(["u", "v", "u", None])}, "data.target", "row 4"),
}


@pytest.mark.parametrize(("columns", "key", "part"), WRONG_COLUMNS.values(), ids=WRONG_COLUMNS)
def test_invalid_parquet_is_rejected_with_key_file_and_reason(tmp_path, columns, key, part):
    message = error_message(parquet(tmp_path / "wrong.parquet", columns))
    assert message.startswith(key)
    assert "wrong.parquet" in message
    assert part in message


def test_parquet_with_a_repeated_column_name_is_rejected(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_arrays([pa.array(FOUR)] * 3, names=["x", "x", "y"])
    pq.write_table(table, tmp_path / "wrong.parquet")
    message = error_message(DataConfig(name="file", path=str(tmp_path / "wrong.parquet"), target="y"))
    assert message.startswith("data.path")
    assert "must have distinct column names, got 'x' twice" in message


def _truncated(content):
    return content[:-20]


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.parquet", b"", "must be a Parquet file"),
        ("a.pq", b"PAR1 and nothing else PAR1", "must be a Parquet file"),
        ("a.csv.gz", b"x,y\n1,1\n", "must be readable: damaged"),
        ("a.csv.gz", _truncated(gzip.compress(b"x,y\n" + ROWS.encode() * 1000, mtime=0)), "must be readable: damaged"),
        ("a.pkl", b"\x80\x04N.", "must end in .csv, .tsv, .txt, .data, .parquet, .pq, or in one of them and .gz, got"),
        ("csv", b"x,y\n", "must end in .csv, .tsv, .txt, .data, .parquet, .pq, or in one of them and .gz, got"),
    ],
    ids=["empty", "no parquet", "no gzip", "truncated gzip", "pickle", "no suffix"],
)
def test_damaged_files_and_other_formats_are_rejected(tmp_path, name, content, part):
    message = error_message(csv(tmp_path / name, content))
    assert message.startswith("data.path")
    assert str(tmp_path / name) in message
    assert part in message


def test_a_truncated_parquet_file_is_rejected(tmp_path):
    buffer = io.BytesIO()
    pd.DataFrame({"x": FOUR, "y": FOUR}).to_parquet(buffer)
    assert "must be a Parquet file" in error_message(csv(tmp_path / "a.parquet", _truncated(buffer.getvalue())))


@pytest.mark.parametrize("function", [load_dataset, file_digest], ids=["load_dataset", "file_digest"])
@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("missing.csv", "no regular file there"),
        ("folder.csv", "a folder"),
        ("~nobody_of_this_name/a.csv", "data.path must be an existing local file"),
        ("http://127.0.0.1:9/a.csv", "no regular file there"),
        ("file:///etc/passwd.csv", "no regular file there"),
        ("x" * 5000 + ".csv", "data.path must be an existing local file"),
    ],
)
def test_a_path_that_is_not_a_file_is_rejected(tmp_path, monkeypatch, function, path, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    argument = DataConfig(name="file", path=path, target="y") if function is load_dataset else path
    with pytest.raises(ConfigError, match=r"^data\.path must be an existing local file, got '") as error:
        function(argument)
    assert part in str(error.value)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_an_unreadable_file_is_rejected(tmp_path, monkeypatch, suffix):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    config = csv(tmp_path / f"a{suffix}", "x,y\n" + ROWS)
    # The tests may run as root, which can read every file.
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(gzip, "open", refuse)
    message = error_message(config)
    assert message.startswith("data.path")
    assert message.endswith("must be readable: Permission denied")
    with pytest.raises(ConfigError, match="Permission denied"):
        file_digest(config.path)


# ---- digest


def test_the_digest_depends_on_the_content_alone(tmp_path):
    first, copy, other = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    first.write_bytes(b"abc")
    copy.write_bytes(b"abc")
    other.write_bytes(b"abd")
    # The first 16 digits of the published test vector of SHA-256 (FIPS 180-2, appendix B.1).
    assert file_digest(str(first)) == file_digest(str(copy)) == "ba7816bf8f01cfea"
    assert file_digest(str(other)) != file_digest(str(first))


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "moons"])
def test_a_run_predicts_from_examples_in_their_original_units(name: str, tmp_path: Path) -> None:
    config = nnlab.RunConfig(
        data=nnlab.DataConfig(name),
        training=nnlab.TrainingConfig(iterations=30, learning_rate=0.1),
        results_dir=str(tmp_path),
    )
    run, data = nnlab.run(config), nnlab.load_dataset(config.data)
    prediction = run.predict(data.unstandardized(data.X_test))
    if data.task == "regression":
        error = (prediction - data.y_mean) / data.y_scale - data.Y_test
        assert run.metrics["r2/test"] == pytest.approx(1 - np.mean(np.square(error)) / np.var(data.Y_test))
    else:
        assert run.metrics["accuracy/test"] == np.mean(prediction == data.Y_test)
