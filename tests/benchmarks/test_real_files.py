"""The bench of real files, on invented ones: the rule of expectation, remedies, faults and the page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from benchmarks.own_data import loads, page, rivals
from benchmarks.own_data.expectation import Expected, expected, row_names, traits
from benchmarks.own_data.loads import attempt, faults, reason, words_in
from benchmarks.own_data.sources import INSTALL, Source, sources
from benchmarks.own_data.speed import Timed
from benchmarks.own_data.training import Trained, chosen, train
from nnlab.config import ConfigError, DataConfig
from nnlab.datasets import Dataset

ROWS = 40


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(ROWS) * 0.5, **columns})


def written(folder: Path, table: pd.DataFrame) -> Source:
    path = folder / "table.csv"
    table.to_csv(path, index=False)
    return Source("folder/table", path)


def attempted(folder: Path, table: pd.DataFrame) -> loads.Attempt:
    wanted = expected(table)
    assert wanted is not None
    return attempt(written(folder, table), table, wanted, traits(table, wanted.target))


# ---- the rule of expectation


def test_last_usable_column_is_the_target() -> None:
    colours = ["red", "blue"] * 20
    assert expected(frame(y=colours)) == Expected("y", "classes", ROWS)
    assert expected(frame(y=[row % 20 for row in range(ROWS)])) == Expected("y", "classes", ROWS)
    assert expected(frame(y=range(1, ROWS + 1))) == Expected("y", "numbers", ROWS)
    assert expected(frame(y=np.linspace(0, 1, ROWS))) == Expected("y", "numbers", ROWS)
    names = [f"person {row}" for row in range(ROWS)]
    assert expected(frame(y=colours, name=names, constant=1.0)) == Expected("y", "classes", ROWS)
    assert expected(frame(y=[True, False] * 20, gone=[None] * ROWS)) == Expected("y", "classes", ROWS)


def test_text_is_a_target_if_values_seen_twice_hold_most_rows() -> None:
    assert expected(frame(y=["u"] * 32 + [f"rare {row}" for row in range(8)])) is not None
    found = expected(frame(b=range(ROWS), y=["u"] * 31 + [f"rare {row}" for row in range(9)]))
    assert found is not None
    assert found.target == "b"


def test_small_files_and_files_without_an_input_are_not_expected() -> None:
    assert expected(frame(y=["u", "v"] * 20).head(19)) is None
    assert expected(pd.DataFrame({"rownames": range(ROWS), "id": range(ROWS), "y": ["u", "v"] * 20})) is None


def test_names_of_rows_are_found_by_name_and_as_a_first_column_by_value() -> None:
    table = pd.DataFrame({"n": range(1, ROWS + 1), "Unnamed: 3": 0, "ID": range(ROWS), "m": range(ROWS), "case": 1})
    assert row_names(table) == {"n", "Unnamed: 3", "ID"}


def test_traits_are_what_a_reader_must_decide_about() -> None:
    days = [f"2020-01-{1 + row % 28:02d}" for row in range(ROWS)]
    table = frame(day=days, note=[f"note {row % 39} of {row}" for row in range(ROWS)], y=[9, *[0, 1] * 19, 0])
    table.loc[3, "a"] = np.nan
    assert traits(table, "y") == {
        "dates",
        "missing inputs",
        "classes of whole numbers, one with a single row",
    }


# ---- remedies


def test_words_of_a_message_are_found_however_they_are_quoted() -> None:
    message = (
        "data.path: column 'day' holds dates: leave it out with data.ignore=[day,'a b'], or 'data.ignore=[\\'c]\\']', "
        "or data.rare=drop; else data.task=numbers. Legal is data.missing=impute"
    )
    assert next(words_in(message)) == "data.ignore=[day,'a b']"
    assert list(words_in(message))[-2:] == ["data.rare=drop", "data.task=numbers"]
    assert list(words_in("""leave it out: "data.ignore=['Körper (g)']" """)) == ["data.ignore=['Körper (g)']"]
    assert list(words_in("""out: 'data.ignore=[a b,c]'""")) == ["data.ignore=[a b,c]"]
    assert list(words_in("must be data.target")) == []


def test_remedies_are_followed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = frame(day=["x", "y"] * 20, y=["u", "v"] * 20)
    load = nnlab.load_dataset
    simple = Source("simple", tmp_path / "simple.csv")
    frame(y=["u", "v"] * 20).assign(a=np.linspace(0, 1, ROWS)).to_csv(simple.path, index=False)

    def refusing(data: DataConfig) -> Dataset:
        if data.ignore != ["day", "2019"]:
            raise ConfigError("data.path: column 'day' holds dates: data.ignore=[day,2019] leaves it out")
        if data.rare != "drop":
            raise ConfigError("data.target: one row of class 'w': data.rare=drop or data.task=numbers")
        return load(DataConfig("file", path=str(simple.path), target="y"))

    monkeypatch.setattr(nnlab, "load_dataset", refusing)
    one = attempted(tmp_path, table)
    assert one.loaded
    assert not one.as_it_lies
    assert one.words == ["data.ignore=[day,2019]", "data.rare=drop"]
    assert one.data.missing == "impute"
    text = page.refusals_section([one])
    assert "| `data.ignore` | 1 |" in text
    assert "Refused for good: 0" in text


def test_the_next_word_of_a_message_is_tried_if_the_first_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = nnlab.load_dataset

    def refusing(data: DataConfig) -> Dataset:
        if data.rare == "drop":
            raise ConfigError("data.target: only one class is left")
        if data.task is None:
            raise ConfigError("data.target: one row of class '7': data.rare=drop or data.task=numbers")
        return load(DataConfig("file", path=data.path, target=data.target))

    monkeypatch.setattr(nnlab, "load_dataset", refusing)
    one = attempted(tmp_path, frame(y=np.linspace(0, 1, ROWS)).assign(a=np.linspace(1, 0, ROWS)))
    assert one.loaded
    assert one.words == ["data.task=numbers"]
    assert len(one.refusals) == 2


@pytest.mark.parametrize(
    ("message", "refusals"),
    [("data.path: nothing helps", 1), ("data.rare=drop", 2), ("data.ignore=[a b(]", 2)],
)
def test_a_file_is_given_up_without_a_new_word(
    message: str, refusals: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(data: DataConfig) -> Dataset:
        raise ConfigError(message)

    monkeypatch.setattr(nnlab, "load_dataset", refusing)
    one = attempted(tmp_path, frame(y=["u", "v"] * 20))
    assert not one.loaded
    assert len(one.refusals) == refusals


def test_another_exception_and_a_warning_are_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crashing(data: DataConfig) -> Dataset:
        raise KeyError("x")

    monkeypatch.setattr(nnlab, "load_dataset", crashing)
    assert attempted(tmp_path, frame(y=["u", "v"] * 20)).refusals == ["CRASH KeyError: 'x'"]


def test_reasons_are_messages_without_their_values() -> None:
    first = "data.path: column 'a' of '/x/y.csv' holds 51 texts: data.ignore=[a,b]"
    other = "data.path: column 'b c' of '/z.csv' holds 1,234 texts: data.ignore=[d]"
    assert reason(first) == reason(other) == "data.path: column ... of ... holds N texts: data.ignore=[...]"


# ---- what must not be data


def test_a_data_set_without_faults_has_none(tmp_path: Path) -> None:
    one = attempted(tmp_path, frame(y=["u", "v"] * 20).assign(a=np.linspace(0, 1, ROWS)))
    assert one.as_it_lies
    assert (one.task, one.n_x, one.m, one.faults) == ("classes", 1, ROWS, ())


def test_names_of_rows_headers_and_lost_rows_are_faults(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.linspace(0, 1, ROWS), "b": np.linspace(1, 0, ROWS), "y": ["u", "v"] * 20})
    data = DataConfig("file", path=str(written(tmp_path, table).path), target="y")
    loaded, wanted = nnlab.load_dataset(data), Expected("y", "classes", ROWS)
    assert faults(loaded, table, wanted, data) == ()
    named = table.rename(columns={"x": "rownames"})
    assert faults(loaded, named, wanted, data) == ("takes 'x', no column of the file",)
    numbered = table.assign(x=range(ROWS))
    assert faults(loaded, numbered, wanted, data) == ("takes 'x', which numbers or identifies the rows",)
    longer = pd.concat([table, table.tail(1)])
    assert faults(loaded, longer, wanted, data) == (f"has {ROWS} examples from {ROWS + 1} rows with a target",)


# ---- sources, training and the page


def test_sources_are_the_files_of_folders_or_a_line_says_how_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    written(tmp_path / "b", frame())
    assert sources([tmp_path], tmp_path / "out") == [Source("b/table", tmp_path / "b" / "table.csv")]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=INSTALL):
        sources([], tmp_path / "out")


def test_training_reports_outcomes_by_task(tmp_path: Path) -> None:
    x = np.linspace(0, 1, ROWS)
    one = attempted(tmp_path, pd.DataFrame({"a": x, "y": 2 * x + 0.5}))
    assert chosen([one], "numbers", ROWS, 45) == [one]
    assert chosen([one], "numbers", ROWS - 1, 45) == chosen([one], "classes", ROWS, None) == []
    (trained,) = train([one], 30, 1, lambda line: None)
    assert (trained.name, trained.task) == ("folder/table", "regression")
    assert trained.outcome != "diverged"
    (missing,) = train([one._replace(loaded=False)], 30, 1, lambda line: None)
    assert missing.outcome == "not loaded"


def test_rivals_train_on_the_same_split(tmp_path: Path) -> None:
    known = rivals.known_sets([], tmp_path)
    assert [name for name, source in known.items() if source] == ["wine"]
    wine = next(one for one in rivals.SETS if one.name == "wine")
    compared = rivals.compare(wine, known["wine"], iterations=30)
    assert len(compared.ours) == len(compared.defaults) == len(compared.recipe) == len(rivals.SEEDS)
    assert rivals.compare(wine, None).lag([]) is None
    text = page.rivals_section([compared, rivals.compare(wine, None)])
    assert "in neither package" in text


def test_page_lists_targets_and_what_diverges(tmp_path: Path) -> None:
    one = attempted(tmp_path, frame(y=["u", "v"] * 20).assign(a=np.linspace(0, 1, ROWS)))
    share, faulty = page.loading_targets([one])
    assert not share.missed
    assert not faulty.missed
    assert "| all | 1 | 1 (100.0%) | 1 (100.0%) |" in page.loading_section([one])
    trained = [Trained("a/b", "regression", "diverged", 0.0), Trained("c/d", "binary", "learned", 1.0)]
    assert [target.missed for target in page.training_targets(trained)] == [True, False]
    assert "Diverged: a/b." in page.training_section(trained, 10, 20)
    (target,) = page.speed_targets(Timed(9, [3.0, 2.0, 9.0], [1.0, 1.0, 1.0], 1.0, 19_999))
    assert (target.value, target.missed) == (3.0, True)
