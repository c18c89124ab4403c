"""Values of words, checked as Hydra's grammar reads them.

The grammar reserves most characters beyond ASCII letters and digits, and does not read `true` and `1e3` as texts. Paths
and columns may have such names, and are then typed in quotes.
"""

import functools
import re
import sys
import unicodedata
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException

from nnlab.config import KEYS, shell_word, to_word
from nnlab.config_field import Key
from nnlab.validation import wrong_value

__all__ = ["check_value"]

HYDRA_FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")
"""Hydra's own keys that hold a path, in which ~ is no home folder."""
READABLE = re.compile(r"[A-Za-z0-9_/\\+.$%*@?|: \t-]")
"""The characters that Hydra reads outside quotes, wherever they stand."""
REFERENCE = re.compile(r"\$\{[^}]+\}")
SIMPLE = (ValueType.ELEMENT, ValueType.SIMPLE_CHOICE_SWEEP)
BLANKS = " \t"
"""The blanks that Hydra drops around a value."""
QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
UNSEEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, line breaks, and bytes that are not UTF-8."""


class _Typed(NamedTuple):
    """A value as it must be typed, and why that differs from what was typed; empty if it need not."""

    value: str
    reason: str = ""


def check_value(
    word: str,
    presets: Collection[str] = (),
    *,
    is_sweep: bool = False,
    needed: Collection[str] = (),
    written: Callable[[str], str] = shell_word,
) -> None:
    """Exit with one line if Hydra refuses a word, or would read its value as another text than was typed.

    `presets` are the names to choose from if the word names a group. With `is_sweep` it may hold several values. The
    keys in `needed` must not be null. `written` returns a right word as the user must write it.
    """
    name, sign, value = word.partition("=")
    key = name.lstrip("+")
    if not sign or key.startswith("~"):
        return
    declared = KEYS.get(key)
    if key in HYDRA_FOLDERS:
        _check_texts(key, value, _text, is_sweep, written)
    elif declared and declared.type is str and not declared.choices:
        text = _text if declared.optional and key not in needed else _present_text
        _check_texts(key, value, text, is_sweep, written)
    elif declared and declared.item is str:
        _check_lists(declared, value, is_sweep, written)
    elif isinstance(error := _read(word), HydraException):
        _refuse(word, key, presets, error, written)


# ---- texts


def _check_texts(
    key: str, value: str, text: Callable[[str], _Typed], is_sweep: bool, written: Callable[[str], str]
) -> None:
    """Exit if one text, or the texts of a sweep, must be typed otherwise."""
    if to_word(value) == value:
        return
    if key in HYDRA_FOLDERS and value.startswith("~/"):
        remedy = _remedy(key, hydra_text(str(Path(value).expanduser())), written)
        sys.exit(f"{key} must not begin with ~, which Hydra does not expand, got {_shown(value)}: {remedy}")
    parts = _split(value)
    several = [text(part) for part in parts] if is_sweep and len(parts) > 1 and all(map(str.strip, parts)) else []
    single = text(value)
    reasons = [typed.reason for typed in several if typed.reason]
    remedy = ""
    if reasons:
        remedy = _remedy(key, ",".join(typed.value for typed in several), written)
        remedy += f" or, for one text, {_typed(key, single.value, written)}"
    elif single.reason and not several:
        if key in KEYS and (problems := list(wrong_value(KEYS[key], value))):
            sys.exit(problems[0])
        reasons = [single.reason]
        remedy = f"{_comma(value)}{', or ' if _comma(value) else ''}{_remedy(key, single.value, written)}"
    if reasons:
        sys.exit(f"{key} must be in quotes, since {reasons[0]}, got {_shown(value)}: {remedy}")


def _text(value: str) -> _Typed:
    """Return a text, or null, as it must be typed."""
    return _Typed(value) if _is_null(value) else _present_text(value)


def _present_text(value: str) -> _Typed:
    """Return a text as it must be typed."""
    if to_word(value) == value:
        return _Typed(value)
    read = _read(f"_={value}")
    if isinstance(read, HydraException):
        quote, inner = value[:1], value[1:-1]
        return _Typed(hydra_text(inner if quote in ("'", '"') and value[1:].endswith(quote) else value), _barred(value))
    if read.value_type == ValueType.SIMPLE_CHOICE_SWEEP:
        return _Typed(hydra_text(value), "a comma without them separates the values of a sweep")
    kind = "" if read.is_sweep_override() else _other_kind(read.value(), value)
    return _Typed(hydra_text(value), f"Hydra reads {_shown(value.strip(BLANKS))} as {kind}") if kind else _Typed(value)


def _barred(value: str) -> str:
    """Return the reason why Hydra refuses a value."""
    barred = dict.fromkeys(READABLE.sub("", REFERENCE.sub("", value)))
    shown = " ".join(one if one.isprintable() else repr(one).strip("'") for one in barred)
    return f"Hydra cannot read {shown or 'it'} without them"


def _other_kind(read: Any, typed: str) -> str:
    """Return the kind of value that Hydra read, or nothing if the config will hold the text that was typed."""
    if read is None:
        return "no value"
    if isinstance(read, list | dict):
        return "a list" if isinstance(read, list) else "a mapping"
    if isinstance(read, str) or str(read) == typed.strip(BLANKS):
        return ""
    return "a truth value" if isinstance(read, bool) else f"the number {read}"


# ---- lists of texts


def _check_lists(key: Key, value: str, is_sweep: bool, written: Callable[[str], str]) -> None:
    """Exit if a list of texts, or the lists of a sweep, must be typed otherwise."""
    if value[:1] + value[-1:] == "[]" and all(to_word(item) == item for item in value[1:-1].split(",")):
        return  # Hydra takes a second for a thousand columns
    read = _read(f"_={value}")
    is_simple = isinstance(read, HydraException) or read.value_type in SIMPLE
    if not is_simple or _is_null(value) or (isinstance(read, Override) and "${" in str(read.value())):
        return
    parts = _split(value)
    are_lists = all(part.strip(BLANKS).startswith("[") or _is_null(part) for part in parts)
    if are_lists and len(parts) > 1 and not is_sweep:
        return  # Hydra says what a sweep is
    lists = [_list(part) for part in parts] if are_lists else [_list(f"[{value}]")]
    remedy = _remedy(key.name, ",".join(typed.value for typed in lists), written)
    if not are_lists:
        sys.exit(f"{key.name} must be {key.legal}, got {_shown(value)}: {remedy}")
    reasons = [typed.reason for typed in lists if typed.reason]
    if reasons:
        sys.exit(f"{key.name} must have its texts in quotes, since {reasons[0]}, got {_shown(value)}: {remedy}")


def _list(value: str) -> _Typed:
    """Return a list of texts, or null, as it must be typed."""
    if _is_null(value):
        return _Typed(value)
    inner = value.strip(BLANKS)[1:].removesuffix("]")
    items = [_present_text(item.strip(BLANKS)) for item in _split(inner) if item.strip(BLANKS)]
    reasons = [item.reason for item in items if item.reason]
    if not reasons and isinstance(_read(f"_={value}"), HydraException):
        reasons = [_barred(value)]
    return _Typed(f"[{','.join(item.value for item in items)}]", *reasons[:1])


# ---- grammar


def hydra_text(text: str) -> str:
    """Return a text as Hydra must be given it; references such as ${oc.env:HOME} are kept."""
    if to_word(text) == text or ("${" in text and not REFERENCE.search(text)):
        return to_word(text)
    # A shell's single quotes around Hydra's double ones leave alone what double quotes would expand.
    quote = Quote.double if re.search(r"['$`!]", text) and '"' not in text else Quote.single
    return QuotedString(text, quote).with_quotes()


def _read(word: str) -> Override | HydraException:
    """Return a word as Hydra reads it, or the error if it cannot."""
    try:
        return _parser().parse_override(word)
    except HydraException as error:
        return error


_parser = functools.cache(OverridesParser.create)


def _is_null(value: str) -> bool:
    return value.strip(BLANKS).lower() == "null"


def _split(value: str) -> list[str]:
    """Return the parts of a value between its commas, but for those in quotes and brackets."""
    parts, depth, place = [""], 0, 0
    while place < len(value):
        quoted = QUOTED.match(value, place)
        if quoted and not parts[-1].strip(BLANKS + "[("):
            parts[-1] += quoted[0]
            place = quoted.end()
            continue
        depth = max(depth + BRACKETS.get(value[place], 0), 0)
        if value[place] == "," and not depth:
            parts.append("")
        else:
            parts[-1] += value[place]
        place += 1
    return parts


# ---- messages


def _refuse(
    word: str, key: str, presets: Collection[str], error: HydraException, written: Callable[[str], str]
) -> None:
    """Exit because of a word that Hydra refuses and that holds no text of the user's."""
    value = word.partition("=")[2]
    choices = KEYS[key].choices if key in KEYS else presets
    if value in choices:
        sys.exit(f"{key} must be in quotes, since {_barred(value)}: {_remedy(key, hydra_text(value), written)}")
    hint = _comma(value) and f": {_comma(value)}"
    legal = KEYS[key].legal if key in KEYS else f"one of {', '.join(presets)}" if presets else ""
    if legal:
        sys.exit(f"{key} must be {legal}, got {_shown(value)}{hint}")
    sys.exit(f"{_shown(word)} cannot be read by Hydra: {str(error).partition(chr(10))[0]}{hint}")


def _comma(value: str) -> str:
    """Return the remedy for a blank after a comma, at which the shell divides a word; empty if there is none."""
    return "leave no blank after a comma" if len(value) > 1 and value.endswith(",") else ""


def _remedy(key: str, value: str, written: Callable[[str], str]) -> str:
    """Return the advice to type a value."""
    dots = "" if _visible(value) else ", with the text for the dots"
    return f"type {_typed(key, value, written)}{dots}"


def _typed(key: str, value: str, written: Callable[[str], str]) -> str:
    """Return a word as it must be typed; dots stand for a value that one line cannot show."""
    dots = "['...']" if value.startswith("[") else "'...'"
    return written(f"{key}={value if _visible(value) else dots}")


def _shown(text: str) -> str:
    """Return a text in one line: as it is, or in Python's quotes if a terminal cannot show it; without its middle."""
    text = text if _visible(text) else repr(text)
    return text if len(text) <= 200 else f"{text[:100]}...{text[-100:]}"


def _visible(text: str) -> bool:
    return not any(unicodedata.category(character) in UNSEEN for character in text)
