"""The table of changes: what to try on a network that did not learn, one thing at a time.

A config is a plain mapping from keys to values here, with every default written out. To add a change, add a line to
`CHANGES`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["CHANGES", "Change", "applicable", "values_of", "widths_of", "words"]

Values = Mapping[str, Any]
SMALL_BATCH = 32
MANY = SMALL_BATCH + 1
"""A number of examples to which every change applies."""
LARGEST_RATE = 1.0
"""A learning rate is not multiplied by 100 beyond this."""
WIDTH = 8
"""Units of the hidden layer that a network without one gets."""


class Change(NamedTuple):
    """One thing to change.

    Attributes
    ----------
    name : what the user reads: "learning rate x 0.1"
    aspect : what is changed; of two changes of one aspect, the one with the smaller `size` goes less far
    size : how far the change goes
    apply : returns the new values of the keys that change, given the config and the number m of training examples;
        no values if the change does not apply
    """

    name: str
    aspect: str
    size: float
    apply: Callable[[Values, int], dict[str, Any]]


def applicable(config: Values, m: int) -> list[tuple[Change, dict[str, Any]]]:
    """Return the changes that a config with m training examples can make, each with the values that become others.

    Of changes that come to the same, such as depth 2 - 1 and depth 1, the first is returned.
    """
    found: list[tuple[Change, dict[str, Any]]] = []
    for change in CHANGES:
        values = values_of([change], config, m)
        if values and values not in (others for _, others in found):
            found.append((change, values))
    return found


def values_of(changes: Iterable[Change], config: Values, m: int = MANY) -> dict[str, Any]:
    """Return the keys that changes, made one after the other, change in a config, with their new values.

    m is the number of training examples.
    """
    after = dict(config)
    for change in changes:
        after |= change.apply(after, m)
    return {key: value for key, value in after.items() if value != config[key]}


def words(values: Values) -> str:
    """Return values as they are typed: `init.scheme=he init.scale=1.0`. They need no quotes."""
    typed = {None: "null", True: "true", False: "false"}
    return " ".join(
        f"{key}={typed[value] if value is None or isinstance(value, bool) else value}" for key, value in values.items()
    )


def widths_of(config: Values) -> list[int]:
    """Return the numbers of units of the hidden layers."""
    return list(config["model.layers"] or [config["model.hidden_size"]] * config["model.depth"])


def _times(value: float, factor: float) -> float:
    """Return the product as a person would write it: 0.1 * 3 is 0.3."""
    return float(f"{value * factor:.12g}")


def _rate(factor: float) -> Change:
    def apply(config: Values, m: int) -> dict[str, Any]:
        rate = _times(config["training.learning_rate"], factor)
        return {} if factor > 10 and rate > LARGEST_RATE else {"training.learning_rate": rate}

    aspect = "smaller steps" if factor < 1 else "larger steps"
    return Change(f"learning rate x {factor:g}", aspect, max(factor, 1 / factor), apply)


def _scale(factor: float) -> Change:
    def apply(config: Values, m: int) -> dict[str, Any]:
        if config["init.scheme"] == "zeros":
            return {}
        return {"init.scale": _times(config["init.scale"], factor)}

    return Change(f"scale x {factor:g}", "larger scale" if factor > 1 else "smaller scale", 10, apply)


def _scheme(name: str) -> Change:
    return Change(name, "scheme", 1, lambda config, m: {"init.scheme": name, "init.scale": 1.0})


def _activation(name: str) -> Change:
    def apply(config: Values, m: int) -> dict[str, Any]:
        return {"model.activation": name} if config["model.depth"] else {}

    return Change(name.replace("_", " "), "activation", 1, apply)


def _wider(config: Values, m: int) -> dict[str, Any]:
    if config["model.layers"] is not None:
        return {"model.layers": [4 * width for width in config["model.layers"]]}
    return {"model.hidden_size": 4 * config["model.hidden_size"]} if config["model.depth"] else {}


def _one_hidden_layer(config: Values, m: int) -> dict[str, Any]:
    width = config["model.layers"][0] if config["model.layers"] else config["model.hidden_size"] or WIDTH
    return {"model.depth": 1, "model.layers": None, "model.hidden_size": width}


def _shallower(config: Values, m: int) -> dict[str, Any]:
    if config["model.depth"] <= 2:
        return _one_hidden_layer(config, m) if config["model.depth"] == 2 else {}
    if config["model.layers"] is not None:
        return {"model.layers": config["model.layers"][:-1]}
    return {"model.depth": config["model.depth"] - 1}


CHANGES: tuple[Change, ...] = (
    Change("standardized data", "data", 1, lambda config, m: {"data.standardize": True}),
    *(_scheme(name) for name in ("xavier", "he", "orthogonal")),
    _scale(10),
    _scale(0.1),
    *(_activation(name) for name in ("tanh", "relu", "leaky_relu", "gelu")),
    _rate(0.3),
    _rate(0.1),
    _rate(3),
    _rate(10),
    _rate(100),
    Change("iterations x 10", "iterations", 10, lambda c, m: {"training.iterations": 10 * c["training.iterations"]}),
    Change("width x 4", "width", 4, _wider),
    Change("depth - 1", "depth", 1, _shallower),
    Change("one hidden layer", "depth", 2, _one_hidden_layer),
    Change("full batch", "batch", 1, lambda config, m: {"training.batch_size": None}),
    Change("batches of 32", "batch", 1, lambda c, m: {"training.batch_size": SMALL_BATCH} if m > SMALL_BATCH else {}),
    Change("float64", "precision", 1, lambda config, m: {"training.dtype": "float64"}),
)
"""Every change. Of changes that take equally long, the earlier one is tried first."""
