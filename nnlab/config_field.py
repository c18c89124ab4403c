"""How a config key is declared: a dataclass field that states its default, type, legal values and meaning.

    hidden_size: int = key(4, "Units in each hidden layer", low=1, high=100_000, example=20)

`nnlab.validation`, `--help` and docs/configuration.md are derived from these fields.
"""

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

__all__ = ["Key", "declared", "key", "sections"]


@dataclass(frozen=True)
class Key:
    """One config key as its field declares it.

    - `name`: as on the command line, such as model.hidden_size
    - `item`: the type of a list's items, int or str
    - `type`: int, float, bool, str, or list; with `optional` the value may be None
    - `low`, `high`: the smallest and the largest legal integer, or width in a list
    - `below`: what a number must be less than; it must be finite and >= 0 in any case
    - `longest`: how many items a list may have
    - `choices`: the legal texts
    - `pattern`: the regular expression that a text must match
    - `folder`: True if the text is a folder
    - `described`: the legal values in words, where the other fields cannot express them
    - `added`: True for a key that earlier versions did not have: its default is left out of fingerprints
    """

    name: str
    item: type
    type: type
    optional: bool
    default: Any
    meaning: str
    example: Any
    low: int
    high: int
    below: float | None
    longest: int
    choices: Collection[str]
    pattern: str
    folder: bool
    described: str
    added: bool

    @property
    def legal(self) -> str:
        """The legal values as an error message states them after "must be"."""
        return (self.described or self._described()) + " or null" * self.optional

    def _described(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.type is int:
            return f"an integer from {self.low} to {self.high}"
        if self.type is float:
            return "a finite number >= 0" if self.below is None else f"a number from 0 to below {self.below:g}"
        return "true or false" if self.type is bool else "a non-empty text"


def key(
    default: Any,
    meaning: str,
    *,
    example: Any,
    low: int = 0,
    high: int = 10**9,
    below: float | None = None,
    longest: int = 0,
    choices: Collection[str] = (),
    pattern: str = "",
    folder: bool = False,
    described: str = "",
    added: bool = False,
) -> Any:
    """Return the dataclass field of a config key. `Key` explains the limits; `example` is a legal value to show."""
    limits = {"low": low, "high": high, "below": below, "longest": longest, "choices": choices}
    form = {"pattern": pattern, "folder": folder, "described": described, "added": added}
    return dataclasses.field(default=default, metadata={"meaning": meaning, "example": example, **limits, **form})


def sections(config: type) -> dict[str, type]:
    """Return the dataclasses that a config consists of, by the names of their fields."""
    factories: dict[str, Any] = {part.name: part.default_factory for part in dataclasses.fields(config)}
    return {name: factory for name, factory in factories.items() if isinstance(factory, type)}


def declared(config: type, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a config dataclass and of its sections, in the order of their declaration."""
    inner = sections(config)
    for part in dataclasses.fields(config):
        if part.name in inner:
            yield from declared(inner[part.name], f"{prefix}{part.name}.")
        else:
            yield Key(f"{prefix}{part.name}", *_types(part.type), part.default, **part.metadata)


def _types(annotation: Any) -> tuple[type, type, bool]:
    """Return the type of the items of an annotation such as `list[int] | None`, its type, and if it allows None."""
    types = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    (kind,) = (one for one in types if one is not NoneType)
    return next(iter(get_args(kind)), NoneType), get_origin(kind) or kind, NoneType in types
