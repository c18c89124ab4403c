"""torchmortem on the same networks in PyTorch: an optional rival.

Needs the packages `torch` and `torchmortem`, which are not installed with nnlab.
"""

import atexit
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nnlab.datasets import Dataset
from nnlab.network.activations import Array
from nnlab.seeding import stream
from nnlab.study.stacking import Job

__all__ = ["NEEDED", "Autopsy", "autopsy"]

NEEDED = ("torch", "torchmortem")
"""The packages that this rival needs."""

Weights = list[tuple[Array, Array]]


class Autopsy(NamedTuple):
    """What torchmortem reports about one training.

    Attributes
    ----------
    findings : titles and severities, in torchmortem's order
    remedies : the remedies of these findings, in their order
    weights : the final weights [(W1, b1), ...], to be compared with nnlab's
    """

    findings: list[tuple[str, str]]
    remedies: list[str]
    weights: Weights


def autopsy(job: Job, start: Weights) -> Autopsy:
    """Train a job's network in PyTorch from the weights `start`, with torchmortem attached, and return its report.

    Data, initial weights, batches and steps are nnlab's. torchmortem samples as it does by default. The training ends
    where the cost is not finite.
    """
    import torch
    import torchmortem

    training = job.config.training
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = _network(job.config.model.activation, start)
    optimizer = torch.optim.SGD(model.parameters(), lr=training.learning_rate)
    X, Y = torch.from_numpy(job.data.X.T.copy()), torch.from_numpy(job.data.Y.T.copy())
    loss_of = _loss(job.data)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of hooks on a layer whose input needs no gradient, and of NaN
        with torchmortem.Autopsy(model, optimizer=optimizer) as watching:
            for batch in _batches(job):
                optimizer.zero_grad()
                loss = loss_of(model(X[batch]), Y[batch])
                if not loss.isfinite():
                    break
                loss.backward()
                optimizer.step()
                watching.step(loss=loss.item())
        report = watching.get_report()
    atexit.unregister(watching._atexit_handler)  # it would keep all measurements in memory until the end
    layers = [module for module in model if isinstance(module, torch.nn.Linear)]
    return Autopsy(
        [(finding.title, finding.severity.name) for finding in report.findings],
        [remedy for finding in report.findings for remedy in finding.remediation],
        [(layer.weight.detach().numpy(), layer.bias.detach().numpy()[:, None]) for layer in layers],
    )


def _network(activation: str, start: Weights) -> Any:
    import torch
    from torch import nn

    functions = {
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(0.01),
        "gelu": nn.GELU,
        "identity": nn.Identity,
    }
    modules: list[Any] = []
    for W, b in start:
        layer = nn.Linear(W.shape[1], W.shape[0], dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(W))
            layer.bias.copy_(torch.from_numpy(b[:, 0]))
        modules += [layer, functions[activation]()]
    return nn.Sequential(*modules[:-1])


def _loss(data: Dataset) -> Any:
    from torch import nn

    if data.task == "regression":
        return nn.MSELoss()
    return nn.CrossEntropyLoss() if data.task == "multiclass" else nn.BCEWithLogitsLoss()


def _batches(job: Job) -> Iterator[slice | NDArray[np.intp]]:
    """Yield the examples of each iteration, as nnlab draws them."""
    training, m = job.config.training, job.data.X.shape[1]
    if training.batch_size is None:
        yield from [slice(None)] * training.iterations
        return
    rng, order, first = stream(job.config.seed, "batches"), np.arange(m), m
    for _ in range(training.iterations):
        if first >= m:
            order, first = rng.permutation(m), 0
        yield order[first : first + training.batch_size]
        first += training.batch_size
