"""`nnlab film`: make a GIF of one network during training."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnlab.cli.check_overrides import check_words
from nnlab.cli.compose import composed
from nnlab.cli.options import parse, parser
from nnlab.cli.process import catch_signals

if TYPE_CHECKING:
    from nnlab.config import RunConfig
    from nnlab.datasets import Dataset
    from nnlab.findings.film import Scene

__all__ = ["film_of", "main"]

SCENES = 60


def main(words: Sequence[str]) -> None:
    """Write reports/film.gif in the results folder and print its path."""
    options = parser("film", "Make a GIF of one network during training. Needs data with two inputs and two classes.")
    options.add_argument("words", nargs="*", metavar="KEY=VALUE", help="as for nnlab run")
    options.add_argument("--to", help="the file (reports/film.gif in the results folder)")
    arguments = parse(options, words)
    from nnlab.config import ConfigError
    from nnlab.results import Results
    from nnlab.study.plan import prepare

    catch_signals()
    check_words(arguments.words)
    if experiments := [word for word in arguments.words if word.lstrip("+").startswith("experiment=")]:
        sys.exit(f"a film is of one network, got {experiments[0]}, which is a sweep")
    try:
        (job,) = prepare([composed(arguments.words)])
        content = film_of(job.config, job.name)
    except (ConfigError, ValueError) as error:
        sys.exit(str(error))
    path = Path(arguments.to) if arguments.to else Results.at(job.config.results_dir).report("film.gif")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        sys.exit(f"The film could not be written to {path}: {error.strerror}")
    print(path)


def film_of(config: "RunConfig", title: str) -> bytes:
    """Train a network and return its film, a GIF. Raises ValueError unless it has two inputs and two classes."""
    from nnlab.config import resolve
    from nnlab.datasets import load_dataset
    from nnlab.findings.film import film

    data = load_dataset(config.data)
    config = resolve(config, data.kind)
    return film(_scenes(config, data), config.model.activation, data, title)


def _scenes(config: "RunConfig", data: "Dataset") -> "Iterator[Scene]":
    from nnlab.findings.film import Scene
    from nnlab.network.training import checkpoints
    from nnlab.study.run_stack import snapshots

    for snapshot in snapshots([config], data, checkpoints(config.training.iterations, SCENES)):
        accuracy = snapshot.cost_function.score(snapshot.Z[-1], snapshot.Y)
        yield Scene(snapshot.iteration, float(snapshot.cost[0]), float(accuracy[0]), snapshot.parameters.as_dict())
