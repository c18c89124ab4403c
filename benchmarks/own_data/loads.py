"""Load expected files as a person would: as they lie, then with the words that nnlab's messages name."""

import dataclasses
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import nnlab
from benchmarks.own_data.expectation import Expected, row_names
from benchmarks.own_data.sources import Source
from nnlab.config import ConfigError, DataConfig
from nnlab.datasets import Dataset

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["REMEDIES", "Attempt", "attempt", "faults", "reason", "words_in"]

REMEDIES = 3
"""A person who follows more messages than these gives up."""
KEYS = ("ignore", "rare", "task", "header", "decimal")
"""The keys of remedies. data.missing is given from the start."""
WORD = re.compile(
    rf"data\.(?:{'|'.join(KEYS)})="
    r"""(?:\[(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]'"])*\]|'(?:[^'\\]|\\.)*'|[\w.,-]*\w|[.,-]\w*)"""
)


class Attempt(NamedTuple):
    """An expected file, and how it loaded.

    Attributes
    ----------
    traits : what is odd about the file
    refusals : the messages, in order; empty if the file loaded as it lies
    words : the words that were typed after the first refusal
    data : the config with these words
    loaded : True if the last attempt loaded
    task : "classes" or "numbers", as nnlab decided
    n_x, m : the inputs of the network, and the examples of both parts
    faults : what was taken as data and is none
    """

    source: Source
    expected: Expected
    traits: set[str]
    refusals: list[str]
    words: list[str]
    data: DataConfig
    loaded: bool
    task: str = ""
    n_x: int = 0
    m: int = 0
    faults: tuple[str, ...] = ()

    @property
    def as_it_lies(self) -> bool:
        return self.loaded and not self.refusals


def attempt(source: Source, frame: "pd.DataFrame", wanted: Expected, traits: set[str]) -> Attempt:
    """Load a file with data.missing=impute, and then with the words that up to REMEDIES messages name.

    If a word leads nowhere, the next one of the same message is tried. Nobody says that a file has no header whose
    names they know: all files of this bench have one.
    """
    data = DataConfig("file", path=str(source.path), target=wanted.target, missing="impute")
    refusals: list[str] = []
    words: list[str] = []
    others: list[tuple[DataConfig, list[str], str]] = []
    while True:
        loaded, message = _load(data)
        if loaded is not None:
            found = faults(loaded, frame, wanted, data)
            n_x, m = len(loaded.features), _examples(loaded)
            return Attempt(source, wanted, traits, refusals, words, data, True, loaded.kind, n_x, m, found)
        refusals.append(message)
        new = [word for word in words_in(message) if word not in (*words, "data.header=false")]
        others = [(data, words, word) for word in new] + others
        if len(refusals) > REMEDIES or not others:
            return Attempt(source, wanted, traits, refusals, words, data, False)
        before, earlier, word = others.pop(0)
        words = [*earlier, word]
        try:
            data = dataclasses.replace(before, **_parsed(word))
        except ValueError as error:
            refusals.append(f"the word of the message cannot be typed: {word} ({error})")
            return Attempt(source, wanted, traits, refusals, words, before, False)


def _load(data: DataConfig) -> tuple[Dataset | None, str]:
    """Return the data set, or None and the message. Anything but a ConfigError is a crash, a warning too."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return nnlab.load_dataset(data), ""
    except ConfigError as error:
        return None, str(error)
    except Exception as error:  # what the bench looks for
        return None, f"CRASH {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


# ---- remedies


def words_in(message: str) -> Iterator[str]:
    """Yield the words for the command line in a message, in order; a word quoted for the shell is unquoted."""
    for match in WORD.finditer(message):
        start = match.start()
        if start and message[start - 1] in "'\"":
            try:
                yield shlex.split(_quoted_word(message[start - 1 :]))[0]
                continue
            except ValueError:
                pass
        yield match[0]


def _quoted_word(text: str) -> str:
    """Return the start of a text up to the blank, comma or end that closes its first quoted word."""
    lexer = shlex.shlex(text, posix=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    return (lexer.get_token() or "").rstrip(",;.:")


def _parsed(word: str) -> dict[str, Any]:
    """Return a word of the command line as a value of DataConfig, as Hydra reads it. Raises ValueError."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise ValueError(str(error).splitlines()[0]) from None
    value = override.value()
    if isinstance(value, list):  # a list of texts in the config, which makes numbers texts
        value = [str(item) for item in value]
    return {override.key_or_group.removeprefix("data."): value}


def reason(message: str) -> str:
    """Return a message without its values, so that refusals for the same reason are equal."""
    text = re.sub(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", "...", message)
    text = re.sub(r"\[[^\]]*\]", "[...]", text)
    text = re.sub(r"\.\.\.(?:,? (?:and )?\.\.\.)+", "...", text)
    return re.sub(r"(?<![\w-])\d[\d.,e+]*\b", "N", text)


# ---- what must not be data


def faults(loaded: Dataset, frame: "pd.DataFrame", wanted: Expected, data: DataConfig) -> tuple[str, ...]:
    """Return the faults of a data set: inputs that number or identify the rows, and a header that was read as a row.

    `frame` is the file as pandas reads it.
    """
    columns = {str(name).strip(): str(name) for name in frame.columns}
    taken = {_column_of(feature, columns) or feature: feature for feature in loaded.features}
    names_of_rows = {name.strip() for name in row_names(frame)}
    found = [f"takes {name!r}, which numbers or identifies the rows" for name in taken if name in names_of_rows]
    found += [f"takes {name!r}, no column of the file" for name in taken if name not in columns]
    if wanted.target.strip() in taken:
        found.append("takes its target as an input")
    if data.header is None and sum(map(_is_number, loaded.features)) > len(loaded.features) / 2:
        found.append("takes a row of numbers as the header")
    return tuple(found + _wrong_rows(loaded, frame, wanted, data))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _column_of(feature: str, columns: Mapping[str, str]) -> str | None:
    """Return the column of an input; the input of a category is named `column=category`."""
    if feature in columns:
        return feature
    parts = feature.split("=")
    candidates: Sequence[str] = ["=".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
    return next((name for name in candidates if name in columns), None)


def _wrong_rows(loaded: Dataset, frame: "pd.DataFrame", wanted: Expected, data: DataConfig) -> list[str]:
    """Return a fault if rows with a target are lost, or if there are more examples than rows."""
    target = frame[wanted.target].dropna()
    rare = int((target.value_counts() == 1).sum()) if data.rare == "drop" else 0
    m = _examples(loaded)
    if len(target) - rare <= m <= len(frame):
        return []
    return [f"has {m} examples from {len(target)} rows with a target"]


def _examples(loaded: Dataset) -> int:
    return loaded.X.shape[1] + loaded.X_test.shape[1]
