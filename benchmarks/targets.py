"""Targets: a measured figure and the bound that it should keep."""

import sys
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Target", "report_missed"]


class Target(NamedTuple):
    """A figure and its bound. `value` is None if it was not measured; `form` is the format of the value."""

    what: str
    value: float | None
    bound: float
    at_least: bool = False
    form: str = ".2f"

    @property
    def missed(self) -> bool:
        """True if the figure was measured and is on the wrong side of its bound."""
        if self.value is None:
            return False
        return not (self.value >= self.bound if self.at_least else self.value <= self.bound)

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.what}: not measured"
        bound = format(self.bound, ".0%" if self.form.endswith("%") else ".3g")
        return f"{self.what} {self.value:{self.form}}, target at {'least' if self.at_least else 'most'} {bound}"


def report_missed(targets: Iterable[Target]) -> None:
    """Print the missed targets to stderr."""
    for target in targets:
        if target.missed:
            print(f"missed: {target}", file=sys.stderr)
