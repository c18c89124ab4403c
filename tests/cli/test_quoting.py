"""Texts that Hydra's grammar refuses or reads otherwise are answered with the word as it must be typed."""

import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import Command, Train
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from nnlab.cli.check_overrides import check_words
from nnlab.cli.check_values import hydra_text
from nnlab.cli.main import main
from nnlab.config import shell_word, to_word

FAST = ("training.iterations=20", "diagnostics.checkpoints=3")
texts = st.one_of(st.text(min_size=1), st.text("aZ0e1-+_./\\${}()[]=~:,;#!?'\" \t\nüß", min_size=1))


def config_value(word: str) -> object:
    """Return the value that a config gets from a word."""
    value = OverridesParser.create().parse_override(word).value()
    return OmegaConf.to_container(OmegaConf.create({"value": value}), resolve=True)["value"]  # type: ignore[call-overload,index]


def refusal(*words: str) -> str:
    """Return the line with which words are refused; empty if they are not."""
    try:
        check_words(words)
    except SystemExit as stop:
        return str(stop.code)
    return ""


@given(texts)
@settings(max_examples=200)
def test_a_text_is_written_so_that_hydra_reads_it_back(text: str) -> None:
    """Also with backslashes before ${ and before a line break at the end."""
    assert config_value(f"value={to_word(text)}") == text


@given(st.lists(texts, min_size=1, max_size=3))
def test_lists_and_sweeps_of_texts_are_read_back(items: list[str]) -> None:
    assert config_value(f"value={to_word(items)}") == items
    sweep = OverridesParser.create().parse_override(f"value={','.join(map(to_word, [*items, 'last']))}")
    assert [config_value(f"value={value}") for value in sweep.sweep_string_iterator()] == [*items, "last"]


@given(texts)
@settings(max_examples=200)
def test_a_remedy_pasted_into_a_shell_gives_the_text(text: str) -> None:
    (word,) = shlex.split(shell_word(f"data.target={hydra_text(text)}"))
    if "${" not in text:
        assert config_value(word) == text
    else:  # a reference stays one
        read = OverridesParser.create().parse_override(word).value()
        assert read == text or config_value(word) == text


@given(texts.filter(lambda text: text.strip() and not set(text) & set("\\'\"$\0")))
@settings(max_examples=200)
def test_any_column_is_kept_or_answered_with_its_word(text: str) -> None:
    line = refusal("data=file", f"data.target={text}")
    if not line:
        assert str(config_value(f"data.target={text}")).strip("\t ") == text.strip("\t ")
        return
    assert len(line.splitlines()) == 1
    assert line.startswith("data.target must be ")
    word = shell_word(f"data.target={hydra_text(text)}")
    assert line.endswith((f"type {word}", "type \"data.target='...'\", with the text for the dots"))
    assert config_value(*shlex.split(word)) == text


@given(st.lists(st.text("aZ0e1-+_./=~:;#! \tüß\n", min_size=1).map(str.strip).filter(bool), min_size=1, max_size=4))
def test_any_columns_to_ignore_are_kept_or_answered_with_their_word(items: list[str]) -> None:
    line = refusal(f"data.ignore=[{','.join(items)}]")
    assert len(line.splitlines()) <= 1
    if not line.endswith("dots"):
        word = shlex.split(line.rpartition(": type ")[2])[0] if line else f"data.ignore=[{','.join(items)}]"
        read = config_value(word)
        assert isinstance(read, list)
        assert list(map(str, read)) == items


REFUSED = {
    "data.target=Größe": """since Hydra cannot read ö ß without them, got Größe: type "data.target='Größe'\"""",
    "data.target=Body Mass (g)": "type \"data.target='Body Mass (g)'\"",
    "data.target=y=1": "type \"data.target='y=1'\"",
    "data.target=true": "since Hydra reads true as a truth value, got true: type \"data.target='true'\"",
    "data.target=1e3": "since Hydra reads 1e3 as the number 1000.0, got 1e3: type \"data.target='1e3'\"",
    "data.target=1_000": "type \"data.target='1_000'\"",
    "data.target=[a]": "since Hydra reads [a] as a list, got [a]: type \"data.target='[a]'\"",
    "data.target=log(x)": "type \"data.target='log(x)'\"",
    "data.target=it's": 'type "data.target=\\"it\'s\\""',
    "data.target='it's'": 'type "data.target=\\"it\'s\\""',
    "data.target=a!b": "type 'data.target=\"a!b\"'",
    "data.target=a\nb": "since Hydra cannot read \\n without them, got 'a\\nb': "
    "type \"data.target='...'\", with the text for the dots",
    "data.target=a, b": "since a comma without them separates the values of a sweep, "
    "got a, b: type \"data.target='a, b'\"",
    "-m data.target=a,": "leave no blank after a comma, or type \"data.target='a,'\"",
    "-m data.target=Größe,b c": "type \"data.target='Größe',b c\" or, for one text, \"data.target='Größe,b c'\"",
    "-m data.target=a,1e3,'ö'": "type \"data.target=a,'1e3','ö'\" or, for one text, "
    + shell_word("data.target=" + hydra_text("a,1e3,'ö'")),
    "+data.target=ö": "type \"data.target='ö'\"",
    "++data.target=ö": "type \"data.target='ö'\"",
    "data=file data.target=null": "since Hydra reads null as no value, got null: type \"data.target='null'\"",
    "data.path=~/iris.csv": "type \"data.path='~/iris.csv'\"",
    "data.path=iris (1).csv": "type \"data.path='iris (1).csv'\"",
    "data.path=${oc.env:HOME}/ö.csv": "type 'data.path=\"${oc.env:HOME}/ö.csv\"'",
    "data.ignore=id": 'must be a list of columns, such as [id,date], or null, got id: type "data.ignore=[id]"',
    "data.ignore=a,b": 'type "data.ignore=[a,b]"',
    "data.ignore=[Größe,Mass (g),a]": "type \"data.ignore=['Größe','Mass (g)',a]\"",
    "data.ignore=[null,true,1]": "since Hydra reads null as no value, got [null,true,1]: "
    "type \"data.ignore=['null','true',1]\"",
    "data.ignore=[a": 'type "data.ignore=[a]"',
    "data.ignore=[a\n]": "type \"data.ignore=['...']\", with the text for the dots",
    "-m data.ignore=[ä],[b],null": "type \"data.ignore=['ä'],[b],null\"",
    "data.decimal=,": "type \"data.decimal=','\"",
    "results_dir=~/runs": "type \"results_dir='~/runs'\"",
    "results_dir=null": "type \"results_dir='null'\"",
    "tracking.uri=http://host/?a=1": "type \"tracking.uri='http://host/?a=1'\"",
    "tracking.experiment=Größe": "tracking.experiment must be a folder name of up to 100 letters, digits, - _ . or "
    "spaces, other than the reserved names Default and sweeps, got 'Größe'",
    "hydra.run.dir=runs (1)": "type \"hydra.run.dir='runs (1)'\"",
    "hydra.run.dir=~/runs": f"type hydra.run.dir={Path.home()}/runs",
    "hydra.job.name=ö": "hydra.job.name=ö cannot be read by Hydra: token recognition error at: 'ö'",
    "model.activation=é": "model.activation must be one of tanh, sigmoid, relu, leaky_relu, gelu, identity, got é",
    "-m model.activation=tanh,": "got tanh,: leave no blank after a comma",
    "data=a (1)": "data must be one of blobs, ",
    "~hydra/launcher": "hydra/launcher must be nnlab, basic or another plugin of Hydra's, got ~hydra/launcher",
    "hydra/sweeper=null": "hydra/sweeper must be nnlab, basic or another plugin of Hydra's, got hydra/sweeper=null",
}


@pytest.mark.parametrize(("words", "remedy"), REFUSED.items(), ids=map(repr, REFUSED))
def test_a_refused_word_is_shown_as_it_must_be_typed(words: str, remedy: str) -> None:
    first, *rest = words.split(" ", 1) if words.startswith(("-m ", "data=file ")) else [words]
    line = refusal(first, *rest)
    assert remedy in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        "data.target=-1",
        "data.target=null",
        "data.target=True",
        "data.target=2.5",
        "data.target=01",
        "data.target='Größe (cm)'",
        'data.target="1e3"',
        "data.target=a b",
        "data.path=${oc.env:HOME}/iris.csv",
        "data.path=C:\\new.csv",
        "-m data.target=a b,c d",
        "-m data.target=null,a",
        "-m data.target=range(3)",
        "-m data.target=choice(a,b)",
        "-m data.path=glob(*)",
        "data.ignore=null",
        "data.ignore=[]",
        "data.ignore=[a,1,'ö']",
        "data.ignore=${columns}",
        "-m data.ignore=[a],[b,c]",
        "-m data.ignore=choice([a],[b])",
        "results_dir=my runs",
        "launcher.address=tcp://127.0.0.1:8786",
        "hydra.run.dir=${now:%Y-%m-%d}/x",
        "model.layers=[4,3]",
        "-m seed=range(5)",
    ],
)
def test_a_word_that_hydra_reads_as_it_was_typed_is_left_to_it(words: str) -> None:
    option, _, word = words.rpartition("-m ")
    assert refusal(*(["-m"] if option or words.startswith("-m ") else []), word) == ""


@pytest.mark.parametrize("text", ["Größe", "it's", 'a"b', "a!b=1", "`a` (1)", "5 \\ $HOME {x}"])
def test_a_shell_passes_on_the_word_shown(text: str) -> None:
    word = shell_word(f"data.target={hydra_text(text)}")
    passed = subprocess.run(["sh", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True).stdout
    assert config_value(passed) == text


def test_a_file_of_odd_names_is_learned_by_the_words_shown(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "Müller = 1"
    folder.mkdir()
    rows = [f"{place % 7},{place % 5},{place % 3},{place % 2}" for place in range(40)]
    (folder / "iris (1).csv").write_text("\n".join(["a,true,Body Mass (g),Größe", *rows]), encoding="utf-8")
    words = ["data=file", "data.path=~/Müller = 1/iris (1).csv", "data.target=Größe", "data.ignore=[true]"]
    for place in range(1, 4):
        refused = train(*words, *FAST)
        assert refused.status == 1
        assert not refused.results.exists()
        (words[place],) = shlex.split(refused.error.rpartition(": type ")[2])
    assert train(*words, *FAST).status == 0


@pytest.mark.parametrize("command", ["run", "sweep", "why", "film"])
def test_every_command_that_takes_words_shows_them(command: str) -> None:
    with pytest.raises(SystemExit, match=r"type \"data\.target='Größe'\""):
        main([command, "data=file", "data.path=x.csv", "data.target=Größe"])


def test_a_grid_is_shown_as_its_preset_must_hold_it(nnlab_command: Command, tmp_path: Path) -> None:
    preset = tmp_path / "conf" / "experiment" / "mine (1).yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text(
        "# @package _global_\ndata: {name: file, path: x.csv}\nhydra: {sweeper: {params: {data.target: 'true,ö'}}}\n",
        encoding="utf-8",
    )
    added = ("--config-dir", str(tmp_path / "conf"))
    result = nnlab_command("sweep", "mine (1)", *added)
    assert result.error.strip().endswith("type \"experiment='mine (1)'\"")
    result = nnlab_command("sweep", "experiment='mine (1)'", *added)
    assert result.status == 1
    assert result.error.strip() == (
        "data.target must be in quotes, since Hydra reads true as a truth value, got true,ö: "
        "type data.target: \"'true','ö'\" or, for one text, data.target: \"'true,ö'\""
    )


@pytest.mark.parametrize(("option", "mode"), [((), "run"), (("-m",), "sweep")])
def test_a_log_folder_below_a_file_is_refused_in_one_line(
    option: tuple[str, ...], mode: str, train: Train, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    result = train(*option, f"hydra.{mode}.dir={tmp_path}/file/x", *FAST)
    assert result.status == 1
    assert result.error.strip() == (
        f"hydra.{mode}.dir must be a folder that can be written to, got '{tmp_path}/file/x': "
        f"{tmp_path}/file is not a folder"
    )
