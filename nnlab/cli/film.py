"""Make a film of a network while it learns (`make film ARGS="model.activation=relu seed=7"`)."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from nnlab.config import ConfigError, RunConfig, from_dict, resolve
from nnlab.datasets import Dataset, load_dataset
from nnlab.findings.film import Scene, film
from nnlab.network.training import checkpoints
from nnlab.results import Results
from nnlab.study.plan import prepare
from nnlab.study.run_stack import snapshots

__all__ = ["film_of", "main"]

SCENES = 60


def film_of(config: RunConfig, title: str) -> bytes:
    """Train a network and return the film of it, a GIF. Raises ValueError unless it has two inputs and two classes."""
    config = resolve(config)
    data = load_dataset(config.data)
    return film(_scenes(config, data), config.model.activation, data, title)


def _scenes(config: RunConfig, data: Dataset) -> Iterator[Scene]:
    for snapshot in snapshots([config], data, checkpoints(config.training.iterations, SCENES)):
        accuracy = snapshot.cost_function.score(snapshot.Z[-1], snapshot.Y)
        yield Scene(snapshot.iteration, float(snapshot.cost[0]), float(accuracy[0]), snapshot.parameters.as_dict())


def main(arguments: list[str] | None = None) -> None:
    """Write reports/film.gif in the results folder and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="as of experiments/train.py")
    parser.add_argument("--to", help="the file (reports/film.gif in the results folder)")
    options = parser.parse_args(arguments)
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from nnlab.cli.main import CONF
    from nnlab.cli.schema import register

    register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides=options.words)
        config = from_dict(cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True)))
        (job,) = prepare([config])
        content = film_of(job.config, job.name)
    except (ConfigError, HydraException, OmegaConfBaseException, ValueError) as error:
        sys.exit(str(error))
    path = Path(options.to) if options.to else Results.at(config.results_dir).report("film.gif")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        sys.exit(f"The film could not be written to {path}: {error.strerror}")
    print(path)


if __name__ == "__main__":
    main()
