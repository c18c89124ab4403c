"""The repairs that rivals propose, as values of nnlab's keys.

A repair that nnlab has no key for is None: selu, batch normalization, gradient clipping, other optimizers, schedules.
A repair that the network has already is no repair. The first repair that can be expressed is the rival's cure; a rival
whose first symptom has none is credited with those of its next symptom.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nnlab.config import RunConfig, flatten, resolve

__all__ = ["REPAIRS", "first_cure", "inexpressible", "remedies_of", "torchmortem_repairs"]

Values = dict[str, Any]
Repair = Callable[[Mapping[str, Any]], Values | None]


def first_cure(config: RunConfig, repairs: Iterable[Repair]) -> Values:
    """Return the values of the first repair that can be expressed and changes something; no values if none does."""
    before = flatten(resolve(config))
    for repair in repairs:
        after = repair(before) or {}
        if changed := {key: value for key, value in after.items() if before[key] != value}:
            return changed
    return {}


def _with(**values: Any) -> Repair:
    dotted = {name.replace("__", "."): value for name, value in values.items()}
    return lambda config: dict(dotted)


def _rate(factor: float) -> Repair:
    return lambda config: {"training.learning_rate": float(f"{config['training.learning_rate'] * factor:.12g}")}


def _hidden(activation: str, **values: Any) -> Repair:
    """Return a repair that replaces the activation of the hidden units, if there are any."""
    replace = _with(model__activation=activation, **values)
    return lambda config: replace(config) if config["model.depth"] else None


def _only_for(activations: Sequence[str], repair: Repair) -> Repair:
    return lambda config: repair(config) if config["model.activation"] in activations else None


def _recommended(config: Mapping[str, Any]) -> Values:
    """Return the initialization that TheDeepChecker's messages recommend for the activation."""
    scheme, scale = {
        "relu": ("he", 1.0),
        "tanh": ("xavier", 1.0),
        "sigmoid": ("he", 0.5**0.5),  # LeCun: variance 1 / n_in
    }.get(config["model.activation"], ("he" if "relu" in config["model.activation"] else "xavier", 1.0))
    return {"init.scheme": scheme, "init.scale": scale}


def _doubled_batch(config: Mapping[str, Any]) -> Values | None:
    size = config["training.batch_size"]
    return {"training.batch_size": 2 * size} if size else None


def _shallower(config: Mapping[str, Any]) -> Values | None:
    if config["model.depth"] < 2 or config["model.layers"]:
        return None
    return {"model.depth": config["model.depth"] - 1}


def _wider(config: Mapping[str, Any]) -> Values | None:
    return {"model.hidden_size": 4 * config["model.hidden_size"]} if config["model.depth"] else None


SELU = BATCH_NORMALIZATION = CLIPPING = OPTIMIZER = SCHEDULE = None
HE, XAVIER = _with(init__scheme="he", init__scale=1.0), _with(init__scheme="xavier", init__scale=1.0)
RELU, TANH = (_hidden(name, init__scheme="he", init__scale=1.0) for name in ("relu", "tanh"))
LEAKY = _hidden("leaky_relu")
SLOWER, FASTER = _rate(0.1), _rate(10.0)

REPAIRS: dict[str, dict[str, tuple[Repair | None, ...]]] = {
    # The published program's "balance" strategies, in its order; it couples relu and tanh with He's initialization.
    # Where it draws one of six initializers, the first of its list is taken.
    "AUTOTRAINER": {
        "dying ReLU": (SELU, BATCH_NORMALIZATION, HE, LEAKY),
        "exploding gradient": (SELU, RELU, CLIPPING, TANH, BATCH_NORMALIZATION),
        "vanishing gradient": (SELU, RELU, BATCH_NORMALIZATION),
        "slow convergence": (OPTIMIZER, FASTER),
        "oscillating loss": (OPTIMIZER, SLOWER, SCHEDULE, _doubled_batch),
    },
    # Its messages name a repair for the initial weights only: He, Glorot or LeCun, by the activation. Where the symptom
    # is a step or a cost, the step is changed against it.
    "TheDeepChecker": {
        "symmetry": (_recommended,),
        "dead": (_recommended, LEAKY),
        "saturated": (_recommended, SLOWER),
        "vanishing gradient": (_recommended, FASTER),
        "exploding gradient": (_recommended, SLOWER),
        "activation range": (_recommended,),
        "update too small": (FASTER,),
        "update too large": (SLOWER,),
        "loss not decreasing": (FASTER,),
        "loss not a number": (SLOWER,),
    },
}
"""Rule set -> symptom -> its repairs in their order."""


def remedies_of(rival: str, alarms: Mapping[str, int]) -> list[Repair]:
    """Return the expressible repairs of a rule set's symptoms, the earliest symptom first."""
    symptoms = sorted(alarms, key=lambda symptom: alarms[symptom])
    return [repair for symptom in symptoms for repair in REPAIRS[rival][symptom] if repair is not None]


TORCHMORTEM: tuple[tuple[str, Repair], ...] = (
    (r"from ReLU to LeakyReLU", _only_for(("relu",), LEAKY)),
    (r"sigmoid/tanh (to|with) ReLU", _only_for(("sigmoid", "tanh"), _hidden("relu"))),
    (r"(Reduce the|[Ll]ower) learning rate", SLOWER),
    (r"[Ii]ncreas(e|ing) the learning rate", FASTER),
    (r"He/Kaiming init for ReLU", HE),
    (r"Xavier/Glorot init", XAVIER),
    (r"Kaiming or Xavier|different initialization scheme", _recommended),
    (r"Reduce network depth", _shallower),
    (r"Increase the batch size", _with(training__batch_size=None)),
    (r"Increase the width", _wider),
)
"""What torchmortem's remedies ask for, the first pattern that matches; others have no key in nnlab."""


def torchmortem_repairs(remedies: Iterable[str]) -> list[Repair]:
    """Return the expressible repairs among torchmortem's remedies, in their order."""
    found = (_repair(remedy) for remedy in remedies)
    return [repair for repair in found if repair is not None]


def inexpressible(remedies: Iterable[str]) -> list[str]:
    """Return the remedies that nnlab has no key for."""
    return [remedy for remedy in remedies if _repair(remedy) is None]


def _repair(remedy: str) -> Repair | None:
    return next((repair for pattern, repair in TORCHMORTEM if re.search(pattern, remedy)), None)
