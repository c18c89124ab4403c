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
    - `type`: int, float, bool, str, or list, which holds integers; with `optional` the value may be None
    - `low`, `high`: the smallest and the largest legal integer, or width in a list
    - `between`: the bounds of a number, both excluded; without them a number must be finite and >= 0
    - `longest`: how many items a list may have
    - `choices`: the legal texts
    - `pattern`: the regular expression that a text must match
    - `folder`: True if the text is a folder
    - `described`: the legal values in words, where the other fields cannot express them
    """

    name: str
    type: type
    optional: bool
    default: Any
    meaning: str
    example: Any
    low: int
    high: int
    between: tuple[float, float] | None
    longest: int
    choices: Collection[str]
    pattern: str
    folder: bool
    described: str

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
            return "a number between {:g} and {:g}".format(*self.between) if self.between else "a finite number >= 0"
        return "true or false" if self.type is bool else "a non-empty text"


def key(
    default: Any,
    meaning: str,
    *,
    example: Any,
    low: int = 0,
    high: int = 10**9,
    between: tuple[float, float] | None = None,
    longest: int = 0,
    choices: Collection[str] = (),
    pattern: str = "",
    folder: bool = False,
    described: str = "",
) -> Any:
    """Return the dataclass field of a config key. `Key` explains the limits; `example` is a legal value to show."""
    limits = {"low": low, "high": high, "between": between, "longest": longest, "choices": choices}
    form = {"pattern": pattern, "folder": folder, "described": described}
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
            yield Key(f"{prefix}{part.name}", *_type(part.type), part.default, **part.metadata)


def _type(annotation: Any) -> tuple[type, bool]:
    """Return the type of an annotation such as `list[int] | None`, and True if it allows None."""
    types = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    (kind,) = (one for one in types if one is not NoneType)
    return get_origin(kind) or kind, NoneType in types
