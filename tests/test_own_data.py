"""Files as they lie: what is read from the awkward ones, and how a run answers about rows of the file."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import nnlab
from nnlab.config import ConfigError, DataConfig
from nnlab.datasets import Dataset, load_dataset
from nnlab.preparation import Preparation
from nnlab.record.run_folders import RunFolders
from nnlab.results import Results

Load = Callable[..., Dataset]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a text as a file: `load("a,y\n...", header=False)`."""

    def load(text: str, name: str = "table.csv", target: str = "y", **changes: Any) -> Dataset:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return load_dataset(DataConfig("file", path=str(path), target=target, **changes))

    return load


def everything(data: Dataset) -> np.ndarray:
    """Return the inputs of all examples in their original units, sorted by the first input."""
    X = data.unstandardized(np.concatenate([data.X, data.X_test], axis=1))
    return X[:, np.argsort(X[0], kind="stable")]


def message(load: Load, *words: str, **changes: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load(*words, **changes)
    text = str(error.value)
    assert "\n" not in text
    return text


# ---- separators, headers, decimals

NUMBERS = [[0.5, 1.0], [1.5, 0.0], [2.5, 1.0], [3.5, 0.0]]
READ = {
    "semicolons": ("a;y\n0.5;1\n1.5;0\n2.5;1\n3.5;0\n", {}),
    "semicolons, quoted header (mlflow 1110)": ('"a";"y"\n0.5;1\n1.5;0\n2.5;1\n3.5;0\n', {}),
    "tabs": ("a\ty\n0.5\t1\n1.5\t0\n2.5\t1\n3.5\t0\n", {"name": "table.tsv"}),
    "blanks as separators": ("a  y\n 0.5 1\n 1.5  0 \n2.5 1\n3.5 0\n", {"name": "table.data"}),
    "pipes": ("a|y\n0.5|1\n1.5|0\n2.5|1\n3.5|0\n", {"name": "table.txt"}),
    "compressed .data": ("a,y\n0.5,1\n1.5,0\n2.5,1\n3.5,0\n", {"name": "table.data.gz"}),
    "trailing commas (pandas 14124)": ("a,y\n0.5,1,\n1.5,0,\n2.5,1,\n3.5,0,\n", {}),
    "trailing commas, in the header too": ("a,y,\n0.5,1,\n1.5,0,\n2.5,1,\n3.5,0,\n", {}),
    "blanks": (" a, y\n 0.5, 1\n1.5 ,0\n 2.5, 1\n3.5 , 0\n", {}),
    "comments": ("# made by hand, in May\na,y\n0.5,1\n#1,1\n1.5,0\n2.5,1\n3.5,0\n", {}),
    "decimal commas": ("a;y\n0,5;1\n1,5;0\n2,5;1\n3,5;0\n", {"decimal": ","}),
    "decimal commas without a header": (
        "0,5;1\n1,5;0\n2,5;1\n3,5;0\n",
        {"decimal": ",", "header": False, "target": "-1"},
    ),
    "quoted decimal commas": ('a,y\n"0,5",1\n"1,5",0\n"2,5",1\n"3,5",0\n', {"decimal": ","}),
    "a saved index": (",a,y\n7,0.5,1\n8,1.5,0\n9,2.5,1\n5,3.5,0\n", {}),
    "an index saved twice": ("Unnamed: 0,Unnamed: 0.1,a,y\n0,0,0.5,1\n1,1,1.5,0\n2,2,2.5,1\n3,3,3.5,0\n", {}),
    "row names without a name, as R writes them": ("a,y\nu,0.5,1\nv,1.5,0\nw,2.5,1\nx,3.5,0\n", {}),
    "rownames": ('"rownames","a","y"\n"Mazda RX4",0.5,1\n"Fiat",1.5,0\n"Volvo",2.5,1\n"Seat",3.5,0\n', {}),
    "numbered from 1": ("nr,a,y\n1,0.5,1\n2,1.5,0\n3,2.5,1\n4,3.5,0\n", {}),
    "an identifier": ("a,Patient,y\n0.5,881,1\n1.5,4,0\n2.5,23,1\n3.5,23,0\n", {}),
    "ignored columns": ("a,note,y\n0.5,x,1\n1.5,y,0\n2.5,z,1\n3.5,w,0\n", {"ignore": ["note"]}),
    "no header": ("0.5,1\n1.5,0\n2.5,1\n3.5,0\n", {"header": False, "target": "-1"}),
    "no header, the target by its place": ("1,0.5\n0,1.5\n1,2.5\n0,3.5\n", {"header": False, "target": "1"}),
    "a row without a target": ("a,y\n0.5,1\n9,\n1.5,0\n2.5,1\n3.5,0\n", {"missing": "impute"}),
    "a row without an input": (
        "a,b,y\n0.5,1,1\n,1,0\n1.5,1,0\n2.5,1,1\n3.5,1,0\n9,?,1\n",
        {"missing": "drop", "ignore": []},
    ),
}


@pytest.mark.parametrize(("text", "changes"), READ.values(), ids=READ)
def test_awkward_files_are_read_as_they_are_meant(load: Load, text: str, changes: dict[str, Any]) -> None:
    data = load(text, **{"target": "y", **changes})
    np.testing.assert_allclose(everything(data)[0], [row[0] for row in NUMBERS])
    assert len(data.X) == (2 if changes.get("missing") == "drop" else 1)
    assert data.classes == ("0", "1")


def test_a_column_named_by_a_hash_is_no_comment(load: Load) -> None:
    data = load("#,Name,Attack,y\n1,a,49,0\n2,b,62,1\n3,a,82,0\n4,b,52,1\n", ignore=["#"])
    assert data.features == ("Name=a", "Name=b", "Attack")


def test_thousands_signs_are_read(load: Load) -> None:
    english = load('a,b,y\n"1,234",3,1\n"12,345,678.5",4,0\n5,5,1\n"2,000",6,0\n')
    np.testing.assert_allclose(everything(english)[0], [5, 1234, 2000, 12345678.5])
    german = load("a;y\n1.234,5;1\n12.345.678;0\n5;1\n2.000;0\n", decimal=",")
    np.testing.assert_allclose(everything(german)[0], [5, 1234.5, 2000, 12345678])


def test_the_first_column_is_kept_where_it_is_the_only_input(load: Load) -> None:
    assert load("index,y\n0,1\n1,0\n2,1\n3,0\n").features == ("index",)


def test_an_empty_list_keeps_all_columns(load: Load) -> None:
    data = load(",id,a,y\n0,9,0.5,1\n1,8,1.5,0\n2,7,2.5,1\n3,6,3.5,0\n", ignore=[])
    assert data.features == ("Unnamed: 0", "id", "a")
    assert data.left_out == ()


def test_texts_categories_and_booleans_become_zeros_and_ones(load: Load) -> None:
    data = load("sex,smokes,a,y\nmale,True,1,u\nfemale,False,2,u\nfemale,True,3,v\nmale,False,4,v\n", standardize=False)
    assert data.features == ("sex=female", "sex=male", "smokes", "a")
    X = np.concatenate([data.X, data.X_test], axis=1)
    np.testing.assert_array_equal(X[:, np.argsort(X[3])], [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [1, 2, 3, 4]])


def test_the_summary_says_what_was_made_of_the_columns(load: Load) -> None:
    rows = "".join(f"{row},{row * 7 % 13},{'uvw'[row % 3]},{row % 2}\n" for row in range(30))
    data = load("rownames,a,b,y\n" + rows + "30,,u,1\n", missing="impute")
    assert data.summary == (
        "table.csv: 4 columns: 1 number, 1 text -> 4 inputs, target 'y' of 2 classes, index 'rownames' left out, "
        "1 missing value imputed"
    )


# ---- missing values

WORDS = ("", " ", "?", "NA", "nan", "null", "None", "N/A")


@pytest.mark.parametrize("word", WORDS)
def test_missing_numbers_become_the_median_of_the_training_part(load: Load, word: str) -> None:
    values = [0, 1, 2, 3, 50, 60, 70, 80]
    rows = "".join(f"{value},{row},{row % 2}\n" for row, value in enumerate(values))
    data = load("a,b,y\n" + rows + f"{word},8,0\n{word},9,1\n", missing="impute", standardize=False)
    known = data.X[0][data.X[1] < 8]
    both = np.concatenate([data.X, data.X_test], axis=1)
    np.testing.assert_array_equal(both[0][both[1] >= 8], [np.median(known)] * 2)


@pytest.mark.parametrize("word", WORDS)
def test_missing_texts_become_the_most_frequent_of_the_training_part(load: Load, word: str) -> None:
    rows = "".join(f"{'u' if row < 12 else 'v'},{row * 3 % 20},{row % 2}\n" for row in range(20))
    data = load("a,b,y\n" + rows + f"{word},33,0\n{word},34,1\n", missing="impute", standardize=False)
    both = np.concatenate([data.X, data.X_test], axis=1)
    np.testing.assert_array_equal(both[:2, both[2] > 30], [[1, 1], [0, 0]])


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["a", "b", "NA"], ("a", "b")),
        (["a", "b", '"NA"'], ("NA", "a", "b")),
        (["a", "b", '"None"'], ("None", "a", "b")),
        (["a", "b", "None", ""], ("None", "a", "b")),
        (["a", "b", "NA", "None"], ("NA", "None", "a", "b")),
        (["a", '"x,\n""y"""', '"NA"'], ("NA", "a", 'x,\n"y"')),
        (["1", "2", "NA"], ("1", "2")),
        (["1", "2", '"NA"'], ("1", "2")),
        (["true", "false", "NA"], ("False", "True")),
        (["1.5", "2.5", "?"], ()),
    ],
)
def test_a_word_for_missing_is_a_class_if_it_is_meant_as_one(load: Load, cells: list[str], classes: tuple[str]) -> None:
    rows = "".join(f"{row * 7 % 13},{cell}\n" for row, cell in enumerate(cells * 4))
    assert load("a,y\n" + rows, missing="drop").classes == classes


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    numbers=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=12, max_size=40),
    texts=st.data(),
    seed=st.integers(0, 9),
)
def test_the_preparation_is_that_of_scikit_learn(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float | None], texts: st.DataObject, seed: int
) -> None:
    words = texts.draw(st.lists(st.sampled_from(["u", "v", "w", None]), min_size=len(numbers), max_size=len(numbers)))
    frame = pd.DataFrame({"a": np.arange(len(numbers)) * 0.5, "b": numbers, "c": words, "d": numbers[::-1]})
    frame = (
        frame.astype({"b": float, "c": object, "d": float})
        .fillna({"c": np.nan})
        .assign(y=[row % 2 for row in range(len(frame))])
    )
    path = tmp_path_factory.mktemp("prepared") / "table.csv"
    frame.to_csv(path, index=False)
    try:
        data = load_dataset(DataConfig("file", path=str(path), target="y", missing="impute", seed=seed))
    except ConfigError:  # a column has no value at all, or none in the training part
        assume(False)
    # The first column is half the number of the row.
    parts = [np.rint(2 * data.unstandardized(part)[0]).astype(int) for part in (data.X, data.X_test)]
    train, test = (frame.iloc[rows] for rows in parts)
    categories = [sorted({word for word in words if word is not None})]
    texts_of = [*(name for name in ("c",) if categories[0])]
    theirs = make_pipeline(
        ColumnTransformer(
            [
                ("ab", SimpleImputer(strategy="median"), ["a", "b"]),
                (
                    "c",
                    make_pipeline(
                        SimpleImputer(strategy="most_frequent"),
                        OneHotEncoder(categories=categories, sparse_output=False),
                    ),
                    texts_of,
                ),
                ("d", SimpleImputer(strategy="median"), ["d"]),
            ]
        ),
        StandardScaler(),
    ).fit(train)
    np.testing.assert_allclose(data.X, theirs.transform(train).T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(data.X_test, theirs.transform(test).T, rtol=1e-9, atol=1e-9)


def test_a_preparation_survives_json(load: Load) -> None:
    rows = "".join(f"{row * 7 % 13},{'uvw'[row % 3]},{row / 7}\n" for row in range(30))
    preparation = load("a,b,y\n" + rows, missing="impute").preparation
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert again.to_json() == preparation.to_json()
    new = [{"a": "3", "b": " v "}, {"a": "", "b": "?"}, {"a": 4, "b": "w"}]
    np.testing.assert_array_equal(again.read(new), preparation.read(new))


# ---- the task


@pytest.mark.parametrize(
    ("values", "changes", "task"),
    [
        ([0, 8, 30, 66, 120, 190], {}, "regression"),  # all different
        ([1.0, 2.0, 3.0, 4.0, 5.0] * 3, {}, "multiclass"),
        ([1.0, 2.0, 3.0, 4.0, 5.0] * 3, {"task": "numbers"}, "regression"),
        ([0.5, 1.5] * 3, {}, "regression"),
        ([0.5, 1.5] * 3, {"task": "classes"}, "binary"),
        ([*range(25)] * 2, {"task": "classes"}, "multiclass"),
        (["u", "v", "v", "u", "w"], {"rare": "drop"}, "binary"),
        ([0, 1, 1, 0], {"test_fraction": 0.0}, "binary"),
        ([0, 1, 1, 0, 2], {"test_fraction": 0.0}, "multiclass"),
        ([True, False] * 3, {"task": "numbers"}, "regression"),
    ],
)
def test_the_task_follows_the_values_unless_it_is_given(
    load: Load, values: list[Any], changes: dict[str, Any], task: str
) -> None:
    rows = "".join(f"{row * 7 % 13},{value}\n" for row, value in enumerate(values))
    assert load("a,y\n" + rows, **changes).task == task


REFUSED = {
    "a row of numbers as header": (
        "5.1,3.5,setosa\n4.9,3.0,setosa\n1,2,virginica\n5,4,virginica\n",
        {"target": "setosa"},
        r"data.header: the first row of .* got '5.1', '3.5', 'setosa': .* set data.header=false and data.target=-1",
    ),
    "a text as number": ("a,y\n1,u\n2,v\n", {"task": "numbers"}, "must hold numbers .*, got 'u' in row 1"),
    "a class of one row": (
        "a,y\n1,u\n2,v\n3,v\n4,w\n5,x\n6,x\n",
        {},
        "at least two rows of every class, got one of class 'u' and of 1 more: data.rare=drop leaves them out",
    ),
    "no class of two rows": ("a,y\n1,u\n2,v\n", {"rare": "drop"}, "at least two different values, got none that two"),
    "an unknown column to ignore": (
        "a,b,y\n1,2,0\n2,3,1\n",
        {"ignore": ["c"]},
        "data.ignore must hold columns of .*, one of 'a', 'b', 'y', got 'c'",
    ),
    "the target to ignore": ("a,y\n1,0\n2,1\n", {"ignore": ["y"]}, "data.ignore must not hold data.target, got 'y'"),
    "a target without header": (
        "1,0\n2,1\n",
        {"header": False, "target": "3"},
        "data.target must be the number of a column of .*, 1 to 2 or -1 for the last, got '3'",
    ),
    "too few rows left": (
        "a,b,y\n1,,0\n2,,1\n3,4,0\n",
        {"missing": "drop"},
        "data.missing=drop must leave at least two rows of .*, got 1 of 3",
    ),
    "a column without values": (
        "a,b,y\n5,,0\n2,,1\n3,,0\n4,,1\n",
        {"missing": "impute"},
        "column 'b' of .* cannot be an input: it has no values; to leave it out: \"data.ignore=\\[b\\]\"",
    ),
    "one real target": ("a,y\n1,2\n2,2\n", {"task": "numbers"}, "at least two different values, got only '2.0'"),
}


@pytest.mark.parametrize(("text", "changes", "pattern"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_its_remedy(
    load: Load, text: str, changes: dict[str, Any], pattern: str
) -> None:
    with pytest.raises(ConfigError, match=pattern) as error:
        load(text, **{"target": "y", **changes})
    assert "\n" not in str(error.value)


# ---- answers

HEADER = "rownames,age,sex,smokes,income,y\n"


def people(answer: Callable[[int, str], str]) -> str:
    """Return a file with an index, texts, booleans and missing values; the target depends on age and sex."""
    rng = np.random.default_rng(5)
    rows = []
    for number in range(80):
        age, sex = int(rng.integers(18, 90)), "mf"[rng.integers(2)]
        income = "" if number % 9 == 0 else f"{rng.normal(30, 9):.2f}"
        cells = (number, age, "NA" if number % 13 == 0 else sex, bool(rng.integers(2)), income, answer(age, sex))
        rows.append(",".join(map(str, cells)))
    return HEADER + "\n".join(rows) + "\n"


ANSWERS: dict[str, Callable[[int, str], str]] = {
    "texts": lambda age, sex: "old" if age + 20 * (sex == "m") > 60 else "young",
    "whole numbers": lambda age, sex: str(1 + (age > 40) + (age > 60)),
    "real numbers": lambda age, sex: str(age * 1.5 + 20 * (sex == "m")),
}


@pytest.fixture
def trained(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[nnlab.Run, Path]:
    path = tmp_path / "people.csv"
    path.write_text(people(ANSWERS[request.param]))
    run = nnlab.run(
        nnlab.RunConfig(
            results_dir=str(tmp_path / "results"),
            data=DataConfig("file", path=str(path), target="y", missing="impute"),
            training=nnlab.TrainingConfig(iterations=300, learning_rate=0.1),
        )
    )
    # As another process would read it.
    return RunFolders(Results.at(tmp_path / "results"), "playground").read(run.fingerprint), path


@pytest.mark.parametrize("trained", ANSWERS, indirect=True)
def test_a_run_answers_about_the_rows_of_its_file_with_the_recorded_score(trained: tuple[nnlab.Run, Path]) -> None:
    run, path = trained
    frame = pd.read_csv(path)
    answers = run.predict(frame)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    np.testing.assert_array_equal(run.predict(rows), answers)
    data = nnlab.load_dataset(run.config.data)
    is_test = frame["age"].isna()
    keys = {tuple(column) for column in np.round(data.unstandardized(data.X_test), 6).T}
    inputs = np.round(run.preparation.read(frame), 6)
    is_test = np.array([tuple(column) in keys for column in inputs.T])
    for part, chosen in (("train", ~is_test), ("test", is_test)):
        truth, given = frame["y"][chosen], answers[chosen]
        if run.task == "regression":
            score = 1 - ((truth - given) ** 2).mean() / truth.var(ddof=0)
            assert run.metrics[f"r2/{part}"] == pytest.approx(score)
        else:
            assert run.metrics[f"accuracy/{part}"] == pytest.approx((truth == given).mean())


@pytest.mark.parametrize("trained", ["texts"], indirect=True)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="sex"), "rows must have the columns 'age', 'sex', .*; 'sex' is missing"),
        (lambda frame: frame.assign(sex="x"), "column 'sex' must be one of 'f', 'm', got 'x' in row 1"),
        (lambda frame: frame.assign(age=np.inf), "column 'age' must hold finite numbers: .* got inf in row 1"),
        (lambda frame: frame.assign(age="old"), "column 'age' must hold numbers, got 'old'"),
    ],
)
def test_rows_that_cannot_be_inputs_are_refused(
    trained: tuple[nnlab.Run, Path], change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    run, path = trained
    with pytest.raises(ValueError, match=words):
        run.predict(change(pd.read_csv(path)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_array_must_hold_finite_numbers(value: float, tmp_path: Path) -> None:
    config = nnlab.RunConfig(results_dir=str(tmp_path), training=nnlab.TrainingConfig(iterations=2))
    run = nnlab.run(config)
    with pytest.raises(ValueError, match=f"must hold finite numbers, got {value} for input 1 of example 0"):
        run.predict(np.array([[0.0], [value]]))
    missing = pd.DataFrame({"x1": [0.5, 0.5], "x2": [1.0, None]})
    with pytest.raises(ValueError, match="column 'x2' must have a value in every row, got none in row 2"):
        run.predict(missing)
    assert run.predict(missing[:1]).tolist() in ([0], [1])
